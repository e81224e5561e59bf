// The hashes of every record that a monitor has read, kept by itself: whatever a log shows later, what it has shown
// before can be proved, and to whom nobody else has to be asked.
//
//   STATE/hashes.0     32 bytes a record
//   STATE/hashes.<L>   32 bytes a complete subtree of 256^L records: 0.4 % more, and no proof reads more than 256 of a kind
//
// Files only grow. What lies behind the size that the state file names was written by a run that was cut, and is cut off
// on opening; so an append counts once the state file says so. The tile that is still open is kept in memory.

import { join } from "node:path";
import type { HashReader } from "@vouch/shared/merkle";
import { Refusal } from "@vouch/shared/refusal";
import { decodeTile, encodeTile, TILE_WIDTH, tileReader } from "@vouch/shared/tiles";
import { nodeCrypto } from "../crypto";
import { rootOfTile } from "../log/remote";
import { openGrowing } from "./growing";

const HASH = 32;
const LEVELS = 8; // 256^8 records are more than a log can have
const KEPT_TILES = 64;

export interface HashStore {
  /** How many records' hashes are there. */
  size(): bigint;
  /** The next record's leaf hash. */
  append(leaf: Uint8Array): void;
  /** Of the tree of so many records; at most size(). */
  readerAt(size: bigint): HashReader;
  /** All that was appended is on the disk when this returns. */
  flush(): void;
  close(): void;
}

/** Opens the files as they were at `size`. Refuses `state-damaged` when they hold less. */
export function openHashes(folder: string, size: bigint): HashStore {
  const files = Array.from({ length: LEVELS }, (_, level) => levelFile(folder, level, size));
  let count = size;
  const append = (level: number, hash: Uint8Array) => {
    const file = files[level] as LevelFile;
    file.append(hash);
    if (file.count() % TILE_WIDTH === 0)
      append(level + 1, rootOfTile(file.read(file.count() - TILE_WIDTH, TILE_WIDTH)));
  };
  return {
    size: () => count,
    append(leaf) {
      append(0, leaf);
      count++;
    },
    readerAt: (at) =>
      tileReader(
        at,
        ({ level, index, width }) => (files[level] as LevelFile).read(Number(index) * TILE_WIDTH, width),
        nodeCrypto,
      ),
    flush() {
      for (const file of files) file.flush();
    },
    close() {
      for (const file of files) file.close();
    },
  };
}

interface LevelFile {
  /** Hashes of this level, the open tile's included. */
  count(): number;
  append(hash: Uint8Array): void;
  read(first: number, width: number): Uint8Array[];
  flush(): void;
  close(): void;
}

function levelFile(folder: string, level: number, size: bigint): LevelFile {
  const path = join(folder, `hashes.${level}`);
  const committed = Number(size >> BigInt(8 * level));
  if (!Number.isSafeInteger(committed * HASH))
    throw new Refusal("state-damaged", `${path}: no file holds ${committed} hashes`);
  const file = openGrowing(path, committed * HASH);
  let written = committed;
  let waiting: Uint8Array[] = [];
  const cache = new Map<number, Uint8Array[]>();

  const drain = () => {
    if (waiting.length === 0) return;
    file.append(encodeTile(waiting));
    written += waiting.length;
    waiting = [];
  };
  /** From the file alone; a tile that is full stays as it is, so it may be remembered. */
  const stored = (first: number, width: number): Uint8Array[] => {
    const known = cache.get(first);
    if (known !== undefined) return known.slice(0, width);
    const hashes = decodeTile(file.read(first * HASH, width * HASH), width);
    if (width === TILE_WIDTH) {
      if (cache.size >= KEPT_TILES) cache.clear();
      cache.set(first, hashes);
    }
    return hashes;
  };
  return {
    count: () => written + waiting.length,
    append(hash) {
      waiting.push(hash);
      if ((written + waiting.length) % TILE_WIDTH === 0) drain();
    },
    read(first, width) {
      const behind = Math.max(0, Math.min(width, written - first));
      const open = waiting.slice(Math.max(0, first - written), Math.max(0, first + width - written));
      return behind === 0 ? open : [...stored(first, behind), ...open];
    },
    flush() {
      drain();
      file.flush();
    },
    close: () => file.close(),
  };
}
