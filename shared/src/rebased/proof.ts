// A receipt of IOTA's ledger: this note was in a transaction that was executed at this time.
//
//   {"version":"vouch-rebased-receipt/v1","summary":b64,"certificate":b64,"contents":b64,"transaction":b64,"effects":b64}
//
//   committee ──certificate──▶ summary ──digest──▶ contents ──digests──▶ transaction ──input 0──▶ the note
//      │                          └─ time                   └─────────▶ effects: success
//      └─ from walk.ts, from a root of the policy
//
// All bytes are the ledger's own; nothing is asked of a node. In this order: the form; the certificate; contents,
// transaction and effects by their digests; success; the sender's signature; and the note.
// It shows that the note was there at that time. It doesn't show that it is the newest.

import { equalBytes } from "../bytes";
import type { Crypto } from "../crypto";
import { Refusal } from "../refusal";
import { checkCertificate, readCertificate } from "./certificate";
import { readContents, readSummary, type Summary } from "./checkpoint";
import { base58, digestOf } from "./digest";
import { parseRebasedReceipt, type RebasedReceipt } from "./receipt";
import { addressText, type Root } from "./root";
import { checkSender } from "./signature";
import { readEffects, readTransaction, signingDigest, type Transaction } from "./transaction";
import type { Ratchet } from "./walk";

export { formatRebasedReceipt, type RebasedReceipt } from "./receipt";

export interface RebasedProof {
  /** Unix seconds: the validators' time of the checkpoint. */
  readonly time: number;
  readonly sequence: bigint;
  readonly epoch: bigint;
  /** Stake that certified it, of 10000. */
  readonly weight: bigint;
  readonly sender: Uint8Array;
  /** Base58, as explorers know it. */
  readonly transaction: string;
  readonly root: Root;
}

/** `sender` pins who must have sent it. Refuses what is wrong, and `bcs-unsupported` for what isn't known here. */
export function verifyRebasedReceipt(
  bytes: Uint8Array,
  note: Uint8Array,
  ratchet: Ratchet,
  crypto: Crypto,
  sender?: Uint8Array,
): RebasedProof {
  const receipt = parseRebasedReceipt(bytes);
  const summary = readSummary(receipt.summary);
  const committee = ratchet.committeeOf(summary.epoch);
  const weight = checkCertificate(summary, readCertificate(receipt.certificate), committee, ratchet.keys);
  const { id, transaction } = checkExecuted(receipt, summary, crypto);
  if (sender !== undefined && !equalBytes(sender, transaction.sender))
    throw new Refusal(
      "foreign-sender",
      `the transaction is by ${addressText(transaction.sender)}, the policy names ${addressText(sender)}`,
    );
  if (transaction.payload === null || !equalBytes(transaction.payload, note))
    throw new Refusal("note-mismatch", `transaction ${base58(id)} anchors another note than this`);
  return {
    time: Number(summary.timestampMs / 1000n),
    sequence: summary.sequence,
    epoch: summary.epoch,
    weight,
    sender: transaction.sender,
    transaction: base58(id),
    root: ratchet.rootBehind(summary.epoch),
  };
}

/** The receipt's transaction was executed, with success, in a checkpoint of this summary, and its sender signed it. */
export function checkExecuted(
  receipt: RebasedReceipt,
  summary: Summary,
  crypto: Crypto,
): { id: Uint8Array; transaction: Transaction } {
  const contents = readContents(receipt.contents);
  if (!equalBytes(contents.digest, summary.contentsDigest))
    throw differ("contents-mismatch", "the checkpoint's contents", contents.digest, summary.contentsDigest);
  const id = digestOf("TransactionData", receipt.transaction);
  const executed = contents.executed.find((pair) => equalBytes(pair.transaction, id));
  if (executed === undefined)
    throw new Refusal(
      "transaction-missing",
      `transaction ${base58(id)} isn't among the ${contents.executed.length} of checkpoint ${summary.sequence}`,
    );
  const effectsId = digestOf("TransactionEffects", receipt.effects);
  if (!equalBytes(effectsId, executed.effects))
    throw differ("effects-mismatch", "the transaction's effects", effectsId, executed.effects);
  const effects = readEffects(receipt.effects);
  if (!equalBytes(effects.transaction, id))
    throw differ("effects-mismatch", "the effects' transaction", effects.transaction, id);
  const transaction = readTransaction(receipt.transaction);
  checkSender(transaction.sender, signingDigest(receipt.transaction), executed.signatures, crypto);
  return { id, transaction };
}

const differ = (code: string, what: string, found: Uint8Array, expected: Uint8Array) =>
  new Refusal(code, `${what} has digest ${base58(found)}, expected ${base58(expected)}`);
