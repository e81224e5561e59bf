// X25519, RFC 7748 section 5, on the field of ed25519.ts: how a stream's key reaches a reader. [device]
//
// A Montgomery ladder of 255 steps, each the same sequence of operations. What depends on the secret is a
// factor of 0 or 1 in an exchange, and nothing else. Sums and differences are twice as loose as tight, so
// products stay at 4 of 16 (field25519.ts).

import { add, type Field, invert, makeField, mul, pack, square, sub, unpack } from "./field25519";

/** (A - 2) / 4 of the curve y^2 = x^3 + A x^2 + x, A = 486662. */
const A24 = 121665;

function exchange(a: Field, b: Field, isSwap: number): void {
  for (let i = 0; i < 12; i++) {
    const move = isSwap * (a[i]! - b[i]!);
    a[i] = a[i]! - move;
    b[i] = b[i]! + move;
  }
}

/** The u of `secret` times the point whose u is `point`; 32 bytes each. All zero when the point is of small order. */
export function x25519(secret: Uint8Array, point: Uint8Array): Uint8Array {
  const x1 = makeField();
  const x2 = makeField();
  const z2 = makeField();
  const x3 = makeField();
  const z3 = makeField();
  const sum = makeField();
  const difference = makeField();
  const t = makeField();
  const a24 = makeField();
  unpack(x1, point, 0, 1);
  x3.set(x1);
  x2[0] = z3[0] = 1;
  a24[0] = A24;
  let swapped = 0;
  for (let i = 254; i >= 0; i--) {
    // Bit 254 is set, bits 0 to 2 are not, whatever the secret says: RFC 7748's clamping.
    const bit = i === 254 ? 1 : i < 3 ? 0 : (secret[i >> 3]! >> (i & 7)) & 1;
    exchange(x2, x3, swapped ^ bit);
    exchange(z2, z3, swapped ^ bit);
    swapped = bit;
    add(sum, x2, z2);
    sub(difference, x2, z2);
    add(x2, x3, z3);
    sub(z2, x3, z3);
    mul(x2, x2, difference); // CB
    mul(z2, z2, sum); // DA
    add(x3, z2, x2);
    square(x3, x3, 1);
    sub(z3, z2, x2);
    square(z3, z3, 1);
    mul(z3, z3, x1);
    square(sum, sum, 1); // AA
    square(difference, difference, 1); // BB
    mul(x2, sum, difference);
    sub(difference, sum, difference); // E
    mul(t, difference, a24);
    add(sum, sum, t);
    mul(z2, difference, sum);
  }
  exchange(x2, x3, swapped);
  exchange(z2, z3, swapped);
  invert(z2, z2);
  mul(x2, x2, z2);
  return pack(x2);
}

/** The public key of a 32-byte secret. */
export function x25519Public(secret: Uint8Array): Uint8Array {
  const base = new Uint8Array(32);
  base[0] = 9;
  return x25519(secret, base);
}
