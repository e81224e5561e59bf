// How fast, as ratios to a peer measured in the same minute: absolute times say
// more about the machine than about us.
//
//   1. verify, 1 MB image     whole process / `node -e 0`                                    goal <= 1.25
//      verify, a device       the same for the demo's bundle: all seven claims, two images
//   2. verify, 64 MB image    (whole process - `node -e 0`) / `openssl dgst -sha256`         goal <= 1.15
//      verify, a year of IOTA  the same for a bundle over 366 epochs, with --ledger-state
//   3. COSE verify + claims   rate / bare node:crypto verify of the same signatures          goal >= 0.9
//
// What is counted is the CPU time, user and system of all threads, of whole
// processes: wall time of a shared machine measures its other users. Contestants
// take turns within a round, the order turning around every time, and each
// round gives one ratio; the median counts, and the middle half of the rounds is
// printed beside it. Nothing is subtracted from openssl, whose own start is a
// tenth of its time; from ours, in 2 alone, what Node takes to do nothing.
//
// NODE_EXTRA_CA_CERTS makes Node read certificates before it does anything, here
// for longer than all the rest takes, and a ratio to that says little of us. So
// it and NODE_OPTIONS are taken out of the environment; where the shell has one
// of them, 1 is measured once more with it, as this shell's user would.
//
// The artefacts are real: the demo's keys, policy, log, ledger and device, and
// two more releases in its log, too large for its device, so --release-only.
// Goals are shown and not enforced: the status is 0 when all could be measured.
//
//   npm run bench -- --json           one object, for keeping
//   npm run bench -- --rounds 61      more than 31, for a busy machine
//   npm run bench -- --no-build       what is in dist now

import { spawnSync } from "node:child_process";
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release as osRelease, type as osType, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { benchRebased } from "./bench-rebased.mjs";
import { benchStardust } from "./bench-stardust.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VOUCH = [process.execPath, join(ROOT, "host-cli/bin/vouch.mjs")];
const EMPTY = [process.execPath, "-e", "0"];
const OPENSSL = ["openssl", "dgst", "-sha256", "large.bin"];

function run([command, ...args], cwd) {
  const { status, error, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0)
    throw error ?? new Error(`${command} ${args.join(" ")}: status ${status}\n${stderr.slice(-1000)}`);
}

const runs = (command, ...args) => spawnSync(command, args).status === 0;

// ---- Artefacts, by the commands a maker would type

function makeArtefacts(folder) {
  const vouch = (line) => run([...VOUCH, ...line.split(" ")], folder);
  vouch("demo --keep . --json");
  const releases = [
    ["small", 1 << 20, 8],
    ["large", 64 << 20, 9],
  ];
  for (const [name, bytes, version] of releases) {
    writeFileSync(join(folder, `${name}.bin`), randomBytes(bytes));
    vouch(
      `release new --product pump-400 --version 3.${version}.0 --security-version ${version} --floor 7 --model PUMP-400 --rev B --component app=${name}.bin --component engine=engine.bin --vendor acme-vendor.vkey -o ${name}`,
    );
    for (const approver of ["alice", "bob"]) vouch(`release sign ${name}.dsse.json --key ${approver}.key`);
    vouch(
      `release seal ${name}.dsse.json --suit ${name}.suit --image ${name}.bin --key acme-vendor.key --policy policy -o ${name}.upload`,
    );
  }
  vouch("log add log small.dsse.json large.dsse.json --key fwlog.acme.example.key");
  vouch("status new --log log --product pump-400 --key acme-status.key -o status3.dsse.json");
  vouch("log add log status3.dsse.json --key fwlog.acme.example.key");
  vouch("anchor log --ledger directory:ledger --ledger-key ledger.key");
  for (const [name] of releases)
    vouch(
      `bundle --log log --release ${name}.dsse.json --manifest ${name}.suit --public -o ${name}.vouch.json`,
    );
}

const verifyRelease = (name) => [
  ...VOUCH,
  ...`verify ${name}.vouch.json --policy policy --release-only --image ${name}.bin`.split(" "),
];
const verifyDevice = [
  ...VOUCH,
  ..."verify pump.vouch.json --policy policy --image pump.bin --image engine=engine.bin".split(" "),
];

const verifyYear = [
  ...VOUCH,
  ..."verify year.vouch.json --policy year.policy --ledger-state year.state --at 2026-11-18T22:00:00Z".split(
    " ",
  ),
];

// ---- Measuring

/** CPU milliseconds of a process from its start to its end. bash asks the kernel, to the millisecond; Node can't. */
function cpuOf(command, folder, output, env) {
  const timed = ["-c", "TIMEFORMAT='cpu %3U %3S'; time \"$@\" >&3 2>&3", "bash", ...command];
  const { status, stderr } = spawnSync("bash", timed, {
    cwd: folder,
    env,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe", output],
  });
  const [, user, system] = /^cpu ([0-9.]+) ([0-9.]+)$/m.exec(stderr) ?? [];
  if (status !== 0 || user === undefined)
    throw new Error(`${command.join(" ")}: status ${status}, see \`npm run bench -- --keep\`\n${stderr}`);
  return 1000 * (Number(user) + Number(system));
}

/** Rows of one number per contestant; the first row, which warms caches, isn't kept. */
function rounds(count, contestants) {
  const rows = [];
  for (let round = 0; round <= count; round++) {
    const row = new Array(contestants.length);
    const order = [...contestants.keys()];
    for (const i of round % 2 === 0 ? order : order.reverse()) row[i] = contestants[i]();
    if (round > 0) rows.push(row);
  }
  return rows;
}

function quantile(list, q) {
  const sorted = [...list].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

const median = (list) => quantile(list, 0.5);

/** A row of the table: the ratio of each round, and the two medians it is about. */
function result(name, rows, { ratio, ours, peer, unit, goal, against }) {
  const ratios = rows.map(ratio);
  const value = median(ratios);
  const met = goal === null ? null : goal.most === undefined ? value >= goal.least : value <= goal.most;
  const spread = [quantile(ratios, 0.25), quantile(ratios, 0.75)];
  return {
    name,
    value,
    spread,
    goal,
    met,
    ours: median(rows.map(ours)),
    peer: median(rows.map(peer)),
    unit,
    against,
  };
}

function benchProcesses(folder, count) {
  const output = openSync(join(folder, "verdicts.txt"), "a");
  const burdens = ["NODE_EXTRA_CA_CERTS", "NODE_OPTIONS"].filter((name) => process.env[name]);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !burdens.includes(name)));
  const race = (commands, env) =>
    rounds(
      count,
      commands.map((command) => () => cpuOf(command, folder, output, env)),
    );
  const beside = (name, rows, column, goal) =>
    result(name, rows, {
      ratio: (row) => row[column] / row[0],
      ours: (row) => row[column],
      peer: (row) => row[0],
      unit: "ms",
      against: "node -e 0",
      goal,
    });
  const small = verifyRelease("small");
  const first = race([EMPTY, small, verifyDevice, verifyYear], clean);
  const results = [
    beside("verify, 1 MB image", first, 1, { most: 1.25 }),
    beside("verify, a device", first, 2, null),
    beside("verify, a year of IOTA, known", first, 3, null),
  ];
  if (burdens.length > 0) {
    const rows = race([EMPTY, small], process.env);
    results.push(beside(`verify, 1 MB, ${burdens.join(", ")}`, rows, 1, { most: 1.25 }));
  }
  if (!runs("openssl", "version"))
    return { results, skipped: ["verify, 64 MB image: openssl isn't installed"] };
  const large = result("verify, 64 MB image", race([EMPTY, verifyRelease("large"), OPENSSL], clean), {
    ratio: (row) => (row[1] - row[0]) / row[2],
    ours: (row) => row[1] - row[0],
    peer: (row) => row[2],
    unit: "ms",
    against: "openssl dgst; ours less node -e 0",
    goal: { most: 1.15 },
  });
  return { results: [...results, large], skipped: [] };
}

// ---- Evidence, in this process

async function buildEvidence(folder) {
  const [esbuild, { workspace }] = await Promise.all([import("esbuild"), import("./build.mjs")]);
  const outfile = join(folder, "evidence.mjs");
  await esbuild.build({
    stdin: {
      contents: `
        export { decodeEvidence, encodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
        export { nodeCrypto } from "./host-cli/src/crypto";`,
      resolveDir: ROOT,
    },
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    outfile,
    plugins: [workspace],
  });
  return import(pathToFileURL(outfile).href);
}

/** The claims of the demo's device, signed by 64 devices. */
function makeFleet(folder, { decodeEvidence, encodeEvidence, evidenceMessage, nodeCrypto }) {
  const { sign1 } = decodeEvidence(new Uint8Array(readFileSync(join(folder, "pump.eat"))));
  return Array.from({ length: 64 }, () => {
    const { publicKey: key, privateKey } = generateKeyPairSync("ed25519");
    const publicKey = new Uint8Array(Buffer.from(key.export({ format: "jwk" }).x, "base64url"));
    const kid = nodeCrypto.sha256(publicKey).slice(0, 8);
    const bytes = encodeEvidence(sign1.payload, kid, (text) => new Uint8Array(sign(null, text, privateKey)));
    const opened = decodeEvidence(bytes).sign1;
    return { bytes, publicKey, key, message: evidenceMessage(opened), signature: opened.signature };
  });
}

async function benchEvidence(folder, count) {
  const modules = await buildEvidence(folder);
  const { decodeEvidence, evidenceMessage, nodeCrypto } = modules;
  const fleet = makeFleet(folder, modules);
  const bare = ({ key, message, signature }) => verify(null, message, key, signature);
  const ours = ({ bytes, publicKey }) => {
    const { fault, sign1, claims } = decodeEvidence(bytes);
    return (
      fault === 0 &&
      claims.components.length === 2 &&
      nodeCrypto.verifyEd25519(publicKey, evidenceMessage(sign1), sign1.signature)
    );
  };
  const rate = (work) => () => {
    const start = process.cpuUsage();
    for (let turn = 0; turn < 8; turn++)
      for (const device of fleet) if (!work(device)) throw new Error("good evidence was refused");
    const { user, system } = process.cpuUsage(start);
    return (8 * fleet.length) / ((user + system) / 1e6);
  };
  rounds(4, [rate(bare), rate(ours)]); // until the compiler has settled
  const row = result(
    `COSE verify + claims, ${fleet[0].bytes.length} B`,
    rounds(count, [bare, ours].map(rate)),
    {
      ratio: (r) => r[1] / r[0],
      ours: (r) => r[1],
      peer: (r) => r[0],
      unit: "/s",
      against: "bare node:crypto",
      goal: { least: 0.9 },
    },
  );
  return { results: [row], skipped: [] };
}

// ---- Telling

const verdictOf = ({ met }) => (met === null ? "" : met ? "met" : "MISSED");
const goalOf = ({ goal }) =>
  goal === null ? "" : goal.most === undefined ? `>= ${goal.least}` : `<= ${goal.most}`;

function table({ machine, rounds: count, results, skipped }) {
  const header = ["", "ratio", "middle half", "goal", "", "ours", "peer"];
  const rows = results.map((r) => [
    r.name,
    r.value.toFixed(2),
    r.spread.map((x) => x.toFixed(2)).join(" .. "),
    goalOf(r),
    verdictOf(r),
    `${r.ours.toFixed(0)} ${r.unit}`.replace(" /", "/"),
    `${r.peer.toFixed(0)} ${r.unit}, ${r.against}`.replace(" /", "/"),
  ]);
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i].length)));
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
  const { cpu, cores, os, node, openssl, load } = machine;
  return [
    ...lines,
    ...skipped.map((line) => `skipped: ${line}`),
    `CPU time, median of ${count} rounds; ${cores} x ${cpu}, ${os}, Node ${node}, ${openssl ?? "no openssl"}`,
    `load ${load.before} before, ${load.after} after`,
  ].join("\n");
}

const load = () => loadavg()[0].toFixed(1);

function describeMachine(before) {
  const openssl = spawnSync("openssl", ["version"], { encoding: "utf8" }).stdout;
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    os: `${osType()} ${osRelease()}`,
    node: process.versions.node,
    openssl: openssl ? openssl.split(" ").slice(0, 2).join(" ") : null,
    load: { before, after: load() },
  };
}

async function main() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean" },
      rounds: { type: "string", default: "31" },
      "no-build": { type: "boolean" },
    },
  });
  const count = Number(values.rounds);
  if (!(count >= 3)) throw new Error(`--rounds ${values.rounds}: expected a number from 3`);
  if (!runs("bash", "-c", ":"))
    throw new Error("bash isn't here; its `time` tells the CPU time of a process");
  if (!values["no-build"]) run([process.execPath, join(ROOT, "scripts/build.mjs")], ROOT);
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-"));
  try {
    makeArtefacts(folder);
    const before = load();
    const rebased = await benchRebased(folder, { rounds, result }, count);
    const stardust = await benchStardust(folder, { rounds, result }, count);
    const parts = [benchProcesses(folder, count), await benchEvidence(folder, count), rebased, stardust];
    const report = {
      machine: describeMachine(before),
      rounds: count,
      results: parts.flatMap((part) => part.results),
      skipped: parts.flatMap((part) => part.skipped),
    };
    console.log(values.json ? JSON.stringify(report) : table(report));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
