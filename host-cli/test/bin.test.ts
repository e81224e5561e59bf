// The committed entry. In a fresh clone, without node_modules, with npm's cache
// empty and the network off, `npx vouch` must be ours: a stranger's package of
// that name would run with the user's rights.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { Script } from "node:vm";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";

const bin = suite("bin");

const { compiledOf, textOf } = createRequire(resolve("host-cli/bin/vouch.cjs"))("./vouch.cjs");
const folder = mkdtempSync(join(tmpdir(), "vouch-bin-"));
const clone = join(folder, "clone");
const { version } = JSON.parse(readFileSync("host-cli/package.json", "utf8"));
const NOT_BUILT = "vouch: not built yet\nvouch: hint: `npm ci`, or `npm run build` after it\n";

/** As somebody at a shell prompt: nothing inherited from the npm that runs these tests. */
const shell = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD)/i.test(name)),
);

const run = (command: string, args: string[], cwd: string) =>
  spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: 60_000,
    shell: process.platform === "win32",
    env: {
      ...shell,
      npm_config_cache: join(folder, "cache"),
      npm_config_offline: "true",
      npm_config_audit: "false",
    },
  });

bin.before(() => {
  // What `git clone` would bring: everything but what is installed, built or git's own.
  const left = new Set(["node_modules", "dist", ".git", ".peers", "vectors"]);
  mkdirSync(clone);
  cpSync(".", clone, {
    recursive: true,
    filter: (path) => !left.has(basename(path)) && !/^dist\.\d+$/.test(basename(path)),
  });
});
bin.after(() => rmSync(folder, { recursive: true }));

for (const entry of ["host-cli/bin/vouch.cjs", "host-cli/bin/vouch.mjs"]) {
  bin(`${entry} is executable and starts node`, () => {
    assert.match(readFileSync(entry, "utf8"), /^#!\/usr\/bin\/env node\n/);
    assert.is(statSync(entry).mode & 0o111, 0o111);
  });

  bin(`${entry} says what to do when nothing is built`, () => {
    const { status, stdout, stderr } = run(process.execPath, [entry, "verify"], clone);
    assert.equal([status, stdout, stderr], [1, "", NOT_BUILT]);
  });

  bin(`${entry} runs what is built`, () => {
    const { status, stdout, stderr } = run(process.execPath, [entry, "--version"], process.cwd());
    assert.equal([status, stdout, stderr], [0, `vouch ${version}\n`, ""]);
  });
}

bin("this Node takes what the build compiled with it, of main and of verify", () => {
  for (const name of ["main.cjs", "commands/verify.cjs"]) {
    const file = join("host-cli/dist", name);
    const cachedData = readFileSync(compiledOf(file));
    const script = new Script(textOf(file), { cachedData });
    assert.is(script.cachedDataRejected, false, name);
  }
});

bin("whatever is wrong with what was compiled, the text runs, and says the same", () => {
  const dist = join(clone, "host-cli/dist");
  const noVerb = () => run(process.execPath, ["host-cli/bin/vouch.cjs", "verify", "nothing"], clone);
  cpSync("host-cli/dist", dist, { recursive: true });
  const files = ["main.cjs", "commands/verify.cjs"].map((name) => compiledOf(join(dist, name)));
  const good = noVerb();
  assert.is(good.status, 1);
  assert.match(good.stderr, /--policy/);
  for (const spoil of [
    (bytes: Buffer) => bytes.fill(0, 0, 64), // another V8, another text
    (bytes: Buffer) => bytes.subarray(0, 1000),
    () => Buffer.alloc(0),
    null,
  ]) {
    for (const file of files) {
      if (spoil === null) rmSync(file);
      else writeFileSync(file, spoil(readFileSync(file)));
    }
    const { status, stdout, stderr } = noVerb();
    assert.equal([status, stdout, stderr], [good.status, good.stdout, good.stderr]);
  }
  rmSync(dist, { recursive: true });
});

const noNpx = run("npx", ["--version"], folder).status === 0 ? undefined : "npx is not installed";
const ours = "npx vouch in a fresh clone is ours, before anything is installed or built";
if (noNpx !== undefined) skip(bin, ours, noNpx);
else {
  bin(ours, () => {
    const { status, stdout, stderr } = run("npx", ["vouch", "--version"], clone);
    assert.ok(stderr.endsWith(NOT_BUILT), stderr);
    assert.is(stdout, "");
    assert.is(status, 1);
    assert.not(existsSync(join(clone, "node_modules")));
  });

  bin("npx vouch in a built clone is that build", () => {
    cpSync("host-cli/dist", join(clone, "host-cli/dist"), { recursive: true });
    const { status, stdout, stderr } = run("npx", ["vouch", "--version"], clone);
    assert.is(stdout, `vouch ${version}\n`, stderr);
    assert.is(status, 0);
    rmSync(join(clone, "host-cli/dist"), { recursive: true });
  });
}

bin("an install links the command", () => {
  const link = "node_modules/.bin/vouch";
  assert.ok(existsSync(link), "npm ci makes it");
  if (process.platform !== "win32") assert.is(realpathSync(link), realpathSync("host-cli/bin/vouch.mjs"));
  const { status, stdout } = run(process.execPath, [link, "--version"], process.cwd());
  assert.is(stdout, `vouch ${version}\n`);
  assert.is(status, 0);
});

bin("a closed pipe is no error, a full disk is", () => {
  const closed = spawnSync(
    "sh",
    ["-c", `{ "${process.execPath}" host-cli/bin/vouch.cjs --help; echo "status $?" >&2; } | true`],
    {
      encoding: "utf8",
    },
  );
  assert.is(closed.stderr, "status 0\n");
  if (!existsSync("/dev/full")) return skip(bin, "a full disk is trouble", "no /dev/full here");
  const full = spawnSync("sh", ["-c", `"${process.execPath}" host-cli/bin/vouch.cjs --help > /dev/full`], {
    encoding: "utf8",
  });
  assert.match(full.stderr, /^vouch: .*ENOSPC.* \[enospc\]\n$/);
  assert.is(full.status, 1);
});
bin.run();
