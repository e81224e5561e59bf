import { suite } from "uvu";
import * as assert from "uvu/assert";
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
} from "../src/field25519";
import { random } from "./random";

const field = suite("field25519");

const P = 2n ** 255n - 19n;
const mod = (n: bigint) => ((n % P) + P) % P;
const power = (base: bigint, exponent: bigint) => {
  let out = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) if (e & 1n) out = mod(out * b);
  return out;
};
const place = (k: number) => BigInt(Math.ceil(21.25 * k));

/** What twelve limbs add up to; throws when one isn't a multiple of its unit. */
function value(a: Field): bigint {
  let sum = 0n;
  a.forEach((limb, k) => {
    const n = BigInt(limb);
    assert.is(n & ((1n << place(k)) - 1n), 0n, `limb ${k}`);
    sum += n;
  });
  return sum;
}

function littleEndian(n: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
}
const number = (bytes: Uint8Array) => bytes.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);

function fieldOf(n: bigint, sign = 1): Field {
  const out = makeField();
  unpack(out, littleEndian(n), 0, sign);
  return out;
}

// 0, 1, p and their neighbours, single bits, all ones, and any others.
const next = random(25519);
const NUMBERS = [
  ...[0n, 1n, 2n, 18n, 19n, 20n, P - 2n, P - 1n, P, P + 1n, 2n ** 255n - 1n],
  ...Array.from({ length: 255 }, (_, i) => 1n << BigInt(i)),
  ...Array.from({ length: 100 }, () => number(next(32)) & (2n ** 255n - 1n)),
];

field("reads and writes bytes, and their negative, modulo p", () => {
  for (const n of NUMBERS) {
    assert.is(mod(value(fieldOf(n))), mod(n));
    assert.is(number(pack(fieldOf(n))), mod(n));
    assert.is(number(pack(fieldOf(n, -1))), mod(-n));
  }
  assert.is(number(pack(fieldOf(5n + 2n ** 255n))), 5n, "bit 255 is not looked at");
});

field("adds, subtracts and multiplies as integers do", () => {
  const o = makeField();
  NUMBERS.forEach((a, i) => {
    const b = NUMBERS[(i * 7 + 3) % NUMBERS.length]!;
    mul(o, fieldOf(a), fieldOf(b));
    assert.is(mod(value(o)), mod(a * b));
    add(o, fieldOf(a), fieldOf(b));
    assert.is(mod(value(o)), mod(a + b));
    sub(o, fieldOf(a), fieldOf(b));
    assert.is(mod(value(o)), mod(a - b));
    square(o, fieldOf(a), 3);
    assert.is(mod(value(o)), mod(a ** 8n));
  });
});

field("inverts, and raises to (p - 5) / 8", () => {
  const o = makeField();
  for (const n of NUMBERS.slice(0, 30)) {
    invert(o, fieldOf(n));
    assert.is(mod(value(o)), power(n, P - 2n));
    powerForRoot(o, fieldOf(n));
    assert.is(mod(value(o)), power(n, (P - 5n) / 8n));
  }
});

// A limb as large as tight allows, times the looseness.
const LARGEST = Array.from({ length: 12 }, (_, k) => 2 ** Number(place(k + 1) - 1n));

field("products of the loosest factors are exact, with any signs, and come out tight", () => {
  const o = makeField();
  const loose = (looseness: number, sign: (k: number) => number) =>
    Float64Array.from(LARGEST, (limb, k) => sign(k) * (looseness * limb - 2 ** Number(place(k))));
  const signs = [
    () => 1,
    () => -1,
    (k: number) => (k % 2 === 0 ? 1 : -1),
    ...Array.from({ length: 200 }, () => {
      const bits = next(12);
      return (k: number) => (bits[k]! & 1 ? 1 : -1);
    }),
  ];
  for (const [x, y] of [
    [1, 1],
    [3, 3],
    [3, 4],
    [4, 4],
    [2, 8],
  ] as const)
    for (const s of signs)
      for (const t of [signs[0]!, s]) {
        const [a, b] = [loose(x, s), loose(y, t)];
        mul(o, a, b);
        assert.is(mod(value(o)), mod(value(a) * value(b)), `${x} times ${y}`);
        o.forEach((limb, k) => {
          const hair = k === 1 ? 1.02 : 1;
          assert.ok(Math.abs(limb) <= hair * LARGEST[k]!, `limb ${k} of ${x} times ${y}`);
        });
        if (x !== y) continue;
        square(o, a, 1);
        assert.is(mod(value(o)), mod(value(a) ** 2n), `the square of ${x}`);
      }
});

field("a square may be written over what it is of", () => {
  const a = fieldOf(12345n);
  square(a, a, 5);
  assert.is(mod(value(a)), power(12345n, 32n));
  mul(a, a, a);
  assert.is(mod(value(a)), power(12345n, 64n));
});

field("emit tells what is left above the top and below zero", () => {
  const out = new Uint8Array(32);
  assert.is(emit(out, fieldOf(1n, -1), 22, 0), -1);
  assert.is(emit(out, fieldOf(1n), 22, -1), 0);
  assert.is(number(out), 0n);
});

field.run();
