// Where a log keeps what ledgers gave for its checkpoints:
//
//   LOG/anchors/<size>/checkpoint             the anchored note, exactly
//   LOG/anchors/<size>/<kind>.tlog-proof      a ledger's receipt for it
//
// The note is written first: a folder with a note and no receipt is an anchor
// that was cut short, which the next attempt finishes and readers pass over.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { type Checkpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { about } from "../exit";
import { readInput, writeWhole } from "../files";
import { damaged, makeFolders } from "../tiledlog";

const MAX_RECEIPT = 256 * 1024;
const RECEIPT = /^([a-z][a-z0-9-]{0,31})\.tlog-proof$/;

export interface Anchor {
  readonly size: bigint;
  readonly checkpoint: Checkpoint;
  /** The anchored checkpoint note. */
  readonly note: Uint8Array;
  /** By kind of ledger, in the order of their names. */
  readonly receipts: readonly { readonly kind: string; readonly proof: Uint8Array }[];
}

/** Anchored checkpoints, ascending by size. Nothing is verified but that each lies where its size says. */
export function listAnchors(logFolder: string): Anchor[] {
  const folder = join(logFolder, "anchors");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .filter((name) => /^(0|[1-9][0-9]{0,18})$/.test(name))
    .map((name) => about(join(folder, name), () => readAnchor(join(folder, name), BigInt(name))))
    .filter((anchor) => anchor !== null)
    .sort((a, b) => (a.size < b.size ? -1 : 1));
}

function readAnchor(folder: string, size: bigint): Anchor | null {
  const kinds = readdirSync(folder).flatMap((name) => RECEIPT.exec(name)?.[1] ?? []);
  if (kinds.length === 0) return null;
  const note = readInput(join(folder, "checkpoint"), MAX_NOTE);
  const checkpoint = parseCheckpoint(parseNote(note).text);
  if (checkpoint.size !== size)
    throw damaged(`the anchor of size ${size} holds a checkpoint of size ${checkpoint.size}`);
  const receipts = kinds
    .sort()
    .map((kind) => ({ kind, proof: readInput(join(folder, `${kind}.tlog-proof`), MAX_RECEIPT) }));
  return { size, checkpoint, note, receipts };
}

/**
 * Keeps a receipt. Refuses `anchor-conflict` when another note of that size is there, which is another history,
 * and `receipt-conflict` when another receipt for the note is: right or not, one of the two is to be looked at.
 */
export function storeAnchor(logFolder: string, note: Uint8Array, kind: string, receipt: Uint8Array): void {
  const { size } = parseCheckpoint(parseNote(note).text);
  const folder = join(logFolder, "anchors", String(size));
  makeFolders(folder);
  keep(join(folder, "checkpoint"), note, "anchor-conflict");
  keep(join(folder, `${kind}.tlog-proof`), receipt, "receipt-conflict");
}

function keep(path: string, bytes: Uint8Array, conflict: string): void {
  if (!existsSync(path) && create(path, bytes)) return;
  if (equalBytes(readInput(path, MAX_RECEIPT), bytes)) return;
  throw new Refusal(conflict, `${path} holds something else than what was just anchored`);
}

/** False when another process has just made it. */
function create(path: string, bytes: Uint8Array): boolean {
  try {
    writeWhole(path, bytes, { overwrite: false });
    return true;
  } catch (error) {
    if (isRefusal(error) && error.code === "exists") return false;
    throw error;
  }
}
