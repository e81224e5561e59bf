// One direction of a serial line as it is in the world: so many bits a second,
// some time under way, and not everything arrives. The same bytes, options and
// seed give the same line again.
//
//   write ─▶ 8N1 at `baud`, one byte after the other ─▶ `latencyMs` ± jitter ─▶ deliver
//                    └ lost, bent, beyond the burst: gone
//
// Time is computed, not waited for byte by byte: each byte has its moment of
// arrival, and those of one slice are delivered together at the last one's. A
// timer that fires late delivers late, and the line is not slower for it.

import type { Clock } from "../src/device/clock";

export interface Shape {
  /** 8N1: ten bits a byte. 0: no pacing. */
  baud: number;
  latencyMs: number;
  /** Up to so much more, a slice at a time; the order stays. */
  jitterMs: number;
  /** Bytes lost and bytes bent, in a million. */
  lossPpm: number;
  corruptPpm: number;
  /** Bytes back to back that the far end takes; what comes beyond is lost. 0: any number. */
  burstBytes: number;
  seed: number;
}

export const CLEAN: Shape = {
  baud: 0,
  latencyMs: 0,
  jitterMs: 0,
  lossPpm: 0,
  corruptPpm: 0,
  burstBytes: 0,
  seed: 1,
};

export interface Direction {
  write(bytes: Uint8Array): void;
  /** What is under way is gone, and nothing more gets through. */
  cut(): void;
  restore(): void;
  readonly lost: number;
  readonly carried: number;
}

export type Random = () => number;

/** mulberry32: small, repeatable, good enough to be unfair in many ways. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SLICE_MS = 1; // as USB frames come
const ROUNDING_MS = 1e-6;

interface Slice {
  at: number;
  bytes: Uint8Array;
}

export function makeDirection(
  options: Partial<Shape>,
  clock: Clock,
  deliver: (bytes: Uint8Array) => void,
): Direction {
  const shape = { ...CLEAN, ...options };
  const random = seeded(shape.seed);
  const byteMs = shape.baud === 0 ? 0 : 10_000 / shape.baud;
  const sliceBytes = byteMs === 0 ? 4096 : Math.max(1, Math.round(SLICE_MS / byteMs));
  const slices: Slice[] = [];
  const counts = { lost: 0, carried: 0 };
  let lineFreeAt = 0;
  let lastArrival = 0;
  let inBurst = 0;
  let isCut = false;
  let isArmed = false;

  // The byte as it arrives, or null.
  const carry = (byte: number): number | null => {
    counts.carried++;
    if (shape.burstBytes > 0 && ++inBurst > shape.burstBytes) return lose();
    if (shape.lossPpm > 0 && random() * 1e6 < shape.lossPpm) return lose();
    if (shape.corruptPpm > 0 && random() * 1e6 < shape.corruptPpm)
      return byte ^ (1 << Math.floor(random() * 8));
    return byte;
  };
  const lose = () => {
    counts.lost++;
    return null;
  };

  const due = () => {
    isArmed = false;
    for (let next = slices[0]; next !== undefined && next.at <= clock.now() + ROUNDING_MS; next = slices[0]) {
      slices.shift();
      if (next.bytes.length > 0) deliver(next.bytes);
    }
    arm();
  };
  const arm = () => {
    const next = slices[0];
    if (next === undefined || isArmed) return;
    isArmed = true;
    clock.after(Math.max(0, next.at - clock.now()), due);
  };

  return {
    write(bytes) {
      if (isCut) return;
      const now = clock.now();
      if (now > lineFreeAt) inBurst = 0;
      let at = Math.max(now, lineFreeAt);
      for (let from = 0; from < bytes.length; from += sliceBytes) {
        const piece = bytes.subarray(from, from + sliceBytes);
        at += piece.length * byteMs;
        const arrived: number[] = [];
        for (const byte of piece) {
          const seen = carry(byte);
          if (seen !== null) arrived.push(seen);
        }
        const late = shape.jitterMs === 0 ? 0 : random() * shape.jitterMs;
        lastArrival = Math.max(lastArrival, at + shape.latencyMs + late);
        slices.push({ at: lastArrival, bytes: Uint8Array.from(arrived) });
      }
      lineFreeAt = at;
      arm();
    },
    cut() {
      isCut = true;
      slices.length = 0;
      lineFreeAt = 0;
    },
    restore() {
      isCut = false;
    },
    get lost() {
      return counts.lost;
    },
    get carried() {
      return counts.carried;
    },
  };
}
