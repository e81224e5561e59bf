// Builds, bundles the tests and runs each file in a process of its own.
//
//   node scripts/test.mjs                      everything, after a build
//   node scripts/test.mjs a.test.ts b.test.ts  these, with what they print
//
// The last line is always "N passed, N failed", with ", N skipped" and the
// reasons above it when something was: also when a file doesn't bundle,
// crashes at import, hangs or ends the process. uvu's own false greens count
// as failures (uvu-watch.mjs). What the tests put in logs and on ledgers is looked
// through for personal data (leaks.mjs): a test more where all files are run. Status 0
// means: something passed, nothing failed.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { judge } from "./leaks.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CACHE = join(ROOT, "node_modules/.cache/vouch-test", String(process.pid)); // packages resolve from here
const TIMEOUT_MS = Number(process.env.VOUCH_TEST_TIMEOUT_MS ?? 600_000);
const GRACE_MS = Math.min(10_000, TIMEOUT_MS / 2); // from the last test to the end of the process

const totals = { passed: 0, failed: 0, skips: [] };
const looked = { bytes: 0, values: 0, leaks: 0, ms: 0 };

function findTests(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** Bundles keep `import.meta.url` pointing at the source, and get uvu through uvu-watch.mjs. */
function plugins({ workspace }) {
  const watch = join(ROOT, "scripts/uvu-watch.mjs");
  return [
    workspace,
    {
      name: "tests",
      setup(build) {
        build.onResolve({ filter: /^uvu$/ }, ({ importer }) =>
          importer === watch ? { external: true } : { path: watch },
        );
        build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
          const source = readFileSync(path, "utf8");
          if (!source.includes("import.meta.url")) return undefined;
          const url = JSON.stringify(pathToFileURL(path).href);
          return { loader: "ts", contents: source.replaceAll("import.meta.url", url) };
        });
      },
    },
  ];
}

/** Bundles every file; those that don't bundle are counted and left out. Returns [file, bundle] pairs. */
async function bundleAll(files) {
  const [esbuild, { workspace }] = await Promise.all([import("esbuild"), import("./build.mjs")]);
  const jobs = files.map((file, index) => ({
    file,
    name: `${index}-${file.replace(/^.*[\\/]|\.ts$/g, "")}`,
  }));
  const bundle = (some, logLevel) =>
    esbuild.build({
      absWorkingDir: ROOT,
      entryPoints: some.map(({ file, name }) => ({ in: resolve(file), out: name })),
      outdir: CACHE,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      packages: "external",
      outExtension: { ".js": ".mjs" },
      sourcemap: "inline",
      define: { VOUCH_DIST: JSON.stringify(join(ROOT, "host-cli/dist")) },
      plugins: plugins({ workspace }),
      logLevel,
    });
  const done = (job) => [job.file, join(CACHE, `${job.name}.mjs`)];
  try {
    await bundle(jobs, "silent");
    return jobs.map(done);
  } catch {
    const good = [];
    for (const job of jobs) {
      await bundle([job], "error").then(
        () => good.push(done(job)),
        () => fail(job.file, "doesn't bundle"),
      );
    }
    return good;
  }
}

function fail(file, why, output = "") {
  totals.failed++;
  console.log(`FAIL ${show(file)}: ${why}${output === "" ? "" : `\n${output}`}`);
}

const show = (file) => relative(ROOT, resolve(file));

const running = new Set();

/** Runs one bundle and adds what its report says to the totals. */
function runFile(file, bundle, verbose) {
  const report = `${bundle}.report`;
  const keep = `${bundle}.kept`;
  const started = Date.now();
  return new Promise((settle) => {
    const child = spawn(
      process.execPath,
      ["--enable-source-maps", join(ROOT, "scripts/test-file.mjs"), bundle, report, keep],
      {
        cwd: ROOT,
        stdio: ["ignore", "pipe", "pipe"],
        detached: true, // a group of its own, so that what it started ends with it
        env: { ...process.env, FORCE_COLOR: undefined },
      },
    );
    running.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        if (output.length < 1e6) output += text;
      });
    }
    let killed = "";
    const kill = (why) => {
      killed = why;
      endGroup(child);
    };
    let graceful;
    const hung = setTimeout(() => kill(`hung: stopped after ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    const poll = setInterval(() => {
      if (graceful !== undefined || !readReport(report).finished) return;
      graceful = setTimeout(() => kill("passed its last test but left something open"), GRACE_MS);
    }, 250);
    // "exit" and not "close": a grandchild that holds the pipe must not hold us.
    child.on("exit", (code, signal) => {
      clearTimeout(hung);
      clearTimeout(graceful);
      clearInterval(poll);
      running.delete(child);
      const end = () => {
        endGroup(child);
        tally(file, readReport(report), {
          code,
          signal,
          killed,
          output,
          verbose,
          took: Date.now() - started,
        });
        lookThrough(file, keep);
        settle();
      };
      // What it printed last may still be in the pipe: on a busy machine the 20 ms may be over before anybody has read
      // it, so the pipes are polled once more after them.
      setTimeout(() => setImmediate(end), 20);
    });
  });
}

/** Whether logs and ledgers that a file's tests filled hold personal data. */
function lookThrough(file, keep) {
  const started = Date.now();
  const { leaks, bytes, values } = judge(keep);
  looked.bytes += bytes;
  looked.values = Math.max(looked.values, values);
  looked.leaks += leaks.length;
  looked.ms += Date.now() - started;
  if (leaks.length > 0) fail(file, "personal data in a log or on a ledger", leaks.join("\n"));
}

/** Of the whole suite: that what was looked through is no empty set. */
function sayLooked() {
  if (looked.leaks > 0) return;
  if (looked.bytes < 1e6 || looked.values < 300)
    return fail("scripts/leaks.mjs", `looked through ${looked.bytes} bytes for ${looked.values} values only`);
  totals.passed++;
  const size = (looked.bytes / 1e6).toFixed(1);
  const took = (looked.ms / 1000).toFixed(1);
  console.log(
    `ok   scripts/leaks.mjs  no personal data in ${size} MB of logs and what ledgers were handed, ${took} s`,
  );
}

function endGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // ESRCH: nobody of the group is left, as it should be
  }
}

function readReport(path) {
  const seen = { passed: 0, failed: 0, problems: [], skips: [], finished: false };
  if (!existsSync(path)) return seen;
  for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
    const { passed = 0, failed = 0, problem, skip, finished } = JSON.parse(line);
    seen.passed += passed;
    seen.failed += failed;
    if (problem !== undefined) seen.problems.push(problem);
    if (skip !== undefined) seen.skips.push(skip);
    if (finished) seen.finished = true;
  }
  return seen;
}

function tally(file, seen, end) {
  const problems = [...seen.problems];
  if (end.killed !== "") problems.push(end.killed);
  else if (!seen.finished)
    problems.push(`ended before its tests did (${end.signal ?? `status ${end.code}`})`);
  else if (end.code !== 0)
    problems.push(`tests passed, then the process ended with ${end.signal ?? `status ${end.code}`}`);
  const failed = seen.failed + problems.length;
  totals.passed += seen.passed;
  totals.failed += failed;
  for (const skip of seen.skips) totals.skips.push({ ...skip, file: show(file) });
  const counts = `${seen.passed} passed${failed > 0 ? `, ${failed} failed` : ""}`;
  console.log(`${failed > 0 ? "FAIL" : "ok  "} ${show(file)}  ${counts}, ${(end.took / 1000).toFixed(1)} s`);
  if (failed > 0 || end.verbose)
    process.stdout.write(end.output.trimEnd() === "" ? "" : `${end.output.trimEnd()}\n`);
  for (const problem of problems) console.log(`     ${problem}`);
}

async function runAll(files, verbose) {
  const queue = [...(await bundleAll(files))];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await runFile(...next, verbose);
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, worker));
}

function finish() {
  for (const child of running) endGroup(child);
  rmSync(CACHE, { recursive: true, force: true });
  const { passed, failed, skips } = totals;
  for (const { file, suite, test, reason } of skips)
    console.log(`skipped: ${file}: ${suite}: ${test}: ${reason}`);
  console.log(`${passed} passed, ${failed} failed${skips.length > 0 ? `, ${skips.length} skipped` : ""}`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    totals.failed++;
    console.log(`FAIL stopped by ${signal}`);
    finish();
    process.exit(1);
  });
}

const named = process.argv.slice(2).filter((arg) => arg !== "--no-build");
try {
  mkdirSync(CACHE, { recursive: true });
  if (named.length === 0 && !process.argv.includes("--no-build")) {
    const built = spawnSync(process.execPath, [join(ROOT, "scripts/build.mjs")], { stdio: "inherit" });
    if (built.status !== 0)
      fail("scripts/build.mjs", "the build failed; the command's own tests run what was built before");
  }
  const missing = named.filter((file) => !existsSync(file));
  for (const file of missing) fail(file, "no such file");
  const files =
    named.length > 0
      ? named
      : ["shared/test", "firmware/test", "host-cli/test"].flatMap((f) => findTests(join(ROOT, f)));
  await runAll(
    files.filter((file) => !missing.includes(file)),
    named.length > 0,
  );
  if (named.length === 0) sayLooked();
} catch (error) {
  fail("scripts/test.mjs", error.message);
} finally {
  finish();
}
