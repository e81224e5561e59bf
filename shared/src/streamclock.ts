// A device's ticks: they only go on within a boot, and rows stand a period apart.
//
// What is wrong with them leaves unproven when readings were taken, not who took them. Counters of 32 bits turn
// after 49.7 days; a device is to count the turns, and one that doesn't shows ticks that go back by about 2^32.

import type { Group } from "./readings";
import type { StreamCode } from "./streamreasons";
import type { Coincidence } from "./vstream";

const TURN = 0x100000000;
const TURN_SLACK = 0x10000000;
/** Ticks may be off so far, in ms, before anybody is told: samples wait for the engine's other work. */
const SLACK = 1000;
/** Clocks of boards and of recorders differ by at most this part. RC oscillators are good to one in a hundred. */
const DRIFT = 0.02;

type Tell = (code: StreamCode, message: string) => void;

export class StreamClock {
  /** Of the last signed frame. */
  ticks = 0;
  private latestRow = 0;
  /** Where each group's next row belongs; null when the frame before wasn't read. */
  private next: (number | null)[] = [];
  /** Coincidences by recorders who were named, and by anybody else. */
  private before: { named: Before | null; other: Before | null } = { named: null, other: null };

  /** Another boot counts from its own start. */
  boot(ticks: number): void {
    this.ticks = ticks;
    this.latestRow = 0;
    this.next = [];
    this.before = { named: null, other: null };
  }

  /** A frame whose content wasn't read: the next one can't be compared. */
  unread(): void {
    this.next = [];
  }

  signed(ticks: number, tell: Tell): void {
    if (ticks < this.ticks) tellBack(this.ticks, ticks, tell);
    else if (this.latestRow > ticks + SLACK)
      tell("stream-clock-jump", `a row was taken at ${this.latestRow} ms, and signed for at ${ticks} ms`);
    this.ticks = ticks;
    this.latestRow = 0;
  }

  /** `rows` of a group that begin at `ticks`: taken, or lost in a gap that was told. */
  rows(index: number, group: Group, ticks: number, rows: number, tell: Tell): void {
    const expected = this.next[index];
    if (expected !== null && expected !== undefined) {
      const slack = group.period + SLACK;
      if (ticks < expected - slack) tellBack(expected, ticks, tell);
      else if (ticks > expected + slack)
        tell(
          "stream-clock-jump",
          `group ${index} goes on at ${ticks} ms, expected ${expected} ms, and no gap says why`,
        );
    }
    this.next[index] = ticks + rows * group.period;
    this.latestRow = Math.max(this.latestRow, ticks + (rows - 1) * group.period);
  }

  /**
   * Between two coincidences of one boot both clocks went on alike. A recorder takes the best of several answers, so one
   * may be of a moment before the frame that was signed last. Those of a named recorder are held against each other:
   * anybody can write one between them that is as vague as it takes. And since a recorder that got slow answers is vague, too,
   * each is held against the sharpest before it.
   */
  coincidence(now: Coincidence, isNamed: boolean, tell: Tell): void {
    const who = isNamed ? "named" : "other";
    const before = this.before[who];
    if (before === null) {
      this.before[who] = { last: now, sharpest: now };
      return;
    }
    const { last, sharpest } = before;
    before.last = now;
    if (now.ticks < last.ticks) {
      tellBack(last.ticks, now.ticks, tell);
      before.sharpest = now;
      return;
    }
    const other = [last, sharpest].find((one) => Math.abs(differenceOf(one, now)) > slackOf(one, now));
    if (other !== undefined)
      tell(
        "stream-clock-jump",
        `between two coincidences the device counted ${now.ticks - other.ticks} ms, the recorder ${Math.round(wallOf(other, now))} ms`,
      );
    // What was told once isn't told of each that follows.
    if (other !== undefined || now.uncertainty <= sharpest.uncertainty + 1000 * driftOf(sharpest, now))
      before.sharpest = now;
  }
}

interface Before {
  last: Coincidence;
  /** The one that leaves the least doubt. */
  sharpest: Coincidence;
}

const wallOf = (a: Coincidence, b: Coincidence): number => (b.micros - a.micros) / 1000;
const driftOf = (a: Coincidence, b: Coincidence): number => DRIFT * Math.abs(wallOf(a, b));
const differenceOf = (a: Coincidence, b: Coincidence): number => wallOf(a, b) - (b.ticks - a.ticks);
const slackOf = (a: Coincidence, b: Coincidence): number =>
  SLACK + (a.uncertainty + b.uncertainty) / 1000 + driftOf(a, b);

function tellBack(before: number, now: number, tell: Tell): void {
  const back = before - now;
  if (back > TURN - TURN_SLACK && back < TURN + TURN_SLACK)
    tell("stream-tick-wrap", `ticks went from ${before} to ${now}: a counter of 32 bits turned, uncounted`);
  else tell("stream-clock-back", `ticks went back from ${before} to ${now} within one boot`);
}
