// Which files of a folder an audit reads: what isn't a file is told, and not opened, since a pipe waits for ever.

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findInputs, type Trouble } from "../src/audit/inputs";
import { besideEvidence } from "../src/beside";

const test = suite("audit inputs");
const folder = mkdtempSync(join(tmpdir(), "vouch-inputs-"));
const at = (name: string) => join(folder, name);

test("pipes and devices among delivered files are trouble, folders and links to files aren't", () => {
  writeFileSync(at("ward.jsonl"), "{}\n");
  symlinkSync(at("ward.jsonl"), at("linked.jsonl"));
  symlinkSync("/dev/zero", at("zero.cborseq"));
  symlinkSync(at("nowhere"), at("gone.jsonl"));
  mkdirSync(at("folder.fleet"));
  writeFileSync(at("pump.eat"), "");
  assert.is(spawnSync("mkfifo", [at("pipe.eat"), at("pump.challenge")]).status, 0);
  const troubles: Trouble[] = [];
  const { streams, evidence } = findInputs([folder], (trouble) => troubles.push(trouble));
  assert.equal(streams, [at("gone.jsonl"), at("linked.jsonl"), at("ward.jsonl")]); // gone.jsonl is told when it is opened
  assert.equal(evidence, []);
  assert.equal(
    troubles.map(({ file, code }) => [file, code]),
    [
      [at("pipe.eat"), "not-a-file"],
      [at("pump.challenge"), "not-a-file"],
      [at("zero.cborseq"), "not-a-file"],
    ],
  );
});

test("names in capitals are read like any other", () => {
  const stick = at("stick");
  mkdirSync(stick);
  for (const name of [
    "WARD.JSONL",
    "A.VOUCH.JSON",
    "B.Vouch.json",
    "X.CborSeq",
    "PUMP.EAT",
    "PUMP.CHALLENGE",
    "Q.EAT",
  ])
    writeFileSync(join(stick, name), "");
  const { streams, evidence } = findInputs([stick], () => assert.unreachable());
  const names = (paths: readonly string[]) => paths.map((path) => basename(path));
  assert.equal(names(streams), ["A.VOUCH.JSON", "B.Vouch.json", "WARD.JSONL", "X.CborSeq"]);
  assert.equal(names(evidence), ["PUMP.EAT", "Q.EAT"]);
  assert.equal(names(evidence.map((path) => besideEvidence(path, "challenge"))), [
    "PUMP.CHALLENGE",
    "Q.challenge",
  ]);
});

test("one that is named on the command line is read: a person means it", () => {
  const { evidence } = findInputs([at("pipe.eat")], () => assert.unreachable());
  assert.equal(evidence, [at("pipe.eat")]);
});

test("a folder that may not be read hides what is in it, and nothing beside it", () => {
  mkdirSync(at("wards/shut"), { recursive: true });
  mkdirSync(at("wards/west"));
  for (const name of ["a.jsonl", "shut/b.jsonl", "west/c.jsonl"]) writeFileSync(at(`wards/${name}`), "{}\n");
  chmodSync(folder, 0o755);
  chmodSync(at("wards/shut"), 0);
  const isRoot = process.geteuid?.() === 0;
  const troubles: Trouble[] = [];
  if (isRoot) process.seteuid?.(65534); // root may read it all the same
  const { streams } = findInputs([at("wards")], (trouble) => troubles.push(trouble));
  if (isRoot) process.seteuid?.(0);
  chmodSync(at("wards/shut"), 0o700);
  assert.equal(streams, [at("wards/a.jsonl"), at("wards/west/c.jsonl")]);
  assert.equal(troubles, [
    { file: at("wards/shut"), code: "unreadable", message: "can't be read: permission denied" },
  ]);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
