// SHA-256 of byte strings one after another, by whichever Crypto is at hand.
//
// They are put together in memory that is used again: a fleet's leaves and commitments took longer to get memory of their
// own than to be hashed. Nothing of it is left to anybody: a digest is memory of its own.

import { concatBytes } from "./bytes";
import type { Crypto } from "./crypto";

const room = new Uint8Array(4096);

export function sha256Of(parts: readonly Uint8Array[], crypto: Pick<Crypto, "sha256">): Uint8Array {
  let length = 0;
  for (const part of parts) {
    if (length + part.length > room.length) return crypto.sha256(concatBytes([...parts]));
    room.set(part, length);
    length += part.length;
  }
  return crypto.sha256(room.subarray(0, length));
}
