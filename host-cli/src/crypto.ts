// The host's Crypto: node:crypto behind the strict checks, some thirty times as
// fast as tweetnacl at verifying.
//
// OpenSSL takes keys of small order and points spelled twice, so the checks of
// strict.ts run first, exactly as in portableCrypto, and the two agree on every
// published vector. Keys go in as JWK, which needs no DER of ours.
//
// Making a KeyObject costs about as much as a tenth of a signature, and a fleet
// is verified with few keys many times: the last ones used are kept.

import { createPublicKey, hash, type KeyObject, verify } from "node:crypto";
import type { Crypto } from "@vouch/shared/crypto";
import { FAULT_NONE } from "@vouch/shared/fault";
import { checkPublicKey, checkSignature } from "@vouch/shared/strict";

const CACHE_MAX = 256;
const cache = new Map<string, KeyObject>();

// Callers have run checkPublicKey. A Map iterates in order of insertion, so the
// first key is the one that has been unused longest.
function keyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength).toString("base64url");
  let key = cache.get(x);
  if (key === undefined) {
    key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    if (cache.size >= CACHE_MAX) cache.delete(cache.keys().next().value ?? x);
  } else cache.delete(x);
  cache.set(x, key);
  return key;
}

export const nodeCrypto: Crypto = {
  sha256(bytes) {
    const digest = hash("sha256", bytes, "buffer");
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength);
  },
  verifyEd25519(publicKey, message, signature) {
    if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
    return verify(null, message, keyObject(publicKey), signature);
  },
};
