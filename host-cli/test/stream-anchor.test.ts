// `vouch stream anchor`: a head in a log and on a ledger, and what it then shows of a recording.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatHead, headCommitment, parseHead, type StreamHead } from "@vouch/shared/streamhead";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RECORDER, type RecordedWorld, recordedWorld } from "../../shared/test/stream-world";
import { refusal } from "../../shared/test/vectors";
import * as anchorVerb from "../src/commands/anchor";
import * as keygen from "../src/commands/keygen";
import * as ledger from "../src/commands/ledger";
import * as log from "../src/commands/log";
import * as stream from "../src/commands/stream";
import { nodeCrypto } from "../src/crypto";
import { run, type VerbModule } from "../src/main";
import { memoryIo } from "./memory-io";

const anchors = suite("stream anchor");
const folder = mkdtempSync(join(tmpdir(), "vouch-anchor-"));
anchors.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const VERBS: Record<string, VerbModule> = { anchor: anchorVerb, keygen, ledger, log, stream };

async function vouch(...args: string[]) {
  const io = memoryIo();
  await run(args, io, { version: "0.0.0-test", verbs: Object.keys(VERBS), load: (verb) => VERBS[verb]! });
  return io;
}

async function ok(...args: string[]): Promise<string> {
  const io = await vouch(...args);
  assert.is(io.exitCode, 0, `${args}: ${io.err()}`);
  return io.out();
}

const recorder = formatVkey(makeVkey("gateway", 1, RECORDER.publicKey));
let world: RecordedWorld;

anchors.before(async () => {
  for (const name of ["log.example", "gateway.example"])
    await ok("keygen", name, "--plain", "-o", at(`${name}.key`));
  await ok("keygen", "ledger.example", "--plain", "--cosigner", "-o", at("ledger.example.key"));
  await ok("ledger", "init", at("ledger"), "--key", at("ledger.example.key"));
  await ok("log", "init", at("log"), "--key", at("log.example.key"));
  const vkey = (name: string) => readFileSync(at(`${name}.vkey`), "utf8").trimEnd();
  const lines = [`log ${vkey("log.example")}`, "quorum none", `ledger directory ${vkey("ledger.example")}`];
  writeFileSync(at("policy"), `${lines.join("\n")}\n`);
  world = recordedWorld();
  writeFileSync(at("pump.vstream"), world.file());
  await ok("stream", "anchor", at("pump.vstream"), "--key", at("gateway.example.key"), "-o", at("pump"));
});

/** Verifies a recording by the head that was anchored: status, and the codes that count. */
async function verify(file: string, head = at("pump.head")) {
  const args = ["--anchor", head, "--log", at("log"), "--policy", at("policy"), "--recorder-key", recorder];
  const io = await vouch("stream", "verify", file, ...args, "--json");
  const json = JSON.parse(io.out() || "{}");
  const codes = (json.reasons ?? []).map(({ code }: { code: string }) => code);
  // The policy names no enroller: whose key it is stays open.
  return { codes: codes.filter((code: string) => code !== "stream-enrolment"), json };
}

anchors("until it is in the log, and until that is anchored, it shows no time", async () => {
  const before = await verify(at("pump.vstream"));
  assert.equal(before.codes, ["stream-anchor"]);
  await ok("log", "add", at("log"), at("pump.dsse.json"), "--key", at("log.example.key"));
  const added = await verify(at("pump.vstream"));
  assert.match(
    added.json.reasons.map(({ message }: { message: string }) => message).join(),
    /\[not-anchored\]/,
  );
  const where = `directory:${at("ledger")}`;
  await ok("anchor", at("log"), "--ledger", where, "--ledger-key", at("ledger.example.key"));
});

anchors("what the log holds says nothing of the stream", () => {
  const envelope = JSON.parse(readFileSync(at("pump.dsse.json"), "utf8"));
  const payload = Buffer.from(envelope.payload, "base64").toString("utf8");
  const head = parseHead(readFileSync(at("pump.head")));
  for (const secret of [head.id, head.link, head.salt]) assert.not.match(payload, toHex(secret));
  assert.match(payload, toHex(headCommitment(head, nodeCrypto)));
  assert.not.equal(
    toHex(headCommitment({ ...head, salt: new Uint8Array(16) }, nodeCrypto)),
    toHex(headCommitment(head, nodeCrypto)),
  );
});

anchors("anchored, the head was there by a time that the ledger tells", async () => {
  const { codes, json } = await verify(at("pump.vstream"));
  assert.equal(codes, []);
  assert.match(json.anchors[0].time, /^20[0-9-]{8}T/);
  assert.is(json.anchors[0].frame, world.maker.signed.seq);
  // … and an export says so of each run of frames that the head covers
  const given = ["--anchor", at("pump.head"), "--log", at("log"), "--policy", at("policy")];
  const lines = await vouch(
    ...["stream", "export", at("pump.vstream"), "--fhir", "--ndjson", "--patient", "Patient/1"],
    ...[...given, "--recorder-key", recorder, "--max-uncertainty", "1h"],
  );
  const sources = lines
    .out()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ resourceType }) => resourceType === "Provenance")
    .map(({ entity }) => entity.at(-1).what);
  assert.ok(sources.length > 0, lines.err());
  for (const { identifier, display } of sources) {
    assert.is(
      identifier.value,
      `${toHex(parseHead(readFileSync(at("pump.head"))).id)}/${world.maker.signed.seq}`,
    );
    assert.is(display, `Signed head, committed to on a ledger by ${json.anchors[0].time}`);
  }
});

anchors("a recording that ends before it, or has another frame there, is refuted", async () => {
  const cut = recordedWorld();
  cut.file();
  writeFileSync(at("cut.vstream"), Buffer.concat(cut.items.slice(0, -9)));
  assert.ok((await verify(at("cut.vstream"))).codes.includes("stream-truncated"));
  const head = parseHead(readFileSync(at("pump.head")));
  const other: StreamHead = { ...head, link: new Uint8Array(32) };
  writeFileSync(at("other.head"), formatHead(other));
  const { codes } = await verify(at("pump.vstream"), at("other.head"));
  assert.equal([...codes].sort(), ["stream-anchor", "stream-fork"]);
});

anchors("the anchor of another stream proves nothing of this one", async () => {
  writeFileSync(at("another.vstream"), recordedWorld({}, { everyFrames: 32 }).file());
  const { codes, json } = await verify(at("another.vstream"));
  assert.equal(codes, ["stream-anchor"]);
  assert.match(json.reasons[0].message, /^the anchor is of frame [0-9]+ of stream [0-9a-f]{32}, of which/);
  assert.equal(json.anchors, []);
});

anchors("nothing is committed to that is refuted, and nothing is written over", async () => {
  const bent = readFileSync(at("pump.vstream"));
  bent[bent.length - 400]! ^= 1;
  writeFileSync(at("bent.vstream"), bent);
  const args = ["--key", at("gateway.example.key"), "-o"];
  assert.is((await vouch("stream", "anchor", at("bent.vstream"), ...args, at("bent"))).exitCode, 20);
  assert.match(
    (await vouch("stream", "anchor", at("pump.vstream"), ...args, at("pump"))).err(),
    /\[exists\]/,
  );
});

anchors("a head file is read back, and in no other form", () => {
  const head = parseHead(readFileSync(at("pump.head")));
  assert.equal(formatHead(head), new Uint8Array(readFileSync(at("pump.head"))));
  const text = readFileSync(at("pump.head"), "utf8");
  for (const [from, to, code] of [
    ["stream-head/v1", "stream-head/v2", "unsupported-version"],
    [`"seq":${head.seq}`, `"seq":-1`, "malformed-head"],
    [`"epoch":${head.epoch}`, `"epoch":4294967296`, "malformed-head"],
    [toHex(head.link), toHex(head.link).slice(2), "malformed-head"],
    [`"seq"`, `"sequence"`, "malformed-head"],
  ] as const) {
    assert.ok(text.includes(from));
    assert.throws(() => parseHead(utf8Encode(text.replace(from, to))), refusal(code), to);
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(), (salt, seq) => {
      const one = { ...head, salt, seq };
      assert.equal(parseHead(formatHead(one)), one);
    }),
  );
});

anchors.run();
