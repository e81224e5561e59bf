// Which frames a grant is of: by their numbers, or by when their readings were taken.
//
//   recording ─▶ 1. coincidences: what wall time a boot's ticks are
//             ─▶ 2. frames whose rows all lie in the time asked for, as runs of numbers
//
// When a row was taken is what an export would say (streamtime.ts): where a clock was set, nobody knows it, and then its frame
// isn't among them. Twice through the file, since a boot's first coincidence may come after its first frames; flat memory both times.

import type { Boot } from "@vouch/shared/streambody";
import type { Coincidence, GapNote, ReadingBlock } from "@vouch/shared/streamcheck";
import { StreamChecker } from "@vouch/shared/streamcheck";
import type { KnownEpoch } from "@vouch/shared/streamgrant";
import { ratchet, streamHasher } from "@vouch/shared/streamhash";
import { type EpochStart, type Opener, type ReaderKey, unwrapEpochKey } from "@vouch/shared/streamopen";
import type { StreamFinding } from "@vouch/shared/streamreasons";
import { Timeline } from "@vouch/shared/streamtime";
import { nodeCrypto } from "./crypto";
import { bootKey, MAX_UNCERTAINTY } from "./readings";
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
  /** Frames of which nobody can say, within a second, whether it did. */
  readonly unsure: number;
}

/** When each boot's ticks were; and when the last reading was taken, as far as one tells. Where recorders are named, by theirs alone. */
export function readTimes(
  path: string,
  recorders: readonly Uint8Array[],
): { times: Timeline; end: number | null } {
  const times = new Timeline();
  let boot = "";
  let end: number | null = null;
  const checker = new StreamChecker(
    { crypto: nodeCrypto, recorders },
    {
      boot: (note) => {
        boot = bootKey(note.boot);
      },
      coincidence: ({ ticks, micros, uncertainty }: Coincidence, isChecked) => {
        if (recorders.length > 0 && !isChecked) return;
        times.add(boot, { ticks, micros, uncertainty });
        end = micros;
      },
    },
  );
  readRecording(path, checker);
  return { times, end };
}

/** Goes through a recording with its owner's key. */
export function readOwned(path: string, owner: ReaderKey, span: Span | null, times: Timeline): OwnedStream {
  const hasher = streamHasher(nodeCrypto);
  const findings: StreamFinding[] = [];
  let epochs: KnownEpoch[] = [];
  let foreign: number[] = [];
  let runs = new Runs();
  let mode = 0;
  let unsure = 0;
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
  const isWithin = (boot: Boot, ticks: number, length: number) => {
    if (span === null) return false;
    const key = bootKey(boot);
    const first = times.place(key, ticks);
    const last = times.place(key, ticks + length);
    if (first === null || last === null || Math.max(first.uncertainty, last.uncertainty) > MAX_UNCERTAINTY) {
      unsure++;
      return false;
    }
    return first.micros >= span.since && last.micros < span.until;
  };
  const events = {
    announce: (announce: { mode: number }) => {
      mode = announce.mode;
      epochs = [];
      foreign = [];
      runs = new Runs();
      unsure = 0;
    },
    finding: (finding: StreamFinding) => void findings.push(finding),
    block: ({ seq, boot, ticks, rows, group }: ReadingBlock) =>
      runs.add(seq, isWithin(boot, ticks, (rows - 1) * group.period)),
    gap: ({ seq, boot, ticks }: GapNote) => runs.add(seq, isWithin(boot, ticks, 0)),
  };
  const { summary } = withFramesOf(path, (again) =>
    readRecording(path, new StreamChecker({ crypto: nodeCrypto, opener, again }, events)),
  );
  const id = summary.id ?? new Uint8Array(16);
  return { id, mode, epochs, foreign, last: summary.last, findings, ranges: runs.ranges, unsure };
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
