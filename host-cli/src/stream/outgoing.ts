// The sending end of a delivery. The recording is the queue: what is flushed there is sent on, as far as the other
// side takes it, and nothing of it is kept in memory but the pieces on the way.
//
//   the file   ├───────────┬──────────┬───────┬──────────┤ flushed
//          confirmed ◀─────┘   taken ◀┘ next ◀┘            the next piece begins at `next`
//
//   taken       over TCP the receiver flushed it; over MQTT the broker has it (QoS 1)
//   confirmed   the receiver flushed it, by its own word
//
// A recorder keeps on recording whatever becomes of a delivery; what wasn't taken is sent when the way is open again,
// in this run or the next.

import type { Piece, Stand } from "@vouch/shared/delivery";
import { PIECE_BYTES_MAX } from "@vouch/shared/delivery";
import type { Refusal as RefusalType } from "@vouch/shared/refusal";
import { Refusal } from "@vouch/shared/refusal";

/** Bytes on the way that nobody has taken yet. */
export const WINDOW_BYTES = 8 * PIECE_BYTES_MAX;

/** What a recording gives to whoever passes it on. */
export interface Queue {
  /** Of the stream; null before its first frame. */
  readonly id: Uint8Array | null;
  readonly flushed: number;
  read(at: number, length: number): Uint8Array;
}

export interface Standing {
  readonly flushed: number;
  readonly taken: number;
  readonly confirmed: number;
  readonly isConnected: boolean;
  /** Why not, as far as it is known. */
  readonly trouble: RefusalType | null;
}

export interface Delivery {
  /** As a message calls it. */
  readonly where: string;
  readonly standing: Standing;
  /** The recording has more. */
  wake(): void;
  /** What the recording holds from there on is something else now, and is sent again. */
  displaced(from: number): void;
  /** Waits until all of it is confirmed, or time is up; whether it was. Over MQTT `taken` is enough when no receiver is there. */
  drain(timeoutMs: number): Promise<boolean>;
  close(): Promise<void>;
}

/** Where a sender stands; carriers (tcp.ts, mqtt.ts) move it. */
export class Outgoing {
  next: number;
  taken: number;
  confirmed = 0;
  isConnected = false;
  trouble: RefusalType | null = null;
  private readonly waiting = new Set<() => void>();

  constructor(
    readonly queue: Queue,
    from: number,
  ) {
    this.next = from;
    this.taken = from;
  }

  get standing(): Standing {
    const { taken, confirmed, isConnected, trouble } = this;
    return { flushed: this.queue.flushed, taken, confirmed, isConnected, trouble };
  }

  /** The next piece there is room for on the way; null when there is none. */
  piece(): Piece | null {
    const room = this.taken + WINDOW_BYTES - this.next;
    const bytes = this.queue.read(this.next, Math.min(room, PIECE_BYTES_MAX));
    if (bytes.length === 0) return null;
    const piece = { at: this.next, bytes };
    this.next += bytes.length;
    return piece;
  }

  /** The receiver's word. Refuses `delivery-conflict` when it has more than there is. */
  confirm({ next, isMissing }: Stand): void {
    if (next > this.queue.flushed)
      throw new Refusal(
        "delivery-conflict",
        `the receiver has ${next} bytes of this stream, the recording here has ${this.queue.flushed}`,
        {
          hint: "it was recorded into another file as well; deliver that one",
        },
      );
    if (isMissing) this.withdraw(next);
    else this.confirmed = Math.max(this.confirmed, next);
    this.changed();
  }

  /** From there on it is sent again. */
  rewind(to: number): void {
    this.next = to;
    this.taken = to;
  }

  /** What was said of bytes from there on counts no more: the receiver hasn't them, or they are others now. */
  withdraw(to: number): void {
    this.next = Math.min(this.next, to);
    this.taken = Math.min(this.taken, to);
    this.confirmed = Math.min(this.confirmed, to);
  }

  changed(): void {
    for (const wake of [...this.waiting]) wake();
  }

  /** Waits until `enough` holds, asked whenever something changed. */
  until(enough: () => boolean, timeoutMs: number): Promise<boolean> {
    if (enough()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (holds: boolean) => {
        clearTimeout(timer);
        this.waiting.delete(ask);
        resolve(holds);
      };
      const ask = () => {
        if (enough()) finish(true);
      };
      const timer = setTimeout(() => finish(enough()), timeoutMs);
      this.waiting.add(ask);
    });
  }
}

const RETRY_MS = 250;
const RETRY_MS_MAX = 15_000;

/** How long to wait before the n-th try in a row, 0 and up: doubled each time, and never all at once. */
export function retryMs(tries: number): number {
  return Math.min(RETRY_MS * 2 ** Math.min(tries, 16), RETRY_MS_MAX) * (0.75 + Math.random() / 2);
}
