// Hashes beside SHA-256, by @noble/hashes: the only file that imports it. BLAKE2b-256 is that of IOTA's ledgers;
// SHA-512 and SHA3-256 are for what must outlive SHA-256 (renewal.ts): two constructions, of which one may fall.

import { blake2b } from "@noble/hashes/blake2b";
import { sha512 as makeSha512 } from "@noble/hashes/sha2";
import { sha3_256 as makeSha3 } from "@noble/hashes/sha3";

/** 32 bytes over all parts, one after the other. */
export function blake2b256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = blake2b.create({ dkLen: 32 });
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = makeSha512.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function sha3_256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = makeSha3.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
}
