// The three programs of a private Tangle, and where they are:
//
//   1. HORNET_BIN, INX_COORDINATOR_BIN, INX_POI_BIN
//   2. PATH
//   3. node_modules/.cache/vouch-tangle, where `npm run tangle:install` puts them
//
//   $ npm run tangle:install          needs Go 1.21 or newer

import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const CACHE = join(ROOT, "node_modules/.cache/vouch-tangle");
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
export function findPrograms(environment = process.env, cache = CACHE) {
  const found = {};
  for (const { name, variable } of PROGRAMS) {
    const named = environment[variable];
    const folders = [...(environment.PATH ?? "").split(delimiter), cache].filter((folder) => folder !== "");
    const candidates = named ? [named] : folders.map((folder) => join(folder, name + EXE));
    const path = candidates.find(runnable);
    if (path === undefined) {
      const where = named
        ? `${variable} names ${named}, which can't be run`
        : `${name} isn't in ${variable}, on PATH or installed (npm run tangle:install)`;
      return { why: where };
    }
    found[name] = path;
  }
  return { programs: found };
}

/** "1.21" of `go version go1.21.3 linux/amd64`. */
export function goVersion(text) {
  const [, major, minor] = /\bgo(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor)];
}

/** Throws with what failed and which command it was. */
export function install(say = console.log, cache = CACHE) {
  const asked = spawnSync("go", ["version"], { encoding: "utf8" });
  if (asked.status !== 0) throw new Error("go isn't installed: 1.21 or newer is needed");
  const [major = 0, minor = 0] = goVersion(asked.stdout) ?? [];
  if (major < 1 || (major === 1 && minor < 21))
    throw new Error(`${asked.stdout.trim()}: 1.21 or newer is needed`);
  mkdirSync(cache, { recursive: true });
  for (const { name, module } of PROGRAMS) {
    if (runnable(join(cache, name + EXE))) {
      say(`${name.padEnd(16)} is there already`);
      continue;
    }
    say(`${name.padEnd(16)} go install ${module}`);
    const { status, signal, error } = spawnSync("go", ["install", module], {
      env: { ...process.env, CGO_ENABLED: "0", GOBIN: cache },
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (status !== 0) {
      const how = error?.message ?? signal ?? `status ${status}`;
      throw new Error(`${name}: \`go install ${module}\` failed (${how}); what Go said is above`);
    }
  }
  say(`installed in ${cache}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    install();
  } catch (error) {
    console.error(`tangle:install: ${error.message}`);
    process.exitCode = 1;
  }
}
