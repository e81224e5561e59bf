// Where a log keeps what ledgers gave for its checkpoints:
//
//   LOG/anchors/<size>/checkpoint             the anchored note, exactly
//   LOG/anchors/<size>/<kind>.tlog-proof      a ledger's receipt for it
//   LOG/anchors/<size>/rebased.receipt        that of IOTA's ledger
//   LOG/anchors/<size>/stardust.receipt       that of a Tangle
//   LOG/anchors/<size>/rebased.draft          its transaction, until the receipt is there (drafts.ts)
//
// The note is written first: a folder with a note and no receipt is an anchor
// that was cut short, which the next attempt finishes and readers pass over.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { type Checkpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { rootOf } from "@vouch/shared/merkle";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { keepFraud } from "../fraudfile";
import { readStored } from "../readfiles";
import { damaged, makeFolders, type TiledLog } from "../tiledlog";
import { writeWhole } from "../writefiles";

const MAX_RECEIPT = 1024 * 1024; // contents of a busy checkpoint of a public ledger
const RECEIPT = /^(?:([a-z][a-z0-9-]{0,31})\.tlog-proof|(rebased|stardust)\.receipt)$/;

const NETWORKS: readonly string[] = ["rebased", "stardust"];
const receiptName = (kind: string) => (NETWORKS.includes(kind) ? `${kind}.receipt` : `${kind}.tlog-proof`);

export const anchorFolder = (logFolder: string, size: bigint) => join(logFolder, "anchors", String(size));

export interface Anchor {
  readonly size: bigint;
  readonly checkpoint: Checkpoint;
  /** The anchored checkpoint note. */
  readonly note: Uint8Array;
  /** By kind of ledger, in the order of their names. */
  readonly receipts: readonly { readonly kind: string; readonly proof: Uint8Array }[];
}

const SIZE = /^(0|[1-9][0-9]{0,18})$/;

/** Anchored checkpoints, ascending by size. Nothing is verified but that each lies where its size says. */
export function listAnchors(logFolder: string): Anchor[] {
  const folder = join(logFolder, "anchors");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .filter((name) => SIZE.test(name))
    .map((name) => about(join(folder, name), () => readAnchor(join(folder, name), BigInt(name))))
    .filter((anchor) => anchor !== null)
    .sort((a, b) => (a.size < b.size ? -1 : 1));
}

function readAnchor(folder: string, size: bigint): Anchor | null {
  const kinds = readdirSync(folder).flatMap((name) => {
    const match = RECEIPT.exec(name);
    return match?.[1] ?? match?.[2] ?? [];
  });
  if (kinds.length === 0) return null;
  const note = readStored(join(folder, "checkpoint"), MAX_NOTE);
  const checkpoint = parseCheckpoint(parseNote(note).text);
  if (checkpoint.size !== size)
    throw damaged(`the anchor of size ${size} holds a checkpoint of size ${checkpoint.size}`);
  const receipts = kinds
    .sort()
    .map((kind) => ({ kind, proof: readStored(join(folder, receiptName(kind)), MAX_RECEIPT) }));
  return { size, checkpoint, note, receipts };
}

/**
 * The anchored checkpoint of the largest size, or null. With or without a receipt beside it: a note lies there once
 * a ledger has it. Whoever compares with the log takes this first: the log may grow at any time, and never shrinks.
 */
export function newestAnchored(logFolder: string): AnchoredNote | null {
  const folder = join(logFolder, "anchors");
  const noted = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => SIZE.test(name) && existsSync(join(folder, name, "checkpoint")))
    .map(BigInt)
    .sort((a, b) => (a < b ? -1 : 1));
  const newest = noted.at(-1);
  if (newest === undefined) return null;
  const path = join(folder, String(newest), "checkpoint");
  return about(path, () => {
    const note = readStored(path, MAX_NOTE);
    return { ...parseCheckpoint(parseNote(note).text), note };
  });
}

export interface AnchoredNote extends Checkpoint {
  readonly note: Uint8Array;
}

/**
 * Refuses `log-forked` when the log is behind the anchored checkpoint, or isn't the log that was anchored: one that
 * was restored from a backup, as a rule. Whatever is signed for it then contradicts what a ledger already holds. When
 * the log's key is given, and has signed both already, the proof of that is written (fraudfile.ts).
 */
export function checkNotForked(log: TiledLog, anchored: AnchoredNote | null, logKey?: Vkey): void {
  if (anchored === null) return;
  const { origin, size, root } = anchored;
  const hint = `put the log of at least ${size} records back, or start one under another name`;
  if (size > log.size) {
    const found = `the log has ${log.size} records, a checkpoint of ${size} is anchored already`;
    throw new Refusal("log-forked", found, { hint });
  }
  const same = equalBytes(rootOf(size, log.hashReader, nodeCrypto), root);
  if (origin !== log.checkpoint.origin || !same) {
    const found = `the anchored checkpoint of size ${size} isn't that of this log's first ${size} records`;
    const kept = logKey && keepFraud([anchored.note, log.note], log.hashReader, logKey);
    throw new Refusal("log-forked", found, { hint: kept?.hint ?? hint });
  }
}

/**
 * Keeps a receipt; gives its path. Refuses `anchor-conflict` when another note of that size is there, which is another history,
 * and `receipt-conflict` when another receipt for the note is: right or not, one of the two is to be looked at.
 */
export function storeAnchor(
  logFolder: string,
  note: Uint8Array,
  kind: string,
  receipt: Uint8Array,
  logKey?: Vkey,
): string {
  const folder = anchorFolder(logFolder, sizeOf(note));
  makeFolders(folder);
  keep(join(folder, "checkpoint"), note, "anchor-conflict", logKey);
  const path = join(folder, receiptName(kind));
  keep(path, receipt, "receipt-conflict");
  return path;
}

const sizeOf = (note: Uint8Array) => parseCheckpoint(parseNote(note).text).size;

/** The receipt of that kind kept for exactly this note, and where; null when there is none. Refuses `anchor-conflict`. */
export function keptReceipt(
  logFolder: string,
  note: Uint8Array,
  kind: string,
  logKey?: Vkey,
): { path: string; receipt: Uint8Array } | null {
  const folder = anchorFolder(logFolder, sizeOf(note));
  const path = join(folder, receiptName(kind));
  if (!existsSync(path)) return null;
  keep(join(folder, "checkpoint"), note, "anchor-conflict", logKey);
  return { path, receipt: readStored(path, MAX_RECEIPT) };
}

function keep(path: string, bytes: Uint8Array, conflict: string, logKey?: Vkey): void {
  if (!existsSync(path) && create(path, bytes)) return;
  const there = readStored(path, MAX_RECEIPT);
  if (equalBytes(there, bytes)) return;
  const kept = logKey && keepFraud([there, bytes], null, logKey);
  const found = `${path} holds something else than what was just anchored`;
  throw new Refusal(conflict, found, kept ? { hint: kept.hint } : {});
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
