// The hashes of every record that a monitor has read, kept by itself: whatever a log shows later, what it has shown
// before can be proved, and to whom nobody else has to be asked.
//
//   STATE/hashes.0     32 bytes a record
//   STATE/hashes.<L>   32 bytes a complete subtree of 256^L records: 0.4 % more, and no proof reads more than 256 of a kind
//
// Files only grow. What lies behind the size that the state file names was written by a run that was cut, and is cut off
// on opening; so an append counts once the state file says so. The tile that is still open is kept in memory.

import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { HashReader } from "@vouch/shared/merkle";
import { Refusal } from "@vouch/shared/refusal";
import { TILE_WIDTH, tileReader } from "@vouch/shared/tiles";
import { nodeCrypto } from "../crypto";
import { flushFolder } from "../files";
import { rootOfTile } from "../log/remote";

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
  count(): number;
  append(hash: Uint8Array): void;
  read(first: number, width: number): Uint8Array[];
  flush(): void;
  close(): void;
}

function levelFile(folder: string, level: number, size: bigint): LevelFile {
  const path = join(folder, `hashes.${level}`);
  const committed = Number(size >> BigInt(8 * level));
  if (Number.isSafeInteger(committed * HASH) === false)
    throw new Refusal("state-damaged", `${path}: no file holds ${committed} hashes`);
  let fd = existsSync(path) ? openAt(path, committed * HASH) : null;
  if (fd === null && committed > 0)
    throw new Refusal("state-damaged", `${path} is gone, it held ${committed} hashes`);
  let written = committed;
  let waiting: Uint8Array[] = [];
  const cache = new Map<number, Uint8Array[]>();

  const drain = () => {
    if (waiting.length === 0) return;
    if (fd === null) {
      fd = openSync(path, "a+");
      flushFolder(folder);
    }
    const bytes = Buffer.concat(waiting);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    written += waiting.length;
    waiting = [];
  };
  /** From the file alone; a tile that is full stays as it is, so it may be remembered. */
  const tileAt = (first: number, width: number): Uint8Array[] => {
    const known = cache.get(first);
    if (known !== undefined) return known.slice(0, width);
    const bytes = Buffer.alloc(width * HASH);
    for (let at = 0; at < bytes.length; ) {
      const got = readSync(fd as number, bytes, at, bytes.length - at, first * HASH + at);
      if (got === 0) throw new Refusal("state-damaged", `${path} has become shorter`);
      at += got;
    }
    const hashes = Array.from({ length: width }, (_, i) =>
      Uint8Array.from(bytes.subarray(i * HASH, (i + 1) * HASH)),
    );
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
      const stored = behind === 0 ? [] : tileAt(first, behind);
      return [...stored, ...waiting.slice(first + behind - written, first + width - written)];
    },
    flush() {
      drain();
      if (fd !== null) fsyncSync(fd);
    },
    close() {
      if (fd !== null) closeSync(fd);
      fd = null;
    },
  };
}

/** Open for appending, with whatever a cut run left behind `length` gone. */
function openAt(path: string, length: number): number {
  const fd = openSync(path, "a+");
  const { size } = fstatSync(fd);
  if (size >= length) {
    if (size > length) ftruncateSync(fd, length);
    return fd;
  }
  closeSync(fd);
  throw new Refusal("state-damaged", `${path} holds ${size} bytes, expected ${length}`);
}
