// The messages of an upload, and how large they may be.
//
// `buf_size` is a claim: stock Zephyr says 384 and takes two lines in a burst. So a
// message that gets no answer is tried at 178 and at 88 bytes, two lines and one.
// The chunks themselves are the probe: an echo would cost the line as much, and
// serial recovery knows none.
//
//   full ──no answer──▶ 178 ──no answer──▶ 88
//    ▲                   │
//    └── once more: after the first answer, and after 32 chunks taken, since it may
//        have been noise; one chunk on trial alone, back at its first wait in vain

import { type CborMap, type CborValue, cborMap, encodeCbor } from "@vouch/shared/cbor";
import { SMP_HEADER_BYTES } from "@vouch/shared/smp";

const FRAME_BYTES = 4; // length and CRC, which a server's buffer holds too
const SMALLER = [178, 88]; // two lines of a console, and one
const SMALLEST = 88;
const TIMEOUTS = [3, 5]; // in a row, before the next smaller size is tried
const TAKEN = 32;
const MIN_FIRST_DATA = 32; // an image header: servers refuse a first chunk with less

export class Chunks {
  private readonly sizes: number[];
  private rung = 0;
  private trialFrom: number | undefined;
  private taken = 0;
  /** The largest message that was answered. */
  proven = 0;

  constructor(
    private readonly stream: Uint8Array,
    private readonly sha256: Uint8Array,
    private readonly image: number | undefined,
    largest: number | { bufferSize: number },
  ) {
    const full = Math.max(SMALLEST, typeof largest === "number" ? largest : largest.bufferSize - FRAME_BYTES);
    this.sizes = [full, ...SMALLER.filter((size) => size < full)];
  }

  /** A full-sized chunk is on trial: nothing else should be on the way. */
  get isOnTrial(): boolean {
    return this.trialFrom !== undefined;
  }

  /** What a first chunk's n-th try is sized by: the full size twice, then all in turn. */
  rungOfTry(n: number): number {
    return n < 2 ? 0 : (n - 1) % this.sizes.length;
  }

  /** A first chunk of that rung was answered. */
  beginAt(rung: number): void {
    this.rung = rung;
    this.trialFrom = undefined;
    this.proven = Math.max(this.proven, this.sizes[rung] ?? 0);
    if (rung > 0) this.tryFull();
  }

  noteTaken(): void {
    this.trialFrom = undefined;
    const size = this.sizes[this.rung] ?? 0;
    this.proven = Math.max(this.proven, size);
    // Larger ones went through before: what made this smaller may be over.
    if (this.rung > 0 && ++this.taken >= TAKEN && this.proven > size) this.tryFull();
  }

  noteTimeout(inARow: number): void {
    if (this.trialFrom !== undefined) this.rung = this.trialFrom;
    else if (TIMEOUTS.includes(inARow) && this.rung + 1 < this.sizes.length) this.rung++;
    this.trialFrom = undefined;
    this.taken = 0;
  }

  private tryFull(): void {
    this.trialFrom = this.rung;
    this.rung = 0;
    this.taken = 0;
  }

  /** The chunk that begins at `off`. */
  at(off: number, rung: number = this.rung): { end: number; body: CborMap } {
    const size = this.sizes[rung] ?? SMALLEST;
    if (off > 0) return this.fill(off, size, [["off", off]]);
    const fields: [string, CborValue][] = [
      ...(this.image === undefined ? [] : [["image", this.image] as [string, CborValue]]),
      ["len", this.stream.length],
      ["off", 0],
    ];
    const first = this.fill(0, size, [...fields, ["sha", this.sha256]]);
    // One line holds an image header or the sha, and the header is what servers insist on.
    const isTight = first.end < Math.min(MIN_FIRST_DATA, this.stream.length);
    return isTight ? this.fill(0, size, fields) : first;
  }

  private fill(off: number, size: number, fields: [string, CborValue][]): { end: number; body: CborMap } {
    const bodyTo = (end: number) => cborMap([["data", this.stream.subarray(off, end)], ...fields]);
    // A byte string's own length takes up to two bytes more than the empty one's.
    const room = size - SMP_HEADER_BYTES - 2 - encodeCbor(bodyTo(off)).length;
    const end = Math.min(this.stream.length, off + Math.max(1, room));
    return { end, body: bodyTo(end) };
  }
}
