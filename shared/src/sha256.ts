// SHA-256, FIPS 180-4 section 6.2, a piece at a time. [device]
//
// Flash is hashed page by page, so the state is explicit and its memory fixed:
// 32 bytes of chaining value, a 64-byte block, and one message schedule of 256
// bytes that all hashes share (nothing is kept in it between blocks).
//
// Constants, blocks and padding are in sha2.ts, shared with SHA-512.

import { CONSTANTS, ROUNDS, type Sha2, sha2Final, sha2Update } from "./sha2";

export type Sha256 = Sha2;
export { sha2Final as sha256Final, sha2Update as sha256Update };

const K = new Int32Array(64);
for (let i = 0; i < 64; i++) K[i] = CONSTANTS[ROUNDS + 2 * i]!;

const W = new Int32Array(64);

function compress(h: Uint32Array, bytes: Uint8Array, start: number): void {
  for (let i = 0; i < 16; i++) {
    const at = start + 4 * i;
    W[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15]!;
    const y = W[i - 2]!;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16]! + s0 + W[i - 7]! + s1) | 0;
  }
  let a = h[0]!;
  let b = h[1]!;
  let c = h[2]!;
  let d = h[3]!;
  let e = h[4]!;
  let f = h[5]!;
  let g = h[6]!;
  let k = h[7]!;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (k + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    k = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  h[0] = (h[0]! + a) | 0;
  h[1] = (h[1]! + b) | 0;
  h[2] = (h[2]! + c) | 0;
  h[3] = (h[3]! + d) | 0;
  h[4] = (h[4]! + e) | 0;
  h[5] = (h[5]! + f) | 0;
  h[6] = (h[6]! + g) | 0;
  h[7] = (h[7]! + k) | 0;
}

let native: Sha256["compress"] | null = null;

/** From here on a board's own code takes the blocks. */
export function useNative(code: Sha256["compress"]): void {
  native = code;
}

export function sha256Init(): Sha256 {
  const h = new Uint32Array(8);
  for (let i = 0; i < 8; i++) h[i] = CONSTANTS[2 * i]!;
  return { h, block: new Uint8Array(64), used: 0, length: 0, compress: native === null ? compress : native };
}

export function sha256(bytes: Uint8Array): Uint8Array {
  const s = sha256Init();
  sha2Update(s, bytes, 0, bytes.length);
  return sha2Final(s);
}
