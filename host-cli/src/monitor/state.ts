// What a monitor knows from one run to the next, in a folder of its own:
//
//   STATE/state.json       how far the log was read, and all that later records are measured by
//   STATE/hashes.<L>       the hashes of what was read (hashes.ts)
//   STATE/findings.jsonl   every finding there ever was, one JSON object a line, in order
//   STATE/delivered        how many bytes of findings.jsonl were printed, and handed to --exec
//
// Findings and hashes are appended and flushed first, state.json is replaced last: that is the commit. A cut before
// it leaves the old state, and what was appended behind it is cut off by the next run, which reads the same records again; a
// cut after it leaves the new. So in findings.jsonl each finding stands exactly once. Handing them on comes
// after, and `delivered` after that: a cut in between hands the last ones on again, under the same number `n`.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { concatBytes, toBase64, utf8Decode, utf8Encode } from "@vouch/shared/bytes";
import { LEVELS, type Level } from "@vouch/shared/findings";
import {
  base64,
  formatJson,
  hex,
  integer,
  list,
  matching,
  object,
  oneOf,
  parseJson,
  type Shape,
  text,
} from "@vouch/shared/json";
import { MAX_NOTE } from "@vouch/shared/note";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { formatVkey, type Vkey } from "@vouch/shared/vkey";
import { emptyMemory, MEMORY, type Memory, readMemory } from "@vouch/shared/watchmemory";
import { about } from "../exit";
import { readInput, writeWhole } from "../files";
import { takeLock } from "../lock";
import { makeFolders } from "../tiledlog";
import { type GrowingFile, openGrowing } from "./growing";
import { type HashStore, openHashes } from "./hashes";

const VERSION = "vouch-monitor/v1";
const MAX_STATE = 256 * 1024 * 1024;
const MOST = 1_000_000;

/** A checkpoint that the log signed, and whoever showed it. */
export interface Shown {
  readonly from: string;
  readonly note: Uint8Array;
}

/** Plain members of the state file; whoever changes them commits. */
export interface Facts {
  /** Unix seconds of the first run. */
  since: number;
  /** Records read. */
  size: bigint;
  /** The newest checkpoint whose records are all read, and when it was first seen. */
  done: Shown | null;
  doneAt: number;
  /** The checkpoint whose records are being read, when a run was stopped among them. */
  reading: Shown | null;
  /** Checkpoints of sizes that aren't read yet. */
  pending: Shown[];
  /** The largest size that each place has shown. */
  sources: Map<string, bigint>;
  /** By verifier key: the time of the newest cosignature, and when the witness last answered. */
  witnesses: Map<string, { cosigned: number; answered: number }>;
  /** SHA-256, hex, of each receipt of an anchor that was checked (anchors.ts). */
  receipts: Set<string>;
  /** Conditions that were told and not yet told over, by their key (board.ts). */
  standing: Map<string, { readonly code: string; readonly level: Level }>;
}

export interface MonitorState extends Facts {
  readonly folder: string;
  readonly hashes: HashStore;
  readonly memory: Memory;
  /** Numbers the finding and puts it behind the others, in memory until the commit. */
  add(finding: object): void;
  commit(): void;
  /** Committed findings that weren't handed on, read as they are asked for; each with what to say once it was. */
  undelivered(): Iterable<{ readonly line: string; delivered(): void }>;
  close(): void;
}

const size: Shape<bigint> = (value, at) =>
  BigInt(matching(/^(0|[1-9][0-9]{0,18})$/, "a decimal number")(value, at));
const shown = object({ from: text(4096), note: base64(1, MAX_NOTE) });
const maybeNull =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === null ? null : shape(value, at);

/** Parts are separated by tabs, which text() takes for invisible. */
const key: Shape<string> = (value, at) => {
  if (typeof value === "string" && value.length <= 8192) return value;
  throw new Refusal("malformed-json", `${at} is no key`);
};

const SHAPE = object({
  version: oneOf(VERSION),
  log: text(512),
  since: integer(0),
  size,
  done: maybeNull(shown),
  doneAt: integer(0),
  reading: maybeNull(shown),
  pending: list(shown, 0, MOST),
  sources: list(object({ name: text(4096), size }), 0, MOST),
  witnesses: list(object({ key, cosigned: integer(0), answered: integer(0) }), 0, MOST),
  receipts: list(hex(32), 0, MOST),
  standing: list(object({ key, code: text(128), level: oneOf(...LEVELS) }), 0, MOST),
  findings: object({ count: integer(0), bytes: integer(0) }),
  memory: MEMORY,
});

/**
 * Opens the folder, or begins one, as its only user. Refuses `locked`, `state-other-log`, `state-damaged`. `now` is
 * Unix seconds.
 */
export async function openMonitorState(folder: string, logKey: Vkey, now: number): Promise<MonitorState> {
  makeFolders(folder);
  const unlock = await takeLock(join(folder, ".lock"), 0);
  try {
    return about(folder, () => openLocked(folder, logKey, now, unlock));
  } catch (error) {
    unlock();
    throw error;
  }
}

function openLocked(folder: string, logKey: Vkey, now: number, unlock: () => void): MonitorState {
  const path = join(folder, "state.json");
  const log = formatVkey(logKey);
  const read = existsSync(path) ? readState(path) : null;
  if (read !== null && read.log !== log) {
    throw new Refusal(
      "state-other-log",
      `the state is of ${quote(read.log)}, the policy's log is ${quote(log)}`,
      {
        hint: "each log has a state folder of its own",
      },
    );
  }
  const findings = openFindings(folder, read?.findings ?? { count: 0, bytes: 0 });
  const hashes = openHashes(folder, read?.size ?? 0n);
  const state: MonitorState = {
    folder,
    hashes,
    memory: read === null ? emptyMemory() : readMemory(read.memory),
    since: read?.since ?? now,
    size: read?.size ?? 0n,
    done: read?.done ?? null,
    doneAt: read?.doneAt ?? now,
    reading: read?.reading ?? null,
    pending: read?.pending ?? [],
    sources: new Map(read?.sources.map(({ name, size: largest }) => [name, largest])),
    witnesses: new Map(read?.witnesses.map(({ key: vkey, ...times }) => [vkey, times])),
    receipts: new Set(read?.receipts),
    standing: new Map(read?.standing.map(({ key: name, ...condition }) => [name, condition])),
    add: findings.add,
    commit() {
      hashes.flush();
      const committed = findings.flush();
      writeWhole(path, formatJson(stateJson(state, log, committed)));
      findings.committed();
    },
    undelivered: findings.undelivered,
    close() {
      hashes.close();
      findings.close();
      unlock();
    },
  };
  return state;
}

function readState(path: string) {
  try {
    return SHAPE(parseJson(readInput(path, MAX_STATE), "the monitor's state", MAX_STATE), "state");
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new Refusal("state-damaged", `${path}: ${error.message}`, {
      cause: error,
      hint: "begin with an empty folder: the log is then read again from its first record",
    });
  }
}

const shownJson = ({ from, note }: Shown) => ({ from, note: toBase64(note) });

const stateJson = (state: MonitorState, log: string, findings: { count: number; bytes: number }) => ({
  version: VERSION,
  log,
  since: state.since,
  size: String(state.size),
  done: state.done === null ? null : shownJson(state.done),
  doneAt: state.doneAt,
  reading: state.reading === null ? null : shownJson(state.reading),
  pending: state.pending.map(shownJson),
  sources: [...state.sources].map(([name, largest]) => ({ name, size: String(largest) })),
  witnesses: [...state.witnesses].map(([vkey, times]) => ({ key: vkey, ...times })),
  receipts: [...state.receipts],
  standing: [...state.standing].map(([name, condition]) => ({ key: name, ...condition })),
  findings,
  memory: state.memory.toJson(),
});

interface Extent {
  readonly count: number;
  readonly bytes: number;
}

function openFindings(folder: string, before: Extent) {
  const deliveredPath = join(folder, "delivered");
  const file = openGrowing(join(folder, "findings.jsonl"), before.bytes);
  let { count, bytes } = before;
  let committed = bytes;
  let waiting: string[] = [];
  let delivered = readDelivered(deliveredPath, bytes);
  return {
    add(finding: object) {
      count++;
      waiting.push(`${JSON.stringify({ n: count, ...finding })}\n`);
    },
    /** What the state file is to say. */
    flush(): Extent {
      if (waiting.length > 0) {
        const lines = utf8Encode(waiting.join(""));
        file.append(lines);
        file.flush();
        bytes += lines.length;
        waiting = [];
      }
      return { count, bytes };
    },
    committed() {
      committed = bytes;
    },
    *undelivered() {
      let at = delivered;
      for (const bytes of linesIn(file, delivered, committed)) {
        const line = utf8Decode(bytes);
        if (line === null) throw new Refusal("state-damaged", `findings.jsonl holds no text at byte ${at}`);
        at += bytes.length + 1;
        const end = at;
        yield {
          line,
          delivered() {
            delivered = end;
            writeWhole(deliveredPath, `${end}\n`);
          },
        };
      }
    },
    close: () => file.close(),
  };
}

const PIECE = 1024 * 1024;

/** The lines between two places of a file, without their ends: a log of junk makes more findings than fit in memory. */
export function* linesIn(
  file: Pick<GrowingFile, "read">,
  from: number,
  to: number,
  piece = PIECE,
): Generator<Uint8Array> {
  let held: Uint8Array = new Uint8Array(0); // of a line that goes on
  for (let at = from; at < to; ) {
    const more = file.read(at, Math.min(piece, to - at));
    at += more.length;
    const bytes = held.length === 0 ? more : concatBytes([held, more]);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    held = bytes.subarray(start);
  }
}

/** Nothing readable there: everything is handed on again, rather than nothing. */
function readDelivered(path: string, bytes: number): number {
  if (!existsSync(path)) return 0;
  const [, digits] = /^(0|[1-9][0-9]{0,15})\n$/.exec(utf8Decode(readInput(path, 64)) ?? "") ?? [];
  return digits === undefined || Number(digits) > bytes ? 0 : Number(digits);
}
