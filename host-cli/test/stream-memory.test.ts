// A recording with one signature for all of it: verified and exported by a process that has less memory than its readings
// take. 50,000 frames of 951 samples are 190 MB as numbers, and node with its heap takes up to 190 MB without them.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { GROUP_SAMPLED, READINGS_HEAD } from "@vouch/shared/readings";
import { FRAME_DATA, linkOf, streamHeader } from "@vouch/shared/stream";
import {
  coincidenceMessage,
  encodeCoincidence,
  encodeFrameItem,
  encodeVstreamHead,
  recorderKid,
} from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { StreamMaker } from "../../shared/test/stream-kit";
import { nodeCrypto } from "../src/crypto";
import { temporaryFolder } from "./sim-kit";
import { DEVICE, DEVICE_VKEY, RECORDER, RECORDER_VKEY } from "./stream-sample";

const tests = suite("stream memory");
const folder = temporaryFolder();
const VOUCH = join(process.cwd(), "host-cli/bin/vouch.mjs");

const FRAMES = 50_000;
const SAMPLES = 951;
const PERIOD = 10;
/** KiB of data that the process may have. */
const LIMIT = 260_000;
const STARTED = Date.parse("2026-11-22T15:00:00Z") * 1000;

/** One channel at 100 Hz, each value the number of its frame; signed at the end alone. */
function writeLong(path: string): void {
  const maker = new StreamMaker({ device: DEVICE, everyFrames: 65535, everyMillis: 86_400_000 });
  maker.announce({
    groups: [
      {
        kind: GROUP_SAMPLED,
        code: 0,
        period: PERIOD,
        channels: [{ code: 131329, unit: 266418, exponent: -3 }],
      },
    ],
  });
  const fd = openSync(path, "w");
  writeSync(fd, concatBytes([encodeVstreamHead(), encodeFrameItem(maker.frames[0]!)]));
  const content = Buffer.alloc(READINGS_HEAD + SAMPLES + 1);
  const tag = Buffer.from("vouch/stream/link\n");
  for (let n = 1; n <= FRAMES; n++) {
    const { id, epoch, seq, prev } = maker;
    const ticks = maker.ticks;
    content.writeUIntBE(ticks, 1, 6);
    const value = n % 60;
    content[READINGS_HEAD] = 2 * value; // the rows after it differ by nothing
    const body = content.subarray(0, READINGS_HEAD + SAMPLES);
    const frame = concatBytes([streamHeader(FRAME_DATA, 0, { id, epoch, seq, prev }, body.length), body]);
    writeSync(fd, encodeFrameItem(frame));
    maker.prev = new Uint8Array(createHash("sha256").update(tag).update(frame).digest());
    maker.seq++;
    maker.ticks += SAMPLES * PERIOD;
  }
  const last = maker.close();
  const { id, epoch, ticks, seq } = maker;
  const claim = {
    id,
    epoch,
    ticks,
    micros: STARTED + ticks * 1000,
    uncertainty: 20_000,
    seq: seq - 1,
    link: linkOf(last),
  };
  const kid = recorderKid(RECORDER.publicKey, nodeCrypto);
  const coincidence = encodeCoincidence(claim, kid, RECORDER.sign(coincidenceMessage(claim, kid)));
  writeSync(fd, concatBytes([encodeFrameItem(last), coincidence]));
  closeSync(fd);
}

const limited = (script: string, args: readonly string[]) =>
  spawnSync(
    "sh",
    [
      "-c",
      `ulimit -d ${LIMIT} && exec "$@"`,
      "-",
      process.execPath,
      ...(script === "" ? [] : ["-e", script]),
      ...args,
    ],
    {
      cwd: folder,
      encoding: "utf8",
      timeout: 60_000,
    },
  );

// Where a process may take more than its limit, the limit says nothing.
const greedy = limited(`console.log(Buffer.alloc(${LIMIT * 1024}, 1).length)`, []);
const isLimited = greedy.status !== 0;

if (!isLimited)
  skip(tests, "a long wait for a signature in little memory", "processes can't be limited here");
else {
  writeLong(join(folder, "long.vstream"));
  const vouch = (...args: string[]) => limited("", [VOUCH, "stream", ...args]);
  const trust = ["--device-key", DEVICE_VKEY, "--recorder-key", RECORDER_VKEY];

  tests("verifies a recording of which all waits for the last frame", () => {
    const { status, stdout, stderr } = vouch("verify", "long.vstream", "--json", ...trust);
    assert.is(status, 0, stderr);
    const { verdict, proved, boots } = JSON.parse(stdout);
    assert.is(verdict, "verified");
    assert.is(proved, FRAMES + 2);
    assert.equal(boots[0].readings, { from: 0, to: FRAMES * SAMPLES - 1 });
  });

  tests("exports from it what was asked for, whether early or late in the wait", () => {
    const at = (frame: number) => STARTED / 1000 + 5000 + (frame - 1) * SAMPLES * PERIOD;
    const second = (frame: number) => Math.ceil(at(frame) / 1000) * 1000;
    for (const frame of [3, FRAMES - 1]) {
      const from = new Date(second(frame)).toISOString().replace(".000", "");
      const to = new Date(second(frame) + 1000).toISOString().replace(".000", "");
      const file = `from-${frame}.csv`;
      const args = ["export", "long.vstream", "--csv", "-o", file, "--from", from, "--to", to, ...trust];
      const { status, stderr } = vouch(...args);
      assert.is(status, 0, stderr);
      const [, ...lines] = readFileSync(join(folder, file), "utf8").trimEnd().split("\n");
      assert.is(lines.length, 1000 / PERIOD);
      assert.ok(
        lines.every((line) => line.includes((frame % 60) / 1000 === 0 ? "0" : `${(frame % 60) / 1000}`)),
        lines[0],
      );
    }
  });
}

tests.run();
