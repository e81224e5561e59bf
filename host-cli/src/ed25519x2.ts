// Ed25519 for a key that signed thousands of statements: RFC 8032's equation without its doublings.
//
//   R = [s]B - [h]A        s = Σ s_i 128^i, h = Σ h_i 128^i, digits from -64 to 64
//     = Σ B_i(s_i)  +  Σ A_i(h_i)        B_i(d) = [d 128^i]B, A_i(d) = [-d 128^i]A: tables, made once for a key
//
//   lane 0      lane 1         one v128 is the same limb of two numbers,
//   Σ B_i(s_i)  Σ A_i(h_i)     so both sums are added up by the same instructions
//
// A WebAssembly module that is written here, instruction by instruction. What it computes is R, and all 32 bytes of
// it are compared with the signature's, as OpenSSL does: a slip in the arithmetic gives some other R, which matches
// nothing. Tables and comparison are in ed25519fixed.ts; who calls asks node:crypto about all that doesn't pass
// (bulkcrypto.ts).
//
//   number    modulo p = 2^255 - 19: ten limbs without sign, of 26 and 25 bits by turns; a limb takes 8 bytes,
//             4 for each lane. "Tight": as `mul` leaves them, below 2^26 and 2^25 + 2^18
//   point     X, Y, Z, T      x = X/Z, y = Y/Z, T = XY/Z
//   entry     y+x, y-x, 2dxy, -2dxy of a point, 40 bytes each: its negative is the same bytes in another order
//
// Products are exact while the looseness of both factors, as multiples of tight, multiplies to at most 12, the
// second of them at most 3 times tight: a sum of ten products then stays below 2^63, and 19 times a limb below 2^32.

import { get, I32, i32, leb, list, SIMD, section, set, simd, V128 } from "./wasmcode";

export const WINDOW = 7;
export const WINDOWS = 37; // 259 bits: those of a number below the order of B, and a carry
export const ENTRIES = (1 << (WINDOW - 1)) + 1; // 0 … 64
export const FIELD = 80;
export const ENTRY = 160;
export const TABLE = WINDOWS * ENTRIES * ENTRY;

// Memory: numbers in use, then the addresses of the entries to be added, then the tables.
const at = (slot: number) => slot * FIELD;
export const [X, Y, Z, T] = [at(0), at(1), at(2), at(3)];
const [A, B, C, D, E, F] = [at(4), at(5), at(6), at(7), at(8), at(9)];
const [Q0, Q1, Q2] = [at(10), at(11), at(12)];
export const TWO_D = at(13);
const [V, U] = [at(14), at(15)];
export const STEPS = at(16);
export const STEP = 24; // y+x, y-x, ±2dxy of lane 0, the same of lane 1
export const TABLES = 4096;

// ---- Instructions

const load = (pointer: number[], offset: number) => [...pointer, ...simd(SIMD.load64Zero, 0, ...leb(offset))];
const store = (pointer: number[], offset: number, value: number[]) => [
  ...pointer,
  ...value,
  ...simd(SIMD.store64Lane, 0, ...leb(offset), 0),
];
/** The same bytes in both lanes: four of 32 bits, or two of 64. */
const constant = (value: number, is64: boolean) =>
  simd(
    SIMD.const,
    ...new Uint8Array(
      is64
        ? new BigUint64Array(2).fill(BigInt(value)).buffer
        : new Uint32Array([value, value, value, value]).buffer,
    ),
  );
const binary = (op: number) => (a: number[], b: number[]) => [...a, ...b, ...simd(op)];
const times = binary(SIMD.extMulLow);
const plus64 = binary(SIMD.add64);
const plus = binary(SIMD.add);
const minus = binary(SIMD.sub);
const and = binary(SIMD.and);
const shifted = (x: number[], op: number, by: number) => [...x, ...i32(by), ...simd(op)];
const PACK = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
const packed = (x: number[]) => [...x, ...x, ...simd(SIMD.shuffle, ...PACK)];

export const bits = (limb: number) => (limb % 2 === 0 ? 26 : 25);
export const LIMBS = Array.from({ length: 10 }, (_, i) => i);

/** Locals of `mul` and `sqr`, behind three parameters. */
const [LF, LG, LG19, LF2, LH] = [3, 13, 23, 33, 43];

/** LH, ten sums of products, to numbers that are tight, two carries at a time. */
function carried(): number[] {
  const out: number[] = [];
  const carry = (from: number) => {
    const by = bits(from);
    const high = shifted(get(LH + from), SIMD.shrU64, by);
    const into = LH + ((from + 1) % 10);
    // 19 = 1 + 2 + 16: what lands above bit 255
    const nineteen = plus64(
      plus64(get(LF), shifted(get(LF), SIMD.shl64, 1)),
      shifted(get(LF), SIMD.shl64, 4),
    );
    const moved = from === 9 ? [...high, ...set(LF), ...nineteen] : high;
    out.push(...get(into), ...moved, ...simd(SIMD.add64), ...set(into));
    out.push(...and(get(LH + from), constant(2 ** by - 1, true)), ...set(LH + from));
  };
  for (const limb of [0, 4, 1, 5, 2, 6, 3, 7, 4, 8, 9, 0]) carry(limb);
  return out;
}

/** Products of the limbs of LF and LG; each sum is a local of its own. */
function products(isSquare: boolean): number[] {
  const out: number[] = [];
  const g = isSquare ? LF : LG;
  for (const i of LIMBS) {
    if (i > 0) out.push(...get(g + i), ...constant(19, false), ...simd(SIMD.mul), ...set(LG19 + i));
    if (i % 2 === 1 || isSquare) out.push(...shifted(get(LF + i), SIMD.shl, 1), ...set(LF2 + i));
  }
  for (const k of LIMBS) {
    let sum: number[] | null = null;
    for (const i of LIMBS) {
      const j = (k - i + 10) % 10;
      if (isSquare && i > j) continue;
      const isTwice = isSquare && i !== j;
      // Two limbs of 25 bits stand half a bit too low each: their product counts double.
      const isOdd = i % 2 === 1 && j % 2 === 1;
      const second = i + j >= 10 ? LG19 + j : g + j;
      const first = isOdd !== isTwice ? LF2 + i : LF + i;
      let product = times(get(first), get(second));
      if (isOdd && isTwice) product = shifted(times(get(LF2 + i), get(second)), SIMD.shl64, 1);
      sum = sum === null ? product : plus64(sum, product);
    }
    out.push(...(sum as number[]), ...set(LH + k));
  }
  return out;
}

/** mul(to, f, g): f times g. */
function mulBody(): number[] {
  const out: number[] = [];
  for (const i of LIMBS) out.push(...load(get(1), 8 * i), ...set(LF + i));
  for (const i of LIMBS) out.push(...load(get(2), 8 * i), ...set(LG + i));
  out.push(...products(false), ...carried());
  for (const i of LIMBS) out.push(...store(get(0), 8 * i, packed(get(LH + i))));
  return out;
}

/** sqr(to, f, n): f squared n times. */
function sqrBody(): number[] {
  const out: number[] = [];
  for (const i of LIMBS) out.push(...load(get(1), 8 * i), ...set(LF + i));
  out.push(0x03, 0x40, ...products(true), ...carried());
  for (const i of LIMBS) out.push(...packed(get(LH + i)), ...set(LF + i));
  out.push(...get(2), ...i32(1), 0x6b, 0x22, ...leb(2), 0x0d, 0x00, 0x0b);
  for (const i of LIMBS) out.push(...store(get(0), 8 * i, get(LF + i)));
  return out;
}

const [MUL, SQR, SUM, END] = [0, 1, 2, 3]; // the functions, in order
const mul = (to: number, f: number, g: number) => [...i32(to), ...i32(f), ...i32(g), 0x10, MUL];
const sqr = (to: number, f: number, n: number) => [...i32(to), ...i32(f), ...i32(n), 0x10, SQR];

/** Limb by limb, without carrying. */
const each = (to: number, value: (limb: number) => number[]) =>
  LIMBS.flatMap((i) => store(i32(to), 8 * i, value(i)));
const slot = (base: number) => (limb: number) => load(i32(base), 8 * limb);
const addTo = (to: number, f: number, g: number) => each(to, (i) => plus(slot(f)(i), slot(g)(i)));
/** f - g, and twice p so that no limb falls below zero: g must be tight. */
const subTo = (to: number, f: number, g: number) =>
  each(to, (i) =>
    minus(plus(slot(f)(i), constant(2 * (2 ** bits(i) - (i === 0 ? 19 : 1)), false)), slot(g)(i)),
  );

/** A number of an entry: lane 0 from the address at STEP + 4n, lane 1 from that three words on. */
const gathered = (to: number, n: number) =>
  each(to, (i) => [
    ...get(0),
    ...[0x28, 2, ...leb(4 * (n + 3))], // i32.load: where lane 1's lies
    ...get(0),
    ...[0x28, 2, ...leb(4 * n)],
    ...simd(SIMD.load32Zero, 2, ...leb(4 * i)),
    ...simd(SIMD.load32Lane, 2, ...leb(4 * i), 1),
  ]);

/** From X, Y, Z, T's halves of a sum: E = B - A, F = D - C, G = D + C, H = B + A, then XYZT. A, B, C tight, D twice. */
const finished = (hasT: boolean) => [
  ...subTo(E, B, A), // 3
  ...addTo(F, B, A), // 2, H
  ...addTo(A, D, C), // 3, G
  ...subTo(B, D, C), // 4
  ...mul(X, B, E),
  ...mul(Y, A, F),
  ...mul(Z, B, A),
  ...(hasT ? mul(T, E, F) : []),
];

/** sum(step, last): adds the entries of the steps from one address to another. */
function sumBody(): number[] {
  return [
    ...[0x03, 0x40],
    ...gathered(Q0, 0),
    ...gathered(Q1, 1),
    ...gathered(Q2, 2),
    ...subTo(D, Y, X), // 3
    ...addTo(E, Y, X), // 2
    ...mul(A, D, Q1),
    ...mul(B, E, Q0),
    ...mul(C, T, Q2),
    ...addTo(D, Z, Z),
    ...finished(true),
    ...[...get(0), ...i32(STEP), 0x6a, 0x22, ...leb(0), ...get(1), 0x49, 0x0d, 0x00, 0x0b],
  ];
}

const SWAP = [4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3];
const swappedTo = (to: number, from: number) =>
  each(to, (i) => [...slot(from)(i), ...slot(from)(i), ...simd(SIMD.shuffle, ...SWAP)]);

/** end(): the sum of both lanes, x into X and y into Y. */
function endBody(): number[] {
  const invert = [
    ...sqr(A, Z, 1), // 2
    ...sqr(B, A, 2), // 8
    ...mul(B, B, Z), // 9
    ...mul(A, A, B), // 11
    ...sqr(C, A, 1), // 22
    ...mul(B, C, B), // 2^5 - 1
    ...sqr(C, B, 5),
    ...mul(B, C, B), // 2^10 - 1
    ...sqr(C, B, 10),
    ...mul(C, C, B), // 2^20 - 1
    ...sqr(D, C, 20),
    ...mul(C, D, C), // 2^40 - 1
    ...sqr(C, C, 10),
    ...mul(B, C, B), // 2^50 - 1
    ...sqr(C, B, 50),
    ...mul(C, C, B), // 2^100 - 1
    ...sqr(D, C, 100),
    ...mul(C, D, C), // 2^200 - 1
    ...sqr(C, C, 50),
    ...mul(B, C, B), // 2^250 - 1
    ...sqr(B, B, 5),
    ...mul(V, B, A), // 2^255 - 21 = p - 2
  ];
  return [
    ...swappedTo(Q0, X),
    ...swappedTo(Q1, Y),
    ...swappedTo(Q2, T),
    ...swappedTo(U, Z),
    ...subTo(D, Y, X), // 3
    ...subTo(E, Q1, Q0), // 3
    ...mul(A, D, E),
    ...addTo(D, Y, X),
    ...addTo(E, Q1, Q0),
    ...mul(B, D, E),
    ...mul(C, T, TWO_D),
    ...mul(C, C, Q2),
    ...mul(D, Z, U),
    ...addTo(D, D, D),
    ...finished(false),
    ...invert,
    ...mul(X, X, V),
    ...mul(Y, Y, V),
  ];
}

export function assemble(): Uint8Array {
  const body = (code: number[], vectors: number) => {
    const locals = vectors === 0 ? list([]) : list([[...leb(vectors), V128]]);
    return [...leb(locals.length + code.length + 1), ...locals, ...code, 0x0b];
  };
  const name = (text: string) => [...leb(text.length), ...Buffer.from(text)];
  const type = (parameters: number) => [0x60, ...list(Array(parameters).fill([I32])), 0];
  const exports = list([
    [...name("sum"), 0, SUM],
    [...name("end"), 0, END],
  ]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list([type(3), type(2), type(0)])),
    ...section(2, list([[...name("env"), ...name("memory"), 0x02, 0x00, 1]])),
    ...section(3, list([[0], [0], [1], [2]])),
    ...section(7, exports),
    ...section(10, list([body(mulBody(), 50), body(sqrBody(), 50), body(sumBody(), 0), body(endBody(), 0)])),
  ]);
}
