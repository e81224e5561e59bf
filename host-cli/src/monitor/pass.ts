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

import { equalBytes } from "@vouch/shared/bytes";
import type { Checkpoint } from "@vouch/shared/checkpoint";
import type { Level } from "@vouch/shared/findings";
import { rootOf } from "@vouch/shared/merkle";
import { rememberedRing } from "@vouch/shared/watchkeys";
import { nodeCrypto } from "../crypto";
import { openFiles } from "../log/files";
import { fetchCheckpoint } from "../log/remote";
import { anchorsIn, checkReceipts } from "./anchors";
import { openBoard } from "./board";
import { judgeShown } from "./conditions";
import { follow } from "./follow";
import {
  doneSize,
  type MonitorOptions,
  markOf,
  openSigned,
  type Place,
  type Round,
  reportFork,
} from "./round";
import { openScouted } from "./scout";
import type { MonitorState, Shown } from "./state";
import { askWitnesses } from "./witnesses";

export type { MonitorOptions } from "./round";

export interface Pass {
  readonly origin: string;
  /** Records read, in all, and now. */
  readonly size: bigint;
  readonly fresh: bigint;
  /** The worst that stands, or was found; null for nothing at all. */
  readonly worst: Level | null;
}

/** Looks, reads, compares and commits. Refuses nothing that a log or a server does: those are findings. */
export async function monitorPass(state: MonitorState, options: MonitorOptions): Promise<Pass> {
  const at = options.now();
  const origin = options.policy.log.name;
  const before = state.size;
  const board = openBoard(state, origin, at);
  const ring = rememberedRing(options.policy, state.memory, nodeCrypto);
  const round: Round = { ...options, state, board, at, ring, forked: new Set() };
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

async function lookAt(round: Round, source: string): Promise<Place | null> {
  const { read, board } = round;
  const files = openFiles(source, read);
  try {
    const bytes = await fetchCheckpoint(files);
    const { checkpoint, note } = await openScouted(round, files, bytes);
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
  const { state, board } = round;
  const waiting = new Map<string, Shown>();
  for (const claim of claims) {
    let checkpoint: Checkpoint;
    try {
      checkpoint = openSigned(round, claim.note).checkpoint;
    } catch (error) {
      board.trouble(claim.from, error);
      continue;
    }
    const { size, root } = checkpoint;
    if (round.forked.has(markOf(claim.note))) continue; // told already
    if (state.done === null || size > doneSize(round)) {
      const mark = markOf(claim.note);
      const rival = [...waiting].find(([other]) => other !== mark && other.startsWith(`${size}:`));
      if (rival !== undefined) reportFork(round, rival[1], claim, null);
      else if (waiting.size < MOST_PENDING && !waiting.has(mark)) waiting.set(mark, claim);
      continue;
    }
    if (equalBytes(rootOf(size, state.hashes.readerAt(size), nodeCrypto), root)) continue;
    reportFork(round, state.done, claim, state.hashes.readerAt(doneSize(round)));
  }
  state.pending = [...waiting.values()];
}
