// XSalsa20-Poly1305, the secretbox of NaCl, for interpreters. [device]
//
//   subkey    HSalsa20(key, nonce[0..16))
//   pad       Salsa20(subkey, nonce[16..24)), counted from block 0
//   box       Poly1305(pad[0..32), cipher) ‖ cipher        cipher = plain XOR pad[32..)
//
// D. J. Bernstein, "Extending the Salsa20 nonce" (2011) and "The Poly1305-AES message-authentication code" (2005).
// Poly1305 works on six limbs of 22 bits in doubles, modulo 2^130 - 5: a product of limbs, five or six of them and
// the 20 that brings 2^132 down stay below 2^52. No branch depends on key, message or tag.
//
// Memory: the box, 64 bytes of pad and three arrays of six numbers.

const ROUNDS = 10; // double rounds
const BOX_EXTRA = 16;

// Four quarters down the columns and four along the rows, each a, b, c, d of the specification.
const QUARTERS = [
  0, 4, 8, 12, 5, 9, 13, 1, 10, 14, 2, 6, 15, 3, 7, 11, 0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14,
];

function quarter(x: Int32Array, to: number, p: number, q: number, by: number): void {
  const sum = (x[p]! + x[q]!) | 0;
  x[to] = x[to]! ^ ((sum << by) | (sum >>> (32 - by)));
}

function scramble(x: Int32Array): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < 32; i += 4) {
      const a = QUARTERS[i]!;
      const b = QUARTERS[i + 1]!;
      const c = QUARTERS[i + 2]!;
      const d = QUARTERS[i + 3]!;
      quarter(x, b, a, d, 7);
      quarter(x, c, b, a, 9);
      quarter(x, d, c, b, 13);
      quarter(x, a, d, c, 18);
    }
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}

// The square of 16 words: "expand 32-byte k" on its diagonal, the key, and four words of input in the middle.
function square(key: Uint8Array, input: Uint8Array, at: number): Int32Array {
  const x = new Int32Array(16);
  x[0] = 0x61707865;
  x[5] = 0x3320646e;
  x[10] = 0x79622d32;
  x[15] = 0x6b206574;
  for (let i = 0; i < 4; i++) {
    x[1 + i] = wordAt(key, 4 * i);
    x[11 + i] = wordAt(key, 16 + 4 * i);
    x[6 + i] = wordAt(input, at + 4 * i);
  }
  return x;
}

/** HSalsa20: 32 bytes from a key of 32 and the 16 bytes at input[0]. */
export function hsalsa20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const x = square(key, input, 0);
  scramble(x);
  const out = new Uint8Array(32);
  for (let i = 0; i < 4; i++) {
    putWord(out, 4 * i, x[5 * i]!);
    putWord(out, 16 + 4 * i, x[6 + i]!);
  }
  return out;
}

// XORs block number `counter` of the pad onto bytes[at..end). `input` is 8 bytes of nonce and 8 that are overwritten.
function xorPad(
  key: Uint8Array,
  input: Uint8Array,
  counter: number,
  bytes: Uint8Array,
  at: number,
  skip: number,
): void {
  putWord(input, 8, counter);
  const x = square(key, input, 0);
  const start = new Int32Array(16);
  start.set(x);
  scramble(x);
  for (let i = skip; i < 64 && at < bytes.length; i++) {
    const word = (x[i >> 2]! + start[i >> 2]!) | 0;
    bytes[at] = bytes[at]! ^ (word >>> (8 * (i & 3)));
    at++;
  }
}

// 17 bytes, little endian, as six limbs of 22 bits.
function split(o: Float64Array, bytes: Uint8Array): void {
  let word = 0;
  let bits = 0;
  let k = 0;
  for (let i = 0; i < 17; i++) {
    word |= bytes[i]! << bits;
    bits += 8;
    if (bits >= 22) {
      o[k++] = word & 0x3fffff;
      word >>>= 22;
      bits -= 22;
    }
  }
}

// Carries from limb to limb; what leaves the last, in units of 2^132 or 2^130, comes back times `back`.
function carry(h: Float64Array, top: number, back: number): void {
  let c = 0;
  for (let i = 0; i < 6; i++) {
    const size = i === 5 ? top : 0x400000;
    const n = h[i]! + c;
    c = Math.floor(n / size);
    h[i] = n - c * size;
  }
  h[0] = h[0]! + back * c;
}

// h = h r modulo 2^132 - 20, which is 4 (2^130 - 5).
function multiply(h: Float64Array, r: Float64Array): void {
  const o = new Float64Array(6);
  for (let i = 0; i < 6; i++) {
    let sum = 0;
    for (let k = 0; k < 6; k++) sum += h[k]! * (k <= i ? r[i - k]! : 20 * r[6 + i - k]!);
    o[i] = sum;
  }
  carry(o, 0x400000, 20);
  carry(o, 0x400000, 20);
  h.set(o);
}

/** The 16 bytes of Poly1305 over bytes[start..) by the one-time key `key` of 32 bytes. */
export function poly1305(key: Uint8Array, bytes: Uint8Array, start: number): Uint8Array {
  const block = new Uint8Array(17);
  const r = new Float64Array(6);
  const h = new Float64Array(6);
  const m = new Float64Array(6);
  block.set(key.subarray(0, 16));
  for (let i = 3; i < 16; i += 4) block[i] = block[i]! & 15;
  for (let i = 4; i < 16; i += 4) block[i] = block[i]! & 252;
  split(r, block);
  for (let at = start; at < bytes.length; at += 16) {
    const length = Math.min(16, bytes.length - at);
    for (let i = 0; i < 17; i++) block[i] = i < length ? bytes[at + i]! : 0;
    block[length] = 1;
    split(m, block);
    for (let i = 0; i < 6; i++) h[i] = h[i]! + m[i]!;
    multiply(h, r);
  }
  // Below 2^130, then below p: with 5 added, bit 130 tells whether h was p or more.
  carry(h, 0x100000, 5);
  carry(h, 0x100000, 5);
  m.set(h);
  m[0] = m[0]! + 5;
  carry(m, 0x100000, 0);
  let c = h[0]! + 5;
  for (let i = 1; i < 6; i++) c = h[i]! + Math.floor(c / 0x400000);
  const isLarge = Math.floor(c / 0x100000);
  for (let i = 0; i < 6; i++) h[i] = h[i]! + isLarge * (m[i]! - h[i]!);
  return addKey(h, key);
}

// h + key[16..32), modulo 2^128.
function addKey(h: Float64Array, key: Uint8Array): Uint8Array {
  const out = new Uint8Array(16);
  let word = 0;
  let bits = 0;
  let k = 0;
  let c = 0;
  for (let i = 0; i < 16; i++) {
    if (bits < 8) {
      word |= h[k++]! << bits;
      bits += 22;
    }
    c += (word & 255) + key[16 + i]!;
    out[i] = c;
    c >>= 8;
    word >>>= 8;
    bits -= 8;
  }
  return out;
}

function pads(key: Uint8Array, nonce: Uint8Array): { key: Uint8Array; input: Uint8Array; mac: Uint8Array } {
  const subkey = hsalsa20(key, nonce);
  const input = new Uint8Array(16);
  input.set(nonce.subarray(16, 24));
  const mac = new Uint8Array(32);
  xorPad(subkey, input, 0, mac, 0, 0);
  return { key: subkey, input, mac };
}

function xorAll(key: Uint8Array, input: Uint8Array, bytes: Uint8Array): void {
  xorPad(key, input, 0, bytes, BOX_EXTRA, 32);
  let counter = 1;
  for (let at = BOX_EXTRA + 32; at < bytes.length; at += 64) xorPad(key, input, counter++, bytes, at, 0);
}

/** 16 bytes of tag and then as many as `plain` has. `key` 32 bytes, `nonce` 24, never one twice for two texts. */
export function sealBox(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array): Uint8Array {
  const out = new Uint8Array(BOX_EXTRA + plain.length);
  const pad = pads(key, nonce);
  out.set(plain, BOX_EXTRA);
  xorAll(pad.key, pad.input, out);
  out.set(poly1305(pad.mac, out, BOX_EXTRA));
  return out;
}

/** What was sealed, or null when the tag isn't this key's. */
export function openBox(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null {
  if (box.length < BOX_EXTRA) return null;
  const pad = pads(key, nonce);
  const tag = poly1305(pad.mac, box, BOX_EXTRA);
  let differs = 0;
  for (let i = 0; i < BOX_EXTRA; i++) differs |= tag[i]! ^ box[i]!;
  if (differs !== 0) return null;
  const out = new Uint8Array(box.length);
  out.set(box);
  xorAll(pad.key, pad.input, out);
  return out.subarray(BOX_EXTRA);
}
