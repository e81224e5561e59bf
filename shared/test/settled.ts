// A Crypto for tests of many mutants: most signatures of one are the original's, so each is settled once.

import { concatBytes, toBase64 } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { nodeCrypto } from "../../host-cli/src/crypto";

const settled = new Map<string, boolean>();

export const settledCrypto: Crypto = {
  sha256: nodeCrypto.sha256,
  verifyEd25519(publicKey, message, signature) {
    const name = toBase64(nodeCrypto.sha256(concatBytes([publicKey, signature, message])));
    const known = settled.get(name) ?? nodeCrypto.verifyEd25519(publicKey, message, signature);
    settled.set(name, known);
    return known;
  },
};
