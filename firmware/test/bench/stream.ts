// What streams cost the reference board, and how much it can sample: `npm run bench:device` runs this and prints what it
// prints.
//
// The image is the board's own, with two of its objects in other forms: sensors with one group of so many channels every so many
// milliseconds, and a host on the board in the UART's place (boards/mps2/bench_host.c), which makes up a line of 115,200
// baud. QEMU counts an instruction as 64 ns, 15.6 million a second: what a Cortex-M4 does at some 25 MHz with its flash.
// Nothing outside the machine takes part, so a run is the same each time.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { cborMap } from "@vouch/shared/cbor";
import { VOUCH_ENROL, VOUCH_PROGRESS, VOUCH_STREAM_START } from "@vouch/shared/smp";
import { maskedLength, STREAM_HEADER_BYTES } from "@vouch/shared/stream";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeBoardEngine, readBoardImage } from "../../../host-cli/src/sim/mps2";
import { hash, MODEL, PRODUCT, VENDOR_VKEY } from "../../../host-cli/test/sim-kit";
import { skip } from "../../../shared/test/skip";
import { boardMissing } from "../board-kit";
import { frame } from "../kit";

const BOARD = "firmware/boards/mps2";
const SHIFT = 6; // of icount: 2^6 ns an instruction
const PER_MS = 1e6 / 2 ** SHIFT;
const LIMIT_MS = 600_000;
const bench = suite("stream bench");
const missing = boardMissing();

interface Run {
  channels: number;
  period: number;
  isMasked: boolean;
  /** Until a checkpoint. */
  millis: number;
  /** How long it streams, by the board's clock. */
  runMs: number;
}

interface Figures {
  ms: number;
  idleMs: number;
  lineMs: number;
  rows: number;
  lost: number;
  bytes: number;
  heapPeak: number;
}

const inC = (bytes: Uint8Array) =>
  `"${[...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}"`;

function requests(run: Run): string {
  const enrol = cborMap([
    ["nonce", hash("bench")],
    ["seed", hash("bench seed")],
  ]);
  const start = cborMap([
    ["mode", run.isMasked ? 1 : 0],
    ["readers", run.isMasked ? [x25519Public(hash("reader"))] : []],
    ["frames", 65535],
    ["millis", run.millis],
    ["resume", false],
  ]);
  return [
    `#define ENROL ${inC(frame(true, 64, VOUCH_ENROL, enrol))}`,
    `#define PROGRESS ${inC(frame(false, 64, VOUCH_PROGRESS, cborMap([])))}`,
    `#define START ${inC(frame(true, 64, VOUCH_STREAM_START, start))}`,
    "",
  ].join("\n");
}

/** The image of a run, in a folder of its own beside the board's build, whose other objects it takes. */
async function buildImage(run: Run, folder: string): Promise<string> {
  const path = pathToFileURL(resolve("scripts/board.mjs")).href;
  const { buildBoard } = (await import(path)) as {
    buildBoard(agent: string, folder: string, variables: string[]): string;
  };
  const target = join(BOARD, folder);
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(join(BOARD, "build")))
    if (/\.(o|c|bytecode)$/.test(name) && !/^(sensors|uart)\./.test(name))
      symlinkSync(resolve(BOARD, "build", name), join(target, name));
  writeFileSync(join(target, "bench_requests.h"), requests(run));
  const image = buildBoard("host-cli/dist/agent.js", folder, [
    "UART=bench_host",
    `BENCH=-DBENCH_RUN_MS=${run.runMs}`,
    `SENSORS=-DBENCH_CHANNELS=${run.channels} -DBENCH_PERIOD=${run.period}`,
  ]);
  const maker = { vendorVkey: VENDOR_VKEY, product: PRODUCT, model: MODEL, hardwareVersion: "B" };
  writeFileSync(image, makeBoardEngine(readBoardImage(image), maker));
  return image;
}

function play(image: string): Promise<Figures> {
  const args = ["-machine", "mps2-an386", "-nodefaults", "-display", "none", "-monitor", "none"];
  const qemu = spawn(
    "qemu-system-arm",
    [...args, "-icount", `shift=${SHIFT},sleep=off`, "-kernel", image, "-serial", "stdio"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  return new Promise((done, reject) => {
    let said = "";
    const late = setTimeout(() => fail("took too long"), LIMIT_MS);
    const fail = (why: string) => reject(new Error(`the board ${why}, and said ${said}`));
    qemu.once("exit", () => fail("ended"));
    qemu.stdout.setEncoding("latin1").on("data", (text) => {
      said += text;
      if (/board fault|refused/.test(said)) fail("went wrong");
      const found = /bench ((?:\d+ )+)end/.exec(said);
      if (found === null) return;
      clearTimeout(late);
      const [ms, idleMs, lineMs, rows, lost, bytes, heapPeak] = found[1]!.trim().split(" ").map(Number);
      done({ ms, idleMs, lineMs, rows, lost, bytes, heapPeak } as Figures);
    });
  }).finally(() => qemu.kill("SIGKILL")) as Promise<Figures>;
}

let count = 0;

async function measure(run: Run): Promise<Figures> {
  const folder = `build/stream-${process.pid}-${count++}`;
  try {
    return await play(await buildImage(run, folder));
  } finally {
    rmSync(join(BOARD, folder), { recursive: true, force: true });
  }
}

const DAY = 86_400_000;
const cell = (value: number | string, width: number) => String(value).padStart(width);

/** Without a checkpoint but the first frame's signature, which was before. */
async function cost(isMasked: boolean, channels: number, period: number): Promise<string> {
  const f = await measure({ channels, period, isMasked, millis: DAY, runMs: 30_000 });
  assert.is(f.lost, 0);
  const readings = f.rows * channels;
  const instructions = Math.round(((f.ms - f.idleMs - f.lineMs) * PER_MS) / readings);
  const busy = Math.round((100 * (f.ms - f.idleMs)) / f.ms);
  const what = `${isMasked ? "masked" : "public"}, ${channels === 1 ? "one channel" : `${channels} channels`} every ${period} ms`;
  return `${what.padEnd(38)}${cell(instructions, 14)}${cell((f.bytes / readings).toFixed(2), 10)}${cell(`${busy} %`, 8)}`;
}

/** Channels every millisecond or more, fewer readings a second first. */
const LADDER = [
  [1, 40],
  [1, 20],
  [1, 10],
  [1, 8],
  [1, 4],
  [1, 2],
  [1, 1],
  [2, 1],
] as const;
/** What may still be in the FIFO when a run ends. */
const BEHIND_MS = 10_000;
const CHECKPOINT_MS = 60_000;

async function highest(isMasked: boolean): Promise<string> {
  let best = 0;
  let figures: Figures | undefined;
  for (const [channels, period] of LADDER) {
    const run = { channels, period, isMasked, millis: CHECKPOINT_MS, runMs: 1.6 * CHECKPOINT_MS };
    const found = await measure(run);
    if (found.lost > 0 || found.rows < (found.ms - BEHIND_MS) / period) break;
    best = (1000 / period) * channels;
    figures = found;
  }
  const rate = ((figures?.bytes ?? 0) / (figures?.ms ?? 1)) * 1000;
  const busy = figures === undefined ? 0 : Math.round((100 * (figures.ms - figures.idleMs)) / figures.ms);
  return `${(isMasked ? "masked" : "public").padEnd(38)}${cell(best, 14)}${cell(Math.round(rate), 10)}${cell(`${busy} %`, 8)}`;
}

if (missing !== undefined) skip(bench, "what streams cost the board", missing);
else {
  bench("what streams cost the board", async () => {
    const rows = [
      `${"mps2, a reading".padEnd(38)}${cell("instructions", 14)}${cell("bytes", 10)}${cell("busy", 8)}`,
    ];
    for (const [channels, period] of [
      [2, 1000],
      [1, 4],
    ] as const)
      for (const isMasked of [false, true]) rows.push(await cost(isMasked, channels, period));
    rows.push("(busy: the processor, 15.6 million instructions a second, sending by polling included)", "");
    rows.push(
      `${"mps2, the most it holds without loss".padEnd(38)}${cell("readings/s", 14)}${cell("bytes/s", 10)}${cell("busy", 8)}`,
    );
    for (const isMasked of [false, true]) rows.push(await highest(isMasked));
    rows.push(
      `(115,200 baud, a checkpoint every ${CHECKPOINT_MS / 1000} s, steps of ${LADDER.map(([c, p]) => (c * 1000) / p).join(", ")})`,
      "",
    );
    const masked = maskedLength(24) + STREAM_HEADER_BYTES - 24;
    rows.push(
      `${"a message of 24 bytes, unsigned".padEnd(38)}${cell("overhead", 14)}${cell("of MAM's", 10)}`,
    );
    for (const [name, bytes] of [
      ["public", STREAM_HEADER_BYTES],
      ["masked", masked],
    ] as const)
      rows.push(`${name.padEnd(38)}${cell(bytes, 14)}${cell(`1/${(1386 / bytes).toFixed(1)}`, 10)}`);
    rows.push("(mam.js 1.6.3, security 1: 1,410 bytes for 24)");
    console.log(`\n${rows.join("\n")}\n`);
  });
}

bench.run();
