// An old recording is run again while the device streams another stream of the same start. Both count their bytes from 0:
// what the old recording has would acknowledge, and so let go, as many bytes of the other stream, which nobody has read.
//
//   stream 1   ▓▓▓▓▓▓ old.vstream ┆ done.vstream: to its close ┃
//   stream 2                                                     ░░░░░░░░░░░░ on the device, unread: must all stay

import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { type CborValue, cborMap } from "@vouch/shared/cbor";
import { isRefusal } from "@vouch/shared/refusal";
import { GROUP_OS, OS_RESET } from "@vouch/shared/smp";
import { STREAM_CLOSING } from "@vouch/shared/stream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import type { Session } from "../src/device/session";
import { findStream, readStream, startStream, stopStream } from "../src/device/stream";
import { openDevice } from "../src/device/transport";
import { openPty } from "../src/sim/pty";
import { stampNow } from "../src/stream/ticks";
import { hash, temporaryFolder, withSession } from "./sim-kit";
import {
  type Bench,
  isWhole,
  type Once,
  PUBLIC,
  readRecording,
  recordOnce,
  startBench,
} from "./stream-device-kit";

const tests = suite("stream record, another stream");
const folder = temporaryFolder();
const [OLD, DONE, NEXT] = ["old", "done", "next"].map((name) => join(folder, `${name}.vstream`)) as [
  string,
  string,
  string,
];

/** An agent of before streams were named: it passes the name over. */
const older = (session: Session): Session => ({
  ...session,
  exchange(request) {
    const { keys, values } = request.body;
    const pairs = keys.map((key, i): [CborValue, CborValue] => [key, values[i]!]);
    return session.exchange({ ...request, body: cborMap(pairs.filter(([key]) => key !== "stream")) });
  },
});

/** All that the device has from a place on, which is refused when more was acknowledged. */
async function bytesFrom(line: Session, stream: Uint8Array | null, ack: number): Promise<Buffer> {
  const { data } = await readStream(line, { stream, ack, at: ack, window: 1, stamp: stampNow });
  return Buffer.concat(data);
}

const unread = (line: Session) => bytesFrom(line, null, 0);

/** A recorder on the file is refused with the code, and has written nothing. */
async function refused(bench: Bench, path: string, code: string, more: Partial<Once> = {}): Promise<void> {
  const before = readFileSync(path);
  try {
    await recordOnce(bench, path, { until: () => "leave", ...more });
    assert.unreachable(`${path} was recorded`);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    assert.is(error.code, code, error.message);
  }
  assert.ok(readFileSync(path).equals(before), `${path} is as it was`);
}

const noPty = await openPty().then(
  (pty) => pty.close(),
  (error: Error) => error.message,
);

if (noPty !== undefined) {
  for (const name of ["another stream", "an older agent", "another one's end"]) skip(tests, name, noPty);
} else {
  const bench = await startBench(folder);
  tests.after(() => bench.stop());
  const session = <T>(work: (session: Session) => Promise<T>) =>
    withSession(openDevice(bench.sim.port), work);
  let place = 0;
  let old: Uint8Array = new Uint8Array(0);

  tests.before(async () => {
    assert.is(await recordOnce(bench, OLD, { until: (items) => (items > 3 ? "leave" : null) }), "left");
    copyFileSync(OLD, DONE);
    assert.is(await recordOnce(bench, DONE, { until: () => "stop" }), "closed");
    const { chain } = readRecording(OLD);
    place = chain!.place;
    old = chain!.id;
    assert.is(readRecording(DONE).chain!.bootcount, chain!.bootcount);
    await session(async (line) => {
      await startStream(line, { ...PUBLIC, resume: false, seed: hash("a seed") }, 20_000);
      // As much as the old recording has of its own stream, so that its place is one of this stream's, too.
      while ((await unread(line)).length <= place) await new Promise((done) => setTimeout(done, 50));
    });
  });

  /** Whatever `work` does, the device still has what nobody has read. */
  async function staying(
    waits: (line: Session) => Promise<Buffer>,
    work: () => Promise<void>,
  ): Promise<void> {
    const before = await session(waits);
    assert.ok(before.length > 0);
    await work();
    assert.ok((await session(waits)).subarray(0, before.length).equals(before), "not a byte is gone");
  }

  for (const [agent, through] of Object.entries({
    "the agent": (line: Session) => line,
    "an older agent": older,
  }))
    tests(`${agent} has another one, of which nothing was acknowledged: it stays whole`, () =>
      staying(unread, async () => {
        await refused(bench, OLD, "stream-elsewhere", { through });
        await refused(bench, DONE, "stream-closed", { through });
        assert.equal(await session((line) => findStream(through(line), old)), { kind: "other" });
      }),
    );

  tests("the other one's own recording has it from its first byte, and goes on", async () => {
    assert.is(await recordOnce(bench, NEXT, { until: () => "leave" }), "left");
    const first = readRecording(NEXT);
    assert.is(first.seqs[0], 0);
    assert.not.ok(equalBytes(first.chain!.id, old));
    assert.is(await recordOnce(bench, NEXT, { until: () => "leave" }), "left");
    assert.ok(readRecording(NEXT).seqs.length >= first.seqs.length);
  });

  tests("an older agent that doesn't say which stream it has isn't asked to let anything go", async () => {
    const { id, place: ack } = readRecording(NEXT).chain!;
    const waits = (line: Session) => bytesFrom(line, id, ack);
    while ((await session(waits)).length === 0) await new Promise((done) => setTimeout(done, 50));
    await staying(waits, async () => {
      await refused(bench, OLD, "stream-unsaid", { through: older });
      await refused(bench, DONE, "stream-closed", { through: older });
      await refused(bench, NEXT, "stream-unsaid", { through: older });
    });
    assert.equal(await session((line) => findStream(older(line), id)), { kind: "unsaid" });
  });

  tests("the other one is closed, and its end is still to be read", async () => {
    const { id } = readRecording(NEXT).chain!;
    await session(stopStream);
    assert.equal(await session((line) => findStream(line, id)), { kind: "own", state: STREAM_CLOSING });
    await refused(bench, OLD, "stream-elsewhere");
    await refused(bench, DONE, "stream-closed");
    assert.is(await recordOnce(bench, NEXT, { until: () => null }), "closed");
    const { seqs } = readRecording(NEXT);
    assert.ok(isWhole(seqs), seqs.join());
    assert.equal(await session((line) => findStream(line, id)), { kind: "none" });
  });

  tests(
    "an older agent that was restarted has nothing acknowledged: the recording goes on, attested again",
    async () => {
      const path = join(folder, "restarted.vstream");
      const until = (items: number) => (items > 3 ? "leave" : null);
      assert.is(await recordOnce(bench, path, { until, through: older }), "left");
      await refused(bench, path, "stream-unsaid", { through: older });
      const body = cborMap([["force", 1]]);
      const reset = { what: "reset", write: true, group: GROUP_OS, command: OS_RESET, body };
      const { id } = readRecording(path).chain!;
      await session(async (line) => {
        await line.exchange(reset);
        while ((await findStream(line, id)).kind !== "none")
          await new Promise((done) => setTimeout(done, 50));
      });
      assert.is(await recordOnce(bench, path, { until: () => "stop", through: older }), "closed");
      assert.is(readRecording(path).evidence, 2);
    },
  );
}

tests.run();
