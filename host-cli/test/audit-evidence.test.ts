// Evidence in files of its own, and which of several bundles an audit judges it by: not a file's name decides.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bundle, formatBundle } from "@vouch/shared/bundle";
import { formatChallenge } from "@vouch/shared/companions";
import type { AuditQuestion } from "@vouch/shared/fleet";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeWorld, NOW, type World } from "../../shared/test/world";
import { Bundles } from "../src/audit/evidence";
import { nodeCrypto } from "../src/crypto";

const test = suite("audit of evidence");
const folder = mkdtempSync(join(tmpdir(), "vouch-evidence-"));

/** Evidence and challenge of a world's device, as `vouch attest` leaves them. */
function attested({ bundle }: World): string {
  const [device] = bundle.devices;
  const [asked] = bundle.checkpoints;
  const [receipt] = asked?.receipts ?? [];
  if (device === undefined || asked === undefined || receipt === undefined) throw new Error("an empty world");
  const path = join(folder, "pump.eat");
  writeFileSync(path, device.evidence);
  const { random } = device.challenge;
  const challenge = { checkpoint: asked.note, ledger: receipt.kind, receipt: receipt.proof, random };
  writeFileSync(join(folder, "pump.challenge"), formatChallenge(challenge));
  return path;
}

function judged(world: World, ...bundles: readonly Bundle[]) {
  const question: AuditQuestion = {
    policy: world.policy,
    crypto: nodeCrypto,
    at: NOW,
    now: NOW,
    images: [],
    tool: "vouch test",
  };
  const known = new Bundles(true);
  for (const bundle of bundles) known.add(formatBundle(bundle));
  return known.judge(attested(world), question).row;
}

const judgedBy = (world: World, ...bundles: readonly Bundle[]) => judged(world, ...bundles).word;

const world = makeWorld();
const older = world.bundle;
/** Of a log with one record more below its status. */
const newer = (affects: boolean) =>
  makeWorld({ advisories: [{ id: "ACME-2026-1", affects, listed: true }] }).bundle;

test("an advisory that the newest status lists counts, whichever bundle came last", () => {
  assert.is(judgedBy(world, older), "patched");
  assert.is(judgedBy(world, older, newer(true)), "vulnerable");
  assert.is(judgedBy(world, newer(true), older), "vulnerable");
});

test("where the newest says nothing against the release, the bundle that holds the challenge judges", () => {
  assert.is(judgedBy(world, older, newer(false)), "patched");
  assert.is(judgedBy(world, newer(false), older), "patched");
  assert.is(judgedBy(world, newer(false)), "unproven");
});

test("a bundle that leaves out what the newest status lists decides nothing, so an older one's advisory counts", () => {
  const two = [{ affects: true }, { affects: false }].map((more, i) => ({
    id: `ACME-2026-${i + 1}`,
    listed: true,
    ...more,
  }));
  const stripped = { ...makeWorld({ advisories: two }).bundle, advisories: [] };
  assert.is(judgedBy(world, stripped), "unproven");
  const [a, b, c] = [older, newer(true), stripped];
  for (const order of [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ])
    assert.is(judgedBy(world, ...order), "vulnerable");
});

test("another release's advisory says nothing of a device that doesn't run it, and whose key no bundle knows", () => {
  const advisories = [{ id: "ACME-2026-1", affects: true, listed: true }];
  const two = makeWorld({ versions: ["2.4.1", "2.4.2"], advisories });
  const [affected, mended] = two.bundles as [Bundle, Bundle];
  const second = { ...two, bundle: mended };
  assert.is(judgedBy(second, mended), "patched");
  assert.is(judgedBy({ ...two, bundle: affected }, affected), "vulnerable");
  const row = judged(second, { ...affected, devices: [] });
  assert.is(row.word, "unproven");
  assert.match(row.line, '"code":"context-missing"');
  assert.is(row.context, null);
  assert.is(judgedBy(second, { ...affected, devices: mended.devices }), "refuted"); // its key is known, and it runs another one
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
