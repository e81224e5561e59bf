// Claim 5: the key belongs to this device. An enroller that the policy trusts tied it to the device in a statement
// that its owner keeps, and the log holds a salted commitment to that, signed by an enroller too:
//
//   log, record i   enrolment-commitment: SHA-256(tag, salt, enrolment)
//   bundle          enrolment, salt, i, and the way from the record to an anchored checkpoint
//
// Which keys are an enroller's depends on the place in the log (keyring.ts). Commitments to evidence are signed by
// enrollers as well, and are opened here for claim 6: attested.ts.

import type { BundledDevice } from "./bundle";
import { toHex } from "./bytes";
import { commitment, ENROLMENT_TAG } from "./commitment";
import { kidOf } from "./cose";
import type { Crypto } from "./crypto";
import { keyidOf, openEnvelope, parseEnvelope } from "./dsse";
import { type Case, checkLogged, firstHolding, type History, horizonOf } from "./history";
import { policyAt, refuseReplaced } from "./keyring";
import type { Release } from "./published";
import { quote, Refusal } from "./refusal";
import { type EnrolmentStatement, parseStatement } from "./statement";
import { isoTime } from "./time";
import type { Vkey } from "./vkey";

/** The member of a bundle that says whose key it is. */
export type Member = Omit<BundledDevice, "evidence" | "challenge">;

/** Whose evidence it is, once claim 5 holds. */
export interface EnrolledKey {
  readonly enrolment: EnrolmentStatement;
  readonly kid: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly enroller: string;
  readonly enrolled: number | null;
}

/** The few keys of a policy, asked about once for each device. */
const keyids = new WeakMap<Vkey, string>();

export function keyidOnce(vkey: Vkey, crypto: Crypto): string {
  const known = keyids.get(vkey);
  if (known !== undefined) return known;
  const keyid = keyidOf(vkey.publicKey, crypto);
  keyids.set(vkey, keyid);
  return keyid;
}

/** Opens a statement signed by exactly one enroller that the policy has at this place of the log. */
export function openEnrollers(c: Case, bytes: Uint8Array, place: bigint) {
  const envelope = parseEnvelope(bytes);
  refuseReplaced(c.keys.ring, envelope, place, c.crypto);
  const candidates = policyAt(c.keys.ring, place).enrollers.map((vkey) => ({
    name: vkey.name,
    publicKey: vkey.publicKey,
    keyid: keyidOnce(vkey, c.crypto),
  }));
  const signers = openEnvelope(envelope, candidates, c.crypto);
  if (signers.length !== 1)
    throw new Refusal("surplus-signature", `${signers.length} enrollers signed, expected one`);
  return { statement: parseStatement(envelope.payload, c.crypto.sha256), enroller: signers[0]! };
}

/** 5. The key belongs to this device. */
export function checkEnrolment(
  c: Case,
  device: Member | null,
  release: Release,
  history: History,
): EnrolledKey {
  if (device === null) {
    throw new Refusal(
      "enrolment-missing",
      "the bundle holds no enrolment for the key that signed the evidence",
      {
        hint: "ask the device's owner for a bundle that does",
      },
    );
  }
  const { statement, enroller } = openEnrollers(c, device.enrolment, device.commitment.index);
  if (statement.kind !== "enrolment")
    throw new Refusal("wrong-statement", `the enrolment is a statement of kind ${statement.kind}`);
  const digest = toHex(commitment(ENROLMENT_TAG, device.salt, device.enrolment, c.crypto));
  const committed = openEnrollers(c, device.commitment.statement, device.commitment.index).statement;
  if (committed.kind !== "enrolment-commitment")
    throw new Refusal("wrong-statement", `the enrolment's record is a statement of kind ${committed.kind}`);
  if (committed.sha256 !== digest) {
    throw new Refusal(
      "commitment-mismatch",
      `salt and enrolment hash to ${digest}, the log's commitment is ${committed.sha256}`,
    );
  }
  checkLogged(c, device.commitment, history.head);
  const { time } = firstHolding(history, device.commitment);
  if (time !== null && time > horizonOf(c)) {
    c.out.failed(
      "enrolment",
      "enrolment-after-t",
      `the enrolment was recorded at ${isoTime(time)}, the question is about ${isoTime(c.at)}`,
    );
  }
  const { product, model } = statement;
  if (product !== release.statement.product || model !== release.statement.hardware.model) {
    throw new Refusal(
      "wrong-product",
      `the device is enrolled as ${quote(product)} ${quote(model)}, the release is for ${quote(release.statement.product)} ${quote(release.statement.hardware.model)}`,
    );
  }
  const kid = kidOf(c.crypto.sha256(statement.publicKey));
  c.out.establishedAs("enrolment", () => ({
    text: `serial ${plainOrQuoted(statement.serial)}, key ${toHex(kid)}, enrolled by ${enroller.name}, record ${device.commitment.index}`,
    explain: [
      `rule: one enroller's signature; SHA-256(tag, salt, statement) is the commitment in the log`,
      `bytes: enrolment of ${device.enrolment.length} bytes, commitment ${digest}; key made on the ${statement.keyOrigin}`,
    ],
  }));
  if (statement.keyOrigin === "station")
    c.out.note("the device key was made at the enrolment station, not on the device");
  return {
    enrolment: statement,
    kid,
    publicKey: statement.publicKey,
    enroller: enroller.name,
    enrolled: time,
  };
}

/** A serial number as it stands, unless it could be read as part of the line around it. */
const plainOrQuoted = (text: string) => (/^[\w.-]{1,40}$/.test(text) ? text : quote(text));
