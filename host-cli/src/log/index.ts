// Where in a large log something is: an index beside it, which can be made again from the log at any time.
//
//   LOG/.index/<from>-<to>     keys of the records from..to-1, sorted
//
//   page   255 rows ‖ check, 4096 bytes; the last one is shorter
//   row    first 8 bytes of a key's SHA-256 ‖ index, u64 big endian; two a record, its bytes and what it is about
//   check  first 16 bytes of SHA-256(seed ‖ page number, u32 ‖ rows)
//   seed   SHA-256("vouch-index/1\n<from>-<to>\n" ‖ root of the log's first `to` records)
//
// A row only says where to look: who finds something compares it with the log. What isn't found is believed,
// therefore the check: it fails for a page that was changed by accident, and for an index of another log or another
// history of this one. That no page is missing at the end tells the number of rows. Against somebody who makes one it is
// no help, as it takes no key: a status is made without. An index that fails is passed over by readers, who then look at
// every record, and made again by writers.
//
// Up to TAIL records at the end of a log are in no index. New rows go into a file of their own; a file that isn't
// much larger than the one behind it is merged with it, so that there are few.

import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { concatBytes, utf8Encode } from "@vouch/shared/bytes";
import { rootOf } from "@vouch/shared/merkle";
import { nodeCrypto } from "../crypto";
import { makeFolders, type TiledLog } from "../tiledlog";
import { writePieces } from "../writefiles";

export const TAIL = 4096n;
export const CHUNK = 65536;
const ROW = 16;
const ROWS_A_RECORD = 2n; // its leaf hash, and the key that every kind of record has (lookup.ts, keyOf)
const PAGE_ROWS = 255;
const CHECK = 16;
const PAGE = PAGE_ROWS * ROW + CHECK;
const MERGE_FACTOR = 4n;
const NAME = /^(0|[1-9][0-9]{0,18})-([1-9][0-9]{0,18})$/;

type Hashes = Pick<TiledLog, "hashReader" | "size">;

export interface Run {
  readonly path: string;
  readonly from: bigint;
  readonly to: bigint;
}

export const indexFolder = (logFolder: string) => join(logFolder, ".index");

const pathOf = (logFolder: string, from: bigint, to: bigint) => join(indexFolder(logFolder), `${from}-${to}`);

/** All files of an index, by where they begin. */
export function listRuns(logFolder: string): Run[] {
  const folder = indexFolder(logFolder);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .flatMap((name) => {
      const match = NAME.exec(name);
      if (match === null) return [];
      return [{ path: join(folder, name), from: BigInt(match[1] as string), to: BigInt(match[2] as string) }];
    })
    .sort((a, b) => (a.from === b.from ? (a.to > b.to ? -1 : 1) : a.from < b.from ? -1 : 1));
}

/** Those that follow one another from record 0, as far as the log goes; of two that begin alike the longer. */
export function usableRuns(logFolder: string, size: bigint): Run[] {
  const chain: Run[] = [];
  let next = 0n;
  for (const run of listRuns(logFolder)) {
    if (run.from !== next || run.to > size || run.to <= run.from) continue;
    chain.push(run);
    next = run.to;
  }
  return chain;
}

/** A page of an index that isn't what was written there, or is of another log. */
export class IndexDamaged extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

function seedOf(log: Hashes, from: bigint, to: bigint): Uint8Array {
  const head = utf8Encode(`vouch-index/1\n${from}-${to}\n`);
  return nodeCrypto.sha256(concatBytes([head, rootOf(to, log.hashReader, nodeCrypto)]));
}

function checkOf(seed: Uint8Array, page: number, rows: Uint8Array): Uint8Array {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, page);
  return nodeCrypto.sha256(concatBytes([seed, number, rows])).subarray(0, CHECK);
}

export interface RunReader {
  readonly pages: number;
  /** The rows of a page, whole. Throws IndexDamaged. */
  page(number: number): Uint8Array;
  /** Indices of rows with this key, ascending. Ask for keys in ascending order: it never goes back. */
  find(key: Uint8Array): bigint[];
  close(): void;
}

/** Throws IndexDamaged for a file of another length than its name asks for. */
export function openRun(log: Hashes, { path, from, to }: Run): RunReader {
  const seed = seedOf(log, from, to);
  const fd = openSync(path, "r");
  const length = fstatSync(fd).size;
  const pages = Math.ceil(length / PAGE);
  // Each page has its check, and a file that was cut off behind one would have no bad page.
  if (BigInt(length - pages * CHECK) !== BigInt(ROW) * ROWS_A_RECORD * (to - from)) {
    closeSync(fd);
    throw new IndexDamaged(path, `it has ${length} bytes, which aren't all its rows`);
  }
  let at = -1;
  let rows: Uint8Array = new Uint8Array(0);
  const buffer = new Uint8Array(PAGE);

  const page = (number: number): Uint8Array => {
    if (number === at) return rows;
    const size = readSync(fd, buffer, 0, PAGE, number * PAGE);
    const end = size - CHECK;
    const whole = number < pages - 1 ? size === PAGE : size === length - number * PAGE;
    if (!whole || end <= 0 || end % ROW !== 0) throw new IndexDamaged(path, "a page of it is cut short");
    const found = buffer.subarray(0, end);
    if (Buffer.compare(checkOf(seed, number, found), buffer.subarray(end, size)) !== 0)
      throw new IndexDamaged(path, `page ${number} was changed, or is of another log`);
    at = number;
    rows = found.slice();
    return rows;
  };
  /** The first page from `low` on whose last key isn't below the key. */
  const seek = (key: Uint8Array, low: number): number => {
    if (low < pages && !lastBelow(page(low), key)) return low;
    let [below, notBelow] = [low, pages];
    while (notBelow - below > 1) {
      const middle = (below + notBelow) >> 1;
      if (lastBelow(page(middle), key)) below = middle;
      else notBelow = middle;
    }
    return notBelow;
  };
  let cursor = 0;
  return {
    pages,
    page,
    find(key) {
      const found: bigint[] = [];
      cursor = seek(key, cursor);
      for (let number = cursor; number < pages; number++) {
        const here = page(number);
        const first = lowerBound(here, key);
        for (let row = first; row < here.length / ROW; row++) {
          if (compareKey(here, row, key) !== 0) return found;
          found.push(Buffer.from(here.buffer, here.byteOffset, here.length).readBigUInt64BE(ROW * row + 8));
        }
      }
      return found;
    },
    close: () => closeSync(fd),
  };
}

function compareKey(rows: Uint8Array, row: number, key: Uint8Array): number {
  for (let i = 0; i < 8; i++) {
    const difference = (rows[ROW * row + i] as number) - (key[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

const lastBelow = (rows: Uint8Array, key: Uint8Array) => compareKey(rows, rows.length / ROW - 1, key) < 0;

function lowerBound(rows: Uint8Array, key: Uint8Array): number {
  let [low, high] = [0, rows.length / ROW];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKey(rows, middle, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ---- Writing

/** Rows of one chunk, in memory until they are sorted. */
export interface Rows {
  readonly count: number;
  add(key: Uint8Array, index: bigint): void;
  sorted(): Generator<Uint8Array>;
}

export function makeRows(): Rows {
  let bytes = Buffer.alloc(1024 * ROW);
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(key, index) {
      if ((count + 1) * ROW > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(bytes.length)]);
      bytes.set(key.subarray(0, 8), count * ROW);
      bytes.writeBigUInt64BE(index, count * ROW + 8);
      count++;
    },
    *sorted() {
      const order = Array.from({ length: count }, (_, i) => i);
      const high = Float64Array.from(order, (i) => bytes.readUIntBE(i * ROW, 6)); // most often enough to tell two apart
      order.sort(
        (a, b) =>
          (high[a] as number) - (high[b] as number) ||
          bytes.compare(bytes, b * ROW, (b + 1) * ROW, a * ROW, (a + 1) * ROW),
      );
      for (const i of order) yield bytes.subarray(i * ROW, (i + 1) * ROW);
    },
  };
}

function* pagesOf(seed: Uint8Array, rows: Iterable<Uint8Array>): Generator<Uint8Array> {
  const page = new Uint8Array(PAGE);
  let [used, number] = [0, 0];
  const close = () => {
    const end = used * ROW;
    page.set(checkOf(seed, number++, page.subarray(0, end)), end);
    used = 0;
    return page.subarray(0, end + CHECK);
  };
  for (const row of rows) {
    page.set(row, ROW * used++);
    if (used === PAGE_ROWS) yield close();
  }
  if (used > 0) yield close();
}

/** Writes sorted rows as the index of the records from..to-1. `log` has at least `to` records. */
export function writeRun(
  logFolder: string,
  log: Hashes,
  from: bigint,
  to: bigint,
  rows: Iterable<Uint8Array>,
): Run {
  makeFolders(indexFolder(logFolder));
  const path = pathOf(logFolder, from, to);
  writePieces(path, pagesOf(seedOf(log, from, to), rows));
  return { path, from, to };
}

function* rowsOf(reader: RunReader): Generator<Uint8Array> {
  for (let number = 0; number < reader.pages; number++) {
    const page = reader.page(number);
    for (let at = 0; at < page.length; at += ROW) yield page.subarray(at, at + ROW);
  }
}

function* merged(a: Generator<Uint8Array>, b: Generator<Uint8Array>): Generator<Uint8Array> {
  let [x, y] = [a.next(), b.next()];
  while (!x.done || !y.done) {
    if (y.done || (!x.done && Buffer.compare(x.value, y.value) <= 0)) {
      yield x.value as Uint8Array;
      x = a.next();
    } else {
      yield y.value;
      y = b.next();
    }
  }
}

/** Merges the last runs of a chain while they are of like size. The files that went into one are removed after it is there. */
export function mergeRuns(logFolder: string, log: Hashes, chain: readonly Run[]): Run[] {
  const runs = [...chain];
  for (;;) {
    const [a, b] = runs.slice(-2);
    if (a === undefined || b === undefined || a.to - a.from > MERGE_FACTOR * (b.to - b.from)) return runs;
    const [left, right] = [openRun(log, a), openRun(log, b)];
    try {
      const run = writeRun(logFolder, log, a.from, b.to, merged(rowsOf(left), rowsOf(right)));
      runs.splice(-2, 2, run);
    } finally {
      left.close();
      right.close();
    }
    for (const { path } of [a, b]) rmSync(path, { force: true });
  }
}

/** Removes every file of the index but these. */
export function removeOthers(logFolder: string, keep: readonly Run[]): void {
  const kept = new Set(keep.map(({ path }) => path));
  const folder = indexFolder(logFolder);
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    if (!kept.has(join(folder, name))) rmSync(join(folder, name), { force: true, recursive: true });
}
