// What a witness remembers: for each log the last checkpoint it agreed to, in an LMDB database.
//
//   STATE/data.mdb, lock.mdb
//     SHA-256(origin)  ─▶  <SHA-256 of the rest, hex>\n
//                          {"version":1,"time":…,"note":b64,"cosigned":b64}
//
//   note      the checkpoint, with the log's signatures that were verified
//   time      when it was agreed to, and what its cosignature says
//   cosigned  the note with our cosignature, for monitors; of the checkpoint before, until ours is made
//
// Deciding and keeping are one write transaction, which excludes every other, of this process and
// of others on the same folder: what was decided upon is what is replaced. It returns when the
// new pages are flushed and the page that points to them is written through to the disk
// (overlappingSync off), so a cut at any instant leaves the old record or the new one. LMDB maps its file
// and trusts it, so a file that is no database is refused before it is opened.

import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { fromBase64, toBase64, toHex, utf8Decode, utf8Encode } from "@vouch/shared/bytes";
import { type Checkpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { formatJson, parseJson } from "@vouch/shared/json";
import { parseNote } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { open, type RootDatabase } from "lmdb";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { originKey } from "./origin";

const MAP_SIZE = 64 * 1024 * 1024; // grows when it must: a log takes some 2 KB
const MAX_RECORD = 1024 * 1024;
const LMDB_MAGIC = 0xbeefc0de;

export interface Known {
  readonly checkpoint: Checkpoint;
  /** With the log's signatures. */
  readonly note: Uint8Array;
  /** Unix seconds. */
  readonly time: number;
  /** The newest note that has our cosignature; null when there is none yet. */
  readonly cosigned: Uint8Array | null;
}

export interface WitnessState {
  /** By SHA-256 of the log's origin, in hex. */
  latest(originSha256: string): Known | null;
  /**
   * Hands what is known to `decide` and keeps what it answers: durable when this returns, and unchanged
   * when `decide` throws. Nobody else decides in between.
   */
  advance(origin: string, decide: (known: Known | null) => { note: Uint8Array; time: number }): Known;
  /** Keeps the cosigned form of a record, if it still is the record. */
  keepCosigned(record: Known, cosigned: Uint8Array): void;
  close(): Promise<void>;
}

/** Opens the folder's database, made if missing. Refuses `state-damaged`, `state-unusable`; writing, `unwritable`. */
export function openState(folder: string): WitnessState {
  return about(folder, () => {
    checkFile(join(folder, "data.mdb"));
    const db = openDatabase(folder);
    const read = (key: string): Known | null => {
      const bytes = db.get(key);
      return bytes === undefined ? null : about(folder, () => decode(key, bytes));
    };
    return {
      latest: read,
      advance: (origin, decide) => {
        const key = originKey(origin);
        return writing(db, () => {
          const known = read(key);
          const { note, time } = decide(known);
          const next = { checkpoint: checkpointIn(note), note, time, cosigned: known?.cosigned ?? null };
          db.putSync(key, encode(next));
          return next;
        });
      },
      keepCosigned: (record, cosigned) => {
        const key = originKey(record.checkpoint.origin);
        writing(db, () => {
          const known = read(key);
          if (known === null || known.time !== record.time) return;
          if (toHex(known.note) === toHex(record.note)) db.putSync(key, encode({ ...known, cosigned }));
        });
      },
      close: () => db.close(),
    };
  });
}

function openDatabase(folder: string): RootDatabase<Uint8Array, string> {
  try {
    return open<Uint8Array, string>({
      path: folder,
      noSubdir: false,
      encoding: "binary",
      compression: false,
      overlappingSync: false,
      mapSize: MAP_SIZE,
    });
  } catch (cause) {
    const message = `the state can't be opened: ${cause instanceof Error ? cause.message : cause}`;
    throw new Refusal("state-unusable", message, { cause });
  }
}

/** One write transaction. Whether its record is there after a disk has failed, only the next one tells. */
function writing<T>(db: RootDatabase<Uint8Array, string>, work: () => T): T {
  let refused: unknown;
  try {
    return db.transactionSync(() => {
      try {
        return work();
      } catch (error) {
        refused = error;
        throw error;
      }
    });
  } catch (cause) {
    if (cause === refused || !(cause instanceof Error)) throw cause;
    throw new Refusal("unwritable", `the state can't be written to: ${cause.message}`, {
      hint: "see whether its disk is full; no cosignature was given out, and the same may be asked again",
      cause,
    });
  }
}

/** Both of LMDB's first pages tell what it is. Another file, or a shorter one, would end the process and not the call. */
function checkFile(path: string): void {
  if (!existsSync(path)) return;
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    if (size === 0) return; // killed while it was being made
    const at = (offset: number) => {
      const word = Buffer.alloc(4);
      return readSync(fd, word, 0, 4, offset) === 4 ? word.readUInt32LE() : 0;
    };
    const pageSize = at(48);
    const isDatabase =
      at(24) === LMDB_MAGIC && pageSize >= 4096 && size % pageSize === 0 && at(pageSize + 24) === LMDB_MAGIC;
    if (!isDatabase)
      throw new Refusal("state-damaged", "data.mdb is no database of a witness", {
        hint: "a witness without its state could cosign a second history: put the newest copy back, or begin with a new key",
      });
  } finally {
    closeSync(fd);
  }
}

const checkpointIn = (note: Uint8Array) => parseCheckpoint(parseNote(note).text);

function encode({ note, time, cosigned }: Known): Buffer {
  const json = formatJson({
    version: 1,
    time,
    note: toBase64(note),
    cosigned: cosigned === null ? "" : toBase64(cosigned),
  });
  return Buffer.concat([utf8Encode(`${toHex(nodeCrypto.sha256(json))}\n`), json]);
}

function decode(key: string, bytes: Uint8Array): Known {
  const json = Uint8Array.from(bytes.subarray(65));
  const sum = utf8Decode(Uint8Array.from(bytes.subarray(0, 64)));
  if (sum !== toHex(nodeCrypto.sha256(json))) throw damaged("a record doesn't match its checksum");
  try {
    const record = parseJson(json, "the record", MAX_RECORD) as Record<string, unknown>;
    if (record["version"] !== 1) throw damaged("a record is of another version than this program's");
    const [note, cosigned] = ["note", "cosigned"].map((name) => fromBase64(String(record[name])));
    const time = record["time"];
    if (note == null || cosigned == null || typeof time !== "number") throw damaged("a record isn't one");
    const checkpoint = checkpointIn(note);
    if (originKey(checkpoint.origin) !== key) throw damaged("a record is of another log than its key says");
    return { checkpoint, note, time, cosigned: cosigned.length === 0 ? null : cosigned };
  } catch (error) {
    if (!isRefusal(error) || error.code === "state-damaged") throw error;
    throw damaged(error.message);
  }
}

const damaged = (message: string) => new Refusal("state-damaged", `the witness's state: ${message}`);
