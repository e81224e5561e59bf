// What a receiver tells of its recording: the items that stand before the first frame without a signature behind it. The rest
// may be somebody else's, and another tail in a moment (intake.ts); nobody who counts, stores or judges hears of it.

import type { VstreamItem } from "@vouch/shared/vstream";
import type { Recording } from "./recording";
import { BEGINNING, itemReader } from "./tail";

const CHUNK = 256 * 1024;

export class SettledItems {
  private told = BEGINNING;

  constructor(private readonly recording: Recording) {}

  /** From there on other items stand there now. */
  displaced(from: number): void {
    this.told = Math.min(this.told, from);
  }

  /** Tells what is settled and wasn't told. Items are good during the call. */
  tell(take: (item: VstreamItem, at: number) => void): void {
    this.tellTo(this.recording.settled, take);
  }

  /** The rest, at the end: what nobody has signed for. */
  tellRest(take: (item: VstreamItem, at: number) => void): void {
    this.tellTo(this.recording.flushed, take);
  }

  private tellTo(end: number, take: (item: VstreamItem, at: number) => void): void {
    const reader = itemReader();
    const shift = this.told - BEGINNING;
    while (this.told < end) {
      const bytes = this.recording.read(this.told, Math.min(CHUNK, end - this.told));
      this.told += bytes.length;
      reader.push(bytes, (item, at) => take(item, at + shift));
    }
  }
}
