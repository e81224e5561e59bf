// The whole argument with times of a private Tangle's coordinator: patched under a policy that names its trust file,
// unproven under another; and what each spoiled piece is called.

import type { Question } from "@vouch/shared/appraise";
import { earOf } from "@vouch/shared/ear";
import { PRESETS } from "@vouch/shared/stardust/presets";
import {
  formatStardustReceipt,
  type StardustReceipt,
  verifyStardustReceipt,
} from "@vouch/shared/stardust/proof";
import { formatStardustRoot } from "@vouch/shared/stardust/root";
import { makeTrust, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import type { Verdict } from "@vouch/shared/verdict";
import { KEY_COSIGNATURE } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";
import { toHex, utf8Encode } from "../src/bytes";
import { makeRebasedVerifier } from "../src/rebased/judge";
import { formatRebasedReceipt } from "../src/rebased/receipt";
import { formatRoot } from "../src/rebased/root";
import { rootOf } from "../src/rebased/walk";
import { walkMember } from "../src/rebased/walkform";
import { decodeMilestone, encodeMilestone } from "../src/stardust/milestone";
import { appraiseAlike } from "./alike";
import { bent, codesOf, ledgerLines, questionOf, type Receipts, worldUnder } from "./ledger-claims";
import { anchorNote, committeeOf, makeValidators } from "./rebased-kit";
import { anchorOnTangle, makeTangle, type Wishes } from "./stardust-kit";
import { directoryReceipt, keyOf, makeWorld, NOW, T0, type World } from "./world";

const test = suite("claims on a private Tangle");

const tangle = makeTangle("hospital-tangle");
const lineOf = (trust: Trust) => `ledger stardust ${formatStardustRoot(rootOfTrust(trust, crypto))}`;
const LINE = lineOf(tangle.trust);
const anchored = (note: Uint8Array, time: number, n: number, wishes: Partial<Wishes> = {}) =>
  anchorOnTangle(tangle, note, { time, index: 100 + n, ...wishes });

type Spoil = (receipt: StardustReceipt, n: number, note: Uint8Array, time: number) => StardustReceipt;
const stardust = (receipt: StardustReceipt) => ({ kind: "stardust", proof: formatStardustReceipt(receipt) });
const receiptsBy =
  (spoil: Spoil): Receipts =>
  (note, time, n) => [stardust(spoil(anchored(note, time, n), n, note, time))];

const worldOf = (lines: readonly string[] = [LINE], spoil: Spoil = (receipt) => receipt): World =>
  worldUnder(lines, receiptsBy(spoil));

const ask = (world: World, question: Partial<Question> = {}): Verdict =>
  appraiseAlike(questionOf(world, { stardust: verifyStardustReceipt, ...question }));
const good = worldOf();

test("is patched under the trust file's line, and says what claim 3 rests on", () => {
  const verdict = ask(good);
  assert.is(codesOf(verdict), "");
  assert.is(verdict.word, "patched");
  assert.is(verdict.timeSource, "coordinator");
  const [first, second] = verdict.anchors;
  assert.equal(
    ledgerLines(verdict),
    [
      [first, T0, 100],
      [second, T0 + 120, 101],
    ].map(
      ([anchor, time, index]) =>
        `hospital-tangle: size ${(anchor as typeof first)!.size} referenced at ${isoTime(time as number)} by milestone ${index} in block 0x${toHex((anchor as typeof first)!.stardust!.blockId)}, signed by 2 keys where 2 must, recorded by the coordinator of a private Tangle`,
    ),
  );
  assert.equal(
    verdict.notes.filter((note) => /retired/.test(note)),
    [],
  );
  for (const limit of [/not that it is the newest$/, /^a coordinator's time is the word/])
    assert.ok(verdict.limits.some((text) => limit.test(text)));
  assert.not.ok(verdict.limits.some((text) => /committee/.test(text)));
});

test("the JSON result carries network, milestone, block and signers", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what JSON.parse gives a stranger
  const ear = JSON.parse(JSON.stringify(earOf(ask(good), NOW, ""))) as any;
  const { milestoneId, block, ...rest } = ear.vouch.anchors[1];
  assert.equal(rest, {
    size: Number(new TextDecoder().decode(good.bundle.checkpoints[1]!.note).split("\n")[1]),
    kind: "stardust",
    time: isoTime(T0 + 120),
    network: "hospital-tangle",
    milestone: 101,
    tag: `0x${toHex(utf8Encode("vouch/v1"))}`,
    signers: 2,
    threshold: 2,
    root: LINE.split(" ")[2],
    retired: null,
  });
  for (const id of [milestoneId, block]) assert.match(id, /^0x[0-9a-f]{64}$/);
  assert.is(ear.vouch.timeSource, "coordinator");
});

const namesake = makeTangle("hospital-tangle", 3, 2, "somebody");
const policies: readonly [name: string, lines: readonly string[], word: string, codes: string][] = [
  ["the network and another", [LINE, lineOf(namesake.trust)], "patched", ""],
  ["a network of the same name", [lineOf(namesake.trust)], "unproven", "ledger-not-trusted"],
  [
    "the same keys and a lower threshold",
    [lineOf(makeTrust({ ...tangle.trust, threshold: 1 }))],
    "unproven",
    "ledger-not-trusted",
  ],
  [
    "the digest under another name",
    [LINE.replace("hospital-tangle", "other")],
    "unproven",
    "ledger-not-trusted",
  ],
  ["a retired network", [lineOf(PRESETS[0]!.trust)], "unproven", "ledger-not-trusted"],
  ["no ledger", [], "unproven", "no-ledger"],
  ["a directory alone", ["directory"], "unproven", "ledger-not-trusted"],
];
for (const [name, lines, word, codes] of policies)
  test(`a policy with ${name}: ${word}`, () => {
    const verdict = ask(
      lines[0] === "directory" ? makeWorld({ receipts: receiptsBy((receipt) => receipt) }) : worldOf(lines),
    );
    assert.is(codesOf(verdict), codes);
    assert.is(verdict.word, word);
  });

test("without a verifier of such receipts nothing is said of them", () => {
  const verdict = ask(good, { stardust: undefined });
  assert.is(codesOf(verdict), "unsupported-receipt");
  assert.is(verdict.word, "unproven");
});

const last = (bytes: Uint8Array) => bytes.length - 1;
const resigned = (receipt: StardustReceipt, places: readonly number[]) => {
  const { signatures } = decodeMilestone(receipt.milestone);
  const essence = receipt.milestone.slice(4, -(1 + 97 * signatures.length));
  return {
    ...receipt,
    milestone: encodeMilestone(
      essence,
      places.map((i) => signatures[i]!),
    ),
  };
};
const spoils: readonly [name: string, spoil: Spoil, word: string, codes: string][] = [
  ["another note's", (_, n, __, time) => anchored(utf8Encode("other"), time, n), "refuted", "note-mismatch"],
  [
    "a bit of a signature",
    (r) => ({ ...r, milestone: bent(r.milestone, last(r.milestone)) }),
    "refuted",
    "milestone-signature",
  ],
  ["an earlier time", (r) => ({ ...r, milestone: bent(r.milestone, 8) }), "refuted", "milestone-signature"],
  ["one signature", (r) => resigned(r, [0]), "refuted", "milestone-threshold"],
  ["one signature twice", (r) => resigned(r, [0, 0]), "refuted", "milestone-signer-repeated"],
  ["signatures swapped", (r) => resigned(r, [1, 0]), "refuted", "milestone-signers-unsorted"],
  [
    "a key that isn't the coordinator's",
    (_, n, note, time) => ({
      ...anchorOnTangle(namesake, note, { time, index: 100 + n }),
      trust: tangle.trust,
    }),
    "refuted",
    "milestone-signer-unknown",
  ],
  [
    "a path of another milestone",
    (r, n, note, time) => ({ ...r, path: anchored(note, time, n + 7).path }),
    "refuted",
    "block-not-included",
  ],
  ["a path cut short", (r) => ({ ...r, path: r.path.slice(1) }), "refuted", "block-not-included"],
  [
    "a bit of the block",
    (r) => ({ ...r, block: bent(r.block, last(r.block)) }),
    "refuted",
    "block-not-included",
  ],
  ["a block cut short", (r) => ({ ...r, block: r.block.slice(0, -1) }), "refuted", "block-malformed"],
  [
    "a milestone cut short",
    (r) => ({ ...r, milestone: r.milestone.slice(0, -1) }),
    "refuted",
    "milestone-malformed",
  ],
  [
    "a block of a later protocol",
    (r) => ({ ...r, block: bent(r.block, 0) }),
    "unproven",
    "stardust-unsupported",
  ],
  [
    "other keys than the policy's",
    (_, n, note, time) => anchorOnTangle(namesake, note, { time, index: 100 + n }),
    "unproven",
    "ledger-not-trusted",
  ],
  ["a time to come", (_, n, note) => anchored(note, NOW + 400, n), "unproven", "receipt-from-future"],
];
for (const [name, spoil, word, codes] of spoils)
  test(`a receipt with ${name} is ${word}`, () => {
    const verdict = ask(worldOf([LINE], spoil), { releaseOnly: true });
    assert.is(codesOf(verdict), codes);
    assert.is(verdict.word, word);
    assert.ok(verdict.reasons.every(({ claim }) => claim === "ledger"));
    assert.ok(verdict.anchors.every(({ time, stardust }) => time === null && stardust === null));
  });

test("receipts are bound to their nonce: the same checkpoint in a younger milestone doesn't make evidence younger", () => {
  const [first, ...rest] = good.bundle.checkpoints;
  const again = { ...first!, receipts: [stardust(anchored(first!.note, T0 + 600, 9))] };
  const verdict = ask({ ...good, bundle: { ...good.bundle, checkpoints: [again, ...rest] } });
  assert.is(verdict.word, "refuted");
  assert.ok(verdict.reasons.some(({ claim }) => claim === "evidence"));
});

// The weakest clock of a verdict is the one that it names.
const ledger = keyOf("acme", "acme.example/ledger", KEY_COSIGNATURE);
const validators = makeValidators("one", [10_000]);
const committee = committeeOf(5n, validators);
const kinds: readonly [name: string, kinds: readonly string[], source: string][] = [
  ["Tangle and validators", ["rebased", "stardust"], "coordinator"],
  ["Tangle and directory", ["stardust", "directory"], "self-asserted"],
  ["all three", ["rebased", "stardust", "directory"], "self-asserted"],
];
for (const [name, wanted, source] of kinds)
  test(`${name} together: both are told, and times are ${source}`, () => {
    const notes: Uint8Array[] = [];
    const world = makeWorld({
      receipts: (note, time, n) => {
        notes[n] = note;
        const all = {
          stardust: stardust(anchored(note, time, n)),
          directory: { kind: "directory", proof: directoryReceipt(notes.slice(0, n + 1), ledger, time + 7) },
          rebased: {
            kind: "rebased",
            proof: formatRebasedReceipt(anchorNote(note, 5n, validators, { time }).receipt),
          },
        };
        return wanted.map((kind) => all[kind as keyof typeof all]);
      },
      policyLines: [LINE, `ledger rebased ${formatRoot(rootOf("simulated", committee, crypto))}`],
      ...(wanted.includes("rebased") ? { walk: walkMember({ start: committee, closes: [] }) } : {}),
    });
    const verdict = ask(world, { rebased: makeRebasedVerifier().open });
    assert.is(codesOf(verdict), "");
    assert.is(verdict.word, "patched");
    assert.is(verdict.timeSource, source);
    const told = ledgerLines(verdict).map((text) => text.split(":")[0]);
    assert.is(told.filter((network) => network === "hospital-tangle").length, 2);
    assert.is(told.filter((network) => network === "simulated").length, wanted.includes("rebased") ? 2 : 0);
  });

test("a retired network's keys are told, whatever the trust file calls them", () => {
  // One key of old mainnet among ours: it doesn't sign, and is there.
  const trust = makeTrust({ ...tangle.trust, keys: [...tangle.trust.keys, PRESETS[0]!.trust.keys[0]!] });
  const verdict = ask(worldOf([lineOf(trust)], (receipt) => ({ ...receipt, trust })));
  assert.is(verdict.word, "patched");
  assert.ok(
    verdict.notes.some((note) =>
      /^hospital-tangle has keys of a network that is retired .*could back-date$/.test(note),
    ),
  );
  assert.ok(
    ledgerLines(verdict).every((text) =>
      /recorded by the coordinator of a Tangle that is retired$/.test(text),
    ),
  );
  assert.match(verdict.anchors[0]!.stardust!.retired!, /May 2025/);
});

test("a receipt bent anywhere is never patched", () => {
  const [first, ...rest] = good.bundle.checkpoints;
  const { proof } = first!.receipts[0]!;
  for (let at = 0; at < proof.length; at += 41) {
    const spoilt = proof.slice();
    spoilt[at]! ^= 1 << (at % 7);
    const checkpoints = [{ ...first!, receipts: [{ kind: "stardust", proof: spoilt }] }, ...rest];
    const verdict = ask({ ...good, bundle: { ...good.bundle, checkpoints } }, { releaseOnly: true });
    assert.ok(["refuted", "unproven"].includes(verdict.word), `byte ${at}: ${verdict.word}`);
    assert.ok(
      verdict.reasons.some(({ claim }) => claim === "ledger"),
      `byte ${at}`,
    );
  }
});

test.run();
