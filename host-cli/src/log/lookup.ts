// Finding records in a log of any size: by their bytes, or by what they say about what. The index (index.ts) says
// where to look; records that no index covers are looked at one by one.

import { rmSync } from "node:fs";
import { equalBytes, utf8Encode } from "@vouch/shared/bytes";
import { parseEnvelope } from "@vouch/shared/dsse";
import { checkInclusion, leafHash, proveInclusion } from "@vouch/shared/merkle";
import type { StatementKind } from "@vouch/shared/predicates";
import { isRefusal } from "@vouch/shared/refusal";
import { parseStatement, type Statement } from "@vouch/shared/statement";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { damaged, scanEntries, type TiledLog } from "../tiledlog";
import {
  CHUNK,
  IndexDamaged,
  listRuns,
  makeRows,
  mergeRuns,
  openRun,
  type Run,
  removeOthers,
  TAIL,
  usableRuns,
  writeRun,
} from "./index";

export interface LoggedStatement {
  readonly index: bigint;
  readonly bytes: Uint8Array;
  readonly statement: Statement;
}

/** The subject of all records that change keys or close a log: whoever wants one of them wants them all. */
export const ABOUT_KEYS = "";

/** What a statement is found by, besides its bytes: its kind and the one thing it is about. */
export function subjectKey(kind: StatementKind, subject: string): Uint8Array {
  return nodeCrypto.sha256(utf8Encode(`${kind}\n${subject}`));
}

export function keyOf(statement: Statement): Uint8Array | null {
  switch (statement.kind) {
    case "release":
    case "advisory":
    case "advisory-withdrawal":
    case "status":
      return subjectKey(statement.kind, statement.product);
    case "enrolment-commitment":
    case "evidence-commitment":
    case "fleet-commitment":
    case "stream-commitment":
    case "renewal-commitment":
      return subjectKey(statement.kind, statement.sha256);
    case "rotation":
    case "revocation":
    case "closing":
      return subjectKey(statement.kind, ABOUT_KEYS);
    case "enrolment":
      return null; // never in a log
  }
}

/** Every record's place by this key as the index has it, and how far the index goes. */
function indexed(log: TiledLog, key: Uint8Array): { places: bigint[]; covered: bigint } {
  const places: bigint[] = [];
  let covered = 0n;
  for (const run of usableRuns(log.folder, log.size)) {
    try {
      const reader = openRun(log, run);
      try {
        places.push(...reader.find(key));
      } finally {
        reader.close();
      }
    } catch (error) {
      if (!(error instanceof IndexDamaged) && !isGone(error)) throw error;
      break; // from here on every record is looked at
    }
    covered = run.to;
  }
  return { places: places.sort((a, b) => (a < b ? -1 : 1)), covered };
}

/** A writer has merged it into another meanwhile. */
const isGone = (error: unknown) => (error as { code?: unknown }).code === "ENOENT";

/** Where these exact bytes are a record, or null. */
export function findRecord(log: TiledLog, record: Uint8Array): bigint | null {
  const leaf = leafHash(record, nodeCrypto);
  const { places, covered } = indexed(log, leaf);
  const same = (index: bigint) => equalBytes(log.hashReader.hash(0, index), leaf);
  for (const index of places) if (same(index)) return index;
  for (let index = covered; index < log.size; index++) if (same(index)) return index;
  return null;
}

/** The record at an index, proved to be in the tree. Refuses `log-damaged`. */
function provedEntry(log: TiledLog, index: bigint): Uint8Array {
  const bytes = log.entry(index);
  const proof = proveInclusion(index, log.size, log.hashReader, nodeCrypto);
  try {
    checkInclusion(leafHash(bytes, nodeCrypto), index, log.size, proof, log.checkpoint.root, nodeCrypto);
  } catch (error) {
    if (isRefusal(error)) throw damaged(`the tiles over record ${index} contradict the checkpoint`);
    throw error;
  }
  return bytes;
}

const statementAt = (index: bigint, bytes: Uint8Array): Statement =>
  about(`record ${index}`, () => parseStatement(parseEnvelope(bytes).payload));

/** What statements are wanted: of this kind, about this product or with this digest. */
export interface Wanted {
  readonly kind: Exclude<StatementKind, "enrolment">;
  readonly subject: string;
}

/**
 * All statements of those kinds about those things, ascending, each proved to be in the log. Signatures are not looked at.
 * What an index leaves out isn't found; with `every` each record is looked at, and no index.
 */
export function findStatements(log: TiledLog, wanted: readonly Wanted[], every = false): LoggedStatement[] {
  const keys = wanted.map(({ kind, subject }) => subjectKey(kind, subject));
  const found = new Map<bigint, LoggedStatement>();
  const consider = (bytes: Uint8Array, index: bigint) => {
    const statement = statementAt(index, bytes);
    const its = keyOf(statement);
    if (its !== null && keys.some((key) => equalBytes(key, its)))
      found.set(index, { index, bytes, statement });
  };
  let covered = every ? 0n : log.size;
  for (const key of every ? [] : keys) {
    const looked = indexed(log, key);
    for (const index of looked.places) consider(provedEntry(log, index), index);
    if (looked.covered < covered) covered = looked.covered;
  }
  scanEntries(log, consider, covered);
  return [...found.values()].sort((a, b) => (a.index < b.index ? -1 : 1));
}

/** What a record is found by, besides its leaf hash. */
export function keysOf(index: bigint, bytes: Uint8Array): Uint8Array[] {
  const key = keyOf(statementAt(index, bytes));
  return key === null ? [] : [key];
}

/** Removes what an append that was cut short had indexed already. For the writer, under the lock. */
export function dropAhead(log: TiledLog): void {
  for (const run of listRuns(log.folder)) if (run.to > log.size) rmSync(run.path, { force: true });
}

/**
 * Brings a log's index up to date, when there is enough to index; `thorough` looks at all that is there already, and
 * makes what is damaged again. For the writer, under the lock.
 */
export function extendIndex(log: TiledLog, thorough = false): Run[] {
  const { folder, size } = log;
  const isShort = (runs: readonly Run[]) => size - (runs.at(-1)?.to ?? 0n) >= TAIL;
  const known = usableRuns(folder, size);
  if (!thorough && !isShort(known)) return known;
  let chain = soundRuns(log);
  if (!isShort(chain)) {
    if (chain.length < known.length) removeOthers(folder, chain);
    return chain;
  }
  let from = chain.at(-1)?.to ?? 0n;
  let rows = makeRows();
  const write = (to: bigint) => {
    chain = mergeRuns(folder, log, [...chain, writeRun(folder, log, from, to, rows.sorted())]);
    from = to;
    rows = makeRows();
  };
  const visit = (bytes: Uint8Array, index: bigint) => {
    rows.add(leafHash(bytes, nodeCrypto), index);
    const key = keyOf(statementAt(index, bytes));
    if (key !== null) rows.add(key, index);
    if (rows.count >= CHUNK) write(index + 1n);
  };
  try {
    scanEntries(log, visit, from);
  } catch (error) {
    removeOthers(folder, []); // made of what isn't the log's
    throw error;
  }
  if (rows.count > 0) write(size);
  removeOthers(folder, chain);
  return chain;
}

/** The runs a writer goes on from: as far as their first pages are good. Others are found damaged when they are read. */
function soundRuns(log: TiledLog): Run[] {
  const sound: Run[] = [];
  for (const run of usableRuns(log.folder, log.size)) {
    try {
      const reader = openRun(log, run);
      try {
        for (let page = 0; page < reader.pages; page++) reader.page(page);
      } finally {
        reader.close();
      }
    } catch (error) {
      if (error instanceof IndexDamaged) return sound;
      throw error;
    }
    sound.push(run);
  }
  return sound;
}
