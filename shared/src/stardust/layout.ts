// What blocks and milestones are made of (TIP-24, TIP-29): little-endian integers, byte strings, parents; no padding.

import { copyBytes } from "../bytes";
import { type ByteReader, readBytes } from "../littleendian";
import { Refusal } from "../refusal";

export interface LayoutReader extends ByteReader {
  /** A count of one byte, from 1 to `max`, then as many ids of 32 bytes, ascending. */
  parents(max: number): Uint8Array[];
}

/** Reads `bytes`, which messages call `what`. All methods refuse with `code`. */
export function readLayout(bytes: Uint8Array, what: string, code: string): LayoutReader {
  const reader = readBytes(bytes, (found) => new Refusal(code, `${what}: ${found}`));
  return {
    ...reader,
    parents(max) {
      const count = reader.u8();
      if (count < 1 || count > max) throw reader.malformed(`${count} parents, expected 1 to ${max}`);
      const parents: Uint8Array[] = [];
      for (let i = 0; i < count; i++) {
        const parent = reader.fixed(32);
        if (i > 0 && compareBytes(parents[i - 1]!, parent) >= 0)
          throw reader.malformed("the parents aren't ascending, each once");
        parents.push(parent);
      }
      return parents;
    },
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
