// Which readings of a verified stream leave it, and with which time: what every form of export is fed.
//
//   block ──▶ proved?  ──▶ time of its boot? ──▶ sure enough? ──▶ asked for? ──▶ not told before? ──▶ piece
//             unproved     timeless              uncertain        outside        repeated
//
// The word below is what is counted where a reading stays behind; `lost` is what the device told in a gap. A piece is a
// row, or for a waveform a run of them. A strict
// form (FHIR, SenML) takes only what passes all of it; a table takes readings without time too, and says so in a column.

import { toHex } from "@vouch/shared/bytes";
import { GROUP_SAMPLED } from "@vouch/shared/readings";
import type { Boot } from "@vouch/shared/streambody";
import type { GapNote, ReadingBlock } from "@vouch/shared/streamcheck";
import type { Placed, Point, Timeline } from "@vouch/shared/streamtime";

/** A coincidence, to be found again. */
export interface Stamp extends Point {
  streamId: Uint8Array;
  epoch: number;
  kid: Uint8Array;
  /** Signed by a recorder that was named. */
  isChecked: boolean;
}

export interface Piece {
  streamId: Uint8Array;
  block: ReadingBlock;
  /** The first row of the block that is meant, and how many. */
  row: number;
  rows: number;
  ticks: number;
  /** Null where a form takes readings without time. */
  placed: Placed | null;
  stamp: Stamp | null;
  flags: readonly string[];
}

export interface Choice {
  /** Readings without time, or with too vague a one, stay behind. */
  isStrict: boolean;
  /** Readings that no signed frame binds are taken too. */
  takesUnproved: boolean;
  /** In microseconds. */
  maxUncertainty: number;
  /** Microseconds since 1970; readings without time are in no range. */
  from: number | null;
  to: number | null;
}

/** Rows, by what became of them. */
export interface Counts {
  exported: number;
  unproved: number;
  timeless: number;
  uncertain: number;
  outside: number;
  repeated: number;
  /** That the device itself lost, before it could frame them. */
  lost: number;
}

/** Microseconds by which a clinical time may be off, unless told otherwise. */
export const MAX_UNCERTAINTY = 1e6;

/** Two boots are the same when both numbers are: seeds are drawn at each start. */
export const bootKey = ({ bootcount, bootseed }: Boot): string => `${bootcount}:${toHex(bootseed)}`;

export class Selector {
  readonly counts: Counts = {
    exported: 0,
    unproved: 0,
    timeless: 0,
    uncertain: 0,
    outside: 0,
    repeated: 0,
    lost: 0,
  };
  /** By group, up to which ticks of the boot its readings were told. */
  private told: number[] = [];
  private boot = "";

  constructor(
    private readonly timeline: Timeline<Stamp>,
    private readonly choice: Choice,
  ) {}

  /** The pieces of a block that leave. They are made one at a time. */
  *pieces(streamId: Uint8Array, block: ReadingBlock): Generator<Piece> {
    const { counts, choice } = this;
    if (!block.isProved && !choice.takesUnproved) {
      counts.unproved += block.rows;
      return;
    }
    const key = bootKey(block.boot);
    if (key !== this.boot) {
      this.boot = key;
      this.told = [];
    }
    const isWave = block.group.kind === GROUP_SAMPLED;
    const skipped = this.skip(block);
    for (let row = skipped; row < block.rows; ) {
      const rows = isWave ? this.runOf(block, key, row) : 1;
      const piece = this.pieceOf(streamId, block, key, row, rows);
      if (piece !== null) {
        counts.exported += rows;
        yield piece;
      }
      row += rows;
    }
  }

  /** Rows that are missing in what leaves; those of a gap that begins outside of what was asked for aren't. */
  gap({ boot, ticks, rows, isProved }: GapNote): void {
    const { choice, timeline } = this;
    if (!isProved && !choice.takesUnproved) return;
    const placed = timeline.place(bootKey(boot), ticks);
    if (placed === null || this.isInside(placed.micros)) this.counts.lost += rows;
  }

  /** Rows at the beginning that lie where others of the group were told: a device whose ticks went back. */
  private skip(block: ReadingBlock): number {
    const { groupIndex, group, ticks, rows } = block;
    const told = this.told[groupIndex] ?? -1;
    const skipped = ticks > told ? 0 : Math.min(rows, Math.floor((told - ticks) / group.period) + 1);
    this.told[groupIndex] = Math.max(told, ticks + (rows - 1) * group.period);
    this.counts.repeated += skipped;
    return skipped;
  }

  private isInside(micros: number): boolean {
    const { from, to } = this.choice;
    return (from === null || micros >= from) && (to === null || micros < to);
  }

  /** Samples from `row` on that are alike inside what was asked for, or outside. */
  private runOf(block: ReadingBlock, key: string, row: number): number {
    if (this.choice.from === null && this.choice.to === null) return block.rows - row;
    const { ticks, group } = block;
    const start = this.timeline.place(key, ticks + row * group.period);
    if (start === null) return block.rows - row;
    const first = this.isInside(start.micros);
    let rows = 1;
    while (row + rows < block.rows && this.isInside(start.micros + rows * group.period * 1000) === first)
      rows++;
    return rows;
  }

  /** Where its first row lies; as unsure as its last one, which is written as so many periods later. */
  private placeOf({ group }: ReadingBlock, key: string, ticks: number, rows: number): Placed | null {
    const first = this.timeline.place(key, ticks);
    if (first === null || rows === 1) return first;
    const length = (rows - 1) * group.period;
    const last = this.timeline.place(key, ticks + length);
    if (last === null) return null;
    const off = Math.ceil(Math.abs(last.micros - first.micros - length * 1000));
    return { ...first, uncertainty: Math.max(first.uncertainty, last.uncertainty + off) };
  }

  private pieceOf(
    streamId: Uint8Array,
    block: ReadingBlock,
    key: string,
    row: number,
    rows: number,
  ): Piece | null {
    const { counts, choice, timeline } = this;
    const ticks = block.ticks + row * block.group.period;
    const placed = this.placeOf(block, key, ticks, rows);
    const flags: string[] = [];
    if (!block.isProved) flags.push("unproved");
    if (placed === null) {
      if (choice.isStrict || choice.from !== null || choice.to !== null) {
        counts.timeless += rows;
        return null;
      }
      flags.push("no-time");
    } else {
      if (placed.uncertainty > choice.maxUncertainty) {
        if (choice.isStrict) {
          counts.uncertain += rows;
          return null;
        }
        flags.push("uncertain-time");
      }
      if (!this.isInside(placed.micros)) {
        counts.outside += rows;
        return null;
      }
    }
    const stamp = placed === null ? null : (timeline.point(key, placed.point) ?? null);
    if (stamp?.isChecked === false) flags.push("unnamed-recorder");
    return { streamId, block, row, rows, ticks, placed, stamp, flags };
  }
}
