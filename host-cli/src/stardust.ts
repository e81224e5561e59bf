// What judges receipts of Tangles, loaded when the first one is met: the build keeps it in a file of its own
// (scripts/build.mjs), so that a verdict without such receipts waits for nothing of it.

import type { StardustJudge } from "@vouch/shared/anchoring";

type Proof = typeof import("@vouch/shared/stardust/proof");

export const stardustOnDemand: StardustJudge = (receipt, note, crypto, roots) =>
  (require("@vouch/shared/stardust/proof") as Proof).verifyStardustReceipt(receipt, note, crypto, roots);
