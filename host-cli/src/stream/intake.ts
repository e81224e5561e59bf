// The receiving end of a delivery: pieces of a recording, put where they belong.
//
//   file so far        flushed ─┐      ┌─ received
//   ├──────────────────────────┼──────┤
//         again: compared      │ held │  next            missing: asked for
//   ────┤ piece ├──────────────┴──────┴──┤ piece ├ ─ ─ ─ ─ ─ ┤ piece ├──▶
//
// Whole items alone are written, and frames only where they go on, so a file never holds what isn't a recording of
// the one stream, whoever sends. What came already must be the same bytes: another recording of the same stream is
// refused, not mixed in. Nothing is acknowledged (stand) before it is flushed.

import { equalBytes } from "@vouch/shared/bytes";
import type { Piece, Stand } from "@vouch/shared/delivery";
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

/** Items are good during the call. */
export interface IntakeHooks {
  /** Refuses an item before it is written. */
  check?(item: VstreamItem): void;
  kept?(item: VstreamItem, at: number): void;
}

export type Taken = "new" | "again" | "missing";

export class Intake {
  private reader = newReader();
  /** Bytes that came, of which the last may be half an item. */
  private received: number;

  constructor(
    private readonly recording: Recording,
    private readonly hooks: IntakeHooks = {},
  ) {
    this.received = recording.end;
  }

  /** Refuses `delivery-conflict` and what a recording refuses; afterwards all is as before the piece, less what was whole. */
  take(piece: Piece): Taken {
    if (piece.at > this.received) return "missing";
    const known = Math.min(piece.bytes.length, this.received - piece.at);
    this.checkKnown(piece, known);
    if (known === piece.bytes.length) return "again";
    const fresh = piece.bytes.subarray(known);
    try {
      this.reader.push(fresh, (item) => this.keep(item));
    } catch (error) {
      this.forget();
      throw error;
    }
    this.received += fresh.length;
    return "new";
  }

  private keep(item: VstreamItem): void {
    const bytes = bytesOf(item);
    this.hooks.check?.(item);
    const at = this.recording.end;
    if (item.kind === "frame") this.recording.appendFrame(parseFrame(item.bytes), bytes);
    else this.recording.append(bytes);
    this.hooks.kept?.(item, at);
  }

  /** Where the next piece is expected to begin. */
  get position(): number {
    return this.received;
  }

  /** Drops half an item, as when whoever was sending it is gone. */
  forget(): void {
    this.reader = newReader();
    this.received = this.recording.end;
  }

  private checkKnown({ at, bytes }: Piece, length: number): void {
    const onDisk = Math.max(0, Math.min(length, this.recording.flushed - at));
    if (equalBytes(this.recording.read(at, onDisk), bytes.subarray(0, onDisk))) return;
    throw new Refusal(
      "delivery-conflict",
      `what came for byte ${at} of the recording isn't what is recorded there: it is another recording of this stream`,
    );
  }

  /** Has the disk keep what came, and says how far that is. */
  flush(): Stand {
    this.recording.flush();
    return { next: this.recording.flushed, isMissing: false };
  }
}

/** A reader for what follows a recording's first item. */
function newReader(): VstreamReader {
  const reader = new VstreamReader();
  reader.push(encodeVstreamHead(), () => {});
  return reader;
}

/** An item as it stands in a file: items have one encoding. */
function bytesOf(item: VstreamItem): Uint8Array {
  if (item.kind === "frame") return encodeFrameItem(item.bytes);
  return item.kind === "coincidence" ? item.bytes : encodeEvidenceItem(item);
}
