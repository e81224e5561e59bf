// Numbers modulo L = 2^252 + 27742317777372353535851937790883648493, the order of Ed25519's base point. [device]
//
//   x = x0 + x1 + … + x24        limb k is a multiple of 2^(21 k): 252 bits in twelve, a product or a digest in 25
//
// Doubles that carry their own power of two, as in field25519.ts, in loops: a signature has three of these, beside some
// 800 field products. What stands 2^252 higher is worth 2^252 - L, which is half as long. Nothing branches on a value.

import { emit, TWO252 } from "./field25519";

// 2^252 - L in limbs of 21 bits, balanced.
const FOLD = [666643, 470296, 654183, -997805, 136657, -683901];
const LIMB = 0x200000;

function makeScalar(): Float64Array {
  return new Float64Array(25);
}

// Limbs up to `to` become balanced; what is above goes to the next.
function carry(x: Float64Array, to: number): void {
  let magic = 14e21; // beside which the last place is worth 2^21, as in field25519.ts
  for (let i = 0; i <= to; i++) {
    const c = x[i]! + magic - magic;
    x[i] = x[i]! - c;
    x[i + 1] = x[i + 1]! + c;
    magic *= LIMB;
  }
}

function readScalar(bytes: Uint8Array): Float64Array {
  const x = makeScalar();
  let unit = 1;
  for (let i = 0; i < bytes.length; i++) {
    const k = Math.floor((8 * i) / 21);
    x[k] = x[k]! + bytes[i]! * unit;
    unit *= 256;
  }
  return x;
}

// x += n (2^252 - L), a limb of n 2^252 brought down, with `at` as its limb 0.
function addFold(x: Float64Array, at: number, n: number): void {
  for (let j = 0; j < 6; j++) {
    x[at + j] = x[at + j]! + n * FOLD[j]!;
    n *= LIMB;
  }
}

function foldDown(x: Float64Array, from: number, to: number): void {
  for (let i = from; i >= to; i--) {
    addFold(x, i - 12, x[i]! / TWO252);
    x[i] = 0;
  }
}

// x += n L.
function addOrder(x: Float64Array, n: number): void {
  addFold(x, 0, -n);
  x[11] = x[11]! + n * TWO252;
}

// x mod L as 32 bytes; limbs below 2^50 of their units, and 24 below 2^20.
function reduce(x: Float64Array): Uint8Array {
  const out = new Uint8Array(32);
  carry(x, 23);
  foldDown(x, 24, 18);
  carry(x, 17);
  foldDown(x, 18, 12);
  carry(x, 11);
  foldDown(x, 12, 12);
  // Balanced limbs below 2^252 and a little: -L < x < L.
  addOrder(x, emit(out, x, 21, 0) >>> 31);
  emit(out, x, 21, 0);
  return out;
}

/** The bytes, up to 64 and little endian, modulo L. */
export function reduceScalar(bytes: Uint8Array): Uint8Array {
  return reduce(readScalar(bytes));
}

/** a b + c modulo L; 32 bytes each. */
export function multiplyAdd(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const x = readScalar(a);
  const y = readScalar(b);
  const sum = readScalar(c);
  carry(x, 10);
  carry(y, 10);
  for (let i = 0; i < 12; i++) for (let j = 0; j < 12; j++) sum[i + j] = sum[i + j]! + x[i]! * y[j]!;
  return reduce(sum);
}

/** Writes s, below L, or s + L: whichever is odd. */
export function makeOdd(out: Uint8Array, s: Uint8Array): void {
  const x = readScalar(s);
  addOrder(x, 1 - (s[0]! & 1));
  emit(out, x, 21, 0);
}
