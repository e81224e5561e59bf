// From a device's ticks to wall time, through coincidences: a recorder's word that at a moment, give or take, the ticks
// of a boot stood so. spec/fhir-export.md has the rule and its reasons.
//
//   ticks   ────●───────r───────────●─────────────q────▶
//   wall        │       between: on the line      after the last (before the first): 1 ms is 1 ms,
//               │       through both, as sure     and 500 µs less sure for each second away
//               │       as the less sure of them
//
// Two that follow each other and disagree by more than they claim to, and than a bad crystal drifts, mean that a clock was
// set between them. Nobody can say which was right, so the difference is added to the uncertainty of the whole boot. A vague one
// agrees with both, so each is held against the sharpest before it, too.
// Boots have nothing in common: without a coincidence of its own a boot has no time.

/** A device's crystal is believed to be this good, in millionths. */
export const DRIFT_PPM = 500;
/** Coincidences kept of a boot; past it every other one goes. At one each ten seconds it is a week. */
const POINTS_MAX = 65536;

/** Where a reading lies in time. */
export interface Placed {
  /** Microseconds since 1970, and how far off they may be. */
  micros: number;
  uncertainty: number;
  /** The nearest coincidence: its place among those of its boot. */
  point: number;
}

export interface Point {
  ticks: number;
  micros: number;
  uncertainty: number;
}

interface BootTime<P extends Point> {
  points: P[];
  /** Every so many-th is kept. */
  stride: number;
  count: number;
  last: P;
  /** The one before that leaves the least doubt now, and what of the disagreement was found since. */
  sharpest: P;
  counted: number;
  /** How much following ones disagree, and how often. */
  disagreement: number;
  jumps: number;
  isSorted: boolean;
}

/** Coincidences of a stream by boot; `P` is what the caller wants to find again. */
export class Timeline<P extends Point = Point> {
  private readonly boots = new Map<string, BootTime<P>>();

  /** In the order they were recorded. */
  add(boot: string, point: P): void {
    const known = this.boots.get(boot);
    if (known === undefined) {
      this.boots.set(boot, {
        points: [point],
        stride: 1,
        count: 1,
        last: point,
        sharpest: point,
        counted: 0,
        disagreement: 0,
        jumps: 0,
        isSorted: true,
      });
      return;
    }
    const step = excessOf(known.last, point);
    const excess = Math.max(step, excessOf(known.sharpest, point) - known.counted);
    if (excess > 0) {
      if (step > 0 || known.counted === 0) known.jumps++;
      known.disagreement += excess;
      known.counted += excess;
    }
    if (point.uncertainty <= known.sharpest.uncertainty + driftOf(known.sharpest, point)) {
      known.sharpest = point;
      known.counted = 0;
    }
    if (point.ticks < known.last.ticks) known.isSorted = false;
    known.last = point;
    if (known.count++ % known.stride === 0) known.points.push(point);
    if (known.points.length > POINTS_MAX) {
      known.points = known.points.filter((_, i) => i % 2 === 0);
      known.stride *= 2;
    }
  }

  /** What `other` knows, and of boots that it knows nothing of what this does. */
  under(other: Timeline<P>): Timeline<P> {
    const both = new Timeline<P>();
    for (const { boots } of [this, other]) for (const [boot, time] of boots) both.boots.set(boot, time);
    return both;
  }

  /** Whether anything is known of the boot's time. */
  has(boot: string): boolean {
    return this.boots.has(boot);
  }

  /** The coincidence that `place` named. */
  point(boot: string, at: number): P | undefined {
    return this.boots.get(boot)?.points[at];
  }

  /** Times a clock was set, as far as it shows. */
  jumps(): number {
    let sum = 0;
    for (const { jumps } of this.boots.values()) sum += jumps;
    return sum;
  }

  /** When the ticks of that boot stood so; null when nobody can say. */
  place(boot: string, ticks: number): Placed | null {
    const known = this.boots.get(boot);
    if (known === undefined) return null;
    if (!known.isSorted) {
      known.points.sort((a, b) => a.ticks - b.ticks);
      known.isSorted = true;
    }
    const { points, disagreement } = known;
    const after = firstAfter(points, ticks);
    const low = points[after - 1];
    const high = points[after];
    if (low === undefined || high === undefined) {
      const point = low === undefined ? after : after - 1;
      const from = (low ?? high)!;
      const away = ticks - from.ticks;
      const drift = Math.ceil(Math.abs(away) * 1000 * (DRIFT_PPM / 1e6));
      return placed(from.micros + away * 1000, from.uncertainty + drift + disagreement, point);
    }
    const share = (ticks - low.ticks) / (high.ticks - low.ticks);
    return placed(
      Math.round(low.micros + share * (high.micros - low.micros)),
      Math.max(low.uncertainty, high.uncertainty) + disagreement,
      share <= 0.5 ? after - 1 : after,
    );
  }
}

/** Past the year 9999, or before 1970, a date is none that others read. */
const LAST_MICROS = Math.min(Number.MAX_SAFE_INTEGER, 253402300799e6);

function placed(micros: number, uncertainty: number, point: number): Placed | null {
  if (micros < 0 || micros > LAST_MICROS || uncertainty > Number.MAX_SAFE_INTEGER) return null;
  return { micros, uncertainty, point };
}

/** By how many microseconds two coincidences disagree beyond what either, and the crystal, may be off. */
function excessOf(a: Point, b: Point): number {
  const passed = (b.ticks - a.ticks) * 1000;
  const allowed = a.uncertainty + b.uncertainty + driftOf(a, b);
  return Math.ceil(Math.max(0, Math.abs(b.micros - a.micros - passed) - allowed));
}

/** What a crystal may have gone wrong from one to the other. */
const driftOf = (a: Point, b: Point): number => Math.abs(b.ticks - a.ticks) * 1000 * (DRIFT_PPM / 1e6);

/** Place of the first point past `ticks`. */
function firstAfter(points: readonly Point[], ticks: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]!.ticks <= ticks) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** 2026-11-22T15:04:05.120+00:00, with the zone spelled as FHIR's examples do. Cut to the millisecond: what was taken before a moment isn't written as taken at it. */
export function isoMillis(micros: number): string {
  return `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1)}+00:00`;
}
