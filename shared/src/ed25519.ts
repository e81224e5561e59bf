// Ed25519, RFC 8032 section 5.1, for interpreters: the same answers as sign.ts, several times sooner. [device]
//
//   sign     r = SHA-512(prefix ‖ message) mod L,  R = r B,  s = r + SHA-512(R ‖ A ‖ message) a mod L
//   verify   encode(s B - SHA-512(R ‖ A ‖ message) A) = R, after the checks of strict.ts
//
// r B is a sum of points of a table (scripts/ed25519-table.mjs draws it): BLOCKS of them a column, SPAN
// columns, a doubling between columns. In verification the doublings that A's multiple needs serve B's too.
//
// What depends on secrets, in signing and key making: which point of the table is read. No branch does, nor
// a loop's length, nor the sequence of operations; a point's sign is a factor of 1 or -1. Below that, an
// engine may take longer for one number than for another, and a cache may tell which point was read:
// what an interpreter does with `a * b` is out of a script's hands, with tweetnacl as much as here.
//
// Memory: 2 KB of registers, the table, and while verifying 4 KB of multiples of A.

import { unarmour } from "./armour";
import { equalBytes } from "./bytes";
import { BLOCKS, POINTS, SPAN, TEETH } from "./ed25519-table";
import { FAULT_NONE } from "./fault";
import {
  add,
  emit,
  type Field,
  invert,
  makeField,
  mul,
  pack,
  powerForRoot,
  square,
  sub,
  unpack,
} from "./field25519";
import { sha512Final, sha512Init, sha512Update } from "./sha512";
import { checkPublicKey, checkSignature } from "./strict";

export interface KeyPair {
  publicKey: Uint8Array;
  secretKey: Uint8Array;
}

// Extended coordinates (Hisil, Wong, Carter and Dawson 2008): the point (x/z, y/z), and t = x y / z.
interface Point {
  x: Field;
  y: Field;
  z: Field;
  t: Field;
}

// What an addition wants of its second point; `z2` is null when z is 1.
interface Addend {
  minus: Field; // y - x
  plus: Field; // y + x
  z2: Field | null; // 2 z
  t2d: Field; // 2 d t
}

function makePoint(): Point {
  return { x: makeField(), y: makeField(), z: makeField(), t: makeField() };
}

function setNeutral(p: Point): void {
  p.x.set(ZERO);
  p.y.set(ONE);
  p.z.set(ONE);
  p.t.set(ZERO);
}

const TABLE = unarmour(POINTS, 1) as Uint8Array;
const FIRST_POINT = 64; // behind d and the root of -1

const D2 = makeField();
unpack(D2, TABLE, 0, 1);
add(D2, D2, D2);

const ZERO = makeField();
const ONE = makeField();
ONE[0] = 1;

const A = makeField();
const B = makeField();
const C = makeField();
const E = makeField();
const F = makeField();
const X = makeField();
const Y = makeField();

// Looseness (field25519.ts): coordinates of a Point are tight. Those of an Addend: minus, plus and D2 2, z2 2.

// p += q. Without `withT` p.t is left unusable, for when a doubling or nothing comes next.
function addPoint(p: Point, q: Addend, withT: boolean): void {
  sub(A, p.y, p.x);
  mul(A, A, q.minus); // 2 times 2
  add(B, p.y, p.x);
  mul(B, B, q.plus);
  mul(C, p.t, q.t2d);
  if (q.z2 === null) add(F, p.z, p.z);
  else mul(F, p.z, q.z2);
  sub(E, B, A); // 2
  add(B, B, A); // 2
  add(A, F, C); // 3
  sub(F, F, C); // 3
  mul(p.x, E, F);
  mul(p.y, A, B);
  mul(p.z, F, A); // 3 times 3
  if (withT) mul(p.t, E, B);
}

// p += p; p.t isn't read.
function double(p: Point, withT: boolean): void {
  add(E, p.x, p.y);
  square(E, E, 1);
  square(A, p.x, 1);
  square(B, p.y, 1);
  square(C, p.z, 1);
  add(C, C, C);
  add(F, A, B); // 2
  sub(B, B, A); // 2
  sub(E, E, F); // 3
  sub(C, C, B); // 4
  mul(p.x, E, C); // 3 times 4
  mul(p.y, F, B);
  mul(p.z, B, C);
  if (withT) mul(p.t, E, F);
}

// q = (X, Y), affine; X and Y tight.
function fromAffine(q: Addend): void {
  sub(q.minus, Y, X);
  add(q.plus, Y, X);
  mul(q.t2d, X, Y);
  mul(q.t2d, q.t2d, D2);
}

// A scalar is like a Field with 21 bits a limb, 252 in twelve; products and digests have 25 limbs.
// L = 2^252 + 27742317777372353535851937790883648493; 2^252 - L in limbs, balanced:
const FOLD = [666643, 470296, 654183, -997805, 136657, -683901];
const LIMB = 0x200000;
const TWO252 = Math.pow(2, 252);

function makeScalar(): Float64Array {
  return new Float64Array(25);
}

// Limbs from..to become balanced; what is above goes to the next.
function carry(x: Float64Array, from: number, to: number): void {
  let magic = 3 * Math.pow(2, 72 + 21 * from); // as in field25519.ts
  for (let i = from; i <= to; i++) {
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

// x -= n (2^252 - L) at limb `at`: what the limb twelve higher, being n 2^252, is worth there, when taken away.
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

/** x mod L as 32 bytes; limbs 0..23 below 2^50 of their units, and 24 below 2^20. */
function reduceScalar(x: Float64Array): Uint8Array {
  const out = new Uint8Array(32);
  carry(x, 0, 23);
  foldDown(x, 24, 18);
  carry(x, 6, 17);
  foldDown(x, 18, 12);
  carry(x, 0, 11);
  foldDown(x, 12, 12);
  // Balanced limbs below 2^252 and a little: -L < x < L.
  addOrder(x, emit(out, x, 21, 0) >>> 31);
  emit(out, x, 21, 0);
  return out;
}

function multiplyAdd(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const x = readScalar(a);
  const y = readScalar(b);
  const sum = readScalar(c);
  carry(x, 0, 10);
  carry(y, 0, 10);
  for (let i = 0; i < 12; i++) for (let j = 0; j < 12; j++) sum[i + j] = sum[i + j]! + x[i]! * y[j]!;
  return reduceScalar(sum);
}

function hash(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const s = sha512Init();
  sha512Update(s, a, 0, a.length);
  sha512Update(s, b, 0, b.length);
  sha512Update(s, c, 0, c.length);
  return sha512Final(s);
}

// p += digit Q, by what is public: only verification comes here.
function addMultiple(p: Point, multiples: Addend[], digit: number, withT: boolean): void {
  const m = multiples[Math.abs(digit) - 1]!;
  if (digit > 0) {
    addPoint(p, m, withT);
  } else {
    sub(X, ZERO, m.t2d);
    addPoint(p, { minus: m.plus, plus: m.minus, z2: m.z2, t2d: X }, withT);
  }
}

const NOTHING = new Uint8Array(0);

// p = s B for s < L, and more when `multiples` are of a point Q, 1 to 8 times: p = s B + sum of digits[i] 16^i Q.
function multiply(p: Point, s: Uint8Array, digits: Int8Array | null, multiples: Addend[]): void {
  // s odd, by adding L to it, is the sum of all ±2^i where the sign is what stands in bit i + 1; the last is +.
  const last = TEETH * BLOCKS * SPAN;
  const odd = new Uint8Array((last >> 3) + 1);
  const x = readScalar(s);
  addOrder(x, 1 - (s[0]! & 1));
  emit(odd, x, 21, 0);
  odd[last >> 3] = odd[last >> 3]! | (1 << (last & 7));

  const q: Addend = { minus: makeField(), plus: makeField(), z2: null, t2d: makeField() };
  const half = 1 << (TEETH - 1);
  setNeutral(p);
  const start = digits === null ? SPAN - 1 : 255;
  for (let column = start; column >= 0; column--) {
    const digit = digits === null || (column & 3) !== 0 ? 0 : digits[column >> 2]!;
    if (column !== start) double(p, column < SPAN || digit !== 0);
    if (digit !== 0) addMultiple(p, multiples, digit, column < SPAN);
    if (column < SPAN) {
      for (let block = 0; block < BLOCKS; block++) {
        let index = 0;
        for (let bit = last - (BLOCKS - block) * SPAN + column + 1; bit > 0; bit -= BLOCKS * SPAN)
          index = 2 * index + ((odd[bit >> 3]! >> (bit & 7)) & 1);
        // The first bit is the sign of all: without it, the others stand for their opposites.
        const plus = index >> (TEETH - 1);
        index = (index ^ (plus - 1)) & (half - 1);
        const at = FIRST_POINT + 64 * (block * half + index);
        unpack(X, TABLE, at, 2 * plus - 1);
        unpack(Y, TABLE, at + 32, 1);
        fromAffine(q);
        addPoint(p, q, block < BLOCKS - 1);
      }
    }
  }
}

function encodePoint(p: Point): Uint8Array {
  const out = new Uint8Array(32);
  invert(A, p.z);
  mul(X, p.x, A);
  mul(Y, p.y, A);
  pack(out, X);
  const sign = out[0]! & 1;
  pack(out, Y);
  out[31] = out[31]! | (sign << 7);
  return out;
}

// s B, encoded.
function encodeMultiple(s: Uint8Array): Uint8Array {
  const p = makePoint();
  multiply(p, s, null, []);
  return encodePoint(p);
}

// The 64 bytes that a seed stands for: the secret scalar, then the prefix.
function expandSeed(seed: Uint8Array): Uint8Array {
  const h = hash(seed, NOTHING, NOTHING);
  h[0] = h[0]! & 248;
  h[31] = (h[31]! & 127) | 64;
  return h;
}

/** The 64-byte signature. `secretKey` is the 64-byte form. */
export function signEd25519(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  const publicKey = secretKey.subarray(32, 64);
  const secret = expandSeed(secretKey.subarray(0, 32));
  const r = reduceScalar(readScalar(hash(secret.subarray(32, 64), message, NOTHING)));
  const signature = new Uint8Array(64);
  const point = encodeMultiple(r);
  const k = reduceScalar(readScalar(hash(point, publicKey, message)));
  signature.set(point, 0);
  signature.set(multiplyAdd(k, secret.subarray(0, 32), r), 32);
  return signature;
}

/** The key pair of a 32-byte seed. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  const publicKey = encodeMultiple(reduceScalar(readScalar(expandSeed(seed).subarray(0, 32))));
  const secretKey = new Uint8Array(64);
  secretKey.set(seed, 0);
  secretKey.set(publicKey, 32);
  return { publicKey, secretKey };
}

function isZero(a: Field): boolean {
  const bytes = new Uint8Array(32);
  const tight = makeField();
  mul(tight, a, ONE);
  pack(bytes, tight);
  let any = 0;
  for (let i = 0; i < 32; i++) any |= bytes[i]!;
  return any === 0;
}

// Leaves the negative of the point that a key encodes in X and Y, or answers false when it encodes none.
function decodeNegative(key: Uint8Array): boolean {
  unpack(Y, key, 0, 1);
  // x² = (y² - 1) / (d y² + 1) = u / v; the root is u v³ (u v^7)^((p - 5) / 8), or that times the root of -1.
  square(C, Y, 1);
  sub(E, C, ONE); // u, 2
  unpack(F, TABLE, 0, 1);
  mul(F, F, C);
  add(F, F, ONE); // v, 2
  square(A, F, 1);
  mul(A, A, F);
  square(B, A, 1);
  mul(B, B, F);
  mul(B, B, E);
  powerForRoot(B, B);
  mul(B, B, A);
  mul(X, B, E);
  square(C, X, 1);
  mul(C, C, F); // ± u
  sub(A, C, E); // 3
  if (!isZero(A)) {
    add(A, C, E);
    if (!isZero(A)) return false;
    unpack(A, TABLE, 32, 1);
    mul(X, X, A);
  }
  const bytes = new Uint8Array(32);
  pack(bytes, X);
  if ((bytes[0]! & 1) === key[31]! >> 7) sub(X, ZERO, X);
  return true;
}

// The point (X, Y), 1 to 8 times.
function multiplesOf(): Addend[] {
  const first: Addend = { minus: makeField(), plus: makeField(), z2: null, t2d: makeField() };
  fromAffine(first);
  const list = [first];
  const p = makePoint();
  setNeutral(p);
  addPoint(p, first, true);
  for (let i = 1; i < 8; i++) {
    addPoint(p, first, true);
    const next = { minus: makeField(), plus: makeField(), z2: makeField(), t2d: makeField() };
    sub(next.minus, p.y, p.x);
    add(next.plus, p.y, p.x);
    add(next.z2, p.z, p.z);
    mul(next.t2d, p.t, D2);
    list.push(next);
  }
  return list;
}

// 64 digits of -8..7 whose sum of digit 16^i is k, below 2^253.
function digitsOf(k: Uint8Array): Int8Array {
  const digits = new Int8Array(64);
  let over = 0;
  for (let i = 0; i < 64; i++) {
    const digit = ((k[i >> 1]! >> (4 * (i & 1))) & 15) + over;
    over = digit >> 3 === 0 ? 0 : 1;
    digits[i] = digit - 16 * over;
  }
  return digits;
}

/** Whether `signature` over `message` is by the holder of `publicKey`. Never throws. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
  if (!decodeNegative(publicKey)) return false;
  const k = reduceScalar(readScalar(hash(signature.subarray(0, 32), publicKey, message)));
  const p = makePoint();
  multiply(p, signature.subarray(32, 64), digitsOf(k), multiplesOf());
  return equalBytes(encodePoint(p), signature.subarray(0, 32));
}
