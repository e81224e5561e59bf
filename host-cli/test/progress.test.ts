// Progress on a terminal: in how many columns, how fast, and for several devices.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { clockText, fit, progressLine, rateText, startMeter } from "../src/output/progress";
import { startBoard } from "../src/output/screen";
import { startProgress } from "../src/output/terminal";
import { memoryIo } from "./memory-io";

const progress = suite("progress");

const standing = { label: "uploading", done: 41_000, total: 100_000, rate: 8140 };

for (const [columns, line] of [
  [80, "uploading [########------------]  41%  8.1 kB/s  0:08"],
  [40, "uploading [##----]  41%  8.1 kB/s  0:08"],
  [36, "uploading  41%  8.1 kB/s  0:08"],
  [26, "uploading  41%  8.1 kB/s"],
  [16, "uploading  41%"],
  [12, "uploa…  41%"],
] as const) {
  progress(`in ${columns} columns`, () => {
    const fitted = progressLine(standing, columns);
    assert.is(fitted.length < columns, true, `${fitted.length} of ${columns}`);
    assert.is(fitted, line);
  });
}

progress("no rate, no time: none is made up", () => {
  assert.is(progressLine({ ...standing, rate: null }, 80), "uploading [########------------]  41%");
  assert.is(progressLine({ ...standing, rate: 0 }, 80), "uploading [########------------]  41%  0 B/s");
  const none = { ...standing, counted: 0, unit: "devices" }; // the count comes later than the bytes
  assert.is(progressLine(none, 80), "uploading [########------------]  41%  0:08");
  assert.is(
    progressLine({ ...none, rate: 0 }, 80),
    "uploading [########------------]  41%  0 devices/s", // nothing moves: that is said
  );
});

progress("rates and times as people say them", () => {
  assert.equal(
    [0, 999, 1000, 99_949, 100_000, 2_500_000].map((rate) => rateText(rate)),
    ["0 B/s", "999 B/s", "1.0 kB/s", "99.9 kB/s", "100 kB/s", "2.5 MB/s"],
  );
  assert.equal([0, 0.1, 59.5, 61, 3600, 1e9].map(clockText), [
    "0:00",
    "0:01",
    "1:00",
    "1:01",
    "1:00:00",
    "99:59:59",
  ]);
  assert.is(fit("a\u001b[2Jb", 20), "a\\u{1b}[2Jb");
});

progress("the rate is that of the last seconds, and what was there before is not fast", () => {
  let time = 0;
  const meter = startMeter(() => time);
  meter.add(50_000); // resumed
  assert.is(meter.rate(), null);
  for (let i = 1; i <= 10; i++) {
    time += 1000;
    meter.add(50_000 + i * 1000);
  }
  assert.is(meter.rate(), 1000);
  for (let i = 1; i <= 10; i++) {
    time += 1000;
    meter.add(60_000 + i * 100);
  }
  assert.is(meter.rate(), 100);
  meter.add(0); // the device fell back
  assert.is(meter.rate(), null);
});

progress("a bar is redrawn in place, and a shorter line leaves nothing of a longer one", () => {
  let time = 0;
  const io = memoryIo({ tty: true, columns: 40 });
  const bar = startProgress(io, "uploading", 1000, () => time);
  for (let done = 0; done <= 1000; done += 100) {
    time += 500;
    bar.update(done);
  }
  bar.end();
  const [, ...lines] = io.err().split("\r");
  let shown = "";
  for (const line of lines) {
    assert.ok(line.trimEnd().length < 40, line);
    shown = line.replace("\n", "") + shown.slice(line.replace("\n", "").length);
    assert.is(shown.trimEnd(), line.trimEnd());
  }
  assert.match(io.err(), / 100% {2}200 B\/s {2}0:00\s*\n$/);
});

progress("several devices have a line each, redrawn in place, cut to the terminal", () => {
  let time = 0;
  const io = memoryIo({ tty: true, columns: 40 });
  const board = startBoard(io, ["/dev/ttyACM0", "/dev/ttyACM1"], () => time);
  const bars = board.screens.map((screen) => screen.progress("uploading", 1000));
  for (let done = 0; done <= 1000; done += 250) {
    time += 1000;
    for (const bar of bars) bar.update(done);
  }
  board.screens[1]?.say("restarted: the boot loader checked the image, and runs it");
  board.settle(0, "done");
  board.end();
  const frames = io.err().split("\u001b[2A");
  assert.ok(frames.length > 5 && frames.every((frame) => frame.split("\n").length === 3));
  for (const line of io.err().replaceAll("\u001b[2A", "").replaceAll("\r\u001b[K", "").split("\n")) {
    assert.ok(line.length < 40, line);
    assert.not.match(line, /\p{Cc}/u);
  }
  const last = (frames.at(-1) ?? "").replaceAll("\r\u001b[K", "");
  assert.is(last, "/dev/ttyACM0 done\n/dev/ttyACM1 restarted: the boot loade…\n");
});

progress("off a terminal, on a dumb one and in too few rows, lines begin with the device's name", () => {
  for (const options of [{}, { tty: true, env: { TERM: "dumb" } }]) {
    const io = memoryIo(options);
    const board = startBoard(io, ["a", "b"], () => 0);
    board.screens[0]?.say("one\u001b[2J");
    board.screens[1]?.progress("uploading", 10).update(10);
    board.end();
    assert.is(io.err(), "a: one\\u{1b}[2J\nb: uploading 100%\n");
    assert.is(board.isDrawn, false);
  }
  const io = memoryIo({ tty: true });
  assert.is(startBoard(io, new Array<string>(30).fill("x"), () => 0).isDrawn, false);
  io.quiet = true;
  const quiet = startBoard(io, ["a"], () => 0);
  const before = io.err();
  quiet.screens[0]?.say("one");
  assert.is(io.err(), before);
});

progress.run();
