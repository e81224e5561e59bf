// Recorders that die: at each write and each flush in turn, and by SIGKILL whenever it pleases. The device is one and
// goes on; afterwards the file has each of its frames once. What a recorder acknowledged the device no longer has,
// so a frame that was acknowledged and not kept would be missing for ever.

import { type ChildProcess, spawn } from "node:child_process";
import { fsyncSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { FRAME_ANNOUNCE, FRAME_CLOSE, FRAME_KEYLOAD, MODE_RESTRICTED, readerKid } from "@vouch/shared/stream";
import type { Keyload } from "@vouch/shared/streambody";
import { decodeAnnounce, decodeKeyload, parseFrame } from "@vouch/shared/streamread";
import { VstreamReader } from "@vouch/shared/vstream";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import type { Sampling } from "../src/commands/stream-device";
import { startStream } from "../src/device/stream";
import { openDevice } from "../src/device/transport";
import { attestDevice } from "../src/device/vouch";
import { openPty } from "../src/sim/pty";
import type { Disk } from "../src/stream/recording";
import { hash, temporaryFolder, withSession } from "./sim-kit";
import { type Bench, isWhole, PUBLIC, readRecording, recordOnce, startBench } from "./stream-device-kit";

const KILLS = Number(process.env["VOUCH_KILLS"] ?? 4);
const VOUCH = join(process.cwd(), "host-cli/bin/vouch.mjs");
const tests = suite("stream record, killed");
const folder = temporaryFolder();

class Cut extends Error {}

/** Dies at operation `left`: half of what was to be written is in the file, or all and the flush never comes. */
function dyingDisk(left: number): Disk & { done: number } {
  const disk = {
    done: 0,
    write(fd: number, bytes: Uint8Array, at: number) {
      if (disk.done++ < left) return writeSync(fd, bytes, 0, bytes.length, at);
      writeSync(fd, bytes, 0, Math.floor(bytes.length / 2), at);
      throw new Cut();
    },
    sync(fd: number) {
      if (disk.done++ >= left) throw new Cut();
      fsyncSync(fd);
    },
  };
  return disk;
}

/** Records until so many items are written, and stops the stream; or until the disk dies. */
const record = (bench: Bench, path: string, disk: Disk, stopAfter: number, sampling = PUBLIC) =>
  recordOnce(bench, path, { disk, sampling, until: (items) => (items > stopAfter ? "stop" : null) });

/** Those of all epochs of a restricted stream. */
function keyloadsOf(path: string): Keyload[] {
  const keyloads: (Keyload | null)[] = [];
  new VstreamReader().push(readFileSync(path), (item) => {
    if (item.kind !== "frame") return;
    const { type, body } = parseFrame(item.bytes.slice());
    if (type === FRAME_ANNOUNCE) keyloads.push(decodeAnnounce(body).keyload);
    if (type === FRAME_KEYLOAD) keyloads.push(decodeKeyload(body, MODE_RESTRICTED).keyload);
  });
  return keyloads.flatMap((keyload) => keyload ?? []);
}

const noPty = await openPty().then(
  (pty) => pty.close(),
  (error: Error) => error.message,
);

if (noPty !== undefined) {
  for (const name of ["cut at each operation", "killed"]) skip(tests, name, noPty);
} else {
  const device = await startBench(folder); // what goes wrong from here on is no missing terminal
  tests.after(() => device.stop());

  tests("cut at each write and each flush in turn, every frame is there once", async () => {
    const path = join(folder, "cut.vstream");
    let cuts = 0;
    // A run that gets further each time; the device's frames are those of one stream throughout.
    for (let left = 0; left < 9; left++) {
      const disk = dyingDisk(left);
      try {
        await record(device, path, disk, Number.POSITIVE_INFINITY);
        throw new Error("it ended by itself");
      } catch (error) {
        if (!(error instanceof Cut)) throw error;
        cuts++;
      }
    }
    assert.is(await record(device, path, dyingDisk(Number.POSITIVE_INFINITY), 3), "closed");
    const { seqs, types, chain, coincidences } = readRecording(path);
    assert.is(cuts, 9);
    assert.ok(seqs.length > 4, `${seqs.length} frames`);
    assert.ok(isWhole(seqs), seqs.join());
    assert.is(types.at(-1), FRAME_CLOSE);
    assert.is(chain?.isClosed, true);
    assert.ok(coincidences >= 1);
  });

  tests("a stream that another began for more readers has another epoch for those of now", async () => {
    const path = join(folder, "taken-over.vstream");
    const [kept, revoked] = [x25519Public(hash("kept")), x25519Public(hash("revoked"))];
    const sampling: Sampling = { ...PUBLIC, mode: MODE_RESTRICTED, readers: [kept] };
    await withSession(openDevice(device.sim.port), async (session) => {
      await attestDevice(session, hash("taken over"));
      const readers = [kept, revoked];
      await startStream(session, { ...sampling, readers, resume: false, seed: hash("a seed") }, 20_000);
    });
    const disk = dyingDisk(Number.POSITIVE_INFINITY);
    assert.is(await record(device, path, disk, 8, sampling), "closed");
    const named = keyloadsOf(path).map(({ readers }) => readers.length);
    assert.equal(named, [2, 1]);
    assert.is(toHex(keyloadsOf(path)[1]!.readers[0]!.kid), toHex(readerKid(kept)));
  });

  tests(`killed ${KILLS} times, every frame is there once`, async () => {
    const path = join(folder, "killed.vstream");
    const args = ["stream", "record", device.sim.port, "-o", path, "--challenge", device.challenge];
    const options = ["--checkpoint", "3,1s", "--json", "--mode", "public"];
    const run = (more: string[], started: (child: ChildProcess) => void) =>
      new Promise<{ status: number | null; stderr: string }>((resolve) => {
        const child = spawn(process.execPath, [VOUCH, ...args, ...options, ...more], {
          stdio: ["ignore", "pipe", "pipe"],
        });
        let stderr = "";
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          stderr += text;
        });
        child.on("close", (status) => resolve({ status, stderr }));
        started(child);
      });
    for (let kill = 0; kill < KILLS; kill++) {
      const { status, stderr } = await run([], (child) => {
        // The first one is given time to begin; the others die anywhere, in their start too.
        if (kill === 0) child.stdout?.once("data", () => setTimeout(() => child.kill("SIGKILL"), 300));
        else setTimeout(() => child.kill("SIGKILL"), 150 + Math.random() * 700);
        child.stdout?.resume();
      });
      assert.is(status, null, stderr);
    }
    const last = await run(["--for", "1s"], (child) => child.stdout?.resume());
    assert.is(last.status, 0, last.stderr);
    const { seqs, chain, evidence } = readRecording(path);
    assert.ok(isWhole(seqs), seqs.join());
    assert.is(chain?.isClosed, true);
    assert.is(evidence, 1, "one start of the device attests once");
  });
}

tests.run();
