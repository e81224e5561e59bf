// Receipts of Tangles in the commands: a bundle verified by the built program; a log that keeps such receipts checked,
// bundled and attested from; a receipt and a trust file inspected.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBundle } from "@vouch/shared/bundle";
import { parsePolicy } from "@vouch/shared/policy";
import { formatStardustReceipt } from "@vouch/shared/stardust/proof";
import { formatStardustRoot } from "@vouch/shared/stardust/root";
import { formatTrust, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorOnTangle, makeTangle } from "../../shared/test/stardust-kit";
import { refusal } from "../../shared/test/vectors";
import { makeWorld, NOW, T0 } from "../../shared/test/world";
import { newestAnchored } from "../src/commands/attest";
import { nodeCrypto } from "../src/crypto";
import { listAnchors, storeAnchor } from "../src/log/anchors";
import { initLog } from "../src/log/store";
import { newSigner } from "./maker-kit";
import { vouch } from "./session";

const test = suite("stardust commands");
const folder = mkdtempSync(join(tmpdir(), "vouch-stardust-"));
test.after(() => rmSync(folder, { recursive: true }));

const tangle = makeTangle("hospital-tangle");
const namesake = makeTangle("hospital-tangle", 3, 2, "somebody");
const lineOf = (trust: Trust) => `ledger stardust ${formatStardustRoot(rootOfTrust(trust, nodeCrypto))}`;
const receiptFor = (note: Uint8Array, time: number) =>
  formatStardustReceipt(anchorOnTangle(tangle, note, { time, index: 151 }));

test("verify prints network, milestone, block and signers; --json the same; a foreign coordinator is unproven", () => {
  const { bundle, policyText } = makeWorld({
    receipts: (note, time) => [{ kind: "stardust", proof: receiptFor(note, time) }],
    dropPolicyLines: /^ledger/,
    policyLines: [lineOf(tangle.trust)],
  });
  writeFileSync(join(folder, "good.vouch.json"), formatBundle(bundle));
  writeFileSync(join(folder, "policy"), policyText);
  writeFileSync(join(folder, "foreign"), policyText.replace(lineOf(tangle.trust), lineOf(namesake.trust)));
  const verify = (file: string, policy: string, ...flags: string[]) =>
    vouch(folder, ["verify", file, "--policy", policy, "--at", isoTime(NOW), ...flags]);
  const good = verify("good.vouch.json", "policy", "--explain");
  assert.is(good.status, 0, good.stderr);
  assert.match(
    good.stdout,
    /^ledger +hospital-tangle: size \d+ referenced at \S+ by milestone 151 in block 0x[0-9a-f]{64}, signed by 2 keys where 2 must, recorded by the coordinator of a private Tangle\n +rule: .*TIP-4.*\n +bytes: milestone 0x/m,
  );
  assert.match(good.stdout, /^note +time-source: coordinator$/m);
  assert.match(good.stdout, /^limit +a coordinator's time is the word/m);
  const json = JSON.parse(verify("good.vouch.json", "policy", "--json").stdout);
  assert.is(json.vouch.anchors[0].milestone, 151);
  const foreign = verify("good.vouch.json", "foreign");
  assert.is(foreign.status, 21);
  assert.match(foreign.stderr, /\[ledger-not-trusted\]/);
  const [first, ...rest] = bundle.checkpoints;
  const stolen = { ...first!, receipts: [{ kind: "stardust", proof: receiptFor(rest[0]!.note, T0) }] };
  writeFileSync(join(folder, "bad.vouch.json"), formatBundle({ ...bundle, checkpoints: [stolen, ...rest] }));
  const bad = verify("bad.vouch.json", "policy");
  assert.is(bad.status, 20);
  assert.match(bad.stderr, /\[note-mismatch\]/);
});

test("a log that keeps receipts of a Tangle: checked, bundled, verified", () => {
  assert.is(vouch(folder, ["demo", "--keep", "demo", "--quiet"]).status, 0);
  const log = join(folder, "demo/log");
  const recorded = new Map<number, string>();
  for (const { note, size } of listAnchors(log)) {
    const time = Math.floor(Date.now() / 1000) + Number(size); // the demo's statements are of now
    recorded.set(Number(size), isoTime(time));
    const path = storeAnchor(log, note, "stardust", receiptFor(note, time));
    assert.is(path, join(log, "anchors", String(size), "stardust.receipt"));
    assert.throws(
      () => storeAnchor(log, note, "stardust", receiptFor(note, time + 1)),
      refusal("receipt-conflict"),
    );
  }
  const policy = readFileSync(join(folder, "demo/policy"), "utf8");
  writeFileSync(join(folder, "demo/both"), `${policy}${lineOf(tangle.trust)}\n`);
  writeFileSync(join(folder, "demo/foreign"), `${policy}${lineOf(namesake.trust)}\n`);
  const check = vouch(folder, ["log", "check", "demo/log", "--policy", "demo/both", "--json"]);
  assert.is(check.status, 0, check.stderr);
  const anchors: { kind: string; size: number; time: string }[] = JSON.parse(check.stdout).anchors;
  const told = anchors.filter(({ kind }) => kind === "stardust").map(({ size, time }) => [size, time]);
  assert.equal(told, [...recorded]);
  assert.is(vouch(folder, ["log", "check", "demo/log", "--policy", "demo/foreign"]).status, 21);
  const unnamed = vouch(folder, ["log", "check", "demo/log", "--policy", "demo/policy", "--json"]);
  assert.is(unnamed.status, 0);
  assert.ok(JSON.parse(unnamed.stdout).anchors.some((a: { time: null | string }) => a.time === null));
  const bundled = vouch(join(folder, "demo"), [
    ...["bundle", "--log", "log", "--release", "pump.dsse.json", "--manifest", "pump.suit"],
    ...["--public", "-o", "again.vouch.json"],
  ]);
  assert.is(bundled.status, 0, bundled.stderr);
  const verified = vouch(join(folder, "demo"), [
    ...["verify", "again.vouch.json", "--policy", "both", "--release-only"],
  ]);
  assert.is(verified.status, 0, verified.stdout + verified.stderr);
  assert.match(verified.stdout, /^ledger +hospital-tangle: .*milestone 151/m);
  assert.match(verified.stdout, /^note +time-source: self-asserted$/m);
});

test("attest's nonce takes the receipt of a Tangle that the policy names, once it holds", async () => {
  const { bundle, policyText } = makeWorld({
    dropPolicyLines: /^ledger/,
    policyLines: [lineOf(tangle.trust)],
  });
  const { note, receipts } = bundle.checkpoints[0]!;
  const log = join(folder, "attested");
  await initLog(log, undefined, newSigner("log.example"));
  storeAnchor(log, note, "directory", receipts[0]!.proof);
  const policyOf = (text: string) => parsePolicy(new TextEncoder().encode(text), nodeCrypto);
  assert.throws(() => newestAnchored(log, policyOf(policyText)), refusal("ledger-not-trusted"));
  storeAnchor(log, note, "stardust", receiptFor(note, T0));
  const { ledger, receipt } = newestAnchored(log, policyOf(policyText));
  assert.is(ledger, "stardust");
  assert.equal(receipt, receiptFor(note, T0));
  const foreign = policyText.replace(lineOf(tangle.trust), lineOf(namesake.trust));
  assert.throws(() => newestAnchored(log, policyOf(foreign)), refusal("ledger-not-trusted"));
});

test("inspect tells a receipt and a trust file, and what of them it did not check", () => {
  const { note } = makeWorld().bundle.checkpoints[0]!;
  writeFileSync(join(folder, "receipt"), receiptFor(note, T0));
  writeFileSync(join(folder, "tangle.trust"), formatTrust(tangle.trust));
  const told = (file: string) => JSON.parse(vouch(folder, ["inspect", file, "--json"]).stdout);
  const receipt = told("receipt");
  assert.is(receipt.kind, "receipt of a Tangle");
  assert.is(receipt.fields.milestone, 151);
  assert.is(receipt.fields.time, isoTime(T0));
  assert.is(receipt.fields.tag, "vouch/v1");
  assert.match(receipt.notVerified, /signatures/);
  const trust = told("tangle.trust");
  assert.is(trust.kind, "trust file of a Tangle");
  assert.is(`ledger stardust ${trust.fields.root}`, lineOf(tangle.trust));
  assert.is(trust.fields.keys.length, 3);
});

test.run();
