// One version of a recording's end, as a receiver takes it piece by piece: whole items on the disk, half an item in memory.
//
//   places of the sender   ├──────────────┼─────────────────┼──────┤
//   the recording itself   │ proved       │ provisional     │ half │ next
//   another tail, a file   ╳              │ NAME.vstream.rival     │ half │ next
//
// Both count in the sender's places. What comes again is compared with what is there; what isn't the same is refused, and
// which of two versions is right isn't known here (intake.ts).

import { equalBytes } from "@vouch/shared/bytes";
import type { Piece } from "@vouch/shared/delivery";
import { Refusal } from "@vouch/shared/refusal";
import { parseFrame } from "@vouch/shared/streamread";
import {
  encodeEvidenceItem,
  encodeFrameItem,
  encodeVstreamHead,
  type VstreamItem,
  VstreamReader,
} from "@vouch/shared/vstream";
import type { Recording } from "./recording";

export const BEGINNING = encodeVstreamHead().length;

/** A reader for what follows a recording's first item. */
export function itemReader(): VstreamReader {
  const reader = new VstreamReader();
  reader.push(encodeVstreamHead(), () => {});
  return reader;
}

/** An item as it stands in a file: items have one encoding. */
function bytesOf(item: VstreamItem): Uint8Array {
  if (item.kind === "frame") return encodeFrameItem(item.bytes);
  return item.kind === "coincidence" ? item.bytes : encodeEvidenceItem(item);
}

export class Tail {
  private reader = itemReader();
  /** Where the last whole item begins. */
  lastItem: number;

  /** `from` is the sender's place of what the recording holds after its first item. */
  constructor(
    public recording: Recording,
    private from: number,
    /** Looks at an item before it is written, and may refuse it; and afterwards. */
    private readonly hooks: {
      check(item: VstreamItem, tail: Tail): void;
      kept(item: VstreamItem, tail: Tail): void;
    },
  ) {
    this.lastItem = from;
  }

  /** It is what the recording itself holds from now on. */
  become(recording: Recording): void {
    this.recording = recording;
    this.from = BEGINNING;
  }

  private place(inFile: number): number {
    return inFile - BEGINNING + this.from;
  }

  /** After the last whole item; of those that are flushed. */
  get end(): number {
    return this.place(this.recording.end);
  }

  get flushed(): number {
    return this.place(this.recording.flushed);
  }

  /** Where the next piece is expected to begin: the last item may be half there. */
  get received(): number {
    return this.end + this.reader.half.length;
  }

  /** Drops half an item, as when whoever was sending it is gone. */
  forget(): void {
    this.reader = itemReader();
  }

  /** Refuses `delivery-conflict` and what an item is refused for; afterwards all is as before the piece, less what was whole. */
  take(piece: Piece): "new" | "again" | "missing" {
    const { at, bytes } = piece;
    if (at > this.received) return "missing";
    const known = Math.min(bytes.length, Math.max(0, this.end - at));
    if (!equalBytes(this.recording.peek(at - this.from + BEGINNING, known), bytes.subarray(0, known)))
      throw new Refusal(
        "delivery-conflict",
        `what came for byte ${at} of the recording isn't what is recorded there: it is another recording of this stream`,
      );
    // Half an item is nobody's: the one that is told last is tried.
    const { half } = this.reader;
    const begun = Math.max(0, at - this.end);
    const same = half.subarray(begun, begun + bytes.length - known);
    if (!equalBytes(same, bytes.subarray(known, known + same.length))) {
      this.forget();
      return this.take(piece);
    }
    const fresh = bytes.subarray(known + same.length);
    if (fresh.length === 0) return "again";
    try {
      this.reader.push(fresh, (item) => this.keep(item));
    } catch (error) {
      this.forget();
      throw error;
    }
    return "new";
  }

  private keep(item: VstreamItem): void {
    const bytes = bytesOf(item);
    this.hooks.check(item, this);
    this.lastItem = this.end;
    if (item.kind === "frame") this.recording.appendFrame(parseFrame(item.bytes), bytes);
    else this.recording.append(bytes);
    this.hooks.kept(item, this);
  }
}
