// Small records that survive losing power at any write: a log in two halves of flash.
//
//   half      header | record | record | … | FF FF …
//   header    "VST" 01 | u32 generation | u32 crc32 of the eight bytes before
//   record    u16 length | u8 key | 5a | value | u32 crc32 of all before        (little endian)
//
// each padded with FF to the write unit, each written in one piece, no unit written twice.
// The newest record of a key counts; an empty value means none. When a half is full the live
// records and the new one are copied to the other half, which is blank, and its header goes
// last; then the old half is erased.
//
// Why any cut leaves the old value or the new one:
//   - inside a record: its crc fails, so the log ends before it. What is left of it makes the
//     half "dirty", and the next save moves to the other half instead of writing over it;
//   - while copying: the other half has no header, so this half still counts;
//   - after the header: the higher generation counts, whatever is left of the old half;
//   - inside an erase: only of a half that doesn't count.
// At start a half that doesn't count is erased, so a secret that was removed never lingers there.
//
// Memory: two small arrays, and one record at a time.

import { FAULT_NONE, FAULT_STORE_FULL } from "@vouch/shared/fault";
import type { Port } from "./port";
import { MAX_READ, MAX_WRITE } from "./port";

export const RECORD_BOOT = 1;
export const RECORD_IDENTITY = 2;
export const RECORD_STARTS = 3;
export const RECORD_STREAM = 4;
const KEYS = 5; // 0 is not used

const HEADER_BYTES = 12;
const RECORD_EXTRA = 8; // length, key, mark, crc
const MARK = 0x5a;

export interface Store {
  port: Port;
  /** Which half counts, 0 or 1. */
  half: number;
  generation: number;
  /** Where the next record goes, from the start of the half. */
  end: number;
  /** Something unreadable follows the log: it can't be written over. */
  dirty: boolean;
  /** Per key: where its newest value lies in the half, or 0, and its length. */
  at: number[];
  lengths: number[];
}

// CRC-32 as in zip: polynomial 0xedb88320, reflected; "123456789" gives 0xcbf43926.
function crc32(bytes: Uint8Array, end: number): number {
  let crc = -1;
  for (let i = 0; i < end; i++) {
    crc ^= bytes[i] as number;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
  bytes[at + 2] = (value >>> 16) & 0xff;
  bytes[at + 3] = (value >>> 24) & 0xff;
}

/** The unsigned 32-bit number at `at`, little endian. */
export function u32At(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) +
    (bytes[at + 1] as number) * 0x100 +
    (bytes[at + 2] as number) * 0x10000 +
    (bytes[at + 3] as number) * 0x1000000
  );
}

/** `length` rounded up to the port's write unit. */
export function alignUp(port: Port, length: number): number {
  const unit = port.layout.writeSize;
  return Math.ceil(length / unit) * unit;
}

/** Bytes of 0xFF, as erased flash has them. */
export function blankBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = 0xff;
  return bytes;
}

function halfLength(port: Port): number {
  return port.layout.store.length / 2;
}

function halfAddress(port: Port, half: number): number {
  return port.layout.store.address + half * halfLength(port);
}

function isBlank(port: Port, address: number, length: number): boolean {
  for (let at = 0; at < length; at += MAX_READ) {
    const bytes = port.readFlash(address + at, Math.min(MAX_READ, length - at));
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0xff) return false;
  }
  return true;
}

function eraseHalf(port: Port, half: number): void {
  if (!isBlank(port, halfAddress(port, half), halfLength(port))) {
    port.eraseFlash(halfAddress(port, half), halfLength(port));
  }
}

// The generation in a half's header, 0 when it has none.
function readGeneration(port: Port, half: number): number {
  const bytes = port.readFlash(halfAddress(port, half), HEADER_BYTES);
  if (bytes[0] !== 0x56 || bytes[1] !== 0x53 || bytes[2] !== 0x54 || bytes[3] !== 1) return 0;
  return crc32(bytes, 8) === u32At(bytes, 8) ? u32At(bytes, 4) : 0;
}

function writeHeader(port: Port, half: number, generation: number): void {
  const bytes = blankBytes(alignUp(port, HEADER_BYTES));
  bytes[0] = 0x56;
  bytes[1] = 0x53;
  bytes[2] = 0x54;
  bytes[3] = 1;
  putU32(bytes, 4, generation);
  putU32(bytes, 8, crc32(bytes, 8));
  port.writeFlash(halfAddress(port, half), bytes);
}

function encodeRecord(port: Port, key: number, value: Uint8Array): Uint8Array {
  const bytes = blankBytes(alignUp(port, value.length + RECORD_EXTRA));
  bytes[0] = value.length & 0xff;
  bytes[1] = value.length >> 8;
  bytes[2] = key;
  bytes[3] = MARK;
  bytes.set(value, 4);
  putU32(bytes, 4 + value.length, crc32(bytes, 4 + value.length));
  return bytes;
}

// The record at `at` of the half that counts, as long as its frame holds; else null.
function readRecord(store: Store, at: number): Uint8Array | null {
  const length = halfLength(store.port);
  if (at + RECORD_EXTRA > length) return null;
  const address = halfAddress(store.port, store.half) + at;
  const head = store.port.readFlash(address, 4);
  const total = (head[0] as number) + (head[1] as number) * 256 + RECORD_EXTRA;
  if (head[3] !== MARK || total > MAX_WRITE || at + total > length) return null;
  const bytes = store.port.readFlash(address, total);
  return crc32(bytes, total - 4) === u32At(bytes, total - 4) ? bytes : null;
}

function noteRecord(store: Store, key: number, length: number): void {
  store.at[key] = length === 0 ? 0 : store.end + 4;
  store.lengths[key] = length;
  store.end += alignUp(store.port, length + RECORD_EXTRA);
}

function scan(store: Store): void {
  store.end = alignUp(store.port, HEADER_BYTES);
  for (let key = 0; key < KEYS; key++) {
    store.at[key] = 0;
    store.lengths[key] = 0;
  }
  let bytes = readRecord(store, store.end);
  while (bytes !== null) {
    // A key of a later version is passed over, and lost when the half is copied.
    const key = bytes[2] as number;
    noteRecord(store, key < KEYS ? key : 0, bytes.length - RECORD_EXTRA);
    bytes = readRecord(store, store.end);
  }
  const rest = halfLength(store.port) - store.end;
  store.dirty = rest > 0 && !isBlank(store.port, halfAddress(store.port, store.half) + store.end, rest);
}

/** Opens the store, formatting it at the very first start, and finishes what a cut left undone. */
export function openStore(port: Port): Store {
  const first = readGeneration(port, 0);
  const second = readGeneration(port, 1);
  const half = second > first ? 1 : 0;
  const store: Store = {
    port,
    half,
    generation: Math.max(first, second),
    end: 0,
    dirty: false,
    at: [],
    lengths: [],
  };
  eraseHalf(port, 1 - half);
  if (store.generation === 0) {
    eraseHalf(port, half);
    writeHeader(port, half, 1);
    store.generation = 1;
  }
  scan(store);
  return store;
}

/** The newest value of a key, or null. */
export function loadRecord(store: Store, key: number): Uint8Array | null {
  const at = store.at[key] as number;
  if (at === 0) return null;
  return store.port.readFlash(halfAddress(store.port, store.half) + at, store.lengths[key] as number);
}

// The live records, with `value` as the one of `key`, become the other half.
function moveRecords(store: Store, key: number, value: Uint8Array): number {
  const port = store.port;
  const records: Uint8Array[] = [];
  let total = alignUp(port, HEADER_BYTES);
  for (let k = 1; k < KEYS; k++) {
    const live = k === key ? value : loadRecord(store, k);
    if (live !== null && live.length > 0) {
      const bytes = encodeRecord(port, k, live);
      total += bytes.length;
      records.push(bytes);
    }
  }
  if (total > halfLength(port)) return FAULT_STORE_FULL;
  const target = 1 - store.half;
  eraseHalf(port, target);
  let at = halfAddress(port, target) + alignUp(port, HEADER_BYTES);
  for (let i = 0; i < records.length; i++) {
    const bytes = records[i] as Uint8Array;
    port.writeFlash(at, bytes);
    at += bytes.length;
  }
  writeHeader(port, target, store.generation + 1); // from here on the new half counts
  store.half = target;
  store.generation++;
  eraseHalf(port, 1 - target);
  scan(store);
  return FAULT_NONE;
}

/** Saves a value: after a cut at any moment the key has its old value or this one. */
export function saveRecord(store: Store, key: number, value: Uint8Array): number {
  const bytes = encodeRecord(store.port, key, value);
  if (bytes.length > MAX_WRITE) return FAULT_STORE_FULL;
  if (store.dirty || store.end + bytes.length > halfLength(store.port)) return moveRecords(store, key, value);
  store.port.writeFlash(halfAddress(store.port, store.half) + store.end, bytes);
  noteRecord(store, key, value.length);
  return FAULT_NONE;
}

/** Like saveRecord, and nothing of the key's earlier values is left in flash. */
export function replaceRecord(store: Store, key: number, value: Uint8Array): number {
  return moveRecords(store, key, value);
}
