// vouch anchor --every: one anchor for all that was logged since the last, for as long as the maker runs.
//
//   grown? ──▶ anchor ──▶ wait ──▶ grown? …        SIGINT, SIGTERM: what is begun is finished, then status 0
//
// It may be killed at any instant and started again: what was on its way is gone on with (log/drafts.ts). Trouble
// that passes, a node that can't be reached or an empty purse, is told and tried again the next time; anything
// else ends it, for somebody to look.

import { isRefusal } from "@vouch/shared/refusal";
import { repeatEvery } from "../every";
import { describe } from "../exit";
import type { Io } from "../io";

const PASSING: ReadonlySet<string> = new Set([
  "anchor-pending",
  "gas-price",
  "ledger-moved",
  "locked",
  "no-gas-coin",
  "node-answer",
  "node-not-found",
  "node-pruned",
  "node-refused",
  "node-stale",
  "node-unreachable",
  "pow-unfinished",
]);

/** Runs `anchorOnce` now and then every so often, until a signal. */
export const keepAnchoring = (everyMs: number, io: Io, anchorOnce: () => Promise<void>): Promise<void> =>
  repeatEvery(everyMs, async () => {
    try {
      await anchorOnce();
    } catch (error) {
      if (!isRefusal(error) || !PASSING.has(error.code)) throw error;
      io.stderr(`${describe(error, io.debug)}\n`);
    }
  });
