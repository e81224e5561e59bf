// Ed25519, RFC 8032 section 5.1, for interpreters: the same answers as sign.ts, several times sooner. [device]
//
//   sign     r = SHA-512(prefix ‖ message) mod L,  R = r B,  s = r + SHA-512(R ‖ A ‖ message) a mod L
//   verify   encode(s B - SHA-512(R ‖ A ‖ message) A) = R, after the checks of strict.ts
//
// r B is a sum of points of a table (scripts/ed25519-table.mjs draws it): BLOCKS of them a column, SPAN
// columns, a doubling between columns. A verification adds A bit by bit, and its doublings serve the table too:
// a window of A's multiples would save a tenth of it, and cost half a KB of code and 4 KB of heap.
//
// What depends on secrets, in signing and key making: which point of the table is read. No branch does, nor
// a loop's length, nor the sequence of operations; a point's sign is a factor of 1 or -1. Below that, an
// engine may take longer for one number than for another, and a cache may tell which point was read:
// what an interpreter does with `a * b` is out of a script's hands, with tweetnacl as much as here.
//
// Memory: 1.5 KB of registers and the table, and as much again while it works.

import { unarmour } from "./armour";
import { equalBytes } from "./bytes";
import { BLOCKS, POINTS, SPAN, TEETH } from "./ed25519-table";
import { FAULT_NONE } from "./fault";
import {
  add,
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
import { makeOdd, multiplyAdd, reduceScalar } from "./scalar25519";
import { sha512 } from "./sha512";
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

// What an addition wants of its second point, whose z is 1.
interface Addend {
  minus: Field; // y - x
  plus: Field; // y + x
  t2d: Field; // 2 d t
}

function makePoint(): Point {
  return { x: makeField(), y: makeField(), z: makeField(), t: makeField() };
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

// Looseness (field25519.ts): coordinates of a Point are tight. Those of an Addend: minus and plus 2; D2 2.

// p += q. Without `withT` p.t is left unusable, for when a doubling or nothing comes next.
function addPoint(p: Point, q: Addend, withT: boolean): void {
  sub(A, p.y, p.x);
  mul(A, A, q.minus); // 2 times 2
  add(B, p.y, p.x);
  mul(B, B, q.plus);
  mul(C, p.t, q.t2d);
  add(F, p.z, p.z); // 2
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

function makeAddend(): Addend {
  return { minus: makeField(), plus: makeField(), t2d: makeField() };
}

// q = (X, Y); both tight.
function setAddend(q: Addend): void {
  sub(q.minus, Y, X);
  add(q.plus, Y, X);
  mul(q.t2d, X, Y);
  mul(q.t2d, q.t2d, D2);
}

function encodePoint(p: Point): Uint8Array {
  invert(A, p.z);
  mul(X, p.x, A);
  mul(Y, p.y, A);
  const out = pack(Y);
  out[31] = out[31]! | ((pack(X)[0]! & 1) << 7);
  return out;
}

// Leaves entry `index` of a block of the table in X and Y; sign is 1, or -1 for its negative.
function readTable(block: number, index: number, sign: number): void {
  const at = FIRST_POINT + 64 * ((block << (TEETH - 1)) + index);
  unpack(X, TABLE, at, sign);
  unpack(Y, TABLE, at + 32, 1);
}

function bitOf(bytes: Uint8Array, i: number): number {
  return (bytes[i >> 3]! >> (i & 7)) & 1;
}

// s B + k Q, encoded; Q null leaves the second out. s is below L, k below 2^256.
function multiply(s: Uint8Array, q: Addend | null, k: Uint8Array): Uint8Array {
  // s, made odd by adding L, is the sum of all ±2^i where the sign is what stands in bit i + 1; the last is +.
  const last = TEETH * BLOCKS * SPAN;
  const odd = new Uint8Array((last >> 3) + 1);
  makeOdd(odd, s);
  odd[last >> 3] = odd[last >> 3]! | (1 << (last & 7));

  const entry = makeAddend();
  const p = makePoint();
  p.y.set(ONE);
  p.z.set(ONE);
  for (let column = q === null ? SPAN - 1 : 255; column >= 0; column--) {
    const withQ = q !== null && bitOf(k, column) === 1;
    double(p, withQ || column < SPAN);
    if (withQ) addPoint(p, q as Addend, column < SPAN);
    for (let block = 0; column < SPAN && block < BLOCKS; block++) {
      let index = 0;
      for (let i = last - (BLOCKS - block) * SPAN + column + 1; i > 0; i -= BLOCKS * SPAN)
        index = 2 * index + bitOf(odd, i);
      // The first bit is the sign of all: without it, the others stand for their opposites.
      const plus = index >> (TEETH - 1);
      readTable(block, (index ^ (plus - 1)) & ((1 << (TEETH - 1)) - 1), 2 * plus - 1);
      setAddend(entry);
      addPoint(p, entry, block < BLOCKS - 1);
    }
  }
  return encodePoint(p);
}

const NOTHING = new Uint8Array(0);

// The 64 bytes that a seed stands for: the secret scalar, then the prefix.
function expandSeed(seed: Uint8Array): Uint8Array {
  const h = sha512(seed, NOTHING, NOTHING);
  h[0] = h[0]! & 248;
  h[31] = (h[31]! & 127) | 64;
  return h;
}

/** The 64-byte signature. `secretKey` is the 64-byte form. */
export function signEd25519(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  const publicKey = secretKey.subarray(32, 64);
  const secret = expandSeed(secretKey.subarray(0, 32));
  const r = reduceScalar(sha512(secret.subarray(32, 64), message, NOTHING));
  const signature = new Uint8Array(64);
  const point = multiply(r, null, NOTHING);
  const k = reduceScalar(sha512(point, publicKey, message));
  signature.set(point, 0);
  signature.set(multiplyAdd(k, secret.subarray(0, 32), r), 32);
  return signature;
}

/** The key pair of a 32-byte seed. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  const publicKey = multiply(reduceScalar(expandSeed(seed).subarray(0, 32)), null, NOTHING);
  const secretKey = new Uint8Array(64);
  secretKey.set(seed, 0);
  secretKey.set(publicKey, 32);
  return { publicKey, secretKey };
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
  const found = pack(C);
  if (!equalBytes(found, pack(E))) {
    sub(E, ZERO, E);
    if (!equalBytes(found, pack(E))) return false;
    unpack(A, TABLE, 32, 1);
    mul(X, X, A);
  }
  if ((pack(X)[0]! & 1) === key[31]! >> 7) sub(X, ZERO, X);
  return true;
}

/** Whether `signature` over `message` is by the holder of `publicKey`. Never throws. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
  if (!decodeNegative(publicKey)) return false;
  const k = reduceScalar(sha512(signature.subarray(0, 32), publicKey, message));
  const q = makeAddend();
  setAddend(q);
  const r = multiply(signature.subarray(32, 64), q, k);
  return equalBytes(r, signature.subarray(0, 32));
}
