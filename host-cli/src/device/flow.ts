// The body of an upload: chunks in a window, answers as they come, one timer.
//
//   room in the window ─▶ send the next chunk          (window.ts keeps the account)
//   answer             ─▶ account for it, send more, wait anew
//   nothing for long   ─▶ all in flight is lost: one chunk alone, then the window again
//
// The timer runs from the last answer, not from a chunk's own sending: on a slow
// line a full window is on the way for seconds, and answers show that all is well.

import { Refusal } from "@vouch/shared/refusal";
import { makeRoundTrips } from "./rto";
import type { Reply } from "./session";
import type { Transfer } from "./upload";
import { type Chunk, Window } from "./window";

const TIMEOUTS_MAX = 8;
export const SETBACKS_MAX = 16; // with nothing gained between them
const CROWDED_MS = 250; // until a server that had no room, and nothing to do, is asked again

export interface FlowEnd {
  /** False: the device restarted, and must be told the first chunk's fields again. */
  isDone: boolean;
  window: number;
}

/** Sends what follows `base`, with at most `limit` chunks in flight to begin with. */
export function runFlow(transfer: Transfer, base: number, limit: number): Promise<FlowEnd> {
  const flow = new Flow(transfer, base, limit);
  return flow.run();
}

class Flow {
  private readonly window: Window;
  private readonly trips = makeRoundTrips();
  private readonly cancels = new Map<Chunk, () => void>();
  private timeouts = 0;
  private setbacks = 0;
  private isOver = false;
  /** The server had no room, with nothing of ours on the way: the timer sends next. */
  private isHeld = false;
  private stopTimer = () => {};
  private finish: (end: FlowEnd) => void = () => {};
  private fail: (error: unknown) => void = () => {};

  constructor(
    private readonly transfer: Transfer,
    base: number,
    limit: number,
  ) {
    this.window = new Window(base, transfer.windowMost, limit);
  }

  async run(): Promise<FlowEnd> {
    try {
      return await new Promise<FlowEnd>((resolve, reject) => {
        this.finish = resolve;
        this.fail = reject;
        this.go(() => {});
      });
    } finally {
      this.stopTimer();
      for (const cancel of this.cancels.values()) cancel();
    }
  }

  /** Does `work`, then sends what there is room for; what either throws ends the flow. */
  private go(work: () => void) {
    if (this.isOver) return;
    try {
      work();
      if (this.window.base >= this.length) this.end(true);
      if (this.isOver) return;
      while (this.maySend()) this.send();
      this.wait();
    } catch (error) {
      this.isOver = true;
      this.fail(error);
    }
  }

  private end(isDone: boolean): void {
    this.isOver = true;
    this.finish({ isDone, window: this.window.limit });
  }

  private get length(): number {
    return this.transfer.stream.length;
  }

  private maySend(): boolean {
    if (this.isHeld) return false;
    const { inFlight, limit, next } = this.window;
    // After a wait in vain, and with a size on trial, one chunk goes ahead.
    const room = this.timeouts > 0 || this.transfer.chunks.isOnTrial ? 1 : limit;
    return inFlight < room && next < this.length;
  }

  private send(): void {
    const { window, transfer } = this;
    const off = window.next;
    // Settled only later, so `chunk` is there by then.
    const { end, cancel } = transfer.post(off, undefined, {
      settle: (reply) => this.go(() => this.take(chunk, reply)),
      gone: (error) => this.fail(error),
    });
    const chunk = window.send(end, transfer.session.clock.now());
    this.cancels.set(chunk, cancel);
  }

  private take(chunk: Chunk, reply: Reply): void {
    const { window, transfer } = this;
    const limit = window.limit;
    const off = transfer.read(reply, chunk.off);
    if (off === null) this.crowded(chunk);
    else this.account(chunk, off);
    for (const [sent, cancel] of this.cancels) {
      if (window.isOnTheWay(sent)) continue;
      cancel();
      this.cancels.delete(sent);
    }
    if (window.limit !== limit) transfer.emit({ kind: "window", chunks: window.limit });
  }

  private account(chunk: Chunk, off: number): void {
    const { window, transfer } = this;
    const before = window.base;
    const answered = window.answer(chunk, off);
    if (answered === "forgotten") {
      transfer.emit({ kind: "restarted", at: off });
      this.end(false);
      return;
    }
    if (answered === "taken" && !chunk.again) this.trips.sample(transfer.session.clock.now() - chunk.sentAt);
    if (off > before) {
      this.timeouts = 0;
      this.setbacks = 0;
      transfer.chunks.noteTaken();
      transfer.progress(off);
    }
    if (answered === "lost") {
      transfer.emit({ kind: "rewound", at: off });
      this.setBack();
    }
  }

  private crowded(chunk: Chunk): void {
    this.window.crowded(chunk);
    this.isHeld = this.window.inFlight === 0;
    this.setBack();
  }

  /** What was sent wasn't taken. Refuses a device that never takes what it asks for. */
  private setBack(): void {
    if (this.setbacks++ >= SETBACKS_MAX) throw this.transfer.stuck();
  }

  private wait(): void {
    this.stopTimer();
    const { clock, deadline } = this.transfer.session;
    const ms = this.window.inFlight > 0 ? this.trips.waitMs(this.timeouts) : CROWDED_MS;
    const left = Math.max(0, deadline - clock.now());
    this.stopTimer = clock.after(Math.min(ms, left), () => this.go(() => this.waited(ms)));
  }

  private waited(ms: number): void {
    const { window, transfer } = this;
    const { clock, deadline } = transfer.session;
    this.isHeld = false;
    if (clock.now() >= deadline) {
      throw new Refusal("device-timeout", `time is up (--timeout) during upload at ${window.base}`);
    }
    if (window.inFlight === 0) return;
    this.timeouts++;
    transfer.emit({ kind: "waited", at: window.base, ms });
    if (this.timeouts >= TIMEOUTS_MAX) throw transfer.unanswered(window.base, ms, this.timeouts, 0);
    transfer.chunks.noteTimeout(this.timeouts);
    window.timedOut();
  }
}
