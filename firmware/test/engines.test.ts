// The built agent on every engine there is here: one conversation, and each answer of each engine is
// that of Node, byte for byte. Debian's duk and the programs of JerryScript and Espruino take part when they
// are on PATH.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { READINGS_HEAD } from "@vouch/shared/readings";
import { openBox } from "@vouch/shared/secretbox";
import { keyPairFromSeed, verifyEd25519 } from "@vouch/shared/sign";
import {
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_GAP,
  frameKey,
  nextChain,
  streamMessage,
  wrapKey,
} from "@vouch/shared/stream";
import { decodeAnnounce, frameLength, parseFrame, unmaskBody } from "@vouch/shared/streamread";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import {
  ATTEST_NONCE,
  type Exchange,
  evidenceIn,
  makeConversation,
  type Player,
  pair,
  READER_SECRET,
  SEED,
  streamIn,
  without,
} from "./engines/conversation";
import { playOnEspruino } from "./engines/espruino";
import { playAsScript, playInNode, playInQuickJs } from "./engines/hosts";
import { engineImage, nodeHash } from "./kit";

declare const VOUCH_DIST: string;

const readBundle = (name: string) => readFileSync(join(VOUCH_DIST, name), "latin1");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const steps = makeConversation();
const reference = playInNode(readBundle("agent.js"), steps).then((replies) => pair(steps, replies));
reference.catch(() => {}); // the first test reports it

const engines = suite("engines");

engines("node: the conversation ends in evidence by the key of the seed", async () => {
  const exchanges = await reference;
  const { publicKey } = keyPairFromSeed(SEED);
  for (const what of ["enrol", "attest"]) {
    const { fault, sign1, claims } = decodeEvidence(evidenceIn(exchanges, what));
    assert.is(fault, 0, what);
    assert.ok(verifyEd25519(publicKey, evidenceMessage(sign1), sign1.signature), `${what} signature`);
    assert.is(claims?.components.length, 2, "engine and application");
    assert.is(claims?.bootcount, 2, "after one reset");
    assert.is(claims?.confirmed, true);
    assert.is(claims?.floor, 2);
    assert.is(claims?.sequence, 3);
  }
  const { claims } = decodeEvidence(evidenceIn(exchanges, "attest"));
  assert.is(hex(claims!.nonce), hex(ATTEST_NONCE));
});

engines("node: the stream is whole, signed, and its reader's to read", async () => {
  const { publicKey } = keyPairFromSeed(SEED);
  const bytes = streamIn(await reference);
  const types: number[] = [];
  let rows = 0;
  let chain = new Uint8Array(32) as Uint8Array;
  for (let at = 0; at < bytes.length; ) {
    const length = frameLength(bytes, at);
    const frame = parseFrame(bytes.subarray(at, at + length));
    at += length;
    types.push(frame.type);
    if (frame.signature !== null)
      assert.ok(verifyEd25519(publicKey, streamMessage(frame.unsigned), frame.signature));
    if (frame.type === FRAME_ANNOUNCE) {
      const { keyload } = decodeAnnounce(frame.body);
      const { ephemeral, readers } = keyload!;
      const reader = x25519Public(READER_SECRET);
      const wrap = wrapKey(READER_SECRET, ephemeral, reader, ephemeral, frame.epoch)!;
      chain = openBox(wrap.key, wrap.nonce, readers[0]!.box)!;
    }
    if (frame.isMasked) {
      const content = unmaskBody(frame, frameKey(chain));
      if (frame.type === FRAME_DATA) rows += (content.length - READINGS_HEAD) / 2;
    }
    chain = nextChain(chain);
  }
  assert.is(types[0], FRAME_ANNOUNCE);
  assert.is(types.at(-1), FRAME_CLOSE, types.join());
  assert.ok(types.includes(FRAME_GAP) && types.includes(FRAME_CHECKPOINT) && rows > 100, types.join());
});

/** Every reply, in order, against Node's; evidence by itself first, since it is what counts. */
function checkSame(found: Exchange[], expected: Exchange[]): void {
  for (const what of ["enrol", "attest"])
    assert.is(hex(evidenceIn(found, what)), hex(evidenceIn(expected, what)), `${what} evidence`);
  for (const [at, { name, reply }] of expected.entries())
    assert.is(hex(found[at]!.reply), hex(reply), `reply ${at} to ${name}`);
}

const HERE: [string, Player][] = [["quickjs", playInQuickJs]];
const PROGRAMS: [string, string][] = [
  ["duktape", "duk"],
  ["jerryscript", "jerry"],
];

for (const [name, play] of HERE) {
  engines(`${name} answers as node does`, async () => {
    checkSame(pair(steps, await play(readBundle("agent.js"), steps)), await reference);
  });
}

const isOnPath = (program: string) =>
  spawnSync("sh", ["-c", 'command -v "$1"', "sh", program], { stdio: "ignore" }).status === 0;

for (const [name, program] of PROGRAMS) {
  const title = `${name} answers as node does`;
  if (isOnPath(program)) {
    engines(title, async () => {
      checkSame(pair(steps, await playAsScript(program)(readBundle("agent.js"), steps)), await reference);
    });
  } else skip(engines, title, `\`${program}\` is not on PATH`);
}

const onEspruino = "espruino answers as node does, on a serial line and over real restarts";
if (isOnPath("espruino")) {
  engines(onEspruino, async () => {
    const play = playOnEspruino("espruino");
    const short = makeConversation(false); // its clock is its own, and what a stream says depends on it
    const found = pair(short, await play(readBundle("agent.espruino.js"), short));
    // It alone tells its heap, and has done so at each identify.
    const told = found.map((exchange) =>
      exchange.name.startsWith("identify")
        ? { ...exchange, reply: without(exchange.reply, "heap") }
        : exchange,
    );
    assert.is(told.filter(({ reply }, at) => hex(reply) !== hex(found[at]!.reply)).length, 2, "heaps told");
    checkSame(told, pair(short, await playInNode(readBundle("agent.js"), short)));
  });
} else skip(engines, onEspruino, "`espruino` is not on PATH");

// So that the sameness above can't be that of something constant.
engines("what they all measured is the engine image, plain and under the nonce", async () => {
  const { claims } = decodeEvidence(evidenceIn(await reference, "attest"));
  const [engine] = claims!.components;
  assert.is(hex(engine!.digest), hex(nodeHash(engineImage)));
  const keyed = nodeHash(Buffer.concat([ATTEST_NONCE, engineImage]));
  assert.is(hex(engine!.keyedDigest), hex(keyed));
});

engines.run();
