// SHA-256, FIPS 180-4 section 6.2, a piece at a time. [device]
//
// Flash is hashed page by page, so the state is explicit and its memory fixed:
// 32 bytes of chaining value, a 64-byte block, and one message schedule of 256
// bytes that all hashes share (nothing is kept in it between blocks).
//
//   message ‖ 80 ‖ 00… ‖ length in bits, 8 bytes big endian    a multiple of 64

export interface Sha256 {
  h: Int32Array;
  block: Uint8Array;
  /** Bytes waiting in block, 0..63. */
  used: number;
  /** Bytes hashed so far. */
  length: number;
}

const START = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
]);

const W = new Int32Array(64);

function compress(h: Int32Array, bytes: Uint8Array, start: number): void {
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

export function sha256Init(): Sha256 {
  return { h: new Int32Array(START), block: new Uint8Array(64), used: 0, length: 0 };
}

/** Hashes bytes[start..end); whole blocks straight from `bytes`, without a copy. */
export function sha256Update(s: Sha256, bytes: Uint8Array, start: number, end: number): void {
  s.length += end - start;
  let at = start;
  while (at < end) {
    if (s.used === 0 && end - at >= 64) {
      compress(s.h, bytes, at);
      at += 64;
    } else {
      s.block[s.used++] = bytes[at++]!;
      if (s.used === 64) {
        compress(s.h, s.block, 0);
        s.used = 0;
      }
    }
  }
}

/** The digest; the state is spent. */
export function sha256Final(s: Sha256): Uint8Array {
  const block = s.block;
  block[s.used++] = 0x80;
  if (s.used > 56) {
    while (s.used < 64) block[s.used++] = 0;
    compress(s.h, block, 0);
    s.used = 0;
  }
  while (s.used < 56) block[s.used++] = 0;
  // The length is in bits and outgrows `<<`: each byte is divided out of the byte count.
  let rest = s.length;
  block[63] = (rest % 32) * 8;
  rest = Math.floor(rest / 32);
  for (let i = 62; i >= 56; i--) {
    block[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  compress(s.h, block, 0);
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = s.h[i >> 2]! >>> (24 - 8 * (i & 3));
  return out;
}

export function sha256(bytes: Uint8Array): Uint8Array {
  const s = sha256Init();
  sha256Update(s, bytes, 0, bytes.length);
  return sha256Final(s);
}
