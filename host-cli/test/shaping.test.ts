// The line that the other tests are run over: as slow, late and lossy as it says.

import { spawnSync } from "node:child_process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sleep } from "../src/device/clock";
import { makeImage, virtualClock } from "./bench";
import { makeDirection, type Shape } from "./shaping";

const shaping = suite("line shaping");

/** All that arrives of `bytes`, written in one go, and when the last of it did. */
async function carry(shape: Partial<Shape>, bytes: Uint8Array, waitMs = 60_000) {
  const clock = virtualClock();
  const arrived: number[] = [];
  let last = 0;
  const line = makeDirection(shape, clock, (piece) => {
    arrived.push(...piece);
    last = clock.now();
  });
  line.write(bytes);
  await clock.run(sleep(clock, waitMs));
  return { arrived: Uint8Array.from(arrived), last, line };
}

const BYTES = makeImage("on the line", 10_000);
const isSame = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

shaping("ten bits a byte, and the latency once", async () => {
  for (const baud of [9600, 115_200, 2_000_000]) {
    const { arrived, last } = await carry({ baud, latencyMs: 16 }, BYTES);
    assert.ok(isSame(arrived, BYTES));
    assert.ok(Math.abs(last - (16 + (BYTES.length * 10_000) / baud)) < 0.001, `${baud}: ${last} ms`);
  }
});

shaping("jitter delays and never swaps", async () => {
  const { arrived, last } = await carry({ baud: 115_200, jitterMs: 30, seed: 3 }, BYTES);
  assert.ok(isSame(arrived, BYTES));
  assert.ok(last > 868 && last < 868.1 + 30, `${last} ms`);
});

shaping("as many bytes are lost and bent as it says, the same for the same seed", async () => {
  const many = makeImage("many", 200_000);
  const lossy = { lossPpm: 5000, seed: 7 };
  const first = await carry(lossy, many);
  assert.ok(Math.abs(first.line.lost - 1000) < 120, `${first.line.lost} lost`);
  assert.is(first.arrived.length, many.length - first.line.lost);
  assert.ok(isSame(first.arrived, (await carry(lossy, many)).arrived));
  assert.not.ok(isSame(first.arrived, (await carry({ ...lossy, seed: 8 }, many)).arrived));
  const bent = (await carry({ corruptPpm: 5000, seed: 7 }, many)).arrived;
  assert.is(bent.length, many.length);
  const differing = bent.filter((byte, at) => byte !== many[at]).length;
  assert.ok(Math.abs(differing - 1000) < 120, `${differing} bent`);
});

shaping("what goes beyond a burst is lost, until the line was free", async () => {
  const clock = virtualClock();
  let arrived = 0;
  const line = makeDirection({ baud: 115_200, burstBytes: 254 }, clock, (piece) => {
    arrived += piece.length;
  });
  line.write(BYTES.subarray(0, 200));
  line.write(BYTES.subarray(0, 200));
  await clock.run(sleep(clock, 100));
  assert.is(arrived, 254);
  line.write(BYTES.subarray(0, 200));
  await clock.run(sleep(clock, 100));
  assert.is(arrived, 454);
});

shaping("a cut loses what is under way, and nothing passes until it is mended", async () => {
  const clock = virtualClock();
  let arrived = 0;
  const line = makeDirection({ baud: 115_200, latencyMs: 5 }, clock, (piece) => {
    arrived += piece.length;
  });
  line.write(BYTES.subarray(0, 1000));
  await clock.run(sleep(clock, 20));
  line.cut();
  line.write(BYTES.subarray(0, 1000));
  await clock.run(sleep(clock, 500));
  assert.ok(arrived > 100 && arrived < 200, `${arrived}`);
  const before = arrived;
  line.restore();
  line.write(BYTES.subarray(0, 10));
  await clock.run(sleep(clock, 500));
  assert.is(arrived, before + 10);
});

shaping("by hand: --help explains it, and a number that is none is refused", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["scripts/line-shaper.mjs", ...args], { encoding: "utf8" });
  const help = run("--help");
  assert.equal([help.status, /--cut-after S/.test(help.stdout)], [0, true]);
  const wrong = run("--baud", "fast");
  assert.equal([wrong.status, wrong.stderr.trim()], [1, "line-shaper: --baud fast: expected a number"]);
});

shaping.run();
