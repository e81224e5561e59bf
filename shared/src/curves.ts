// BLS12-381 signatures as IOTA's validators make them, by @noble/curves: the only file that imports it.
//
//   minimal signature size: signature in G1, 48 bytes; public key in G2, 96 bytes; compressed
//   BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_          (draft-irtf-cfrg-bls-signature, section 4.2.1)
//
// Signers of one message add up: one pairing check settles all of them. That is sound because
// every key proved that somebody holds its secret when its validator joined the committee; the chain checks
// that, we take it from the committee.

import { bls12_381 } from "@noble/curves/bls12-381";

type G2Point = ReturnType<typeof bls12_381.G2.Point.fromBytes>;

/** Decoding a key and checking its subgroup takes ten times as long as adding it: pass one cache for a whole proof. */
export type BlsKeys = Map<string, G2Point | null>;

export const makeBlsKeys = (): BlsKeys => new Map();

/** The point of a compressed key; null for what isn't one, isn't in the subgroup or is zero. */
function keyPoint(key: Uint8Array, keys: BlsKeys): G2Point | null {
  const name = latin1(key);
  let point = keys.get(name);
  if (point === undefined) {
    point = decode(() => bls12_381.G2.Point.fromBytes(key));
    keys.set(name, point);
  }
  return point;
}

/** Only what noble says of bad bytes becomes null: fromBytes throws nothing else. */
function decode<P extends { is0(): boolean; assertValidity(): void }>(read: () => P): P | null {
  try {
    const point = read();
    point.assertValidity();
    return point.is0() ? null : point;
  } catch {
    return null;
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Whether `signature` is that of all `publicKeys`, each once, over `message`. Never throws. */
export function verifyBls(
  publicKeys: readonly Uint8Array[],
  message: Uint8Array,
  signature: Uint8Array,
  keys: BlsKeys,
): boolean {
  const { shortSignatures, G1 } = bls12_381;
  const point = signature.length === 48 ? decode(() => G1.Point.fromBytes(signature)) : null;
  const signers = publicKeys.map((key) => (key.length === 96 ? keyPoint(key, keys) : null));
  if (point === null || signers.length === 0 || signers.includes(null)) return false;
  const all = shortSignatures.aggregatePublicKeys(signers as G2Point[]);
  if (all.is0()) return false;
  return shortSignatures.verify(point, shortSignatures.hash(message), all);
}
