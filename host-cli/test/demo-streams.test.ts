// The demo of streams, and what it leaves behind.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Json } from "./fhir-kit";
import { fhirIssues, medplumIssues } from "./fhir-oracles";
import { brokenBundle } from "./fhir-rules";

const test = suite("demo --streams");
const BIN = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "vouch-demo-streams-"));
const kept = join(home, "kept");
const at = (name: string) => join(kept, name);

test.after(() => rmSync(home, { recursive: true, force: true }));

function vouch(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

const KEYS = [
  ...["--policy", at("policy"), "--bundle", at("pump.vouch.json")],
  ...["--recorder-key", at("gateway.vkey"), "--reader-key", at("clinic.key")],
];

test("records, masks, grants ten minutes, refuses the rest, and finds out what was changed", () => {
  const { status, stdout, stderr } = vouch("demo", "--streams", "--json", "--keep", kept);
  assert.is(status, 0, stderr);
  const told = JSON.parse(stdout);
  assert.is(told.verdict, "verified");
  assert.equal(told.refusals, ["stream-mac", "stream-gap", "stream-rollback"]);
  assert.ok(told.granted > 100, `${told.granted} of ${told.readings} frames are granted`);
  assert.ok(told.granted < told.readings, "some aren't");
});

test("the grant is of ten minutes: no reading that it opens is older than that", () => {
  const csv = vouch("stream", "export", at("ward.vstream"), "--csv", ...KEYS, "--grant", at("clinic.grant"));
  assert.is(csv.status, 0, csv.stderr);
  const times = [...csv.stdout.matchAll(/\d{4}-\d\d-\d\dT[\d:.]+(?=\+00:00)/g)].map(([time]) =>
    Date.parse(`${time}Z`),
  );
  const minutes = (Math.max(...times) - Math.min(...times)) / 60_000;
  assert.ok(minutes > 9 && minutes <= 10, `${minutes} minutes`);
});

test("both oracles accept every resource of its FHIR, and so do the rules that they don't know", () => {
  const bundle = JSON.parse(readFileSync(at("ward.fhir.json"), "utf8")) as Json & {
    entry: { resource: Json }[];
  };
  assert.equal(brokenBundle(bundle), []);
  for (const { resource } of bundle.entry) {
    const what = JSON.stringify(resource).slice(0, 300);
    assert.equal(medplumIssues(resource), [], what);
    assert.equal(fhirIssues(resource), [], what);
  }
});

test.run();
