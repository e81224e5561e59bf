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
  maybe,
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
import { takeLock } from "../lock";
import { readInput } from "../readfiles";
import { makeFolders } from "../tiledlog";
import { writeWhole } from "../writefiles";
import { type GrowingFile, openGrowing } from "./growing";
import { type HashStore, openHashes } from "./hashes";

// v1 knew neither when a condition was met last, nor what a place or a witness owes.
const VERSIONS = ["vouch-monitor/v1", "vouch-monitor/v2"] as const;
const VERSION = VERSIONS[1];
const MAX_STATE = 256 * 1024 * 1024;
const MOST = 1_000_000;

/** A checkpoint that the log signed, and whoever showed it. */
export interface Shown {
  readonly from: string;
  readonly note: Uint8Array;
}

/** How bad a refusal is, worst first: the first part of its key. */
export const REFUSED = ["wrong", "unsure", "trouble"] as const satisfies readonly Level[];
export type Refused = (typeof REFUSED)[number];

/** A condition that was told and not yet told over. */
export interface Standing {
  readonly code: string;
  readonly level: Level;
  /** Unix seconds of the last pass that met it; 0 when that isn't known. */
  readonly asked: number;
  /** The record for which a place gave no good answer, where that is what it was refused for. */
  readonly stuck: bigint | null;
}

/** What a place has shown, and what it owes: a size that was read elsewhere, known since then; 0 for none. */
export interface Source {
  readonly size: bigint;
  readonly owed: bigint;
  readonly since: number;
}

export interface KnownWitness {
  /** The time of its newest cosignature. */
  readonly cosigned: number;
  /** When it last answered. */
  readonly answered: number;
  /** Since when what the log shows lacks its cosignature; 0 when it doesn't. */
  readonly missed: number;
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
  sources: Map<string, Source>;
  /** By verifier key. */
  witnesses: Map<string, KnownWitness>;
  /** SHA-256, hex, of each receipt of an anchor that was checked (anchors.ts). */
  receipts: Set<string>;
  /** By key (standingKey). */
  standing: Map<string, Standing>;
}

const BETWEEN = "\t"; // in no code, and shown as an escape in no address

/** `kind` is a code, or how bad a refusal was; `mark` tells one from another of its kind and source. */
export const standingKey = (kind: string, source: string, mark: string) =>
  [kind, source.replaceAll(BETWEEN, " "), mark].join(BETWEEN);

export function partsOf(key: string): { readonly kind: string; readonly source: string } {
  const [kind = "", source = ""] = key.split(BETWEEN);
  return { kind, source };
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
  version: oneOf(...VERSIONS),
  log: text(512),
  since: integer(0),
  size,
  done: maybeNull(shown),
  doneAt: integer(0),
  reading: maybeNull(shown),
  pending: list(shown, 0, MOST),
  sources: list(object({ name: text(4096), size, owed: maybe(size), since: maybe(integer(0)) }), 0, MOST),
  witnesses: list(
    object({ key, cosigned: integer(0), answered: integer(0), missed: maybe(integer(0)) }),
    0,
    MOST,
  ),
  receipts: list(hex(32), 0, MOST),
  standing: list(
    object({ key, code: text(128), level: oneOf(...LEVELS), asked: maybe(integer(0)), stuck: maybe(size) }),
    0,
    MOST,
  ),
  findings: object({ count: integer(0), bytes: integer(0) }),
  memory: MEMORY,
});

/**
 * Opens the folder, or begins one, as its only user. Refuses `locked`, `state-other-log`, `state-damaged`,
 * `unsupported-version`. `now` is Unix seconds.
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
    sources: new Map(
      read?.sources.map(({ name, owed = 0n, since = 0, ...shown }) => [name, { ...shown, owed, since }]),
    ),
    witnesses: new Map(
      read?.witnesses.map(({ key: vkey, missed = 0, ...times }) => [vkey, { ...times, missed }]),
    ),
    receipts: new Set(read?.receipts),
    standing: new Map(
      read?.standing.map(({ key: name, asked = 0, stuck = null, ...condition }) => [
        ofThisVersion(name, condition.level),
        { ...condition, asked, stuck },
      ]),
    ),
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

/** v1 had one key for refusals, however bad. */
function ofThisVersion(name: string, level: Level): string {
  const { kind, source } = partsOf(name);
  return kind === "trouble" ? standingKey(level, source, "") : name;
}

function readState(path: string) {
  try {
    const read = parseJson(readInput(path, MAX_STATE), "the monitor's state", MAX_STATE);
    const { version } = (read ?? {}) as { version?: unknown };
    const isLater = typeof version === "string" && /^vouch-monitor\/v[1-9][0-9]*$/.test(version);
    if (isLater && !(VERSIONS as readonly string[]).includes(version))
      throw new Refusal(
        "unsupported-version",
        `${path} is ${quote(version)}, known here are ${VERSIONS.join(" and ")}`,
      );
    return SHAPE(read, "state");
  } catch (error) {
    if (!isRefusal(error) || error.code === "unsupported-version") throw error;
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
  sources: [...state.sources].map(([name, { size: largest, owed, since }]) => ({
    name,
    size: String(largest),
    owed: String(owed),
    since,
  })),
  witnesses: [...state.witnesses].map(([vkey, times]) => ({ key: vkey, ...times })),
  receipts: [...state.receipts],
  standing: [...state.standing].map(([name, { stuck, ...condition }]) => ({
    key: name,
    ...condition,
    ...(stuck !== null && { stuck: String(stuck) }),
  })),
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
