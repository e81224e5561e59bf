// A log whose keys change: its people, two of whom must approve, what they sign, and logs of small records to put it in.

import { join } from "node:path";
import { utf8Encode } from "@vouch/shared/bytes";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import type { KeyRole, KeyStatement } from "@vouch/shared/keychange";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog } from "../src/log/store";
import { NOON, newSigner, smallRecord, type TestSigner } from "./maker-kit";

export const [log, log2, alice, bob, enroller] = [
  newSigner("log.example"),
  newSigner("log.example"),
  newSigner("alice"),
  newSigner("bob"),
  newSigner("enroller"),
];

export const line = (signer: TestSigner) => formatVkey(signer.vkey);

/** The log's policy, with these lines more; `quorum` says which witnesses must cosign. */
export const policyWith = (more = "", quorum = "quorum none\n"): Policy =>
  parsePolicy(
    utf8Encode(
      `log ${line(log)}\n${quorum}approver alice eng ${line(alice)}\napprover bob qa ${line(bob)}\napprove pump 2 qa\n${more}`,
    ),
    nodeCrypto,
  );

export async function signed(statement: KeyStatement, ...signers: TestSigner[]): Promise<Uint8Array> {
  const payload = formatStatement(statement);
  let envelope = { payloadType: IN_TOTO, payload, signatures: [] } as Parameters<typeof addSignature>[0];
  for (const signer of signers)
    envelope = addSignature(envelope, signer.publicKey, await signer.sign(pae(IN_TOTO, payload)), nodeCrypto);
  return formatEnvelope(envelope);
}

export const rotation = (
  role: KeyRole,
  from: number,
  old: TestSigner,
  successor: TestSigner,
): KeyStatement => ({
  kind: "rotation",
  role,
  log: "log.example",
  from,
  old: line(old),
  new: line(successor),
  reason: "as planned",
  created: isoTime(NOON),
});

let made = 0;
/** A log of some small records, in a folder of its own. */
export async function newLogIn(folder: string, size: number): Promise<string> {
  const path = join(folder, `log${made++}`);
  await initLog(path, undefined, log);
  const records = await Promise.all(Array.from({ length: size }, (_, i) => smallRecord(enroller, i)));
  if (size > 0) await addToLog(path, records, log);
  return path;
}

/** Adds one record as the policy's holder does. */
export const addUnder = (policy: Policy, path: string, record: Uint8Array, signer: TestSigner) =>
  addToLog(path, [record], signer, 5, null, policy);
