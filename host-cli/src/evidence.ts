// Evidence at the bench: an answer is accepted when, in this order,
//   1. it is evidence of our profile;
//   2. it answers the nonce that is outstanding, which nothing answered before;
//   3. it names the key expected;
//   4. that key signed it.
// This is not the verdict. `vouch verify` appraises evidence again, with the
// policy, the log and the ledger; here it is settled whose answer it is.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type Claims, decodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { FAULT_NONE } from "@vouch/shared/fault";
import { faultRefusal, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "./crypto";
import { kidOfKey } from "./upload";

export interface Outstanding {
  readonly nonce: Uint8Array;
  /** The claims of an answer. Refuses `nonce-mismatch`, `evidence-other-key`, `evidence-bad-signature` and CBOR's faults. */
  accept(evidence: Uint8Array, publicKey: Uint8Array): Claims;
}

/** A nonce that waits for its one answer. */
export function outstanding(nonce: Uint8Array): Outstanding {
  let answered = false;
  return {
    nonce,
    accept(evidence, publicKey) {
      const { fault, sign1, claims } = decodeEvidence(evidence);
      if (fault !== FAULT_NONE || claims === null) throw faultRefusal(fault, "the device's evidence");
      if (answered || !equalBytes(claims.nonce, nonce)) {
        const expected = answered ? "none: it has its answer" : toHex(nonce);
        throw new Refusal(
          "nonce-mismatch",
          `the evidence answers nonce ${toHex(claims.nonce)}, outstanding is ${expected}`,
        );
      }
      const kid = kidOfKey(publicKey);
      if (sign1.kid === null || !equalBytes(sign1.kid, kid)) {
        const found = sign1.kid === null ? "no key" : `key ${toHex(sign1.kid)}`;
        throw new Refusal("evidence-other-key", `the evidence names ${found}, expected ${toHex(kid)}`);
      }
      if (!nodeCrypto.verifyEd25519(publicKey, evidenceMessage(sign1), sign1.signature)) {
        throw new Refusal("evidence-bad-signature", `the evidence's signature is not by key ${toHex(kid)}`);
      }
      answered = true;
      return claims;
    },
  };
}
