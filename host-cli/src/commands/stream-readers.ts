// Who may read a stream that is recorded: public keys given as flags.

import { existsSync } from "node:fs";
import { fromBase64, fromHex, utf8Decode } from "@vouch/shared/bytes";
import { quote } from "@vouch/shared/refusal";
import { about, usage } from "../exit";
import { readInput } from "../files";

const MAX_FILE = 1024;

/** A reader's public key, or the file with it. */
function readReaderKey(keyOrFile: string): Uint8Array {
  const isFile = existsSync(keyOrFile);
  const text = isFile ? (utf8Decode(readInput(keyOrFile, MAX_FILE)) ?? "").trim() : keyOrFile;
  const key = fromHex(text) ?? fromBase64(text);
  if (key?.length === 32) return key;
  throw about("--reader", () => usage(`found ${quote(text)}, expected an X25519 public key or its file`));
}

export const readReaderKeys = (given: readonly string[]): Uint8Array[] => given.map(readReaderKey);

export function watchReaders(_recording: string, given: readonly Uint8Array[]): () => readonly Uint8Array[] {
  return () => given;
}
