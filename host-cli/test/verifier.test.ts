// The verifier that stands alone (scripts/verifier.mjs): one file, the same bytes from every build, with the
// licences of what is in it; and it judges receipts of IOTA's ledger, for which `vouch` loads a second file.
// sessions.test.ts asks it all that is asked of `vouch verify`, and of the other verbs that it has.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { type Alone, makeAlone, vouch } from "./session";

const folder = mkdtempSync(join(tmpdir(), "vouch-verifier-"));
const BUILT = "host-cli/dist/vouch-verify.cjs";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

let alone: Alone;

const verifier = suite("verifier");

verifier.before(() => {
  mkdirSync(join(folder, "apart"));
  alone = makeAlone(join(folder, "apart"));
});
verifier.after(() => rmSync(folder, { recursive: true }));

verifier("`vouch verifier` writes the build's file, and prints its digest", () => {
  const expected = sha256(readFileSync(BUILT));
  const text = vouch(folder, ["verifier", "-o", "v.cjs"]);
  assert.is(text.status, 0, text.stderr);
  assert.match(text.stderr, new RegExp(`sha256 ${expected}\n`));
  assert.is(sha256(readFileSync(join(folder, "v.cjs"))), expected);
  const json = JSON.parse(vouch(folder, ["verifier", "-o", "v.cjs", "--json"]).stdout);
  assert.is(json.sha256, expected);
  assert.is(sha256(new TextEncoder().encode(vouch(folder, ["verifier"]).stdout)), expected);
  assert.is(vouch(folder, ["verifier", "--json"]).status, 1);
});

verifier("building it again gives the same bytes, and none that tells where", async () => {
  const { buildVerifier } = await import(pathToFileURL(resolve("scripts/verifier.mjs")).href);
  const again: Uint8Array = await buildVerifier({ esbuild: await import("esbuild") });
  assert.is(sha256(again), sha256(readFileSync(BUILT)), "a stale build? `npm run build`");
  assert.not.ok(Buffer.from(again).includes(resolve(".")));
});

verifier("asks Node for all it needs, and says whose work it holds", () => {
  const text = readFileSync(BUILT, "utf8");
  const needs = [...text.matchAll(/\brequire\("([^"]*)"\)/g)].map(([, id = ""]) => id.replace(/^node:/, ""));
  assert.equal(
    needs.filter((id) => !builtinModules.includes(id)),
    [],
  );
  assert.ok(needs.includes("crypto"), "the pattern finds what there is");
  assert.not.match(text, /\bimport\(/);
  for (const name of ["@noble/curves", "@noble/hashes", "commander"])
    assert.match(text, new RegExp(`^// ${name} [0-9.]+ \\(MIT\\)$`, "m"));
});

verifier("asked for its version or for help, answers", () => {
  assert.match(alone(folder, ["--version"]).stdout, /^vouch [0-9]+\.[0-9]+\.[0-9]+\n$/);
  for (const args of [
    ["verify", "--help"],
    ["audit", "--help"],
    ["help", "verify"],
  ]) {
    const help = alone(folder, args);
    assert.is(help.status, 0);
    assert.match(help.stdout, /--policy <FILE>/);
  }
  const verbs = [...alone(folder, ["--help"]).stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(
    ([, verb]) => verb,
  );
  assert.equal(verbs, ["verify", "audit", "report", "fleet"]);
  assert.is(alone(folder, []).status, 1);
});

verifier("keeps nothing and is one thread: --store and --jobs are no options of it", () => {
  for (const option of ["--store", "--jobs", "--fresh"]) {
    const { status, stderr } = alone(folder, ["audit", ".", "--policy", "p", option, "1"]);
    assert.is(status, 1);
    assert.match(stderr, new RegExp(`unknown option '${option}' \\[usage\\]`));
  }
  assert.match(
    alone(folder, ["fleet", "check", "r", "--statement", "s", "--signer", "k", "--log", "l"]).stderr,
    /--log/,
  );
});

verifier("a verb that is mistyped is no bundle's name", () => {
  const { status, stderr } = alone(folder, ["adit", "evidence", "--policy", "p"]);
  assert.is(status, 1);
  assert.match(stderr, /^vouch: no verb "adit" \[usage\]\nvouch: hint: did you mean `vouch audit`\?$/m);
  assert.match(
    alone(folder, ["pump.vouch.json", "--policy", "p"]).stderr,
    "p: no such file or folder [not-found]",
  );
});

verifier("a file that is called like a verb is verified when it is named as a file", () => {
  writeFileSync(join(folder, "audit"), "{}");
  for (const args of [["./audit"], ["verify", "audit"]]) {
    const { status, stderr } = alone(folder, [...args, "--policy", "p"]);
    assert.is(status, 1);
    assert.match(stderr, /^vouch: p: no such file/);
  }
});

const netless = suite("without a network");

/** Why a process can't be started in a network namespace with nothing in it, or undefined when it can. */
const noNamespace = (() => {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  const { status, error, stderr } = spawnSync("unshare", ["--user", "--map-root-user", "--net", "true"], {
    encoding: "utf8",
  });
  return error?.message ?? (status === 0 ? undefined : `unshare: ${stderr.trim()}`);
})();

const name =
  "a fleet is judged where there is no interface but a dead loopback, and no module but Node's own";
if (noNamespace !== undefined) skip(netless, name, noNamespace);
else
  netless(name, () => {
    const place = mkdtempSync(join(tmpdir(), "vouch-netless-"));
    try {
      cpSync(BUILT, join(place, "vouch-verify.cjs"));
      assert.is(vouch(place, ["demo", "--fleet", "pumps", "--quiet"]).status, 0);
      const args = ["audit", "pumps", "--policy", "pumps/policy", "--quiet"];
      const there = vouch(place, args);
      const here = spawnSync(
        "unshare",
        ["--user", "--map-root-user", "--net", process.execPath, "vouch-verify.cjs", ...args],
        { cwd: place, encoding: "utf8", env: { NODE_PATH: "" } },
      );
      const timeless = (text: string) => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "TIME");
      assert.is(here.status, 20, here.stderr);
      assert.is(timeless(here.stdout), timeless(there.stdout));
      assert.match(here.stdout, /^13 of 200 records not patched/);
    } finally {
      rmSync(place, { recursive: true });
    }
  });

verifier.run();
netless.run();
