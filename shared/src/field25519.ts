// Arithmetic modulo p = 2^255 - 19 for interpreters. [device]
//
// An interpreter pays for each operation, hardly for its width, and most of all for a number's way out
// of an array. So: few and wide limbs, products written out over local variables, and doubles, which every
// engine has and which hold 53 bits where integers hold 31.
//
//   x = x0 + x1 + … + x11        limb k is a multiple of 2^ceil(21.25 k): bits 0, 22, 43, 64, 85, …, 234, 255
//
// A limb carries its own power of two, so that products land where they belong without shifts; what
// lands above bit 255 comes down by W = 19 / 2^255, which is as exact as a shift. Limbs are balanced:
//
//   tight      |xk| <= 2^(width - 1) of its units, and a hair more in limb 1: what `mul` and `unpack` leave
//   products   are exact while the looseness of both factors, as multiples of tight, multiplies to at
//              most 16 (16.4 by adding it up): a coefficient then stays below 2^53 of its units
//
// `add` and `sub` don't carry: their looseness is the sum of that of their terms. The callers in
// ed25519.ts say what theirs is. Nothing here branches on a value.

/** Twelve limbs. */
export type Field = Float64Array;

export function makeField(): Field {
  return new Float64Array(12);
}

// Multiplied out, since not every engine reads long decimals to the last bit.
let power = 1;
for (let i = 0; i < 12; i++) power *= 0x200000;
export const TWO252 = power;
const W = 19 / 8 / TWO252;

// Carries 0, 1, …, 11, 0 and stores. In doubles beside 3e22 the last place is worth 2^22, so
// adding and subtracting it rounds to a multiple of that, and so on; any number about that size would do.
function store(
  o: Field,
  h0: number,
  h1: number,
  h2: number,
  h3: number,
  h4: number,
  h5: number,
  h6: number,
  h7: number,
  h8: number,
  h9: number,
  h10: number,
  h11: number,
): void {
  let c = h0 + 3e22 - 3e22;
  h0 -= c;
  h1 += c;
  c = h1 + 5e28 - 5e28;
  h1 -= c;
  h2 += c;
  c = h2 + 1e35 - 1e35;
  o[2] = h2 - c;
  h3 += c;
  c = h3 + 3e41 - 3e41;
  o[3] = h3 - c;
  h4 += c;
  c = h4 + 1e48 - 1e48;
  o[4] = h4 - c;
  h5 += c;
  c = h5 + 2e54 - 2e54;
  o[5] = h5 - c;
  h6 += c;
  c = h6 + 4e60 - 4e60;
  o[6] = h6 - c;
  h7 += c;
  c = h7 + 1e67 - 1e67;
  o[7] = h7 - c;
  h8 += c;
  c = h8 + 4e73 - 4e73;
  o[8] = h8 - c;
  h9 += c;
  c = h9 + 1e80 - 1e80;
  o[9] = h9 - c;
  h10 += c;
  c = h10 + 2e86 - 2e86;
  o[10] = h10 - c;
  h11 += c;
  c = h11 + 4e92 - 4e92;
  o[11] = h11 - c;
  h0 += c * W;
  c = h0 + 3e22 - 3e22;
  o[0] = h0 - c;
  o[1] = h1 + c;
}

/** o = a b. */
export function mul(o: Field, a: Field, b: Field): void {
  const w = W;
  const a0 = a[0]!;
  const a1 = a[1]!;
  const a2 = a[2]!;
  const a3 = a[3]!;
  const a4 = a[4]!;
  const a5 = a[5]!;
  const a6 = a[6]!;
  const a7 = a[7]!;
  const a8 = a[8]!;
  const a9 = a[9]!;
  const a10 = a[10]!;
  const a11 = a[11]!;
  const b0 = b[0]!;
  const b1 = b[1]!;
  const b2 = b[2]!;
  const b3 = b[3]!;
  const b4 = b[4]!;
  const b5 = b[5]!;
  const b6 = b[6]!;
  const b7 = b[7]!;
  const b8 = b[8]!;
  const b9 = b[9]!;
  const b10 = b[10]!;
  const b11 = b[11]!;
  store(
    o,
    a0 * b0 +
      w *
        (a1 * b11 +
          a2 * b10 +
          a3 * b9 +
          a4 * b8 +
          a5 * b7 +
          a6 * b6 +
          a7 * b5 +
          a8 * b4 +
          a9 * b3 +
          a10 * b2 +
          a11 * b1),
    a0 * b1 +
      a1 * b0 +
      w *
        (a2 * b11 +
          a3 * b10 +
          a4 * b9 +
          a5 * b8 +
          a6 * b7 +
          a7 * b6 +
          a8 * b5 +
          a9 * b4 +
          a10 * b3 +
          a11 * b2),
    a0 * b2 +
      a1 * b1 +
      a2 * b0 +
      w * (a3 * b11 + a4 * b10 + a5 * b9 + a6 * b8 + a7 * b7 + a8 * b6 + a9 * b5 + a10 * b4 + a11 * b3),
    a0 * b3 +
      a1 * b2 +
      a2 * b1 +
      a3 * b0 +
      w * (a4 * b11 + a5 * b10 + a6 * b9 + a7 * b8 + a8 * b7 + a9 * b6 + a10 * b5 + a11 * b4),
    a0 * b4 +
      a1 * b3 +
      a2 * b2 +
      a3 * b1 +
      a4 * b0 +
      w * (a5 * b11 + a6 * b10 + a7 * b9 + a8 * b8 + a9 * b7 + a10 * b6 + a11 * b5),
    a0 * b5 +
      a1 * b4 +
      a2 * b3 +
      a3 * b2 +
      a4 * b1 +
      a5 * b0 +
      w * (a6 * b11 + a7 * b10 + a8 * b9 + a9 * b8 + a10 * b7 + a11 * b6),
    a0 * b6 +
      a1 * b5 +
      a2 * b4 +
      a3 * b3 +
      a4 * b2 +
      a5 * b1 +
      a6 * b0 +
      w * (a7 * b11 + a8 * b10 + a9 * b9 + a10 * b8 + a11 * b7),
    a0 * b7 +
      a1 * b6 +
      a2 * b5 +
      a3 * b4 +
      a4 * b3 +
      a5 * b2 +
      a6 * b1 +
      a7 * b0 +
      w * (a8 * b11 + a9 * b10 + a10 * b9 + a11 * b8),
    a0 * b8 +
      a1 * b7 +
      a2 * b6 +
      a3 * b5 +
      a4 * b4 +
      a5 * b3 +
      a6 * b2 +
      a7 * b1 +
      a8 * b0 +
      w * (a9 * b11 + a10 * b10 + a11 * b9),
    a0 * b9 +
      a1 * b8 +
      a2 * b7 +
      a3 * b6 +
      a4 * b5 +
      a5 * b4 +
      a6 * b3 +
      a7 * b2 +
      a8 * b1 +
      a9 * b0 +
      w * (a10 * b11 + a11 * b10),
    a0 * b10 +
      a1 * b9 +
      a2 * b8 +
      a3 * b7 +
      a4 * b6 +
      a5 * b5 +
      a6 * b4 +
      a7 * b3 +
      a8 * b2 +
      a9 * b1 +
      a10 * b0 +
      w * (a11 * b11),
    a0 * b11 +
      a1 * b10 +
      a2 * b9 +
      a3 * b8 +
      a4 * b7 +
      a5 * b6 +
      a6 * b5 +
      a7 * b4 +
      a8 * b3 +
      a9 * b2 +
      a10 * b1 +
      a11 * b0,
  );
}

/** o = a^(2^n). */
export function square(o: Field, a: Field, n: number): void {
  const w = W;
  for (let i = 0; i < n; i++) {
    const a0 = a[0]!;
    const a1 = a[1]!;
    const a2 = a[2]!;
    const a3 = a[3]!;
    const a4 = a[4]!;
    const a5 = a[5]!;
    const a6 = a[6]!;
    const a7 = a[7]!;
    const a8 = a[8]!;
    const a9 = a[9]!;
    const a10 = a[10]!;
    const a11 = a[11]!;
    const d0 = 2 * a0;
    const d1 = 2 * a1;
    const d2 = 2 * a2;
    const d3 = 2 * a3;
    const d4 = 2 * a4;
    const d5 = 2 * a5;
    const d6 = 2 * a6;
    const d7 = 2 * a7;
    const d8 = 2 * a8;
    const d9 = 2 * a9;
    const d10 = 2 * a10;
    store(
      o,
      a0 * a0 + w * (d1 * a11 + d2 * a10 + d3 * a9 + d4 * a8 + d5 * a7 + a6 * a6),
      d0 * a1 + w * (d2 * a11 + d3 * a10 + d4 * a9 + d5 * a8 + d6 * a7),
      d0 * a2 + a1 * a1 + w * (d3 * a11 + d4 * a10 + d5 * a9 + d6 * a8 + a7 * a7),
      d0 * a3 + d1 * a2 + w * (d4 * a11 + d5 * a10 + d6 * a9 + d7 * a8),
      d0 * a4 + d1 * a3 + a2 * a2 + w * (d5 * a11 + d6 * a10 + d7 * a9 + a8 * a8),
      d0 * a5 + d1 * a4 + d2 * a3 + w * (d6 * a11 + d7 * a10 + d8 * a9),
      d0 * a6 + d1 * a5 + d2 * a4 + a3 * a3 + w * (d7 * a11 + d8 * a10 + a9 * a9),
      d0 * a7 + d1 * a6 + d2 * a5 + d3 * a4 + w * (d8 * a11 + d9 * a10),
      d0 * a8 + d1 * a7 + d2 * a6 + d3 * a5 + a4 * a4 + w * (d9 * a11 + a10 * a10),
      d0 * a9 + d1 * a8 + d2 * a7 + d3 * a6 + d4 * a5 + w * (d10 * a11),
      d0 * a10 + d1 * a9 + d2 * a8 + d3 * a7 + d4 * a6 + a5 * a5 + w * (a11 * a11),
      d0 * a11 + d1 * a10 + d2 * a9 + d3 * a8 + d4 * a7 + d5 * a6,
    );
    a = o;
  }
}

export function add(o: Field, a: Field, b: Field): void {
  for (let i = 0; i < 12; i++) o[i] = a[i]! + b[i]!;
}

export function sub(o: Field, a: Field, b: Field): void {
  for (let i = 0; i < 12; i++) o[i] = a[i]! - b[i]!;
}

/** o = scale times the 255 bits little endian at bytes[at]; scale is 1 or -1. Bit 255 is not looked at. */
export function unpack(o: Field, bytes: Uint8Array, at: number, scale: number): void {
  // Eight bytes begin in three limbs: 3, 3 and 2. They may reach into the next one, which the carry settles.
  for (let k = 0; k < 12; k += 3) {
    o[k] = scale * (bytes[at]! + 0x100 * bytes[at + 1]! + 0x10000 * bytes[at + 2]!);
    scale *= 0x1000000;
    o[k + 1] = scale * (bytes[at + 3]! + 0x100 * bytes[at + 4]! + 0x10000 * bytes[at + 5]!);
    scale *= 0x1000000;
    o[k + 2] = scale * (bytes[at + 6]! + 0x100 * (k < 9 ? bytes[at + 7]! : bytes[at + 7]! & 0x7f));
    scale *= 0x10000;
    at += 8;
  }
  store(o, o[0]!, o[1]!, o[2]!, o[3]!, o[4]!, o[5]!, o[6]!, o[7]!, o[8]!, o[9]!, o[10]!, o[11]!);
}

/**
 * Writes the sum of twelve limbs and `carry` as 32 bytes. Limbs are 21 bits wide; 0, 4 and 8 have `wide`. Returns
 * what is left above the last, -1 for a negative sum; bits of it that fit are in the last byte.
 */
export function emit(out: Uint8Array, limbs: Float64Array, wide: number, carry: number): number {
  let unit = 1;
  let word = 0;
  let bits = 0;
  let at = 0;
  for (let k = 0; k < 12; k++) {
    const width = k % 4 === 0 ? wide : 21;
    const n = limbs[k]! / unit + carry;
    const size = 1 << width;
    unit *= size;
    carry = Math.floor(n / size);
    word |= (n - carry * size) << bits;
    bits += width;
    while (bits >= 8) {
      out[at++] = word & 255;
      word >>>= 8;
      bits -= 8;
    }
  }
  out[31] = word | (carry << bits);
  return carry;
}

/** `a` in 0..p-1, as 32 bytes; tight to a unit or so. */
export function pack(a: Field): Uint8Array {
  const out = new Uint8Array(32);
  // |a| < p: a negative one is told by what emit leaves, and gets p = 2^255 - 19 by losing 19 and bit 255.
  emit(out, a, 22, 19 * emit(out, a, 22, 0));
  out[31] = out[31]! & 0x7f;
  return out;
}

// z^(2^250 - 1), with z^11 left in `eleven`.
function power250(o: Field, z: Field, eleven: Field): void {
  const t = makeField();
  const u = makeField();
  square(t, z, 1);
  square(u, t, 2);
  mul(u, u, z); // 9
  mul(eleven, t, u);
  square(t, eleven, 1);
  mul(o, t, u); // 2^5 - 1
  // From 2^m - 1 to 2^2m - 1; and by 2^10 - 1 or 2^50 - 1, which u keeps.
  square(t, o, 5);
  mul(u, t, o); // 10
  square(t, u, 10);
  mul(o, t, u); // 20
  square(t, o, 20);
  mul(t, t, o); // 40
  square(t, t, 10);
  mul(u, t, u); // 50
  square(t, u, 50);
  mul(o, t, u); // 100
  square(t, o, 100);
  mul(t, t, o); // 200
  square(t, t, 50);
  mul(o, t, u);
}

/** o = z^(2^252 - 3) = z^((p - 5) / 8), the heart of a square root. */
export function powerForRoot(o: Field, z: Field): void {
  const t = makeField();
  power250(t, z, makeField());
  square(t, t, 2);
  mul(o, t, z);
}

/** o = 1 / z = z^(p - 2); 0 for 0. */
export function invert(o: Field, z: Field): void {
  const eleven = makeField();
  power250(o, z, eleven);
  square(o, o, 5);
  mul(o, o, eleven);
}
