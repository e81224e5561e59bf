// A log as static files. C2SP tlog-tiles v0.1.0.
//
//   checkpoint                      the newest signed checkpoint
//   tile/<L>/<N>[.p/<W>]            256 hashes (or W) of tree level 8·L, 32 bytes each
//   tile/entries/<N>[.p/<W>]        256 records (or W), each u16 big endian length ‖ bytes
//
// N is written in groups of three digits, each but the last with an x before it:
// 1234067 is x001/x234/067. A tile holds levels 8·L to 8·L+7: level 8·L is stored, the
// hashes above it are computed. A full tile's own root is one hash of tile level L+1.
//
//   hash (level, index)  ─▶  tile level L = level / 8,  k = level mod 8
//                            first stored hash = index · 2^k,  count = 2^k
//                            N = first / 256, place in tile = first mod 256

import { concatBytes, copyBytes } from "./bytes";
import type { Crypto } from "./crypto";
import { type HashReader, nodeHash } from "./merkle";
import { Refusal } from "./refusal";

export const TILE_WIDTH = 256;
export const MAX_ENTRY = 65535;
const HASH = 32;

export interface Tile {
  readonly level: number | "entries";
  readonly index: bigint;
  /** How many hashes or records, 1 to 256; fewer than 256 is a partial tile. */
  readonly width: number;
}

/** Path below the log's root. */
export function tilePath(level: number | "entries", index: bigint, width: number = TILE_WIDTH): string {
  const digits = index.toString();
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const groups = padded.match(/.{3}/g)!;
  const name = groups.map((group, i) => (i + 1 < groups.length ? `x${group}` : group)).join("/");
  return `tile/${level}/${name}${width === TILE_WIDTH ? "" : `.p/${width}`}`;
}

const PATH =
  /^tile\/(entries|[0-9]|[1-5][0-9]|6[0-3])\/((?:x[0-9]{3}\/){0,6}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** The tile of a path, or null when none has that path. */
export function parseTilePath(path: string): Tile | null {
  const match = PATH.exec(path);
  if (match === null) return null;
  const [, level = "", groups = "", partial] = match;
  const tile = {
    level: level === "entries" ? level : Number(level),
    index: BigInt(groups.replace(/[x/]/g, "")),
    width: partial === undefined ? TILE_WIDTH : Number(partial),
  } as const;
  // One path a tile: no more groups than needed, no partial tile of 256.
  return tile.width <= TILE_WIDTH && tilePath(tile.level, tile.index, tile.width) === path ? tile : null;
}

/** The tiles, hashes and entries, of a tree of `newSize` that a tree of `oldSize` doesn't have. */
export function newTiles(oldSize: bigint, newSize: bigint): Tile[] {
  const tiles: Tile[] = [];
  let before = oldSize;
  let after = newSize;
  for (let level = 0; after > 0n; level++, before >>= 8n, after >>= 8n) {
    for (const [index, width] of grown(before, after)) {
      tiles.push({ level, index, width });
      if (level === 0) tiles.push({ level: "entries", index, width });
    }
  }
  return tiles;
}

function grown(before: bigint, after: bigint): [bigint, number][] {
  if (before >= after) return [];
  const out: [bigint, number][] = [];
  for (let index = before / 256n; index * 256n < after; index++) {
    const width = after - index * 256n;
    out.push([index, width < 256n ? Number(width) : TILE_WIDTH]);
  }
  return out;
}

/** Records as one entry bundle. Throws `entry-too-large`. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    entries.flatMap((entry) => {
      if (entry.length > MAX_ENTRY) {
        throw new Refusal(
          "entry-too-large",
          `a record is ${entry.length} bytes, a log takes at most ${MAX_ENTRY}`,
        );
      }
      return [Uint8Array.of(entry.length >> 8, entry.length & 255), entry];
    }),
  );
}

/** The records of an entry bundle that should hold `width`. Throws `malformed-tile`. */
export function decodeEntries(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && entries.length < width) {
    const start = at + 2;
    const end = start + (bytes[at]! << 8) + (bytes[at + 1] ?? 0);
    if (end > bytes.length) throw malformed(`record ${entries.length} of an entry bundle is cut off`);
    entries.push(copyBytes(bytes, start, end));
    at = end;
  }
  if (at !== bytes.length || entries.length !== width) {
    throw malformed(
      `an entry bundle of ${bytes.length} bytes holds ${entries.length} records in ${at}, expected ${width}`,
    );
  }
  return entries;
}

export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array {
  return concatBytes([...hashes]);
}

/** The stored hashes of a tile that should hold `width`. Throws `malformed-tile`. */
export function decodeTile(bytes: Uint8Array, width: number): Uint8Array[] {
  if (bytes.length !== width * HASH) {
    throw malformed(`a tile of ${width} hashes is ${bytes.length} bytes, expected ${width * HASH}`);
  }
  return Array.from({ length: width }, (_, i) => copyBytes(bytes, i * HASH, (i + 1) * HASH));
}

/** Where the hash of a complete subtree comes from: `count` stored hashes from `first` on. */
export function tileOf(
  level: number,
  index: bigint,
): { level: number; index: bigint; first: number; count: number } {
  const within = level % 8;
  const start = index << BigInt(within);
  return {
    level: (level - within) / 8,
    index: start / 256n,
    first: Number(start % 256n),
    count: 2 ** within,
  };
}

/**
 * Reads the hashes of a tree of `size` from its tiles. `readTile` gives the decoded hashes
 * of one; it is asked for a tile as often as a hash of it is needed, so it may remember.
 */
export function tileReader(
  size: bigint,
  readTile: (tile: Tile & { readonly level: number }) => readonly Uint8Array[],
  crypto: Pick<Crypto, "sha256">,
): HashReader {
  return {
    hash: (level, index) => {
      const tile = tileOf(level, index);
      const stored = size >> BigInt(8 * tile.level); // hashes in the whole tile level
      const left = stored - tile.index * 256n;
      const width = left < 256n ? Number(left) : TILE_WIDTH;
      if (width < tile.first + tile.count)
        throw new Error(`no complete subtree ${index} at level ${level} in size ${size}`);
      let hashes = readTile({ level: tile.level, index: tile.index, width }).slice(
        tile.first,
        tile.first + tile.count,
      );
      while (hashes.length > 1) {
        hashes = hashes
          .filter((_, i) => i % 2 === 0)
          .map((hash, i) => nodeHash(hash, hashes[2 * i + 1]!, crypto));
      }
      return hashes[0]!;
    },
  };
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-tile", message);
}
