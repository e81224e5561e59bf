// Verifier keys on the command line: a file of one line, or the line itself.

import { utf8Decode } from "@vouch/shared/bytes";
import { parseVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { readInput } from "./files";

const MAX_VKEY_FILE = 16 * 1024;

/** The verifier key in a one-line file, or given as the argument itself. */
export function readVkey(fileOrText: string): Vkey {
  if (/^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/.test(fileOrText)) return parseVkey(fileOrText, nodeCrypto);
  return about(fileOrText, () => {
    const text = utf8Decode(readInput(fileOrText, MAX_VKEY_FILE)) ?? "";
    return parseVkey(text.replace(/\r?\n$/, ""), nodeCrypto);
  });
}
