// The account of an upload in flight: go-back-N, with the server's own `off` as
// the cumulative acknowledgement. Nothing here sends or waits.
//
//    0          base                    next            length
//    ├── taken ──┼── sent, unanswered ───┼── not yet sent ──┤
//
//   answer to a chunk says off    which means
//     off > base                    all below it is taken: base moves
//     off < the chunk's end         what is at off was lost: send again from there
//     off < base                    the device restarted and forgot
//
// What holds on a line that keeps its order, and what follows:
//   - an answer says that earlier chunks without one never get one: they leave the
//     account, so a lost answer doesn't hold a place in the window;
//   - chunks sent before the last rewind still come back saying "base", once each.
//     They are of an earlier round, and only the first of a round rewinds.
// A line that breaks its order costs time, not correctness: `off` is the device's.
//
// The window shrinks when losses follow each other closely, since then it is the
// server that drops what it has no room for, and grows again after a while without.

export interface Chunk {
  readonly off: number;
  readonly end: number;
  readonly round: number;
  readonly sentAt: number;
  /** Some of it had been sent before: its answer tells no round-trip time. */
  readonly again: boolean;
}

export type Answered = "taken" | "lost" | "known" | "forgotten";

const CLOSE_LOSSES = 6; // noise comes so close once in a thousand losses at 50 ppm; a full buffer every time
const GROW_AFTER = 16;
const GROW_AFTER_MAX = 512;

export class Window {
  base: number;
  next: number;
  /** How many may be in flight. */
  limit: number;
  private round = 0;
  private furthest: number;
  private flight: Chunk[] = [];
  private growAfter = GROW_AFTER;
  private takenSinceLoss = 0;
  private losses = 0;

  constructor(
    base: number,
    private readonly most: number,
    limit: number,
  ) {
    this.base = base;
    this.next = base;
    this.furthest = base;
    this.limit = limit;
  }

  get inFlight(): number {
    return this.flight.length;
  }

  /** Notes that the bytes from `next` to `end` go out now. */
  send(end: number, now: number): Chunk {
    const again = this.next < this.furthest;
    const chunk = { off: this.next, end, round: this.round, sentAt: now, again };
    this.flight.push(chunk);
    this.next = end;
    this.furthest = Math.max(this.furthest, end);
    return chunk;
  }

  /** Notes that the device answered the chunk with this offset. */
  answer(chunk: Chunk, off: number): Answered {
    this.settle(chunk);
    if (off < this.base) return "forgotten";
    const hasMoved = off > this.base;
    if (hasMoved) {
      this.base = off;
      this.next = Math.max(this.next, off);
      this.grow();
    }
    if (chunk.end > off && chunk.round === this.round) {
      this.lose();
      return "lost";
    }
    // With nothing on the way, all that wasn't taken has to go.
    if (this.flight.length === 0) this.next = off;
    return hasMoved ? "taken" : "known";
  }

  /** The server had no room for the chunk. */
  crowded(chunk: Chunk): void {
    this.settle(chunk);
    if (chunk.round !== this.round) return;
    this.shrink();
    this.rewind();
  }

  /** Nothing came for too long: all that is on the way counts as lost. */
  timedOut(): void {
    this.flight = [];
    this.lose();
  }

  /** Whether an answer to it is still of interest. */
  isOnTheWay(chunk: Chunk): boolean {
    return this.flight.includes(chunk);
  }

  private settle(chunk: Chunk): void {
    const at = this.flight.indexOf(chunk);
    if (at >= 0) this.flight.splice(0, at + 1);
  }

  private rewind(): void {
    this.round++;
    this.next = this.base;
  }

  private lose(): void {
    const isClose = this.takenSinceLoss <= this.limit;
    this.losses = isClose ? this.losses + 1 : 1;
    this.takenSinceLoss = 0;
    if (this.losses >= CLOSE_LOSSES) this.shrink();
    this.rewind();
  }

  private shrink(): void {
    this.losses = 0;
    if (this.limit === 1) return;
    this.limit--;
    this.growAfter = Math.min(GROW_AFTER_MAX, 2 * this.growAfter);
  }

  private grow(): void {
    this.takenSinceLoss++;
    if (this.takenSinceLoss % this.growAfter === 0 && this.limit < this.most) this.limit++;
  }
}
