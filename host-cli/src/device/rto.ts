// How long to wait for an answer before it counts as lost: RFC 6298, with the
// bounds measured on boards. Below 400 ms a busy host takes its own lateness for a
// lost chunk; above 5 s nobody believes in the transfer any longer.
//
//   first sample R:  srtt = R, rttvar = R/2        wait = srtt + 4 · rttvar,
//   next:            rttvar = ¾ rttvar + ¼ |srtt - R|     doubled for each wait in a row
//                    srtt   = ⅞ srtt   + ⅛ R              that nothing came of

const MIN_MS = 400;
const MAX_MS = 5000;
const INITIAL_MS = 1000;

export interface RoundTrips {
  /** An answer came to something that was sent once, and this much later. */
  sample(ms: number): void;
  /** How long to wait when `inARow` waits before this one were in vain. */
  waitMs(inARow: number): number;
}

export function makeRoundTrips(): RoundTrips {
  let smoothed: number | undefined;
  let variation = 0;
  return {
    sample(ms) {
      if (smoothed === undefined) {
        smoothed = ms;
        variation = ms / 2;
      } else {
        variation += (Math.abs(smoothed - ms) - variation) / 4;
        smoothed += (ms - smoothed) / 8;
      }
    },
    waitMs(inARow) {
      const once = smoothed === undefined ? INITIAL_MS : smoothed + 4 * variation;
      return Math.min(MAX_MS, Math.max(MIN_MS, once) * 2 ** inARow);
    },
  };
}
