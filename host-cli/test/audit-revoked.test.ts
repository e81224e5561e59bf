// A device's key that a context shows to be revoked, where the device names another context of that log: one that knew
// nothing of it yet. Whatever order and form the input comes in, its evidence counts for nothing since then; and nobody's
// revocation counts that approvers didn't sign and the log doesn't hold.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bundle, formatBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { formatChallenge } from "@vouch/shared/companions";
import { formatDevice } from "@vouch/shared/fleetform";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOf, logKeys, makeWorld, NOW, T0, type WorldOptions } from "../../shared/test/world";
import { auditFiles } from "../src/commands/audit";
import { nodeCrypto } from "../src/crypto";
import { recordsOf, summaryOf } from "./fleet-kit";
import { memoryIo } from "./memory-io";
import { makeAlone, vouch } from "./session";

const test = suite("revoked keys beside older contexts");
const folder = mkdtempSync(join(tmpdir(), "vouch-revoked-"));
const POLICY = join(folder, "policy");
let runs = 0;

const old = makeWorld();
writeFileSync(POLICY, old.policyText);

interface Revoked {
  readonly device?: string;
  readonly since?: number;
  readonly by?: readonly string[];
}

const revoking = ({ device = "sn0", since = T0 - 86400, by = ["alice", "bob"] }: Revoked = {}) =>
  ({
    before: {
      status: (maker) => {
        const keySha256 = toHex(
          nodeCrypto.sha256(keyOf(maker.seed, `${maker.seed}.example/${device}`).vkey.publicKey),
        );
        const about = {
          product: maker.product,
          since: isoTime(since),
          created: isoTime(Math.max(since, T0)),
        };
        const statement = { kind: "revocation", keySha256, reason: "read out", ...about } as const;
        logKeys(
          maker,
          () => statement,
          by.map((name) => maker.key(name)),
        );
      },
    },
  }) satisfies WorldOptions;

const contextOf = (bundle: Bundle): Uint8Array => formatBundle({ ...bundle, devices: [] });
const lineFor = (context: Uint8Array, { devices: [device] }: Bundle): Uint8Array =>
  formatDevice({ context: toHex(nodeCrypto.sha256(context)), ...device! });
const text = (...items: readonly Uint8Array[]) => Buffer.concat(items.flatMap((i) => [i, Buffer.from("\n")]));

const before = contextOf(old.bundle);
const ward = text(before, lineFor(before, old.bundle));
const revoked = makeWorld(revoking());

/** What an audit of files of these contents says of their records, in order; each with the codes against it. */
async function audit(contents: Readonly<Record<string, Uint8Array>>, options: { store?: string } = {}) {
  const place = join(folder, String(runs++));
  mkdirSync(place);
  for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(place, name), bytes);
  const io = { ...memoryIo(), json: true };
  const { summary } = await auditFiles([place], { policy: POLICY, jobs: "1", ...options }, NOW, io);
  const records = recordsOf(io.out());
  assert.equal(summaryOf(io.out()).words, summary.words);
  return records.map(({ word, reasons }) => [word, ...reasons.map(({ code }) => code)].join(" "));
}

const REVOKED = "unproven device-key-revoked";
const withoutReceipts = (bundle: Bundle): Bundle => ({
  ...bundle,
  checkpoints: bundle.checkpoints.map((c) => ({ ...c, receipts: [] })),
});

for (const [name, contents, expected] of [
  ["nothing beside it", { "w.jsonl": ward }, "patched"],
  ["in a file of its own", { "a.vouch.json": contextOf(revoked.bundle), "w.jsonl": ward }, REVOKED],
  ["in a later fleet file", { "w.jsonl": ward, "x.jsonl": text(contextOf(revoked.bundle)) }, REVOKED],
  [
    "behind the device, in one file",
    { "w.jsonl": Buffer.concat([ward, text(contextOf(revoked.bundle))]) },
    REVOKED,
  ],
  [
    "a bundle's own device",
    { "a.vouch.json": formatBundle(old.bundle), "w.jsonl": text(contextOf(revoked.bundle)) },
    REVOKED,
  ],
  [
    "evidence recorded before the theft",
    { "a.vouch.json": contextOf(makeWorld(revoking({ since: T0 + 121 })).bundle), "w.jsonl": ward },
    "patched",
  ],
  [
    "another device's key",
    { "a.vouch.json": contextOf(makeWorld(revoking({ device: "sn7" })).bundle), "w.jsonl": ward },
    "patched",
  ],
  [
    "signed by one approver",
    { "a.vouch.json": contextOf(makeWorld(revoking({ by: ["bob"] })).bundle), "w.jsonl": ward },
    "patched",
  ],
  [
    "a context that no ledger has",
    { "a.vouch.json": contextOf(withoutReceipts(revoked.bundle)), "w.jsonl": ward },
    "patched",
  ],
  [
    "another maker's log",
    { "a.vouch.json": contextOf(makeWorld({ ...revoking(), seed: "mallory" }).bundle), "w.jsonl": ward },
    "patched",
  ],
] as const) {
  test(`a revocation beside an older context, ${name}: ${expected}`, async () => {
    assert.equal(await audit(contents), [expected]);
  });
}

test("evidence in files, judged by the bundle that knows its key, beside a context that revokes it", async () => {
  const [device] = old.bundle.devices;
  const [asked] = old.bundle.checkpoints;
  const [receipt] = asked!.receipts;
  const { random } = device!.challenge;
  const challenge = { checkpoint: asked!.note, ledger: receipt!.kind, receipt: receipt!.proof, random };
  const files = { "pump.eat": device!.evidence, "pump.challenge": formatChallenge(challenge) };
  const bundle = { "a.vouch.json": formatBundle(old.bundle) };
  assert.equal(await audit({ ...bundle, ...files }), ["patched", "patched"]);
  const both = await audit({ ...bundle, ...files, "b.vouch.json": contextOf(revoked.bundle) });
  assert.equal(both, [REVOKED, REVOKED]);
});

test("a stored line is not believed once the revocation is there, and is again without it", async () => {
  const store = join(folder, "kept");
  const contents = { "w.jsonl": ward };
  const beside = { ...contents, "a.vouch.json": contextOf(revoked.bundle) };
  assert.equal(await audit(contents, { store }), ["patched"]);
  assert.equal(await audit(beside, { store }), [REVOKED]);
  assert.equal(await audit(beside, { store }), [REVOKED]);
  assert.equal(await audit(contents, { store }), ["patched"]);
});

test("a pipe is read once: what it revokes beside another context is trouble, and no answer of patched", () => {
  const piped = (...items: Uint8Array[]) => {
    const args = ["audit", "-", "--policy", "policy", "--at", isoTime(NOW)];
    return vouch(folder, args, Buffer.concat(items));
  };
  const news = text(contextOf(revoked.bundle));
  for (const items of [
    [ward, news],
    [news, ward],
  ]) {
    const { status, stdout, stderr } = piped(...items);
    assert.is(status, 1, stderr);
    assert.match(stderr, /give them as files \[revocation-late\]/);
    assert.match(stdout, /^1 record patched, some perhaps with a revoked key, as of/);
    assert.not.match(stdout, /^patched$/m);
  }
  assert.is(piped(ward).status, 0);
  const other = makeWorld(revoking({ device: "sn7" })).bundle;
  const own = contextOf(other);
  assert.is(piped(text(own, lineFor(own, other))).status, 0, "one context alone, which knows it");
});

test("vouch with threads, and the verifier that stands alone, say and end so", () => {
  const device = lineFor(before, old.bundle);
  // Cheap to judge, and enough for threads: their context is nowhere.
  const many = Array.from({ length: 1030 }, () => lineFor(new Uint8Array(0), old.bundle));
  writeFileSync(join(folder, "many.jsonl"), text(before, ...many, device));
  writeFileSync(join(folder, "one.jsonl"), ward);
  writeFileSync(join(folder, "b.vouch.json"), contextOf(revoked.bundle));
  const about = ["b.vouch.json", "--policy", "policy", "--at", isoTime(NOW), "--json"];
  const ours = vouch(folder, ["audit", "many.jsonl", ...about, "--jobs", "2"]);
  const theirs = makeAlone(folder)(folder, ["audit", "one.jsonl", ...about]);
  for (const { status, stdout, stderr } of [ours, theirs]) {
    assert.is(status, 21, stderr);
    const last = recordsOf(stdout).at(-1);
    assert.equal([last?.kid !== null, last?.reasons.map(({ code }) => code)], [true, ["device-key-revoked"]]);
  }
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
