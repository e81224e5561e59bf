// Salted commitments: what a log may hold of something that must stay private.
//
//   commitment = SHA-256( tag ‖ salt (16 random bytes) ‖ the exact bytes )
//
// Low-entropy content (a serial number) can't be guessed from it without the salt, which
// only the owner has. The tag keeps one kind from being passed off as another.

import type { Crypto } from "./crypto";
import { wordOf } from "./scan";
import { sha256Of } from "./sha256of";

export const ENROLMENT_TAG = "vouch/enrolment-commitment/v1\n";
export const EVIDENCE_TAG = "vouch/evidence-commitment/v1\n";
export const SALT_LENGTH = 16;

export function commitment(tag: string, salt: Uint8Array, bytes: Uint8Array, crypto: Crypto): Uint8Array {
  return sha256Of([wordOf(tag), salt, bytes], crypto);
}
