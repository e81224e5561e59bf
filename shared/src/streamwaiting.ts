// Frames that no signed one binds yet, and their readings: they wait for the frame that proves them, or for what
// shows that none will.

import type { GapNote, ReadingBlock, StreamEvents } from "./streamevents";

type Waiting = { kind: "block"; block: ReadingBlock } | { kind: "gap"; gap: GapNote };

export class WaitingRoom {
  /** The first frame that waits; null when none does. */
  from: number | null = null;
  private readings: Waiting[] = [];

  constructor(private readonly events: StreamEvents) {}

  /** A frame that isn't signed, whatever is known of its body. */
  enter(seq: number): void {
    this.from ??= seq;
  }

  block(block: ReadingBlock): void {
    this.readings.push({ kind: "block", block });
  }

  gap(gap: GapNote): void {
    this.readings.push({ kind: "gap", gap });
  }

  /** All that waits leaves, as evidence or not. */
  leave(isProved: boolean): void {
    const { readings, events } = this;
    this.from = null;
    if (readings.length === 0) return;
    this.readings = [];
    for (const item of readings) {
      if (item.kind === "block") {
        item.block.isProved = isProved;
        events.block?.(item.block);
      } else {
        item.gap.isProved = isProved;
        events.gap?.(item.gap);
      }
    }
  }
}
