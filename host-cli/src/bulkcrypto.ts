// The Crypto of who verifies by the thousand: node:crypto, and for a key that signed many of them ed25519fixed.ts,
// which takes a quarter of the time. In a fleet that is the enroller's: two of each device's three signatures.
//
//   a key's first signatures   node:crypto, whatever comes                    until tables pay, and agree
//   then                       good by the tables: good; else node:crypto decides
//
// So a refusal is always OpenSSL's, and tables are believed only once they agreed with it about signatures by that key,
// good and bent. No answer is kept: each signature is worked out from its own bytes.

import { hash, randomBytes } from "node:crypto";
import type { Crypto } from "@vouch/shared/crypto";
import { FAULT_NONE } from "@vouch/shared/fault";
import { checkPublicKey, checkSignature } from "@vouch/shared/strict";
import { nodeCrypto, verifyOnce } from "./crypto";
import { type FixedKey, openFixedKey } from "./ed25519fixed";

/** Making tables takes as long as some thousand signatures. */
const WORTHWHILE = 1000;
/** Signatures both ways agree on before the tables are believed; half of them good ones, half bent. */
const AGREED = 64;
/** Tables take a megabyte a key; policies name a few enrollers, most of the time one. */
const MAX_KEYS = 4;
/** Keys counted; of more, those seen longest ago are forgotten. */
const MAX_COUNTED = 16;

interface Counted {
  count: number;
  agreed: number;
  tables: FixedKey | null;
}

/** For one thread. What it answers is what nodeCrypto answers. `open` makes the tables. */
export function bulkCrypto(open: (publicKey: Uint8Array) => FixedKey | null = openFixedKey): Crypto {
  const counted = new Map<string, Counted>();
  let opened = 0;

  const countedOf = (publicKey: Uint8Array): Counted => {
    const name = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("latin1");
    const known = counted.get(name);
    if (known !== undefined) {
      if (known.tables !== null) return known;
      counted.delete(name); // the last one now
      counted.set(name, known);
      return known;
    }
    // A device's own key is seen once and goes soon; who has tables stays.
    for (const [oldest, { tables }] of counted) {
      if (counted.size < MAX_COUNTED) break;
      if (tables === null) counted.delete(oldest);
    }
    const fresh: Counted = { count: 0, agreed: 0, tables: null };
    counted.set(name, fresh);
    return fresh;
  };

  return {
    sha256: nodeCrypto.sha256,
    verifyEd25519(publicKey, message, signature) {
      if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
      const key = countedOf(publicKey);
      key.count++;
      if (key.count === WORTHWHILE && opened < MAX_KEYS) {
        key.tables = open(publicKey);
        if (key.tables !== null) opened++;
      }
      if (key.count === 1) return verifyOnce(publicKey, message, signature);
      if (key.tables === null) return nodeCrypto.verifyEd25519(publicKey, message, signature);
      if (key.agreed < AGREED) return compared(key, key.tables, publicKey, message, signature);
      return (
        isGood(key.tables, publicKey, message, signature) ||
        nodeCrypto.verifyEd25519(publicKey, message, signature)
      );
    },
  };
}

/** By the tables alone. Key and signature are proper, as strict.ts says. */
export function isGood(
  tables: FixedKey,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const all = Buffer.allocUnsafe(64 + message.length);
  all.set(signature.subarray(0, 32));
  all.set(publicKey, 32);
  all.set(message, 64);
  const digest = Buffer.from(hash("sha512", all, "latin1" as "binary"), "latin1");
  return tables.isGood(signature.subarray(0, 32), signature.subarray(32), digest);
}

/** Both ways, about the signature and about one bent in a bit. Where they differ, the tables are given up. */
function compared(
  key: Counted,
  tables: FixedKey,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const answer = nodeCrypto.verifyEd25519(publicKey, message, signature);
  const bent = signature.slice();
  const [bit = 0, byte = 0] = randomBytes(2);
  bent[byte % 63] = (bent[byte % 63] as number) ^ (1 << (bit & 7)); // the last byte could put s above the order
  const agree =
    isGood(tables, publicKey, message, signature) === answer &&
    isGood(tables, publicKey, message, bent) === nodeCrypto.verifyEd25519(publicKey, message, bent);
  if (!agree) key.tables = null;
  else if (answer) key.agreed++;
  return answer;
}
