// Where a contradiction goes that some command has met: a fraud proof as a file, for people to pass on.
//
//   fwlog.acme.example-5-8.fraud.json      origin and the two sizes, in the current folder
//
// Nothing is written that doesn't pass the verifier, read back from the very bytes. A file that is there is
// never written over: one that says the same is the one; beside another, this one gets a number.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import {
  type FraudProof,
  formatFraud,
  MAX_FRAUD,
  parseFraud,
  proveFraud,
  verifyFraud,
} from "@vouch/shared/fraud";
import type { HashReader } from "@vouch/shared/merkle";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";
import { readInput } from "./readfiles";
import { writeWhole } from "./writefiles";

const MOST_FILES = 1000;

/**
 * Writes the proof; gives its path. `where` is a folder, or the file's own name. Refuses as verifyFraud does, `exists`
 * when the file is there and says something else, and what writing refuses.
 */
export function writeFraud(
  fraud: FraudProof,
  logKey: Vkey,
  where = ".",
  witnesses: readonly Vkey[] = [],
): string {
  const bytes = formatFraud(fraud);
  const { first, second } = verifyFraud(parseFraud(bytes), logKey, witnesses, nodeCrypto);
  if (!statSync(where, { throwIfNoEntry: false })?.isDirectory()) {
    if (!create(where, bytes)) throw new Refusal("exists", `${where} holds something else than this proof`);
    return where;
  }
  // An origin is any text without spaces; a file's name is less.
  const origin = logKey.name.replace(/[^A-Za-z0-9.-]/g, "_").slice(0, 64);
  for (let n = 1; n <= MOST_FILES; n++) {
    const number = n === 1 ? "" : `-${n}`;
    const path = join(where, `${origin}-${first.size}-${second.size}${number}.fraud.json`);
    if (create(path, bytes)) return path;
  }
  throw new Refusal("exists", `${where} holds ${MOST_FILES} other proofs of this name`);
}

/** True once the file holds exactly these bytes; false when it holds others. */
function create(path: string, bytes: Uint8Array): boolean {
  if (!existsSync(path)) {
    try {
      writeWhole(path, bytes, { overwrite: false });
      return true;
    } catch (error) {
      if (!isRefusal(error) || error.code !== "exists") throw error; // somebody was faster: look again
    }
  }
  return statSync(path).size <= MAX_FRAUD && equalBytes(readInput(path, MAX_FRAUD), bytes);
}

/**
 * For a command that has met two checkpoints which don't fit: writes the proof if there is one, and gives the hint for
 * its refusal. Null when nothing is proved: one isn't signed by this key, the smaller is a prefix of the larger,
 * or no hashes are at hand that lead to the larger one's root. Refuses nothing: the command has its own no to say.
 */
export function keepFraud(
  notes: readonly [Uint8Array, Uint8Array],
  tree: HashReader | readonly Uint8Array[] | null,
  logKey: Vkey,
  where?: string,
): { readonly path: string | null; readonly hint: string } | null {
  let fraud: FraudProof | null;
  try {
    fraud = proveFraud(notes, tree, logKey, nodeCrypto);
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
  if (fraud === null) return null;
  try {
    const path = writeFraud(fraud, logKey, where);
    return { path, hint: `${path} proves it to anybody: \`vouch verify --fraud ${path} --log-key VKEY\`` };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { path: null, hint: `the log contradicts itself, and the proof can't be kept: ${error.message}` };
  }
}
