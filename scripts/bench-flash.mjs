// How well an upload uses its line: as ratios, on real pseudo-terminals shaped to a
// baud rate and a latency (host-cli/test/line-shaper.ts), with an SMP server of
// Zephyr's limits behind them, in a process of its own.
//
//   1. of the limit      rate / what the framing can carry at that baud rate       goal >= 0.95
//   2. one at a time     our rate / ours at window 1, and / smpmgr's where it is    goal >= 2 at 921,600
//   3. 50 ppm lost       rate / our rate on the clean line                          goal >= 0.75
//   4. unchanged image   seconds from opening the port, bytes on the wire           goal < 1.5 s, < 2048
//   5. eight at once     time / time of one                                         goal <= 1.15
//
// Rates are taken at the server, alike for every contestant: what comes after the
// first chunk, from when that is taken to when the last is. Contestants take turns within a round; the
// median of the rounds counts. Goals are shown and not enforced.
//
//   npm run bench:flash -- --rounds 5   more than 3
//   npm run bench:flash -- --json       one object, for keeping

import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundleSource, importSource } from "./source.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LINES = [
  { baud: 115_200, latencyMs: 16, bytes: 24_000 },
  { baud: 921_600, latencyMs: 1, bytes: 160_000 },
  { baud: 2_000_000, latencyMs: 1, bytes: 300_000 },
];
const SERVER = { bufSize: 1024, bufCount: 4 };

const median = (list) => [...list].sort((a, b) => a - b)[(list.length - 1) >> 1];
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** The process with the lines and servers: asked one thing at a time. */
async function startPeer() {
  const child = spawn(process.execPath, [await bundleSource("host-cli/test/bench-lines.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ask = async (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error("the process with the lines ended");
    return JSON.parse(value);
  };
  return { ask, end: () => child.stdin.end() };
}

/** smpmgr on PATH or in .peers, as host-cli/test/smpmgr.test.ts has it. */
function findSmpmgr() {
  const peers = [join(ROOT, ".peers/bin/smpmgr"), "smpmgr"];
  return peers.find(
    (path) => (path === "smpmgr" || existsSync(path)) && spawnSync(path, ["--version"]).status === 0,
  );
}

/** Runs a contestant on a fresh line; the server's rate, in bytes a second. */
async function rateOf(peer, line, image, contestant) {
  const { paths } = await peer.ask({ open: { lines: 1, ...line, server: SERVER } });
  await contestant(paths[0]);
  const [end] = (await peer.ask({ times: true })).lines;
  if (end.stored !== sha256(image)) throw new Error("the image on the server isn't the one that was sent");
  return (image.length - end.firstBytes) / (end.ms / 1000);
}

const run = (command, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "ignore" });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${command}: status ${code}`))));
  });

async function benchLine(peer, host, line, rounds, folder, smpmgr) {
  const image = randomBytes(line.bytes);
  const file = join(folder, "image.bin");
  writeFileSync(file, image);
  const shape = { baud: line.baud, latencyMs: line.latencyMs };
  const contestants = {
    ours: [shape, (path) => host.upload(path, image, "auto")],
    "window 1": [shape, (path) => host.upload(path, image, 1)],
    ...(line.baud === 921_600
      ? { "50 ppm lost": [{ ...shape, lossPpm: 50 }, (path) => host.upload(path, image, "auto")] }
      : {}),
    ...(smpmgr === undefined || line.baud !== 921_600
      ? {}
      : {
          smpmgr: [
            shape,
            (path) =>
              run(smpmgr, ["--port", path, "--timeout", "10", "image", "upload", "--format", "any", file]),
          ],
        }),
  };
  const rates = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = Object.entries(contestants);
    if (round % 2 === 1) order.reverse();
    for (const [name, [on, contestant]] of order) {
      // Another seed each round: the same bytes lost every time would be one sample.
      rates[name].push(await rateOf(peer, { ...on, seed: 1 + round }, image, contestant));
    }
  }
  return report(line, host.limitOf(line.baud, SERVER.bufSize), rates);
}

function report(line, limit, rates) {
  const name = `${line.baud} baud, ${line.latencyMs} ms`;
  const row = (what, ours, peer, against, goal) => ({
    name: `${name}: ${what}`,
    value: median(ours.map((rate, i) => rate / (Array.isArray(peer) ? peer[i] : peer))),
    detail: `${kilo(median(ours))} of ${kilo(Array.isArray(peer) ? median(peer) : peer)} ${against}`,
    goal,
  });
  const { ours, "window 1": single, "50 ppm lost": lossy, smpmgr } = rates;
  return [
    row("of the limit", ours, limit, "the framing carries", { least: 0.95 }),
    row("window 1, of the limit", single, limit, "the framing carries", null),
    row("ours to window 1", ours, single, "at window 1", null),
    ...(smpmgr === undefined ? [] : [row("ours to smpmgr", ours, smpmgr, "by smpmgr", { least: 2 })]),
    ...(lossy === undefined ? [] : [row("50 ppm lost, to clean", lossy, ours, "clean", { least: 0.75 })]),
  ];
}

const kilo = (rate) => `${(rate / 1000).toFixed(1)} kB/s`;

/** Median of the rounds, of what `measure` gives. */
async function repeat(rounds, measure) {
  const values = [];
  for (let round = 0; round < rounds; round++) values.push(await measure());
  return median(values);
}

async function benchUnchanged(peer, host, rounds) {
  const image = randomBytes(40_000);
  const line = { baud: 115_200, latencyMs: 16, server: { ...SERVER, checksImage: true } };
  let bytes = 0;
  const seconds = await repeat(rounds, async () => {
    const { paths } = await peer.ask({ open: { lines: 1, ...line, has: image.toString("hex") } });
    const started = performance.now();
    const { match, resumedAt } = await host.upload(paths[0], image, "auto");
    if (match !== true || resumedAt !== image.length) throw new Error("the server didn't know its image");
    const took = (performance.now() - started) / 1000;
    bytes = (await peer.ask({ times: true })).lines[0].bytes;
    return took;
  });
  return [
    { name: "unchanged image: seconds", value: seconds, detail: "115200 baud, 16 ms", goal: { most: 1.5 } },
    { name: "unchanged image: bytes on the wire", value: bytes, detail: "both ways", goal: { most: 2047 } },
  ];
}

async function benchEight(peer, host, rounds) {
  const image = randomBytes(24_000);
  const all = async (lines) => {
    const { paths } = await peer.ask({ open: { lines, baud: 115_200, latencyMs: 1, server: SERVER } });
    const started = performance.now();
    await Promise.all(paths.map((path) => host.upload(path, image, "auto")));
    return performance.now() - started;
  };
  const value = await repeat(rounds, async () => {
    const one = await all(1);
    return (await all(8)) / one;
  });
  return [
    { name: "eight devices at once, to one", value, detail: "115200 baud, 1 ms", goal: { most: 1.15 } },
  ];
}

function table({ results, skipped, load }) {
  const goalOf = ({ goal }) =>
    goal === null ? "" : goal.most === undefined ? `>= ${goal.least}` : `<= ${goal.most}`;
  const verdictOf = ({ goal, value }) =>
    goal === null
      ? ""
      : value >= (goal.least ?? -Infinity) && value <= (goal.most ?? Infinity)
        ? "met"
        : "MISSED";
  const rows = results.map((r) => [
    r.name,
    r.value >= 100 ? r.value.toFixed(0) : r.value.toFixed(2),
    goalOf(r),
    verdictOf(r),
    r.detail,
  ]);
  const header = ["", "ratio", "goal", "", "measured"];
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i].length)));
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  return [
    ...lines,
    ...skipped.map((why) => `skipped: ${why}`),
    `server ${SERVER.bufSize} x ${SERVER.bufCount}; load ${load.before} before, ${load.after} after`,
  ].join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: { json: { type: "boolean" }, rounds: { type: "string", default: "3" } },
  });
  const rounds = Number(values.rounds);
  if (!(rounds >= 1)) throw new Error(`--rounds ${values.rounds}: expected a number from 1`);
  const load = { before: loadavg()[0].toFixed(1), after: "" };
  const host = await importSource("host-cli/test/bench-host.ts");
  const peer = await startPeer();
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-"));
  const smpmgr = findSmpmgr();
  try {
    const results = [];
    for (const line of LINES) results.push(...(await benchLine(peer, host, line, rounds, folder, smpmgr)));
    results.push(...(await benchUnchanged(peer, host, rounds)), ...(await benchEight(peer, host, rounds)));
    load.after = loadavg()[0].toFixed(1);
    const skipped = smpmgr === undefined ? ["ours to smpmgr: it is neither on PATH nor in .peers"] : [];
    const all = { rounds, load, results, skipped };
    console.log(values.json ? JSON.stringify(all) : table(all));
  } finally {
    peer.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
