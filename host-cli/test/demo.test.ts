// The demo, as the README's reader runs it, and what it leaves behind.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("demo");
const BIN = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "vouch-demo-test-"));
const kept = join(home, "kept");
const at = (name: string) => join(kept, name);

function vouch(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: "utf8" });
  return { status, stdout, stderr, last: stdout.trimEnd().split("\n").at(-1) };
}

const VERIFY = ["--image", at("pump.bin"), "--image", `engine=${at("engine.bin")}`, "--policy", at("policy")];
const BUNDLE = [
  "bundle",
  "--log",
  at("log"),
  "--release",
  at("pump.dsse.json"),
  "--manifest",
  at("pump.suit"),
];

test.after(() => rmSync(home, { recursive: true, force: true }));

test("it tells the story in under 45 lines: patched, five refusals, vulnerable, fraud proven", () => {
  const { status, stdout, stderr } = vouch("demo", "--keep", kept);
  assert.is(status, 0, stderr);
  assert.ok(stdout.split("\n").length < 45, `${stdout.split("\n").length} lines`);
  assert.match(stdout, /^patched$/m);
  assert.match(stdout, /^vulnerable$/m);
  const refusals = [...stdout.matchAll(/refused, exit 20 \[([a-z-]+)\]/g)].map((m) => m[1]);
  assert.equal(refusals, [
    "rolled-back",
    "image-mismatch",
    "nonce-mismatch",
    "evidence-bad-signature",
    "log-forked",
  ]);
  assert.match(
    stdout,
    /^fraud proven: fwlog\.acme\.example signed size 7, and other records before as its first 6$/m,
  );
});

test("Ctrl-C in the middle leaves none of the keys it made", async () => {
  const room = mkdtempSync(join(home, "tmp-"));
  const child = spawn(process.execPath, [BIN, "demo"], {
    env: { ...process.env, TMPDIR: room },
    stdio: "pipe",
  });
  await once(child.stdout, "data"); // the maker has keys
  assert.is(readdirSync(room).length, 1);
  child.kill("SIGINT");
  const [status, signal] = await once(child, "exit");
  assert.is(status, null);
  assert.is(signal, "SIGINT");
  assert.equal(readdirSync(room), []);
});

test("whoever has the log's key alone can check that the log was forked, and nobody else's key shows it", () => {
  const proof = readdirSync(at("later")).filter((name) => name.endsWith(".fraud.json"));
  assert.is(proof.length, 1);
  const fraud = ["verify", "--fraud", at(`later/${proof[0]}`), "--log-key"];
  assert.match(vouch(...fraud, at("fwlog.acme.example.vkey")).last ?? "", /^fraud proven: /);
  const other = vouch(...fraud, at("alice.vkey"));
  assert.is(other.status, 21);
  assert.match(other.stderr, /\[unknown-log\]/);
});

test("what the demo's witness cosigned and what it was refused are in its state and its log", () => {
  const notes = readdirSync(at("later/log/anchors")).map((size) =>
    existsSync(at(`later/log/anchors/${size}/checkpoint`))
      ? readFileSync(at(`later/log/anchors/${size}/checkpoint`), "utf8")
      : "",
  );
  assert.ok(
    notes.some((note) => note.includes("\n— witness.example ")),
    "the warning's checkpoint is cosigned",
  );
  assert.not(readFileSync(at("later/fork/checkpoint"), "utf8").includes("witness.example"));
});

test("the files it keeps verify as the README says", () => {
  for (const name of ["pump.upload", "pump.challenge", "log", "ledger"])
    assert.ok(existsSync(at(name)), name);
  const verdict = vouch("verify", at("pump.vouch.json"), ...VERIFY, "--evidence", at("pump.eat"));
  assert.is(verdict.stderr, "");
  assert.is(verdict.status, 0);
  assert.is(verdict.last, "patched");
  assert.is(vouch("verify", at("pump.vouch.json"), ...VERIFY, "--release-only").last, "verified");
});

test("a folder that holds something is not played in", () => {
  const { status, stderr } = vouch("demo", "--keep", kept);
  assert.is(status, 1);
  assert.match(stderr, /\[exists\]/);
});

test("neither log nor ledger holds what is personal, in clear or as a plain hash", () => {
  const enrolment = JSON.parse(readFileSync(at("pump.enrolment"), "utf8"));
  const statement = JSON.parse(Buffer.from(enrolment.statement, "base64").toString());
  const { predicate } = JSON.parse(Buffer.from(statement.payload, "base64").toString());
  const secrets = [predicate.serial, predicate.ueid, predicate.publicKey];
  const hashed = secrets.map((s) => createHash("sha256").update(s).digest("hex"));
  for (const folder of ["log", "ledger"]) {
    for (const entry of readdirSync(at(folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = readFileSync(join(entry.parentPath ?? entry.path, entry.name), "latin1");
      // Statements lie there as base64 inside JSON; look through that as well.
      const payloads = [...bytes.matchAll(/"payload":"([A-Za-z0-9+/=]+)"/g)].map((m) =>
        Buffer.from(m[1]!, "base64").toString(),
      );
      for (const text of [bytes, ...payloads]) {
        for (const secret of [...secrets, ...hashed])
          assert.not(text.includes(secret), `${folder}/${entry.name}: ${secret}`);
      }
    }
  }
});

test("a bundle is the same bytes when made again", () => {
  const again = join(home, "again.json");
  const made = vouch(
    ...BUNDLE,
    "--evidence",
    at("pump.eat"),
    "--enrolment",
    at("pump.enrolment"),
    "-o",
    again,
  );
  assert.is(made.status, 0, made.stderr);
  assert.equal(readFileSync(again, "utf8"), readFileSync(at("pump.vouch.json"), "utf8"));
});

test("a public bundle verifies the release and holds no device", () => {
  const file = join(home, "public.json");
  assert.is(vouch(...BUNDLE, "--public", "-o", file).status, 0);
  assert.equal(JSON.parse(readFileSync(file, "utf8")).devices, []);
  assert.is(vouch("verify", file, ...VERIFY, "--release-only").last, "verified");
  const asked = vouch("verify", file, ...VERIFY);
  assert.is(asked.status, 21);
  assert.match(asked.stderr, /\[evidence-missing\]/);
});

const eat = ["--evidence", at("pump.eat"), "--enrolment", at("pump.enrolment")];
for (const [name, code, args] of [
  ["evidence without its enrolment", "enrolment-missing", [...BUNDLE, "--evidence", at("pump.eat")]],
  [
    "an enrolment in place of a release",
    "malformed-dsse",
    [...BUNDLE.map((a) => (a.endsWith("dsse.json") ? at("pump.enrolment") : a)), ...eat],
  ],
  [
    "a statement that is no release",
    "wrong-statement",
    [...BUNDLE.map((a) => (a.endsWith("dsse.json") ? at("status.dsse.json") : a)), ...eat],
  ],
  ["--public with evidence", "usage", [...BUNDLE, ...eat, "--public"]],
  ["a folder that is no log", "not-a-log", [...BUNDLE.map((a) => (a === at("log") ? home : a)), ...eat]],
] as readonly [string, string, string[]][]) {
  test(`bundle refuses ${name}`, () => {
    const { status, stdout, stderr } = vouch(...args);
    assert.not.equal(status, 0);
    assert.is(stdout, "");
    assert.match(stderr, new RegExp(`\\[${code}\\]`));
  });
}

test("what is logged but not anchored can't be bundled yet, and the hint says what to do", () => {
  const folder = join(home, "unanchored");
  cpSync(at("log"), folder, { recursive: true });
  const sizes = readdirSync(join(folder, "anchors"))
    .map(Number)
    .sort((a, b) => a - b);
  rmSync(join(folder, "anchors", String(sizes.at(-1))), { recursive: true });
  const { status, stderr } = vouch(...BUNDLE.map((a) => (a === at("log") ? folder : a)), ...eat);
  assert.is(status, 21);
  assert.match(stderr, /\[not-anchored\]\nvouch: hint: `vouch anchor`/);
});

test("a salt that belongs to other evidence is refused", () => {
  const [mine, salt] = [join(home, "other.eat"), join(home, "other.salt")];
  const evidence = readFileSync(at("pump.eat"));
  evidence[evidence.length - 1]! ^= 1;
  writeFileSync(mine, evidence);
  cpSync(at("pump.challenge"), join(home, "other.challenge"));
  cpSync(at("pump.salt"), salt);
  const { status, stderr } = vouch(...BUNDLE, "--evidence", mine, "--enrolment", at("pump.enrolment"));
  assert.not.equal(status, 0);
  assert.match(stderr, /\[salt-mismatch\]/);
});

test.run();
