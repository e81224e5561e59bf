// Fields out of a reply, which a device may fill with anything it likes.
// Each reader returns a value of the type and range asked for or refuses with
// `device-malformed`; unknown fields are left alone, since servers add some.

import { type CborMap, type CborValue, isBytes, isMap, mapGet } from "@vouch/shared/cbor";
import { Refusal } from "@vouch/shared/refusal";

export interface Fields {
  what: string;
  body: CborMap;
}

const TEXT_MAX = 256;

function malformed(from: Fields, key: string, expected: string): Refusal {
  return new Refusal("device-malformed", `${from.what}: field ${key} isn't ${expected}`);
}

export function uintField(from: Fields, key: string, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = mapGet(from.body, key);
  if (typeof value === "number" && value >= 0 && value <= max) return value;
  throw malformed(from, key, `an integer from 0 to ${max}`);
}

export function textField(from: Fields, key: string): string {
  const value = mapGet(from.body, key);
  // Control characters would reach terminals, and statements that are signed.
  if (typeof value === "string" && value.length <= TEXT_MAX && !/\p{Cc}/u.test(value)) return value;
  throw malformed(from, key, `text of at most ${TEXT_MAX} characters, none of them a control character`);
}

export function bytesField(from: Fields, key: string, length?: number): Uint8Array {
  const value = mapGet(from.body, key) as CborValue;
  if (isBytes(value) && (length === undefined || value.length === length)) return value;
  throw malformed(from, key, length === undefined ? "a byte string" : `a byte string of ${length}`);
}

/** Zephyr leaves out what is false. */
export function flagField(from: Fields, key: string): boolean {
  const value = mapGet(from.body, key);
  if (value === undefined || typeof value === "boolean") return value === true;
  throw malformed(from, key, "true or false");
}

export function mapField(from: Fields, key: string): Fields {
  const value = mapGet(from.body, key);
  if (value !== undefined && isMap(value)) return { what: `${from.what}, ${key}`, body: value };
  throw malformed(from, key, "a map");
}

export function listField(from: Fields, key: string, max: number): Fields[] {
  const value = mapGet(from.body, key);
  if (!Array.isArray(value) || value.length > max) throw malformed(from, key, `a list of at most ${max}`);
  return value.map((item, index) => {
    if (!isMap(item)) throw malformed(from, `${key}[${index}]`, "a map");
    return { what: `${from.what}, ${key}[${index}]`, body: item };
  });
}

/** True when the field is there and not null. */
export function hasField(from: Fields, key: string): boolean {
  const value = mapGet(from.body, key);
  return value !== undefined && value !== null;
}
