// A log that is read without being believed: from a folder or a web server, by the tiles that a question needs.
//
//   checkpoint ──▶ root = hashes of the right edge        one partial tile a level, read on opening
//        full tile (L, N) hashes to hash N of level L+1   … which lies in a tile that is on the edge, or full itself
//           entry hashes to a hash of level 0
//
// So every hash and every entry that leaves here is one that the checkpoint commits to, whoever served it. Whether
// the checkpoint itself is the log's word is for the caller, who has the key: openCheckpoint(reader.note, key, …).
//
// Full tiles never change, so they may be kept in a folder for the next run (`cache`). What is kept is verified
// like what is fetched: a file there that was changed is dropped and fetched again.

import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { equalBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { type Checkpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import type { Crypto } from "@vouch/shared/crypto";
import {
  type HashReader,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  rootOf,
} from "@vouch/shared/merkle";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import {
  decodeEntries,
  decodeTile,
  MAX_ENTRY,
  TILE_WIDTH,
  type Tile,
  tileOf,
  tilePath,
  tileReader,
} from "@vouch/shared/tiles";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { readInput } from "../readfiles";
import { damaged, makeFolders } from "../tiledlog";
import { writeWhole } from "../writefiles";
import { type LogFiles, openFiles, type ReadOptions } from "./files";

const HASH = 32;
const MAX_BUNDLE = TILE_WIDTH * (2 + MAX_ENTRY);
const KEPT_TILES = 1024; // 8 MB
const KEPT_BUNDLES = 4; // at most 16 MB each, most often 100 KB

export interface LogReader {
  /** The folder or the address. */
  readonly name: string;
  /** The checkpoint note, exactly as it came. Its signatures are for the caller to verify. */
  readonly note: Uint8Array;
  readonly checkpoint: Checkpoint;
  readonly size: bigint;
  /** The root of the first `size` records. */
  rootAt(size: bigint): Promise<Uint8Array>;
  proveInclusion(index: bigint, size?: bigint): Promise<Uint8Array[]>;
  proveConsistency(from: bigint, to?: bigint): Promise<Uint8Array[]>;
  leafHash(index: bigint): Promise<Uint8Array>;
  entry(index: bigint): Promise<Uint8Array>;
  /** Records in order; the next bundle is on its way while one is looked at. */
  entries(from: bigint, to?: bigint): AsyncGenerator<{ index: bigint; bytes: Uint8Array }>;
  /** The same log by another checkpoint of it, from the same files. */
  at(note: Uint8Array): Promise<LogReader>;
  /** How many files were asked for, came out of the cache, and were found changed there. */
  readonly traffic: Readonly<Traffic>;
  close(): void;
}

export interface Traffic {
  fetched: number;
  cached: number;
  poisoned: number;
}

export interface OpenOptions extends ReadOptions {
  /** A folder for verified tiles. */
  readonly cache?: string | undefined;
}

/** Opens a log in a folder or at an address by its newest checkpoint. Refuses `not-a-log`, `log-damaged`, and what readfiles.ts does. */
export async function openLogReader(where: string, options: OpenOptions = {}): Promise<LogReader> {
  const files = openFiles(where, options);
  try {
    return await readLogAt(files, await fetchCheckpoint(files), options.cache);
  } catch (error) {
    files.close();
    throw error;
  }
}

/** The newest checkpoint note. Refuses `not-a-log`. */
export function fetchCheckpoint(files: LogFiles): Promise<Uint8Array> {
  return about(files.name, async () => {
    const note = await files.read("checkpoint", MAX_NOTE);
    if (note !== null) return note;
    const isMeant = /^[a-z0-9.-]+:[0-9]+$/i.test(files.name) ? ": an address begins with http://" : "";
    throw new Refusal("not-a-log", `there is no checkpoint there${isMeant}`);
  });
}

/** The log as the checkpoint in this note commits to it. */
export function readLogAt(
  files: LogFiles,
  note: Uint8Array,
  cache?: string,
  traffic: Traffic = { fetched: 0, cached: 0, poisoned: 0 },
): Promise<LogReader> {
  return about(files.name, async (): Promise<LogReader> => {
    const checkpoint = parseCheckpoint(parseNote(note).text);
    const { size } = checkpoint;
    const store = verifiedTiles(files, checkpoint, cache, traffic);
    await store.openEdge();
    const withHashes = async <T>(work: (reader: HashReader, crypto: Pick<Crypto, "sha256">) => T) => {
      return work(await store.fetch(tilesFor(size, work)), nodeCrypto);
    };
    const inTree = (upTo: bigint): bigint => {
      if (upTo >= 0n && upTo <= size) return upTo;
      throw new Refusal("not-in-log", `size ${upTo} is past the log's checkpoint of ${size} records`);
    };
    const leaf = (index: bigint) => withHashes((reader) => reader.hash(0, inLog(index, size)));
    const named = <T>(work: () => Promise<T>) => about(files.name, work);
    const bundle = (index: bigint) => named(() => store.bundle(index));
    return {
      name: files.name,
      note,
      checkpoint,
      size,
      traffic,
      rootAt: (at) => named(() => withHashes((reader, crypto) => rootOf(inTree(at), reader, crypto))),
      proveInclusion: (index, at = size) =>
        named(() => withHashes((r, crypto) => proveInclusion(inLog(index, inTree(at)), at, r, crypto))),
      proveConsistency: (from, to = size) =>
        named(() => withHashes((r, crypto) => proveConsistency(inTree(from), inTree(to), r, crypto))),
      leafHash: (index) => named(() => leaf(index)),
      entry: async (index) => (await bundle(inLog(index, size) >> 8n))[Number(index & 0xffn)] as Uint8Array,
      async *entries(from, to = size) {
        if (from >= inTree(to)) return;
        const last = (to - 1n) >> 8n;
        let coming = bundle(from >> 8n);
        for (let index = from; index < to; ) {
          const at = index >> 8n;
          const records = await coming;
          if (at < last) {
            coming = bundle(at + 1n);
            coming.catch(() => {}); // its refusal is met when its turn comes
          }
          for (; index < to && index >> 8n === at; index++)
            yield { index, bytes: records[Number(index & 0xffn)] as Uint8Array };
        }
      },
      at: (other) => readLogAt(files, other, cache, traffic),
      close: () => files.close(),
    };
  });
}

function inLog(index: bigint, size: bigint): bigint {
  if (index >= 0n && index < size) return index;
  throw new Refusal("not-in-log", `record ${index} isn't in a log of ${size} records`);
}

const ZERO = new Uint8Array(HASH);

/** The tiles that `work` will read, found by letting it run over zeros. */
function tilesFor(size: bigint, work: (reader: HashReader, crypto: Pick<Crypto, "sha256">) => unknown) {
  const wanted = new Map<string, HashTile>();
  const hash = (level: number, index: bigint) => {
    const tile = tileOf(level, index);
    const full = tileAt(size, tile.level, tile.index);
    wanted.set(pathOf(full), full);
    return ZERO;
  };
  work({ hash }, { sha256: () => ZERO });
  return [...wanted.values()];
}

type HashTile = Tile & { readonly level: number };

const pathOf = (tile: Tile) => tilePath(tile.level, tile.index, tile.width);

/** The tile of that place as a tree of `size` has it. */
function tileAt(size: bigint, level: number, index: bigint): HashTile {
  const left = (size >> BigInt(8 * level)) - index * 256n;
  return { level, index, width: left < 256n ? Number(left) : TILE_WIDTH };
}

function verifiedTiles(files: LogFiles, checkpoint: Checkpoint, cache: string | undefined, traffic: Traffic) {
  const { size, origin, root } = checkpoint;
  const kept = cache && join(cache, toHex(nodeCrypto.sha256(utf8Encode(origin))).slice(0, 32));
  const edge = new Map<string, Uint8Array[]>(); // partial tiles: few, and all of them vouched for by the root
  const full = recent<Promise<Uint8Array[]>>(KEPT_TILES);
  const bundles = recent<Promise<Uint8Array[]>>(KEPT_BUNDLES);

  const readerOver = (tiles: ReadonlyMap<string, readonly Uint8Array[]>) =>
    tileReader(
      size,
      (tile) => {
        const found = tiles.get(pathOf(tile));
        if (found === undefined) throw new Error(`${pathOf(tile)} was read before it was fetched`);
        return found;
      },
      nodeCrypto,
    );

  /** Bytes of a file that `check` accepts: kept ones, else fetched ones. */
  const load = async <T>(tile: Tile, maxBytes: number, check: (bytes: Uint8Array) => T): Promise<T> => {
    const path = pathOf(tile);
    const keep = kept !== undefined && tile.width === TILE_WIDTH ? join(kept, path) : null;
    if (keep !== null) {
      const before = readKept(keep, maxBytes);
      if (before !== null) {
        try {
          const good = check(before);
          traffic.cached++;
          return good;
        } catch (error) {
          if (!isRefusal(error)) throw error;
          traffic.poisoned++;
          rmSync(keep, { force: true });
        }
      }
    }
    traffic.fetched++;
    const bytes = await files.read(path, maxBytes);
    if (bytes === null) throw damaged(`there is no ${path}`);
    const good = check(bytes);
    if (keep !== null) writeKept(keep, bytes);
    return good;
  };

  const decoded = <T>(path: string, decode: () => T): T => {
    try {
      return decode();
    } catch (error) {
      if (isRefusal(error) && error.code === "malformed-tile") throw damaged(`${path}: ${error.message}`);
      throw error;
    }
  };

  /** A partial tile, or the full one that has taken its place since: it begins alike. */
  const loadPartial = async <T>(
    tile: Tile,
    maxBytes: number,
    decode: (bytes: Uint8Array, width: number) => T[],
  ): Promise<T[]> => {
    traffic.fetched++;
    const path = pathOf(tile);
    const bytes = await files.read(path, maxBytes);
    if (bytes !== null) return decoded(path, () => decode(bytes, tile.width));
    const whole = { ...tile, width: TILE_WIDTH };
    traffic.fetched++;
    const longer = await files.read(pathOf(whole), maxBytes);
    if (longer === null) throw damaged(`there is no ${path}`);
    return decoded(pathOf(whole), () => decode(longer, TILE_WIDTH)).slice(0, tile.width);
  };

  const tile = (wanted: HashTile): Promise<Uint8Array[]> => {
    const path = pathOf(wanted);
    const known = edge.get(path);
    if (known !== undefined) return Promise.resolve(known);
    return full(path, async () => {
      const parent = tileAt(size, wanted.level + 1, wanted.index >> 8n);
      const expected = (await tile(parent))[Number(wanted.index & 0xffn)] as Uint8Array;
      return load(wanted, TILE_WIDTH * HASH, (bytes) => {
        const found = decoded(path, () => decodeTile(bytes, TILE_WIDTH));
        if (!equalBytes(rootOfTile(found), expected))
          throw damaged(`${path} doesn't hash to what the checkpoint of size ${size} commits to`);
        return found;
      });
    });
  };

  return {
    async openEdge() {
      const partial: HashTile[] = [];
      for (let level = 0; size >> BigInt(8 * level) > 0n; level++) {
        const last = tileAt(size, level, size >> BigInt(8 * level + 8));
        if (last.width > 0) partial.push(last);
      }
      const found = await Promise.all(partial.map((t) => loadPartial(t, TILE_WIDTH * HASH, decodeTile)));
      for (const [i, t] of partial.entries()) edge.set(pathOf(t), found[i] as Uint8Array[]);
      const actual = rootOf(size, readerOver(edge), nodeCrypto);
      if (!equalBytes(actual, root))
        throw damaged(`the tiles give the root ${toHex(actual)}, the checkpoint says ${toHex(root)}`);
    },
    async fetch(wanted: readonly HashTile[]): Promise<HashReader> {
      const found = await Promise.all(wanted.map(tile));
      return readerOver(new Map(wanted.map((t, i) => [pathOf(t), found[i] as Uint8Array[]])));
    },
    bundle(index: bigint): Promise<Uint8Array[]> {
      const leaves = tileAt(size, 0, index);
      const wanted: Tile = { ...leaves, level: "entries" };
      return bundles(pathOf(wanted), async () => {
        const expected = await tile(leaves);
        const verify = (entries: Uint8Array[]) => {
          entries.forEach((entry, i) => {
            if (equalBytes(leafHash(entry, nodeCrypto), expected[i] as Uint8Array)) return;
            throw damaged(`${pathOf(wanted)}: record ${index * 256n + BigInt(i)} doesn't hash to its leaf`);
          });
          return entries;
        };
        if (wanted.width < TILE_WIDTH) return verify(await loadPartial(wanted, MAX_BUNDLE, decodeEntries));
        return load(wanted, MAX_BUNDLE, (bytes) =>
          verify(decoded(pathOf(wanted), () => decodeEntries(bytes, TILE_WIDTH))),
        );
      });
    },
  };
}

/** Remembers what was asked for last; what was refused is forgotten. */
function recent<T extends Promise<unknown>>(most: number) {
  const known = new Map<string, T>();
  return (key: string, make: () => T): T => {
    const found = known.get(key) ?? make();
    known.delete(key);
    known.set(key, found);
    found.catch(() => known.delete(key));
    for (const oldest of known.keys()) {
      if (known.size <= most) break;
      known.delete(oldest);
    }
    return found;
  };
}

/** The hash of a full tile. */
export function rootOfTile(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes;
  while (row.length > 1)
    row = Array.from({ length: row.length / 2 }, (_, i) =>
      nodeHash(row[2 * i] as Uint8Array, row[2 * i + 1] as Uint8Array, nodeCrypto),
    );
  return row[0] as Uint8Array;
}

function readKept(path: string, maxBytes: number): Uint8Array | null {
  try {
    return readInput(path, maxBytes);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (error.code === "too-large") return new Uint8Array(0); // not what was kept: found changed by its check
    return null;
  }
}

/** A cache that can't be written to is no reason not to read the log. */
function writeKept(path: string, bytes: Uint8Array): void {
  try {
    makeFolders(dirname(path));
    writeWhole(path, bytes);
  } catch (error) {
    if (!isRefusal(error) && !(error instanceof Error && "syscall" in error)) throw error;
  }
}
