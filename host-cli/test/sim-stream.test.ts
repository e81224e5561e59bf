// The simulated device streams, as the program runs it: the built agent in QuickJS under its memory limits.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
import { verifyEd25519 } from "@vouch/shared/sign";
import { GROUP_VOUCH, VOUCH_STREAM_READ, VOUCH_STREAM_START, VOUCH_STREAM_STOP } from "@vouch/shared/smp";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Session } from "../src/device/session";
import { attestDevice, enrolDevice } from "../src/device/vouch";
import { createFlashFile } from "../src/sim/flash";
import { openSim } from "../src/sim/transport";
import { engineImage, hash, withSession } from "./sim-kit";

const sim = suite("sim stream");
const folder = mkdtempSync(join(tmpdir(), "vouch-sim-stream-"));
sim.after(() => rmSync(folder, { recursive: true, force: true }));

const secret = hash("a reader");
const reader = x25519Public(secret);

/** One request of group 64; the reply's field by name. */
async function order(session: Session, command: number, pairs: [string, CborValue][]) {
  const reply = await session.exchange({
    what: "stream",
    write: true,
    group: GROUP_VOUCH,
    command,
    body: cborMap(pairs),
  });
  if (reply.kind === "error") throw new Error(`refused with ${reply.rc}`);
  return (name: string) => mapGet(reply.body, name);
}

async function startPrivate(session: Session, resume: boolean): Promise<void> {
  const request: [string, CborValue][] = [
    ["mode", stream.MODE_PRIVATE],
    ["readers", [reader]],
    ["frames", 8],
    ["millis", 1000],
    ["resume", resume],
  ];
  while ((await order(session, VOUCH_STREAM_START, request))("state") === 1) await sleep(20);
}

/** Reads on for so long, or to the end; returns all bytes. */
async function readFor(session: Session, ms: number, before: Buffer = Buffer.alloc(0)): Promise<Buffer> {
  let kept = before;
  for (const end = performance.now() + ms; performance.now() < end; ) {
    const reply = await order(session, VOUCH_STREAM_READ, [
      ["ack", kept.length],
      ["at", kept.length],
    ]);
    if (reply("state") === 0) break;
    kept = Buffer.concat([kept, reply("data") as Uint8Array]);
    if (reply("left") === 0) await sleep(20);
  }
  return kept;
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

function framesOf(bytes: Buffer): reading.Frame[] {
  const frames: reading.Frame[] = [];
  for (let at = 0; ; ) {
    const length = reading.frameLength(bytes, at);
    if (length === 0 || at + length > bytes.length) return frames;
    frames.push(reading.parseFrame(new Uint8Array(bytes.subarray(at, at + length))));
    at += length;
  }
}

sim("a private stream of all its sensors, in 64 KiB; power goes, and it goes on", async () => {
  const file = join(folder, "device");
  createFlashFile(file, engineImage(), { random: true });
  const first = await withSession(openSim(`sim:${file}`), async (session) => {
    await enrolDevice(session, hash("enrol"), null);
    await startPrivate(session, false);
    return framesOf(await readFor(session, 2500));
  });
  const announce = reading.decodeAnnounce(first[0]!.body);
  assert.is(announce.mode, stream.MODE_PRIVATE);
  assert.ok(first.filter(({ type }) => type === stream.FRAME_DATA).length >= 4);
  // Its power went with the session.
  const second = await withSession(openSim(`sim:${file}`), async (session) => {
    await attestDevice(session, hash("again"));
    await startPrivate(session, true);
    const bytes = await readFor(session, 1200);
    await order(session, VOUCH_STREAM_STOP, []);
    return framesOf(await readFor(session, 5000, bytes));
  });
  const resume = reading.decodeResume(second[0]!.body, announce.mode);
  const linked = first.find(({ seq }) => seq === resume.checkpointSeq)!;
  assert.is(toHex(second[0]!.prev), toHex(stream.linkOf(linked.bytes)));
  assert.is(toHex(second[0]!.id), toHex(first[0]!.id));
  assert.ok(second[0]!.epoch > first.at(-1)!.epoch && second[0]!.seq > first.at(-1)!.seq);
  assert.is(resume.bootcount, announce.bootcount + 1);
  for (const { signature, unsigned } of [...first, ...second])
    if (signature !== null)
      assert.ok(verifyEd25519(announce.publicKey, stream.streamMessage(unsigned), signature));
});

sim.run();
