// Checking many signatures by one key: tables of multiples of B and of the key, and what runs over them (ed25519x2.ts).
//
//   [s]B - [h]A, encoded, is R?       s, h in 37 digits of seven bits, one entry of a table added for each
//
// Tables are made in whole numbers (ed25519big.ts), so the vectors' arithmetic is not its own witness.

import { type Affine, BASE, CURVE_D, decompress, FIELD_P, negative, ORDER, windowsOf } from "./ed25519big";
import {
  assemble,
  bits,
  ENTRIES,
  ENTRY,
  FIELD,
  LIMBS,
  STEP,
  STEPS,
  T,
  TABLE,
  TABLES,
  TWO_D,
  WINDOW,
  WINDOWS,
  X,
  Y,
  Z,
} from "./ed25519x2";
import type { Wasm } from "./wasmcode";

const limbsOf = (number: bigint): number[] => {
  let rest = number;
  return LIMBS.map((i) => {
    const limb = Number(rest & (2n ** BigInt(bits(i)) - 1n));
    rest >>= BigInt(bits(i));
    return limb;
  });
};

function writeTable(memory: ArrayBuffer, table: number, points: readonly Affine[]): void {
  const words = new Uint32Array(memory, table, TABLE / 4);
  points.forEach(({ x, y }, i) => {
    const twist = (2n * CURVE_D * x * y) % FIELD_P;
    const entry = [(y + x) % FIELD_P, (FIELD_P + y - x) % FIELD_P, twist, (FIELD_P - twist) % FIELD_P];
    words.set(entry.flatMap(limbsOf), (i * ENTRY) / 4);
  });
}

/** Digits of a number of 32 bytes from -64 to 64, as addresses: y+x, y-x, ±2dxy, into every step from `first` on. */
function writeSteps(number: Uint8Array, table: number, steps: Int32Array, first: number): void {
  let carry = 0;
  for (let i = 0; i < WINDOWS; i++) {
    const bit = i * WINDOW;
    const byte = bit >> 3;
    const pair = (number[byte] ?? 0) | ((number[byte + 1] ?? 0) << 8);
    const digit = ((pair >> (bit & 7)) & (2 ** WINDOW - 1)) + carry;
    carry = digit > 2 ** (WINDOW - 1) ? 1 : 0;
    const isNegative = carry === 1;
    const size = isNegative ? 2 ** WINDOW - digit : digit;
    const entry = table + (i * ENTRIES + size) * ENTRY;
    const to = (i * STEP) / 4 + first;
    steps[to] = isNegative ? entry + 40 : entry;
    steps[to + 1] = isNegative ? entry : entry + 40;
    steps[to + 2] = isNegative ? entry + 120 : entry + 80;
  }
}

// ---- The result

const limbs = new Int32Array(10);
const TOP = LIMBS.map((i) => 2 ** bits(i) - (i === 0 ? 19 : 1)); // p

/** The ten limbs of lane 0, tight, as the 32 bytes of the number below p. */
function canonical(words: Uint32Array, slotWord: number, out: Uint8Array): void {
  for (let i = 0; i < 10; i++) limbs[i] = words[slotWord + 2 * i] as number;
  // Twice around, since what comes down from the top may carry once more.
  for (let round = 0; round < 2; round++) {
    let carry = 0;
    for (let i = 0; i < 10; i++) {
      const limb = (limbs[i] as number) + carry;
      const size = 26 - (i & 1);
      carry = limb >> size;
      limbs[i] = limb & ((1 << size) - 1);
    }
    limbs[0] = (limbs[0] as number) + 19 * carry;
  }
  let isFull = true;
  for (let i = 0; i < 10; i++) if ((limbs[i] as number) < (TOP[i] as number)) isFull = false;
  // Only limb 0 can be above its part of p then.
  if (isFull) for (let i = 0; i < 10; i++) limbs[i] = (limbs[i] as number) - (TOP[i] as number);
  let held = 0;
  let count = 0;
  let to = 0;
  for (let i = 0; i < 10; i++) {
    const limb = limbs[i] as number;
    // Up to seven bits wait, and 26 come: the upper ones in a second step.
    held |= (limb & 0xffff) << count;
    count += 16;
    for (; count >= 8; count -= 8, held >>>= 8) out[to++] = held & 255;
    held |= (limb >> 16) << count;
    count += 10 - (i & 1);
    for (; count >= 8; count -= 8, held >>>= 8) out[to++] = held & 255;
  }
  out[to] = held; // seven bits
}

const WORD = 2n ** 64n - 1n;

/** A number of 64 bytes, divided by the order of B: what is left, in 32. */
function reduce(bytes: Uint8Array, out: Uint8Array): void {
  const from = new DataView(bytes.buffer, bytes.byteOffset, 64);
  let number = 0n;
  for (let word = 56; word >= 0; word -= 8) number = (number << 64n) | from.getBigUint64(word, true);
  let rest = number % ORDER;
  const to = new DataView(out.buffer, out.byteOffset, 32);
  for (let word = 0; word < 32; word += 8, rest >>= 64n) to.setBigUint64(word, rest & WORD, true);
}

// ---- What others see

export interface FixedKey {
  /** Whether [s]B - [h]A is R; `s` below the order of B, `sha512` that of R, A and the message. */
  isGood(r: Uint8Array, s: Uint8Array, sha512: Uint8Array): boolean;
}

let compiled: object | undefined;
let baseTable: readonly Affine[] | undefined;

/** Ready to check many signatures by one key, after some tenths of a second; null where that can't be. */
export function openFixedKey(publicKey: Uint8Array): FixedKey | null {
  const point = decompress(publicKey);
  if (point === null) return null;
  const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  try {
    compiled ??= new wasm.Module(assemble());
  } catch (error) {
    if (error instanceof wasm.CompileError) return null; // no vectors
    throw error;
  }
  const memory = new wasm.Memory({ initial: Math.ceil((TABLES + 2 * TABLE) / 65536) });
  const { exports } = new wasm.Instance(compiled, { env: { memory } });
  const { sum, end } = exports as { sum(from: number, to: number): void; end(): void };
  baseTable ??= windowsOf(BASE, WINDOWS, ENTRIES);
  writeTable(memory.buffer, TABLES, baseTable);
  writeTable(memory.buffer, TABLES + TABLE, windowsOf(negative(point), WINDOWS, ENTRIES));
  const words = new Uint32Array(memory.buffer, 0, STEPS / 4);
  const steps = new Int32Array(memory.buffer, STEPS, (WINDOWS * STEP) / 4);
  const both = (slotAt: number, limbs: readonly number[]) =>
    limbs.forEach((limb, i) => {
      words.fill(limb, slotAt / 4 + 2 * i, slotAt / 4 + 2 * i + 2);
    });
  both(TWO_D, limbsOf((2n * CURVE_D) % FIELD_P));
  const [zero, one] = [limbsOf(0n), limbsOf(1n)];
  both(X, zero);
  both(Y, one);
  both(Z, one);
  both(T, zero);
  const start = words.slice(X / 4, (T + FIELD) / 4);
  const h = new Uint8Array(32);
  const [x, y] = [new Uint8Array(32), new Uint8Array(32)];
  return {
    isGood(r, s, sha512) {
      reduce(sha512, h);
      writeSteps(s, TABLES, steps, 0);
      writeSteps(h, TABLES + TABLE, steps, 3);
      words.set(start, X / 4);
      sum(STEPS, STEPS + WINDOWS * STEP);
      end();
      canonical(words, X / 4, x);
      canonical(words, Y / 4, y);
      y[31] = (y[31] as number) | (((x[0] as number) & 1) << 7);
      let difference = r.length ^ 32;
      for (let i = 0; i < 32; i++) difference |= (y[i] as number) ^ (r[i] as number);
      return difference === 0;
    },
  };
}
