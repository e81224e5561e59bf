// `vouch stream verify --state` over recordings of several streams: what was seen of one doesn't become less untold. And one
// stream a file, in any order, is no less than it was.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { formatJson } from "@vouch/shared/json";
import { encodeFrameItem, encodeVstreamHead } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StreamMaker } from "../../shared/test/stream-kit";
import { tellHeads } from "../src/commands/inspect-stream";
import * as stream from "../src/commands/stream";
import { run } from "../src/main";
import { parseHeads } from "../src/streamheads";
import { memoryIo } from "./memory-io";
import { DEVICE } from "./stream-sample";

const tests = suite("stream verify, its state");
const folder = mkdtempSync(join(tmpdir(), "vouch-state-"));
tests.after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (name: string) => join(folder, `${count++}-${name}`);

/** A closed stream of the device, all of one boot: announce, four frames of readings, a checkpoint, a close. */
function streamOf(epoch: number): StreamMaker {
  const maker = new StreamMaker({ device: DEVICE, epoch });
  maker.announce();
  for (let i = 0; i < 4; i++) maker.data();
  maker.checkpoint();
  maker.close();
  return maker;
}

const [A, B, C] = [streamOf(1), streamOf(2), streamOf(3)] as const;

/** Where the streams end isn't told by the file: it is a sequence of items. */
function recording(...streams: { frames: Uint8Array[] }[]): string {
  const path = fresh("pump.vstream");
  const items = streams.flatMap(({ frames }) => frames.map(encodeFrameItem));
  writeFileSync(path, Buffer.concat([encodeVstreamHead(), ...items]));
  return path;
}

async function verify(file: string, state: string): Promise<string> {
  const io = memoryIo();
  await run(["stream", "verify", file, "--state", state, "--json"], io, {
    version: "0.0.0-test",
    verbs: ["stream"],
    load: () => stream,
  });
  const { verdict, exit, reasons } = JSON.parse(io.out());
  assert.is(io.exitCode, exit);
  return [verdict, ...reasons.map(({ code }: { code: string }) => code)].join(" ");
}

const GOOD = "verified";
const CUT = "unproven stream-cut";
const ROLLBACK = "refuted stream-rollback";
const without = ({ frames }: StreamMaker, last: number) => ({ frames: frames.slice(0, -last) });

const ROWS: [name: string, seen: string[], then: string, verdict: string][] = [
  ["a recording of two streams, again", [recording(A, B)], recording(A, B), GOOD],
  ["cut where the second one begins", [recording(A, B)], recording(A), CUT],
  ["cut where the third one begins", [recording(A, B, C)], recording(A, B), CUT],
  ["its first stream cut off", [recording(A, B)], recording(B), CUT],
  ["all but the one in the middle cut off", [recording(A, B, C)], recording(B), `${CUT} stream-cut`],
  ["the one in the middle cut out", [recording(A, B, C)], recording(A, C), `${CUT} stream-cut`],
  ["cut inside the second one", [recording(A, B)], recording(A, without(B, 2)), `${ROLLBACK} stream-open`],
  [
    "cut inside the first one",
    [recording(A, B)],
    recording(without(A, 2)),
    `${ROLLBACK} stream-cut stream-open`,
  ],
  ["one that grew", [recording(A), recording(A, B)], recording(A, B, C), GOOD],
  ["one that grew, and is as it was", [recording(A), recording(A, B)], recording(A), CUT],
  ["seen as two that share a stream", [recording(A, B), recording(B, C)], recording(B, C), CUT],
  ["a file a stream", [recording(A), recording(B)], recording(C), GOOD],
  ["a file a stream, the last first", [recording(C), recording(B)], recording(A), GOOD],
  ["a file a stream, each again", [recording(B), recording(A), recording(C)], recording(B), GOOD],
  ["another recording", [recording(A, B)], recording(C), GOOD],
];

for (const [name, seen, then, verdict] of ROWS)
  tests(`${name}: ${verdict}`, async () => {
    const state = fresh("heads.json");
    for (const file of seen) await verify(file, state);
    assert.is(await verify(then, state), verdict);
    assert.is(await verify(then, state), verdict, "and each time it is asked");
  });

tests("what was seen stays, whatever is shown after it", async () => {
  const state = fresh("heads.json");
  const whole = recording(A, B, C);
  assert.is(await verify(whole, state), GOOD);
  const kept = readFileSync(state);
  for (const less of [recording(A), recording(B), recording(C), recording(A, without(B, 2))]) {
    assert.is.not(await verify(less, state), GOOD);
    assert.ok(readFileSync(state).equals(kept));
  }
  assert.is(await verify(whole, state), GOOD);
});

tests("a state from before streams of one recording were kept together is read, and added to", async () => {
  const state = fresh("heads.json");
  const old = ({ id, signed }: StreamMaker) => ({
    stream: toHex(id),
    seq: signed.seq,
    link: toHex(signed.link),
  });
  writeFileSync(state, formatJson({ version: "vouch-stream-heads/v1", heads: [old(B)] }));
  assert.is(await verify(recording(A, without(B, 2)), state), `${ROLLBACK} stream-open`);
  assert.is(await verify(recording(A), state), GOOD, "it doesn't say that B was in this recording");
  assert.is(
    JSON.parse(readFileSync(state, "utf8")).version,
    "vouch-stream-heads/v1",
    "as older ones read it",
  );
  assert.is(await verify(recording(A, B), state), GOOD);
  // An older vouch would leave out who followed whom when it adds a head: it must not read this one.
  assert.is(JSON.parse(readFileSync(state, "utf8")).version, "vouch-stream-heads/v2");
  const heads = parseHeads(readFileSync(state));
  assert.equal(
    heads.map(({ id, after }) => [toHex(id), after.map(toHex)]),
    [[toHex(A.id), []] as const, [toHex(B.id), [toHex(A.id)]] as const].sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const told = tellHeads(readFileSync(state)).fields.heads.find((head) => head.stream === toHex(B.id));
  assert.equal(told, { ...old(B), after: [toHex(A.id)] });
  assert.is(await verify(recording(A), state), CUT);
});

const HEAD = { stream: toHex(A.id), seq: 1, link: toHex(A.signed.link) };
for (const [name, version, head] of [
  ["a later version", "vouch-stream-heads/v3", HEAD],
  ["after what is no list", "vouch-stream-heads/v2", { ...HEAD, after: toHex(B.id) }],
  ["after what is no stream", "vouch-stream-heads/v2", { ...HEAD, after: [toHex(B.id), "00"] }],
  ["after a number", "vouch-stream-heads/v2", { ...HEAD, after: [7] }],
  ["a number below 0", "vouch-stream-heads/v2", { ...HEAD, seq: -1 }],
] as const)
  tests(`a state with ${name} is refused, and stays`, async () => {
    const state = fresh("heads.json");
    const bytes = formatJson({ version, heads: [head] });
    writeFileSync(state, bytes);
    const io = memoryIo();
    await run(["stream", "verify", recording(A), "--state", state], io, {
      version: "0.0.0-test",
      verbs: ["stream"],
      load: () => stream,
    });
    assert.is(io.exitCode, 1);
    assert.match(io.err(), /\[malformed-heads\]/);
    assert.ok(readFileSync(state).equals(Buffer.from(bytes)));
  });

tests("a recording that is refuted is none to keep", async () => {
  const state = fresh("heads.json");
  assert.is(
    await verify(recording(A, { frames: [...B.frames, B.frames[1]!] }), state),
    "refuted stream-after-close",
  );
  assert.not.ok(existsSync(state));
});

tests.run();
