// Every verdict, and the finding that leads to it: one world a row, one thing different.

import type { Question } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import { portableCrypto } from "@vouch/shared/crypto";
import type { Verdict, Word } from "@vouch/shared/verdict";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import { KEY_COSIGNATURE } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { appraiseAlike } from "./alike";
import {
  directoryReceipt,
  imageOf,
  keyOf,
  LATE,
  makeWorld,
  NOW,
  T0,
  type World,
  type WorldOptions,
} from "./world";

const test = suite("appraise");

export function ask(world: World, question: Partial<Question> = {}): Verdict {
  return appraiseAlike({
    bundle: formatBundle(world.bundle),
    policy: world.policy,
    crypto: nodeCrypto,
    at: NOW,
    now: NOW,
    releaseOnly: false,
    images: world.images,
    handed: null,
    ...question,
  });
}

const codes = (verdict: Verdict) => verdict.reasons.map((r) => r.code).join();

test("a good bundle is patched, and every claim has its line", () => {
  const verdict = ask(makeWorld());
  assert.is(codes(verdict), "");
  assert.is(verdict.word, "patched");
  const claims = verdict.steps.map((s) => s.claim);
  assert.equal(claims, [
    "release",
    "image",
    "image",
    "log",
    "ledger",
    "advisories",
    "enrolment",
    "evidence",
    "measured",
  ]);
  assert.equal(verdict.devices[0]?.notBefore, T0);
  assert.equal(verdict.devices[0]?.notAfter, T0 + 120);
  assert.equal(
    verdict.devices[0]?.components.map((c) => c.keyedDigestChecked),
    [true, true],
  );
});

test("the portable crypto gives the same verdict as node's", () => {
  assert.is(ask(makeWorld(), { crypto: portableCrypto }).word, "patched");
});

test("--release-only is verified at best and never opens device evidence", () => {
  const verdict = ask(makeWorld(), { releaseOnly: true });
  assert.is(verdict.word, "verified");
  assert.equal(verdict.devices, []);
});

test("without images the keyed digest is not checked, and the verdict says so", () => {
  const verdict = ask(makeWorld(), { images: [] });
  assert.is(verdict.word, "patched");
  assert.ok(verdict.notes.some((n) => n.includes("[keyed-digest-not-checked]")));
});

test("evidence that was never logged has no upper bound, and the verdict says so", () => {
  const verdict = ask(makeWorld({ logEvidence: false }));
  assert.is(verdict.word, "patched");
  assert.is(verdict.devices[0]?.notAfter, null);
  assert.ok(verdict.steps.some((s) => /^measured not before \S+; until when isn't proved$/.test(s.text)));
});

const affecting = { id: "ACME-2026-1", affects: true, listed: true } as const;
const DAY = 86400;

const rows: readonly [
  name: string,
  word: Word,
  code: string,
  options: WorldOptions,
  question?: Partial<Question>,
][] = [
  ["an advisory in force names the image", "vulnerable", "advisory-in-force", { advisories: [affecting] }],
  [
    "an advisory logged after the status names the image",
    "vulnerable",
    "advisory-in-force",
    { advisories: [{ ...affecting, listed: false }] },
  ],
  [
    "an advisory written and logged after the moment asked about",
    "patched",
    "",
    { advisories: [{ ...affecting, listed: false, late: true, created: NOW + 100 }] },
    { now: NOW + 2 * LATE },
  ],
  [
    "an advisory that only its anchor makes look late",
    "vulnerable",
    "advisory-in-force",
    { advisories: [{ ...affecting, listed: false, late: true }] },
    { now: NOW + 2 * LATE },
  ],
  [
    "the same late advisory, asked about now",
    "vulnerable",
    "advisory-in-force",
    { advisories: [{ ...affecting, listed: false, late: true, created: NOW + 100 }] },
    { at: NOW + 2 * LATE, now: NOW + 2 * LATE },
  ],
  ["an advisory names another image", "patched", "", { advisories: [{ ...affecting, affects: false }] }],
  [
    "a recall names the image",
    "recalled",
    "advisory-recall",
    { advisories: [{ ...affecting, kind: "recall" }] },
  ],
  [
    "a safety notice names the image",
    "vulnerable",
    "advisory-in-force",
    { advisories: [{ ...affecting, kind: "field-safety-notice" }] },
  ],
  [
    "an advisory is under investigation",
    "unproven",
    "advisory-under-investigation",
    { advisories: [{ ...affecting, state: "under_investigation" }] },
  ],
  [
    "the policy allows under investigation",
    "patched",
    "",
    {
      advisories: [{ ...affecting, state: "under_investigation" }],
      policyLines: ["allow under-investigation"],
    },
  ],
  ["the maker withdrew the image", "recalled", "release-withdrawn", { withdrawn: true }],
  [
    "withdrawn and vulnerable: the worse word",
    "recalled",
    "advisory-in-force,release-withdrawn",
    { withdrawn: true, advisories: [affecting] },
  ],
  ["one approver of two", "unproven", "approvals-missing", { approvers: ["bob"] }],
  [
    "three approvers where two are asked for",
    "unproven",
    "surplus-signature",
    { approvers: ["alice", "bob", "carol"] },
  ],
  ["nobody of the required role", "unproven", "role-missing", { approvers: ["alice", "carol"] }],
  [
    "the policy has no rule for the product",
    "unproven",
    "no-approval-rule",
    { approve: "approve other-product 2 quality" },
  ],
  ["the policy has no vendor key for the product", "unproven", "no-vendor", { dropPolicyLines: /^vendor/ }],
  ["the policy names no ledger", "unproven", "no-ledger,no-ledger", { dropPolicyLines: /^ledger/ }],
  [
    "the policy has public ledgers only",
    "unproven",
    "ledger-not-public,ledger-not-public",
    { dropPolicyLines: /^ledger/, policyLines: [`ledger rebased mainnet@514:${"ab".repeat(32)}`] },
  ],
  ["the policy has no status max-age", "unproven", "no-max-age", { dropPolicyLines: /^max-age status/ }],
  ["the policy has no evidence max-age", "unproven", "no-max-age", { dropPolicyLines: /^max-age evidence/ }],
  [
    "the status is too old",
    "unproven",
    "status-stale,evidence-stale",
    {},
    { at: NOW + 31 * DAY, now: NOW + 31 * DAY },
  ],
  [
    "the status was written long before it was anchored",
    "unproven",
    "status-stale",
    { statusCreated: T0 - 31 * DAY },
  ],
  ["the evidence is too old", "unproven", "evidence-stale", {}, { at: NOW + 8 * DAY, now: NOW + 8 * DAY }],
  ["an old bundle, asked about its own time", "patched", "", {}, { now: NOW + 400 * DAY }],
  [
    "asked about a time before the status",
    "unproven",
    "status-after-t,enrolment-after-t,evidence-after-t",
    {},
    { at: T0 - 1 },
  ],
  ["asked about a time before the evidence was logged", "unproven", "evidence-after-t", {}, { at: T0 + 60 }],
  [
    "a past moment and evidence without an upper bound",
    "unproven",
    "evidence-after-t",
    { logEvidence: false },
    { now: NOW + 60 },
  ],
  [
    "vulnerable and stale: the known advisory is told",
    "vulnerable",
    "status-stale,advisory-in-force,evidence-stale",
    { advisories: [affecting] },
    { at: NOW + 31 * DAY, now: NOW + 31 * DAY },
  ],
  [
    "a receipt from the future",
    "unproven",
    "receipt-from-future,receipt-from-future",
    {},
    { at: T0 - 1000, now: T0 - 1000 },
  ],
  ["the image is on trial", "unproven", "image-not-confirmed", { claims: { confirmed: false } }],
  ["another model", "refuted", "wrong-model", { claims: { hwmodel: Uint8Array.of(0x58) } }],
  ["another revision", "refuted", "wrong-revision", { claims: { hwversion: "A" } }],
  ["a status of another log", "refuted", "status-other-log", { statusOrigin: "staging.example/log" }],
  ["a status from before the release", "unproven", "status-before-release", { statusSize: 0 }],
  ["a status dated in the future", "unproven", "status-from-future", { statusCreated: T0 + 400 }],
  ["a ledger whose clock is a little ahead", "patched", "", {}, { at: T0 - 100, now: T0 - 100 }],
  [
    "a rollback floor that the release should have raised",
    "refuted",
    "floor-mismatch",
    { claims: { floor: 4 } },
  ],
  [
    "evidence of a later profile",
    "unproven",
    "evidence-unsupported-profile",
    { profile: "tag:vouch.example,2026:evidence#2" },
  ],
  [
    "a manifest sealed by a key the policy does not name",
    "unproven",
    "unknown-vendor-key",
    { sealer: "old-vendor" },
  ],
  ["another device id", "refuted", "ueid-mismatch", { claims: { ueid: new Uint8Array(17).fill(1) } }],
  [
    "another manifest key on the device",
    "refuted",
    "vendor-key-mismatch",
    { claims: { vendorKid: new Uint8Array(8) } },
  ],
  [
    "another manifest running",
    "refuted",
    "measurement-mismatch",
    { claims: { manifestDigest: new Uint8Array(32) } },
  ],
  ["no manifest running", "refuted", "measurement-mismatch", { claims: { manifestDigest: null } }],
  ["an older security version running", "refuted", "measurement-mismatch", { claims: { sequence: 6 } }],
  ["evidence over another nonce", "refuted", "nonce-mismatch", { claims: { nonce: new Uint8Array(32) } }],
];

for (const [name, word, code, options, question] of rows) {
  test(`${name}: ${word}`, () => {
    const verdict = ask(makeWorld(options), question);
    assert.is(codes(verdict), code);
    assert.is(verdict.word, word);
  });
}

const good = makeWorld();
const [engine, app] = [imageOf("engine", good.engine), imageOf("app", good.app)];
const base = {
  name: "x",
  version: "1",
  digest: app.sha256,
  keyedDigest: new Uint8Array(32),
  regionLength: 2048,
};

for (const [name, word, code, options, question] of [
  [
    "a component no release names",
    "unproven",
    "component-unnamed",
    { claims: { components: [{ ...base, name: "radio" }] } },
  ],
  [
    "a component with another digest",
    "refuted",
    "measurement-mismatch",
    { claims: { components: [{ ...base, name: "engine" }] } },
  ],
  [
    "a component that was not measured",
    "unproven",
    "component-not-measured",
    { claims: { components: [{ ...base, name: "app" }] } },
  ],
  [
    "a keyed digest that is wrong",
    "refuted",
    "keyed-digest-mismatch",
    { claims: { components: [{ ...base, name: "app" }] } },
  ],
  [
    "a region shorter than the image",
    "refuted",
    "keyed-digest-mismatch",
    { claims: { components: [{ ...base, name: "app", regionLength: 10 }] } },
  ],
  [
    "a region of absurd length",
    "unproven",
    "too-large",
    { claims: { components: [{ ...base, name: "app", regionLength: 2 ** 50 }] } },
  ],
  [
    "no image where the policy asks for one",
    "unproven",
    "image-required",
    { policyLines: ["require-image"] },
    { images: [] },
  ],
  [
    "an image that is not the released one",
    "refuted",
    "image-mismatch",
    {},
    { images: [imageOf("app", good.engine)] },
  ],
  [
    "an image of a component the release does not name",
    "unproven",
    "component-unnamed",
    {},
    { images: [imageOf("radio", good.app)] },
  ],
] as readonly [string, Word, string, WorldOptions, Partial<Question>?][]) {
  test(`${name}: ${word}`, () => {
    const verdict = ask(makeWorld(options), { images: [engine, app], ...question });
    assert.ok(
      verdict.reasons.some((r) => r.code === code),
      `${code} among ${codes(verdict)}`,
    );
    assert.ok(EXIT_STATUS[verdict.word] > 0);
    assert.is(verdict.reasons.find((r) => r.code === code)?.word, word);
  });
}

test("a wrong image file doesn't accuse the device", () => {
  const verdict = ask(makeWorld(), { images: [engine, imageOf("app", good.engine)] });
  assert.is(verdict.word, "refuted");
  assert.is(codes(verdict), "image-mismatch");
  assert.ok(verdict.steps.some(({ claim, holds }) => claim === "measured" && holds));
  assert.equal(
    verdict.devices[0]?.components.map(({ keyedDigestChecked }) => keyedDigestChecked),
    [true, false],
  );
});

test("a bundle without devices asks for evidence", () => {
  const world = makeWorld({ logEvidence: false });
  const verdict = ask({ ...world, bundle: { ...world.bundle, devices: [] } });
  assert.is(verdict.word, "unproven");
  assert.is(codes(verdict), "evidence-missing");
});

test("evidence handed over beside the bundle is judged by its own challenge", () => {
  const world = makeWorld();
  const { evidence, challenge } = world.bundle.devices[0]!;
  const [first] = world.bundle.checkpoints;
  const dated = { checkpoint: first!.note, ledger: "directory", receipt: first!.receipts[0]!.proof };
  const handed = { evidence, challenge: { ...dated, random: challenge.random } };
  assert.is(ask(world, { handed: [handed] }).word, "patched");
  const fresh = { ...handed, challenge: { ...handed.challenge, random: new Uint8Array(32) } };
  assert.is(codes(ask(world, { handed: [fresh] })), "nonce-mismatch");
  const elsewhere = { ...handed, challenge: { ...handed.challenge, checkpoint: new Uint8Array(9) } };
  assert.is(codes(ask(world, { handed: [elsewhere] })), "challenge-not-anchored");
  const stranger = makeWorld({ device: "sn9" }).bundle.devices[0]!;
  assert.is(codes(ask(world, { handed: [{ ...handed, evidence: stranger.evidence }] })), "enrolment-missing");
});

test("a receipt cut again from a later ledger does not make old evidence young", () => {
  const world = makeWorld({ logEvidence: false });
  const [only] = world.bundle.checkpoints;
  const later = T0 + 60 * DAY;
  const ledger = keyOf("acme", "acme.example/ledger", KEY_COSIGNATURE);
  const recut = {
    kind: "directory",
    proof: directoryReceipt([only!.note, new Uint8Array(9)].reverse(), ledger, later),
  };
  const moved = { ...world.bundle, checkpoints: [{ ...only!, receipts: [recut] }] };
  const verdict = ask({ ...world, bundle: moved }, { at: later + 60, now: later + 60 });
  assert.ok(codes(verdict).includes("nonce-mismatch"), codes(verdict));
  assert.is(verdict.word, "refuted");
});

test("an advisory counts by digest, whatever it calls the component", () => {
  const verdict = ask(makeWorld({ advisories: [{ ...affecting, component: "application" }] }));
  assert.is(codes(verdict), "advisory-in-force");
});

test("a role called status is no status key", () => {
  const policyLines = ["max-age status 30d"];
  const world = makeWorld({
    statusSigner: "carol",
    carolRole: "status",
    policyLines,
    dropPolicyLines: /^max-age status/,
  });
  assert.ok(codes(ask(world)).includes("approvals-missing"));
});

test("a stale answer names the moment it would be good for, and following it gets there", () => {
  const now = NOW + 8 * DAY;
  const verdict = ask(makeWorld(), { at: now, now });
  assert.is(codes(verdict), "evidence-stale");
  const [, at] = /--at (\S+)/.exec(verdict.reasons[0]!.hint ?? "") ?? [];
  assert.is(ask(makeWorld(), { at: Date.parse(at ?? "") / 1000, now }).word, "patched");
});

test("the witness quorum must be met; who cosigned beyond it does no harm", () => {
  assert.is(ask(makeWorld({ witnesses: 2 })).word, "patched");
  const cosigned = makeWorld({ witnesses: 2 });
  const [one, none] = [1, 0].map((witnesses) => makeWorld({ witnesses }));
  assert.is(codes(ask({ ...one!, policy: cosigned.policy })), "quorum-missing");
  assert.is(ask(makeWorld({ witnesses: 3, quorum: 1 })).word, "patched");
  // Another auditor, of another policy, over the very same bundle.
  const stranger = ask({ ...cosigned, policy: none!.policy });
  assert.is(stranger.word, "patched");
  assert.equal(stranger.notes.filter((note) => /does not know that key/.test(note)).length, 2);
  const both = makeWorld({ witnesses: 2, quorum: 1, strangers: 1 });
  assert.is(ask(both).word, "patched");
  assert.is(codes(ask({ ...makeWorld({ strangers: 2 }), policy: cosigned.policy })), "quorum-missing");
});

test("a later bundle version is unproven, not refuted", () => {
  const text = new TextDecoder()
    .decode(formatBundle(makeWorld().bundle))
    .replace("vouch-bundle/v1", "vouch-bundle/v3");
  const verdict = ask(makeWorld(), { bundle: new TextEncoder().encode(text) });
  assert.is(verdict.word, "unproven");
  assert.is(codes(verdict), "unsupported-version");
});

test("a status that speaks for more than its own place is refuted", () => {
  const world = makeWorld();
  const moved = { ...world.bundle, status: { ...world.bundle.status, index: 0n } };
  assert.is(ask({ ...world, bundle: moved }).word, "refuted");
});

test.run();
