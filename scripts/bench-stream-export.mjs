// How long a day of readings takes to be FHIR, and how much memory: a part of `npm run bench:stream`.
//
//   export    24 hours of saturation and pulse at 1 Hz, masked, verified twice and written as a transaction     goal <= 10 s
//             the same as NDJSON, CSV and SenML
//   memory    resident at most, of an hour and of the day: what isn't held doesn't grow                         goal: flat
//
//   node scripts/bench-stream-export.mjs --hours 24 --json
//
// Each export is a process of its own, from its first instruction on, by the clock; what else runs on the machine counts against it.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** `node child.cjs make FILE KEY HOURS`, `node child.cjs export FILE flags…` */
const CHILD = `
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { defineExport } from "./host-cli/src/commands/stream-export";
import { processIo } from "./host-cli/src/io";
import { createKey } from "./host-cli/src/keys";
import { RECORDER_VKEY, Recording } from "./host-cli/test/stream-sample";

const [what, file, ...rest] = process.argv.slice(2);
if (what === "make") {
  const owner = createKey(null, "x25519");
  writeFileSync(rest[0], owner.pem, { mode: 0o600 });
  const recording = new Recording(owner.publicKey);
  for (let minute = 0; minute < Number(rest[1]) * 60; minute += 10) recording.seconds(600).timed();
  writeFileSync(file, recording.closed());
  process.stdout.write(RECORDER_VKEY);
} else {
  const io = processIo((error) => { throw error; });
  io.quiet = true;
  const program = new Command("vouch");
  program.hook("preAction", () => { io.json = true; });
  defineExport(program, io);
  await program.parseAsync(["export", file, ...rest, "--json"], { from: "user" });
  const { user, system } = process.cpuUsage();
  process.stderr.write(JSON.stringify({ cpuMs: (user + system) / 1e3, memoryMb: process.resourceUsage().maxRSS / 1024 }));
}
`;

async function build(folder) {
  const { build: bundle } = await import("esbuild");
  const { workspace } = await import("./build.mjs");
  const outfile = join(folder, "child.mjs");
  await bundle({
    stdin: { contents: CHILD, resolveDir: ROOT, loader: "ts" },
    bundle: true,
    platform: "node",
    format: "esm",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    outfile,
    logLevel: "error",
    plugins: [workspace],
  });
  return outfile;
}

function run(child, ...args) {
  const begun = process.hrtime.bigint();
  const { status, stderr, stdout } = spawnSync(process.execPath, [child, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr.slice(-1000)}`);
  return { seconds, stderr, stdout };
}

const FORMS = {
  fhir: ["--fhir", "--patient", "Patient/7f3a"],
  ndjson: ["--fhir", "--ndjson", "--patient", "Patient/7f3a"],
  csv: ["--csv"],
  senml: ["--senml"],
};

function measure(child, folder, hours, form, recorder) {
  const out = join(folder, `${hours}.${form}`);
  const file = join(folder, `${hours}.vstream`);
  const flags = ["--reader-key", join(folder, `${hours}.key`), "--recorder-key", recorder, "-o", out];
  const { seconds, stderr, stdout } = run(child, "export", file, ...FORMS[form], ...flags);
  const { counts } = JSON.parse(stdout);
  if (counts.exported !== hours * 3600) throw new Error(`${form}: ${stdout}`);
  const bytes = statSync(out).size;
  rmSync(out);
  return { seconds, ...JSON.parse(stderr), readings: counts.exported, megabytes: bytes / 1e6 };
}

async function main() {
  const { values } = parseArgs({
    options: { hours: { type: "string", default: "24" }, json: { type: "boolean", default: false } },
  });
  const hours = Number(values.hours);
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-export-"));
  try {
    const child = await build(folder);
    const make = (of) =>
      run(child, "make", join(folder, `${of}.vstream`), join(folder, `${of}.key`), String(of)).stdout.trim();
    const recorder = make(hours);
    make(1);
    const forms = Object.fromEntries(
      Object.keys(FORMS).map((form) => [form, measure(child, folder, hours, form, recorder)]),
    );
    report({ hours, hour: measure(child, folder, 1, "fhir", recorder), ...forms }, values.json);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report({ hours, hour, ...forms }, isJson) {
  const machine = `${cpus()[0]?.model ?? "?"}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}, Node ${process.version}`;
  if (isJson) return process.stdout.write(`${JSON.stringify({ machine, hours, hour, ...forms })}\n`);
  const row = (name, text, goal) => process.stdout.write(`${name.padEnd(9)}${text.padEnd(74)}${goal}\n`);
  process.stdout.write(`${machine}\n`);
  for (const [form, { seconds, cpuMs, readings, megabytes }] of Object.entries(forms))
    row(
      form === "fhir" ? "export" : "",
      `${readings} readings as ${form}: ${seconds.toFixed(1)} s, ${(cpuMs / 1e3).toFixed(1)} of processor, ${megabytes.toFixed(0)} MB`,
      form === "fhir" ? "goal <= 10 s for 24 h" : "",
    );
  const memory = [hour, forms.fhir].map(({ memoryMb }) => Math.round(memoryMb));
  row("memory", `${memory[0]} MB resident at most for one hour, ${memory[1]} for ${hours}`, "goal: flat");
}

await main();
