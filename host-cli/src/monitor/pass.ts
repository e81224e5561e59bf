// One look at a log, from every place that shows it.
//
//   places ──▶ checkpoint each: signed by the log's key?              (lookAt)
//              one that the policy distrusts by now?                  (distrusted.ts)
//   largest ─▶ is what was seen before a beginning of it? read on     (follow.ts)
//   all ─────▶ is each a beginning of what was read?                  (compareAll)
//              then: shrunk, behind, stale, a witness gone quiet      (conditions.ts)
//              and what was met before, and not now: over, or not asked (board.ts)
//
// Everything read so far is hashed in the state (hashes.ts), so any checkpoint of this log that anybody ever shows, in a
// place, by a witness, on a ledger, is compared with that alone; what contradicts it is proved from there. The
// state moves only by records that the signed checkpoint commits to. Of a place that lies, stalls or breaks off nothing
// is kept but that it did.

import { CLOCK_SKEW } from "@vouch/shared/anchoring";
import { equalBytes } from "@vouch/shared/bytes";
import type { Checkpoint } from "@vouch/shared/checkpoint";
import { trustedAt } from "@vouch/shared/distrust";
import type { Level } from "@vouch/shared/findings";
import { rootOf } from "@vouch/shared/merkle";
import { isRefusal } from "@vouch/shared/refusal";
import { rememberedRing } from "@vouch/shared/watchkeys";
import { nodeCrypto } from "../crypto";
import { openFiles } from "../log/files";
import { fetchCheckpoint } from "../log/remote";
import { anchorsIn, checkReceipts, provenIn } from "./anchors";
import { isRefused, openBoard, type Unasked } from "./board";
import { judgeShown } from "./conditions";
import { doubtOf, dropDoubted } from "./distrusted";
import { follow, settlePlaces } from "./follow";
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
  /** What stands, and couldn't be judged this time. */
  readonly unasked: readonly (Unasked & {
    /** Whether anything is asked there at all: a place named, a witness of the policy, the log itself. */
    readonly isNamed: boolean;
  })[];
  /** To be retired, and nothing stood of it. */
  readonly unknown: readonly string[];
}

/** Looks, reads, compares and commits. Refuses nothing that a log or a server does: those are findings. */
export async function monitorPass(state: MonitorState, options: MonitorOptions): Promise<Pass> {
  const at = options.now();
  const policy = trustedAt(options.policy, at);
  const origin = policy.log.name;
  const before = state.size;
  notAfter(state, at);
  const board = openBoard(state, origin, at);
  const ring = rememberedRing(policy, state.memory, nodeCrypto);
  const start = { ...options, policy, state, board, at, ring, forked: new Set<string>() };
  const round: Round = { ...start, proven: policy.untrusted === undefined ? [] : provenIn(start) };
  dropDoubted(round);
  const found = await lookAtAll(round);
  const places = found.filter(({ checkpoint }) => doubtOf(round, checkpoint) === null);
  try {
    const heard = await askWitnesses(round);
    await follow(round, places);
    await settlePlaces(round, places);
    const shown = found.map((place) => place.shown);
    const ours = state.reading === null ? [] : [state.reading];
    const elsewhere = [...heard, ...anchorsIn(round), ...options.compare];
    for (const { from } of options.compare) board.well(from, isRefused); // unless it is refused now
    compareAll(round, [...ours, ...state.pending, ...shown, ...elsewhere]);
    checkReceipts(round);
    judgeShown(round, places);
  } finally {
    for (const { files } of found) files.close();
  }
  board.retire(options.retire ?? []);
  const { worst, unasked, unknown } = board.settle();
  state.commit();
  const isNamed = ({ source }: Unasked) => isAsked(round, source);
  const listed = unasked.map((one) => ({ ...one, isNamed: isNamed(one) }));
  return { origin, size: state.size, fresh: state.size - before, worst, unasked: listed, unknown };
}

/** Whether a pass asks there, or would: what stands of it can't be retired. */
export function isAsked({ places, compare, policy }: MonitorOptions, source: string): boolean {
  const folders = places.flatMap((place) => [place, `${place}/anchors`]);
  const witnesses = policy.witnesses.flatMap(({ name }) => [name, `witness ${name}`]);
  const all = ["", ...folders, ...witnesses, ...compare.map(({ from }) => from)];
  return all.includes(source) || places.some((place) => source.startsWith(`${place}/anchors/`));
}

/** A clock that was put back would have every silence begin in the future, and none be long. */
function notAfter(state: MonitorState, at: number): void {
  const past = (time: number) => Math.min(time, at);
  state.since = past(state.since);
  state.doneAt = past(state.doneAt);
  for (const [key, { cosigned, answered, missed }] of state.witnesses) {
    const times = { cosigned: Math.min(cosigned, at + CLOCK_SKEW), answered: past(answered) };
    state.witnesses.set(key, { ...times, missed: past(missed) });
  }
  for (const [name, source] of state.sources)
    state.sources.set(name, { ...source, since: past(source.since) });
  for (const [key, one] of state.standing) state.standing.set(key, { ...one, asked: past(one.asked) });
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
    // Found in records, when the log's key was looked for there (scout.ts).
    const isBelow = isRefusal(error) && error.code === "log-damaged";
    board.trouble(source, error, isBelow ? round.state.size : null);
    return null;
  }
}

const MOST_PENDING = 16;

/**
 * Each checkpoint against what was read; one of a size that wasn't yet waits. Of too many the smallest do, which are the
 * next to be reached: a log that signs far ones can't push out what a witness saw.
 */
function compareAll(round: Round, claims: readonly Shown[]): void {
  const { state, board } = round;
  const waiting = new Map<bigint, Shown>();
  const ahead = new Set<string>();
  const reached = new Set<string>();
  for (const claim of claims) {
    let checkpoint: Checkpoint;
    try {
      checkpoint = openSigned(round, claim.note).checkpoint;
    } catch (error) {
      board.trouble(claim.from, error);
      continue;
    }
    const { size, root } = checkpoint;
    const doubt = doubtOf(round, checkpoint);
    if (doubt !== null) board.trouble(claim.from, doubt);
    if (round.forked.has(markOf(claim.note))) continue; // told already
    if (state.done === null || size > doneSize(round)) {
      if (doubt !== null) continue;
      ahead.add(claim.from);
      const other = waiting.get(size);
      if (other === undefined) waiting.set(size, claim);
      else if (markOf(other.note) !== markOf(claim.note)) reportFork(round, other, claim, null);
      continue;
    }
    reached.add(claim.from);
    if (equalBytes(rootOf(size, state.hashes.readerAt(size), nodeCrypto), root)) continue;
    reportFork(round, state.done, claim, state.hashes.readerAt(doneSize(round)));
  }
  const smallestFirst = [...waiting].sort(([a], [b]) => (a < b ? -1 : 1));
  state.pending = smallestFirst.slice(0, MOST_PENDING).map(([, claim]) => claim);
  // A place is behind by what it shows (conditions.ts), others by what they have shown, once that is reached.
  for (const from of reached)
    if (!ahead.has(from) && !state.sources.has(from)) board.well(from, (kind) => kind === "log-behind");
}
