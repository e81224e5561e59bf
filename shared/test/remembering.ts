// Cryptography that remembers: most signatures of a bent bundle are the original's, and
// each is settled once. Nothing is taken on trust, only not asked twice.

import { concatBytes, toBase64 } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { nodeCrypto } from "../../host-cli/src/crypto";

export function rememberingCrypto(): Crypto {
  const settled = new Map<string, boolean>();
  return {
    sha256: nodeCrypto.sha256,
    verifyEd25519(publicKey, message, signature) {
      const name = toBase64(nodeCrypto.sha256(concatBytes([publicKey, signature, message])));
      const known = settled.get(name) ?? nodeCrypto.verifyEd25519(publicKey, message, signature);
      settled.set(name, known);
      return known;
    },
  };
}
