// Whose cosignatures are enough: a policy's groups, evaluated.

import type { Policy } from "./policy";

/** How many cosignatures meet the quorum at best. Nobody is a member twice, so what members take adds up. */
export function smallestQuorum(quorum: string, groups: Policy["groups"]): number {
  const takes = new Map(quorum === "none" ? [[quorum, 0]] : []);
  for (const { name, k, members } of groups) {
    const each = members.map((member) => takes.get(member) ?? 1).sort((a, b) => a - b);
    takes.set(
      name,
      each.slice(0, k).reduce((sum, count) => sum + count, 0),
    );
  }
  return takes.get(quorum) ?? 1;
}

/** Whether the cosigners, by their names in the policy, meet its quorum. */
export function evalQuorum(policy: Policy, cosigned: ReadonlySet<string>): boolean {
  if (policy.quorum === "none") return true;
  const met = new Set(policy.witnesses.filter((w) => cosigned.has(w.name)).map((w) => w.name));
  for (const { name, k, members } of policy.groups) {
    if (members.filter((member) => met.has(member)).length >= k) met.add(name);
  }
  return met.has(policy.quorum);
}
