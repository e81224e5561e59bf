// How fast the log is, beside Go's tlog on the same leaves in the same run, and beside OpenSSL.
//
//   root       RFC 6962 root of a million leaves of 64 bytes     Go's CPU time / ours           goal >= 1.5
//                                                                our leaves/s / two OpenSSL SHA-256 of 65 B   goal >= 0.55
//   append     the same records into tile files and bundles      root's time / append's         goal >= 0.5
//              and as the log does it, each file flushed         the same, which is the disk's business
//   proof      of a record, from tile files, by a reader that    milliseconds, median           goal <= 0.5
//              has read nothing yet
//   memory     resident, of the process that does the above      MB                             goal <= 80
//
//   npm run bench:log                      one million
//   npm run bench:log -- --ten             memory and append of ten million as well; 1.2 GB of disk
//   npm run bench:log -- --rounds 7 --json
//
// Each contestant is a process of its own that measures itself, start-up and compiling included in ours and none of it
// in Go's, which is compiled before. Roots must agree. The version of Go matters: since 1.21 its SHA-256 uses the
// processor's instructions, which WebAssembly can't.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const MILLION = 1_000_000;

/** What runs in a process of its own: `node child.cjs root|append|proof N FOLDER`. */
const CHILD = `
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { proveInclusion } from "@vouch/shared/merkle";
import { formatNote } from "@vouch/shared/note";
import { tilePath } from "@vouch/shared/tiles";
import { bulkFiles } from "./host-cli/src/bulkfiles";
import { nodeCrypto } from "./host-cli/src/crypto";
import { writeWhole } from "./host-cli/src/writefiles";
import { openTiledLog } from "./host-cli/src/tiledlog";
import { growTree } from "./host-cli/src/treegrowth";

const [, , verb, count, folder] = process.argv;
const n = Number(count);
const nothing = { size: 0n, hashReader: { hash: () => new Uint8Array(32) }, entry: () => new Uint8Array(0) };
const record = new Uint8Array(64);
const view = new DataView(record.buffer);
const told = (more) => process.stdout.write(JSON.stringify(more) + "\\n");
const spent = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };

async function grow(write, ready) {
  const tree = growTree(nothing, write);
  for (let i = 0; i < n; i++) {
    view.setUint32(0, Math.floor(i / 2 ** 32));
    view.setUint32(4, i);
    tree.add(record);
    if (i % 16384 === 0) await ready();
  }
  return tree.finish();
}

async function main() {
  const [start, before] = [performance.now(), spent()];
  let root;
  if (verb === "root") root = await grow(() => {}, async () => {});
  if (verb === "append") {
    const files = bulkFiles();
    root = await grow(({ level, index, width }, bytes) => files.write(join(folder, tilePath(level, index, width)), bytes), files.ready);
    await files.flush();
    const text = formatCheckpoint({ origin: "bench.example", size: BigInt(n), root });
    writeWhole(join(folder, "checkpoint"), formatNote(text, ["— bench.example " + Buffer.alloc(68).toString("base64")]));
  }
  if (verb === "write") {
    const made = new Set();
    const write = ({ level, index, width }, bytes) => {
      const path = join(folder, tilePath(level, index, width));
      if (!made.has(dirname(path))) mkdirSync(dirname(path), { recursive: true });
      made.add(dirname(path));
      writeFileSync(path, bytes);
    };
    root = await grow(write, async () => {});
  }
  const times = [];
  if (verb === "proof")
    for (let i = 0; i < 201; i++) {
      const at = performance.now();
      const log = openTiledLog(folder);
      proveInclusion(BigInt((i * 4801) % n), log.size, log.hashReader, nodeCrypto);
      times.push(performance.now() - at);
    }
  times.sort((a, b) => a - b);
  told({
    wallMs: performance.now() - start,
    cpuMs: spent() - before,
    root: root && Buffer.from(root).toString("hex"),
    maxRssMb: process.resourceUsage().maxRSS / 1024,
    proofMs: times[100],
  });
}
main();
`;

async function buildChild(folder) {
  const [esbuild, { workspace }] = await Promise.all([import("esbuild"), import("./build.mjs")]);
  const outfile = join(folder, "child.cjs");
  await esbuild.build({
    stdin: { contents: CHILD, resolveDir: ROOT, loader: "js" },
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    outfile,
    plugins: [workspace],
  });
  return outfile;
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 1 << 20,
  });
  if (status !== 0)
    throw error ?? new Error(`${command} ${args.join(" ")}: status ${status}\n${stderr.slice(-800)}`);
  return JSON.parse(stdout);
}

/** Builds Go's side; undefined, and why, where that can't be done. */
function buildGo(folder) {
  const cwd = join(ROOT, "shared/test/go");
  const output = join(folder, "treebench");
  const tries = [
    { GO111MODULE: "off", GOPATH: "/usr/share/gocode" },
    { GO111MODULE: "on", GOPROXY: "off" },
  ];
  for (const env of tries) {
    const options = { cwd, env: { ...process.env, ...env } };
    if (spawnSync("go", ["build", "-buildvcs=false", "-o", output, "./treebench"], options).status === 0)
      return output;
  }
  return undefined;
}

/** SHA-256 of 65 bytes a CPU second, as OpenSSL's own benchmark counts them; undefined without OpenSSL. */
function opensslRate() {
  const args = ["speed", "-mr", "-bytes", "65", "-seconds", "1", "-evp", "sha256"];
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  const perSecond = /^\+F:[^:]*:[^:]*:([0-9.]+)$/m.exec(`${stdout}${stderr}`)?.[1];
  return status === 0 && perSecond !== undefined ? Number(perSecond) / 65 : undefined;
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function measure(folder, child, go, rounds) {
  const ours = (verb, n, where) => run(process.execPath, [child, verb, String(n), where]);
  const rows = { root: [], write: [], append: [], proof: [], goRoot: [], goProof: [], openssl: [] };
  for (let round = 0; round < rounds; round++) {
    const where = join(folder, `log${round}`);
    rows.root.push(ours("root", MILLION, where));
    if (go !== undefined) rows.goRoot.push(run(go, ["root", String(MILLION)]));
    const rate = opensslRate();
    if (rate !== undefined) rows.openssl.push(rate);
    rows.write.push(ours("write", MILLION, join(folder, `written${round}`)));
    rmSync(join(folder, `written${round}`), { recursive: true });
    rows.append.push(ours("append", MILLION, where));
    rows.proof.push(ours("proof", MILLION, where));
    if (go !== undefined) rows.goProof.push(run(go, ["proof", String(MILLION), where]));
    const roots = new Set(
      [...rows.root, ...rows.write, ...rows.append, ...rows.goRoot].map(({ root }) => root),
    );
    if (roots.size !== 1) throw new Error(`the roots differ: ${[...roots].join(" ")}`);
    rmSync(where, { recursive: true });
  }
  return rows;
}

/** [name, value, goal, met, what it is made of] */
function judge(rows) {
  const ratio = (a, b) => median(a.map((x, i) => x / b[i]));
  const pick = (list, key) => list.map((row) => row[key]);
  const cpu = pick(rows.root, "cpuMs");
  const mega = (ms) => `${(MILLION / ms / 1000).toFixed(2)} M/s`;
  const least = (value, goal) => [value, `>= ${goal}`, value >= goal];
  const most = (value, goal) => [value, `<= ${goal}`, value <= goal];
  const results = [];
  if (rows.goRoot.length > 0) {
    const theirs = pick(rows.goRoot, "cpuMs");
    results.push([
      "root of 1e6, CPU, to Go's",
      ...least(ratio(theirs, cpu), 1.5),
      `${mega(median(cpu))}, Go ${mega(median(theirs))}`,
    ]);
    const [ourWall, goWall] = [pick(rows.root, "wallMs"), pick(rows.goRoot, "wallMs")];
    results.push([
      "root of 1e6, clock, to Go's",
      ratio(goWall, ourWall),
      "",
      null,
      `${mega(median(ourWall))}, Go ${mega(median(goWall))}`,
    ]);
  }
  if (rows.openssl.length > 0) {
    const share = median(cpu.map((ms, i) => ((MILLION / ms) * 1000) / (rows.openssl[i] / 2)));
    results.push([
      "root of 1e6, to two SHA-256 of OpenSSL",
      ...least(share, 0.55),
      `${(median(rows.openssl) / 1e6).toFixed(2)} M hashes/s`,
    ]);
  }
  const [wall, written, flushed] = [rows.root, rows.write, rows.append].map((list) => pick(list, "wallMs"));
  results.push([
    "append of 1e6 to files, CPU, to root's",
    ...least(ratio(cpu, pick(rows.write, "cpuMs")), 0.5),
    mega(median(pick(rows.write, "cpuMs"))),
  ]);
  results.push(["append of 1e6 to files, clock", ...least(ratio(wall, written), 0.5), mega(median(written))]);
  results.push([
    "the same, each file flushed, CPU",
    ratio(cpu, pick(rows.append, "cpuMs")),
    "",
    null,
    mega(median(pick(rows.append, "cpuMs"))),
  ]);
  results.push(["the same, each file flushed, clock", ratio(wall, flushed), "", null, mega(median(flushed))]);
  const proof = median(pick(rows.proof, "proofMs"));
  const goProof = rows.goProof.length > 0 ? `Go ${median(pick(rows.goProof, "proofMs")).toFixed(2)} ms` : "";
  results.push(["proof from files, ms", ...most(proof, 0.5), goProof]);
  results.push(["memory, root of 1e6, MB", ...most(median(pick(rows.root, "maxRssMb")), 80), ""]);
  results.push(["memory, append of 1e6, MB", ...most(median(pick(rows.append, "maxRssMb")), 80), ""]);
  return results;
}

async function main() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean" },
      ten: { type: "boolean" },
      rounds: { type: "string", default: "5" },
    },
  });
  const rounds = Number(values.rounds);
  if (!(rounds >= 1)) throw new Error(`--rounds ${values.rounds}: expected a number from 1`);
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-log-"));
  try {
    const child = await buildChild(folder);
    const go = buildGo(folder);
    const results = judge(measure(folder, child, go, rounds));
    const skipped = go === undefined ? ["Go's tlog: go, or golang.org/x/mod, isn't here"] : [];
    if (opensslRate() === undefined) skipped.push("OpenSSL: openssl isn't installed");
    if (values.ten) {
      const { bavail, bsize } = statfsSync(folder);
      if (bavail * bsize < 4e9) skipped.push("ten million: less than 4 GB are free");
      else {
        const ten = run(process.execPath, [child, "append", String(10 * MILLION), join(folder, "ten")]);
        const rate = `${((10 * MILLION) / ten.wallMs / 1000).toFixed(2)} M/s by the clock`;
        results.push(["memory, append of 1e7, MB", ten.maxRssMb, "<= 180", ten.maxRssMb <= 180, rate]);
        const proof = run(process.execPath, [
          child,
          "proof",
          String(10 * MILLION),
          join(folder, "ten"),
        ]).proofMs;
        results.push(["proof from files of 1e7, ms", proof, "<= 0.5", proof <= 0.5, ""]);
      }
    }
    const version = spawnSync("go", ["version"], { encoding: "utf8" }).stdout?.trim() ?? "no go";
    const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, ${version}, load ${loadavg()[0].toFixed(1)}`;
    if (values.json) console.log(JSON.stringify({ machine, rounds, results, skipped }));
    else {
      for (const [name, value, goal, met, detail] of results)
        console.log(
          `${name.padEnd(42)}${value.toFixed(2).padStart(8)}  ${goal.padEnd(8)}${met === null ? "" : met ? "met   " : "MISSED"}  ${detail}`.trimEnd(),
        );
      for (const line of skipped) console.log(`skipped: ${line}`);
      console.log(`median of ${rounds} rounds; ${machine}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(`bench-log: ${error.message}`);
  process.exitCode = 1;
});
