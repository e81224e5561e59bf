// The integers and byte strings that blocks and milestones are made of (TIP-24, TIP-29): little-endian, no padding.
//
// A length is believed only as far as there are bytes, so memory and time are bounded by the input.

import { copyBytes } from "../bytes";
import { Refusal } from "../refusal";

export interface LayoutReader {
  at(): number;
  u8(): number;
  u16(): number;
  u32(): number;
  u64(): bigint;
  /** A copy of the next bytes. */
  bytes(length: number): Uint8Array;
  /** A count of one byte, from 1 to `max`, then as many ids of 32 bytes, ascending. */
  parents(max: number): Uint8Array[];
  end(): void;
  malformed(found: string): Refusal;
}

/** Reads `bytes`, which messages call `what`. All methods refuse with `code`. */
export function readLayout(bytes: Uint8Array, what: string, code: string): LayoutReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const malformed = (found: string) =>
    new Refusal(code, `${what}: ${found}, at byte ${at} of ${bytes.length}`);
  const skip = (count: number) => {
    if (count > bytes.length - at) throw malformed(`${count} bytes are wanted`);
    at += count;
    return at - count;
  };
  const take = (length: number) => copyBytes(bytes, skip(length), at);
  return {
    at: () => at,
    u8: () => view.getUint8(skip(1)),
    u16: () => view.getUint16(skip(2), true),
    u32: () => view.getUint32(skip(4), true),
    u64: () => view.getBigUint64(skip(8), true),
    bytes: take,
    parents(max) {
      const count = view.getUint8(skip(1));
      if (count < 1 || count > max) throw malformed(`${count} parents, expected 1 to ${max}`);
      const parents: Uint8Array[] = [];
      for (let i = 0; i < count; i++) {
        const parent = take(32);
        if (i > 0 && compareBytes(parents[i - 1]!, parent) >= 0)
          throw malformed("the parents aren't ascending, each once");
        parents.push(parent);
      }
      return parents;
    },
    end() {
      if (at < bytes.length) throw malformed(`${bytes.length - at} bytes are left over`);
    },
    malformed,
  };
}

/** Below 0 when `a` comes first. Both are of one length. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** An unsigned number in `size` bytes. */
export function uintBytes(value: number | bigint, size: 1 | 2 | 4 | 8): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value), true);
  return copyBytes(out, 0, size);
}
