// What a check finds, told one by one as far as anybody reads it; the rest is counted.

import { isRefusal } from "./refusal";
import type { StreamEvents, Tell } from "./streamevents";
import { STREAM_REASONS, type StreamCode, type StreamFinding } from "./streamreasons";

/** Findings of one code that are told one by one. */
const TOLD_MAX = 20;

export class Findings {
  private readonly counts = new Map<StreamCode, number>();

  constructor(private readonly events: Pick<StreamEvents, "finding">) {}

  find(
    code: StreamCode,
    seq: number | null,
    at: number | null,
    message: string,
    other?: StreamFinding["other"],
  ): void {
    const count = (this.counts.get(code) ?? 0) + 1;
    this.counts.set(code, count);
    if (count > TOLD_MAX || (code === "stream-recorder" && count > 1)) return;
    this.events.finding?.({ code, word: STREAM_REASONS[code], message, seq, at, ...(other && { other }) });
  }

  /** For those who find something at one frame. */
  teller(seq: number | null, at: number | null): Tell {
    return (code, message) => this.find(code, seq, at, message);
  }

  /** What `work` gives; null, and a finding, when it refuses. */
  attempt<T>(seq: number | null, at: number, work: () => T): T | null {
    try {
      return work();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const code = error.code in STREAM_REASONS ? (error.code as StreamCode) : "stream-malformed";
      this.find(code, seq, at, error.message);
      return null;
    }
  }

  /** By code, how many weren't told. */
  more(): { [code: string]: number } {
    const more: { [code: string]: number } = {};
    for (const [code, count] of this.counts) if (count > TOLD_MAX) more[code] = count - TOLD_MAX;
    return more;
  }
}
