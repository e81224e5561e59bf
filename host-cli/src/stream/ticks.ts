// When a device's ticks stood where: from answers that carry its ticks, each of which was given between the moment
// we asked and the moment we heard.
//
//   asked ├──────── ticks ────────┤ heard        micros = the middle, uncertainty = half of it, and a clock's grain
//
// The answer that came fastest is the best one. A clock that was set meanwhile shows against one that never is, and
// the answer isn't used.

import { steadyNow, wallNow } from "../pace";

/** Milliseconds: of our clock, and of the ticks. */
const GRAIN_MS = 2;

export interface Moment {
  ticks: number;
  micros: number;
  uncertainty: number;
}

interface Stamp {
  wallMs: number;
  steadyMs: number;
}

export const stampNow = (): Stamp => ({ wallMs: wallNow(), steadyMs: steadyNow() });

/** What an answer says; null when the clock was set in between. */
function momentOf(answer: { now: number; sent: Stamp; got: Stamp }): Moment | null {
  const { now, sent, got } = answer;
  const wall = got.wallMs - sent.wallMs;
  const steady = got.steadyMs - sent.steadyMs;
  if (Math.abs(wall - steady) > GRAIN_MS) return null;
  return {
    ticks: now,
    micros: Math.round((sent.wallMs + wall / 2) * 1000),
    uncertainty: Math.ceil((Math.max(wall, steady) / 2 + GRAIN_MS) * 1000),
  };
}

/** The best of several answers by one start of the device. */
export class TickWatch {
  private best: Moment | null = null;

  note(answer: { now: number; sent: Stamp; got: Stamp }): void {
    const moment = momentOf(answer);
    if (moment !== null && (this.best === null || moment.uncertainty <= this.best.uncertainty))
      this.best = moment;
  }

  /** The best since the last time. */
  take(): Moment | null {
    const { best } = this;
    this.best = null;
    return best;
  }
}
