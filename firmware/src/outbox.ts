// What waits for the host: a run of bytes, of which a ring holds the end.
//
//        frame ≤ acked ≤ written                positions count from 0 and only grow
//   ……….┃■■■■■■■■■░░░░░░░░░░┃
//        └ the oldest frame that isn't acknowledged to its end
//
// Bytes are free again when the frame they belong to is acknowledged to its end, not before: who acknowledges
// needs that frame to say what it was.
//
// Memory: OUTBOX_BYTES from the first frame on.

/** Six frames of waveform, or some twenty of single readings. */
const OUTBOX_BYTES = 3072;

export interface Outbox {
  bytes: Uint8Array;
  /** Where the oldest frame that isn't acknowledged to its end begins. */
  frame: number;
  /** All before is kept by the host. */
  acked: number;
  written: number;
}

export function makeOutbox(): Outbox {
  return { bytes: new Uint8Array(0), frame: 0, acked: 0, written: 0 };
}

export function roomIn(o: Outbox): number {
  return OUTBOX_BYTES - (o.written - o.frame);
}

/** Appends; the caller has asked roomIn(). */
export function putInto(o: Outbox, bytes: Uint8Array): void {
  if (o.bytes.length === 0) o.bytes = new Uint8Array(OUTBOX_BYTES);
  const at = o.written % OUTBOX_BYTES;
  const first = Math.min(bytes.length, OUTBOX_BYTES - at);
  o.bytes.set(bytes.subarray(0, first), at);
  o.bytes.set(bytes.subarray(first), 0);
  o.written += bytes.length;
}

/** A copy of the bytes from `from` to `to`, both from `frame` to `written`. */
export function copyOut(o: Outbox, from: number, to: number): Uint8Array {
  const out = new Uint8Array(to - from);
  const at = from % OUTBOX_BYTES;
  const first = Math.min(out.length, OUTBOX_BYTES - at);
  out.set(o.bytes.subarray(at, at + first));
  if (first < out.length) out.set(o.bytes.subarray(0, out.length - first), first);
  return out;
}
