// Published vectors, and the few words tests of formats share.

import { readFileSync } from "node:fs";
import { isRefusal } from "../src/refusal";

const PUBLISHED = new URL("../vectors/published/", import.meta.url);

export function publishedBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, PUBLISHED)));
}

export function publishedJson<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, PUBLISHED), "utf8")) as T;
}

/** Bytes of hex in either case, with spaces for the eye. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replace(/\s/g, ""), "hex"));
}

/** A predicate for assert.throws: a Refusal with this code. */
export function refusal(code: string): (error: unknown) => boolean {
  return (error) => isRefusal(error) && error.code === code;
}

/** Bytes 0, 1, 2, … so that a slip by one shows. */
export function counting(length: number, first = 0): Uint8Array {
  return new Uint8Array(length).map((_, i) => first + i);
}

/** Every copy of `bytes` with one bit changed, a different bit in each byte. */
export function* flips(bytes: Uint8Array): Generator<[at: number, flipped: Uint8Array]> {
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << (at % 8);
    yield [at, flipped];
  }
}
