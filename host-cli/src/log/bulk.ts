// Appending more records than fit in memory, all of them or none.
//
//   records ──4096 at a time──▶ there already? ──▶ look at it ──▶ grow the tree ──▶ tiles, bundles, index
//                                                                                        │
//              all of those flushed ──▶ the checkpoint signed ──▶ the checkpoint ◀───────┘
//
// What is held: the tree's right edge, a chunk, and the leaves of the last CHUNK records. Whether a record was
// there before is asked of the index of the log and of those written on the way, a chunk's leaves in order, so
// that a file of an index is read through once a chunk at most.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { type HashReader, leafHash } from "@vouch/shared/merkle";
import { tilePath } from "@vouch/shared/tiles";
import { bulkFiles } from "../bulkfiles";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { checkUnchanged, hashTileOf, scanEntries, type TiledLog } from "../tiledlog";
import { type Growth, growTree } from "../treegrowth";
import { CHUNK, makeRows, mergeRuns, openRun, type Run, removeOthers, TAIL, writeRun } from "./index";
import { extendIndex, keysOf } from "./lookup";

export const BATCH = 4096;

export interface Incoming {
  readonly bytes: Uint8Array;
  /** Where it comes from, for messages. */
  readonly from: string;
}

export interface Added {
  readonly index: bigint;
  /** False when these bytes were a record already. */
  readonly added: boolean;
}

export interface BulkAppend {
  readonly log: TiledLog;
  readonly batches: AsyncIterable<readonly Incoming[]> | Iterable<readonly Incoming[]>;
  /** Looks at a record before it enters; gives the keys it is found by. `reader` has every hash before `place`. */
  readonly admit: (record: Uint8Array, place: bigint, reader: () => HashReader) => readonly Uint8Array[];
  /** Gives the signed note. */
  readonly sign: (checkpointText: string) => Promise<Uint8Array>;
  /** Publishes it, with what is written under it; or keeps both for another attempt, and refuses. */
  readonly commit: (note: Uint8Array) => Promise<TiledLog>;
  readonly told: (incoming: Incoming, added: Added) => void;
}

/** Appends; gives the log as it is then. Refuses what `admit` does, `entry-too-large`, `unwritable`, `locked`. */
export async function appendMany({ log, batches, admit, sign, commit, told }: BulkAppend): Promise<TiledLog> {
  const { folder } = log;
  const files = bulkFiles();
  const growth = growTree(log, (tile, bytes) =>
    files.write(join(folder, tilePath(tile.level, tile.index, tile.width)), bytes),
  );
  const known = knownLeaves(log, growth, extendIndex(log, true));
  const reader = () => growth.reader(hashTileOf(folder));
  let note: Uint8Array;
  try {
    for await (const batch of batches) {
      const leaves = batch.map(({ bytes }) => leafHash(bytes, nodeCrypto));
      const before = known.places(leaves, reader);
      for (const [i, incoming] of batch.entries()) {
        const leaf = leaves[i] as Uint8Array;
        const place = before[i] ?? known.recent(leaf);
        if (place !== null) {
          told(incoming, { index: place, added: false });
          continue;
        }
        const keys = about(incoming.from, () => admit(incoming.bytes, growth.size, reader));
        const index = about(incoming.from, () => growth.add(incoming.bytes));
        known.add(leaf, keys, index);
        told(incoming, { index, added: true });
      }
      known.spill(reader);
      await files.ready();
    }
    if (growth.size === log.size) return log;
    const root = growth.finish();
    await files.flush();
    checkUnchanged(log);
    const { origin } = log.checkpoint;
    note = await sign(formatCheckpoint({ origin, size: growth.size, root }));
  } catch (error) {
    files.abort();
    known.abort();
    throw error;
  }
  const after = await commit(note); // from here on the files may be needed, whatever comes
  known.settle(after);
  return after;
}

/** Which leaves there are, before and on the way. */
function knownLeaves(log: TiledLog, growth: Growth, chain: readonly Run[]) {
  const { folder } = log;
  const added: Run[] = []; // indices of what isn't committed yet
  let last = new Map<string, bigint>(); // leaves that no index holds
  const textOf = (leaf: Uint8Array) => Buffer.from(leaf.buffer, leaf.byteOffset, 32).toString("latin1");
  let from = chain.at(-1)?.to ?? 0n;
  let rows = makeRows();
  const enter = (leaf: Uint8Array, keys: readonly Uint8Array[], index: bigint) => {
    last.set(textOf(leaf), index);
    rows.add(leaf, index);
    for (const key of keys) rows.add(key, index);
  };
  scanEntries(log, (bytes, index) => enter(leafHash(bytes, nodeCrypto), keysOf(index, bytes), index), from);
  return {
    recent: (leaf: Uint8Array): bigint | null => last.get(textOf(leaf)) ?? null,
    /** Where each leaf is by the indices, or null. */
    places(leaves: readonly Uint8Array[], reader: () => HashReader): (bigint | null)[] {
      const found: (bigint | null)[] = leaves.map(() => null);
      const order = leaves.map((_, i) => i);
      order.sort((a, b) => Buffer.compare(leaves[a] as Uint8Array, leaves[b] as Uint8Array));
      for (const run of [...chain, ...added]) {
        const hashes = run.to <= log.size ? log.hashReader : reader();
        const open = openRun({ hashReader: hashes, size: run.to }, run);
        try {
          for (const i of order) {
            if (found[i] !== null) continue;
            const leaf = leaves[i] as Uint8Array;
            found[i] = open.find(leaf).find((index) => equalBytes(hashes.hash(0, index), leaf)) ?? null;
          }
        } finally {
          open.close();
        }
      }
      return found;
    },
    add: enter,
    /** Moves the leaves of many records into an index on the disk. */
    spill(reader: () => HashReader) {
      if (rows.count < CHUNK) return;
      const hashes = { hashReader: reader(), size: growth.size };
      added.push(writeRun(folder, hashes, from, growth.size, rows.sorted()));
      added.splice(0, added.length, ...mergeRuns(folder, hashes, added));
      from = growth.size;
      rows = makeRows();
      last = new Map();
    },
    abort() {
      for (const { path } of added) rmSync(path, { force: true });
    },
    /** The log has grown: what was written on the way is its index now. */
    settle(after: TiledLog) {
      const runs = [...chain, ...added];
      if (after.size - from >= TAIL) runs.push(writeRun(folder, after, from, after.size, rows.sorted()));
      if (runs.length > chain.length) removeOthers(folder, mergeRuns(folder, after, runs));
    },
  };
}
