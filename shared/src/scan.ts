// Canonical JSON of one known form, read from its bytes in one go: what a fleet has by the million.
//
//   {"payload":"   bytes of base64   ","payloadType":"application/vnd.in-toto+json","signatures":[ …
//   word           base64            word                                                       …
//
// Between the values of such a line stands always the same text, so nothing has to be parsed, built and printed
// again to know that it is canonical. A scan accepts less than readJson (json.ts) and never more or otherwise: where
// a byte is not as expected it says null, and readJson reads the line and says what is wrong with it.

const QUOTE = 0x22;
const BAD = 64;

/** Bytes with a place to read at; at -1 nothing more is read. */
export interface Scan {
  readonly bytes: Uint8Array;
  at: number;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUE = new Uint8Array(256).fill(BAD);
for (let i = 0; i < 64; i++) VALUE[DIGITS.charCodeAt(i)] = i;

/** The bytes of ASCII text, to be found as they stand. */
export function wordOf(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** Whether `word` comes next; it is passed then. Otherwise nothing moves. */
export function isNext(scan: Scan, word: Uint8Array): boolean {
  const { bytes, at } = scan;
  if (at < 0 || at + word.length > bytes.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) return false;
  scan.at = at + word.length;
  return true;
}

/** Passes `word`, or ends the scan. */
export function pass(scan: Scan, word: Uint8Array): void {
  if (!isNext(scan, word)) scan.at = -1;
}

const NOTHING = new Uint8Array(0);

/** Canonical base64 of `min` to `max` bytes up to a quotation mark, which is passed, or ends the scan. */
export function base64Next(scan: Scan, min: number, max: number): Uint8Array {
  const { bytes, at } = scan;
  const end = at < 0 ? -1 : bytes.indexOf(QUOTE, at);
  const digits = end - at;
  scan.at = -1;
  if (end < 0 || digits === 0 || digits % 4 !== 0) return NOTHING;
  const padding = bytes[end - 1] !== 0x3d ? 0 : bytes[end - 2] !== 0x3d ? 1 : 2;
  const length = (digits / 4) * 3 - padding;
  if (length < min || length > max) return NOTHING;
  const out = new Uint8Array(length);
  const whole = padding === 0 ? end : end - 4;
  let bad = 0;
  let to = 0;
  for (let i = at; i < whole; i += 4) {
    const a = VALUE[bytes[i]!]!;
    const b = VALUE[bytes[i + 1]!]!;
    const c = VALUE[bytes[i + 2]!]!;
    const d = VALUE[bytes[i + 3]!]!;
    bad |= a | b | c | d;
    out[to] = (a << 2) | (b >> 4);
    out[to + 1] = (b << 4) | (c >> 2);
    out[to + 2] = (c << 6) | d;
    to += 3;
  }
  if (padding > 0) {
    const a = VALUE[bytes[whole]!]!;
    const b = VALUE[bytes[whole + 1]!]!;
    const c = padding === 2 ? 0 : VALUE[bytes[whole + 2]!]!;
    bad |= a | b | c;
    // What is left of the last digit must be zero, or several texts would mean these bytes.
    if ((padding === 2 ? b & 15 : c & 3) !== 0) bad = BAD;
    out[to] = (a << 2) | (b >> 4);
    if (padding === 1) out[to + 1] = (b << 4) | (c >> 2);
  }
  if (bad >= BAD) return NOTHING;
  scan.at = end + 1;
  return out;
}

/** Text up to a quotation mark, which is passed, where `pattern` takes all of it; it is ASCII then, without escapes. */
export function textNext(scan: Scan, pattern: RegExp, max: number): string {
  const { bytes, at } = scan;
  const end = at < 0 ? -1 : bytes.indexOf(QUOTE, at);
  scan.at = -1;
  if (end < 0 || end - at > max) return "";
  const text = asText(bytes, at, end);
  if (!pattern.test(text)) return "";
  scan.at = end + 1;
  return text;
}

/** Lower-case hex of `size` bytes, and the quotation mark behind it; as text. */
export function hexNext(scan: Scan, size: number): string {
  const { bytes, at } = scan;
  const end = at + 2 * size;
  scan.at = -1;
  if (at < 0 || bytes[end] !== QUOTE) return "";
  for (let i = at; i < end; i++) {
    const c = bytes[i]!;
    if (c < 48 || c > 102 || (c > 57 && c < 97)) return "";
  }
  scan.at = end + 1;
  return asText(bytes, at, end);
}

/** Bytes as characters of the same numbers; few at a time. */
function asText(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
}
