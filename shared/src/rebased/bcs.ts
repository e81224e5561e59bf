// BCS, the encoding of IOTA's ledger objects, for exactly what the modules beside this one read and write.
// https://github.com/diem/bcs: little-endian integers; a length or an enum's variant is ULEB128.
//
//   u64 5            05 00 00 00 00 00 00 00
//   vector<u8> 8a    01 8a
//   option none      00                         some: 01 and the value
//   enum variant 1   01 and its fields
//
// BCS has one encoding per value, and this reader takes no other: ULEB128 in its shortest form, options 0 or 1,
// no bytes left over. A count is believed only as far as the bytes that are there can hold it, so memory and
// time are bounded by the input. What it meets beyond that is `bcs-malformed`; a variant nobody
// here knows is `bcs-unsupported`, since a later protocol may have given it a meaning.

import { concatBytes } from "../bytes";
import { type ByteReader, readBytes } from "../littleendian";
import { Refusal } from "../refusal";

export interface BcsReader extends Omit<ByteReader, "left" | "malformed"> {
  /** vector<u8>, as a copy. */
  bytes(): Uint8Array;
  /** vector<u8> whose length the type fixes all the same, as digests and keys are written. */
  sized(length: number): Uint8Array;
  list<T>(itemBytes: number, read: () => T): T[];
  option<T>(read: () => T): T | null;
  /** The variant of an enum; refuses `bcs-unsupported` from `known` on. */
  variant(known: number, of: string): number;
}

const MAX_LENGTH = 0x7fffffff; // BCS: 2^31 - 1

/** Reads `bytes`, which messages call `what`. All methods refuse `bcs-malformed`. */
export function readBcs(bytes: Uint8Array, what: string): BcsReader {
  const { left, malformed, ...reader } = readBytes(
    bytes,
    (found) => new Refusal("bcs-malformed", `${what} isn't BCS of its type: ${found}`),
  );
  const { u8, fixed } = reader;
  const uleb = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformed("a number isn't in its shortest form");
        if (value > MAX_LENGTH) break;
        return value;
      }
    }
    throw malformed("a number exceeds 2^31 - 1");
  };
  return {
    ...reader,
    bytes: () => fixed(uleb()),
    sized(length) {
      const found = uleb();
      if (found !== length) throw malformed(`${found} bytes, expected ${length},`);
      return fixed(length);
    },
    list(itemBytes, read) {
      const count = uleb();
      if (count * itemBytes > left()) throw malformed(`${count} items are wanted`);
      const items = [];
      for (let i = 0; i < count; i++) items.push(read());
      return items;
    },
    option(read) {
      const tag = u8();
      if (tag > 1) throw malformed(`an option is ${tag}`);
      return tag === 0 ? null : read();
    },
    variant(known, of) {
      const found = uleb();
      if (found >= known)
        throw new Refusal("bcs-unsupported", `${what}: variant ${found} of ${of} isn't known here`);
      return found;
    },
  };
}

export function ulebBytes(value: number): Uint8Array {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      out.push(rest);
      return new Uint8Array(out);
    }
    out.push((rest % 128) | 0x80);
  }
}

export function u16Bytes(value: number): Uint8Array {
  return new Uint8Array([value & 0xff, value >> 8]);
}

export function u64Bytes(value: bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value, true);
  return out;
}

/** vector<u8>. */
export const vectorBytes = (bytes: Uint8Array) => concatBytes([ulebBytes(bytes.length), bytes]);

export const listBytes = (items: readonly Uint8Array[]) => concatBytes([ulebBytes(items.length), ...items]);
