// The cryptography a verifier is handed.
//
// Everything here that hashes or verifies takes a Crypto as an argument, so
// that `shared` stays pure and the host may use a faster one. Each
// implementation runs the checks of strict.ts first; all published vectors
// run through each, with the same answers.

import { concatBytes } from "./bytes";
import { sha256 } from "./sha256";
import { verifyEd25519 } from "./sign";

export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array;
  /** False for anything but a good signature by a proper key; never throws. */
  verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** Runs anywhere JavaScript does: what the device itself uses. */
export const portableCrypto: Crypto = { sha256, verifyEd25519 };

/** What is put together to be hashed, and then nobody's: a fleet's proofs take longer to get memory than to be hashed. */
const room = new Uint8Array(4096);

/** SHA-256 of byte strings one after another. */
export function sha256Of(parts: readonly Uint8Array[], crypto: Pick<Crypto, "sha256">): Uint8Array {
  let length = 0;
  for (const part of parts) {
    if (length + part.length > room.length) return crypto.sha256(concatBytes([...parts]));
    room.set(part, length);
    length += part.length;
  }
  return crypto.sha256(room.subarray(0, length));
}
