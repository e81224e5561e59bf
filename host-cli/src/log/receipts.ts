// What the receipt of an anchored checkpoint proves, as far as a policy says by whom.

import { judgeStardust, rebasedJudge } from "@vouch/shared/anchoring";
import type { Policy } from "@vouch/shared/policy";
import { rebasedLines, stardustRoots } from "@vouch/shared/policylines";
import { walkMember } from "@vouch/shared/rebased/walkform";
import { ledgerFor, verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { nodeCrypto } from "../crypto";
import type { RebasedOnDemand } from "../rebased";
import { stardustOnDemand } from "../stardust";
import type { Anchor } from "./anchors";
import { readWalkFile } from "./walk";

/**
 * When the ledger recorded the note, Unix seconds; null when the policy names no ledger of that kind. Refuses what the
 * receipt is refused for.
 */
export function receiptTime(
  { note }: Anchor,
  { kind, proof }: Anchor["receipts"][number],
  logFolder: string,
  policy: Policy,
  rebased: RebasedOnDemand,
): number | null {
  if (kind === "rebased") {
    const walk = rebasedLines(policy.ledgers).length > 0 ? readWalkFile(logFolder) : null;
    if (walk === null) return null;
    const judge = rebasedJudge({
      policy,
      crypto: nodeCrypto,
      rebased: rebased.open,
      walk: walkMember(walk),
    });
    return judge(proof, note).time;
  }
  if (kind === "stardust") {
    if (stardustRoots(policy.ledgers).length === 0) return null;
    return judgeStardust({ policy, crypto: nodeCrypto, stardust: stardustOnDemand }, proof, note).time;
  }
  if (kind !== "directory") return null;
  const named = policy.ledgers.flatMap((l) => (l.kind === "directory" ? [l.root] : []));
  const ledger = ledgerFor(proof, named);
  return ledger === undefined ? null : verifyDirectoryReceipt(proof, note, ledger, nodeCrypto).time;
}
