// What Ed25519 keys and signatures must be before any curve arithmetic. [device]
//
// RFC 8032 leaves room that libraries fill differently: tweetnacl takes s + L
// for s, and both tweetnacl and OpenSSL take keys that are no key of anybody.
// A signature must be no stable name for two byte strings, and device and host
// must never disagree, so these checks run before either library:
//
//   key        32 bytes: y little endian in 255 bits, then the sign of x in the top bit
//     - y < p = 2^255 - 19: one encoding per point
//     - y is not that of one of the eight points of small order, whose holder
//       can sign anything without a secret
//   signature  64 bytes: R ‖ s little endian
//     - s < L = 2^252 + 27742317777372353535851937790883648493
//
// The eight points have five values of y: 1, -1, 0 (twice), and ±y8 (twice
// each). Once y < p is known the sign bit doesn't matter: the only points with
// x = 0, for which a set sign bit would be another spelling, have y = 1 and -1.
// R needs no check: both libraries recompute it and compare encodings.

import {
  FAULT_KEY_LENGTH,
  FAULT_KEY_NOT_CANONICAL,
  FAULT_KEY_SMALL_ORDER,
  FAULT_NONE,
  FAULT_SIGNATURE_LENGTH,
  FAULT_SIGNATURE_RANGE,
} from "./fault";

// y8, as bytes: the square roots of ((1 ± sqrt(1 + d)) / d); p - y8 is the other.
const Y8 = [
  0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
  0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

const L = [
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

// Byte i of p - y8. p is ed ff … ff 7f, and y8 ends in 05 and starts below ed, so nothing is ever borrowed.
function negated(i: number): number {
  return (i === 0 ? 0xed : i === 31 ? 0x7f : 0xff) - Y8[i]!;
}

/** 0, or the fault that makes these bytes no public key. */
export function checkPublicKey(key: Uint8Array): number {
  if (key.length !== 32) return FAULT_KEY_LENGTH;
  const top = key[31]! & 0x7f;
  let middle = true; // bytes 1..30 all ff
  let zero = true; // bytes 1..30 all 00
  let y8 = key[0] === Y8[0] && top === Y8[31];
  let minusY8 = key[0] === negated(0) && top === negated(31);
  for (let i = 1; i < 31; i++) {
    const b = key[i]!;
    if (b !== 0xff) middle = false;
    if (b !== 0) zero = false;
    if (b !== Y8[i]) y8 = false;
    if (b !== negated(i)) minusY8 = false;
  }
  if (top === 0x7f && middle) {
    if (key[0]! >= 0xed) return FAULT_KEY_NOT_CANONICAL;
    if (key[0] === 0xec) return FAULT_KEY_SMALL_ORDER; // y = -1
  }
  if (top === 0 && zero && key[0]! <= 1) return FAULT_KEY_SMALL_ORDER; // y = 0, 1
  return y8 || minusY8 ? FAULT_KEY_SMALL_ORDER : FAULT_NONE;
}

/** 0, or the fault that makes these bytes no signature. */
export function checkSignature(signature: Uint8Array): number {
  if (signature.length !== 64) return FAULT_SIGNATURE_LENGTH;
  for (let i = 31; i >= 0; i--) {
    const b = signature[32 + i]!;
    if (b < L[i]!) return FAULT_NONE;
    if (b > L[i]!) return FAULT_SIGNATURE_RANGE;
  }
  return FAULT_SIGNATURE_RANGE; // s = L
}
