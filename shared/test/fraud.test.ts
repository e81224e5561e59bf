// Fraud proofs over every pair of small trees: a fork is proved exactly where the two histories differ, and an
// honest log can't be accused, whatever hashes somebody puts together. Then every byte of a file bent.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { formatCheckpoint } from "../src/checkpoint";
import { type FraudProof, formatFraud, parseFraud, proveFraud, proveStale, verifyFraud } from "../src/fraud";
import { type HashReader, leafHash, memoryReader, nodeHash, partsAt, rootOf } from "../src/merkle";
import { formatNote, signatureLine } from "../src/note";
import { isRefusal } from "../src/refusal";
import { KEY_COSIGNATURE } from "../src/vkey";
import { testCrypto } from "./keys";
import { flips, refusal } from "./vectors";
import { checkpointNote, type Key, keyOf } from "./world";

const fraud = suite("fraud");

const MOST = 34; // beyond two levels of 16, on both sides of a power of two
const LOG = keyOf("fraud", "log.example");
const OTHER = keyOf("fraud", "other.example");
const WITNESS = keyOf("fraud", "w.example", KEY_COSIGNATURE);
const NOBODY = keyOf("fraud", "nobody.example", KEY_COSIGNATURE);
const log = LOG.vkey;

const leaf = (text: string) => leafHash(utf8Encode(text), testCrypto);
const histories = new Map<number, HashReader>();
/** The log, and the one somebody else is shown: other records from `at` on. */
function history(at: number): HashReader {
  const leaves = () => Array.from({ length: MOST }, (_, i) => leaf(i < at ? `record ${i}` : `other ${i}`));
  const made = histories.get(at) ?? memoryReader(leaves(), testCrypto);
  histories.set(at, made);
  return made;
}
const HONEST = history(MOST);

// Ed25519 is asked about the same few notes thousands of times.
const known = new Map<string, boolean>();
const crypto = {
  sha256: testCrypto.sha256,
  verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    const name = [key, message, signature].map((part) => Buffer.from(part).toString("base64")).join();
    const answer = known.get(name) ?? testCrypto.verifyEd25519(key, message, signature);
    known.set(name, answer);
    return answer;
  },
};

const notes = new Map<string, Uint8Array>();
function note(size: number, at: number, time = 0, witnesses: readonly Key[] = []): Uint8Array {
  const name = `${size} ${at} ${time} ${witnesses.map(({ vkey }) => vkey.name)}`;
  const made = notes.get(name) ?? checkpointNote(size, history(at), LOG, witnesses, time);
  notes.set(name, made);
  return made;
}

const verified = (proof: FraudProof) => verifyFraud(proof, log, [WITNESS.vkey], crypto);

/** Whether the pair is proved to contradict each other; a proof must hold, read back from its file. */
function contradicts(a: Uint8Array, b: Uint8Array, reader = HONEST): boolean {
  const proof = proveFraud([a, b], reader, log, crypto);
  assert.equal(proveFraud([b, a], reader, log, crypto), proof, "the order they are given in doesn't matter");
  if (proof === null) return false;
  const file = formatFraud(proof);
  assert.equal(parseFraud(file), proof);
  assert.is(verified(parseFraud(file)).kind, proof.kind);
  return true;
}

fraud("a fork is proved for every two sizes, and only where the histories differ", () => {
  for (let b = 1; b <= MOST; b++) {
    for (let a = 1; a <= b; a++) {
      for (const at of new Set([0, a >> 1, a - 1, a, b - 1, b].filter((n) => n >= 0))) {
        const differs = at < a;
        const what = `sizes ${a} and ${b}, other records from ${at} on`;
        assert.is(contradicts(note(a, at), note(b, MOST)), differs, what);
        if (a < b) assert.is(contradicts(note(a, MOST), note(b, at), history(at)), differs, what);
      }
    }
  }
});

fraud("an honest log can't be accused: no hashes but the tree's own lead to its root", () => {
  let tried = 0;
  for (let b = 2; b <= 18; b++) {
    for (let a = 1; a < b; a++) {
      const parts = partsAt(BigInt(a), BigInt(b), HONEST, testCrypto);
      const bent = parts.map((part, i) => {
        const copy = part.slice();
        copy[(i * 11) % 32]! ^= 1 << (i % 8);
        return copy;
      });
      const tries = [
        parts,
        parts.slice(1),
        parts.slice(0, -1),
        [...parts].reverse(),
        [...parts, parts[0]!],
        [rootOf(BigInt(a), HONEST, testCrypto), ...parts.slice(1)],
        ...parts.map((_, i) => parts.map((part, j) => (i === j ? bent[j]! : part))),
        ...parts.map((_, i) => parts.filter((_part, j) => i !== j)),
        ...parts.map((_, i) => parts.map((part, j) => (j === i ? parts[(i + 1) % parts.length]! : part))),
      ];
      for (const proof of tries) {
        const accusation = { kind: "rewritten-history", proof } as const;
        const accused = { ...accusation, first: note(a, MOST), second: note(b, MOST) };
        assert.throws(
          () => verified(accused),
          (error: unknown) =>
            isRefusal(error) &&
            ["no-contradiction", "consistency-mismatch", "malformed-proof"].includes(error.code),
        );
        tried++;
      }
    }
  }
  assert.ok(tried > 1000, `${tried}`);
});

fraud("a signed root of no records that isn't the empty one contradicts every tree", () => {
  const text = formatCheckpoint({ origin: log.name, size: 0n, root: leaf("nothing") });
  const lie = formatNote(text, [signatureLine(log.name, log.keyId, LOG.sign(utf8Encode(text)))]);
  assert.ok(contradicts(lie, note(7, MOST)));
  assert.ok(contradicts(lie, note(0, MOST)));
  assert.not(contradicts(note(0, MOST), note(7, MOST)));
});

fraud("sizes past 2^53, and the largest there are", () => {
  // The left half is one subtree, and so is the right one: nothing else of such a tree need exist.
  const [left, right, other] = [leaf("left"), leaf("right"), leaf("other")];
  const size = 2n ** 62n;
  const root = nodeHash(left, right, testCrypto);
  const reader = { hash: (level: number, at: bigint) => (level === 62 ? root : at === 0n ? left : right) };
  const signed = (of: bigint, says: Uint8Array) => {
    const text = formatCheckpoint({ origin: log.name, size: of, root: says });
    return formatNote(text, [signatureLine(log.name, log.keyId, LOG.sign(utf8Encode(text)))]);
  };
  const whole = signed(size, root);
  assert.not(contradicts(signed(size / 2n, left), whole, reader));
  assert.ok(contradicts(signed(size / 2n, other), whole, reader));
  assert.ok(contradicts(signed(2n ** 53n + 1n, other), signed(2n ** 53n + 1n, left)));
});

const SPLIT = proveFraud([note(9, MOST), note(9, 4)], null, log, crypto)!;
const REWRITTEN = proveFraud([note(8, 4), note(21, MOST)], HONEST, log, crypto)!;
const STALE = proveStale(
  [note(8, MOST, 2000, [WITNESS]), note(21, MOST, 1000, [NOBODY, WITNESS])],
  log,
  [WITNESS.vkey],
  crypto,
)!;
const PROOFS = { SPLIT, REWRITTEN, STALE };

fraud(
  "a witness that cosigns a smaller tree after a larger one contradicts itself, and the log doesn't",
  () => {
    const { kind, witness, first, second } = verified(STALE);
    assert.is(kind, "stale-checkpoint");
    assert.equal(witness, { name: "w.example", times: [2000, 1000] });
    assert.equal([first.size, second.size], [8n, 21n]);
    assert.is(proveFraud([STALE.first, STALE.second], HONEST, log, crypto), null);
    const of = (one: Uint8Array, two: Uint8Array) => proveStale([one, two], log, [WITNESS.vkey], crypto);
    assert.is(of(note(8, MOST, 1000, [WITNESS]), note(21, MOST, 1000, [WITNESS])), null, "at one time");
    assert.is(of(note(8, MOST, 999, [WITNESS]), note(21, MOST, 1000, [WITNESS])), null, "in their order");
    assert.is(of(note(8, MOST, 2000, [NOBODY]), note(21, MOST, 1000, [WITNESS])), null, "by two witnesses");
  },
);

for (const [name, bend, code] of [
  ["no contradiction: one checkpoint twice", { ...SPLIT, second: SPLIT.first }, "no-contradiction"],
  ["a split view of two sizes", { ...REWRITTEN, kind: "split-view" }, "no-contradiction"],
  [
    "a split view in the other order",
    { ...SPLIT, first: SPLIT.second, second: SPLIT.first },
    "malformed-fraud",
  ],
  ["a split view with hashes", { ...SPLIT, proof: REWRITTEN.proof }, "malformed-proof"],
  ["a rewritten history of one size", { ...SPLIT, kind: "rewritten-history" }, "no-contradiction"],
  [
    "a rewritten history the wrong way round",
    { ...REWRITTEN, first: REWRITTEN.second, second: REWRITTEN.first },
    "no-contradiction",
  ],
  ["a hash too few", { ...REWRITTEN, proof: REWRITTEN.proof.slice(1) }, "malformed-proof"],
  [
    "hashes of another tree",
    { ...REWRITTEN, proof: partsAt(8n, 21n, history(4), testCrypto) },
    "consistency-mismatch",
  ],
  [
    "a cosignature that nobody asked about",
    { ...SPLIT, first: note(9, 4, 5, [WITNESS]) },
    "fraud-signatures",
  ],
  ["a checkpoint that another log signed", { ...SPLIT, first: otherLog() }, "unknown-log"],
  ["a checkpoint with a bad signature", { ...SPLIT, first: badSignature() }, "bad-signature"],
  ["a stale checkpoint without a cosignature", { ...STALE, first: note(8, MOST) }, "cosignature-missing"],
  [
    "a stale checkpoint by a witness that isn't given",
    { ...STALE, first: note(8, MOST, 2000, [NOBODY]) },
    "unknown-cosigner",
  ],
  [
    "a stale checkpoint by two witnesses",
    { ...STALE, second: note(21, MOST, 1000, [NOBODY]) },
    "fraud-signatures",
  ],
  [
    "a stale checkpoint cosigned in its order",
    { ...STALE, first: note(8, MOST, 1000, [WITNESS]) },
    "no-contradiction",
  ],
] as const) {
  fraud(`refuses: ${name}`, () => {
    assert.throws(() => verified(bend as FraudProof), refusal(code));
  });
}

function otherLog(): Uint8Array {
  return checkpointNote(9, history(4), OTHER, [], 0);
}

function badSignature(): Uint8Array {
  const text = formatCheckpoint({ origin: log.name, size: 9n, root: leaf("bad") });
  return formatNote(text, [signatureLine(log.name, log.keyId, LOG.sign(utf8Encode("else")))]);
}

fraud("refuses: with another log's key nothing is proved, nor with another key of that name", () => {
  for (const key of [OTHER.vkey, keyOf("another seed", "log.example").vkey]) {
    for (const proof of Object.values(PROOFS))
      assert.throws(() => verifyFraud(proof, key, [WITNESS.vkey], crypto), refusal("unknown-log"));
  }
});

fraud("hashes that aren't the larger tree's prove nothing, and say so", () => {
  assert.throws(
    () => proveFraud([note(8, MOST), note(21, MOST)], history(4), log, crypto),
    refusal("consistency-mismatch"),
  );
  assert.is(proveFraud([note(8, 4), note(21, MOST)], null, log, crypto), null, "without hashes none is made");
});

for (const [name, text, code] of [
  [
    "another version",
    '{"version":"vouch-fraud/v2","kind":"split-view","first":"AA==","second":"AA==","proof":[]}',
    "unsupported-version",
  ],
  [
    "another file of ours",
    '{"version":"vouch-bundle/v1","kind":"split-view","first":"AA==","second":"AA==","proof":[]}',
    "malformed-fraud",
  ],
  [
    "a kind nobody knows",
    '{"version":"vouch-fraud/v1","kind":"lie","first":"AA==","second":"AA==","proof":[]}',
    "malformed-fraud",
  ],
  [
    "keys in another order",
    '{"kind":"split-view","version":"vouch-fraud/v1","first":"AA==","second":"AA==","proof":[]}',
    "not-canonical-json",
  ],
  [
    "a key too many",
    '{"version":"vouch-fraud/v1","kind":"split-view","first":"AA==","second":"AA==","proof":[],"note":""}',
    "malformed-fraud",
  ],
  [
    "a hash of 31 bytes",
    `{"version":"vouch-fraud/v1","kind":"split-view","first":"AA==","second":"AA==","proof":["${"A".repeat(40)}A=="]}`,
    "malformed-fraud",
  ],
  [
    "base64 with stray bits",
    '{"version":"vouch-fraud/v1","kind":"split-view","first":"AB==","second":"AA==","proof":[]}',
    "malformed-fraud",
  ],
  [
    "more hashes than a tree has levels",
    `{"version":"vouch-fraud/v1","kind":"split-view","first":"AA==","second":"AA==","proof":[${Array(66)
      .fill(`"${"A".repeat(43)}="`)
      .join()}]}`,
    "malformed-fraud",
  ],
  ["more bytes than a proof can have", " ".repeat(256 * 1024 + 1), "too-large"],
] as const) {
  fraud(`refuses a file: ${name}`, () => {
    assert.throws(() => parseFraud(utf8Encode(text)), refusal(code));
  });
}

// What a bent file may still say is only what the file said: that these two checkpoints contradict each other.
for (const [name, proof] of Object.entries(PROOFS)) {
  fraud(`every byte of a file, bent: ${name} is refused`, () => {
    for (const [at, bent] of flips(formatFraud(proof)))
      assert.throws(() => verified(parseFraud(bent)), isRefusal, `byte ${at}`);
  });
  fraud(`a file cut off, or with something after it: ${name} is refused`, () => {
    const file = formatFraud(proof);
    for (let end = 0; end < file.length; end += 7)
      assert.throws(() => verified(parseFraud(file.slice(0, end))), isRefusal);
    assert.throws(() => parseFraud(Buffer.concat([file, Buffer.from("\n")])), refusal("not-canonical-json"));
  });
}
fraud.run();
