// A policy as it stands at a moment: keys that a `distrust` line has ended by then are as if no line named them.
//
// A key that leaks in 2035 forges anything from then on, whatever date stands in it. So the moment that counts is
// not the one a question is about, but the one before which the bytes in hand are proved to have been there: now, for
// a bundle as it comes; the time of its renewal, for one that was renewed (renewed.ts).

import { equalBytes } from "./bytes";
import type { Policy } from "./policy";
import type { Vkey } from "./vkey";

/** A key of any kind. */
export type NamedKey = Pick<Vkey, "name" | "publicKey">;

/** `time` is Unix seconds. The log's own key stays: history.ts tells of it. */
export function trustedAt(policy: Policy, time: number): Policy {
  const written = policy.untrusted?.written ?? policy;
  const keys = written.distrust.filter(({ time: from }) => from <= time).map(({ vkey }) => vkey);
  return keys.length === 0 ? written : { ...withoutKeys(written, keys), untrusted: { written, keys } };
}

/** The policy as if no line named these keys, the log's own aside. */
export function withoutKeys(policy: Policy, keys: readonly NamedKey[]): Policy {
  const stands = (vkey: NamedKey) => !keys.some((key) => equalBytes(key.publicKey, vkey.publicKey));
  const isHeld = ({ vkey }: { readonly vkey: NamedKey }) => stands(vkey);
  return {
    ...policy,
    witnesses: policy.witnesses.filter(isHeld),
    vendors: policy.vendors.filter(isHeld),
    approvers: policy.approvers.filter(isHeld),
    status: policy.status.filter(stands),
    enrollers: policy.enrollers.filter(stands),
    ledgers: policy.ledgers.filter((ledger) => ledger.kind !== "directory" || stands(ledger.root)),
    countersigners: policy.countersigners.filter(isHeld),
    renewals: policy.renewals.filter(({ log, renewer }) => stands(log) && stands(renewer)),
  };
}

/** Since when the policy distrusts the key, if that is `time` or before; Unix seconds, null when it stands. */
export function endOf(policy: Policy, { publicKey }: NamedKey, time: number): number | null {
  const line = policy.distrust.find(({ vkey }) => equalBytes(vkey.publicKey, publicKey));
  return line !== undefined && line.time <= time ? line.time : null;
}
