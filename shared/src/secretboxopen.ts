// openBox of secretbox.ts for hosts that open fifty thousand a second: the same box, unrolled into locals.
//
// secretbox.ts is the reference and what the device runs; this one is checked against it in secretboxopen.test.ts,
// box by box, at every length and at Poly1305's edges. Limbs are the same, six of 22 bits in doubles modulo
// 2^132 - 20. Memory: one square of 16 words a module. Nothing here waits, so calls don't overlap.

const ROUNDS = 10; // double rounds
const TAG = 16;
const LIMB = 0x400000;
const MASK = LIMB - 1;
const DOWN = 1 / LIMB;
const TURN = 0x100000000;

const square = new Int32Array(16);
const pad = new Int32Array(16);

const word = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

// pad = Salsa20's rounds over `square`; `isAdded`: the square is added, as all but HSalsa20 does.
function scramble(isAdded: boolean): void {
  const s = square;
  let x0 = s[0]!;
  let x1 = s[1]!;
  let x2 = s[2]!;
  let x3 = s[3]!;
  let x4 = s[4]!;
  let x5 = s[5]!;
  let x6 = s[6]!;
  let x7 = s[7]!;
  let x8 = s[8]!;
  let x9 = s[9]!;
  let x10 = s[10]!;
  let x11 = s[11]!;
  let x12 = s[12]!;
  let x13 = s[13]!;
  let x14 = s[14]!;
  let x15 = s[15]!;
  let t = 0;
  for (let round = 0; round < ROUNDS; round++) {
    t = (x0 + x12) | 0;
    x4 ^= (t << 7) | (t >>> 25);
    t = (x4 + x0) | 0;
    x8 ^= (t << 9) | (t >>> 23);
    t = (x8 + x4) | 0;
    x12 ^= (t << 13) | (t >>> 19);
    t = (x12 + x8) | 0;
    x0 ^= (t << 18) | (t >>> 14);
    t = (x5 + x1) | 0;
    x9 ^= (t << 7) | (t >>> 25);
    t = (x9 + x5) | 0;
    x13 ^= (t << 9) | (t >>> 23);
    t = (x13 + x9) | 0;
    x1 ^= (t << 13) | (t >>> 19);
    t = (x1 + x13) | 0;
    x5 ^= (t << 18) | (t >>> 14);
    t = (x10 + x6) | 0;
    x14 ^= (t << 7) | (t >>> 25);
    t = (x14 + x10) | 0;
    x2 ^= (t << 9) | (t >>> 23);
    t = (x2 + x14) | 0;
    x6 ^= (t << 13) | (t >>> 19);
    t = (x6 + x2) | 0;
    x10 ^= (t << 18) | (t >>> 14);
    t = (x15 + x11) | 0;
    x3 ^= (t << 7) | (t >>> 25);
    t = (x3 + x15) | 0;
    x7 ^= (t << 9) | (t >>> 23);
    t = (x7 + x3) | 0;
    x11 ^= (t << 13) | (t >>> 19);
    t = (x11 + x7) | 0;
    x15 ^= (t << 18) | (t >>> 14);
    t = (x0 + x3) | 0;
    x1 ^= (t << 7) | (t >>> 25);
    t = (x1 + x0) | 0;
    x2 ^= (t << 9) | (t >>> 23);
    t = (x2 + x1) | 0;
    x3 ^= (t << 13) | (t >>> 19);
    t = (x3 + x2) | 0;
    x0 ^= (t << 18) | (t >>> 14);
    t = (x5 + x4) | 0;
    x6 ^= (t << 7) | (t >>> 25);
    t = (x6 + x5) | 0;
    x7 ^= (t << 9) | (t >>> 23);
    t = (x7 + x6) | 0;
    x4 ^= (t << 13) | (t >>> 19);
    t = (x4 + x7) | 0;
    x5 ^= (t << 18) | (t >>> 14);
    t = (x10 + x9) | 0;
    x11 ^= (t << 7) | (t >>> 25);
    t = (x11 + x10) | 0;
    x8 ^= (t << 9) | (t >>> 23);
    t = (x8 + x11) | 0;
    x9 ^= (t << 13) | (t >>> 19);
    t = (x9 + x8) | 0;
    x10 ^= (t << 18) | (t >>> 14);
    t = (x15 + x14) | 0;
    x12 ^= (t << 7) | (t >>> 25);
    t = (x12 + x15) | 0;
    x13 ^= (t << 9) | (t >>> 23);
    t = (x13 + x12) | 0;
    x14 ^= (t << 13) | (t >>> 19);
    t = (x14 + x13) | 0;
    x15 ^= (t << 18) | (t >>> 14);
  }
  const p = pad;
  p[0] = x0;
  p[1] = x1;
  p[2] = x2;
  p[3] = x3;
  p[4] = x4;
  p[5] = x5;
  p[6] = x6;
  p[7] = x7;
  p[8] = x8;
  p[9] = x9;
  p[10] = x10;
  p[11] = x11;
  p[12] = x12;
  p[13] = x13;
  p[14] = x14;
  p[15] = x15;
  if (isAdded) for (let i = 0; i < 16; i++) p[i] = p[i]! + s[i]!;
}

/** The 16 bytes of Poly1305 over bytes[start..) against bytes[0..16), by the key in pad[0..8). */
function isAuthentic(bytes: Uint8Array, start: number): boolean {
  const p = pad;
  const k0 = p[0]! & 0x0fffffff;
  const k1 = p[1]! & 0x0ffffffc;
  const k2 = p[2]! & 0x0ffffffc;
  const k3 = p[3]! & 0x0ffffffc;
  const r0 = k0 & MASK;
  const r1 = ((k0 >>> 22) | (k1 << 10)) & MASK;
  const r2 = ((k1 >>> 12) | (k2 << 20)) & MASK;
  const r3 = (k2 >>> 2) & MASK;
  const r4 = ((k2 >>> 24) | (k3 << 8)) & MASK;
  const r5 = k3 >>> 14;
  const s1 = 20 * r1;
  const s2 = 20 * r2;
  const s3 = 20 * r3;
  const s4 = 20 * r4;
  const s5 = 20 * r5;
  let h0 = 0;
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  let h5 = 0;
  let c = 0;
  let block = bytes;
  for (let at = start; at < bytes.length; at += 16) {
    let top = 0x40000;
    let from = at;
    if (bytes.length - at < 16) {
      block = new Uint8Array(16);
      block.set(bytes.subarray(at));
      block[bytes.length - at] = 1;
      top = 0;
      from = 0;
    }
    const w0 = word(block, from);
    const w1 = word(block, from + 4);
    const w2 = word(block, from + 8);
    const w3 = word(block, from + 12);
    h0 += w0 & MASK;
    h1 += ((w0 >>> 22) | (w1 << 10)) & MASK;
    h2 += ((w1 >>> 12) | (w2 << 20)) & MASK;
    h3 += (w2 >>> 2) & MASK;
    h4 += ((w2 >>> 24) | (w3 << 8)) & MASK;
    h5 += (w3 >>> 14) | top;
    let d0 = h0 * r0 + h1 * s5 + h2 * s4 + h3 * s3 + h4 * s2 + h5 * s1;
    let d1 = h0 * r1 + h1 * r0 + h2 * s5 + h3 * s4 + h4 * s3 + h5 * s2;
    let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s5 + h4 * s4 + h5 * s3;
    let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s5 + h5 * s4;
    let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * s5;
    let d5 = h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0;
    c = Math.floor(d0 * DOWN);
    d0 -= c * LIMB;
    d1 += c;
    c = Math.floor(d1 * DOWN);
    h1 = d1 - c * LIMB;
    d2 += c;
    c = Math.floor(d2 * DOWN);
    h2 = d2 - c * LIMB;
    d3 += c;
    c = Math.floor(d3 * DOWN);
    h3 = d3 - c * LIMB;
    d4 += c;
    c = Math.floor(d4 * DOWN);
    h4 = d4 - c * LIMB;
    d5 += c;
    c = Math.floor(d5 * DOWN);
    h5 = d5 - c * LIMB;
    d0 += 20 * c; // below 2^35: one more carry, and every limb is below 2^22 + 2^13
    c = Math.floor(d0 * DOWN);
    h0 = d0 - c * LIMB;
    h1 += c;
  }
  // Below 2^130 in exact limbs: what is above comes back five times, at most twice.
  for (let pass = 0; pass < 3; pass++) {
    c = Math.floor(h0 * DOWN);
    h0 -= c * LIMB;
    h1 += c;
    c = Math.floor(h1 * DOWN);
    h1 -= c * LIMB;
    h2 += c;
    c = Math.floor(h2 * DOWN);
    h2 -= c * LIMB;
    h3 += c;
    c = Math.floor(h3 * DOWN);
    h3 -= c * LIMB;
    h4 += c;
    c = Math.floor(h4 * DOWN);
    h4 -= c * LIMB;
    h5 += c;
    c = Math.floor(h5 / 0x100000);
    h5 -= c * 0x100000;
    h0 += 5 * c;
  }
  // p is 2^130 - 5: only the uppermost five numbers are p or more.
  if (h0 >= LIMB - 5 && h1 === MASK && h2 === MASK && h3 === MASK && h4 === MASK && h5 === 0xfffff) {
    h0 -= LIMB - 5;
    h1 = h2 = h3 = h4 = h5 = 0;
  }
  const f0 = ((h0 | (h1 << 22)) >>> 0) + (p[4]! >>> 0);
  const f1 = (((h1 >>> 10) | (h2 << 12)) >>> 0) + (p[5]! >>> 0) + (f0 < TURN ? 0 : 1);
  const f2 = (((h2 >>> 20) | (h3 << 2) | (h4 << 24)) >>> 0) + (p[6]! >>> 0) + (f1 < TURN ? 0 : 1);
  const f3 = (((h4 >>> 8) | (h5 << 14)) >>> 0) + (p[7]! >>> 0) + (f2 < TURN ? 0 : 1);
  return (
    ((f0 ^ word(bytes, 0)) | (f1 ^ word(bytes, 4)) | (f2 ^ word(bytes, 8)) | (f3 ^ word(bytes, 12))) === 0
  );
}

/** Whether the first 16 bytes are Poly1305 of the rest by this one-time key. */
export function isPoly1305(key: Uint8Array, tagged: Uint8Array): boolean {
  for (let i = 0; i < 8; i++) pad[i] = word(key, 4 * i);
  return isAuthentic(tagged, TAG);
}

function setKey(key: Uint8Array): void {
  const s = square;
  s[0] = 0x61707865;
  s[5] = 0x3320646e;
  s[10] = 0x79622d32;
  s[15] = 0x6b206574;
  for (let i = 0; i < 4; i++) {
    s[1 + i] = word(key, 4 * i);
    s[11 + i] = word(key, 16 + 4 * i);
  }
}

// out[at..) = bytes[from..) XOR the pad's bytes from `skip` on.
function xorPad(out: Uint8Array, at: number, bytes: Uint8Array, from: number, skip: number): void {
  const end = Math.min(out.length, at + 64 - skip);
  let i = skip;
  for (let to = at; to < end; to++, i++) out[to] = bytes[from + to - at]! ^ (pad[i >> 2]! >>> (8 * (i & 3)));
}

/** What was sealed, or null when the tag isn't this key's: as openBox of secretbox.ts. */
export function openBoxFast(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null {
  if (box.length < TAG) return null;
  const s = square;
  setKey(key);
  for (let i = 0; i < 4; i++) s[6 + i] = word(nonce, 4 * i);
  scramble(false);
  // HSalsa20's output is the diagonal, and the input's place; it is the key of all that follows.
  s[1] = pad[0]!;
  s[2] = pad[5]!;
  s[3] = pad[10]!;
  s[4] = pad[15]!;
  s[11] = pad[6]!;
  s[12] = pad[7]!;
  s[13] = pad[8]!;
  s[14] = pad[9]!;
  s[6] = word(nonce, 16);
  s[7] = word(nonce, 20);
  s[8] = s[9] = 0;
  scramble(true);
  if (!isAuthentic(box, TAG)) return null;
  const out = new Uint8Array(box.length - TAG);
  xorPad(out, 0, box, TAG, 32);
  for (let at = 32; at < out.length; at += 64) {
    s[8] = s[8]! + 1;
    scramble(true);
    xorPad(out, at, box, TAG + at, 0);
  }
  return out;
}
