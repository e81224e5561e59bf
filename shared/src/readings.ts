// Readings in a data frame: rows of whole numbers, sampled at one period, each the difference to the row above. [device]
//
//   group u8 | ticks u48 | rows × channels zigzag varints
//
// Row r was taken at ticks + r × period; ticks are milliseconds since the boot that the epoch belongs to, and don't
// wrap: a board with a counter of 32 bits counts its turns. The value of a channel is number × 10^exponent, so its
// decimals are known to the digit. Numbers are those of IEEE 11073-20601's FLOAT: 24 bits, and five of
// them mean something else. A gap, where readings were lost before the device could frame them:
//
//   group u8 | ticks u48 | rows u32        the rows that would have begun at `ticks`

/** IEEE 11073-20601 section 7.1: mantissas that are no numbers. */
export const VALUE_NAN = 8388607;
export const VALUE_POSITIVE_INFINITY = 8388606;
export const VALUE_NEGATIVE_INFINITY = -8388606;
export const VALUE_RESERVED = -8388607;
export const VALUE_NRES = -8388608;

/** Bytes before the rows. */
export const READINGS_HEAD = 7;
export const GAP_BYTES = 11;

/** Channels sampled together have a compound's code; a waveform has one channel. */
export const GROUP_NUMERIC = 0;
export const GROUP_COMPOUND = 1;
export const GROUP_SAMPLED = 2;

export interface Channel {
  /** MDC code of what is measured, and of its unit: context-free, partition × 65536 + term. */
  code: number;
  unit: number;
  /** Power of ten, -8 to 7. */
  exponent: number;
}

export interface Group {
  /** GROUP_… */
  kind: number;
  /** MDC code of the compound; 0 for others. */
  code: number;
  /** Milliseconds from row to row, 1 and up. */
  period: number;
  channels: Channel[];
}

function putHead(out: Uint8Array, group: number, ticks: number): void {
  out[0] = group;
  const high = Math.floor(ticks / 0x100000000);
  const low = ticks % 0x100000000;
  out[1] = high >> 8;
  out[2] = high;
  out[3] = low >>> 24;
  out[4] = low >>> 16;
  out[5] = low >>> 8;
  out[6] = low;
}

function putVarint(out: Uint8Array, at: number, difference: number): number {
  let rest = ((difference << 1) ^ (difference >> 31)) >>> 0;
  while (rest > 127) {
    out[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** Rows of a group, gathered for one frame. */
export interface Packer {
  group: number;
  channels: number;
  rows: number;
  /** Written so far. */
  length: number;
  bytes: Uint8Array;
  /** The row above. */
  last: Int32Array;
}

/** For frames whose content is at most `max` bytes. */
export function makePacker(group: number, channels: number, max: number): Packer {
  return { group, channels, rows: 0, length: 0, bytes: new Uint8Array(max), last: new Int32Array(channels) };
}

/** Whether another row is sure to fit: a difference of 25 bits takes at most four bytes. */
export function hasRoom(p: Packer): boolean {
  return p.length + READINGS_HEAD * (p.rows === 0 ? 1 : 0) + 4 * p.channels <= p.bytes.length;
}

/** Adds the row at values[at]; the first one's ticks count. The caller has asked hasRoom(). */
export function packRow(p: Packer, ticks: number, values: Int32Array, at: number): void {
  if (p.rows === 0) {
    putHead(p.bytes, p.group, ticks);
    p.length = READINGS_HEAD;
    for (let i = 0; i < p.channels; i++) p.last[i] = 0;
  }
  for (let i = 0; i < p.channels; i++) {
    const value = values[at + i]!;
    p.length = putVarint(p.bytes, p.length, value - p.last[i]!);
    p.last[i] = value;
  }
  p.rows++;
}

/** What was packed; the packer is empty again. */
export function takePacked(p: Packer): Uint8Array {
  const out = p.bytes.subarray(0, p.length);
  p.rows = 0;
  p.length = 0;
  return out;
}

/** The content of a gap frame. */
export function encodeGap(group: number, ticks: number, rows: number): Uint8Array {
  const out = new Uint8Array(GAP_BYTES);
  putHead(out, group, ticks);
  out[7] = rows >>> 24;
  out[8] = rows >>> 16;
  out[9] = rows >>> 8;
  out[10] = rows;
  return out;
}
