// Ed25519 by tweetnacl; the only file that imports it. [device]
//
// tweetnacl throws at odd sizes and takes s + L for s, so the strict checks run
// first and a forgery is answered with false, never with an exception.
// A secret key is the 64 bytes seed ‖ public key: deriving the second half
// costs as much as a signature, which on a microcontroller is many seconds.

import nacl from "tweetnacl";
import { FAULT_NONE } from "./fault";
import { checkPublicKey, checkSignature } from "./strict";

export interface KeyPair {
  publicKey: Uint8Array;
  secretKey: Uint8Array;
}

/** Whether `signature` over `message` is by the holder of `publicKey`. Never throws. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
  return nacl.sign.detached.verify(message, signature, publicKey);
}

/** The 64-byte signature. `secretKey` is the 64-byte form. */
export function signEd25519(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  return nacl.sign.detached(message, secretKey);
}

/** The key pair of a 32-byte seed. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  const pair = nacl.sign.keyPair.fromSeed(seed);
  return { publicKey: pair.publicKey, secretKey: pair.secretKey };
}
