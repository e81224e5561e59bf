import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import {
  FAULT_KEY_LENGTH,
  FAULT_KEY_NOT_CANONICAL,
  FAULT_KEY_SMALL_ORDER,
  FAULT_NONE,
  FAULT_SIGNATURE_LENGTH,
  FAULT_SIGNATURE_RANGE,
} from "../src/fault";
import { keyPairFromSeed } from "../src/sign";
import { checkPublicKey, checkSignature } from "../src/strict";
import { counting, hex } from "./vectors";

const strict = suite("strict");

// The curve -x² + y² = 1 + d x² y² over p, in integers: the constants of
// strict.ts are derived here from nothing but RFC 8032 section 5.1.
const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (n: bigint) => ((n % P) + P) % P;
function power(base: bigint, exponent: bigint): bigint {
  let out = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) if (e & 1n) out = mod(out * b);
  return out;
}
const inverse = (n: bigint) => power(n, P - 2n);
const D = mod(-121665n * inverse(121666n));

type Point = readonly [x: bigint, y: bigint];
function add([x1, y1]: Point, [x2, y2]: Point): Point {
  const k = mod(D * mod(x1 * x2) * mod(y1 * y2));
  return [mod((x1 * y2 + x2 * y1) * inverse(1n + k)), mod((y1 * y2 + x1 * x2) * inverse(1n - k))];
}
function times(n: bigint, point: Point): Point {
  let out: Point = [0n, 1n];
  for (let b = point, e = n; e > 0n; e >>= 1n, b = add(b, b)) if (e & 1n) out = add(out, b);
  return out;
}
/** A point with this y, or null. */
function withY(y: bigint): Point | null {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x) !== square) x = mod(x * power(2n, (P - 1n) / 4n));
  return mod(x * x) === square ? [x, y] : null;
}

/** The eight points of small order: multiples of L times some point that has a component of order 8. */
function torsion(): Point[] {
  for (let y = 2n; ; y++) {
    const point = withY(y);
    if (point === null) continue;
    const t = times(L, point);
    const all = Array.from({ length: 8 }, (_, i) => times(BigInt(i), t));
    if (new Set(all.map(String)).size === 8) return all;
  }
}

function littleEndian(n: bigint): Uint8Array {
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++) out[i] = Number((n >> BigInt(8 * i)) & 255n);
  return out;
}
const encoding = (y: bigint, sign: bigint) => littleEndian(y | (sign << 255n));

strict("refuses every encoding of the eight points of small order, canonical or not", () => {
  const points = torsion();
  assert.is(new Set(points.map(([, y]) => y)).size, 5);
  const seen = new Set<string>();
  for (const [x, y] of points) {
    assert.equal(times(8n, [x, y]), [0n, 1n]);
    const spellings = y < 19n ? [y, y + P] : [y];
    for (const spelt of spellings)
      for (const sign of [0n, 1n]) {
        const key = encoding(spelt, sign);
        seen.add(toHex(key));
        assert.is(
          checkPublicKey(key),
          spelt < P ? FAULT_KEY_SMALL_ORDER : FAULT_KEY_NOT_CANONICAL,
          toHex(key),
        );
      }
  }
  assert.is(seen.size, 14); // 8 canonical, 2 with the sign of x = 0 set, 4 with y + p
});

strict("refuses every y from p to 2^255 - 1, with either sign", () => {
  for (let y = P; y < 2n ** 255n; y++)
    for (const sign of [0n, 1n])
      assert.is(checkPublicKey(encoding(y, sign)), FAULT_KEY_NOT_CANONICAL, String(y));
});

strict("takes every y beside those, and each that differs from one in a single bit", () => {
  const small = new Set(torsion().map(([, y]) => y));
  for (const y of small) {
    for (const near of [y - 1n, y + 1n]) {
      const ok = near >= 0n && near < P && !small.has(near);
      if (ok) assert.is(checkPublicKey(encoding(near, 0n)), FAULT_NONE, String(near));
    }
    for (let bit = 0n; bit < 255n; bit++) {
      const near = y ^ (1n << bit);
      const expected =
        near >= P ? FAULT_KEY_NOT_CANONICAL : small.has(near) ? FAULT_KEY_SMALL_ORDER : FAULT_NONE;
      assert.is(checkPublicKey(encoding(near, bit % 2n)), expected, String(near));
    }
  }
});

strict("takes the keys of 64 seeds", () => {
  for (let i = 0; i < 64; i++)
    assert.is(checkPublicKey(keyPairFromSeed(counting(32, i)).publicKey), FAULT_NONE);
});

strict("a key has 32 bytes and a signature 64", () => {
  for (const length of [0, 31, 33, 64]) assert.is(checkPublicKey(counting(length)), FAULT_KEY_LENGTH);
  for (const length of [0, 32, 63, 65, 96])
    assert.is(checkSignature(counting(length)), FAULT_SIGNATURE_LENGTH);
});

strict("takes s up to L - 1 and refuses it from L on", () => {
  const signature = (s: bigint) => {
    const out = new Uint8Array(64);
    out.set(littleEndian(s), 32);
    return out;
  };
  for (const s of [0n, 1n, L - 2n, L - 1n, 2n ** 252n])
    assert.is(checkSignature(signature(s)), FAULT_NONE, `${s}`);
  for (const s of [L, L + 1n, 2n * L - 1n, 2n ** 253n, 2n ** 256n - 1n])
    assert.is(checkSignature(signature(s)), FAULT_SIGNATURE_RANGE, `${s}`);
  // L with one bit changed lies on the side that bit says.
  for (let bit = 0n; bit < 256n; bit++) {
    const s = L ^ (1n << bit);
    assert.is(checkSignature(signature(s)), s < L ? FAULT_NONE : FAULT_SIGNATURE_RANGE, `bit ${bit}`);
  }
});

strict("the bytes of R are no concern of these checks", () => {
  const signature = new Uint8Array(64).fill(0xff, 0, 32);
  assert.is(checkSignature(signature), FAULT_NONE);
  assert.is(
    checkPublicKey(hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")),
    FAULT_NONE,
  );
});

strict.run();
