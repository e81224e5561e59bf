// Makes shared/src/ed25519-table.ts, the multiples of the base point that the signer adds up, and
// shared/src/sha2-constants.ts, from RFC 8032 section 5.1 and FIPS 180-4 section 4.2 in integers and nothing else.
//
//   node scripts/ed25519-table.mjs [KB]            writes them; KB is 0.5, 1, 2, 4, 8, 16 or 32
//
// shared/test/ed25519-table.test.ts holds the committed files against this.
//
// A scalar's bits are laid out in `teeth` rows of `blocks` times `span` columns:
//
//   row t, block b, column c  is bit  (t blocks + b) span + c         every bit counts as +1 or -1
//
// All bits of one column and block are one table entry: sum over t of ±2^((t blocks + b) span) B, with + for
// the last row; the other half of the signs is the negative of these. So a block has 2^(teeth - 1) points,
// and a product costs span * blocks additions and span - 1 doublings.
//
// Points are affine, x then y, 32 bytes little endian each: 64 bytes a point, and what an addition
// wants beside (2 d x y) is a multiplication. In front stand d and the square root of -1 with lowest bit 0.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const TABLE_FILE = fileURLToPath(new URL("../shared/src/ed25519-table.ts", import.meta.url));
export const CONSTANTS_FILE = fileURLToPath(new URL("../shared/src/sha2-constants.ts", import.meta.url));

/** Rows, blocks and columns for a table of so many KB: of all that fit, those that measured fewest instructions. */
export const SHAPES = {
  0.5: { teeth: 4, blocks: 1, span: 64 },
  1: { teeth: 5, blocks: 1, span: 51 },
  2: { teeth: 5, blocks: 2, span: 26 },
  4: { teeth: 6, blocks: 2, span: 22 },
  8: { teeth: 6, blocks: 4, span: 11 },
  16: { teeth: 8, blocks: 2, span: 16 },
  32: { teeth: 8, blocks: 4, span: 8 },
};

const P = 2n ** 255n - 19n;
const mod = (n) => ((n % P) + P) % P;

function power(base, exponent) {
  let out = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) if (e & 1n) out = mod(out * b);
  return out;
}

const inverse = (n) => power(n, P - 2n);
const D = mod(-121665n * inverse(121666n));
const ROOT = power(2n, (P - 1n) / 4n);

// Projective, by RFC 8032 section 5.1.4; one inversion at the end.
function add([x1, y1, z1], [x2, y2, z2]) {
  const a = mod(z1 * z2);
  const b = mod(a * a);
  const c = mod(x1 * x2);
  const d = mod(y1 * y2);
  const e = mod(D * c * d);
  const f = mod(b - e);
  const g = mod(b + e);
  return [mod(a * f * ((x1 + y1) * (x2 + y2) - c - d)), mod(a * g * (d + c)), mod(f * g)];
}

function basePoint() {
  const y = mod(4n * inverse(5n));
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x) !== square) x = mod(x * ROOT);
  return [x & 1n ? P - x : x, y, 1n];
}

const negative = ([x, y, z]) => [mod(-x), y, z];

function affine([x, y, z]) {
  const i = inverse(z);
  return [mod(x * i), mod(y * i)];
}

/** The points of the table, in the order in which they are stored. */
export function combPoints({ teeth, blocks, span }) {
  const points = [];
  const powers = [basePoint()];
  while (powers.length < teeth * blocks * span) powers.push(add(powers.at(-1), powers.at(-1)));
  for (let block = 0; block < blocks; block++) {
    const tooth = (t) => powers[(t * blocks + block) * span];
    for (let index = 0; index < 1 << (teeth - 1); index++) {
      let sum = tooth(teeth - 1);
      for (let t = 0; t < teeth - 1; t++) sum = add(sum, (index >> t) & 1 ? tooth(t) : negative(tooth(t)));
      points.push(affine(sum));
    }
  }
  return points;
}

function littleEndian(n) {
  return Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
}

/** d, the root of -1, then the points. */
export function tableBytes(shape) {
  const root = ROOT & 1n ? P - ROOT : ROOT;
  return Uint8Array.from([D, root, ...combPoints(shape).flat()].flatMap(littleEndian));
}

// floor(2^64 n^(1/k)) mod 2^64, by bisection.
function fraction(n, k) {
  let low = 0n;
  let high = 1n << 70n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** k <= n << (64n * k)) low = middle;
    else high = middle;
  }
  return low & (2n ** 64n - 1n);
}

/** The eight words SHA-512 starts with, from square roots of primes, and its 80 round constants, from cube roots; big endian. */
export function sha512Bytes() {
  const primes = [];
  for (let n = 2n; primes.length < 80; n++) if (primes.every((p) => n % p !== 0n)) primes.push(n);
  const words = [...primes.slice(0, 8).map((p) => fraction(p, 2n)), ...primes.map((p) => fraction(p, 3n))];
  return Uint8Array.from(words.flatMap((w) => littleEndian(w).slice(0, 8).reverse()));
}

/** Three bytes as four characters of `(` to `h` without the backslash, so that no quotation needs an escape. */
export function armour(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const word = bytes[i] | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16);
    for (let shift = 0; shift < 24; shift += 6) {
      const code = 40 + ((word >> shift) & 63);
      text += String.fromCharCode(code < 92 ? code : code + 1);
    }
  }
  return text;
}

const literal = (bytes) =>
  armour(bytes)
    .match(/.{1,100}/g)
    .map((line) => `  "${line}"`)
    .join(" +\n");

/** The text of ed25519-table.ts with a table of so many KB. */
export function tableModule(kilobytes = 1) {
  const shape = SHAPES[kilobytes];
  if (shape === undefined)
    throw new Error(`a table has ${Object.keys(SHAPES).join(", ")} KB, not ${kilobytes}`);
  return [
    "// Made by scripts/ed25519-table.mjs, which says what this is; the build can put another size in its place. [device]",
    "",
    `export const TEETH = ${shape.teeth};`,
    `export const BLOCKS = ${shape.blocks};`,
    `export const SPAN = ${shape.span};`,
    "",
    "export const POINTS =",
    `${literal(tableBytes(shape))};`,
    "",
  ].join("\n");
}

/** The text of sha2-constants.ts. */
export function constantsModule() {
  return [
    "// The starting words of SHA-512 and its round constants, 88 of 64 bits. Made by scripts/ed25519-table.mjs. [device]",
    "",
    "export const SHA512 =",
    `${literal(sha512Bytes())};`,
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(TABLE_FILE, tableModule(process.argv[2]));
  writeFileSync(CONSTANTS_FILE, constantsModule());
}
