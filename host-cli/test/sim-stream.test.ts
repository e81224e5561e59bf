// The simulated device streams, as the program runs it: the built agent in QuickJS under its memory limits.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { verifyEd25519 } from "@vouch/shared/sign";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDevice } from "../src/device/transport";
import { attestDevice, enrolDevice } from "../src/device/vouch";
import { createFlashFile } from "../src/sim/flash";
import { openSim } from "../src/sim/transport";
import { engineImage, hash, withSession } from "./sim-kit";
import { forMillis, framesOf, type Reading, readStream, startStream, stopStream } from "./stream-kit";

const sim = suite("sim stream");
const folder = mkdtempSync(join(tmpdir(), "vouch-sim-stream-"));
sim.after(() => rmSync(folder, { recursive: true, force: true }));

const fields = {
  mode: stream.MODE_PRIVATE,
  readers: [x25519Public(hash("a reader"))],
  frames: 8,
  millis: 1000,
};

/** So many frames of readings and signed ones have come, however slow the machine is. */
const holds =
  (data: number, signed: number) =>
  ({ bytes }: Reading): boolean => {
    const types = framesOf(bytes).map(({ type }) => type);
    const count = (wanted: number) => types.filter((type) => type === wanted).length;
    return count(stream.FRAME_DATA) >= data && count(stream.FRAME_CHECKPOINT) >= signed;
  };

sim("a private stream of all its sensors, in 64 KiB; power goes, and it goes on", async () => {
  const file = join(folder, "device");
  createFlashFile(file, engineImage(), { random: true });
  const first = await withSession(openSim(`sim:${file}`), async (session) => {
    await enrolDevice(session, hash("enrol"), null);
    await startStream(session, { ...fields, resume: false });
    return framesOf((await readStream(session, holds(4, 1))).bytes);
  });
  const announce = reading.decodeAnnounce(first[0]!.body);
  assert.is(announce.mode, stream.MODE_PRIVATE);
  assert.ok(first.filter(({ type }) => type === stream.FRAME_DATA).length >= 4);
  // Its power went with the session.
  const second = await withSession(openSim(`sim:${file}`), async (session) => {
    await attestDevice(session, hash("again"));
    await startStream(session, { ...fields, resume: true });
    const { bytes } = await readStream(session, holds(1, 1));
    await stopStream(session);
    return framesOf((await readStream(session, forMillis(300_000), bytes)).bytes); // to its end
  });
  const resume = reading.decodeResume(second[0]!.body, announce.mode);
  const linked = first.find(({ seq }) => seq === resume.checkpointSeq)!;
  assert.is(toHex(second[0]!.prev), toHex(stream.linkOf(linked.bytes)));
  assert.is(toHex(second[0]!.id), toHex(first[0]!.id));
  assert.ok(second[0]!.epoch > first.at(-1)!.epoch && second[0]!.seq > first.at(-1)!.seq);
  assert.is(resume.bootcount, announce.bootcount + 1);
  assert.is(second.at(-1)!.type, stream.FRAME_CLOSE);
  for (const { signature, unsigned } of [...first, ...second])
    if (signature !== null)
      assert.ok(verifyEd25519(announce.publicKey, stream.streamMessage(unsigned), signature));
});

interface Running {
  child: ChildProcess;
  port: string;
}

/** `vouch sim` in a process of its own. */
function spawnSim(file: string): Promise<Running> {
  const args = ["host-cli/bin/vouch.mjs", "sim", "--json", "--state", file];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("exit", (status) => reject(new Error(`vouch sim ended with ${status}`)));
    child.stdout.once("data", (line: Buffer) => resolve({ child, port: JSON.parse(String(line)).port }));
  });
}

sim(
  "a device that is killed while it streams goes on behind all that it sent, linked to what was kept",
  async () => {
    const file = join(folder, "killed");
    createFlashFile(file, engineImage(), { random: true });
    const kept: reading.Frame[] = [];
    for (let life = 0; life < 3; life++) {
      const { child, port } = await spawnSim(file);
      const gone = new Promise((done) => child.once("exit", done));
      await withSession(openDevice(port, { baud: 115200 }), async (session) => {
        if (life === 0) await enrolDevice(session, hash("enrol"), null);
        else await attestDevice(session, hash(`life ${life}`));
        await startStream(session, { ...fields, resume: life > 0 });
        const isOver = forMillis(1700 + 300 * life);
        const { bytes } = await readStream(session, (reading) => isOver() && holds(1, 0)(reading));
        child.kill("SIGKILL");
        await gone;
        const frames = framesOf(bytes);
        if (life > 0) {
          const resume = reading.decodeResume(frames[0]!.body, fields.mode);
          const linked = kept.find(({ seq }) => seq === resume.checkpointSeq)!;
          assert.is(toHex(frames[0]!.prev), toHex(stream.linkOf(linked.bytes)));
          assert.ok(frames[0]!.seq > kept.at(-1)!.seq && frames[0]!.epoch > kept.at(-1)!.epoch);
        }
        kept.push(...frames);
      });
    }
    assert.is(new Set(kept.map(({ epoch, seq }) => `${epoch} ${seq}`)).size, kept.length);
  },
);

sim.run();
