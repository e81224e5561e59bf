// The statement in an .enrolment file: whose key a device's is.

import { parseEnrolmentFile } from "@vouch/shared/companions";
import { parseEnvelope } from "@vouch/shared/dsse";
import type { Policy } from "@vouch/shared/policy";
import { Refusal } from "@vouch/shared/refusal";
import { signersOf } from "@vouch/shared/signers";
import { type EnrolmentStatement, parseStatement } from "@vouch/shared/statement";
import { nodeCrypto } from "./crypto";

/** The statement in an .enrolment file; with a policy, signed by an enroller it names. */
export function openEnrolment(file: Uint8Array, policy: Policy | null): EnrolmentStatement {
  const envelope = parseEnvelope(parseEnrolmentFile(file).statement);
  if (policy !== null) {
    const enrollers = policy.enrollers.map((vkey) => ({ name: vkey.name, role: "enroller", vkey }));
    signersOf(envelope, enrollers, nodeCrypto);
  }
  const statement = parseStatement(envelope.payload);
  if (statement.kind === "enrolment") return statement;
  throw new Refusal("wrong-statement", `found a statement of kind ${statement.kind}, expected enrolment`);
}
