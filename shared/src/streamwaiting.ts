// Frames that no signed one binds yet, and their readings: they wait for the frame that proves them, or for what
// shows that none will.
//
//   ├─ held: their readings ─┼─ laid aside: place 8, link 32, key 32 ─┤◀── the signed frame
//   └ up to HELD_BYTES       └ read again from the recording when they leave, and the same by their links
//
// A device may promise a signature for each 65,535 frames, which hold 500 MB of readings: whoever can read the recording
// again keeps few of them. Where nobody takes readings none are kept, but their number.

import { copyBytes, equalBytes } from "./bytes";
import { Refusal } from "./refusal";
import type { Announce, Boot } from "./streambody";
import type { GapNote, ReadAgain, ReadingBlock, StreamEvents } from "./streamevents";
import type { StreamHasher } from "./streamhash";

/** Of values; about 4,000 frames' worth at the most that a frame holds. */
const HELD_BYTES = 16 * 1024 * 1024;
const HASH = 32;

export type Waiting = { kind: "block"; block: ReadingBlock } | { kind: "gap"; gap: GapNote };

/** A frame whose readings wait, as it is known while its bytes are at hand. */
export interface Arrived {
  at: number;
  link: Uint8Array;
  /** That opened it; null for a readable one. */
  key: Uint8Array | null;
  /** Of the stream and the boot that it came in. */
  announce: Announce;
  boot: Boot;
}

/** Makes of a frame's bytes what waited. */
export type Opening = (bytes: Uint8Array, arrived: Arrived) => Waiting;

export class WaitingRoom {
  /** The first frame that waits; null when none does. */
  from: number | null = null;
  private held: Waiting[] = [];
  private bytes = 0;
  private rows = 0;
  private aside: Aside | null = null;
  private readonly isHeard: boolean;

  constructor(
    private readonly events: StreamEvents,
    private readonly again: ReadAgain | null,
    private readonly hasher: StreamHasher,
  ) {
    this.isHeard = events.block !== undefined || events.gap !== undefined;
  }

  /** A frame that isn't signed, whatever is known of its body. */
  enter(seq: number): void {
    this.from ??= seq;
  }

  /** Its readings, or its gap; `opening` makes the same of its bytes. */
  put(waiting: Waiting, arrived: Arrived, opening: Opening): void {
    if (waiting.kind === "block") {
      this.rows += waiting.block.rows;
      this.bytes += waiting.block.values.buffer.byteLength;
    }
    if (!this.isHeard) return;
    const { again } = this;
    if (this.aside === null && (again === null || this.bytes <= (again.heldBytes ?? HELD_BYTES))) {
      this.held.push(waiting);
      return;
    }
    this.aside ??= new Aside(arrived, opening);
    this.aside.add(arrived);
  }

  /** All that waits leaves, as evidence or not. Throws `recording-changed`, and what reading again does. */
  leave(isProved: boolean): void {
    const { held, aside, rows, events } = this;
    this.from = null;
    this.bytes = 0;
    this.rows = 0;
    this.aside = null;
    if (rows > 0) events.rows?.(rows, isProved);
    if (held.length === 0 && aside === null) return;
    this.held = [];
    for (const item of held) this.tell(item, isProved);
    for (const item of aside?.items(this.again!, this.hasher) ?? []) this.tell(item, isProved);
  }

  private tell(item: Waiting, isProved: boolean): void {
    if (item.kind === "block") {
      item.block.isProved = isProved;
      this.events.block?.(item.block);
    } else {
      item.gap.isProved = isProved;
      this.events.gap?.(item.gap);
    }
  }
}

/** Frames of one boot that are read again: where each is, what it hashes to and what opened it. */
class Aside {
  private readonly places: number[] = [];
  private hashes = new Uint8Array(1024 * 2 * HASH);
  private readonly isMasked: boolean;

  constructor(
    private readonly first: Arrived,
    private readonly opening: Opening,
  ) {
    this.isMasked = first.key !== null;
  }

  add({ at, link, key }: Arrived): void {
    const end = this.places.length * 2 * HASH;
    if (end === this.hashes.length) {
      const grown = new Uint8Array(2 * end);
      grown.set(this.hashes);
      this.hashes = grown;
    }
    this.hashes.set(link, end);
    if (key !== null) this.hashes.set(key, end + HASH);
    this.places.push(at);
  }

  *items(again: ReadAgain, hasher: StreamHasher): Generator<Waiting> {
    const { announce, boot } = this.first;
    for (const [i, at] of this.places.entries()) {
      const link = copyBytes(this.hashes, 2 * i * HASH, (2 * i + 1) * HASH);
      const key = this.isMasked ? copyBytes(this.hashes, (2 * i + 1) * HASH, 2 * (i + 1) * HASH) : null;
      const bytes = again.frame(at);
      if (!equalBytes(hasher.link(bytes), link))
        throw new Refusal("recording-changed", `the frame at byte ${at} isn't the one that was read before`, {
          hint: "read it again when nobody writes to it but its recorder",
        });
      yield this.opening(bytes, { at, link, key, announce, boot });
    }
  }
}
