// vouch anchor --every: one anchor for all that was logged since the last, for as long as the maker runs.
//
//   grown? ──▶ anchor ──▶ wait ──▶ grown? …        SIGINT, SIGTERM: what is begun is finished, then status 0
//
// It may be killed at any instant and started again: what was on its way is gone on with (log/drafts.ts). Trouble
// that passes, a node that can't be reached or an empty purse, is told and tried again the next time; anything
// else ends it, for somebody to look.

import { isRefusal, quote } from "@vouch/shared/refusal";
import { describe, usage } from "../exit";
import type { Io } from "../io";

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A flag's value as milliseconds: up to 20 days, as timers hold no more than 24. */
export function durationMs(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,3})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS[unit ?? ""] ?? Number.NaN);
  if (!(ms <= 20 * UNITS.d!))
    throw usage(`found ${quote(text)}, expected a duration such as 30s, 15m, 6h or 1d`);
  return ms;
}

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
export async function keepAnchoring(everyMs: number, io: Io, anchorOnce: () => Promise<void>): Promise<void> {
  const signals = ["SIGTERM", "SIGINT"] as const;
  let stopped = false;
  let wake = () => {};
  const stop = () => {
    stopped = true;
    wake();
  };
  for (const signal of signals) process.on(signal, stop);
  try {
    while (!stopped) {
      try {
        await anchorOnce();
      } catch (error) {
        if (!isRefusal(error) || !PASSING.has(error.code)) throw error;
        io.stderr(`${describe(error, io.debug)}\n`);
      }
      if (stopped) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, everyMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    for (const signal of signals) process.off(signal, stop);
  }
}
