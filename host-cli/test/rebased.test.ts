// Receipts of IOTA's ledger in the commands: a bundle verified by the built program, with and without what an earlier
// run proved; walks beside a log; roots shown and walked forward.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBundle } from "@vouch/shared/bundle";
import { formatJson } from "@vouch/shared/json";
import { parsePolicy } from "@vouch/shared/policy";
import { committeeDigest } from "@vouch/shared/rebased/committee";
import { formatRebasedReceipt } from "@vouch/shared/rebased/receipt";
import { formatRoot } from "@vouch/shared/rebased/root";
import { rootOf } from "@vouch/shared/rebased/walk";
import { type Close, walkJson, walkMember } from "@vouch/shared/rebased/walkform";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorNote, closeEpoch, committeeOf, makeValidators } from "../../shared/test/rebased-kit";
import { refusal } from "../../shared/test/vectors";
import { makeWorld } from "../../shared/test/world";
import { newestAnchored } from "../src/commands/attest";
import { nodeCrypto } from "../src/crypto";
import { storeAnchor } from "../src/log/anchors";
import { initLog } from "../src/log/store";
import { extendWalk, readWalkFile } from "../src/log/walk";
import { newSigner } from "./maker-kit";
import { vouch } from "./session";

const test = suite("rebased commands");
const folder = mkdtempSync(join(tmpdir(), "vouch-rebased-"));
test.after(() => rmSync(folder, { recursive: true }));

const sets = ["a", "b", "c"].map((seed) => makeValidators(seed, [5000, 5000]));
const start = committeeOf(5n, sets[0]!);
const closes = [closeEpoch(5n, sets[0]!, sets[1]!), closeEpoch(6n, sets[1]!, sets[2]!)];
const root = rootOf("simulated", start, nodeCrypto);
const line = `ledger rebased ${formatRoot(root)}`;

function writeWorld(name: string, list: readonly Close[]): void {
  const { bundle, policyText } = makeWorld({
    receipts: (note, time) => [
      { kind: "rebased", proof: formatRebasedReceipt(anchorNote(note, 7n, sets[2]!, { time }).receipt) },
    ],
    walk: walkMember({ start, closes: list }),
    dropPolicyLines: /^ledger/,
    policyLines: [line],
  });
  writeFileSync(join(folder, `${name}.vouch.json`), formatBundle(bundle));
  writeFileSync(join(folder, "policy"), policyText);
}

const verify = (name: string, ...flags: string[]) =>
  vouch(folder, [
    "verify",
    `${name}.vouch.json`,
    "--policy",
    "policy",
    "--at",
    "2026-11-18T22:00:00Z",
    ...flags,
  ]);

test("verify loads the curves on demand, and with --ledger-state walks no epoch twice", () => {
  writeWorld("good", closes);
  writeWorld(
    "spoilt",
    closes.map((close) => ({ ...close, certificate: new Uint8Array(3) })),
  );
  const { status, stdout, stderr } = verify("good");
  assert.is(status, 0, stderr);
  assert.match(
    stdout,
    /^ledger +simulated: size \d+ included and executed at .* anchor of epoch 5, named by/m,
  );
  assert.match(stdout, /^note +time-source: validators$/m);
  assert.is(verify("spoilt").status, 20);
  assert.is(verify("spoilt", "--ledger-state", "state").status, 20);
  assert.is(verify("good", "--ledger-state", "state").status, 0);
  const kept = readFileSync(join(folder, "state"), "utf8");
  assert.is(kept.split("\n").filter((row) => row.startsWith(`${formatRoot(root)} simulated@`)).length, 3);
  assert.is(verify("spoilt", "--ledger-state", "state").status, 0);
  const { mtimeMs } = statSync(join(folder, "state"));
  assert.is(verify("good", "--ledger-state", "state").status, 0);
  assert.is(statSync(join(folder, "state")).mtimeMs, mtimeMs, "nothing new, nothing written");
  for (const bent of [kept.slice(0, -1), kept.replace(" ", "  "), kept.toUpperCase(), "\n"]) {
    writeFileSync(join(folder, "bent"), bent);
    assert.is(verify("good", "--ledger-state", "bent").status, 1, bent.slice(0, 80));
  }
});

test("a walk beside the log grows by epochs, and passes over those it has", () => {
  const log = join(folder, "log");
  mkdirSync(log);
  assert.is(readWalkFile(log), null);
  assert.throws(() => extendWalk(log, closes.slice(1), start), refusal("epoch-missing"));
  assert.is(readWalkFile(log), null);
  extendWalk(log, closes.slice(0, 1), start);
  extendWalk(log, closes);
  extendWalk(log, closes);
  assert.equal(walkJson(readWalkFile(log)!), walkJson({ start, closes }));
  writeFileSync(join(log, "anchors/rebased.walk.json"), "{}");
  assert.throws(() => readWalkFile(log), refusal("malformed-walk"));
});

test("ledger root shows what ships, and walks a root to the newest committee", () => {
  const shown = JSON.parse(vouch(folder, ["ledger", "root", "show", "--json"]).stdout);
  assert.is(shown.network, "mainnet");
  assert.is(shown.epoch, 514);
  assert.is(shown.captured, "2026-10-01");
  assert.match(
    vouch(folder, ["ledger", "root", "show"]).stdout,
    /^ledger rebased mainnet@514:[0-9a-f]{64}\n$/,
  );
  writeFileSync(join(folder, "walk.json"), formatJson(walkJson({ start, closes })));
  const update = (...more: string[]) =>
    vouch(folder, ["ledger", "root", "update", "--walk", "walk.json", ...more]);
  assert.is(update().status, 21, "the root that ships is of another network");
  const { status, stdout } = update("--root", formatRoot(root));
  assert.is(status, 0);
  const digest = committeeDigest(committeeOf(7n, sets[2]!), nodeCrypto);
  assert.is(stdout, `ledger rebased ${formatRoot({ network: "simulated", epoch: 7n, digest })}\n`);
});

test("attest's nonce takes the receipt of a ledger that the policy names, once it holds", async () => {
  const { bundle, policyText } = makeWorld({ dropPolicyLines: /^ledger/, policyLines: [line] });
  const { note } = bundle.checkpoints[0]!;
  const log = join(folder, "attested");
  await initLog(log, undefined, newSigner("log.example"));
  const { receipt } = anchorNote(note, 7n, sets[2]!);
  storeAnchor(log, note, "directory", bundle.checkpoints[0]!.receipts[0]!.proof);
  storeAnchor(log, note, "rebased", formatRebasedReceipt(receipt));
  const policy = parsePolicy(new TextEncoder().encode(policyText), nodeCrypto);
  assert.throws(() => newestAnchored(log, policy), refusal("walk-missing"));
  extendWalk(log, closes, start);
  assert.is(newestAnchored(log, policy).ledger, "rebased");
  const elsewhere = parsePolicy(new TextEncoder().encode(policyText.replace("@5:", "@6:")), nodeCrypto);
  assert.throws(() => newestAnchored(log, elsewhere), refusal("ledger-not-trusted"));
});

test("inspect tells a receipt and a walk apart, and what of them it did not check", () => {
  const { note } = makeWorld().bundle.checkpoints[0]!;
  writeFileSync(join(folder, "receipt"), formatRebasedReceipt(anchorNote(note, 7n, sets[2]!).receipt));
  const told = (file: string) => JSON.parse(vouch(folder, ["inspect", file, "--json"]).stdout);
  assert.is(told("receipt").kind, "receipt of IOTA's ledger");
  assert.is(told("receipt").fields.checkpoint, "7007");
  assert.is(told("walk.json").kind, "walk");
  assert.is(told("walk.json").fields.to, "7");
  assert.is(told("good.vouch.json").fields.walk.from, "5");
});

test.run();
