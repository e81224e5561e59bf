// One look at a log, from every place that shows it.
//
//   places ──▶ checkpoint each: signed by the log's key?              (lookAt)
//   largest ─▶ is what was seen before a beginning of it? read on     (follow.ts)
//   all ─────▶ is each a beginning of what was read?                  (compareAll)
//              then: shrunk, behind, stale, a witness gone quiet      (conditions.ts)
//
// Everything read so far is hashed in the state (hashes.ts), so any checkpoint of this log that anybody ever shows, in a
// place, by a witness, on a ledger, is compared with that alone; what contradicts it is proved from there. The
// state moves only by records that the signed checkpoint commits to. Of a place that lies, stalls or breaks off nothing
// is kept but that it did.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import type { Level } from "@vouch/shared/findings";
import { proveStale } from "@vouch/shared/fraud";
import { type HashReader, rootOf } from "@vouch/shared/merkle";
import { type Note, parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal } from "@vouch/shared/refusal";
import type { Interest } from "@vouch/shared/watch";
import { nodeCrypto } from "../crypto";
import { keepFraud, writeFraud } from "../fraudfile";
import { type LogFiles, openFiles, type ReadOptions } from "../log/files";
import { fetchCheckpoint } from "../log/remote";
import { anchorsIn, checkReceipts } from "./anchors";
import { type Board, openBoard } from "./board";
import { judgeShown } from "./conditions";
import { follow } from "./follow";
import type { MonitorState, Shown } from "./state";
import { askWitnesses } from "./witnesses";

export interface MonitorOptions {
  readonly policy: Policy;
  readonly interest: Interest;
  /** Folders or addresses that show this one log. */
  readonly places: readonly string[];
  /** Checkpoints of it from elsewhere. */
  readonly compare: readonly Shown[];
  readonly quietAfterS: number;
  /** Null: never stale. */
  readonly staleAfterS: number | null;
  /** A folder for fraud proofs. */
  readonly fraudOut: string;
  readonly read: ReadOptions;
  /** Unix seconds. */
  readonly now: () => number;
  /** Asked between records: true ends the pass with what was read so far. */
  readonly stopped?: () => boolean;
  readonly progress?: (read: bigint, of: bigint) => void;
  /** The state is written after so many records, and at the end. */
  readonly commitEvery?: bigint;
}

export interface Pass {
  readonly origin: string;
  /** Records read, in all, and now. */
  readonly size: bigint;
  readonly fresh: bigint;
  /** The worst that stands, or was found; null for nothing at all. */
  readonly worst: Level | null;
}

/** A place with what it shows. */
export interface Place {
  readonly source: string;
  readonly files: LogFiles;
  readonly shown: Shown;
  readonly checkpoint: Checkpoint;
  readonly note: Note;
}

/** Everything a pass is about. */
export interface Round extends MonitorOptions {
  readonly state: MonitorState;
  readonly board: Board;
  readonly at: number;
  /** Checkpoints (markOf) that contradict what was read. */
  readonly forked: Set<string>;
}

/** Looks, reads, compares and commits. Refuses nothing that a log or a server does: those are findings. */
export async function monitorPass(state: MonitorState, options: MonitorOptions): Promise<Pass> {
  const at = options.now();
  const origin = options.policy.log.name;
  const before = state.size;
  const board = openBoard(state, origin, at);
  const round: Round = { ...options, state, board, at, forked: new Set() };
  const places = await lookAtAll(round);
  try {
    const heard = await askWitnesses(round);
    await follow(round, places);
    const shown = places.map((place) => place.shown);
    const ours = state.reading === null ? [] : [state.reading];
    const elsewhere = [...heard, ...anchorsIn(round), ...options.compare];
    compareAll(round, [...ours, ...state.pending, ...shown, ...elsewhere]);
    checkReceipts(round);
    judgeShown(round, places);
  } finally {
    for (const { files } of places) files.close();
  }
  const worst = board.settle();
  state.commit();
  return { origin, size: state.size, fresh: state.size - before, worst };
}

async function lookAtAll(round: Round): Promise<Place[]> {
  const found = await Promise.all(round.places.map((source) => lookAt(round, source)));
  return found.filter((place) => place !== null);
}

async function lookAt({ policy, read, board }: Round, source: string): Promise<Place | null> {
  const files = openFiles(source, read);
  try {
    const bytes = await fetchCheckpoint(files);
    const { checkpoint, note } = openCheckpoint(bytes, policy.log, nodeCrypto);
    return { source, files, shown: { from: source, note: bytes }, checkpoint, note };
  } catch (error) {
    files.close();
    board.trouble(source, error);
    return null;
  }
}

const MOST_PENDING = 16;

/** Each checkpoint against what was read; one of a size that wasn't yet waits. */
function compareAll(round: Round, claims: readonly Shown[]): void {
  const { state, policy, board } = round;
  const waiting = new Map<string, Shown>();
  for (const claim of claims) {
    let checkpoint: Checkpoint;
    try {
      checkpoint = openCheckpoint(claim.note, policy.log, nodeCrypto).checkpoint;
    } catch (error) {
      board.trouble(claim.from, error);
      continue;
    }
    const { size, root } = checkpoint;
    if (round.forked.has(markOf(claim.note))) continue; // told already
    if (state.done === null || size > doneSize(state, policy)) {
      const mark = markOf(claim.note);
      if (waiting.size < MOST_PENDING && !waiting.has(mark)) waiting.set(mark, claim);
      continue;
    }
    if (equalBytes(rootOf(size, state.hashes.readerAt(size), nodeCrypto), root)) continue;
    reportFork(round, state.done, claim, state.hashes.readerAt(doneSize(state, policy)));
  }
  state.pending = [...waiting.values()];
}

/** What tells one checkpoint from another, whoever cosigned it. */
export const markOf = (note: Uint8Array): string => {
  const { size, root } = parseCheckpoint(parseNote(note).text);
  return `${size}:${toHex(root)}`;
};

export const doneSize = (state: MonitorState, policy: Policy): bigint =>
  state.done === null ? 0n : openCheckpoint(state.done.note, policy.log, nodeCrypto).checkpoint.size;

/** Two checkpoints that contradict each other: the proof, as a file, and the finding. */
export function reportFork(
  { policy, board, fraudOut }: Round,
  known: Shown,
  other: Shown,
  tree: HashReader | readonly Uint8Array[] | null,
): void {
  const opened = [known, other].map(({ note }) => openCheckpoint(note, policy.log, nodeCrypto).checkpoint);
  const [a, b] = opened as [Checkpoint, Checkpoint];
  const mark = [known, other]
    .map(({ note }) => markOf(note))
    .sort()
    .join(" ");
  const kept = keepFraud([known.note, other.note], tree, policy.log, fraudOut);
  const what = `${policy.log.name} signed size ${a.size}, shown by ${known.from}, and size ${b.size}, shown by ${other.from}, which contradict each other`;
  if (kept === null) board.raise({ code: "log-inconsistent", message: what, mark });
  else
    board.raise({
      code: "log-forked",
      message: `${what}: ${kept.hint}`,
      mark,
      ...(kept.path !== null && { proof: kept.path }),
    });
}

/** A smaller checkpoint that a witness cosigned after it had cosigned what was read. */
export function reportWentBack({ state, policy, board, fraudOut }: Round, smaller: Shown): void {
  if (state.done === null) return;
  const witnesses = policy.witnesses.map(({ vkey }) => vkey);
  const fraud = proveStale([state.done.note, smaller.note], policy.log, witnesses, nodeCrypto);
  if (fraud === null) return;
  try {
    const proof = writeFraud(fraud, policy.log, fraudOut, witnesses);
    const message = `a witness cosigned a smaller tree, shown by ${smaller.from}, after a larger one: ${proof} proves it`;
    board.raise({ code: "witness-went-back", message, mark: proof, proof });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    board.trouble(fraudOut, error);
  }
}
