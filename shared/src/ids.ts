// Vendor and class ids of SUIT manifests, derived from names.
//
//   vendor id = first 16 bytes of SHA-256("vouch/vendor\n" ‖ name of the vendor's verifier key)
//   class id  = first 16 bytes of SHA-256("vouch/class\n" ‖ product ‖ "\n" ‖ model)
//
// The SUIT draft suggests UUIDs of version 5, which are SHA-1; it asks only that
// the sixteen bytes are unique. A device holds its ids and compares, it never
// derives them.

import { copyBytes, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { quote, Refusal } from "./refusal";

function idOf(tag: string, names: string[], crypto: Crypto): Uint8Array {
  for (const name of names) {
    // Without this, two lists of names could join to the same text.
    if (name === "" || name.includes("\n"))
      throw new Refusal("malformed-name", `found ${quote(name)}, expected a name on one line`);
  }
  return copyBytes(crypto.sha256(utf8Encode(`${tag}\n${names.join("\n")}`)), 0, 16);
}

/** Throws `malformed-name` for an empty name or one with a line feed. */
export function vendorIdOf(vkeyName: string, crypto: Crypto): Uint8Array {
  return idOf("vouch/vendor", [vkeyName], crypto);
}

/** Throws `malformed-name` for an empty name or one with a line feed. */
export function classIdOf(product: string, model: string, crypto: Crypto): Uint8Array {
  return idOf("vouch/class", [product, model], crypto);
}
