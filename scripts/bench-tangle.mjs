// How long an anchor on a Tangle takes, from the checkpoint to a receipt that our verifier has passed, on an idle network,
// as a multiple of its milestone interval:
//
//   median <= 2, p99 <= 4
//
// A block waits half an interval for its milestone at the median, and one at most; the rest is ours. Each anchor is
// one run of the built command, process and all; beside it what the ledger alone took (the receipt's `final`), and how
// long Node takes to do nothing. Against a real HORNET when its programs are found (scripts/tangle-programs.mjs), and
// else against the fake one of the tests, which says little of a network: the first line tells which.
//
//   npm run bench:tangle -- --json            one object
//   npm run bench:tangle -- --anchors 100     more than 40
//   npm run bench:tangle -- --interval 2000   milliseconds; 1000
//   npm run bench:tangle -- --simulated       the fake one, also where there is a real one

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startSimulated, trustFile } from "./tangle.mjs";
import { startTangle } from "./tangle-network.mjs";
import { findPrograms } from "./tangle-programs.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VOUCH = join(ROOT, "host-cli/bin/vouch.mjs");

async function timed(args, cwd) {
  const begun = performance.now();
  const child = spawn(process.execPath, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => {
    out += text;
  });
  child.stderr.on("data", (text) => {
    err += text;
  });
  const [status] = await once(child, "close");
  if (status !== 0)
    throw new Error(`vouch ${args.slice(1, 3).join(" ")}: status ${status}\n${err.slice(-1000)}`);
  return { ms: performance.now() - begun, out };
}

/** A log that grows by one record at a time, as a maker would have it. */
async function makeLog(folder) {
  const vouch = (...args) => {
    const { status, stderr } = spawnSync(process.execPath, [VOUCH, ...args], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`vouch ${args[0]}: ${stderr.slice(-1000)}`);
  };
  vouch("demo", "--keep", ".", "--json");
  let n = 0;
  return () => {
    n++;
    vouch(
      "status",
      "new",
      "--log",
      "log",
      "--product",
      "pump-400",
      "--key",
      "acme-status.key",
      "-o",
      `s${n}.json`,
    );
    vouch("log", "add", "log", `s${n}.json`, "--key", "fwlog.acme.example.key");
  };
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];

async function main() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      anchors: { type: "string", default: "40" },
      interval: { type: "string", default: "1000" },
      simulated: { type: "boolean", default: false },
    },
  });
  const [anchors, intervalMs] = [Number(values.anchors), Number(values.interval)];
  if (!(anchors >= 3) || !(intervalMs >= 100)) throw new Error("--anchors from 3, --interval from 100");
  const { why } = findPrograms();
  const simulated = values.simulated || why !== undefined;
  const options = { intervalMs, networkName: "vouch-bench" };
  const tangle = simulated ? (await startSimulated(options)).fake : await startTangle(options);
  const folder = mkdtempSync(join(tmpdir(), "vouch-bench-"));
  try {
    const grow = await makeLog(folder);
    writeFileSync(join(folder, "bench.trust"), trustFile(tangle.trust));
    const anchor = ["anchor", "log", "--ledger", tangle.where, "--trust", "bench.trust", "--yes", "--json"];
    const [whole, ledger, empty] = [[], [], []];
    for (let n = 0; n < anchors; n++) {
      if (n > 0) grow();
      await sleep(Math.random() * intervalMs); // so that anchors begin anywhere between two milestones
      empty.push((await timed(["-e", "0"], folder)).ms);
      const { ms, out } = await timed([VOUCH, ...anchor], folder);
      whole.push(ms);
      ledger.push(Number.parseFloat(JSON.parse(out).final) * 1000);
    }
    const rows = [
      ["anchor to verified receipt", whole, { median: 2, p99: 4 }],
      ["of it on the ledger", ledger, null],
      ["node -e 0", empty, null],
    ].map(([name, times, goal]) => {
      const ratios = times.map((ms) => ms / intervalMs).toSorted((a, b) => a - b);
      return { name, median: at(ratios, 0.5), p99: at(ratios, 0.99), goal };
    });
    const node = simulated ? "SIMULATED node" : "HORNET 2.0.1";
    if (values.json) {
      console.log(JSON.stringify({ node, simulated, intervalMs, anchors, cpu: cpus()[0]?.model, rows }));
      return;
    }
    console.log(`${node}, a milestone every ${intervalMs} ms, ${anchors} anchors; in intervals`);
    if (simulated && why !== undefined) console.log(`no real one: ${why}`);
    for (const { name, median, p99, goal } of rows) {
      const told =
        goal === null
          ? ""
          : `  goal <= ${goal.median}, <= ${goal.p99}: ${median <= goal.median && p99 <= goal.p99 ? "met" : "MISSED"}`;
      console.log(`${name.padEnd(28)} median ${median.toFixed(2)}  p99 ${p99.toFixed(2)}${told}`);
    }
  } finally {
    await tangle.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
