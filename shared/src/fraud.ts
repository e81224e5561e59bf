// Fraud proofs: two signed checkpoints of one log that can't both be true, in one small file
// that anybody checks who has the log's public key. Format: spec/fraud.md.
//
//   {"version":"vouch-fraud/v1","kind":"rewritten-history",
//    "first":"<b64 note>","second":"<b64 note>","proof":["<b64 hash>"…]}
//
//   split-view          equal sizes, different roots. proof is []
//   rewritten-history   first is smaller, and what the second root says of its own first records
//                       leads to another root than first's
//   stale-checkpoint    first is smaller, and one witness cosigned it after it had cosigned
//                       second: no fraud of the log, and not to be told by its key alone
//
// Why the middle one holds: hashes that take the second tree apart where the first one ends
// (impliedRoots, merkle.ts) and lead to the second root are the tree's own, unless SHA-256 is
// broken. So what they imply for its first records is what the log's second signature says of
// them; the first signature says otherwise. They begin with the largest complete subtree that
// ends there, always: an RFC 6962 consistency proof leaves it out where it is the first root
// itself, which is the very thing in question here.
//
// One encoding: canonical JSON, the notes cut down to the signature lines that count, in a
// fixed order. So no byte can be bent: it is a signature's, or it breaks the form.

import { equalBytes, toBase64, toHex } from "./bytes";
import { type Checkpoint, openCheckpoint } from "./checkpoint";
import { verifyCosignature } from "./cosignature";
import type { Crypto } from "./crypto";
import { base64, formatJson, list, object, oneOf, readJson, text } from "./json";
import { emptyRoot, type HashReader, impliedRoots, partsAt } from "./merkle";
import { formatNote, MAX_NOTE, type Note, type NoteSignature, signaturesBy } from "./note";
import { isRefusal, quote, Refusal } from "./refusal";
import { isoTime } from "./time";
import type { Vkey } from "./vkey";

export const FRAUD_VERSION = "vouch-fraud/v1";
export const MAX_FRAUD = 256 * 1024;
const MAX_PROOF = 65; // a tree of 2^63 records has 63 levels

export const FRAUD_KINDS = ["split-view", "rewritten-history", "stale-checkpoint"] as const;
export type FraudKind = (typeof FRAUD_KINDS)[number];

export interface FraudProof {
  readonly kind: FraudKind;
  /** The smaller of two checkpoint notes; of one size, the one with the smaller root. */
  readonly first: Uint8Array;
  readonly second: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** What a proof that holds says. */
export interface ProvenFraud {
  readonly kind: FraudKind;
  readonly origin: string;
  readonly first: Checkpoint;
  readonly second: Checkpoint;
  /** The root that the second checkpoint gives the first one's records; null for a stale checkpoint. */
  readonly implied: Uint8Array | null;
  /** Who contradicted itself, and when it cosigned the first and the second: a stale checkpoint alone. */
  readonly witness: { readonly name: string; readonly times: readonly [number, number] } | null;
}

const SHAPE = object({
  version: text(64),
  kind: oneOf(...FRAUD_KINDS),
  first: base64(1, MAX_NOTE),
  second: base64(1, MAX_NOTE),
  proof: list(base64(32), 0, MAX_PROOF),
});

/** Reads a file; verifies nothing. Throws `malformed-fraud`, `unsupported-version`, or as parseJson. */
export function parseFraud(bytes: Uint8Array): FraudProof {
  const { version, ...fraud } = readJson(
    bytes,
    "the fraud proof",
    MAX_FRAUD,
    "malformed-fraud",
    SHAPE,
    (read) => ({ version: read.version, ...toJson(read) }),
  );
  if (version !== FRAUD_VERSION) {
    const code = version.startsWith("vouch-fraud/") ? "unsupported-version" : "malformed-fraud";
    throw new Refusal(code, `the fraud proof is ${quote(version)}, expected ${FRAUD_VERSION}`);
  }
  return fraud;
}

export const formatFraud = (fraud: FraudProof): Uint8Array =>
  formatJson({ version: FRAUD_VERSION, ...toJson(fraud) });

const toJson = ({ kind, first, second, proof }: FraudProof) => ({
  kind,
  first: toBase64(first),
  second: toBase64(second),
  proof: proof.map((hash) => toBase64(hash)),
});

/**
 * Establishes that the two checkpoints contradict each other. Throws `no-contradiction`, `fraud-signatures`,
 * `malformed-proof`, `consistency-mismatch`, for a stale checkpoint `unknown-cosigner` and `cosignature-missing`, and
 * what openCheckpoint and verifyCosignature throw.
 */
export function verifyFraud(
  fraud: FraudProof,
  logKey: Vkey,
  witnesses: readonly Vkey[],
  crypto: Crypto,
): ProvenFraud {
  const opened = [fraud.first, fraud.second].map((note) => openCheckpoint(note, logKey, crypto));
  const [a, b] = opened as [(typeof opened)[0], (typeof opened)[0]];
  const [first, second] = [a.checkpoint, b.checkpoint];
  const found = { kind: fraud.kind, origin: logKey.name, first, second };
  if (fraud.kind === "stale-checkpoint") {
    const witness = checkStale([a.note, b.note], first, second, logKey, witnesses, crypto);
    if (fraud.proof.length > 0) throw new Refusal("malformed-proof", "a stale checkpoint needs no hashes");
    return { ...found, implied: null, witness };
  }
  for (const { note } of opened) checkLines(note, [logKey]);
  const implied =
    fraud.kind === "split-view"
      ? checkSplit(first, second, fraud.proof)
      : checkRewritten(first, second, fraud.proof, crypto);
  return { ...found, implied, witness: null };
}

function checkSplit(first: Checkpoint, second: Checkpoint, proof: readonly Uint8Array[]): Uint8Array {
  if (first.size !== second.size)
    throw none(`the checkpoints are of size ${first.size} and ${second.size}: no split view`);
  if (equalBytes(first.root, second.root)) throw none("both checkpoints say the same");
  if (toHex(first.root) > toHex(second.root))
    throw new Refusal("malformed-fraud", "of two checkpoints of one size the smaller root goes first");
  if (proof.length > 0) throw new Refusal("malformed-proof", "a split view needs no hashes");
  return second.root;
}

function checkRewritten(
  first: Checkpoint,
  second: Checkpoint,
  proof: readonly Uint8Array[],
  crypto: Crypto,
): Uint8Array {
  if (first.size >= second.size)
    throw none(`the first checkpoint is of size ${first.size}, the second of ${second.size}`);
  const implied = impliedBy(first.size, second, proof, crypto);
  if (equalBytes(implied, first.root))
    throw none(`the tree of size ${first.size} is a prefix of that of size ${second.size}`);
  return implied;
}

/** The root of the first `size` records of what `second` commits to, by hashes that lead to its root. */
function impliedBy(
  size: bigint,
  second: Checkpoint,
  proof: readonly Uint8Array[],
  crypto: Crypto,
): Uint8Array {
  if (size === 0n) {
    if (proof.length > 0) throw new Refusal("malformed-proof", "a tree without records needs no hashes");
    return emptyRoot(crypto); // whatever the larger tree
  }
  const roots = impliedRoots(size, second.size, proof, crypto);
  if (!equalBytes(roots.second, second.root)) {
    throw new Refusal(
      "consistency-mismatch",
      `the hashes lead to root ${toHex(roots.second)} for size ${second.size}, the checkpoint says ${toHex(second.root)}`,
    );
  }
  return roots.first;
}

/** A cosignature says: the largest tree of this log that I have seen, as of this time. */
function checkStale(
  notes: readonly [Note, Note],
  first: Checkpoint,
  second: Checkpoint,
  logKey: Vkey,
  witnesses: readonly Vkey[],
  crypto: Crypto,
): ProvenFraud["witness"] {
  if (first.size >= second.size)
    throw none(`the first checkpoint is of size ${first.size}, the second of ${second.size}`);
  const line = notes[0].signatures[1];
  if (line === undefined)
    throw new Refusal("cosignature-missing", "the first checkpoint carries no cosignature");
  const witness = witnesses.find((key) => isBy(line, key));
  if (witness === undefined)
    throw new Refusal("unknown-cosigner", `${quote(line.name)} cosigned, and no such key is given`);
  for (const note of notes) checkLines(note, [logKey, witness]);
  const [later, earlier] = notes.map((note) => verifyCosignature(note, witness, crypto).time);
  if (later! <= earlier!) {
    throw none(
      `${quote(witness.name)} cosigned size ${second.size} at ${isoTime(earlier!)}, not before size ${first.size} at ${isoTime(later!)}`,
    );
  }
  return { name: witness.name, times: [later!, earlier!] };
}

const isBy = (line: NoteSignature, key: Vkey) => line.name === key.name && equalBytes(line.keyId, key.keyId);

/** Exactly these lines, in this order: what nobody verifies has no place in a proof. */
function checkLines(note: Note, keys: readonly Vkey[]): void {
  if (note.signatures.length === keys.length && keys.every((key, i) => isBy(note.signatures[i]!, key)))
    return;
  throw new Refusal(
    "fraud-signatures",
    `a checkpoint has ${note.signatures.length} signature lines, expected those of ${keys.map(({ name }) => quote(name)).join(" and ")} alone`,
  );
}

/**
 * The proof that two checkpoint notes of this log contradict each other, or null when they don't. `tree` reads the
 * larger one's hashes, or is what partsAt gives, or null when the sizes are the same. Throws what openCheckpoint does,
 * and `consistency-mismatch` when those hashes aren't what the larger checkpoint commits to: then nothing can be said.
 */
export function proveFraud(
  notes: readonly [Uint8Array, Uint8Array],
  tree: HashReader | readonly Uint8Array[] | null,
  logKey: Vkey,
  crypto: Crypto,
): FraudProof | null {
  const [a, b] = notes
    .map((note) => {
      const { checkpoint, note: parsed } = openCheckpoint(note, logKey, crypto);
      return { checkpoint, note: cut(parsed, [logKey]) };
    })
    .sort((x, y) => compare(x.checkpoint, y.checkpoint)) as [Opened, Opened];
  const [first, second] = [a.checkpoint, b.checkpoint];
  const found = { first: a.note, second: b.note };
  if (first.size === second.size)
    return equalBytes(first.root, second.root) ? null : { kind: "split-view", ...found, proof: [] };
  if (first.size > 0n && tree === null) return null;
  const parts = (): readonly Uint8Array[] =>
    tree !== null && "hash" in tree ? partsAt(first.size, second.size, tree, crypto) : tree!;
  const proof = first.size === 0n ? [] : parts();
  return equalBytes(impliedBy(first.size, second, proof, crypto), first.root)
    ? null
    : { kind: "rewritten-history", ...found, proof };
}

interface Opened {
  readonly checkpoint: Checkpoint;
  readonly note: Uint8Array;
}

/** By size, then by root. */
const compare = (a: Checkpoint, b: Checkpoint): number =>
  a.size < b.size || (a.size === b.size && toHex(a.root) < toHex(b.root)) ? -1 : 1;

/** The note with one line by each of the keys, and no other. */
const cut = (note: Note, keys: readonly Vkey[]): Uint8Array =>
  formatNote(
    note.text,
    keys.map((key) => signaturesBy(note, key)[0]!.line),
  );

/**
 * That a witness cosigned the smaller of two notes after the larger one, or null when it didn't. Throws as
 * openCheckpoint does; cosignatures that don't verify say nothing.
 */
export function proveStale(
  notes: readonly [Uint8Array, Uint8Array],
  logKey: Vkey,
  witnesses: readonly Vkey[],
  crypto: Crypto,
): FraudProof | null {
  const opened = notes
    .map((note) => openCheckpoint(note, logKey, crypto))
    .sort((x, y) => compare(x.checkpoint, y.checkpoint));
  for (const witness of witnesses) {
    if (opened.some(({ note }) => signaturesBy(note, witness).length === 0)) continue;
    const [first, second] = opened.map(({ note }) => cut(note, [logKey, witness]));
    const fraud = { kind: "stale-checkpoint", first: first!, second: second!, proof: [] } as const;
    try {
      verifyFraud(fraud, logKey, witnesses, crypto);
      return fraud;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  return null;
}

const none = (message: string) => new Refusal("no-contradiction", message);
