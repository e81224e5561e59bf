// Which frames a grant is of: by their numbers, or by when their readings were taken.
//
//   recording ─▶ 1. coincidences: what wall time a boot's ticks are
//             ─▶ 2. frames whose rows all lie in the time asked for, as runs of numbers
//
// Twice through the file, since a boot's first coincidence may come after its first frames; flat memory both times.

import type { Coincidence, GapNote, ReadingBlock } from "@vouch/shared/streamcheck";
import { StreamChecker } from "@vouch/shared/streamcheck";
import type { KnownEpoch } from "@vouch/shared/streamgrant";
import { ratchet, streamHasher } from "@vouch/shared/streamhash";
import { type EpochStart, type Opener, type ReaderKey, unwrapEpochKey } from "@vouch/shared/streamopen";
import type { StreamFinding } from "@vouch/shared/streamreasons";
import { nodeCrypto } from "./crypto";
import { readRecording, withFramesOf } from "./streamfile";

/** Frames from..to; `to` null: to the end of what there is, and of its epoch. */
export interface FrameRange {
  readonly from: number;
  readonly to: number | null;
}

export interface Span {
  /** Microseconds since 1970. */
  readonly since: number;
  readonly until: number;
}

/** What the owner knows of a recording's last stream. */
export interface OwnedStream {
  readonly id: Uint8Array;
  readonly mode: number;
  readonly epochs: readonly KnownEpoch[];
  /** Epochs that the owner isn't a reader of, by their first frames. */
  readonly foreign: readonly number[];
  /** The last frame. */
  readonly last: number;
  readonly findings: readonly StreamFinding[];
  /** Frames that `span` asked for. */
  readonly ranges: readonly FrameRange[];
}

/** Wall time in microseconds of tick 0 of each boot, by its count. */
type Starts = ReadonlyMap<number, number>;

/**
 * When each boot's ticks began, by its first coincidence; and when the last reading was taken, as far as one tells. Where
 * recorders are named, by theirs alone.
 */
export function readTimes(
  path: string,
  recorders: readonly Uint8Array[],
): { starts: Starts; end: number | null } {
  const starts = new Map<number, number>();
  let boot = 0;
  let end: number | null = null;
  const checker = new StreamChecker(
    { crypto: nodeCrypto, recorders },
    {
      announce: () => starts.clear(),
      boot: (note) => {
        boot = note.boot.bootcount;
      },
      coincidence: ({ micros, ticks }: Coincidence, isChecked) => {
        if (recorders.length > 0 && !isChecked) return;
        if (!starts.has(boot)) starts.set(boot, micros - ticks * 1000);
        end = micros;
      },
    },
  );
  readRecording(path, checker);
  return { starts, end };
}

/** Goes through a recording with its owner's key. */
export function readOwned(path: string, owner: ReaderKey, span: Span | null, starts: Starts): OwnedStream {
  const hasher = streamHasher(nodeCrypto);
  const findings: StreamFinding[] = [];
  let epochs: KnownEpoch[] = [];
  let foreign: number[] = [];
  let runs = new Runs();
  let mode = 0;
  const opener: Opener = {
    open({ epoch, seq, keyload }: EpochStart) {
      if (keyload === null) return null;
      foreign.push(seq);
      const key = unwrapEpochKey(keyload, epoch, owner);
      foreign.pop();
      epochs.push({ epoch, seq, key });
      return ratchet(hasher, key, seq);
    },
  };
  const isWithin = (boot: number, ticks: number, length: number) => {
    const start = starts.get(boot);
    if (span === null || start === undefined) return false;
    const from = start + ticks * 1000;
    return from >= span.since && from + length * 1000 < span.until;
  };
  const events = {
    announce: (announce: { mode: number }) => {
      mode = announce.mode;
      epochs = [];
      foreign = [];
      runs = new Runs();
    },
    finding: (finding: StreamFinding) => void findings.push(finding),
    block: ({ seq, boot, ticks, rows, group }: ReadingBlock) =>
      runs.add(seq, isWithin(boot.bootcount, ticks, (rows - 1) * group.period)),
    gap: ({ seq, boot, ticks }: GapNote) => runs.add(seq, isWithin(boot.bootcount, ticks, 0)),
  };
  const { summary } = withFramesOf(path, (again) =>
    readRecording(path, new StreamChecker({ crypto: nodeCrypto, opener, again }, events)),
  );
  const id = summary.id ?? new Uint8Array(16);
  return { id, mode, epochs, foreign, last: summary.last, findings, ranges: runs.ranges };
}

/** Frames in rising order, wanted or not; signed ones between two wanted frames, which have nothing masked, may be in a run. */
class Runs {
  readonly ranges: { from: number; to: number }[] = [];
  private isOpen = false;

  add(seq: number, isWanted: boolean): void {
    const last = this.ranges[this.ranges.length - 1];
    if (isWanted && this.isOpen && last !== undefined) last.to = seq;
    else if (isWanted) this.ranges.push({ from: seq, to: seq });
    this.isOpen = isWanted;
  }
}
