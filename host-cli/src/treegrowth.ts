// A tree that takes records one after another, holding nothing but its right edge: of each level the tile that is
// being filled, and the bundle of the last records.
//
//   add(record) ──▶ leaf ──▶ tile 0 full? ──▶ its root ──▶ tile 1 full? ──▶ …        each full tile is handed on
//   finish()    ──▶ what is left as partial tiles, and the root
//
// Leaves are hashed a bundle at a time, and a long run of them four at a time (sha256x4.ts). Which of the two did
// it can't be told from the outcome: the tests compare.

import { hash as hashOnce } from "node:crypto";
import { emptyRoot, type HashReader, nodeHash, rootOf } from "@vouch/shared/merkle";
import { Refusal } from "@vouch/shared/refusal";
import { MAX_ENTRY, TILE_WIDTH, type Tile, tileReader } from "@vouch/shared/tiles";
import { nodeCrypto } from "./crypto";
import { type Hasher4, makeHasher4 } from "./sha256x4";

const HASH = 32;
const TILE = TILE_WIDTH * HASH;
const SLOT = 128; // a padded message of two blocks
const SHORT = SLOT - 10; // a leaf's prefix, the bit and the length take ten bytes
const LONG_RUN = 4; // full tiles before compiling the hasher pays

/** A tree as it is before it grows: what its right edge needs. */
export interface Grown {
  readonly size: bigint;
  readonly hashReader: HashReader;
  /** The record at an index; asked of the last bundle alone. */
  entry(index: bigint): Uint8Array;
}

export interface Growth {
  /** How many records there are, those that are added included. */
  readonly size: bigint;
  /** Puts a record at the end; gives its index. Refuses `entry-too-large`. */
  add(record: Uint8Array): bigint;
  /** Hashes as of now. `readTile` gives full tiles that were handed on, or were there before. */
  reader(readTile: (tile: Tile & { level: number }) => readonly Uint8Array[]): HashReader;
  /** Hands on the partial tiles; gives the root. */
  finish(): Uint8Array;
}

/** Grows the tree of `before`. `take` gets each new tile or bundle, its bytes valid during the call. */
export function growTree(before: Grown, take: (tile: Tile, bytes: Uint8Array) => void): Growth {
  const rows: { bytes: Uint8Array; width: number; index: bigint; grew: boolean }[] = [];
  for (let level = 0; before.size >> BigInt(8 * level) > 0n; level++) {
    const stored = before.size >> BigInt(8 * level);
    const row = {
      bytes: new Uint8Array(TILE),
      width: Number(stored & 0xffn),
      index: stored >> 8n,
      grew: false,
    };
    for (let i = 0; i < row.width; i++)
      row.bytes.set(before.hashReader.hash(8 * level, row.index * 256n + BigInt(i)), HASH * i);
    rows.push(row);
  }
  const bundle = { bytes: new Uint8Array(32 * 1024), end: 0, starts: new Uint32Array(TILE_WIDTH), count: 0 };
  let { size } = before;
  let hashed = Number(size & 0xffn); // of the bundle, how many have their leaf in rows[0]
  let tiles = 0;
  let fast: Hasher4 | null | undefined;

  const put = (record: Uint8Array) => {
    const end = bundle.end + 2 + record.length;
    if (end > bundle.bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * bundle.bytes.length));
      larger.set(bundle.bytes.subarray(0, bundle.end));
      bundle.bytes = larger;
    }
    bundle.starts[bundle.count++] = bundle.end;
    bundle.bytes[bundle.end] = record.length >> 8;
    bundle.bytes[bundle.end + 1] = record.length & 255;
    bundle.bytes.set(record, bundle.end + 2);
    bundle.end = end;
  };
  for (let i = 0; i < hashed; i++) put(before.entry((size & ~0xffn) + BigInt(i)));

  const rowAt = (level: number) => {
    for (let l = rows.length; l <= level; l++)
      rows.push({ bytes: new Uint8Array(TILE), width: 0, index: 0n, grew: false });
    return rows[level] as (typeof rows)[number];
  };

  const hashLeaves = () => {
    const row = rowAt(0);
    if (hashed === 0 && bundle.count === TILE_WIDTH && fast && shortLeaves(fast, bundle, row.bytes)) {
      // all of them at once
    } else {
      for (let i = hashed; i < bundle.count; i++) {
        const start = (bundle.starts[i] as number) + 2;
        leafInto(row.bytes, HASH * i, bundle.bytes, start, bundle.starts[i + 1] ?? bundle.end, i, bundle);
      }
    }
    if (bundle.count > hashed) row.grew = true;
    hashed = bundle.count;
    row.width = bundle.count;
  };

  /** A row that is full goes on, and its root into the row above. */
  const carry = (level: number) => {
    const row = rowAt(level);
    if (row.width < TILE_WIDTH) return;
    take({ level, index: row.index, width: TILE_WIDTH }, row.bytes);
    const above = rowAt(level + 1);
    rootOfRow(fast ?? null, row.bytes, above.bytes, HASH * above.width);
    above.width++;
    above.grew = true;
    row.width = 0;
    row.index++;
    row.grew = false;
    carry(level + 1);
  };

  return {
    get size() {
      return size;
    },
    add(record) {
      if (record.length > MAX_ENTRY)
        throw new Refusal(
          "entry-too-large",
          `a record is ${record.length} bytes, a log takes at most ${MAX_ENTRY}`,
        );
      put(record);
      const index = size++;
      if (bundle.count === TILE_WIDTH) {
        if (fast === undefined && ++tiles >= LONG_RUN) fast = makeHasher4(TILE_WIDTH * SLOT + 3 * TILE);
        hashLeaves();
        take(
          { level: "entries", index: index >> 8n, width: TILE_WIDTH },
          bundle.bytes.subarray(0, bundle.end),
        );
        bundle.count = 0;
        bundle.end = 0;
        hashed = 0;
        carry(0);
      }
      return index;
    },
    reader(readTile) {
      hashLeaves();
      return tileReader(
        size,
        (tile) => {
          const row = rows[tile.level];
          if (row === undefined || row.index !== tile.index) return readTile(tile);
          return Array.from({ length: row.width }, (_, i) => row.bytes.slice(HASH * i, HASH * (i + 1)));
        },
        nodeCrypto,
      );
    },
    finish() {
      hashLeaves();
      const last = bundle.bytes.subarray(0, bundle.end);
      for (const [level, row] of rows.entries()) {
        if (!row.grew || row.width === 0) continue;
        const place = { index: row.index, width: row.width };
        take({ level, ...place }, row.bytes.subarray(0, HASH * row.width));
        if (level === 0) take({ level: "entries", ...place }, last);
      }
      if (size === 0n) return emptyRoot(nodeCrypto);
      return rootOf(
        size,
        this.reader(() => {
          throw new Error("the root needs nothing but the right edge");
        }),
        nodeCrypto,
      );
    },
  };
}

interface Bundle {
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly starts: Uint32Array;
  readonly count: number;
}

const scratch = Buffer.alloc(1 + MAX_ENTRY);

/** By node:crypto: a digest as a latin1 string costs half of one as a Buffer. */
function leafInto(
  to: Uint8Array,
  at: number,
  bytes: Uint8Array,
  start: number,
  next: number,
  i: number,
  bundle: Bundle,
): void {
  const end = i + 1 < bundle.count ? next : bundle.end;
  scratch.set(bytes.subarray(start, end), 1);
  const digest = hashOnce("sha256", scratch.subarray(0, 1 + end - start), "latin1" as "binary");
  Buffer.from(to.buffer, to.byteOffset + at, HASH).write(digest, 0, HASH, "latin1");
}

/** All leaves of a full bundle, when each is short and takes as many blocks as the others. False when not. */
function shortLeaves(fast: Hasher4, bundle: Bundle, to: Uint8Array): boolean {
  const length = (i: number) =>
    (i + 1 < TILE_WIDTH ? (bundle.starts[i + 1] as number) : bundle.end) - (bundle.starts[i] as number) - 2;
  const stride = 64 * Math.ceil((length(0) + 10) / 64);
  for (let i = 0; i < TILE_WIDTH; i++)
    if (length(i) > SHORT || 64 * Math.ceil((length(i) + 10) / 64) !== stride) return false;
  const { memory, free } = fast;
  memory.fill(0, free, free + TILE_WIDTH * stride);
  for (let i = 0; i < TILE_WIDTH; i++) {
    const at = free + i * stride;
    const size = length(i);
    const start = (bundle.starts[i] as number) + 2;
    memory.set(bundle.bytes.subarray(start, start + size), at + 1);
    memory[at + 1 + size] = 0x80;
    const bits = 8 * (1 + size); // below 2^16
    memory[at + stride - 2] = bits >> 8;
    memory[at + stride - 1] = bits & 255;
  }
  const out = free + TILE_WIDTH * SLOT;
  fast.padded(free, out, TILE_WIDTH, stride);
  to.set(memory.subarray(out, out + TILE));
  return true;
}

/** The hash of a full tile's 256 hashes, put at `at` of `to`. */
function rootOfRow(fast: Hasher4 | null, row: Uint8Array, to: Uint8Array, at: number): void {
  if (fast === null) {
    let level = Array.from({ length: TILE_WIDTH }, (_, i) => row.subarray(HASH * i, HASH * (i + 1)));
    while (level.length > 1)
      level = Array.from({ length: level.length / 2 }, (_, i) =>
        nodeHash(level[2 * i] as Uint8Array, level[2 * i + 1] as Uint8Array, nodeCrypto),
      );
    to.set(level[0] as Uint8Array, at);
    return;
  }
  const { memory, free } = fast;
  memory.set(row.subarray(0, TILE), free);
  for (let pairs = TILE_WIDTH / 2; pairs >= 1; pairs /= 2) fast.nodes(free, free, pairs);
  to.set(memory.subarray(free, free + HASH), at);
}
