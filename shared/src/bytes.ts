// Bytes and their texts: hex, base64, UTF-8, strict in both directions. [device]
//
// Every decoder takes exactly what its encoder writes, so a value has one text:
// hex is lower case, base64 (RFC 4648 section 4) is padded with zero bits left
// over, UTF-8 (RFC 3629) has no overlong forms and no surrogates. They return
// null for anything else. Engines on boards have no TextEncoder, Buffer or btoa,
// and some give back an Array from a typed array's slice: hence copyBytes.
//
// Where there is a Buffer it does the work: in a process that lives for a tenth
// of a second these loops would run uncompiled, or be compiled at once for
// nothing. It forgives where we don't, so what it read is printed again and
// compared. `portableBytes` are the loops, and pass the same tests.

interface NodeBytes extends Uint8Array {
  equals(other: Uint8Array): boolean;
  toString(encoding?: string): string;
}

// Undefined in the agent: its build says so, and the branches that ask are gone.
declare const Buffer:
  | {
      from(bytes: Uint8Array): NodeBytes;
      from(text: string, encoding?: string): NodeBytes;
      from(memory: ArrayBufferLike, start: number, length: number): NodeBytes;
    }
  | undefined;

// Below this many bytes a call into the platform costs more than the loop, once that is compiled.
const SHORT = 24;
const SHORT_TEXT = 64;
// V8 keeps this many bytes in the array itself, until somebody asks for a view of them: then they move, which costs more
// than copying them.
const NEAR = 64;

/** The byte strings one after another. */
export function concatBytes(list: Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < list.length; i++) length += list[i]!.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < list.length; i++) {
    out.set(list[i]!, at);
    at += list[i]!.length;
  }
  return out;
}

/** Not in constant time: nothing secret is compared here. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A copy that outlives the buffer it came from. */
export function copyBytes(source: Uint8Array, start: number, end: number): Uint8Array {
  const out = new Uint8Array(end - start);
  if (typeof Buffer !== "undefined" && end - start <= NEAR)
    for (let i = start; i < end; i++) out[i - start] = source[i]!;
  else out.set(source.subarray(start, end));
  return out;
}

const HEX = "0123456789abcdef";

function hexByLoop(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i++) {
    const b = bytes[i]!;
    out += HEX.charAt(b >> 4) + HEX.charAt(b & 15);
  }
  return out;
}

export function toHex(bytes: Uint8Array): string {
  if (typeof Buffer !== "undefined" && bytes.length >= SHORT)
    return (
      bytes.length <= NEAR ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    ).toString("hex");
  return hexByLoop(bytes);
}

// -1 for what isn't a digit; upper case isn't.
function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  if (c >= 97 && c <= 102) return c - 87;
  return -1;
}

export function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0) return null;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = hexDigit(text.charCodeAt(2 * i));
    const low = hexDigit(text.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) return null;
    out[i] = high * 16 + low;
  }
  return out;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function base64ByLoop(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const n = (bytes[i]! << 16) | ((left > 1 ? bytes[i + 1]! : 0) << 8) | (left > 2 ? bytes[i + 2]! : 0);
    out +=
      BASE64.charAt(n >> 18) +
      BASE64.charAt((n >> 12) & 63) +
      (left > 1 ? BASE64.charAt((n >> 6) & 63) : "=") +
      (left > 2 ? BASE64.charAt(n & 63) : "=");
  }
  return out;
}

export function toBase64(bytes: Uint8Array): string {
  if (typeof Buffer !== "undefined" && bytes.length >= SHORT)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  return base64ByLoop(bytes);
}

function base64Digit(c: number): number {
  if (c >= 65 && c <= 90) return c - 65;
  if (c >= 97 && c <= 122) return c - 71;
  if (c >= 48 && c <= 57) return c + 4;
  return c === 43 ? 62 : c === 47 ? 63 : -1;
}

function bytesOfBase64ByLoop(text: string): Uint8Array | null {
  const length = text.length;
  if (length % 4 !== 0) return null;
  let padding = 0;
  if (length > 0 && text.charCodeAt(length - 1) === 61) padding = text.charCodeAt(length - 2) === 61 ? 2 : 1;
  const out = new Uint8Array((length / 4) * 3 - padding);
  const digits = length - padding;
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const digit = base64Digit(text.charCodeAt(i));
    if (digit < 0) return null;
    held = ((held << 6) | digit) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (held >> bits) & 255;
    }
  }
  // What is left of the last digit must be zero, or several texts would mean these bytes.
  return (held & ((1 << bits) - 1)) === 0 ? out : null;
}

export function fromBase64(text: string): Uint8Array | null {
  if (typeof Buffer !== "undefined" && text.length >= SHORT) {
    const read = Buffer.from(text, "base64");
    return read.toString("base64") === text ? copyBytes(read, 0, read.length) : null;
  }
  return bytesOfBase64ByLoop(text);
}

function utf8ByLoop(text: string): Uint8Array {
  const out = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i);
    if (c >= 0xd800 && c < 0xe000) {
      const low = i + 1 < text.length ? text.charCodeAt(i + 1) : 0;
      if (c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else c = 0xfffd;
    }
    if (c < 0x80) out[at++] = c;
    else {
      if (c < 0x800) out[at++] = 0xc0 | (c >> 6);
      else {
        if (c < 0x10000) out[at++] = 0xe0 | (c >> 12);
        else {
          out[at++] = 0xf0 | (c >> 18);
          out[at++] = 0x80 | ((c >> 12) & 63);
        }
        out[at++] = 0x80 | ((c >> 6) & 63);
      }
      out[at++] = 0x80 | (c & 63);
    }
  }
  return copyBytes(out, 0, at);
}

/** UTF-8 of a text; a lone surrogate becomes U+FFFD, as in every encoder of the platform. */
export function utf8Encode(text: string): Uint8Array {
  if (typeof Buffer !== "undefined" && text.length >= SHORT_TEXT) {
    const written = Buffer.from(text);
    return copyBytes(written, 0, written.length);
  }
  return utf8ByLoop(text);
}

function textOfUtf8ByLoop(bytes: Uint8Array): string | null {
  let out = "";
  let i = 0;
  while (i < bytes.length) {
    let c = bytes[i++]!;
    if (c >= 0x80) {
      const more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
      const least = more === 3 ? 0x10000 : more === 2 ? 0x800 : 0x80;
      if (c < 0xc0 || c > 0xf4 || i + more > bytes.length) return null;
      c &= 0x3f >> more;
      for (let k = 0; k < more; k++) {
        const b = bytes[i++]!;
        if (b >> 6 !== 2) return null;
        c = (c << 6) | (b & 63);
      }
      if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return null;
      if (c >= 0x10000) {
        out += String.fromCharCode(0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + (c & 0x3ff);
      }
    }
    out += String.fromCharCode(c);
  }
  return out;
}

// Eight characters at a time, since each += makes a string; null at the first that isn't ASCII.
function asciiText(b: Uint8Array): string | null {
  let out = "";
  let i = 0;
  for (; i + 8 <= b.length; i += 8) {
    if ((b[i]! | b[i + 1]! | b[i + 2]! | b[i + 3]! | b[i + 4]! | b[i + 5]! | b[i + 6]! | b[i + 7]!) >= 0x80)
      return null;
    out += String.fromCharCode(
      b[i]!,
      b[i + 1]!,
      b[i + 2]!,
      b[i + 3]!,
      b[i + 4]!,
      b[i + 5]!,
      b[i + 6]!,
      b[i + 7]!,
    );
  }
  for (; i < b.length; i++) {
    if (b[i]! >= 0x80) return null;
    out += String.fromCharCode(b[i]!);
  }
  return out;
}

/** The text of UTF-8 bytes, or null. */
export function utf8Decode(bytes: Uint8Array): string | null {
  if (typeof Buffer !== "undefined") {
    if (bytes.length >= SHORT_TEXT) {
      const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      const text = view.toString();
      // Whatever is no UTF-8 was read as U+FFFD, and that is written otherwise.
      return Buffer.from(text).equals(view) ? text : null;
    }
    const ascii = asciiText(bytes);
    if (ascii !== null) return ascii;
  }
  return textOfUtf8ByLoop(bytes);
}

/** What every platform runs, for the tests. */
export const portableBytes = {
  toHex: hexByLoop,
  toBase64: base64ByLoop,
  fromBase64: bytesOfBase64ByLoop,
  utf8Encode: utf8ByLoop,
  utf8Decode: textOfUtf8ByLoop,
};
