// An append-only log as a folder of static files, in C2SP tlog-tiles form:
//
//   checkpoint                     signed note: origin, size, root
//   tile/<L>/<N>[.p/<W>]           256 (or W) hashes of level 8L
//   tile/entries/<N>[.p/<W>]       the same records themselves, u16be length before each
//
// The release log and the directory ledger are both such folders; what may be
// a record, and who signs, is theirs to say.
//
// An append writes the new tiles and bundles first, each whole and flushed,
// and the checkpoint last, by rename: that is the commit. A cut before it
// leaves the old checkpoint, whose tiles nobody touched: new ones differ in
// name, since a partial tile's name ends in its width. A cut after it leaves
// the new one with all of its tiles. Left-overs of a failed append are
// overwritten by the next one that gets there. Partial tiles stay until the
// full tile is committed, for readers of an older checkpoint (they go on to
// the full one, as tlog-tiles says).
//
// What is read back is not believed: the root is recomputed from the tiles on
// opening, and a record is compared with its leaf hash.

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { emptyRoot, type HashReader, leafHash, nodeHash, rootOf } from "@vouch/shared/merkle";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import {
  decodeEntries,
  decodeTile,
  encodeEntries,
  encodeTile,
  MAX_ENTRY,
  newTiles,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tileReader,
} from "@vouch/shared/tiles";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { readStored } from "./readfiles";
import { flushFolder, writeWhole } from "./writefiles";

const MAX_TILE = TILE_WIDTH * (2 + MAX_ENTRY);
const CACHED_TILES = 64;
const COMPUTED = 1024;

export interface TiledLog {
  readonly folder: string;
  /** The checkpoint note, exactly as it lies there. Its signatures are for the reader to verify. */
  readonly note: Uint8Array;
  readonly checkpoint: Checkpoint;
  readonly size: bigint;
  readonly hashReader: HashReader;
  /** The record at an index, checked against its leaf hash. Refuses `log-damaged`. */
  entry(index: bigint): Uint8Array;
  /** Where these exact bytes are a record, or null. */
  findLeaf(entry: Uint8Array): bigint | null;
}

/** Signs a checkpoint's text, giving the whole note. */
export type Publish = (checkpointText: string) => Promise<Uint8Array>;

/** Opens a log folder for reading. Refuses `not-a-log`, `log-damaged` and what parsing a checkpoint refuses. */
export const openTiledLog = (folder: string): TiledLog =>
  openTiledLogAt(folder, () => readCheckpointFile(folder));

/** The same, as of another checkpoint whose tiles lie there: an earlier one, or one that isn't published yet. */
export function openTiledLogAt(folder: string, noteOf: () => Uint8Array): TiledLog {
  return about(folder, () => {
    const note = noteOf();
    const checkpoint = parseCheckpoint(parseNote(note).text);
    const { size } = checkpoint;
    const hashReader = computedOnce(tileReader(size, remember(tilesIn(folder, decodeTile)), nodeCrypto));
    const bundles = remember(tilesIn(folder, decodeEntries));
    const root = rootOf(size, hashReader, nodeCrypto);
    if (!equalBytes(root, checkpoint.root)) {
      throw damaged(`the tiles give the root ${toHex(root)}, the checkpoint says ${toHex(checkpoint.root)}`);
    }
    const entry = (index: bigint): Uint8Array => {
      if (index < 0n || index >= size) throw new RangeError(`record ${index} is not in a log of ${size}`);
      const width = size - (index & ~0xffn);
      const bundle = bundles({
        level: "entries",
        index: index >> 8n,
        width: width < TILE_WIDTH ? Number(width) : TILE_WIDTH,
      });
      const found = bundle[Number(index & 0xffn)] as Uint8Array;
      if (!equalBytes(leafHash(found, nodeCrypto), hashReader.hash(0, index))) {
        throw damaged(`record ${index} doesn't hash to its leaf`);
      }
      return found;
    };
    const findLeaf = (wanted: Uint8Array): bigint | null => {
      const leaf = leafHash(wanted, nodeCrypto);
      for (let index = 0n; index < size; index++) {
        if (equalBytes(hashReader.hash(0, index), leaf)) return index;
      }
      return null;
    };
    const named = (index: bigint) => about(folder, () => entry(index)); // whoever reads many logs must know which
    return { folder, note, checkpoint, size, hashReader, entry: named, findLeaf };
  });
}

/** Makes an empty log. Refuses `exists` when the folder already holds one. */
export async function initTiledLog(folder: string, origin: string, publish: Publish): Promise<TiledLog> {
  const path = join(folder, "checkpoint");
  if (existsSync(path))
    throw new Refusal("exists", `${folder} already holds a log`, {
      hint: "go on with it, or name a new folder",
    });
  const note = await publish(formatCheckpoint({ origin, size: 0n, root: emptyRoot(nodeCrypto) }));
  makeFolders(folder);
  writeWhole(path, note, { overwrite: false });
  return openTiledLog(folder);
}

/** An append worked out but not yet made: what the new checkpoint says, and the files under it. */
export interface AppendPlan {
  readonly checkpointText: string;
  readonly files: readonly { readonly tile: Tile; readonly bytes: Uint8Array }[];
}

/** Writes nothing. Refuses `entry-too-large`, and `log-damaged` when the log's own right edge is. */
export function planAppend(log: TiledLog, entries: readonly Uint8Array[]): AppendPlan {
  const { size: before } = log;
  const size = before + BigInt(entries.length);
  const hashes = extendedReader(log, entries);
  const entryAt = (at: bigint) =>
    at < before ? log.entry(at) : (entries[Number(at - before)] as Uint8Array);
  const files = newTiles(before, size).map((tile) => {
    const at = (i: number) => tile.index * BigInt(TILE_WIDTH) + BigInt(i);
    const items = <T>(item: (i: number) => T) => Array.from({ length: tile.width }, (_, i) => item(i));
    const { level } = tile;
    if (level === "entries") return { tile, bytes: encodeEntries(items((i) => entryAt(at(i)))) };
    return { tile, bytes: encodeTile(items((i) => hashes.hash(8 * level, at(i)))) };
  });
  const root = rootOf(size, hashes, nodeCrypto);
  return { checkpointText: formatCheckpoint({ origin: log.checkpoint.origin, size, root }), files };
}

/** The lock keeps other writers away on this host; on a folder shared between hosts only this does. Refuses `locked`. */
export function checkUnchanged(log: TiledLog): void {
  if (equalBytes(readCheckpointFile(log.folder), log.note)) return;
  throw new Refusal("locked", "somebody else appended to the log meanwhile; nothing was published");
}

/**
 * Carries out a plan made for this very log, publishing `note`, the signed checkpoint. The caller holds the
 * folder's lock and opened `log` under it. Refuses `locked` when another writer came between all the same.
 */
export function commitAppend(log: TiledLog, plan: AppendPlan, note: Uint8Array): TiledLog {
  stageAppend(log, plan);
  return publishStaged(log, note);
}

/** Writes what lies under a new checkpoint, which nobody sees yet. The caller, and refuses, as above. */
export function stageAppend(log: TiledLog, plan: AppendPlan): void {
  checkUnchanged(log);
  for (const { tile, bytes } of plan.files) {
    const path = join(log.folder, pathOf(tile));
    makeFolders(dirname(path));
    writeWhole(path, bytes);
  }
}

/** Publishes a checkpoint whose tiles are staged on top of this very log. The caller, and refuses, as above. */
export function publishStaged(log: TiledLog, note: Uint8Array): TiledLog {
  checkUnchanged(log);
  removeStrays(log, parseCheckpoint(parseNote(note).text).size);
  writeWhole(join(log.folder, "checkpoint"), note);
  const grown = openTiledLog(log.folder);
  removeOutgrown(log, grown.size);
  return grown;
}

/**
 * Partial tiles of appends that were cut short, where this one went: of no tree that was ever published, and sooner
 * or later taken for an earlier form of one that was.
 */
function removeStrays(log: TiledLog, size: bigint): void {
  for (const { level, index, width } of newTiles(log.size, size)) {
    const folder = join(log.folder, `${tilePath(level, index)}.p`);
    if (!existsSync(folder)) continue;
    const stored = level === "entries" ? log.size : log.size >> BigInt(8 * level);
    const published = index === stored >> 8n ? Number(stored & 0xffn) : 0;
    for (const name of readdirSync(folder))
      if (Number(name) > published && Number(name) !== width) rmSync(join(folder, name), { force: true });
  }
}

/** Partial forms of tiles that are full by now. */
function removeOutgrown(log: TiledLog, size: bigint): void {
  for (let level = 0; log.size >> BigInt(8 * level) > 0n; level++) {
    const index = log.size >> BigInt(8 * level + 8);
    if (size >> BigInt(8 * level + 8) <= index) continue;
    for (const kind of level === 0 ? [level, "entries" as const] : [level])
      rmSync(join(log.folder, `${tilePath(kind, index)}.p`), { recursive: true, force: true });
  }
}

/**
 * Reads every record in order and recomputes the root from them alone; from a later one on, from them and the
 * subtrees before. Refuses `log-damaged`; what `visit` saw counts only when this returns.
 */
export function scanEntries(
  log: TiledLog,
  visit: (entry: Uint8Array, index: bigint) => void,
  from: bigint = 0n,
): void {
  const edge: (Uint8Array | undefined)[] = []; // roots of the complete subtrees so far, by height
  for (let height = 0; from >> BigInt(height) > 0n; height++)
    if ((from >> BigInt(height)) & 1n)
      edge[height] = log.hashReader.hash(height, (from >> BigInt(height)) - 1n);
  for (let index = from; index < log.size; index++) {
    const entry = log.entry(index);
    visit(entry, index);
    let hash = leafHash(entry, nodeCrypto);
    let height = 0;
    for (let left = edge[height]; left !== undefined; left = edge[height]) {
      hash = nodeHash(left, hash, nodeCrypto);
      edge[height++] = undefined;
    }
    edge[height] = hash;
  }
  let root: Uint8Array | undefined;
  for (const left of edge) {
    if (left !== undefined) root = root === undefined ? left : nodeHash(left, root, nodeCrypto);
  }
  if (!equalBytes(root ?? emptyRoot(nodeCrypto), log.checkpoint.root)) {
    throw damaged(`the records don't hash to the checkpoint's root ${toHex(log.checkpoint.root)}`);
  }
}

/** Creates a folder and those above it, so that a power cut after this leaves them there. */
export function makeFolders(folder: string): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    flushFolder(dirname(made));
    if (made === first || dirname(made) === made) return;
  }
}

export const damaged = (message: string) => new Refusal("log-damaged", message);

function readCheckpointFile(folder: string): Uint8Array {
  try {
    return readStored(join(folder, "checkpoint"), MAX_NOTE);
  } catch (error) {
    if (!isRefusal(error) || error.code !== "not-found") throw error;
    throw new Refusal("not-a-log", `there is no checkpoint in ${folder}`, {
      hint: "`vouch log init` makes a log, `vouch ledger init` a directory ledger",
    });
  }
}

const pathOf = (tile: Tile) => tilePath(tile.level, tile.index, tile.width);

/** The hashes of a tile in a log's folder, which may not be committed to yet. Refuses `log-damaged`. */
export const hashTileOf = (folder: string): ((tile: Tile) => readonly Uint8Array[]) =>
  remember(tilesIn(folder, decodeTile));

/** Reads tiles from the folder: by their width, else the full one, which begins with the same items. */
function tilesIn<T>(folder: string, decode: (bytes: Uint8Array, width: number) => readonly T[]) {
  return (tile: Tile): readonly T[] => {
    for (const width of tile.width < TILE_WIDTH ? [tile.width, TILE_WIDTH] : [TILE_WIDTH]) {
      try {
        return decode(readStored(join(folder, pathOf({ ...tile, width })), MAX_TILE), width);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (error.code === "malformed-tile") throw damaged(`${pathOf({ ...tile, width })}: ${error.message}`);
        if (error.code !== "not-found") throw error;
      }
    }
    throw damaged(`there is no ${pathOf(tile)}`);
  };
}

/** Keeps hashes that aren't stored but computed: the root and every proof take those of the right edge. */
function computedOnce(reader: HashReader): HashReader {
  const known = new Map<string, Uint8Array>();
  return {
    hash(level, index) {
      if (level % 8 < 3) return reader.hash(level, index); // soon computed again
      const key = `${level}/${index}`;
      let found = known.get(key);
      if (found === undefined) {
        found = reader.hash(level, index);
        if (known.size >= COMPUTED) known.clear();
        known.set(key, found);
      }
      return found;
    },
  };
}

/** Keeps the last tiles read: neighbours are asked for one after another. */
function remember<T>(read: (tile: Tile) => readonly T[]): (tile: Tile) => readonly T[] {
  const known = new Map<string, readonly T[]>();
  return (tile) => {
    const key = pathOf(tile);
    let found = known.get(key);
    if (found === undefined) {
      found = read(tile);
      if (known.size >= CACHED_TILES) known.clear();
      known.set(key, found);
    }
    return found;
  };
}

/** Hashes of a log as it will be with `entries` after its own. */
export function extendedReader(log: TiledLog, entries: readonly Uint8Array[]): HashReader {
  const known = new Map<string, Uint8Array>();
  const hash = (level: number, index: bigint): Uint8Array => {
    if ((index + 1n) << BigInt(level) <= log.size) return log.hashReader.hash(level, index);
    const key = `${level}/${index}`;
    let found = known.get(key);
    if (found === undefined) {
      found =
        level === 0
          ? leafHash(entries[Number(index - log.size)] as Uint8Array, nodeCrypto)
          : nodeHash(hash(level - 1, 2n * index), hash(level - 1, 2n * index + 1n), nodeCrypto);
      known.set(key, found);
    }
    return found;
  };
  return { hash };
}
