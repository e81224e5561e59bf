// The command as a process: --exec gets each finding on its stdin and nothing of a log among its words, a hook
// that fails is asked again, --every goes on until a signal.

import { spawn } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addToLog } from "../src/log/store";
import { newSigner, smallRecord } from "./maker-kit";
import { fastFolder, logSigner, makeHistory, station } from "./monitor-kit";
import { vouch } from "./session";

const cli = suite("monitor command");
const folder = fastFolder("monitor-cli");
const log = join(folder, "log");
const file = (name: string) => join(folder, name);

cli.before(async () => {
  const stranger = newSigner("stranger");
  const at = await makeHistory(folder, "made", 3, (n) => smallRecord(stranger, n));
  cpSync(at(3), log, { recursive: true });
  writeFileSync(
    file("policy"),
    `log ${formatVkey(logSigner.vkey)}\nquorum none\nenroller ${formatVkey(station.vkey)}\n`,
  );
  // Keeps what it is told, and its words; fails while a file of that name is there.
  writeFileSync(
    file("hook.mjs"),
    `import { appendFileSync, existsSync, readFileSync } from "node:fs";
     appendFileSync("told", readFileSync(0));
     appendFileSync("words", JSON.stringify(process.argv.slice(2)) + "\\n");
     console.log("a hook's own words");
     if (existsSync("broken")) process.exit(7);`,
  );
});
cli.after(() => rmSync(folder, { recursive: true, force: true }));

const ARGS = ["monitor", "log", "--policy", "policy"];
const EXEC = ["--exec", `'${process.execPath}' hook.mjs 'two words'`];
const told = () =>
  (existsSync(file("told")) ? readFileSync(file("told"), "utf8") : "")
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { n: number }).n);

cli("a hook gets each finding once, as JSON, and what it prints is no product", () => {
  const { status, stdout, stderr } = vouch(folder, [...ARGS, "--state", "s1", ...EXEC]);
  assert.is(status, 21, stderr);
  assert.equal(told(), [1, 2, 3]);
  assert.is(readFileSync(file("words"), "utf8"), '["two words"]\n'.repeat(3));
  assert.is(stdout.split("\n").length, 4);
  assert.match(stderr, /a hook's own words/);
  assert.is(vouch(folder, [...ARGS, "--state", "s1", ...EXEC]).status, 0);
  assert.equal(told(), [1, 2, 3]);
});

cli("one that fails is trouble, and is told the same finding again; those before it aren't", () => {
  rmSync(file("told"));
  writeFileSync(file("broken"), "");
  const { status, stderr } = vouch(folder, [...ARGS, "--state", "s2", ...EXEC]);
  assert.is(status, 21); // what was found is worse than a pager that is off
  assert.match(stderr, /ended with status 7 \[hook-failed\]/);
  assert.equal(told(), [1]);
  const still = vouch(folder, [...ARGS, "--state", "s2", ...EXEC]);
  assert.is(still.status, 21); // the finding, handed on or not
  assert.equal(told(), [1, 1]);
  rmSync(file("broken"));
  vouch(folder, [...ARGS, "--state", "s2", ...EXEC]);
  assert.equal(told(), [1, 1, 1, 2, 3]);
});

cli("a program that isn't there, and one that takes too long", () => {
  const none = vouch(folder, [...ARGS, "--state", "s3", "--exec", "./no-such-program"]);
  assert.match(none.stderr, /can't be run.*\[hook-failed\]/);
  const sleeps = `'${process.execPath}' -e 'setTimeout(()=>{},60000)'`;
  const slow = vouch(folder, [...ARGS, "--state", "s3", "--exec", sleeps, "--exec-timeout", "1"]);
  assert.match(slow.stderr, /took longer than 1 s \[hook-failed\]/);
});

cli("--every looks again, tells what was added, and ends with a signal", async () => {
  const child = spawn(
    process.execPath,
    [resolve("host-cli/bin/vouch.mjs"), ...ARGS, "--state", "s4", "--every", "1s", "--json"],
    { cwd: folder, stdio: ["ignore", "pipe", "inherit"] },
  );
  let out = "";
  const until = (count: number, what: RegExp) =>
    new Promise<void>((done) => {
      const look = () => {
        if ((out.match(what)?.length ?? 0) < count) return;
        child.stdout.off("data", look);
        done();
      };
      child.stdout.on("data", look);
      look();
    });
  child.stdout.on("data", (part: Buffer) => {
    out += part.toString();
  });
  const ended = new Promise<number | null>((done) => child.on("close", done));
  await until(2, /"pass"/g);
  const [before] = out.match(/"pass".*/) ?? [];
  assert.match(before ?? "", /"size":3,"fresh":3,"worst":"unsure","status":21/);
  await addToLog(log, [await smallRecord(newSigner("another"), 9)], logSigner);
  await until(1, /"index":3/g);
  child.kill("SIGTERM");
  assert.is(await ended, 21, "the worst there was");
  assert.equal(
    [...out.matchAll(/^\{"n":(\d+)/gm)].map(([, n]) => Number(n)),
    [1, 2, 3, 4],
  );
});
cli.run();
