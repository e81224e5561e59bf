// Work that is done again and again until somebody ends it: SIGINT or SIGTERM, and what is begun is finished.

import { quote } from "@vouch/shared/refusal";
import { usage } from "./exit";

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A flag's value, 30s, 15m, 6h or 1d, as milliseconds: up to `most`, 20 days unless said, as timers hold no more than 24. */
export function durationMs(text: string, most = 20 * UNITS.d!): number {
  const [, count, unit] = /^([1-9][0-9]{0,3})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS[unit ?? ""] ?? Number.NaN);
  if (!(ms <= most)) throw usage(`found ${quote(text)}, expected a duration such as 30s, 15m, 6h or 1d`);
  return ms;
}

/** The same as seconds, however long: of what is only compared with a clock. */
export const durationS = (text: string): number => durationMs(text, Number.POSITIVE_INFINITY) / 1000;

/** Runs `work` now and then every so often, until a signal; what is long may ask whether it came. */
export async function repeatEvery(
  everyMs: number,
  work: (stopped: () => boolean) => Promise<void>,
): Promise<void> {
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
      await work(() => stopped);
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
