// Whether enough of the policy's approvers signed a statement that a log holds.

import { sameKey } from "./keyring";
import type { Policy } from "./policy";
import { quote } from "./refusal";
import type { Signer } from "./signers";
import type { About, Watched } from "./watch";

/** Whether the policy's people made it; says so when they didn't. More of them than are asked for is no fault. */
export function isApproved(
  w: Watched,
  product: string,
  signers: readonly Signer[],
  unknown: readonly string[],
  what: string,
  about: About,
): boolean {
  if (unknown.length > 0) {
    const message = `${what} is signed by ${unknown.map((id) => `${id.slice(0, 16)}…`).join(", ")}, whom the policy doesn't know`;
    w.find({ code: "unknown-signer", message, ...about });
  }
  const rule = w.policy.approve.find((r) => r.product === product);
  if (rule === undefined) {
    w.find({ code: "no-approval-rule", message: `${what}: the policy has no approve line for it`, ...about });
    return false;
  }
  const approvers = approversOf(w, signers).filter(
    ({ vkey }) => !w.distrust.some((end) => sameKey(end.vkey, vkey)),
  );
  const missing = missingRole(rule, approvers);
  if (approvers.length < rule.threshold) {
    const message = `${what} has ${approvers.length} of ${rule.threshold} approvals`;
    w.find({ code: "approvals-missing", message, ...about });
  } else if (missing !== undefined) {
    w.find({ code: "role-missing", message: `${what}: nobody of role ${quote(missing)} approved`, ...about });
  }
  return approvers.length >= rule.threshold && missing === undefined;
}

const approversOf = ({ policy }: Watched, signers: readonly Signer[]) =>
  signers.filter((s) => policy.approvers.some((a) => a.vkey === s.vkey));

const missingRole = ({ roles }: Policy["approve"][number], approvers: readonly Signer[]) =>
  roles.find((role) => !approvers.some((a) => a.role === role));

/** Whether they were enough when nobody among them was distrusted yet. */
export function isApprovedAsWritten(w: Watched, product: string, signers: readonly Signer[]): boolean {
  const rule = w.policy.approve.find((r) => r.product === product);
  const approvers = approversOf(w, signers);
  return (
    rule !== undefined && approvers.length >= rule.threshold && missingRole(rule, approvers) === undefined
  );
}
