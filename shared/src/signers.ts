// Whose signatures a DSSE envelope carries, and whether they are enough.
//
// Minimal on purpose: an envelope carries exactly the signatures its rule asks for, all of
// them good, all by keys the policy names for that role. An unknown signer is not ignored:
// bytes nobody answers for have no place in a bundle.

import type { Crypto } from "./crypto";
import { type Envelope, openEnvelope } from "./dsse";
import type { Policy } from "./policy";
import { quote, Refusal } from "./refusal";
import type { Vkey } from "./vkey";

export interface Signer {
  readonly name: string;
  readonly role: string;
  readonly vkey: Vkey;
}

export type ApprovalRule = Policy["approve"][number];

/** Those of the candidates who signed, in the envelope's order. Throws what openEnvelope throws. */
export function signersOf(envelope: Envelope, candidates: readonly Signer[], crypto: Crypto): Signer[] {
  const keyed = candidates.map((signer) => ({
    name: signer.name,
    publicKey: signer.vkey.publicKey,
    signer,
  }));
  return openEnvelope(envelope, keyed, crypto).map(({ signer }) => signer);
}

/**
 * The policy's rule for `product`, when the signers meet it exactly: t of them, each named
 * role at least once. Throws `no-approval-rule`, `approvals-missing`, `surplus-signature`
 * or `role-missing`.
 */
export function requireApproval(signers: readonly Signer[], product: string, policy: Policy): ApprovalRule {
  const rule = policy.approve.find((r) => r.product === product);
  if (rule === undefined)
    throw new Refusal("no-approval-rule", `the policy has no approve line for ${quote(product)}`);
  const approvers = signers.filter((s) => policy.approvers.some((a) => a.vkey === s.vkey));
  const found = `${approvers.length} of ${rule.threshold} approvals for ${product}`;
  if (approvers.length < rule.threshold) throw new Refusal("approvals-missing", `found ${found}`);
  if (signers.length > rule.threshold) {
    throw new Refusal(
      "surplus-signature",
      `found ${signers.length} signatures, expected exactly ${rule.threshold}`,
    );
  }
  const missing = rule.roles.find((role) => !approvers.some((a) => a.role === role));
  if (missing !== undefined)
    throw new Refusal("role-missing", `nobody of role ${quote(missing)} approved, the policy asks for one`);
  return rule;
}
