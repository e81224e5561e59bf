// Readers' public keys as lines to hand to others, and the file that says who reads a stream.
//
//   name+kid+key          kid: 16 hex digits, the first 8 bytes of H("reader", key); key: X25519, 32 bytes in base64
//
//   {"version":"vouch-readers/v1","mode":2,"readers":["name+kid+key",…]}
//
// A verifier key of C2SP has 8 hex digits in the middle and a reader's 16, so neither is taken for the other; the kid
// also shows a typing error. A key of small order is refused: whatever is wrapped for it would be readable to all.

import { equalBytes, fromBase64, fromHex, toBase64, toHex } from "./bytes";
import { formatJson, parseJson } from "./json";
import { quote, Refusal } from "./refusal";
import { MODE_NAMES, MODE_PRIVATE, MODE_PUBLIC, MODE_RESTRICTED, READERS_MAX, readerKid } from "./stream";
import { isKeyName } from "./vkey";
import { x25519 } from "./x25519";

export const READERS_VERSION = "vouch-readers/v1";
export const MAX_READERS_FILE = 16 * 1024;

export interface Reader {
  readonly name: string;
  readonly publicKey: Uint8Array;
}

const malformed = (found: string) =>
  new Refusal("malformed-reader", `found ${found}, expected a reader's key, name+kid+key`);

export function formatReader({ name, publicKey }: Reader): string {
  return `${name}+${toHex(readerKid(publicKey))}+${toBase64(publicKey)}`;
}

/** Refuses `malformed-reader`, `reader-mismatch` for a kid of another key, `reader-order` for a key of small order. */
export function parseReader(line: string): Reader {
  const [, name = "", kid = "", key = ""] =
    /^([^+]*)\+([0-9a-f]{16})\+([A-Za-z0-9+/]{43}=)$/.exec(line) ?? [];
  const publicKey = fromBase64(key);
  if (!isKeyName(name) || publicKey?.length !== 32) throw malformed(quote(line));
  if (!equalBytes(readerKid(publicKey), fromHex(kid)!))
    throw new Refusal(
      "reader-mismatch",
      `the key of ${quote(name)} has kid ${toHex(readerKid(publicKey))}, the line says ${kid}`,
    );
  checkReaderKey(publicKey);
  return { name, publicKey };
}

/** Refuses `reader-order`. */
function checkReaderKey(publicKey: Uint8Array): void {
  const shared = x25519(new Uint8Array(32).fill(1), publicKey);
  if (shared.every((byte) => byte === 0))
    throw new Refusal("reader-order", "the key has small order: what is wrapped for it, everybody reads");
}

export interface ReadersFile {
  /** MODE_… of stream.ts. */
  readonly mode: number;
  readonly readers: readonly Reader[];
}

export function formatReadersFile({ mode, readers }: ReadersFile): Uint8Array {
  return formatJson({ version: READERS_VERSION, mode, readers: readers.map(formatReader) });
}

/** Refuses `malformed-readers`, `malformed-json`, `not-canonical-json`, `unsupported-version`, `too-many-readers`, and what a line is refused for. */
export function parseReadersFile(file: Uint8Array): ReadersFile {
  const json = parseJson(file, "readers", MAX_READERS_FILE);
  const found = (json ?? {}) as Record<string, unknown>;
  const { version, mode, readers } = found;
  if (
    typeof version === "string" &&
    /^vouch-readers\/v[0-9]{1,6}$/.test(version) &&
    version !== READERS_VERSION
  )
    throw new Refusal("unsupported-version", `readers are ${quote(version)}, expected ${READERS_VERSION}`);
  const isList = Array.isArray(readers) && readers.every((line) => typeof line === "string");
  const isShaped = Object.keys(found).join() === "version,mode,readers" && version === READERS_VERSION;
  if (
    !isShaped ||
    !isList ||
    !Number.isInteger(mode) ||
    (mode as number) < 0 ||
    (mode as number) > MODE_RESTRICTED
  )
    throw new Refusal(
      "malformed-readers",
      `expected {"version":"${READERS_VERSION}","mode":0..2,"readers":[…]}`,
    );
  const parsed = { mode: mode as number, readers: (readers as string[]).map(parseReader) };
  checkReaders(parsed);
  return parsed;
}

const PRIVATE_HINT =
  "what was recorded is granted without --next; a stream of several readers is recorded with --mode restricted";

/** None for a public stream, one for a private, one to four others; none twice. Refuses `too-many-readers`, `reader-twice`. */
export function checkReaders({ mode, readers }: ReadersFile): void {
  const max = mode === MODE_PUBLIC ? 0 : mode === MODE_PRIVATE ? 1 : READERS_MAX;
  if (readers.length > max || (mode !== MODE_PUBLIC && readers.length === 0))
    throw new Refusal(
      "too-many-readers",
      `found ${readers.length} readers, a ${MODE_NAMES[mode]} stream has ${max < 2 ? max : `1 to ${max}`}`,
      mode === MODE_PRIVATE && readers.length > 1 ? { hint: PRIVATE_HINT } : {},
    );
  if (new Set(readers.map(({ publicKey }) => toHex(publicKey))).size < readers.length)
    throw new Refusal("reader-twice", "a reader is named twice");
}
