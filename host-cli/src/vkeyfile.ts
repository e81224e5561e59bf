// Verifier keys on the command line: a file of one line, or the line itself.

import { utf8Decode } from "@vouch/shared/bytes";
import { Refusal } from "@vouch/shared/refusal";
import { parseVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { readInput } from "./readfiles";

const MAX_VKEY_FILE = 16 * 1024;

/** A file was named where its public half belongs: refuses `private-key` before any of it is quoted. */
export function refusePrivate(text: string, half: string): void {
  if (text.includes("PRIVATE KEY-----"))
    throw new Refusal("private-key", "this is a private key, which stays with whom it belongs to", {
      hint: `the ${half} file beside it is the public half`,
    });
}

/** The verifier key in a one-line file, or given as the argument itself. */
export function readVkey(fileOrText: string): Vkey {
  if (/^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/.test(fileOrText)) return parseVkey(fileOrText, nodeCrypto);
  return about(fileOrText, () => {
    const text = utf8Decode(readInput(fileOrText, MAX_VKEY_FILE)) ?? "";
    refusePrivate(text, ".vkey");
    return parseVkey(text.replace(/\r?\n$/, ""), nodeCrypto);
  });
}
