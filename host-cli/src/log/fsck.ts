// Everything in a log's folder, recomputed from the records up, in one pass and little memory.
//
//   bundle after bundle ──▶ grow the tree again ──▶ each tile as it should be == the file of it
//                                               └─▶ the root == the checkpoint's
//
// What differs is told by its file's name. When the records give the checkpoint's root, a tile that differs is the
// one that was changed; when they don't, and the tiles do, the bundle is; when records and tiles agree with one
// another, the checkpoint is. What else lies there is looked at as well: earlier partial tiles begin like their
// successors, the index passes its own checks, and what an append that was cut short has left is counted and
// left alone, as the next append overwrites it. What waits for witnesses is none of that, and is to be kept.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type Checkpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { rootOf } from "@vouch/shared/merkle";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import {
  decodeEntries,
  decodeTile,
  MAX_ENTRY,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tileReader,
} from "@vouch/shared/tiles";
import { nodeCrypto } from "../crypto";
import { readStored } from "../readfiles";
import { damaged, openTiledLog, type TiledLog } from "../tiledlog";
import { growTree } from "../treegrowth";
import { IndexDamaged, listRuns, openRun, type RunReader } from "./index";
import { readPending } from "./pending";

const MAX_BUNDLE = TILE_WIDTH * (2 + MAX_ENTRY);
const NAMED = 20; // damaged files that are told by name
const LEFTOVER = /^\..*\.[0-9]{1,10}-[0-9a-f]{12}\.tmp$/;

export interface Checked {
  readonly log: TiledLog;
  /** Files of appends that were cut short: not part of the log, and overwritten by the next one. */
  readonly leftovers: number;
  /** How large the log will be once witnesses have cosigned what waits for them (pending.ts); null when nothing does. */
  readonly waiting: bigint | null;
  /** Bytes of records. */
  readonly bytes: number;
}

/**
 * Recomputes a log. Refuses `log-damaged`, which names the files, `index-damaged`, `not-a-log`, and what reading the
 * checkpoint, what waits or `visit` refuses. `visit` sees each record; what it saw counts only when this returns.
 */
export function checkFolder(
  folder: string,
  visit: (record: Uint8Array, index: bigint) => void,
  progress: (done: bigint, size: bigint) => void = () => {},
): Checked {
  const checkpoint = readCheckpoint(folder);
  const wrong = new Map<string, string>();
  const note = (path: string, why: string) => {
    if (wrong.size < NAMED && !wrong.has(path)) wrong.set(path, why);
  };
  // A record that was changed is refused for what it says now; that counts only if it wasn't changed.
  let refused: unknown;
  const look = (record: Uint8Array, index: bigint) => {
    if (refused !== undefined) return;
    try {
      visit(record, index);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused = error;
    }
  };
  const { root, bytes, torn } = recompute(folder, checkpoint, look, note, progress);
  if (torn === null && !equalBytes(root, checkpoint.root)) blame(folder, checkpoint, root, wrong, note);
  const { temporary, ahead } = checkOthers(folder, checkpoint.size, note, (path) => wrong.has(path));
  if (wrong.size > 0) throw damaged(describe(wrong));
  if (refused !== undefined) throw refused;
  const log = openTiledLog(folder);
  checkIndex(log);
  const waiting = readPending(log)?.size ?? null;
  const leftovers = temporary + ahead.filter((tile) => isAhead(tile, waiting ?? log.size)).length;
  return { log, leftovers, waiting, bytes };
}

function readCheckpoint(folder: string): Checkpoint {
  if (!existsSync(join(folder, "checkpoint"))) openTiledLog(folder); // refuses, with a hint
  return parseCheckpoint(parseNote(readStored(join(folder, "checkpoint"), MAX_NOTE)).text);
}

const describe = (wrong: ReadonlyMap<string, string>) =>
  [...wrong].map(([path, why]) => `${path} ${why}`).join("; ");

type Note = (path: string, why: string) => void;

const pathOf = (tile: Tile) => tilePath(tile.level, tile.index, tile.width);

/** The file of a tile that the checkpoint commits to: by its width, else the full one, which begins alike. */
function fileOf(
  folder: string,
  tile: Tile,
  note: Note,
): { path: string; bytes: Uint8Array; width: number } | null {
  for (const width of tile.width < TILE_WIDTH ? [tile.width, TILE_WIDTH] : [TILE_WIDTH]) {
    const path = pathOf({ ...tile, width });
    if (!existsSync(join(folder, path))) continue;
    try {
      return { path, bytes: readStored(join(folder, path), MAX_BUNDLE), width };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      note(path, `can't be read: ${error.message}`);
      return null;
    }
  }
  note(pathOf(tile), "is missing");
  return null;
}

/** Reads all bundles and compares every tile; `torn` is the first bundle that can't be read. */
function recompute(
  folder: string,
  { size }: Checkpoint,
  visit: (record: Uint8Array, index: bigint) => void,
  note: Note,
  progress: (done: bigint, size: bigint) => void,
): { root: Uint8Array; bytes: number; torn: bigint | null } {
  const nothing = {
    size: 0n,
    hashReader: { hash: () => new Uint8Array(32) },
    entry: () => new Uint8Array(0),
  };
  const tree = growTree(nothing, (tile, expected) => {
    if (tile.level === "entries") return;
    const file = fileOf(folder, tile, note);
    if (file === null) return;
    if (file.bytes.length !== 32 * file.width) note(file.path, `is ${file.bytes.length} bytes long`);
    else if (!equalBytes(file.bytes.subarray(0, expected.length), expected))
      note(file.path, "isn't what the records hash to");
  });
  let bytes = 0;
  for (let at = 0n; at < size; at += 256n) {
    const left = size - at;
    const width = left < 256n ? Number(left) : TILE_WIDTH;
    const file = fileOf(folder, { level: "entries", index: at >> 8n, width }, note);
    const records = file && decodeBundle(file, note);
    if (records === null) return { root: new Uint8Array(32), bytes, torn: at >> 8n };
    for (const record of records.slice(0, width)) {
      bytes += record.length;
      visit(record, tree.add(record));
    }
    progress(at + BigInt(width), size);
  }
  return { root: tree.finish(), bytes, torn: null };
}

function decodeBundle(
  file: { path: string; bytes: Uint8Array; width: number },
  note: Note,
): Uint8Array[] | null {
  try {
    return decodeEntries(file.bytes, file.width);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    note(file.path, `can't be read: ${error.message}`);
    return null;
  }
}

/** The records don't give the checkpoint's root: tells which of records, tiles and checkpoint to doubt. */
function blame(
  folder: string,
  { size, root }: Checkpoint,
  found: Uint8Array,
  wrong: Map<string, string>,
  note: Note,
): void {
  const tiles = [...wrong.keys()];
  if (tiles.length === 0) {
    note("checkpoint", `says root ${toHex(root)}, records and tiles give ${toHex(found)}`);
    return;
  }
  // From here on the tiles are judged by one another: those that lead to the checkpoint's root are as they were.
  const suspects = tiles.filter((path) => path.startsWith("tile/0/"));
  if (suspects.length === 0 || !tilesGive(folder, size, root)) return;
  wrong.clear();
  for (const path of suspects)
    note(path.replace("tile/0/", "tile/entries/"), "isn't what its tile commits to");
}

/** Whether tiles alone, each full one by the hash above it, lead to the root. */
function tilesGive(folder: string, size: bigint, root: Uint8Array): boolean {
  const read = (tile: Tile) => {
    const file = fileOf(folder, tile, () => {});
    if (file === null) throw damaged(`there is no ${pathOf(tile)}`);
    return decodeTile(file.bytes, file.width).slice(0, tile.width);
  };
  try {
    const reader = tileReader(size, read, nodeCrypto);
    if (!equalBytes(rootOf(size, reader, nodeCrypto), root)) return false;
    for (let level = 0; size >> BigInt(8 * level + 8) > 0n; level++)
      for (let index = 0n; index < size >> BigInt(8 * level + 8); index++)
        if (
          !equalBytes(reader.hash(8 * level + 8, index), tileRoot(read({ level, index, width: TILE_WIDTH })))
        )
          return false;
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
}

function tileRoot(hashes: readonly Uint8Array[]): Uint8Array {
  const reader = tileReader(256n, () => hashes, nodeCrypto);
  return rootOfHalves(reader.hash(7, 0n), reader.hash(7, 1n));
}

const rootOfHalves = (left: Uint8Array, right: Uint8Array) =>
  nodeCrypto.sha256(Buffer.concat([Uint8Array.of(1), left, right]));

/** What lies below tile/ and isn't in the tree of this size. */
function checkOthers(
  folder: string,
  size: bigint,
  note: Note,
  isWrong: (path: string) => boolean,
): { temporary: number; ahead: Tile[] } {
  let temporary = 0;
  const ahead: Tile[] = [];
  const walk = (below: string) => {
    for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
      const path = `${below}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (LEFTOVER.test(entry.name)) temporary++;
      else {
        const tile = entry.isFile() ? parseTilePath(path) : null;
        if (tile === null) note(path, "is no file of a log");
        else if (isAhead(tile, size)) ahead.push(tile);
        else checkEarlier(folder, tile, size, note, isWrong);
      }
    }
  };
  if (existsSync(join(folder, "tile"))) walk("tile");
  return { temporary, ahead };
}

/** How many hashes or records the tile has in a tree of `size`. */
function widthIn(size: bigint, { level, index }: Tile): bigint {
  const stored = level === "entries" ? size : size >> BigInt(8 * level);
  return stored - index * 256n;
}

const isAhead = (tile: Tile, size: bigint) => BigInt(tile.width) > widthIn(size, tile);

/**
 * A partial tile that was outgrown since: it begins like the one in its place, which was compared before. Where that
 * one is wrong, its predecessors aren't blamed for differing from it.
 */
function checkEarlier(
  folder: string,
  tile: Tile,
  size: bigint,
  note: Note,
  isWrong: (path: string) => boolean,
): void {
  const now = widthIn(size, tile);
  const width = now < 256n ? Number(now) : TILE_WIDTH;
  if (tile.width === width) return;
  const path = pathOf(tile);
  const whole = fileOf(folder, { ...tile, width }, () => {});
  if (whole === null || isWrong(whole.path)) return;
  const bytes = readStored(join(folder, path), MAX_BUNDLE);
  if (equalBytes(bytes, whole.bytes.subarray(0, bytes.length)) && lengthFits(tile, bytes)) return;
  note(path, `isn't the beginning of ${whole.path}`);
}

function lengthFits(tile: Tile, bytes: Uint8Array): boolean {
  if (tile.level !== "entries") return bytes.length === 32 * tile.width;
  try {
    return decodeEntries(bytes, tile.width).length === tile.width;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
}

/** Every page of every index file that readers would use. */
function checkIndex(log: TiledLog): void {
  for (const run of listRuns(log.folder)) {
    if (run.to > log.size) continue; // an append that was cut short made it
    let reader: RunReader | null = null;
    try {
      reader = openRun(log, run);
      for (let page = 0; page < reader.pages; page++) reader.page(page);
    } catch (error) {
      if (!(error instanceof IndexDamaged)) throw error;
      throw new Refusal("index-damaged", error.message, {
        hint: "remove it: the next `vouch log add` makes it again, and nothing is proved by it",
        cause: error,
      });
    } finally {
      reader?.close();
    }
  }
}
