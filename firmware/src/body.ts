// Fields of a decoded CBOR map, each with the type and bounds its reader needs; null for
// anything else, so that a caller asks once.

import { type CborMap, type CborValue, isBytes, isMap, mapGet } from "@vouch/shared/cbor";

export function mapOf(value: CborValue | null): CborMap | null {
  return value !== null && isMap(value) ? value : null;
}

export function bytesIn(map: CborMap, key: number | string, min: number, max: number): Uint8Array | null {
  const value = mapGet(map, key);
  if (!isBytes(value) || value.length < min || value.length > max) return null;
  return value;
}

/** A text of 1 to `max` UTF-16 units. */
export function textIn(map: CborMap, key: number | string, max: number): string | null {
  const value = mapGet(map, key);
  return typeof value === "string" && value.length > 0 && value.length <= max ? value : null;
}

/** A number from 0 up, or -1: there is none, or it is negative. */
export function uintIn(map: CborMap, key: number | string): number {
  const value = mapGet(map, key);
  return typeof value === "number" && value >= 0 ? value : -1;
}

export function hasKey(map: CborMap, key: number | string): boolean {
  return mapGet(map, key) !== undefined;
}
