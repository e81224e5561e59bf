// A transaction on its way: prepared, then signed by as many as it takes, then submitted.
//
//   {"version":"vouch-rebased-draft/v1","chain":"2304aa97","note":b64,"transaction":b64,
//    "threshold":2,"signers":[{"key":b64},{"key":b64,"signature":b64},…]}
//
// The same form carries it to a machine without a network and back, and lies beside the log from before it is
// submitted until its receipt is there. One signer pays from the address of its key; several, from that of a
// multisig in which each has weight 1. A reader takes the transaction apart: it anchors exactly this note, its
// sender is exactly these keys, it pays for itself, and each signature verifies. What else it
// could do, no draft can hold.

import { equalBytes, toBase64 } from "@vouch/shared/bytes";
import { base64, integer, list, matching, maybe, object, readJson } from "@vouch/shared/json";
import { MAX_NOTE } from "@vouch/shared/note";
import { digestOf } from "@vouch/shared/rebased/digest";
import { addressText } from "@vouch/shared/rebased/root";
import {
  ed25519Address,
  encodeEd25519,
  encodeMultisig,
  multisigAddress,
} from "@vouch/shared/rebased/signature";
import { readTransaction, signingDigest, type Transaction } from "@vouch/shared/rebased/transaction";
import { Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";

/** Who pays and signs: one key, or `threshold` of several. */
export interface Sender {
  readonly keys: readonly Uint8Array[];
  readonly threshold: number;
}

export interface Draft {
  readonly chain: string;
  readonly note: Uint8Array;
  readonly transaction: Uint8Array;
  readonly sender: Sender;
  /** By place of the sender's keys; null for who has not signed. */
  readonly signatures: readonly (Uint8Array | null)[];
}

const VERSION = "vouch-rebased-draft/v1";
const MAX_SIGNERS = 10; // of IOTA's multisigs
export const MAX_DRAFT = 256 * 1024;

const SHAPE = object({
  version: matching(/^vouch-rebased-draft\/v1$/, VERSION),
  chain: matching(/^[0-9a-f]{8}$/, "a chain identifier"),
  note: base64(1, MAX_NOTE),
  transaction: base64(1, MAX_DRAFT),
  threshold: integer(1, MAX_SIGNERS),
  signers: list(object({ key: base64(32), signature: maybe(base64(64)) }), 1, MAX_SIGNERS),
});

const draftJson = (read: ReturnType<typeof SHAPE>) => ({
  version: VERSION,
  chain: read.chain,
  note: toBase64(read.note),
  transaction: toBase64(read.transaction),
  threshold: read.threshold,
  signers: read.signers.map(({ key, signature }) => ({
    key: toBase64(key),
    ...(signature === undefined ? {} : { signature: toBase64(signature) }),
  })),
});

export function formatDraft(draft: Draft): Uint8Array {
  const { chain, note, transaction, sender, signatures } = draft;
  const signers = sender.keys.map((key, place) => {
    const signature = signatures[place] ?? null;
    return signature === null ? { key } : { key, signature };
  });
  const { threshold } = sender;
  const json = draftJson({ version: VERSION, chain, note, transaction, threshold, signers });
  return new TextEncoder().encode(JSON.stringify(json));
}

/** Refuses `malformed-draft`, `not-canonical-json`, `too-large`, `bcs-malformed`, `bcs-unsupported`, `bad-signature`. */
export function parseDraft(bytes: Uint8Array): Draft {
  const read = readJson(bytes, "the draft", MAX_DRAFT, "malformed-draft", SHAPE, draftJson);
  const { chain, note, transaction, threshold, signers } = read;
  const sender = checkSenderKeys({ keys: signers.map(({ key }) => key), threshold });
  const { payload, gas, sender: from } = readTransaction(transaction);
  if (payload === null || !equalBytes(payload, note)) throw malformed("another note in its transaction");
  if (!equalBytes(from, senderAddress(sender)) || !equalBytes(gas.owner, from))
    throw malformed(`a transaction by ${addressText(from)}, not by its signers`);
  const signatures = signers.map(({ signature }) => signature ?? null);
  const digest = signingDigest(transaction);
  signers.forEach(({ key, signature }, place) => {
    if (signature !== undefined && !nodeCrypto.verifyEd25519(key, digest, signature))
      throw new Refusal("bad-signature", `signature ${place + 1} of the draft doesn't verify`);
  });
  return { chain, note, transaction, sender, signatures };
}

const malformed = (found: string) => new Refusal("malformed-draft", `the draft has ${found}`);

/** Refuses `malformed-draft` for keys that no address could belong to. */
export function checkSenderKeys(sender: Sender): Sender {
  const { keys, threshold } = sender;
  if (new Set(keys.map(toBase64)).size !== keys.length) throw malformed("a signer twice");
  if (keys.length > MAX_SIGNERS || threshold > keys.length || threshold < 1)
    throw malformed(`${keys.length} signers, of whom ${threshold} are to sign`);
  return sender;
}

const multisigOf = ({ keys, threshold }: Sender) => ({
  members: keys.map((publicKey) => ({ publicKey, weight: 1 })),
  threshold,
});

export const senderAddress = (sender: Sender): Uint8Array =>
  sender.keys.length === 1 ? ed25519Address(sender.keys[0]!) : multisigAddress(multisigOf(sender));

export const draftId = (draft: Draft) => digestOf("TransactionData", draft.transaction);

export const draftTransaction = (draft: Draft): Transaction => readTransaction(draft.transaction);

/** With one more signature, which has to verify under one of the keys. Refuses `wrong-ledger-key`. */
export function withSignature(draft: Draft, signature: Uint8Array): Draft {
  const digest = signingDigest(draft.transaction);
  const place = draft.sender.keys.findIndex((key) => nodeCrypto.verifyEd25519(key, digest, signature));
  if (place < 0)
    throw new Refusal(
      "wrong-ledger-key",
      `the key isn't one of those that ${addressText(senderAddress(draft.sender))} belongs to`,
    );
  return { ...draft, signatures: draft.signatures.map((old, at) => (at === place ? signature : old)) };
}

export const signaturesMissing = (draft: Draft): number =>
  Math.max(0, draft.sender.threshold - draft.signatures.filter((s) => s !== null).length);

/** What the ledger takes. Refuses `signatures-missing`. */
export function userSignature(draft: Draft): Uint8Array {
  const { sender, signatures } = draft;
  const missing = signaturesMissing(draft);
  if (missing > 0)
    throw new Refusal(
      "signatures-missing",
      `the draft needs ${missing} more of ${sender.threshold} signatures`,
      {
        hint: "`vouch anchor --sign FILE` adds one",
      },
    );
  const [only] = signatures;
  return sender.keys.length === 1
    ? encodeEd25519(only!, sender.keys[0]!)
    : encodeMultisig(multisigOf(sender), signatures);
}
