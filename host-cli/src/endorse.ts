// What the enrolment station signs: statements by one key, as DSSE envelopes,
// and the salted commitments of which the log holds nothing more than a hash.

import { randomBytes } from "node:crypto";
import { toHex } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG, EVIDENCE_TAG, SALT_LENGTH } from "@vouch/shared/commitment";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import { formatStatement, type Statement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { nodeCrypto } from "./crypto";
import type { Signer } from "./signer";

/** The exact bytes of a statement signed by one key. */
export async function signStatement(statement: Statement, signer: Signer): Promise<Uint8Array> {
  const payload = formatStatement(statement);
  const signature = await signer.sign(pae(IN_TOTO, payload));
  const draft = { payloadType: IN_TOTO, payload, signatures: [] };
  return formatEnvelope(addSignature(draft, signer.publicKey, signature, nodeCrypto));
}

export interface Commitment {
  readonly salt: Uint8Array;
  /** DSSE, for `vouch log add`. */
  readonly statement: Uint8Array;
}

/** A fresh salt, and the signed statement that commits to `bytes` under it. */
export async function commitTo(
  kind: "enrolment" | "evidence",
  bytes: Uint8Array,
  signer: Signer,
  nowSeconds: number,
  salt: Uint8Array = new Uint8Array(randomBytes(SALT_LENGTH)),
): Promise<Commitment> {
  const tag = kind === "enrolment" ? ENROLMENT_TAG : EVIDENCE_TAG;
  const sha256 = toHex(commitment(tag, salt, bytes, nodeCrypto));
  const statement = await signStatement(
    { kind: `${kind}-commitment`, sha256, created: isoTime(nowSeconds) },
    signer,
  );
  return { salt, statement };
}
