// BLAKE2b-256, the hash of IOTA's ledgers, by @noble/hashes: the only file that imports it.

import { blake2b } from "@noble/hashes/blake2b";

/** 32 bytes over all parts, one after the other. */
export function blake2b256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = blake2b.create({ dkLen: 32 });
  for (const part of parts) hash.update(part);
  return hash.digest();
}
