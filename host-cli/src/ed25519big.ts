// Points of Ed25519 in whole numbers, plainly and slowly: what the tables of ed25519fixed.ts are made with.
//
//   -x² + y² = 1 + d x² y²  modulo p = 2^255 - 19        RFC 8032 section 5.1
//
// Keys and multiples of keys only, nothing secret: nothing here takes the same time for all numbers.

export const FIELD_P = 2n ** 255n - 19n;
/** The order of B. */
export const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** x = X/Z, y = Y/Z, T = XY/Z. */
export interface Point {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
  readonly t: bigint;
}

export interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

export const mod = (n: bigint): bigint => {
  const rest = n % FIELD_P;
  return rest < 0n ? rest + FIELD_P : rest;
};

function power(base: bigint, exponent: bigint): bigint {
  let out = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n, square = mod(square * square))
    if ((left & 1n) === 1n) out = mod(out * square);
  return out;
}

export const inverse = (n: bigint): bigint => power(n, FIELD_P - 2n);

export const CURVE_D = mod(-121665n * inverse(121666n));
const ROOT_OF_MINUS_1 = power(2n, (FIELD_P - 1n) / 4n);

export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}

const pointOf = ({ x, y }: Affine): Point => ({ x, y, z: 1n, t: mod(x * y) });
const IDENTITY: Point = { x: 0n, y: 1n, z: 1n, t: 0n };

/** RFC 8032 section 5.1.3; null for what is no point of the curve, or written otherwise than encoding would. */
export function decompress(bytes: Uint8Array): Point | null {
  const number = littleEndian(bytes);
  const [y, sign] = [number & (2n ** 255n - 1n), number >> 255n];
  if (y >= FIELD_P) return null;
  const u = mod(y * y - 1n);
  const v = mod(CURVE_D * y * y + 1n);
  const root = mod(u * power(v, 3n) * power(mod(u * power(v, 7n)), (FIELD_P - 5n) / 8n));
  const check = mod(v * root * root);
  if (check !== u && check !== mod(-u)) return null;
  const x = check === u ? root : mod(root * ROOT_OF_MINUS_1);
  if (x === 0n && sign === 1n) return null;
  return pointOf({ x: (x & 1n) === sign ? x : mod(-x), y });
}

export const BASE = decompress(Uint8Array.of(0x58, ...new Uint8Array(31).fill(0x66))) as Point;

export const negative = ({ x, y, z, t }: Point): Point => ({ x: mod(-x), y, z, t: mod(-t) });

/** Of any two points, equal ones too. */
export function sum(p: Point, q: Point): Point {
  const a = mod((p.y - p.x) * (q.y - q.x));
  const b = mod((p.y + p.x) * (q.y + q.x));
  const c = mod(2n * CURVE_D * mod(p.t * q.t));
  const d = mod(2n * p.z * q.z);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) };
}

/** 0, 1, … `count` - 1 times the point. */
function multiplesOf(point: Point, count: number): Point[] {
  const out = [IDENTITY];
  for (let i = 1; i < count; i++) out.push(sum(out[i - 1] as Point, point));
  return out;
}

/** For each of `windows` powers of `2 (count - 1)`: its multiples of the point from 0 to `count` - 1. */
export function windowsOf(point: Point, windows: number, count: number): Affine[] {
  const out: Point[] = [];
  let base = point;
  for (let i = 0; i < windows; i++) {
    const row = multiplesOf(base, count);
    out.push(...row);
    const last = row[count - 1] as Point;
    base = sum(last, last);
  }
  return affine(out);
}

/** One inversion for all: the product of all z, and from the last to the first what is left of it. */
function affine(points: readonly Point[]): Affine[] {
  const before: bigint[] = [];
  let product = 1n;
  for (const { z } of points) {
    before.push(product);
    product = mod(product * z);
  }
  let inverted = inverse(product);
  const out: Affine[] = [];
  for (let i = points.length - 1; i >= 0; i--) {
    const { x, y, z } = points[i] as Point;
    const own = mod(inverted * (before[i] as bigint));
    inverted = mod(inverted * z);
    out.push({ x: mod(x * own), y: mod(y * own) });
  }
  return out.reverse();
}
