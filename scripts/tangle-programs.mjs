// The three programs of a private Tangle, and where they are:
//
//   1. HORNET_BIN, INX_COORDINATOR_BIN, INX_POI_BIN
//   2. PATH
//   3. .peers/bin, where `npm run tangle:install` puts them
//
//   $ npm run tangle:install          needs Go 1.21 or newer

import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INSTALLED = join(ROOT, ".peers/bin");
const EXE = process.platform === "win32" ? ".exe" : "";

export const PROGRAMS = [
  { name: "hornet", variable: "HORNET_BIN", module: "github.com/iotaledger/hornet/v2@v2.0.1" },
  {
    name: "inx-coordinator",
    variable: "INX_COORDINATOR_BIN",
    module: "github.com/iotaledger/inx-coordinator@v1.0.1",
  },
  { name: "inx-poi", variable: "INX_POI_BIN", module: "github.com/iotaledger/inx-poi@v1.0.0" },
];

function runnable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Paths by name, or `why` not: a named file that isn't there is no reason to take another. */
export function findPrograms(environment = process.env, installed = INSTALLED) {
  const found = {};
  for (const { name, variable } of PROGRAMS) {
    const named = environment[variable];
    const folders = [...(environment.PATH ?? "").split(delimiter), installed].filter(
      (folder) => folder !== "",
    );
    const candidates = named ? [named] : folders.map((folder) => join(folder, name + EXE));
    const path = candidates.find(runnable);
    if (path === undefined) {
      const where = named
        ? `${variable} names ${named}, which can't be run`
        : `${name} isn't in ${variable}, on PATH or installed (npm run tangle:install)`;
      return { why: where };
    }
    found[name] = resolve(path); // the network runs elsewhere
  }
  return { programs: found };
}

/** [1, 21] of `go version go1.21.3 linux/amd64`. */
export function goVersion(text) {
  const [, major, minor] = /\bgo(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor)];
}

const go = (args, options) => spawnSync("go", args, { encoding: "utf8", ...options });

/** Whether the program there is of exactly this module and version, as Go wrote into it. */
function isBuiltFrom(path, module) {
  const [name, version] = module.split("@");
  const { status, stdout } = go(["version", "-m", path]);
  return status === 0 && stdout.includes(`\tmod\t${name}\t${version}\t`);
}

/** Throws with what failed and which command it was. */
export function install(say = console.log, installed = INSTALLED) {
  const asked = go(["version"]);
  if (asked.status !== 0) throw new Error("go isn't installed: 1.21 or newer is needed");
  const [major = 0, minor = 0] = goVersion(asked.stdout) ?? [];
  if (major < 1 || (major === 1 && minor < 21))
    throw new Error(`${asked.stdout.trim()}: 1.21 or newer is needed`);
  const unfinished = join(installed, ".unfinished"); // a program is put in its place whole
  mkdirSync(unfinished, { recursive: true });
  try {
    for (const { name, module } of PROGRAMS) installOne(name + EXE, module, unfinished, installed, say);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  say(`they are in ${relative("", installed)}`);
}

function installOne(name, module, unfinished, installed, say) {
  const path = join(installed, name);
  if (runnable(path) && isBuiltFrom(path, module)) return say(`${name.padEnd(16)} is there already`);
  say(`${name.padEnd(16)} go install ${module}`);
  const { status, signal, error } = go(["install", module], {
    env: { ...process.env, CGO_ENABLED: "0", GOBIN: unfinished },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) {
    const how = error?.message ?? signal ?? `status ${status}`;
    throw new Error(`${name}: \`go install ${module}\` failed (${how}); what Go said is above`);
  }
  renameSync(join(unfinished, name), path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    install();
  } catch (error) {
    console.error(`tangle:install: ${error.message}`);
    process.exitCode = 1;
  }
}
