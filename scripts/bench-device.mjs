// What the device agent costs: the budgets of the reference board, and our signatures beside tweetnacl's.
//
//   1. bytes           flash, RAM, heap and stack of the board; firmware/test/board-size.test.ts measures and judges
//   2. mps2            instructions of the emulated Cortex-M4, under the board's own interpreter
//   3. a signature     where those instructions go: parts measured alone, and what they leave
//      streams         instructions and bytes a reading; what the board can sample; firmware/test/bench/stream.ts
//   4. duk             instructions of this machine under Debian's Duktape, by valgrind; without it, time
//   5. QuickJS         time under the WebAssembly build that `vouch sim` runs
//
// All of 2 to 5 run one script, firmware/test/bench/work.ts, in which ours and tweetnacl's come from one build. The
// goal is a fifth of tweetnacl's instructions: it is judged where instructions are counted, which depends on no
// machine's load. Times are medians of rounds in which both take turns, and vary.
//
// A table that can't be made says what it needs or why it failed, and the others follow. The status is 1 when a goal or a budget
// that was measured isn't met, or measuring failed.
//
//   npm run bench:device                 two and a half minutes of processor time
//   npm run bench:device -- --no-build   what is in dist now

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildBoard, isThere } from "./board.mjs";
import { buildWork, measureOnBoard, missingForBoard, WORK_HEAP_KB } from "./device-work.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const GOAL = 0.2;
const ROUNDS = 5;

/** Pieces of work.ts that both can do, and what a reader calls them. */
const CONTEST = [
  ["sign", "sign 100 bytes"],
  ["verify", "verify 100 bytes"],
];

/** Pieces of work.ts that are steps of a signature. */
const PARTS = [
  ["SHA-512", "SHA-512, 5 blocks"],
  ["scalars", "numbers modulo the order"],
  ["table", "reading the table"],
  ["encoding", "the point as bytes"],
];
const PART_TIMES = 10;

/** Text of a table; the first column is left-aligned. */
function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  widths[0] = Math.max(widths[0], 32);
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i]))))
    .map((cells) => cells.join("  ").trimEnd())
    .join("\n");
}

const digits = (n) => (n < 100 ? n.toFixed(1) : n.toFixed(0));

/** Ours beside tweetnacl's, from name -> figure, and whether the goal is met in all. */
function contest(title, figures, isJudged) {
  let isMet = true;
  const rows = CONTEST.map(([work, what]) => {
    const [ours, peer] = ["ours", "tweetnacl"].map((who) => figures.get(`${who} ${work}`));
    const ratio = ours / peer;
    const verdict = isJudged ? [`<= ${GOAL}`, ratio <= GOAL ? "met" : "MISSED"] : ["", ""];
    isMet &&= !isJudged || ratio <= GOAL;
    return [what, digits(ours), digits(peer), ratio.toFixed(3), ...verdict];
  });
  const header = [title, "ours", "tweetnacl", "ratio", isJudged ? "goal" : "", ""];
  return { text: table([header, ...rows]), isMet };
}

const CONTESTANTS = CONTEST.flatMap(([work]) => [`ours ${work}`, `tweetnacl ${work}`]);

// ---- The board

/** The table that the test of the budgets prints. */
function benchSize() {
  const test = ["scripts/test.mjs", "--no-build", "firmware/test/board-size.test.ts"];
  const { stdout, status } = spawnSync(process.execPath, test, { cwd: ROOT, encoding: "utf8" });
  const [found] = /^mps2, bytes.*\n(.*\d {2}.*\n)+/m.exec(stdout) ?? [];
  if (found === undefined) throw new Error(`the test of the board's budgets printed no table:\n${stdout}`);
  const why = status === 0 ? "" : `\nnot as it should be: ${test[2]} fails`;
  return { text: `${found.trimEnd()}${why}`, isMet: status === 0 };
}

/** What firmware/test/bench/stream.ts prints: a host and a line on the emulated board. */
function benchStreams() {
  const test = ["scripts/test.mjs", "--no-build", "firmware/test/bench/stream.ts"];
  const { stdout, status } = spawnSync(process.execPath, test, { cwd: ROOT, encoding: "utf8" });
  const [found] = /^mps2, a reading[\s\S]*security 1.*\n/m.exec(stdout) ?? [];
  if (found === undefined || status !== 0) throw new Error(`${test[2]} fails:\n${stdout}`);
  return { text: found.trimEnd(), isMet: true };
}

async function benchBoard() {
  buildBoard(); // whose objects are used
  const parts = PARTS.map(([work]) => [work, PART_TIMES]);
  const figures = await measureOnBoard([...CONTESTANTS.map((work) => [work, 1]), ...parts]);
  const { text, isMet } = contest("mps2, million instructions", figures, true);
  const whole = figures.get("ours sign");
  const rows = PARTS.map(([work, what]) => [what, figures.get(work)]);
  rows.push(["doublings and additions, the rest", rows.reduce((left, [, cost]) => left - cost, whole)]);
  const shares = rows.map(([what, cost]) => [what, cost.toFixed(1), `${Math.round((100 * cost) / whole)} %`]);
  const breakdown = table([["mps2, our signature", "million", "share"], ...shares]);
  const how = `(QEMU mps2-an386 -icount shift=0, the board's Duktape, a heap of ${WORK_HEAP_KB} KB)`;
  return { text: `${text}\n${how}\n\n${breakdown}`, isMet };
}

// ---- Debian's duk

function duk(folder, code, wrapper = []) {
  const script = join(folder, "work.js");
  writeFileSync(script, code);
  const [command, ...args] = [...wrapper, "duk", script];
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: status ${status}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

/** What makes a piece that comes out wrong end duk with a status. */
const once = (work) => `\nif (!benchWork(${JSON.stringify(work)})) throw new Error("came out wrong");`;

function countInstructions(folder, code) {
  const valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
  const count = (text) => {
    const { stderr } = duk(folder, text, valgrind);
    const [, number] = /I +refs: +([\d,]+)/.exec(stderr) ?? [];
    if (number === undefined) throw new Error(`valgrind told no count:\n${stderr}`);
    return Number(number.replaceAll(",", "")) / 1e6;
  };
  const start = count(code);
  return new Map(CONTESTANTS.map((work) => [work, count(code + once(work)) - start]));
}

/** Milliseconds: the script's own clock, its start left out. */
function timeDuk(folder, code) {
  const time = (work) =>
    Number(
      duk(folder, `${code}\nvar started = Date.now();${once(work)}\nprint(Date.now() - started);`).stdout,
    );
  return timeRounds(time);
}

/** Medians of name -> milliseconds. */
function timeRounds(time) {
  const rows = new Map(CONTESTANTS.map((work) => [work, []]));
  for (let round = 0; round < ROUNDS; round++) for (const [work, row] of rows) row.push(time(work));
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
  return new Map([...rows].map(([work, row]) => [work, median(row)]));
}

function benchDuk(code) {
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-"));
  try {
    if (isThere("valgrind"))
      return contest("duk, million instructions", countInstructions(folder, code), true);
    const { text } = contest("duk, milliseconds", timeDuk(folder, code), false);
    return { text: `${text}\ninstructions not measured: needs Debian's valgrind`, isMet: true };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// ---- QuickJS

async function benchQuickJS(code) {
  const { getQuickJS } = await import("quickjs-emscripten");
  const context = (await getQuickJS()).newContext();
  try {
    context.unwrapResult(context.evalCode(code)).dispose();
    const time = (work) => {
      const started = performance.now();
      context.unwrapResult(context.evalCode(once(work))).dispose();
      return performance.now() - started;
    };
    return contest("QuickJS, milliseconds", timeRounds(time), false);
  } finally {
    context.dispose();
  }
}

// ---- Telling

async function main() {
  const { values } = parseArgs({ options: { "no-build": { type: "boolean" } } });
  if (!values["no-build"]) {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/build.mjs"], {
      cwd: ROOT,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
  }
  const tell = async (bench) => {
    try {
      const { text, isMet } = await bench();
      console.log(`${text}\n`);
      if (!isMet) process.exitCode = 1;
    } catch (error) {
      console.log(`bench: ${error.message}\n`);
      process.exitCode = 1;
    }
  };
  const cannot = (what, packages) =>
    console.log(`${what}\nnot measured: needs Debian's ${packages.join(" ")}\n`);

  const lacking = missingForBoard();
  if (lacking.length > 0) cannot("mps2", lacking);
  else {
    await tell(benchSize);
    await tell(benchBoard);
    await tell(benchStreams);
  }
  const code = await buildWork();
  if (isThere("duk")) await tell(() => benchDuk(code));
  else cannot("duk", ["duktape"]);
  await tell(() => benchQuickJS(code));
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
