// How fast a fleet is audited, beside what its signatures alone would cost, in the same run:
//
//   audit       N devices, each with a key of its own: enrolment, commitment and evidence signed; two threads
//   openssl     `openssl speed -multi 2 ed25519`, before and after            goal: >= 0.85 of its verifies
//   @auth0/cose two processes that decode and verify the same evidence, and nothing else      goal: >= 1.6 ×
//   again       the same fleet and 1 % new devices, with a store              goal: <= 5 % of the first
//   memory      the largest resident set of all threads together              goal: <= 140 MB at any N
//   postgres    record lines into a real PostgreSQL                           goal: >= 5,000 a second
//
// Rates are by the clock on the wall, since two cores at once are the question; what else runs on the machine
// counts against us and the peers alike, and the load is printed. Signatures are what is compared: a device
// costs three, and a peer's loop checks one. Goals are shown and not enforced.
//
//   npm run bench:audit -- --records 100000 --json

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VOUCH = join(ROOT, "host-cli/bin/vouch.mjs");
const SIGNATURES = 3;

async function bundleKit(folder) {
  const [esbuild, { workspace }] = await Promise.all([import("esbuild"), import("./build.mjs")]);
  await esbuild.build({
    entryPoints: [join(ROOT, "host-cli/test/bench-audit.ts")],
    outfile: folder,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    plugins: [workspace],
  });
}

function kit(file, ...args) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--max-old-space-size=6000", file, ...args.map(String)],
    {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    },
  );
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr.slice(-1000)}`);
  return stdout.trim();
}

/** Several of them at once; what each prints. */
const together = (file, count, ...args) =>
  Promise.all(
    Array.from({ length: count }, () => {
      const child = spawn(process.execPath, [file, ...args.map(String)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let out = "";
      child.stdout.setEncoding("utf8").on("data", (text) => {
        out += text;
      });
      return new Promise((done) => child.on("close", () => done(out.trim())));
    }),
  );

function opensslVerifies(cores) {
  const { status, stdout } = spawnSync(
    "openssl",
    ["speed", "-multi", String(cores), "-seconds", "3", "ed25519"],
    {
      encoding: "utf8",
    },
  );
  const rate = /Ed25519\)?\s.*?([\d.]+)\s*$/m.exec(stdout)?.[1];
  if (status !== 0 || rate === undefined) throw new Error("openssl speed ed25519 failed");
  return Number(rate);
}

/** Runs an audit; seconds on the wall and the processors, and the most memory it had. */
function audit(folder, ...args) {
  return new Promise((done, failed) => {
    const started = performance.now();
    const child = spawn(process.execPath, [VOUCH, "audit", ...args, "--policy", "policy", "--quiet"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let [megabytes, cpu] = [0, 0];
    const poll = setInterval(() => {
      try {
        const text = readFileSync(`/proc/${child.pid}/status`, "utf8");
        megabytes = Math.max(megabytes, Number(/VmHWM:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
        const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1].split(" ");
        cpu = (Number(stat[11]) + Number(stat[12])) / 100;
      } catch {
        // it has ended
      }
    }, 20);
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      out += text;
    });
    child.on("close", (status) => {
      clearInterval(poll);
      if (status !== 0) return failed(new Error(`audit ended with status ${status}\n${out.slice(0, 2000)}`));
      done({ seconds: (performance.now() - started) / 1000, cpu, megabytes, out });
    });
  });
}

const { values } = parseArgs({
  options: {
    records: { type: "string", default: "100000" },
    jobs: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
  },
});
const records = Number(values.records);
const jobs = Number(values.jobs);
const more = Math.max(1, Math.round(records / 100));
const folder = mkdtempSync(join(tmpdir(), "vouch-bench-audit-"));
const kitFile = join(ROOT, "node_modules/.cache", `bench-audit-${process.pid}.mjs`);
const say = (text) => values.json || console.log(text);
const rate = (number) => Math.round(number).toLocaleString("en");
try {
  await bundleKit(kitFile);
  kit(kitFile, "fleet", folder, records, more);
  say(
    `${records} devices, ${jobs} threads, node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, load ${loadavg()[0].toFixed(1)}`,
  );
  const before = opensslVerifies(jobs);
  const first = await audit(folder, "context.vouch.json", "fleet.jsonl", "--jobs", jobs);
  const after = opensslVerifies(jobs);
  const cose = (await together(kitFile, jobs, "cose", join(folder, "fleet.jsonl"), 3)).reduce(
    (sum, n) => sum + Number(n),
    0,
  );
  const kept = await audit(folder, "context.vouch.json", "fleet.jsonl", "--jobs", jobs, "--store", "store");
  cpSync(join(folder, "store"), join(folder, "copy"), { recursive: true });
  const again = await audit(
    folder,
    "context.vouch.json",
    "fleet.jsonl",
    "new.jsonl",
    "--jobs",
    jobs,
    "--store",
    "store",
  );
  const postgres = JSON.parse(kit(kitFile, "postgres", join(folder, "copy/audit.jsonl")));
  const openssl = (before + after) / 2;
  const result = {
    records,
    load: loadavg()[0],
    openssl: [before, after],
    devices: records / first.seconds,
    signatures: (SIGNATURES * records) / first.seconds,
    ofOpenssl: (SIGNATURES * records) / first.seconds / openssl,
    cose,
    ofCose: (SIGNATURES * records) / first.seconds / cose,
    megabytes: [first.megabytes, kept.megabytes, again.megabytes],
    again: again.seconds / kept.seconds,
    againCpu: again.cpu / kept.cpu,
    postgres,
  };
  if (values.json) console.log(JSON.stringify(result));
  say(
    `audit        ${rate(result.devices)} devices/s, ${rate(result.signatures)} signatures/s in ${first.seconds.toFixed(1)} s`,
  );
  say(
    `openssl      ${rate(before)} and ${rate(after)} verifies/s: ${result.ofOpenssl.toFixed(2)} of it (goal 0.85)`,
  );
  say(`@auth0/cose  ${rate(cose)} verifies/s: ${result.ofCose.toFixed(2)} × (goal 1.6)`);
  say(
    `again        ${more} new: ${(100 * result.again).toFixed(1)} % of the first by the wall, ${(100 * result.againCpu).toFixed(1)} % by the processors (goal 5)`,
  );
  say(
    `memory       ${result.megabytes.map((m) => m.toFixed(0)).join(", ")} MB: first, with a store, again (goal 140)`,
  );
  say(
    typeof postgres === "string"
      ? `postgres     skipped: ${postgres}`
      : `postgres     ${rate(postgres.add)} records/s added, ${rate(postgres.find)} found (goal 5,000)`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
  rmSync(kitFile, { force: true });
}
