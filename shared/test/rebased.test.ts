// What a receipt of IOTA's ledger proves, on a simulated network; and every way to spoil one.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, toHex, utf8Encode } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { readContents, readSummary } from "../src/rebased/checkpoint";
import { digestOf } from "../src/rebased/digest";
import {
  checkExecuted,
  formatRebasedReceipt,
  type RebasedReceipt,
  verifyRebasedReceipt,
} from "../src/rebased/proof";
import { readEffects, readTransaction } from "../src/rebased/transaction";
import {
  closingSummary,
  makeClose,
  makeRatchet,
  readWalk,
  rootOf,
  WALK,
  type Walk,
  walkJson,
} from "../src/rebased/walk";
import { isRefusal } from "../src/refusal";
import {
  anchorNote,
  certify,
  closeEpoch,
  committeeOf,
  encodeBitmap,
  encodeContents,
  encodeSummary,
  makeValidators,
} from "./rebased-kit";
import { flips, refusal } from "./vectors";

const rebased = suite("rebased receipts");
const NOTE = utf8Encode("fwlog.acme.example\n7\nabc=\n");
const validators = makeValidators("simulated", [3333, 3333, 3334]);
const start = committeeOf(5n, validators);
const root = rootOf("simulated", start, portableCrypto);
const walk: Walk = { start, closes: [] };
const ratchetOf = (w: Walk = walk) => makeRatchet(w, [root], portableCrypto);
const { receipt, sender } = anchorNote(NOTE, 5n, validators, { time: 1_790_000_123 });
const judge = (r: RebasedReceipt, note = NOTE, ratchet = ratchetOf()) =>
  verifyRebasedReceipt(formatRebasedReceipt(r), note, ratchet, portableCrypto);

/** The receipt with another checkpoint around what it holds. */
function recertified(changed: Partial<RebasedReceipt>, places?: number[]): RebasedReceipt {
  const merged = { ...receipt, ...changed };
  const summary = encodeSummary({
    epoch: 5n,
    sequence: 5007n,
    contentsDigest: digestOf("CheckpointContents", merged.contents),
    timestampMs: 1_790_000_123_000n,
  });
  return { ...merged, summary, certificate: certify(summary, 5n, validators, places) };
}

rebased("proves the note, its time, its sender and the weight behind it", () => {
  const proof = judge(receipt);
  assert.is(proof.time, 1_790_000_123);
  assert.is(proof.sequence, 5007n);
  assert.is(proof.epoch, 5n);
  assert.is(proof.weight, 10_000n);
  assert.is(toHex(proof.sender), toHex(sender));
  assert.is(proof.root, root);
});

rebased("refuses another note, and a sender that the policy doesn't name", () => {
  assert.throws(() => judge(receipt, utf8Encode("another")), refusal("note-mismatch"));
  const bytes = formatRebasedReceipt(receipt);
  const by = (address: Uint8Array) => verifyRebasedReceipt(bytes, NOTE, ratchetOf(), portableCrypto, address);
  assert.is(by(sender).epoch, 5n);
  assert.throws(() => by(new Uint8Array(32)), refusal("foreign-sender"));
});

const SEALED = ["summary", "certificate"] as const;
const NAMED = ["contents", "transaction", "effects"] as const;

/** All but the certificate, which binds none of these by itself. */
const judgeNamed = (r: RebasedReceipt) => checkExecuted(r, readSummary(r.summary), portableCrypto);

for (const part of [...SEALED, ...NAMED])
  rebased(`refuses a bit changed in any byte of the ${part}, and any byte less or more`, () => {
    const ratchet = ratchetOf(); // keys decoded once
    const isNamed = part !== "summary" && part !== "certificate";
    const refuses = (bytes: Uint8Array, how: string) => {
      const spoilt = { ...receipt, [part]: bytes };
      try {
        if (isNamed) judgeNamed(spoilt);
        else judge(spoilt, NOTE, ratchet);
      } catch (error) {
        if (isRefusal(error)) return;
        throw error;
      }
      assert.unreachable(`${part}, ${how}`);
    };
    for (const [at, bytes] of flips(receipt[part])) refuses(bytes, `bit in byte ${at}`);
    for (let at = 1; at < receipt[part].length; at++) refuses(receipt[part].slice(0, at), `cut at ${at}`);
    refuses(concatBytes([receipt[part], new Uint8Array([0])]), "a byte behind it");
  });

rebased("takes 6667 of 10000 and refuses 6666", () => {
  const five = makeValidators("exact", [1, 3333, 3333, 3333]);
  const committee = committeeOf(5n, five);
  const roots = [rootOf("simulated", committee, portableCrypto)];
  const ratchet = () => makeRatchet({ start: committee, closes: [] }, roots, portableCrypto);
  const by = (places: number[]) => judge(anchorNote(NOTE, 5n, five, { places }).receipt, NOTE, ratchet());
  assert.is(by([0, 1, 2]).weight, 6667n);
  assert.throws(() => by([1, 2]), refusal("certificate-quorum"));
});

rebased("refuses signers that are repeated, out of order or no members, and bitmaps of other forms", () => {
  const { summary } = receipt;
  const spoilt: [string, Uint8Array][] = [
    ["twice", encodeBitmap([0, 1, 1])],
    ["descending", encodeBitmap([1, 0, 2])],
    ["no member", encodeBitmap([0, 1, 3])],
    ["other cookie", concatBytes([new Uint8Array([0x3b]), encodeBitmap([0, 1, 2]).slice(1)])],
    [
      "two containers",
      concatBytes([
        encodeBitmap([0, 1, 2]).slice(0, 4),
        new Uint8Array([2]),
        encodeBitmap([0, 1, 2]).slice(5),
      ]),
    ],
    [
      "key 1",
      concatBytes([
        encodeBitmap([0, 1, 2]).slice(0, 8),
        new Uint8Array([1]),
        encodeBitmap([0, 1, 2]).slice(9),
      ]),
    ],
    [
      "offset 18",
      concatBytes([
        encodeBitmap([0, 1, 2]).slice(0, 12),
        new Uint8Array([18]),
        encodeBitmap([0, 1, 2]).slice(13),
      ]),
    ],
    [
      "too many",
      concatBytes([
        encodeBitmap([0, 1, 2]).slice(0, 10),
        new Uint8Array([0xff, 0xff]),
        encodeBitmap([0, 1, 2]).slice(12),
      ]),
    ],
  ];
  for (const [name, bitmap] of spoilt) {
    const certificate = certify(summary, 5n, validators, [0, 1, 2], bitmap);
    assert.throws(() => judge({ ...receipt, certificate }), refusal("certificate-bitmap"), name);
  }
  const trailing = concatBytes([encodeBitmap([0, 1, 2]), new Uint8Array([0])]);
  assert.throws(
    () => judge({ ...receipt, certificate: certify(summary, 5n, validators, [0, 1, 2], trailing) }),
    refusal("bcs-malformed"),
  );
});

rebased("refuses a certificate by other keys, over another epoch, of another checkpoint", () => {
  const others = makeValidators("others", [3333, 3333, 3334]);
  const other = anchorNote(NOTE, 5n, others).receipt;
  assert.throws(() => judge(other), refusal("certificate-signature"));
  assert.throws(
    () => judge({ ...receipt, certificate: certify(receipt.summary, 6n, validators) }),
    refusal("certificate-epoch"),
  );
  assert.throws(() => judge(anchorNote(NOTE, 4n, validators).receipt), refusal("epoch-before-root"));
  assert.throws(() => judge(anchorNote(NOTE, 6n, validators).receipt), refusal("epoch-missing"));
  const later = anchorNote(NOTE, 5n, validators, { sequence: 5008n }).receipt;
  assert.throws(
    () => judge({ ...receipt, certificate: later.certificate }),
    refusal("certificate-signature"),
  );
});

rebased("refuses a transaction that failed, effects of another, and contents without it", () => {
  const failed = anchorNote(NOTE, 5n, validators, { status: 1 }).receipt;
  assert.throws(() => judge(failed), refusal("transaction-failed"));
  const other = anchorNote(utf8Encode("other note"), 5n, validators).receipt;
  assert.throws(() => judge({ ...receipt, effects: other.effects }), refusal("effects-mismatch"));
  assert.throws(() => judge({ ...receipt, transaction: other.transaction }), refusal("transaction-missing"));
  assert.throws(() => judge({ ...receipt, contents: other.contents }), refusal("contents-mismatch"));
  const swapped = encodeContents([
    { transaction: receipt.transaction, effects: other.effects, signatures: [] },
  ]);
  assert.throws(
    () => judge(recertified({ contents: swapped, effects: other.effects })),
    refusal("effects-mismatch"),
  );
  const unsigned = encodeContents([{ ...receipt, signatures: [] }]);
  assert.throws(() => judge(recertified({ contents: unsigned })), refusal("sender-signature"));
  const bySomebody = encodeContents([{ ...receipt, signatures: [new Uint8Array(97).fill(1, 1)] }]);
  assert.throws(() => judge(recertified({ contents: bySomebody })), refusal("sender-signature"));
  const passkey = encodeContents([{ ...receipt, signatures: [new Uint8Array(97).fill(6)] }]);
  assert.throws(() => judge(recertified({ contents: passkey })), refusal("bcs-unsupported"));
});

rebased("tells what it doesn't know from what is wrong: later versions of each object", () => {
  const later = (part: (typeof NAMED)[number]) => {
    const bytes = receipt[part].slice();
    bytes[0] = 1;
    return bytes;
  };
  assert.throws(() => readContents(later("contents")), refusal("bcs-unsupported"));
  assert.throws(() => readTransaction(later("transaction")), refusal("bcs-unsupported"));
  assert.throws(() => readEffects(later("effects")), refusal("bcs-unsupported"));
});

rebased("believes no length that isn't there", () => {
  for (const length of [
    [0xff, 0xff, 0xff, 0xff, 0x07],
    [0x80, 0x80, 0x80, 0x80, 0x08],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  ]) {
    const contents = concatBytes([new Uint8Array([0, ...length]), new Uint8Array(64)]);
    assert.throws(() => judge({ ...receipt, contents }), refusal("bcs-malformed"));
  }
});

// The ratchet.

/** Epochs 5 to 5 + n, a validator replaced at each. */
function walkOf(epochs: number): { walk: Walk; validators: ReturnType<typeof makeValidators>[] } {
  const sets = [validators];
  for (let i = 1; i <= epochs; i++) sets.push(makeValidators(`set ${i % 7}`, [3333, 3333, 3334]));
  const closes = sets.slice(1).map((next, i) => closeEpoch(5n + BigInt(i), sets[i]!, next));
  return { walk: { start, closes }, validators: sets };
}

const long = walkOf(9);

rebased("walks from the root to the receipt's epoch, and through its JSON", () => {
  const json = JSON.parse(JSON.stringify(walkJson(long.walk)));
  const read = readWalk(WALK(json, "walk"));
  assert.equal(walkJson(read), walkJson(long.walk));
  const ratchet = ratchetOf(read);
  const last = anchorNote(NOTE, 14n, long.validators[9]!).receipt;
  assert.is(judge(last, NOTE, ratchet).epoch, 14n);
  const proved = ratchet.proved();
  assert.is(proved.length, 10);
  assert.is(proved[9]!.proved.epoch, 14n);
  // A root learned so is as good as the first, and nothing before it is looked at.
  const spoilt = {
    ...read,
    closes: read.closes.map((c, i) => (i < 9 ? { ...c, certificate: new Uint8Array(3) } : c)),
  };
  assert.is(judge(last, NOTE, makeRatchet(spoilt, [root, proved[9]!.proved], portableCrypto)).epoch, 14n);
  assert.throws(
    () => judge(last, NOTE, makeRatchet(spoilt, [root], portableCrypto)),
    refusal("bcs-malformed"),
  );
});

rebased("a step that fails leaves what was proved before it", () => {
  const closes = long.walk.closes.map((c, i) =>
    i === 4 ? { ...c, certificate: long.walk.closes[3]!.certificate } : c,
  );
  const ratchet = ratchetOf({ start, closes });
  assert.throws(() => ratchet.committeeOf(10n), refusal("certificate-epoch"));
  assert.is(ratchet.proved().length, 5);
  assert.is(ratchet.committeeOf(9n).epoch, 9n);
  assert.throws(() => ratchet.committeeOf(14n), refusal("certificate-epoch"));
});

rebased("refuses a walk of other roots, an unsorted committee, a close that closes nothing", () => {
  const other = rootOf("simulated", committeeOf(5n, makeValidators("others", [5000, 5000])), portableCrypto);
  assert.throws(() => makeRatchet(walk, [other], portableCrypto), refusal("ledger-not-trusted"));
  assert.throws(() => makeRatchet(walk, [], portableCrypto), refusal("ledger-not-trusted"));
  const [a, b, c] = validators;
  const closeTo = (next: typeof validators) => () => closeEpoch(5n, validators, next);
  assert.throws(closeTo([b!, a!, c!]), refusal("committee-malformed"));
  assert.throws(closeTo([a!, a!, c!]), refusal("committee-malformed"));
  assert.throws(closeTo([a!, b!]), refusal("committee-malformed"));
  assert.throws(closeTo([{ ...a!, stake: 0n }, b!, { ...c!, stake: 6667n }]), refusal("committee-malformed"));
  const open = encodeSummary({
    epoch: 5n,
    sequence: 1n,
    contentsDigest: new Uint8Array(32),
    timestampMs: 0n,
  });
  assert.throws(() => makeClose(open, certify(open, 5n, validators)), refusal("not-closing"));
});

// The committee that a close shows must be where the summary has it, not in bytes that merely follow.
rebased("refuses a committee smuggled in behind the real one", () => {
  const mine = makeValidators("mine", [5000, 5000]);
  const honest = long.walk.closes[0]!;
  const smuggled = {
    ...honest,
    head: concatBytes([closingSummary(honest)]),
    next: mine,
    tail: new Uint8Array(0),
  };
  const ratchet = ratchetOf({ start, closes: [smuggled] });
  assert.throws(() => ratchet.committeeOf(6n), isRefusal);
});

rebased("a walk has one form: each key once, ascending, and used", () => {
  const json = walkJson(long.walk);
  const spoil = (change: object) => () => readWalk(WALK({ ...json, ...change }, "walk"));
  const keys = Buffer.from(json.keys, "base64");
  const spoilt = {
    "one that isn't used": Buffer.concat([keys, Buffer.alloc(96, 0xff)]),
    "one repeated": Buffer.concat([keys.subarray(0, 96), keys]),
    "one missing": keys.subarray(0, -96),
    "a part of one": keys.subarray(1),
  };
  for (const [name, bytes] of Object.entries(spoilt))
    assert.throws(spoil({ keys: bytes.toString("base64") }), refusal("malformed-walk"), name);
  const swapped = Buffer.concat([keys.subarray(96, 192), keys.subarray(0, 96), keys.subarray(192)]);
  assert.throws(spoil({ keys: swapped.toString("base64") }), isRefusal);
  assert.throws(spoil({ epoch: "05" }), refusal("malformed-json"));
  assert.throws(spoil({ later: 1 }), refusal("malformed-json"));
});

rebased("a year of epochs takes at most 7 KB each in a bundle, for a committee of mainnet's size", () => {
  const stakes = Array.from({ length: 62 }, (_, i) => (i < 18 ? 162 : 161));
  const many = makeValidators("sixty-two", stakes);
  const base = { start: committeeOf(0n, many), closes: [] as ReturnType<typeof closeEpoch>[] };
  const short = JSON.stringify(walkJson(base)).length;
  const close = closeEpoch(0n, many, many);
  const grown = JSON.stringify(walkJson({ ...base, closes: [close] })).length - short;
  assert.ok(grown <= 7 * 1024, `${grown} bytes`);
});

rebased.run();
