// The form of a receipt of IOTA's ledger (spec/rebased-receipt.md). proof.ts says what it proves.

import { toBase64 } from "../bytes";
import { base64, matching, object, readJson } from "../json";
import { readBcs } from "./bcs";

/** BCS, as the ledger hashes it. */
export interface RebasedReceipt {
  readonly summary: Uint8Array;
  readonly certificate: Uint8Array;
  readonly contents: Uint8Array;
  readonly transaction: Uint8Array;
  readonly effects: Uint8Array;
}

const VERSION = "vouch-rebased-receipt/v1";
/** Contents of a busy checkpoint, in base64, and the rest. */
export const MAX_REBASED_RECEIPT = 1024 * 1024; // what bundle.ts takes
const part = base64(1, MAX_REBASED_RECEIPT);
const SHAPE = object({
  version: matching(/^vouch-rebased-receipt\/v1$/, VERSION),
  summary: part,
  certificate: part,
  contents: part,
  transaction: part,
  effects: part,
});

const receiptJson = (receipt: RebasedReceipt) => ({
  version: VERSION,
  summary: toBase64(receipt.summary),
  certificate: toBase64(receipt.certificate),
  contents: toBase64(receipt.contents),
  transaction: toBase64(receipt.transaction),
  effects: toBase64(receipt.effects),
});

export const formatRebasedReceipt = (receipt: RebasedReceipt) =>
  new TextEncoder().encode(JSON.stringify(receiptJson(receipt)));

/** Refuses `malformed-receipt`, `too-large`, `not-canonical-json`. */
export const parseRebasedReceipt = (bytes: Uint8Array): RebasedReceipt =>
  readJson(bytes, "the receipt", MAX_REBASED_RECEIPT, "malformed-receipt", SHAPE, receiptJson);

/** The epoch that the receipt's checkpoint says it is of. Nothing is verified. Refuses `bcs-malformed` too. */
export const receiptEpoch = (bytes: Uint8Array): bigint =>
  readBcs(parseRebasedReceipt(bytes).summary, "the checkpoint summary").u64();
