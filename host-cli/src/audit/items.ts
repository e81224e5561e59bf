// The items of a fleet file, one after another, in memory that doesn't grow with the file:
//
//   JSON lines      up to each LF; a line that is empty is none; a renewal and what it renews are one
//   CBOR sequence   byte strings, by the length in their heads
//
// Framing is all that is read here: an item that is nonsense is somebody else's finding, and the next
// one follows where it should. Only a head of a sequence that is no byte string ends it, since nobody
// knows where the next would begin: that is refused, after what came before.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { MAX_BUNDLE } from "@vouch/shared/bundle";
import { equalBytes } from "@vouch/shared/bytes";
import { Refusal } from "@vouch/shared/refusal";
import { isRenewed, MAX_RENEWED } from "@vouch/shared/renewal";
import { areResults, notAFleet } from "./inputs";

const CHUNK = 256 * 1024;
/** As much as a pipe gives at once. Room behind what was read that is no less takes what is read next. */
const LEAST_ROOM = 64 * 1024;
const LF = 0x0a;
const OPEN_BRACE = 0x7b;
/** What an audit printed or a store holds begins so. */
const RESULTS = Buffer.from('{"version":"vouch-audit-');
const BYTE_STRING = 2; // CBOR's major type

export interface Item {
  /** Empty when it is longer than any item may be. */
  readonly bytes: Uint8Array;
  readonly length: number;
  /** Counted from 1: the line, or the item of a sequence. */
  readonly at: number;
  /** Bytes of the file up to its end. */
  readonly offset: number;
}

/** Memory for what is read, to be used again: garbage outside the heap is collected late. */
export class Chunks {
  private readonly free: Uint8Array[] = [];
  private taken: Uint8Array[] = [];

  take(): Uint8Array {
    const chunk = this.free.pop() ?? new Uint8Array(CHUNK);
    this.taken.push(chunk);
    return chunk;
  }

  /** Nothing that was read before the item at hand is needed any more. */
  release(): void {
    this.free.push(...this.taken.slice(0, -1));
    this.taken = this.taken.slice(-1);
  }
}

/**
 * Reads a file, or stdin for "-". What it gives stays valid, with `chunks` until they are released. Refuses
 * `unknown-input`, `cbor-framing`, `truncated`; throws what reading throws.
 */
export function* itemsOf(path: string, chunks: Chunks | null = null): Generator<Item> {
  const fd = path === "-" ? 0 : openSync(path, "r");
  try {
    if (fstatSync(fd).isDirectory()) throw new Refusal("not-a-file", "found a folder, expected a file");
    const source = new Source(fd, chunks);
    const first = source.peek();
    if (first === null) return;
    if (source.beginsWith(RESULTS)) throw areResults();
    if (first === OPEN_BRACE) yield* lines(source);
    else if (first >> 5 === BYTE_STRING) yield* sequence(source);
    else throw notAFleet();
  } finally {
    if (fd !== 0) closeSync(fd);
  }
}

/**
 * Bytes from a descriptor, in chunks that have memory of their own. What it hands out are no Buffers: whoever keeps an item
 * takes a `slice`, and that of a Buffer is no copy, but a view of memory that is used again, or goes to another thread.
 */
class Source {
  private chunk: Uint8Array = new Uint8Array(0);
  /** The same memory: a Buffer finds a byte in a fortieth of the time. */
  private searched: Buffer = Buffer.alloc(0);
  private start = 0;
  /** What no bytes were read into of the chunk's memory: a pipe may give few at a time. */
  private room: Uint8Array = new Uint8Array(0);
  /** Bytes handed out or skipped so far. */
  offset = 0;

  constructor(
    private readonly fd: number,
    private readonly chunks: Chunks | null,
  ) {}

  /** What is at hand, at least one byte; null at the end. `passing`: memory for the rest of an item that is passed over. */
  private fill(passing: Uint8Array | null = null): Uint8Array | null {
    if (this.start === this.chunk.length) {
      const memory = passing ?? this.memory();
      this.chunk = memory.subarray(0, readSome(this.fd, memory));
      this.room = passing === null ? memory.subarray(this.chunk.length) : new Uint8Array(0);
      this.searched = Buffer.from(this.chunk.buffer, this.chunk.byteOffset, this.chunk.length);
      this.start = 0;
    }
    return this.chunk.length === 0 ? null : this.chunk.subarray(this.start);
  }

  private memory(): Uint8Array {
    if (this.room.length >= LEAST_ROOM) return this.room;
    return this.chunks?.take() ?? new Uint8Array(CHUNK);
  }

  private took(count: number): void {
    this.start += count;
    this.offset += count;
  }

  peek(): number | null {
    return this.fill()?.[0] ?? null;
  }

  /** Of the chunk at hand: a file that comes in smaller pieces begins with nothing that is told. */
  beginsWith(bytes: Uint8Array): boolean {
    return equalBytes(this.fill()?.subarray(0, bytes.length) ?? new Uint8Array(0), bytes);
  }

  /** Up to and without the next `end`, which is passed; null at the end of the file. Beyond `max` bytes: empty, and the true length. */
  until(end: number, max: number): { bytes: Uint8Array; length: number } | null {
    // Nearly every line lies within a chunk, and a fleet has a million: one view of it, and nothing else.
    const near = this.start < this.chunk.length ? this.searched.indexOf(end, this.start) : -1;
    if (near >= 0 && near - this.start <= max) {
      const bytes = this.chunk.subarray(this.start, near);
      this.took(bytes.length + 1);
      return { bytes, length: bytes.length };
    }
    const parts: Uint8Array[] = [];
    let length = 0;
    let passing: Uint8Array | null = null;
    for (let rest = this.fill(); rest !== null; rest = this.fill(passing)) {
      const place = this.searched.indexOf(end, this.start);
      const found = place < 0 ? -1 : place - this.start;
      const part = found < 0 ? rest : rest.subarray(0, found);
      length += part.length;
      if (length <= max) parts.push(part);
      else passing ??= new Uint8Array(CHUNK); // items behind it are views of this, and not of another's
      this.took(part.length + (found < 0 ? 0 : 1));
      if (found >= 0) return { bytes: length > max ? new Uint8Array(0) : joined(parts), length };
    }
    return length === 0 ? null : { bytes: length > max ? new Uint8Array(0) : joined(parts), length };
  }

  /** Exactly so many; null when the file ends before. Beyond `max`: passed over, empty. */
  exactly(count: number, max: number): Uint8Array | null {
    const parts: Uint8Array[] = [];
    const passing = count > max ? new Uint8Array(CHUNK) : null;
    let left = count;
    while (left > 0) {
      const rest = this.fill(passing);
      if (rest === null) return null;
      const part = rest.subarray(0, left);
      if (count <= max) parts.push(part);
      this.took(part.length);
      left -= part.length;
    }
    return joined(parts);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function* lines(source: Source): Generator<Item> {
  for (let at = 1; ; at++) {
    const line = source.until(LF, MAX_BUNDLE);
    if (line === null) return;
    if (line.length === 0) continue;
    const { bytes, length, more } = isRenewed(line.bytes) ? withRenewed(source, line) : { ...line, more: 0 };
    yield { bytes, length, at, offset: source.offset };
    at += more;
  }
}

/** A renewed bundle is one item: a line for each renewal, and the bundle's. */
function withRenewed(source: Source, first: { bytes: Uint8Array; length: number }) {
  const parts = [first.bytes];
  let { length } = first;
  let more = 0;
  for (let last = first.bytes; isRenewed(last) && length <= MAX_RENEWED; ) {
    const line = source.until(LF, MAX_BUNDLE);
    if (line === null) break;
    last = line.bytes;
    parts.push(Uint8Array.of(LF), last);
    length += 1 + line.length;
    more++;
    if (line.bytes.length < line.length) return { bytes: new Uint8Array(0), length, more };
  }
  return { bytes: length > MAX_RENEWED ? new Uint8Array(0) : joined(parts), length, more };
}

const BUNDLE_START = Buffer.from('{"version":"vouch-bundle/');

/** Whether an item is a bundle, or a renewed one, by how it begins. */
export function isBundle(bytes: Uint8Array): boolean {
  for (let i = 0; i < BUNDLE_START.length; i++) if (bytes[i] !== BUNDLE_START[i]) return isRenewed(bytes);
  return true;
}

const LENGTH_BYTES: Readonly<Record<number, number>> = { 24: 1, 25: 2, 26: 4 };

function* sequence(source: Source): Generator<Item> {
  for (let at = 1; ; at++) {
    const head = source.exactly(1, 1)?.[0];
    if (head === undefined) return;
    const more = head >> 5 === BYTE_STRING ? ((head & 31) < 24 ? 0 : LENGTH_BYTES[head & 31]) : undefined;
    if (more === undefined)
      throw new Refusal(
        "cbor-framing",
        `item ${at} is no byte string shorter than 4 GiB; what follows it can't be told`,
      );
    const digits = source.exactly(more, 4);
    const length = digits === null ? null : more === 0 ? head & 31 : digits.reduce((n, b) => n * 256 + b, 0);
    const bytes = length === null ? null : source.exactly(length, MAX_BUNDLE);
    if (bytes === null || length === null)
      throw new Refusal("truncated", `the sequence ends within item ${at}`);
    yield { bytes, length, at, offset: source.offset };
  }
}

/** Reads once, however the descriptor was set up: stdin may be non-blocking. */
function readSome(fd: number, buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(fd, buffer);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EOF") return 0;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
