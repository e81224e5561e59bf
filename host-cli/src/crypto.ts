// The host's Crypto: node:crypto behind the strict checks, some thirty times as
// fast as tweetnacl at verifying.
//
// OpenSSL takes keys of small order and points spelled twice, so the checks of
// strict.ts run first, exactly as in portableCrypto, and the two agree on every
// published vector. Keys go in as JWK, which needs no DER of ours.
//
// Making a KeyObject costs about as much as a tenth of a signature, and a fleet is verified with few keys many times:
// those used of late are kept, from their second use on. A device's own key comes once, and a hundred thousand
// KeyObjects would wait for the garbage collector, which doesn't know how large they are.

import { createPublicKey, hash, type JsonWebKeyInput, type KeyObject, verify } from "node:crypto";
import type { Crypto } from "@vouch/shared/crypto";
import { FAULT_NONE } from "@vouch/shared/fault";
import { checkPublicKey, checkSignature } from "@vouch/shared/strict";

// Two generations: when the young one is full it becomes the old one, and the old one is forgotten. What is used
// meanwhile is young again. Nothing has to be moved at each use. A key that was seen once is there without its object.
const GENERATION = 128;
let young = new Map<string, KeyObject | null>();
let old = new Map<string, KeyObject | null>();

// Callers have run checkPublicKey.
function keyFor(publicKey: Uint8Array): KeyObject | JsonWebKeyInput {
  const bytes = Buffer.from(publicKey); // 32 bytes are quicker copied than viewed: bytes.ts says why
  const name = bytes.toString("latin1");
  const recent = young.get(name);
  if (recent) return recent;
  const known = recent === undefined ? old.get(name) : recent;
  const jwk = { key: { kty: "OKP", crv: "Ed25519", x: bytes.toString("base64url") }, format: "jwk" } as const;
  const key = known === null ? createPublicKey(jwk) : known;
  keep(name, key ?? null);
  return key ?? jwk;
}

function keep(name: string, key: KeyObject | null): void {
  if (young.size >= GENERATION) {
    old = young;
    young = new Map();
  }
  young.set(name, key);
}

export const nodeCrypto: Crypto = {
  sha256(bytes) {
    // A tree hashes thousands of 65 bytes: as a string of bytes a digest takes 0.4 us, as a Buffer 1.0.
    const digest = hash("sha256", bytes, "latin1" as "binary");
    const out = new Uint8Array(32);
    for (let i = 0; i < 32; i++) out[i] = digest.charCodeAt(i);
    return out;
  },
  verifyEd25519(publicKey, message, signature) {
    if (checkPublicKey(publicKey) !== FAULT_NONE || checkSignature(signature) !== FAULT_NONE) return false;
    return verify(null, message, keyFor(publicKey), signature);
  },
};
