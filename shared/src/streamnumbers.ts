// Numbers of frames gone by: whether one that comes again is the same frame, another one, or one that was missed.
//
//   … 510 511 512 | 515 516            recent: the last frames, whole
//                ^^^^^ 513, 514        missing: ranges that were skipped, and may come late
//
// Bounded: recent frames in a ring, the last ranges. What is older than the ring can't be told apart any more.

import { copyBytes, equalBytes } from "./bytes";
import { FRAME_RESUME, STREAM_HEADER_BYTES, STREAM_NONCE_BYTES } from "./stream";
import type { Findings } from "./streamfindings";
import type { Frame } from "./streamread";

/** Frames remembered: more than any block of numbers that a device reserves at once. */
const RECENT = 2048;
const MISSING = 16;

export interface Remembered {
  seq: number;
  link: Uint8Array;
  bytes: Uint8Array;
  at: number;
  isSigned: boolean;
}

export type Known =
  | { kind: "repeated" | "fork" | "nonce-reuse"; other: Remembered }
  | { kind: "reordered" | "old"; other: null };

export class Numbers {
  private readonly recent: (Remembered | undefined)[] = new Array(RECENT);
  private missing: { from: number; to: number }[] = [];

  remember(frame: Frame, link: Uint8Array, at: number): void {
    this.recent[frame.seq % RECENT] = {
      seq: frame.seq,
      link,
      bytes: copyBytes(frame.bytes, 0, frame.bytes.length),
      at,
      isSigned: frame.signature !== null,
    };
  }

  at(seq: number): Remembered | undefined {
    const found = this.recent[seq % RECENT];
    return found?.seq === seq ? found : undefined;
  }

  /** Numbers from..to-1 were skipped, and nothing says that they don't exist. */
  skip(from: number, to: number): void {
    this.missing.push({ from, to });
    if (this.missing.length > MISSING) this.missing.shift();
  }

  /** What a frame is whose number isn't above all others. */
  judge(frame: Frame): Known {
    const other = this.at(frame.seq);
    if (other === undefined) {
      const isMissing = this.missing.some(({ from, to }) => frame.seq >= from && frame.seq < to);
      return { kind: isMissing ? "reordered" : "old", other: null };
    }
    if (equalBytes(other.bytes, frame.bytes)) return { kind: "repeated", other };
    return { kind: isOneNonce(frame, other.bytes) ? "nonce-reuse" : "fork", other };
  }
}

/** Two masked bodies by one key and one nonce that differ: their difference is the texts'. */
function isOneNonce(frame: Frame, other: Uint8Array): boolean {
  if (!frame.isMasked || other[2] !== frame.bytes[2]) return false;
  const head = STREAM_HEADER_BYTES;
  const nonce = (bytes: Uint8Array) => bytes.subarray(head, head + STREAM_NONCE_BYTES);
  return (
    equalBytes(frame.bytes.subarray(20, 24), other.subarray(20, 24)) &&
    equalBytes(nonce(frame.bytes), nonce(other))
  );
}

/** Tells what a frame is whose number was taken before. */
export function tellAgain(
  frame: Frame,
  stream: { numbers: Numbers; last: { seq: number } },
  at: number,
  findings: Findings,
): void {
  const tell = findings.teller(frame.seq, at);
  const { seq } = frame;
  const known = stream.numbers.judge(frame);
  if (known.kind === "reordered") {
    tell("stream-reordered", `frame ${seq} comes after ${stream.last.seq}`);
    return;
  }
  if (known.other === null) {
    tell("stream-rollback", `frame ${seq} comes after ${stream.last.seq}, long after its turn`);
    return;
  }
  const { at: first, isSigned } = known.other;
  const other = { at: first, isSigned: isSigned && frame.signature !== null };
  if (known.kind === "repeated") {
    findings.find("stream-repeated", seq, at, `frame ${seq} comes twice`, other);
    return;
  }
  if (known.kind === "nonce-reuse") {
    findings.find(
      "stream-nonce-reuse",
      seq,
      at,
      `two frames ${seq} are masked with one key and one nonce`,
      other,
    );
    return;
  }
  const whose = other.isSigned
    ? "the device signed both"
    : "a signed frame settles which is the device's, if any";
  findings.find("stream-fork", seq, at, `there are two frames ${seq}: ${whose}`, other);
  if (frame.type === FRAME_RESUME)
    tell("stream-rollback", `a resume takes number ${seq} again: the device's store went back`);
}
