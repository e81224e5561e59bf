// The verifier that stands alone (scripts/verifier.mjs): one file, the same bytes from every build, with the
// licences of what is in it; and it judges receipts of IOTA's ledger, for which `vouch` loads a second file.
// sessions.test.ts asks it all that is asked of `vouch verify`.

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
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
  const help = alone(folder, ["--help"]);
  assert.is(help.status, 0);
  assert.match(help.stdout, /--policy <FILE>/);
  assert.is(alone(folder, []).status, 1);
});
verifier.run();
