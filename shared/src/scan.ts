// Canonical JSON of one known form, read from its bytes in one go: what a fleet has by the million.
//
//   {"payload":"   bytes of base64   ","payloadType":"application/vnd.in-toto+json","signatures":[ …
//   word           base64            word                                                       …
//
// Between the values of such a line stands always the same text, so nothing has to be parsed, built and printed
// again to know that it is canonical. A scan accepts less than readJson (json.ts) and never more or otherwise: where
// a byte is not as expected it says null, and readJson reads the line and says what is wrong with it.

const QUOTE = 0x22;
const NOTHING = new Uint8Array(0);

/** Bytes with a place to read at; at -1 nothing more is read. */
export interface Scan {
  readonly bytes: Uint8Array;
  at: number;
  /** What was decoded, one after another: memory of its own for each takes longer than decoding. */
  room: Uint8Array;
  used: number;
}

export const startScan = (bytes: Uint8Array): Scan => ({ bytes, at: 0, room: NOTHING, used: 0 });

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BAD = 1 << 24;

/** What a digit is worth at one place of four, by its character. */
function worthAt(shift: number): Int32Array {
  const worth = new Int32Array(256).fill(BAD);
  for (let i = 0; i < 64; i++) worth[DIGITS.charCodeAt(i)] = i << shift;
  return worth;
}
const FIRST = worthAt(18);
const SECOND = worthAt(12);
const THIRD = worthAt(6);
const FOURTH = worthAt(0);

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

/** Canonical base64 of `min` to `max` bytes up to a quotation mark, which is passed, or ends the scan. A view of the scan's room. */
export function base64Next(scan: Scan, min: number, max: number): Uint8Array {
  const { bytes, at } = scan;
  const end = at < 0 ? -1 : bytes.indexOf(QUOTE, at);
  const digits = end - at;
  scan.at = -1;
  if (end < 0 || digits === 0 || digits % 4 !== 0) return NOTHING;
  const padding = bytes[end - 1] !== 0x3d ? 0 : bytes[end - 2] !== 0x3d ? 1 : 2;
  const length = (digits / 4) * 3 - padding;
  if (length < min || length > max) return NOTHING;
  const out = roomFor(scan, at, length);
  const whole = padding === 0 ? end : end - 4;
  let bad = 0;
  let to = 0;
  for (let i = at; i < whole; i += 4) {
    const three = FIRST[bytes[i]!]! | SECOND[bytes[i + 1]!]! | THIRD[bytes[i + 2]!]! | FOURTH[bytes[i + 3]!]!;
    bad |= three;
    out[to] = three >> 16;
    out[to + 1] = three >> 8;
    out[to + 2] = three;
    to += 3;
  }
  if (padding > 0) {
    const three =
      FIRST[bytes[whole]!]! | SECOND[bytes[whole + 1]!]! | (padding === 2 ? 0 : THIRD[bytes[whole + 2]!]!);
    bad |= three;
    // What is left of the last digit must be zero, or several texts would mean these bytes.
    if ((three & (padding === 2 ? 0xffff : 0xff)) !== 0) bad = BAD;
    out[to] = three >> 16;
    if (padding === 1) out[to + 1] = three >> 8;
  }
  if (bad >= BAD) return NOTHING;
  scan.at = end + 1;
  return out;
}

/** The next bytes of the scan's room. Four digits are three bytes, so what is left of the text never fills more than there is. */
function roomFor(scan: Scan, at: number, length: number): Uint8Array {
  if (scan.used === 0) scan.room = new Uint8Array(((scan.bytes.length - at) >> 2) * 3);
  const start = scan.used;
  scan.used += length;
  return scan.room.subarray(start, scan.used);
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
