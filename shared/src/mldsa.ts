// ML-DSA-65 of FIPS 204, by @noble/post-quantum: the only file that imports it, and the host's alone [host]. A device
// never signs with it (12 ms of a PC are minutes of a Cortex-M4), and no verdict rests on it alone: countersigned.ts.
//
//   seed 32 bytes ──▶ public key 1952 bytes, signature 3309 bytes
//
// Pure ML-DSA with a context, algorithms 2 and 3 of FIPS 204: what is signed is 0x00 ‖ len(context) ‖ context ‖ message.
// Signing is hedged: 32 random bytes go in, so that a fault or a leak of one run says less of the next. The secret key
// is made anew from its seed each time; only the seed is kept.
//
// 0.4.1 is the last version that asks for no later Node than ours and shares our @noble/hashes. Its types leave the context
// out, which its code takes; published vectors with contexts hold it to that (shared/test/mldsa.test.ts).

import { ml_dsa65 as untyped } from "@noble/post-quantum/ml-dsa";
import { MLDSA_PUBLIC_KEY, MLDSA_SEED, MLDSA_SIGNATURE } from "./mldsakey";

const MAX_CONTEXT = 255;

const ml_dsa65 = untyped as Pick<typeof untyped, "keygen"> & {
  sign(secretKey: Uint8Array, message: Uint8Array, context: Uint8Array, random: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, context: Uint8Array): boolean;
};

/** The public key that belongs to a seed of 32 bytes. */
export function mldsaPublicKey(seed: Uint8Array): Uint8Array {
  const { publicKey, secretKey } = keysOf(seed);
  secretKey.fill(0);
  return publicKey;
}

/** A signature of `message` in `context`. `random` is 32 bytes that nobody can tell beforehand. */
export function signMldsa(
  seed: Uint8Array,
  message: Uint8Array,
  context: Uint8Array,
  random: Uint8Array,
): Uint8Array {
  if (random.length !== 32) throw new Error(`signing takes 32 random bytes, found ${random.length}`);
  if (context.length > MAX_CONTEXT)
    throw new Error(`a context has ${MAX_CONTEXT} bytes at most, found ${context.length}`);
  const { secretKey } = keysOf(seed);
  try {
    return ml_dsa65.sign(secretKey, message, context, random);
  } finally {
    secretKey.fill(0);
  }
}

/** False for anything but a good signature in this context. */
export function verifyMldsa(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array,
): boolean {
  if (publicKey.length !== MLDSA_PUBLIC_KEY || signature.length !== MLDSA_SIGNATURE) return false;
  return context.length <= MAX_CONTEXT && ml_dsa65.verify(publicKey, message, signature, context);
}

function keysOf(seed: Uint8Array) {
  if (seed.length !== MLDSA_SEED) throw new Error(`a seed has ${MLDSA_SEED} bytes, found ${seed.length}`);
  return ml_dsa65.keygen(seed);
}
