// What a log asks of a witness, and when a witness may agree. C2SP tlog-witness v1.0.0.
//
//   old 5                                          the size that the witness has cosigned last
//   ifJD5y6YrILCr57TlQxK2lZZq9Dx1P/WisUaZmKWYtc=   consistency proof, one base64 hash a line
//                                                  an empty line
//   example.org/firmware-log                       the checkpoint note, verbatim
//   …
//
// Over HTTP it is the body of `add-checkpoint`; on a stick it is a file. The answer to both
// is the same too: signature lines, each ending in LF, for the checkpoint's note.
//
// A witness cosigns when, in this order,
//   1. the request is one                                                 400 malformed-request, too-large, …
//   2. it knows the checkpoint's origin                                   404 unknown-log
//   3. a key it trusts for that origin signed, and none that claims to lies   403 untrusted-signature, bad-signature
//   4. the old size isn't beyond the new one                              400 old-size-beyond
//   5. the old size is what it has cosigned last                          409 old-size-mismatch
//   6. the old tree is a prefix of the new one, an empty tree has the
//      empty root, and equal sizes have equal roots                       422 consistency-mismatch, …
// What it keeps is the text with the signatures it has verified, and nothing else that came.

import { concatBytes, equalBytes, fromBase64, toBase64, utf8Decode, utf8Encode } from "./bytes";
import { type Checkpoint, parseCheckpoint, parseSize } from "./checkpoint";
import { verifyCosignature } from "./cosignature";
import type { Crypto } from "./crypto";
import { checkConsistency, emptyRoot } from "./merkle";
import { formatNote, MAX_NOTE, MAX_SIGNATURES, parseNote, parseSignatureLine, verifyNote } from "./note";
import { isRefusal, quote, Refusal } from "./refusal";
import type { Vkey } from "./vkey";

const MAX_HASHES = 63; // as the specification says: one a level of a tree of 2^63 - 1
/** 63 lines of 45 bytes and the first line fit in 4096. */
export const MAX_REQUEST = MAX_NOTE + 4096;
/** As many lines as a note has, of the longest name and a signature of type 04, and then some. */
export const MAX_ANSWER = MAX_SIGNATURES * 1024;

export interface AddCheckpoint {
  readonly oldSize: bigint;
  readonly proof: readonly Uint8Array[];
  /** The checkpoint note, as it came. */
  readonly note: Uint8Array;
}

export function formatAddCheckpoint({ oldSize, proof, note }: AddCheckpoint): Uint8Array {
  const hashes = proof.map((hash) => `${toBase64(hash)}\n`).join("");
  return concatBytes([utf8Encode(`old ${oldSize}\n${hashes}\n`), note]);
}

/** Reads a request; verifies nothing. Throws `malformed-request` or `too-large`. */
export function parseAddCheckpoint(bytes: Uint8Array): AddCheckpoint {
  if (bytes.length > MAX_REQUEST)
    throw new Refusal("too-large", `request is ${bytes.length} bytes, at most ${MAX_REQUEST} are accepted`);
  const text = utf8Decode(bytes);
  if (text === null) throw malformed("it isn't UTF-8");
  const blank = text.indexOf("\n\n");
  if (blank < 0) throw malformed("no empty line comes before the checkpoint");
  const [first = "", ...lines] = text.slice(0, blank).split("\n");
  const oldSize = first.startsWith("old ") ? parseSize(first.slice(4)) : null;
  if (oldSize === null) throw malformed(`the first line is ${quote(first)}, expected an old size`);
  if (lines.length > MAX_HASHES)
    throw malformed(`it has ${lines.length} hashes, at most ${MAX_HASHES} are possible`);
  const proof = lines.map((line) => {
    const hash = fromBase64(line);
    if (hash === null || hash.length !== 32) throw malformed(`${quote(line)} isn't a hash`);
    return hash;
  });
  // What comes before the checkpoint is ASCII by now, so text and bytes count alike.
  return { oldSize, proof, note: bytes.slice(blank + 2) };
}

/** A checkpoint of a log that is known, signed by keys that are trusted for it. */
export interface Submitted {
  readonly checkpoint: Checkpoint;
  /** The note with the verified signatures and no others. */
  readonly note: Uint8Array;
}

/**
 * Steps 2 and 3: whose it is. Throws `unknown-log`, `untrusted-signature`, `bad-signature`, `malformed-note`,
 * `malformed-checkpoint`.
 */
export function openSubmitted(bytes: Uint8Array, logs: readonly Vkey[], crypto: Crypto): Submitted {
  const note = parseNote(bytes);
  const checkpoint = parseCheckpoint(note.text);
  const keys = logs.filter((key) => key.name === checkpoint.origin);
  if (keys.length === 0)
    throw new Refusal("unknown-log", `the log ${quote(checkpoint.origin)} isn't one this witness knows`);
  const signers = keys.filter((key) => verifyNote(note, key, crypto));
  if (signers.length === 0)
    throw new Refusal(
      "untrusted-signature",
      `no signature on the checkpoint is by ${quote(checkpoint.origin)} with a key this witness trusts`,
    );
  const lines = note.signatures.filter((line) =>
    signers.some((key) => key.name === line.name && equalBytes(key.keyId, line.keyId)),
  );
  return { checkpoint, note: formatNote(note.text, [...new Set(lines.map(({ line }) => line))]) };
}

/** `old-size-mismatch` with the size that was expected: the one answer that a client can go on from. */
export class OldSizeMismatch extends Refusal {
  constructor(
    readonly knownSize: bigint,
    message: string,
  ) {
    super("old-size-mismatch", message);
  }
}

/**
 * Steps 4 to 6: whether it extends what this witness has cosigned, null for nothing yet. Throws
 * `old-size-beyond`, OldSizeMismatch, `same-size-other-root`, `empty-root`, `malformed-proof`, `consistency-mismatch`.
 */
export function checkExtends(
  { oldSize, proof }: AddCheckpoint,
  { size, root }: Checkpoint,
  known: Checkpoint | null,
  crypto: Crypto,
): void {
  if (oldSize > size)
    throw new Refusal("old-size-beyond", `the old size is ${oldSize}, the checkpoint's is ${size}`);
  const knownSize = known?.size ?? 0n;
  if (oldSize !== knownSize)
    throw new OldSizeMismatch(
      knownSize,
      `the old size is ${oldSize}, this witness has cosigned size ${knownSize}`,
    );
  if (size === 0n && !equalBytes(root, emptyRoot(crypto)))
    throw new Refusal("empty-root", "the checkpoint is of size 0 and its root isn't the empty tree's");
  if (known !== null && size === knownSize && !equalBytes(root, known.root))
    throw new Refusal(
      "same-size-other-root",
      `this witness has cosigned another root of size ${size}: the log signed two histories`,
    );
  checkConsistency(oldSize, known?.root ?? emptyRoot(crypto), size, root, [...proof], crypto);
}

const STATUS: { readonly [code: string]: number } = {
  "malformed-request": 400,
  "malformed-note": 400,
  "malformed-checkpoint": 400,
  "old-size-beyond": 400,
  "untrusted-signature": 403,
  "bad-signature": 403,
  "unknown-log": 404,
  "old-size-mismatch": 409,
  "too-large": 413,
  "same-size-other-root": 422,
  "empty-root": 422,
  "malformed-proof": 422,
  "consistency-mismatch": 422,
};

/** The HTTP status of a refusal; 500 for what has nothing to do with the request. */
export const statusOfRefusal = (code: string): number => STATUS[code] ?? 500;

/** Signature lines without their ends, as an answer holds them. Throws `malformed-answer`. */
export function parseAnswer(bytes: Uint8Array): string[] {
  const text = bytes.length > MAX_ANSWER ? null : utf8Decode(bytes);
  if (text === null || !text.endsWith("\n"))
    throw new Refusal("malformed-answer", "the answer isn't signature lines");
  const lines = text.slice(0, -1).split("\n");
  if (lines.length > MAX_SIGNATURES)
    throw new Refusal("malformed-answer", `the answer has ${lines.length} lines, at most ${MAX_SIGNATURES}`);
  for (const line of lines) {
    try {
      parseSignatureLine(line);
    } catch (cause) {
      if (!isRefusal(cause)) throw cause;
      throw new Refusal("malformed-answer", `the answer: ${cause.message}`, { cause });
    }
  }
  return lines;
}

export const formatAnswer = (lines: readonly string[]): Uint8Array =>
  utf8Encode(lines.map((line) => `${line}\n`).join(""));

/**
 * This witness's line of those, verified over the checkpoint's text; lines by others count for nothing. Throws
 * `cosignature-missing`, `surplus-signature`, `malformed-cosignature`, `bad-signature`.
 */
export function cosignatureIn(
  lines: readonly string[],
  checkpointText: string,
  witness: Vkey,
  crypto: Crypto,
): { line: string; time: number } {
  const mine = [...new Set(lines)].filter((line) => {
    const { name, keyId } = parseSignatureLine(line);
    return name === witness.name && equalBytes(keyId, witness.keyId);
  });
  const [line] = mine;
  if (line === undefined)
    throw new Refusal("cosignature-missing", `no line is by ${quote(witness.name)} with the expected key`);
  return { line, ...verifyCosignature(parseNote(formatNote(checkpointText, mine)), witness, crypto) };
}

/** The verifier keys of logs: `log <vkey>` a line, empty lines and # comments apart. Throws `malformed-logs`, and as parsing a key. */
export function parseLogs(bytes: Uint8Array, parseKey: (text: string) => Vkey): Vkey[] {
  const text = bytes.length > MAX_NOTE ? null : utf8Decode(bytes);
  if (text === null) throw new Refusal("malformed-logs", `it isn't UTF-8 of at most ${MAX_NOTE} bytes`);
  return text.split("\n").flatMap((line, i) => {
    if (line === "" || line.startsWith("#")) return [];
    const [, key] = /^log ([^ \t\r]+)$/.exec(line) ?? [];
    if (key === undefined)
      throw new Refusal("malformed-logs", `line ${i + 1} is ${quote(line)}, expected log and a verifier key`);
    return [parseKey(key)];
  });
}

const malformed = (message: string) => new Refusal("malformed-request", `request: ${message}`);
