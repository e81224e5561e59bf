// The cryptography a verifier is handed.
//
// Everything here that hashes or verifies takes a Crypto as an argument, so
// that `shared` stays pure and the host may use a faster one. Each
// implementation runs the checks of strict.ts first; all published vectors
// run through each, with the same answers.

import { sha256 } from "./sha256";
import { verifyEd25519 } from "./sign";

export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array;
  /** False for anything but a good signature by a proper key; never throws. */
  verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** Runs anywhere JavaScript does: what the device itself uses. */
export const portableCrypto: Crypto = { sha256, verifyEd25519 };
