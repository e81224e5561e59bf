// When a ledger had a checkpoint, by the receipt that lies in the log's folder and the ledgers that a policy names.

import { judgeStardust, rebasedJudge } from "@vouch/shared/anchoring";
import { openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { walkMember } from "@vouch/shared/rebased/walkform";
import { ledgerFor, verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { policyOf } from "../log/keys";
import { openLog } from "../log/store";
import { readWalkFile } from "../log/walk";
import { rebasedOnDemand } from "../rebased";
import { stardustOnDemand } from "../stardust";

/** Unix seconds. Refuses `ledger-not-trusted`, and what is wrong with the log's signature or the receipt. */
export function receiptTime(
  logFolder: string,
  note: Uint8Array,
  receipt: { kind: string; proof: Uint8Array },
  policy: Policy,
): number {
  const { size } = parseCheckpoint(parseNote(note).text);
  openCheckpoint(note, policyOf(openLog(logFolder), policy, size).log, nodeCrypto);
  if (receipt.kind === "rebased") {
    const walk = readWalkFile(logFolder);
    const { open } = rebasedOnDemand(null);
    const member = walk === null ? undefined : walkMember(walk);
    return rebasedJudge({ policy, crypto: nodeCrypto, rebased: open, walk: member })(receipt.proof, note)
      .time;
  }
  if (receipt.kind === "stardust")
    return judgeStardust({ policy, crypto: nodeCrypto, stardust: stardustOnDemand }, receipt.proof, note)
      .time;
  const ledgers = policy.ledgers.flatMap((l) => (l.kind === "directory" ? [l.root] : []));
  const ledger = receipt.kind === "directory" ? ledgerFor(receipt.proof, ledgers) : undefined;
  if (ledger === undefined) {
    throw new Refusal(
      "ledger-not-trusted",
      `the newest anchor is on a ${receipt.kind} ledger that the policy does not name`,
    );
  }
  return verifyDirectoryReceipt(receipt.proof, note, ledger, nodeCrypto).time;
}
