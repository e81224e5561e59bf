// Digests of ledger objects: BLAKE2b-256 over a name and the object's BCS, shown in base58.
//
//   "CheckpointSummary" "CheckpointContents" "TransactionData" "TransactionEffects"   then "::", then BCS
//
// IOTA: crates/iota-types/src/crypto.rs (default_hash) and the BcsSignable names of the types.

import { utf8Encode } from "../bytes";
import { blake2b256 } from "../hash";

export type Hashed = "CheckpointSummary" | "CheckpointContents" | "TransactionData" | "TransactionEffects";

export const DIGEST_BYTES = 32;

export const digestOf = (name: Hashed, bcs: Uint8Array) => blake2b256(utf8Encode(`${name}::`), bcs);

export const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** As explorers and SDKs write a digest. Never read here: what is compared are bytes. */
export function base58(bytes: Uint8Array): string {
  const digits: number[] = []; // base 58, least first
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i++) {
      carry += digits[i]! * 256;
      digits[i] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  const zeros = bytes.findIndex((byte) => byte !== 0);
  const lead = zeros < 0 ? bytes.length : zeros;
  return (
    "1".repeat(lead) +
    digits
      .reverse()
      .map((digit) => BASE58[digit])
      .join("")
  );
}
