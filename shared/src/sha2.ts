// What SHA-256 and SHA-512 share, FIPS 180-4 sections 4.2, 5.1 and 5.3: constants, blocks and padding. [device]
//
//   message ‖ 80 ‖ 00… ‖ length in bits     a multiple of 64 bytes, or of 128
//
// The length has 8 bytes big endian, or 16; of those the first eight stay zero, since no engine counts so far.

import { unarmour } from "./armour";
import { SHA512 } from "./sha2-constants";

/**
 * The starting words and the round constants of SHA-512, high and low half by turns. They are the first 64 bits behind the
 * point of square roots of 8 primes and cube roots of 80, and SHA-256 has the first 32 of the same: the high halves.
 */
export const CONSTANTS = unarmour(SHA512, 4) as Uint32Array;
/** Where in CONSTANTS the round constants begin. */
export const ROUNDS = 16;

export interface Sha2 {
  /** The chaining value, 32 bits each. */
  h: Uint32Array;
  block: Uint8Array;
  /** Bytes waiting in block, fewer than it holds. */
  used: number;
  /** Bytes hashed so far. */
  length: number;
  /** Takes the block at bytes[at] into h. */
  compress: (h: Uint32Array, bytes: Uint8Array, at: number) => void;
}

/** Hashes bytes[start..end); whole blocks straight from `bytes`, without a copy. */
export function sha2Update(s: Sha2, bytes: Uint8Array, start: number, end: number): void {
  const size = s.block.length;
  s.length += end - start;
  let at = start;
  while (at < end) {
    if (s.used === 0 && end - at >= size) {
      s.compress(s.h, bytes, at);
      at += size;
    } else {
      s.block[s.used++] = bytes[at++]!;
      if (s.used === size) {
        s.compress(s.h, s.block, 0);
        s.used = 0;
      }
    }
  }
}

/** The digest; the state is spent. */
export function sha2Final(s: Sha2): Uint8Array {
  const block = s.block;
  const size = block.length;
  block[s.used++] = 0x80;
  if (s.used > size - size / 8) {
    while (s.used < size) block[s.used++] = 0;
    s.compress(s.h, block, 0);
    s.used = 0;
  }
  while (s.used < size) block[s.used++] = 0;
  // The length is in bits and outgrows `<<`: each byte is divided out of the byte count.
  let rest = s.length;
  block[size - 1] = (rest % 32) * 8;
  rest = Math.floor(rest / 32);
  for (let i = size - 2; rest > 0; i--) {
    block[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  s.compress(s.h, block, 0);
  const out = new Uint8Array(size / 2);
  for (let i = 0; i < out.length; i++) out[i] = s.h[i >> 2]! >>> (24 - 8 * (i & 3));
  return out;
}
