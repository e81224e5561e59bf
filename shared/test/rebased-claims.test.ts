// The whole argument on a simulated network of IOTA: a device's bundle whose times are its validators'. Patched from
// the network's own root, unproven from another; and what each spoiled piece is called.

import { appraise, type Question } from "@vouch/shared/appraise";
import { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from "@vouch/shared/bundle";
import { earOf } from "@vouch/shared/ear";
import { parsePolicy } from "@vouch/shared/policy";
import { capturedOf, makeRebasedVerifier } from "@vouch/shared/rebased/judge";
import { formatRebasedReceipt, type RebasedReceipt } from "@vouch/shared/rebased/receipt";
import { addressText, formatRoot } from "@vouch/shared/rebased/root";
import { type Close, rootOf } from "@vouch/shared/rebased/walk";
import { type Walk, walkMember } from "@vouch/shared/rebased/walkform";
import { isoTime } from "@vouch/shared/time";
import type { Verdict } from "@vouch/shared/verdict";
import { KEY_COSIGNATURE } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";
import { fromBase64, utf8Encode } from "../src/bytes";
import { ANCHORS } from "../src/rebased/anchors";
import { decodeCommittee } from "../src/rebased/committee";
import { appraiseAlike } from "./alike";
import { bent, codesOf, questionOf, type Receipts, worldUnder } from "./ledger-claims";
import { anchorNote, certify, closeEpoch, committeeOf, makeValidators } from "./rebased-kit";
import { directoryReceipt, keyOf, makeWorld, NOW, T0, type World, type WorldOptions } from "./world";

const test = suite("claims on a simulated network");

// Epoch 5 begins; the challenge is anchored in 6, the logged evidence in 7.
const sets = ["five", "six", "seven", "eight"].map((seed) => makeValidators(seed, [2500, 2500, 2500, 2500]));
const start = committeeOf(5n, sets[0]!);
const root = rootOf("simulated", start, crypto);
const closes = [0, 1, 2].map((i) => closeEpoch(5n + BigInt(i), sets[i]!, sets[i + 1]!));
const walkTo = (epoch: number, list: readonly Close[] = closes) =>
  walkMember({ start, closes: list.slice(0, epoch - 5) });
const anchored = (note: Uint8Array, time: number, n: number, options = {}) =>
  anchorNote(note, 6n + BigInt(n), sets[1 + n]!, { time, ...options });
const { sender } = anchored(new Uint8Array(1), T0, 0);

type Spoil = (receipt: RebasedReceipt, n: number, note: Uint8Array, time: number) => RebasedReceipt;
const receiptsBy =
  (spoil: Spoil): Receipts =>
  (note, time, n) => {
    const proof = formatRebasedReceipt(spoil(anchored(note, time, n).receipt, n, note, time));
    return [{ kind: "rebased", proof }];
  };

const LINE = `ledger rebased ${formatRoot(root)}`;

const worldOf = (lines: readonly string[] = [LINE], spoil: Spoil = (receipt) => receipt): World =>
  worldUnder(lines, receiptsBy(spoil), { walk: walkTo(7) });

const ask = (world: World, question: Partial<Question> = {}): Verdict =>
  // A verifier that is handed in remembers what it proved: it is asked once.
  (question.rebased === undefined ? appraiseAlike : appraise)(
    questionOf(world, { rebased: makeRebasedVerifier().open, ...question }),
  );

const good = worldOf();
const withBundle = (change: Partial<Bundle>): World => ({ ...good, bundle: { ...good.bundle, ...change } });

test("is patched from the network's own root, and says what claim 3 rests on", () => {
  const verdict = ask(good);
  assert.is(codesOf(verdict), "");
  assert.is(verdict.word, "patched");
  assert.is(verdict.timeSource, "validators");
  const lines = verdict.steps.filter(({ claim }) => claim === "ledger").map(({ text }) => text);
  const [first, second] = good.bundle.checkpoints.map(
    ({ note }) => new TextDecoder().decode(note).split("\n")[1],
  );
  assert.equal(lines, [
    `simulated: size ${first} included and executed at ${isoTime(T0)} in checkpoint 6007, by sender ${addressText(sender)}, signed by weight 10000 of 10000 of epoch 6's committee, trusted because of the anchor of epoch 5, named by the policy`,
    `simulated: size ${second} included and executed at ${isoTime(T0 + 120)} in checkpoint 7007, by sender ${addressText(sender)}, signed by weight 10000 of 10000 of epoch 7's committee, trusted because of the anchor of epoch 5, named by the policy`,
  ]);
  for (const limit of [/not that it is the newest$/, /^leaked keys of an old committee/])
    assert.ok(verdict.limits.some((text) => limit.test(text)));
});

test("the JSON result carries network, checkpoint, epoch and sender", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what JSON.parse gives a stranger
  const ear = JSON.parse(JSON.stringify(earOf(ask(good), NOW, ""))) as any;
  const { transaction, ...rest } = ear.vouch.anchors[1];
  assert.equal(rest, {
    size: Number(new TextDecoder().decode(good.bundle.checkpoints[1]!.note).split("\n")[1]),
    kind: "rebased",
    time: isoTime(T0 + 120),
    network: "simulated",
    checkpoint: 7007,
    epoch: 7,
    sender: addressText(sender),
    weight: 10_000,
    root: formatRoot(root),
    captured: null,
  });
  assert.match(transaction, /^[1-9A-HJ-NP-Za-km-z]{43,44}$/);
});

const mainnet = `ledger rebased mainnet@514:${"ab".repeat(32)}`;
const other = `0x${"01".repeat(32)}`;
const by = addressText(sender);
const policies: readonly [name: string, lines: readonly string[], word: string, codes: string][] = [
  ["mainnet's root", [mainnet], "unproven", "ledger-not-trusted"],
  ["mainnet's root and the network's", [mainnet, LINE], "patched", ""],
  ["the root under another name", [LINE.replace("simulated", "mainnet")], "patched", ""],
  ["the sender", [`${LINE} ${by}`], "patched", ""],
  ["another sender", [`${LINE} ${other}`], "unproven", "foreign-sender"],
  ["two senders", [`${LINE} ${other}`, `${LINE} ${by}`], "patched", ""],
  ["a sender on another network", [LINE, `${mainnet} ${other}`], "patched", ""],
  ["directory ledgers only", [], "unproven", "no-ledger"],
  ["the root of epoch 7", [rootLine(7, 2)], "unproven", "epoch-before-root"],
  ["the root of epoch 6", [rootLine(6, 1)], "patched", ""],
  ["roots of epochs 5 and 7", [LINE, rootLine(7, 2)], "patched", ""],
  ["a root of the right epoch and another committee", [rootLine(6, 2)], "unproven", "ledger-not-trusted"],
];

function rootLine(epoch: number, set: number): string {
  return `ledger rebased ${formatRoot(rootOf("simulated", committeeOf(BigInt(epoch), sets[set]!), crypto))}`;
}

for (const [name, lines, word, codes] of policies)
  test(`a policy with ${name}: ${word}`, () => {
    const verdict = ask(worldOf(lines));
    assert.is(codesOf(verdict), codes);
    assert.is(verdict.word, word);
  });

test("without a verifier of such receipts, or without a walk, nothing is said of them", () => {
  assert.is(codesOf(ask(good, { rebased: undefined })), "unsupported-receipt");
  const { walk: _, ...bundle } = good.bundle;
  const verdict = ask({ ...good, bundle });
  assert.is(codesOf(verdict), "walk-missing");
  assert.is(verdict.word, "unproven");
});

const spoils: readonly [name: string, spoil: Spoil, word: string, codes: string][] = [
  [
    "another note's",
    (_, n, __, time) => anchored(utf8Encode("other"), time, n).receipt,
    "refuted",
    "note-mismatch",
  ],
  [
    "a bit of the certificate",
    (r) => ({ ...r, certificate: bent(r.certificate, 20) }),
    "refuted",
    "certificate-signature",
  ],
  [
    "weight 5000",
    (_, n, note, time) => anchored(note, time, n, { places: [0, 2] }).receipt,
    "refuted",
    "certificate-quorum",
  ],
  [
    "a failed transaction",
    (_, n, note, time) => anchored(note, time, n, { status: 1 }).receipt,
    "unproven",
    "transaction-failed",
  ],
  [
    "other contents",
    (r, n, _, time) => ({ ...r, contents: anchored(utf8Encode("x"), time, n).receipt.contents }),
    "refuted",
    "contents-mismatch",
  ],
  [
    "another transaction",
    (r, n, _, time) => ({ ...r, transaction: anchored(utf8Encode("x"), time, n).receipt.transaction }),
    "refuted",
    "transaction-missing",
  ],
  [
    "other effects",
    (r, n, _, time) => ({ ...r, effects: anchored(utf8Encode("x"), time, n).receipt.effects }),
    "refuted",
    "effects-mismatch",
  ],
  [
    "a bit of the transaction",
    (r) => ({ ...r, transaction: bent(r.transaction, 0) }),
    "refuted",
    "transaction-missing",
  ],
  [
    "contents of a later version",
    (r) => ({ ...r, contents: bent(r.contents, 0) }),
    "unproven",
    "bcs-unsupported",
  ],
  ["a summary cut short", (r) => ({ ...r, summary: r.summary.slice(0, -1) }), "refuted", "bcs-malformed"],
  [
    "another epoch's certificate",
    (r, n) => ({ ...r, certificate: certify(r.summary, 6n + BigInt(n), sets[0]!) }),
    "refuted",
    "certificate-signature",
  ],
  [
    "an epoch before the root",
    (_, __, note, time) => anchorNote(note, 4n, sets[0]!, { time }).receipt,
    "unproven",
    "epoch-before-root",
  ],
  [
    "an epoch behind the walk",
    (_, __, note, time) => anchorNote(note, 8n, sets[3]!, { time }).receipt,
    "unproven",
    "epoch-missing",
  ],
  ["a time to come", (_, n, note) => anchored(note, NOW + 400, n).receipt, "unproven", "receipt-from-future"],
];

for (const [name, spoil, word, codes] of spoils)
  test(`a receipt with ${name} is ${word}`, () => {
    const verdict = ask(worldOf([LINE], spoil), { releaseOnly: true });
    assert.is(codesOf(verdict), codes);
    assert.is(verdict.word, word);
  });

const spoilClose = (i: number, change: Partial<Close>) =>
  closes.map((c, k) => (k === i ? { ...c, ...change } : c));
const walks: readonly [name: string, walk: Bundle["walk"], word: string, codes: string][] = [
  ["too short", walkTo(6), "unproven", "epoch-missing"],
  ["too long", walkTo(8), "refuted", "surplus-walk"],
  [
    "with a certificate bent",
    walkTo(7, spoilClose(1, { certificate: bent(closes[1]!.certificate, 20) })),
    "refuted",
    "certificate-signature",
  ],
  [
    "with another next committee",
    walkTo(7, spoilClose(0, { next: sets[2]! })),
    "refuted",
    "certificate-signature",
  ],
  [
    "with a close that closes nothing",
    walkTo(7, spoilClose(0, { head: closes[0]!.head.slice(1) })),
    "refuted",
    "bcs-malformed",
  ],
  ["with keys in disorder", { ...walkTo(7), keys: walkTo(7).keys.slice(96) }, "refuted", "malformed-walk"],
  [
    "of another network",
    walkMember({ start: committeeOf(5n, sets[1]!), closes: closes.slice(0, 2) }),
    "unproven",
    "ledger-not-trusted",
  ],
];
for (const [name, walk, word, codes] of walks)
  test(`a walk ${name} is ${word}`, () => {
    const verdict = ask(withBundle({ ...(walk === undefined ? {} : { walk }) }), { releaseOnly: true });
    assert.is(codesOf(verdict), codes);
    assert.is(verdict.word, word);
  });

test("a walk beside receipts of a directory has no business there", () => {
  const world = makeWorld({ walk: walkTo(7) });
  const verdict = ask(world);
  assert.is(codesOf(verdict), "surplus-walk");
  assert.is(verdict.word, "refuted");
});

// Both kinds at once, in either order.
const ledger = keyOf("acme", "acme.example/ledger", KEY_COSIGNATURE);
const both = (reversed: boolean, directoryFirst: boolean): World => {
  const seen: Uint8Array[] = [];
  const receipts: NonNullable<WorldOptions["receipts"]> = (note, time, n) => {
    seen[n] = note;
    const directory = { kind: "directory", proof: directoryReceipt(seen.slice(0, n + 1), ledger, time + 7) };
    const rebased = receiptsBy((receipt) => receipt)(note, time, n)[0]!;
    return (n === 0 ? directoryFirst : reversed) ? [directory, rebased] : [rebased, directory];
  };
  return makeWorld({ receipts, walk: walkTo(7), policyLines: [LINE] });
};

test("directory and network together: both are told, whatever their order", () => {
  for (const directoryFirst of [false, true]) {
    const verdicts = [false, true].map((reversed) => ask(both(reversed, directoryFirst)));
    for (const verdict of verdicts) {
      assert.is(codesOf(verdict), "");
      assert.is(verdict.word, "patched");
      assert.is(verdict.timeSource, "self-asserted");
      assert.equal(
        verdict.steps.flatMap(({ claim, text }) => (claim === "ledger" ? [text.split(":")[0]] : [])),
        ["directory", "simulated", "simulated"],
      );
    }
    const [one, two] = verdicts.map(({ devices, asOf, steps }) => ({ devices, asOf, steps }));
    assert.equal(one, two);
  }
  const world = both(false, false);
  const publicOnly = world.policyText.replace(/^ledger directory.*\n/m, "");
  const verdict = ask({ ...world, policy: parsePolicy(utf8Encode(publicOnly), crypto) });
  assert.is(codesOf(verdict), "ledger-not-public");
});

test("what one bundle proved needs no walk for the next, and nothing for other policies", () => {
  const verifier = makeRebasedVerifier();
  assert.is(ask(good, { rebased: verifier.open }).word, "patched");
  const known = verifier.proved();
  assert.equal(
    known.map(({ from, proved }) => [formatRoot(from), Number(proved.epoch)]),
    [5, 6, 7].map((epoch) => [formatRoot(root), epoch]),
  );
  const spoilt = walkTo(
    7,
    closes.map((c) => ({ ...c, certificate: new Uint8Array(3) })),
  );
  const again = ask(withBundle({ walk: spoilt }), { rebased: makeRebasedVerifier(known).open });
  assert.is(again.word, "patched");
  const elsewhere = ask(worldOf([mainnet]), { rebased: makeRebasedVerifier(known).open });
  assert.is(codesOf(elsewhere), "ledger-not-trusted");
});

test("a root that ships is told with the day it was captured, and no other", () => {
  const [shipped] = ANCHORS;
  const committee = decodeCommittee(fromBase64(shipped!.committee)!);
  assert.is(capturedOf(rootOf("any name", committee, crypto), crypto), shipped!.captured);
  assert.is(capturedOf(root, crypto), null);
  assert.is(ask(good).anchors[0]?.rebased?.captured, null);
});

// 366 epochs, each certified and walked in one run; two sets of validators take turns, so that keys are few.
const year = (() => {
  const turns = [
    makeValidators("odd", [2500, 2500, 2500, 2500]),
    makeValidators("even", [2500, 2500, 2500, 2500]),
  ];
  const begin = committeeOf(100n, turns[0]!);
  const all = Array.from({ length: 366 }, (_, i) =>
    closeEpoch(100n + BigInt(i), turns[i % 2]!, turns[(i + 1) % 2]!),
  );
  return { turns, walk: { start: begin, closes: all } satisfies Walk };
})();

test("a proof over 366 epochs is walked in one run, and by less than 7 KB an epoch", () => {
  const { turns, walk } = year;
  const world = makeWorld({
    receipts: (note, time) => [
      { kind: "rebased", proof: formatRebasedReceipt(anchorNote(note, 466n, turns[0]!, { time }).receipt) },
    ],
    walk: walkMember(walk),
    dropPolicyLines: /^ledger/,
    policyLines: [`ledger rebased ${formatRoot(rootOf("simulated", walk.start, crypto))}`],
  });
  const verifier = makeRebasedVerifier();
  const verdict = ask(world, { rebased: verifier.open });
  assert.is(codesOf(verdict), "");
  assert.is(verdict.word, "patched");
  assert.is(verifier.proved().length, 367);
  const started = process.cpuUsage();
  assert.is(ask(world, { rebased: makeRebasedVerifier(verifier.proved()).open }).word, "patched");
  const { user } = process.cpuUsage(started);
  assert.ok(user < 5e6, `${user / 1e6} s of CPU with what was proved before`);
  const file = formatBundle(world.bundle);
  assert.equal(formatBundle(parseBundle(file)), file);
  const { walk: _, ...bare } = world.bundle;
  const grown = (file.length - formatBundle(bare).length) / 366;
  assert.ok(grown < 7 * 1024, `${grown} bytes an epoch`);
});

test("a year of a committee of mainnet's size fits in a bundle, twice", () => {
  const stakes = Array.from({ length: 62 }, (_, i) => (i < 18 ? 162n : 161n));
  const members = stakes.map((stake, i) => ({ publicKey: new Uint8Array(96).fill(i), stake }));
  const close: Close = {
    head: new Uint8Array(120),
    next: members,
    tail: new Uint8Array(40),
    certificate: new Uint8Array(160),
  };
  const walk = walkMember({ start: { epoch: 0n, members }, closes: new Array<Close>(2 * 366).fill(close) });
  const file = formatBundle({ ...good.bundle, walk });
  assert.ok(file.length < MAX_BUNDLE, `${file.length} bytes`);
  assert.is(parseBundle(file).walk?.closes.length, 732);
});

test.run();
