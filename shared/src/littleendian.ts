// Little-endian integers and byte strings one after another, as IOTA's ledgers lay them out: what rebased/bcs.ts and
// stardust/layout.ts have in common.
//
// A length is believed only as far as there are bytes, so memory and time are bounded by the input.

import { copyBytes } from "./bytes";
import type { Refusal } from "./refusal";

export interface ByteReader {
  /** How far it has come, and how much there is to come. */
  at(): number;
  left(): number;
  u8(): number;
  u16(): number;
  u32(): number;
  u64(): bigint;
  /** A copy of the next bytes, as many as the type says. */
  fixed(length: number): Uint8Array;
  end(): void;
  malformed(found: string): Refusal;
}

/** `refuse` makes the refusal of all methods. */
export function readBytes(bytes: Uint8Array, refuse: (found: string) => Refusal): ByteReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const malformed = (found: string) => refuse(`${found} at byte ${at} of ${bytes.length}`);
  const skip = (count: number) => {
    if (count > bytes.length - at) throw malformed(`${count} bytes are wanted`);
    at += count;
    return at - count;
  };
  return {
    at: () => at,
    left: () => bytes.length - at,
    u8: () => view.getUint8(skip(1)),
    u16: () => view.getUint16(skip(2), true),
    u32: () => view.getUint32(skip(4), true),
    u64: () => view.getBigUint64(skip(8), true),
    fixed: (length) => copyBytes(bytes, skip(length), at),
    end() {
      if (at < bytes.length) throw malformed(`${bytes.length - at} bytes are left over`);
    },
    malformed,
  };
}
