// A moment on the command line: RFC 3339, with its zone, so that nobody has to guess one.

import { usage } from "./exit";

const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$/;

/** Unix seconds. Throws `usage`. */
export function parseMoment(text: string, flag: string): number {
  const seconds = RFC3339.test(text) ? Date.parse(text) / 1000 : Number.NaN;
  // Date.parse turns 30 February into 2 March; a date that doesn't come back was none.
  const day = text.slice(0, 10);
  const real = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(seconds) || Number.isNaN(real.getTime()) || real.toISOString().slice(0, 10) !== day) {
    throw usage(`${flag} takes a time with its zone`, `for example ${flag} 2026-01-15T09:00:00Z`);
  }
  return seconds;
}
