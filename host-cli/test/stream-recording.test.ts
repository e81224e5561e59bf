// A recording's file on its own: cut at every byte, overwritten at its end, on a disk that is full; and the live view.

import { fsyncSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { parseFrame } from "@vouch/shared/streamread";
import { encodeFrameItem, encodeVstreamHead } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StreamMaker } from "../../shared/test/stream-kit";
import { startStreamScreen, viewLines } from "../src/output/streamview";
import { LOOSE_MAX, Recording } from "../src/stream/recording";
import { refuses } from "./maker-kit";
import { memoryIo } from "./memory-io";
import { temporaryFolder } from "./sim-kit";
import { recordingOf } from "./stream-delivery-kit";

const tests = suite("recording");
const folder = temporaryFolder();
const maker = new StreamMaker();
maker.announce();
maker.data(1);
maker.checkpoint();
maker.data(2);
const items = maker.frames.map(encodeFrameItem);
const whole = recordingOf(maker.frames);
const path = join(folder, "a.vstream");

/** Opens what is there and adds the frames that are missing. */
function carryOn(file: Uint8Array): Buffer {
  writeFileSync(path, file);
  const recording = Recording.open(path);
  const from = (recording.chain?.seq ?? -1) + 1;
  for (const frame of maker.frames.slice(from))
    recording.appendFrame(parseFrame(frame), encodeFrameItem(frame));
  recording.flush();
  recording.close();
  return readFileSync(path);
}

tests("cut at any byte, it goes on with the item that was cut, and is the same in the end", () => {
  for (let length = 0; length <= whole.length; length++)
    assert.ok(carryOn(whole.subarray(0, length)).equals(whole), `cut at ${length}`);
});

tests(
  "bytes that were never written, at the end, are cut; damage further from it is refused and left",
  async () => {
    assert.ok(carryOn(concatBytes([whole, new Uint8Array(4096)])).equals(whole));
    const far = concatBytes([whole, new Uint8Array(LOOSE_MAX + 1)]);
    writeFileSync(path, far);
    await refuses("vstream-damaged", () => Recording.open(path));
    assert.ok(readFileSync(path).equals(far));
  },
);

tests("a file that is no recording is refused and left as it is", async () => {
  writeFileSync(path, "a letter to the hospital");
  await refuses("not-a-vstream", () => Recording.open(path));
  assert.is(readFileSync(path, "utf8"), "a letter to the hospital");
});

for (const [what, at] of [
  ["a frame left out", 2],
  ["a frame that comes again", 0],
] as const) {
  tests(`${what} isn't written`, async () => {
    writeFileSync(path, concatBytes([encodeVstreamHead(), items[0]!]));
    const recording = Recording.open(path);
    await refuses("stream-link", () => recording.appendFrame(parseFrame(maker.frames[at]!), items[at]!));
    recording.close();
    assert.ok(readFileSync(path).equals(concatBytes([encodeVstreamHead(), items[0]!])));
  });
}

for (const [what, failing] of [
  ["a write", "write"],
  ["a flush", "sync"],
] as const) {
  tests(`when ${what} finds the disk full, what was flushed stays and nothing follows it`, async () => {
    writeFileSync(path, concatBytes([encodeVstreamHead(), items[0]!]));
    let isFull = false;
    const full = () =>
      Object.assign(new Error("no space left on device"), { code: "ENOSPC", syscall: "write" });
    const disk = {
      write(fd: number, bytes: Uint8Array, at: number) {
        if (!isFull || failing !== "write") return writeSync(fd, bytes, 0, bytes.length, at);
        writeSync(fd, bytes, 0, 5, at);
        throw full();
      },
      sync(fd: number) {
        if (isFull && failing === "sync") throw full();
        fsyncSync(fd);
      },
    };
    const recording = Recording.open(path, { disk });
    const { flushed } = recording;
    isFull = true;
    const add = () => {
      recording.appendFrame(parseFrame(maker.frames[1]!), items[1]!);
      recording.flush();
    };
    const error = await refuses("unwritable", add);
    assert.match(error.message, /the disk is full/);
    isFull = false;
    await refuses("unwritable", () => recording.append(items[2]!)); // it is opened again first
    assert.is(recording.flushed, flushed);
    recording.close();
    assert.ok(carryOn(readFileSync(path)).equals(whole));
  });
}

const view = {
  id: "00112233445566778899aabbccddeeff",
  mode: "private, 1 reader",
  frames: 12,
  rows: 34,
  lost: 1,
  unopened: 0,
  resumes: 1,
  unsigned: 3,
  signatureAge: 8000,
  values: [
    { name: "SpO2\u001b[2J", value: "97.0", unit: "%" },
    { name: "pulse", value: "62", unit: "/min" },
  ],
  deliveries: [{ where: "mqtt://broker:1883/ward/3", words: "all of it received", isGood: true }],
  file: "a.vstream, 900 bytes",
};

tests("the live view fits any terminal, and moves no cursor but its own", () => {
  for (let columns = 1; columns <= 120; columns++)
    for (const line of viewLines(view, 1.25, columns, memoryIo({ tty: true, env: { NO_COLOR: "1" } }))) {
      assert.ok(line.length <= Math.max(1, columns - 1), `${columns}: ${line}`);
      assert.not.ok(line.includes("\u001b"));
    }
  const wide = viewLines(view, 1.25, 120, memoryIo({ tty: true, env: { NO_COLOR: "1" } }));
  assert.ok(wide.some((line) => line.includes("97.0 %") && line.includes("pulse  62 /min")));
  assert.ok(wide.some((line) => line === "signed 8 s ago, 3 frames wait for the next"));
});

tests("off a terminal there is a line each ten seconds, and one at the end", () => {
  let now = 0;
  const io = memoryIo();
  const screen = startStreamScreen(io, () => now);
  for (; now < 25_000; now += 500) screen.update({ ...view, frames: now });
  screen.end({ ...view, frames: now });
  assert.is(io.err().trim().split("\n").length, 3);
  assert.not.ok(io.err().includes("\u001b"));
});

tests.run();
