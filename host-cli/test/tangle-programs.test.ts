// `npm run tangle` and `tangle:install`: which programs are taken, what a failure says, and that nothing is left of a
// network whose keeper dies.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { newFolder, whyNotReal } from "./tangle-kit";

const SCRIPT = resolve("scripts/tangle-programs.mjs");
const { findPrograms } = (await import(pathToFileURL(SCRIPT).href)) as {
  findPrograms(
    environment: Record<string, string>,
    installed: string,
  ): { programs?: Record<string, string>; why?: string };
};

const noShell = process.platform === "win32" ? "the stand-ins are shell scripts" : undefined;

/** A folder with programs that do what `script` says. */
function programs(folder: string, names: readonly string[], script: string): string {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

const NAMES = ["hornet", "inx-coordinator", "inx-poi"];

const finding = suite("programs of a private Tangle");

finding("are named, on PATH, or installed, in this order", () => {
  const { folder, remove } = newFolder();
  const onPath = programs(join(folder, "path"), NAMES, "");
  const installed = programs(join(folder, "installed"), NAMES, "");
  const named = join(programs(join(folder, "named"), ["mine"], ""), "mine");
  assert.is(findPrograms({ PATH: onPath }, installed).programs?.["hornet"], join(onPath, "hornet"));
  assert.is(findPrograms({ PATH: "" }, installed).programs?.["inx-poi"], join(installed, "inx-poi"));
  const all = findPrograms({ PATH: onPath, INX_POI_BIN: named }, installed).programs;
  assert.equal(all, {
    hornet: join(onPath, "hornet"),
    "inx-coordinator": join(onPath, "inx-coordinator"),
    "inx-poi": named,
  });
  remove();
});

finding("one that is missing is named, and a named one isn't replaced by another", () => {
  const { folder, remove } = newFolder();
  const some = programs(join(folder, "some"), NAMES.slice(0, 2), "");
  assert.match(findPrograms({ PATH: some }, folder).why ?? "", /^inx-poi isn't in INX_POI_BIN, on PATH/);
  const all = programs(join(folder, "all"), NAMES, "");
  const why = findPrograms({ PATH: all, HORNET_BIN: join(folder, "nowhere") }, folder).why ?? "";
  assert.match(why, /^HORNET_BIN names .*nowhere, which can't be run$/);
  remove();
});

for (const [name, script, expected] of [
  [
    "is refused by a Go that is too old",
    "echo go version go1.19.8 linux/amd64",
    /go1\.19\.8.*1\.21 or newer/,
  ],
  [
    "says which command failed, and how",
    'case "$1" in version) echo go version go1.23.1 linux/amd64;; *) echo 403 Forbidden >&2; exit 7;; esac',
    /403 Forbidden\n.*hornet: `go install github\.com\/iotaledger\/hornet\/v2@v2\.0\.1` failed \(status 7\)/s,
  ],
] as const) {
  if (noShell !== undefined) skip(finding, name, noShell);
  else
    finding(`installing ${name}`, () => {
      const { folder, remove } = newFolder();
      const path = `${programs(folder, ["go"], script)}:/bin:/usr/bin`;
      const ended = spawnSync(process.execPath, [SCRIPT], { encoding: "utf8", env: { PATH: path } });
      assert.is(ended.status, 1);
      assert.match(ended.stderr, expected);
      remove();
    });
}

finding("installing without Go says so", () => {
  const ended = spawnSync(process.execPath, [SCRIPT], { encoding: "utf8", env: { PATH: "" } });
  assert.is(ended.status, 1);
  assert.is(ended.stderr, "tangle:install: go isn't installed: 1.21 or newer is needed\n");
});
finding.run();

const running = suite("npm run tangle");

/** Processes that work in a folder below this one. */
const processesIn = (folder: string): string[] =>
  readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
      } catch {
        return false;
      }
    });

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (holds()) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  assert.unreachable(`${what}, after a minute`);
}

/** `npm run tangle`, its output, and its folder for what it makes. */
async function startScript(
  folder: string,
  ...args: string[]
): Promise<{ child: ChildProcess; said: () => string }> {
  const child = spawn(process.execPath, ["scripts/tangle.mjs", "--trust", join(folder, "trust"), ...args], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  }
  await until(`it isn't ready: ${said}`, () => /Ctrl-C/.test(said) || child.exitCode !== null);
  return { child, said: () => said };
}

const networks = (folder: string) => readdirSync(folder).filter((name) => name.startsWith("vouch-tangle-"));

const why =
  process.platform === "linux"
    ? await whyNotReal()
    : "what is left is looked for in /proc, which only Linux has";

for (const [signal, ...args] of [
  ["SIGTERM"],
  ["SIGKILL"],
  ["SIGINT", "--no-namespace"],
  ["SIGKILL", "--no-namespace"],
] as const) {
  const name = `ended by ${[signal, ...args].join(" with ")}, nothing is left`;
  if (why !== undefined) skip(running, name, why);
  else
    running(name, async () => {
      const { folder, remove } = newFolder();
      const { child, said } = await startScript(folder, ...args);
      assert.match(said(), /--ledger {4}stardust:http/, said());
      assert.is(networks(folder).length, 1);
      assert.ok(processesIn(folder).length >= 3, "node, coordinator and inx-poi");
      child.kill(signal);
      await until("processes are left", () => processesIn(folder).length === 0);
      await until("the folder is left", () => networks(folder).length === 0);
      await until("the trust file is gone", () => existsSync(join(folder, "trust")));
      remove();
    });
}

running("simulated, it says so, and keeps a trust file that was there", async () => {
  const { folder, remove } = newFolder();
  const { child, said } = await startScript(folder, "--simulated");
  assert.match(said(), /SIMULATED, nothing here is IOTA's/);
  const trust = readFileSync(join(folder, "trust"), "utf8");
  const second = await startScript(folder, "--simulated");
  assert.match(second.said(), /is there already/);
  assert.is(readFileSync(join(folder, "trust"), "utf8"), trust);
  child.kill("SIGTERM");
  await until("it runs on", () => child.exitCode !== null);
  assert.is(child.exitCode, 0);
  remove();
});
running.run();
