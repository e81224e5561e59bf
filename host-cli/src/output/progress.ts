// How far a long work is, how fast it goes and how long it will take, in as many
// columns as there are:
//
//   uploading [########------------]  41%  8.1 kB/s  0:32     80 columns
//   uploading [##---]  41%  8.1 kB/s  0:32                     40
//   uploading  41%  8.1 kB/s                                   30: the bar goes first, then the time
//
// The rate is that of the last seconds, so that a line that slowed down shows; what
// a device had before we began counts as done, not as fast.

import { printable } from "../exit";

const BAR_MAX = 20;
const BAR_MIN = 5;
const WINDOW_MS = 5000;
const KNOWN_MS = 400; // below this a rate is a guess
const APART_MS = 50; // samples nearer than this to one another are one: some callers come thousands of times a second

/** Milliseconds that never go back. */
export type Now = () => number;

export interface Meter {
  /** Takes note of how much is done by now. */
  add(done: number): void;
  /** Units a second over the last seconds; null while that can't be said. */
  rate(): number | null;
}

export function startMeter(now: Now): Meter {
  let samples: { at: number; done: number }[] = [];
  return {
    add(done) {
      const at = now();
      const last = samples.at(-1);
      if (last !== undefined && done < last.done) samples = []; // the device fell back
      const before = samples.at(-2);
      if (before !== undefined && at - before.at < APART_MS) samples.pop();
      samples.push({ at, done });
      while (samples.length > 2 && at - (samples[1]?.at ?? at) > WINDOW_MS) samples.shift();
    },
    rate() {
      const [first, last] = [samples[0], samples.at(-1)];
      if (first === undefined || last === undefined || last.at - first.at < KNOWN_MS) return null;
      return ((last.done - first.done) * 1000) / (last.at - first.at);
    },
  };
}

export function percentOf(done: number, total: number): number {
  return total <= 0 ? 100 : Math.max(0, Math.min(100, Math.floor((done / total) * 100)));
}

export interface Standing {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** Of what is done: it says how long the rest will take. */
  readonly rate: number | null;
  /** The rate to be shown, where that of something else says more. */
  readonly counted?: number | null | undefined;
  /** What the rate shown is of; bytes unless named. */
  readonly unit?: string | undefined;
}

/** One line that fits, without its end. */
export function progressLine(standing: Standing, columns: number): string {
  const { label, done, total } = standing;
  const room = columns - 1; // the last column makes some terminals begin a new line
  const percent = percentOf(done, total);
  const head = fit(label, Math.max(1, room - 5));
  let tail = ` ${String(percent).padStart(3)}%`;
  for (const extra of speedText(standing))
    if (head.length + tail.length + extra.length <= room) tail += extra;
  const cells = Math.min(BAR_MAX, room - head.length - tail.length - 3);
  if (cells < BAR_MIN) return head + tail;
  const full = Math.floor((percent * cells) / 100);
  return `${head} [${"#".repeat(full)}${"-".repeat(cells - full)}]${tail}`;
}

/** How fast, and how long still; empty while that can't be said. */
export function speedText({ done, total, rate, counted = rate, unit }: Standing): [string, string] {
  const left = rate === null || rate <= 0 ? null : Math.max(0, total - done) / rate;
  return [
    counted === null || isUncounted(counted, rate) ? "" : `  ${rateText(counted, unit)}`,
    left === null ? "" : `  ${clockText(left)}`,
  ];
}

/** None counted yet while the work goes on: the count comes in batches, and "0 devices/s" would say that it stands. */
const isUncounted = (counted: number, rate: number | null) => counted === 0 && rate !== null && rate > 0;

/** Text that is safe for a terminal and takes at most so many columns. */
export function fit(text: string, columns: number): string {
  const safe = printable(text);
  return safe.length <= columns ? safe : `${safe.slice(0, Math.max(0, columns - 1))}…`;
}

export function rateText(perSecond: number, unit = "B"): string {
  const gap = unit === "B" ? "" : " "; // kB is a word, "k records" are two
  if (perSecond < 1000) return `${Math.round(perSecond)} ${unit}/s`;
  const thousands = perSecond / 1000;
  return thousands < 1000
    ? `${thousands.toFixed(thousands < 100 ? 1 : 0)} k${gap}${unit}/s`
    : `${(thousands / 1000).toFixed(1)} M${gap}${unit}/s`;
}

/** 0:07, 12:30, 1:02:03; at most 99:59:59. */
export function clockText(seconds: number): string {
  const whole = Math.min(Math.ceil(seconds), 359_999);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${String(minutes).padStart(2, "0")}:${rest}`;
}
