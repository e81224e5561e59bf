// Receipts of directory ledgers: proof that a checkpoint was recorded, and when.
//
// A directory ledger is a folder that is itself a C2SP log. Its records are
// anchored checkpoint notes; its own checkpoints carry two lines by one key:
//
//   c2sp.org/tlog-proof@v1
//   index 3
//   <hashes>
//
//   ledger.example                      the ledger's checkpoint
//   4
//   <root>
//
//   — ledger.example <01 signature>     it is this ledger's tree …
//   — ledger.example <04 cosignature>   … as of this time, by the ledger's own clock
//
// The policy names the key by its verifier key of type 4. A receipt proves, in
// this order, that
//   1. it is a proof and a note in their one form, with those two lines and no other;
//   2. the ledger's key signed the checkpoint, and the time;
//   3. the anchored note, byte for byte, is the record at the index.
// It proves nothing to somebody who doesn't trust the ledger's keeper: the time is
// the keeper's, and the folder can be forked. Verdicts say so.

import { equalBytes } from "./bytes";
import { openCheckpoint, parseCheckpoint } from "./checkpoint";
import { verifyCosignature } from "./cosignature";
import type { Crypto } from "./crypto";
import { checkInclusion, leafHash } from "./merkle";
import { parseNote } from "./note";
import { formatProof, parseProof } from "./proof";
import { quote, Refusal } from "./refusal";
import { KEY_COSIGNATURE, KEY_ED25519, makeVkey, type Vkey } from "./vkey";

export interface DirectoryReceipt {
  /** Unix seconds, by the ledger's clock. */
  readonly time: number;
  readonly ledgerSize: bigint;
}

/**
 * Settles that `anchored` (a checkpoint note's bytes) was recorded. Throws `receipt-not-canonical`,
 * `receipt-signatures`, and what proof.ts, checkpoint.ts, cosignature.ts and merkle.ts throw:
 * `malformed-proof`, `unknown-log`, `bad-signature`, `inclusion-mismatch`, …
 */
export function verifyDirectoryReceipt(
  receipt: Uint8Array,
  anchored: Uint8Array,
  ledgerKey: Vkey,
  crypto: Crypto,
): DirectoryReceipt {
  if (ledgerKey.type !== KEY_COSIGNATURE) throw new Error("a directory ledger is named by a key of type 4");
  const proof = parseProof(receipt);
  if (!equalBytes(formatProof(proof), receipt)) {
    throw new Refusal("receipt-not-canonical", "the receipt isn't written in its one form");
  }
  const logKey = makeVkey(ledgerKey.name, KEY_ED25519, ledgerKey.publicKey, crypto);
  const { checkpoint, note } = openCheckpoint(proof.checkpoint, logKey, crypto);
  const expected = [logKey, ledgerKey];
  const inPlace = expected.every((key, i) => {
    const line = note.signatures[i];
    return line !== undefined && line.name === key.name && equalBytes(line.keyId, key.keyId);
  });
  if (note.signatures.length !== expected.length || !inPlace) {
    throw new Refusal(
      "receipt-signatures",
      `the receipt's checkpoint has ${note.signatures.length} signature lines, expected two by ${quote(ledgerKey.name)}: 01, then 04`,
    );
  }
  const { time } = verifyCosignature(note, ledgerKey, crypto);
  checkInclusion(
    leafHash(anchored, crypto),
    proof.index,
    checkpoint.size,
    proof.hashes,
    checkpoint.root,
    crypto,
  );
  return { time, ledgerSize: checkpoint.size };
}

/**
 * Of the ledgers a policy names, the one to judge a receipt by: whose key gave it its time. Nothing is verified
 * here. Undefined when the policy names none at all. Throws `ledger-not-trusted` when the key is none of theirs,
 * though the name may be (a ledger that has changed its key has two lines in the policy), and as parsing does.
 */
export function ledgerFor(receipt: Uint8Array, ledgers: readonly Vkey[]): Vkey | undefined {
  if (ledgers.length === 0) return undefined;
  const { text, signatures } = parseNote(parseProof(receipt).checkpoint);
  const { origin } = parseCheckpoint(text);
  const ledger = ledgers.find((key) =>
    signatures.some(({ name, keyId }) => name === key.name && equalBytes(keyId, key.keyId)),
  );
  if (ledger !== undefined) return ledger;
  const known = ledgers.some(({ name }) => name === origin);
  throw new Refusal(
    "ledger-not-trusted",
    `the receipt is by ledger ${quote(origin)}, ${known ? "with another key than the policy names" : "which the policy doesn't name"}`,
  );
}
