// Strict JSON, for everything of ours that is signed, logged or kept as evidence.
//
// One encoding per value: what JSON.stringify writes and nothing else (RFC 8259
// leaves spaces, escapes, number forms and repeated keys to taste). So text that
// isn't what printing its own value gives back is refused. That rules out, without
// a parser of our own: white space, duplicate keys, "\u0041" for "A", 1.0, 1e400,
// -0, integers past 2^53, and keys that look like array indices out of order.
//
// Above that, shapes: small functions that take an unknown value and give back a
// typed copy, or refuse and say where. `fields` rebuilds an object in the order of
// its spec, so that readJson can refuse keys in another order by printing again.

import { fromBase64, fromHex, utf8Decode, utf8Encode } from "./bytes";
import { isRefusal, quote, Refusal } from "./refusal";

const MAX_DEPTH = 32; // JSON.stringify recurses: the bound must hold before it runs

const LONE_SURROGATE = /[\ud800-\udfff]/u; // under u a pair is one character, and not in this range

/**
 * The value of canonical JSON. Throws `too-large`, `malformed-json` or `not-canonical-json`;
 * `what` begins the message ("the bundle").
 */
export function parseJson(input: Uint8Array | string, what: string, maxBytes: number): unknown {
  if (input.length > maxBytes) {
    throw new Refusal("too-large", `${what} is ${input.length} bytes, at most ${maxBytes} are accepted`);
  }
  const text = typeof input === "string" ? input : utf8Decode(input);
  if (text === null) throw new Refusal("malformed-json", `${what} isn't UTF-8`);
  let value: unknown;
  try {
    value = JSON.parse(text); // takes any depth, or throws where an engine recurses
  } catch (cause) {
    throw new Refusal("malformed-json", `${what} isn't JSON`, { cause });
  }
  if (isDeeper(value, MAX_DEPTH)) {
    throw new Refusal("malformed-json", `${what} nests deeper than ${MAX_DEPTH} levels`);
  }
  if (JSON.stringify(value) !== text) {
    throw new Refusal(
      "not-canonical-json",
      `${what} isn't canonical JSON (spaces, repeated keys or odd escapes)`,
    );
  }
  // Half a pair is printed as an escape; other texts, nearly all, need no walk through the value.
  if (text.includes("\\ud") || text.includes("__proto__")) checkStrings(value, what);
  return value;
}

/** Canonical bytes of a value made of plain objects, arrays, strings, safe numbers, booleans and null. */
export function formatJson(value: unknown): Uint8Array {
  return utf8Encode(JSON.stringify(value));
}

// At most 33 calls deep, whatever the value.
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1));
}

function checkStrings(value: unknown, what: string): void {
  if (typeof value === "string") {
    if (LONE_SURROGATE.test(value))
      throw new Refusal("malformed-json", `${what} holds half a surrogate pair`);
  } else if (Array.isArray(value)) {
    for (const item of value) checkStrings(item, what);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (key === "__proto__") throw new Refusal("malformed-json", `${what} has a key "__proto__"`);
      checkStrings(key, what);
      checkStrings(item, what);
    }
  }
}

// Control, format (bidi overrides too), line and paragraph separators: they could make a
// terminal show something other than what was signed. ASCII is asked about first: to make
// the regex of Unicode properties takes longer than all else verify does with its strings.
export function isVisible(text: string): boolean {
  return /^[ -~]*$/.test(text) || !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/u.test(text);
}

/** Reads `value`, found at `at`, as a T. Throws `malformed-json`. */
export type Shape<T> = (value: unknown, at: string) => T;

/** Marks a key of `fields` that may be absent. */
export interface Maybe<T> {
  readonly shape: Shape<T>;
}

export const maybe = <T>(shape: Shape<T>): Maybe<T> => ({ shape });

type Spec = { readonly [key: string]: Shape<unknown> | Maybe<unknown> };

export type Fields<S extends Spec> = {
  [K in keyof S as S[K] extends Maybe<unknown> ? never : K]: S[K] extends Shape<infer T> ? T : never;
} & {
  [K in keyof S as S[K] extends Maybe<unknown> ? K : never]?: S[K] extends Maybe<infer T> ? T : never;
};

/** An object with exactly the keys of the spec, as a fresh one in the spec's order. */
export function fields<S extends Spec>(value: unknown, at: string, spec: S): Fields<S> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw wrong(at, value, "an object");
  const given = value as Record<string, unknown>;
  for (const key in given) {
    if (!Object.hasOwn(spec, key))
      throw new Refusal("malformed-json", `${at} has an unknown key ${quote(key)}`);
  }
  const out: Record<string, unknown> = {};
  for (const key in spec) {
    const want = spec[key]!;
    const here = `${at}.${key}`;
    const present = Object.hasOwn(given, key) && given[key] !== undefined;
    if (typeof want === "function") {
      if (!present) throw new Refusal("malformed-json", `${here} is missing`);
      out[key] = want(given[key], here);
    } else if (present) out[key] = want.shape(given[key], here);
  }
  return out as Fields<S>;
}

/** `fields` as a shape, to nest. */
export const object =
  <S extends Spec>(spec: S): Shape<Fields<S>> =>
  (value, at) =>
    fields(value, at, spec);

export const list =
  <T>(item: Shape<T>, min: number, max: number): Shape<T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) throw wrong(at, value, "an array");
    if (value.length < min || value.length > max) {
      throw new Refusal("malformed-json", `${at} has ${value.length} items, expected ${min} to ${max}`);
    }
    return value.map((each, i) => item(each, `${at}[${i}]`));
  };

/** Text of 1 to `max` UTF-16 units, nothing invisible in it. */
export const text =
  (max: number): Shape<string> =>
  (value, at) => {
    if (typeof value !== "string" || value === "" || value.length > max || !isVisible(value)) {
      throw wrong(at, value, `1 to ${max} visible characters`);
    }
    return value;
  };

export const matching =
  (pattern: RegExp, expected: string): Shape<string> =>
  (value, at) => {
    if (typeof value !== "string" || !pattern.test(value)) throw wrong(at, value, expected);
    return value;
  };

export const oneOf =
  <const T extends string>(...words: readonly T[]): Shape<T> =>
  (value, at) => {
    if (!words.includes(value as T)) throw wrong(at, value, words.map(quote).join(" or "));
    return value as T;
  };

export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Shape<number> =>
  (value, at) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      throw wrong(at, value, `an integer from ${min} to ${max}`);
    }
    return value as number;
  };

/** Lower-case hex of exactly `size` bytes, kept as text. */
export const hex =
  (size: number): Shape<string> =>
  (value, at) => {
    if (typeof value !== "string" || value.length !== 2 * size || fromHex(value) === null) {
      throw wrong(at, value, `${2 * size} lower-case hex digits`);
    }
    return value;
  };

/** Canonical base64, as bytes: `min` to `max` of them. */
export const base64 =
  (min: number, max: number = min): Shape<Uint8Array> =>
  (value, at) => {
    const bytes = typeof value === "string" ? fromBase64(value) : null;
    if (bytes === null) throw wrong(at, value, "canonical base64");
    if (bytes.length < min || bytes.length > max) {
      throw new Refusal(
        "malformed-json",
        `${at} is ${bytes.length} bytes, expected ${min === max ? min : `${min} to ${max}`}`,
      );
    }
    return bytes;
  };

/**
 * Canonical JSON through a shape. Refusals of the shape become `code`; the rest are those
 * of parseJson. Keys in another order than the shape's are `not-canonical-json`: `print`
 * turns what was read into the value that must print as the very same text.
 */
export function readJson<T>(
  bytes: Uint8Array,
  what: string,
  maxBytes: number,
  code: string,
  shape: Shape<T>,
  print: (read: T) => unknown,
): T {
  const quick = readAtOnce(bytes, maxBytes, shape, print);
  if (quick !== null) return quick.read;
  const value = parseJson(bytes, what, maxBytes);
  let read: T;
  try {
    read = shape(value, what);
  } catch (error) {
    if (isRefusal(error) && error.code === "malformed-json")
      throw new Refusal(code, error.message, { cause: error });
    throw error;
  }
  // Both sides came from JSON.stringify, so a difference here is the order of keys alone.
  if (JSON.stringify(print(read)) !== JSON.stringify(value)) {
    throw new Refusal("not-canonical-json", `${what} has its keys in another order`);
  }
  return read;
}

/**
 * What is right, in one printing instead of three: text that is what printing the value read from it gives is canonical.
 * Null for the rest, of which the long way says what is wrong; fleets are read by the million, and are right nearly always.
 */
function readAtOnce<T>(
  bytes: Uint8Array,
  maxBytes: number,
  shape: Shape<T>,
  print: (read: T) => unknown,
): { readonly read: T } | null {
  const text = bytes.length > maxBytes ? null : utf8Decode(bytes);
  if (text === null || text.includes("\\ud") || text.includes("__proto__")) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (isDeeper(value, MAX_DEPTH)) return null;
    const read = shape(value, "");
    return JSON.stringify(print(read)) === text ? { read } : null;
  } catch {
    return null;
  }
}

function wrong(at: string, value: unknown, expected: string): Refusal {
  return new Refusal("malformed-json", `${at} is ${describe(value)}, expected ${expected}`);
}

function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}
