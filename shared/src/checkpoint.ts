// Checkpoints: a log's word on how large its tree is and what its root hash is.
// C2SP tlog-checkpoint v1.0.0: the text of a signed note.
//
//   example.org/firmware-log                        origin
//   5                                               size, decimal
//   ifJD5y6YrILCr57TlQxK2lZZq9Dx1P/WisUaZmKWYtc=    base64 of the RFC 6962 root
//
// Extension lines, which the specification advises against, are refused: nothing here
// would check what they say. The origin is the name of the key that signs for the log.

import { fromBase64, toBase64 } from "./bytes";
import type { Crypto } from "./crypto";
import { type Note, parseNote, verifyNote } from "./note";
import { quote, Refusal } from "./refusal";
import { isKeyName, type Vkey } from "./vkey";

export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Uint8Array;
}

const DECIMAL = /^(0|[1-9][0-9]{0,18})$/;
export const MAX_TREE_SIZE = 2n ** 63n - 1n; // int64, as in the implementations of others

/** A decimal number of at most 2^63 - 1 without leading zeros, or null. */
export function parseSize(text: string): bigint | null {
  // BigInt() also takes "", " 7" and "0x7".
  const size = DECIMAL.test(text) ? BigInt(text) : -1n;
  return size < 0n || size > MAX_TREE_SIZE ? null : size;
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`;
}

/** Parses text nobody has verified yet. Throws `malformed-checkpoint`. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  const [origin = "", sizeLine = "", rootLine = "", end] = lines;
  if (lines.length !== 4 || end !== "")
    throw malformed(`it has ${lines.length - 1} lines, expected origin, size and root`);
  if (!isKeyName(origin)) throw malformed(`origin is ${quote(origin)}`);
  const size = parseSize(sizeLine);
  if (size === null) throw malformed(`size is ${quote(sizeLine)}`);
  const root = fromBase64(rootLine);
  if (root === null || root.length !== 32) throw malformed(`root hash is ${quote(rootLine)}`);
  const checkpoint = { origin, size, root };
  if (formatCheckpoint(checkpoint) !== text) throw malformed("it isn't in canonical form");
  return checkpoint;
}

/**
 * A checkpoint that the log of this key signed. Throws `unknown-log` when it is another
 * log's, `bad-signature` when it only claims to be, and what the parsers throw.
 */
export function openCheckpoint(
  bytes: Uint8Array,
  logKey: Vkey,
  crypto: Crypto,
): { checkpoint: Checkpoint; note: Note } {
  const note = parseNote(bytes);
  const signed = verifyNote(note, logKey, crypto);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== logKey.name) {
    throw new Refusal(
      "unknown-log",
      `the checkpoint is of log ${quote(checkpoint.origin)}, expected ${quote(logKey.name)}`,
    );
  }
  if (!signed) {
    throw new Refusal(
      "unknown-log",
      `no signature on the checkpoint is by ${quote(logKey.name)} with the expected key`,
    );
  }
  return { checkpoint, note };
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-checkpoint", `checkpoint: ${message}`);
}
