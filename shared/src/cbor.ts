// CBOR, RFC 8949: the deterministic subset that everything signed here uses. [device]
//
//   major 0, 1   integers, |n| <= 2^53 - 1        head: major << 5 | info
//   major 2, 3   byte strings, UTF-8 text           info 0..23   the number itself
//   major 4, 5   arrays, maps                       24 25 26 27  it follows in 1 2 4 8 bytes
//   major 6      tags                               31           indefinite, until ff
//   major 7      false, true, null
//
// Strict mode takes one encoding per value (section 4.2.1): shortest heads, map
// keys in bytewise order of their encodings and so unique, definite lengths,
// nothing after the item. Lenient mode is for SMP peers, who write what their
// library likes: any order, long heads, indefinite lengths, undefined for null;
// keys must be integers or text, still unique. Floats are refused in both:
// nothing signed has one, and boards print and parse them differently.
//
// Hostile input: an item costs at least one byte, so counts beyond what is left
// are refused before anything is built; nesting stops at 16, which bounds the
// recursion. An item also costs memory, up to a hundred bytes where the input
// had one, so their number is bounded: a frame that a board takes must not
// exhaust it. Decoded byte strings are views of the input, not copies: copyBytes
// what must outlive its buffer.

import { copyBytes, utf8Decode, utf8Encode } from "./bytes";
import {
  FAULT_CBOR_DUPLICATE,
  FAULT_CBOR_INDEFINITE,
  FAULT_CBOR_MALFORMED,
  FAULT_CBOR_NOT_PREFERRED,
  FAULT_CBOR_RANGE,
  FAULT_CBOR_TEXT,
  FAULT_CBOR_TOO_DEEP,
  FAULT_CBOR_TOO_LARGE,
  FAULT_CBOR_TRAILING,
  FAULT_CBOR_TRUNCATED,
  FAULT_CBOR_UNSORTED,
  FAULT_CBOR_UNSUPPORTED,
} from "./fault";

export type CborValue = number | string | boolean | null | Uint8Array | CborArray | CborMap | CborTag;
export type CborArray = CborValue[];
export interface CborMap {
  keys: CborValue[];
  values: CborValue[];
}
export interface CborTag {
  tag: number;
  value: CborValue;
}

export const CBOR_STRICT = 0;
export const CBOR_LENIENT = 1;

const MAX_DEPTH = 16;
const MAX_ITEMS = 128; // ours have at most about eighty; this many fit a heap of 64 KiB
const LENIENT_ITEM_BYTES = 4; // long answers of peers, to hosts only, have about seven for an item
const MAX_LENIENT_KEYS = 256; // they are compared pair by pair; SMP's largest map has about ten
const MAX_INTEGER = 9007199254740991;
const MAX_HIGH = 0x1fffff; // upper word of 2^53 - 1

export function cborMap(pairs: [CborValue, CborValue][]): CborMap {
  const map: CborMap = { keys: [], values: [] };
  for (let i = 0; i < pairs.length; i++) {
    map.keys.push(pairs[i]![0]);
    map.values.push(pairs[i]![1]);
  }
  return map;
}

export function isBytes(value: CborValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array;
}

export function isMap(value: CborValue | undefined): value is CborMap {
  return typeof value === "object" && value !== null && Array.isArray((value as CborMap).values);
}

export function isTag(value: CborValue | undefined): value is CborTag {
  return typeof value === "object" && value !== null && typeof (value as CborTag).tag === "number";
}

/** The value under an integer or text key. */
export function mapGet(map: CborMap, key: number | string): CborValue | undefined {
  for (let i = 0; i < map.keys.length; i++) if (map.keys[i] === key) return map.values[i];
  return undefined;
}

// ---- Encoding

interface Writer {
  bytes: Uint8Array;
  at: number;
}

function reserve(w: Writer, more: number): void {
  if (w.at + more <= w.bytes.length) return;
  const grown = new Uint8Array(2 * w.bytes.length + more);
  grown.set(w.bytes.subarray(0, w.at));
  w.bytes = grown;
}

function writeHead(w: Writer, major: number, n: number): void {
  reserve(w, 9);
  const bytes = w.bytes;
  const size = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
  bytes[w.at++] = (major << 5) | (size === 0 ? n : size === 1 ? 24 : size === 2 ? 25 : size === 4 ? 26 : 27);
  let rest = n;
  for (let i = size - 1; i >= 0; i--) {
    bytes[w.at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  w.at += size;
}

function writeString(w: Writer, major: number, bytes: Uint8Array): void {
  writeHead(w, major, bytes.length);
  reserve(w, bytes.length);
  w.bytes.set(bytes, w.at);
  w.at += bytes.length;
}

// Bytewise order of a[i..) and b[j..), each ending where its item does: no
// encoding is the beginning of another, so there is always a first difference
// unless they are the same.
function compareItems(
  a: Uint8Array,
  aEnd: number,
  i: number,
  b: Uint8Array,
  bEnd: number,
  j: number,
): number {
  let x = i;
  let y = j;
  while (x < aEnd && y < bEnd) {
    const d = a[x++]! - b[y++]!;
    if (d !== 0) return d;
  }
  return aEnd - x - (bEnd - y);
}

function writeItem(w: Writer, value: CborValue): void {
  if (typeof value === "number") {
    if (Math.floor(value) !== value || value > MAX_INTEGER || value < -MAX_INTEGER)
      throw new Error(`not an integer for CBOR: ${value}`);
    if (value < 0) writeHead(w, 1, -1 - value);
    else writeHead(w, 0, value);
  } else if (typeof value === "string") writeString(w, 3, utf8Encode(value));
  else if (value === null || typeof value === "boolean") {
    reserve(w, 1);
    w.bytes[w.at++] = value === null ? 0xf6 : value ? 0xf5 : 0xf4;
  } else if (isBytes(value)) writeString(w, 2, value);
  else if (isMap(value)) writeMap(w, value);
  else if (isTag(value)) {
    writeHead(w, 6, value.tag);
    writeItem(w, value.value);
  } else {
    writeHead(w, 4, value.length);
    for (let i = 0; i < value.length; i++) writeItem(w, value[i]!);
  }
}

// Insertion sort: maps are small, and ours are mostly written in order already.
function writeMap(w: Writer, map: CborMap): void {
  const count = map.keys.length;
  writeHead(w, 5, count);
  const keys: Uint8Array[] = [];
  const order: number[] = [];
  for (let i = 0; i < count; i++) {
    const key = encodeCbor(map.keys[i]!);
    keys.push(key);
    let at = i;
    while (at > 0) {
      const before = keys[order[at - 1]!]!;
      const d = compareItems(before, before.length, 0, key, key.length, 0);
      if (d === 0) throw new Error("a CBOR map to be written holds a key twice");
      if (d < 0) break;
      order[at] = order[at - 1]!;
      at--;
    }
    order[at] = i;
  }
  for (let i = 0; i < count; i++) {
    const key = keys[order[i]!]!;
    reserve(w, key.length);
    w.bytes.set(key, w.at);
    w.at += key.length;
    writeItem(w, map.values[order[i]!]!);
  }
}

/** The one encoding of a value. Throws an ordinary Error at what isn't a CborValue: a bug of the caller. */
export function encodeCbor(value: CborValue): Uint8Array {
  const w: Writer = { bytes: new Uint8Array(64), at: 0 };
  writeItem(w, value);
  return copyBytes(w.bytes, 0, w.at);
}

// ---- Decoding

interface Reader {
  bytes: Uint8Array;
  at: number;
  fault: number;
  strict: boolean;
  /** How many more items may come. */
  items: number;
  /** The argument of the head just read: number, length or count; -1 for indefinite. */
  argument: number;
}

// The first fault stands. Whoever sees one returns at once.
function fail(r: Reader, fault: number): null {
  if (r.fault === 0) r.fault = fault;
  return null;
}

/** Reads a head into r.argument and returns its major type. */
function readHead(r: Reader): number {
  const bytes = r.bytes;
  if (r.at >= bytes.length) {
    fail(r, FAULT_CBOR_TRUNCATED);
    return 0;
  }
  const first = bytes[r.at++]!;
  const info = first & 31;
  r.argument = info;
  if (info >= 24) {
    if (info === 31) r.argument = -1;
    else if (info > 27) fail(r, FAULT_CBOR_MALFORMED);
    else readArgument(r, 1 << (info - 24));
  }
  return first >> 5;
}

function readArgument(r: Reader, size: number): void {
  const bytes = r.bytes;
  const start = r.at;
  if (bytes.length - start < size) {
    fail(r, FAULT_CBOR_TRUNCATED);
    return;
  }
  let n = 0;
  for (let i = 0; i < size; i++) {
    // The upper word is checked before the product could lose bits.
    if (i === 4 && n > MAX_HIGH) fail(r, FAULT_CBOR_RANGE);
    n = n * 256 + bytes[start + i]!;
  }
  // Shortest form: a size half as long would not have held n.
  const least = size === 1 ? 24 : size === 2 ? 0x100 : size === 4 ? 0x10000 : 0x100000000;
  if (r.strict && n < least) fail(r, FAULT_CBOR_NOT_PREFERRED);
  r.argument = n;
  r.at = start + size;
}

// Whether the ff that ends an indefinite item comes next; it is then taken.
function atBreak(r: Reader): boolean {
  if (r.bytes[r.at] !== 0xff) return false;
  r.at++;
  return true;
}

function readChunks(r: Reader, major: number): Uint8Array {
  const start = r.at;
  let length = 0;
  // Twice over the chunks: measure, then copy. Chunks are definite strings of the same kind.
  while (r.fault === 0 && !atBreak(r)) {
    const kind = readHead(r);
    if (r.fault === 0 && (kind !== major || r.argument < 0)) fail(r, FAULT_CBOR_MALFORMED);
    if (r.fault === 0 && r.argument > r.bytes.length - r.at) fail(r, FAULT_CBOR_TRUNCATED);
    if (r.fault === 0) {
      r.at += r.argument;
      length += r.argument;
    }
  }
  const out = new Uint8Array(r.fault === 0 ? length : 0);
  if (r.fault !== 0) return out;
  r.at = start;
  let at = 0;
  while (!atBreak(r)) {
    readHead(r);
    out.set(r.bytes.subarray(r.at, r.at + r.argument), at);
    at += r.argument;
    r.at += r.argument;
  }
  return out;
}

function readString(r: Reader, major: number): CborValue {
  const length = r.argument;
  let bytes: Uint8Array;
  if (length < 0) bytes = readChunks(r, major);
  else {
    if (length > r.bytes.length - r.at) return fail(r, FAULT_CBOR_TRUNCATED);
    bytes = r.bytes.subarray(r.at, r.at + length);
    r.at += length;
  }
  if (major === 2 || r.fault !== 0) return bytes;
  const text = utf8Decode(bytes);
  return text === null ? fail(r, FAULT_CBOR_TEXT) : text;
}

function readArray(r: Reader, depth: number): CborValue {
  const count = r.argument;
  const out: CborValue[] = [];
  if (count > r.bytes.length - r.at) return fail(r, FAULT_CBOR_TRUNCATED);
  while (r.fault === 0 && (count < 0 ? !atBreak(r) : out.length < count)) out.push(readItem(r, depth + 1));
  return out;
}

function checkLenientKey(r: Reader, keys: CborValue[], key: CborValue): void {
  if (keys.length >= MAX_LENIENT_KEYS || (typeof key !== "number" && typeof key !== "string"))
    fail(r, FAULT_CBOR_TOO_LARGE);
  else for (let i = 0; i < keys.length; i++) if (keys[i] === key) fail(r, FAULT_CBOR_DUPLICATE);
}

function readMap(r: Reader, depth: number): CborValue {
  const count = r.argument;
  const keys: CborValue[] = [];
  const values: CborValue[] = [];
  if (2 * count > r.bytes.length - r.at) return fail(r, FAULT_CBOR_TRUNCATED);
  let before = 0;
  let beforeEnd = 0;
  while (r.fault === 0 && (count < 0 ? !atBreak(r) : keys.length < count)) {
    const start = r.at;
    const key = readItem(r, depth + 1);
    if (r.fault !== 0) break;
    if (!r.strict) checkLenientKey(r, keys, key);
    else if (keys.length > 0) {
      const order = compareItems(r.bytes, beforeEnd, before, r.bytes, r.at, start);
      if (order >= 0) fail(r, order === 0 ? FAULT_CBOR_DUPLICATE : FAULT_CBOR_UNSORTED);
    }
    before = start;
    beforeEnd = r.at;
    keys.push(key);
    values.push(readItem(r, depth + 1));
  }
  return { keys, values };
}

function readSimple(r: Reader, first: number): CborValue {
  if (first === 0xf4) return false;
  if (first === 0xf5) return true;
  if (first === 0xf6 || (first === 0xf7 && !r.strict)) return null;
  return fail(r, first === 0xff ? FAULT_CBOR_MALFORMED : FAULT_CBOR_UNSUPPORTED); // ff: a break where none belongs
}

function readItem(r: Reader, depth: number): CborValue {
  if (--r.items < 0) return fail(r, FAULT_CBOR_TOO_LARGE);
  const first = r.at < r.bytes.length ? r.bytes[r.at]! : 0;
  if (first >= 0xe0) {
    r.at++;
    // Reserved infos are no CBOR at all, which is worth telling from a float.
    return (first & 31) > 27 && first !== 0xff ? fail(r, FAULT_CBOR_MALFORMED) : readSimple(r, first);
  }
  const major = readHead(r);
  if (r.fault !== 0) return null;
  const n = r.argument;
  if (n < 0) {
    if (major < 2 || major === 6) return fail(r, FAULT_CBOR_MALFORMED);
    if (r.strict) return fail(r, FAULT_CBOR_INDEFINITE);
  }
  if (major === 0) return n;
  if (major === 1) return n < MAX_INTEGER ? -1 - n : fail(r, FAULT_CBOR_RANGE);
  if (major < 4) return readString(r, major);
  if (depth >= MAX_DEPTH) return fail(r, FAULT_CBOR_TOO_DEEP);
  if (major === 4) return readArray(r, depth);
  if (major === 5) return readMap(r, depth);
  return { tag: n, value: readItem(r, depth + 1) };
}

/** The value, or null and the first fault. */
export function decodeCbor(bytes: Uint8Array, mode: number): { fault: number; value: CborValue | null } {
  const strict = mode === CBOR_STRICT;
  const items = strict ? MAX_ITEMS : Math.max(MAX_ITEMS, Math.floor(bytes.length / LENIENT_ITEM_BYTES));
  const r: Reader = { bytes, at: 0, fault: 0, strict, items, argument: 0 };
  const value = readItem(r, 0);
  if (r.fault === 0 && r.at < bytes.length) r.fault = FAULT_CBOR_TRAILING;
  return { fault: r.fault, value: r.fault === 0 ? value : null };
}
