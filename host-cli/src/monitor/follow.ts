// Reading on: from the last record read to the largest checkpoint that any place shows.
//
//   seen before ──▶ a beginning of the new tree? ──▶ record by record: its hash kept, what it says judged
//
// The reader gives no record that the checkpoint doesn't commit to (log/remote.ts), so what was read may be
// committed at any record: a log of millions goes on where the last run was stopped.

import { equalBytes } from "@vouch/shared/bytes";
import { leafHash, rootOf } from "@vouch/shared/merkle";
import { isRefusal } from "@vouch/shared/refusal";
import { openWatch } from "@vouch/shared/watch";
import { rememberedRing } from "@vouch/shared/watchkeys";
import { nodeCrypto } from "../crypto";
import { type LogReader, readLogAt } from "../log/remote";
import { momentsIn } from "./distrusted";
import { doneSize, markOf, openSigned, type Place, QUIET, type Round, reportFork } from "./round";
import { REFUSED, type Shown, standingKey } from "./state";

const BREATH = 256n;
const COMMIT_EVERY = 8192n; // the state is written whole each time

/** Reads from the place with the largest tree; from the next one where that can't be read. */
export async function follow(round: Round, places: readonly Place[]): Promise<void> {
  const largestFirst = places.toSorted((a, b) => (a.checkpoint.size > b.checkpoint.size ? -1 : 1));
  for (const place of largestFirst) {
    const { size } = place.checkpoint;
    if (size < round.state.size || !isNews(round, size)) continue;
    try {
      if (await readOn(round, place)) return;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      round.board.trouble(place.source, error, round.state.size);
    }
  }
}

/**
 * What stood of places that answer well is over. One that gave no good answer for a record has to give one for it, or for
 * the log's last: that it shows a checkpoint says nothing of what lies under it.
 */
export async function settlePlaces(round: Round, places: readonly Place[]): Promise<void> {
  const { board, state } = round;
  for (const { source, files, shown, checkpoint } of places) {
    const stuck = REFUSED.flatMap((kind) => state.standing.get(standingKey(kind, source, ""))?.stuck ?? []);
    try {
      if (stuck.length > 0 && checkpoint.size > 0n) {
        const reader = await readLogAt(files, shown.note);
        for (const index of new Set(stuck))
          await reader.entry(index < checkpoint.size ? index : checkpoint.size - 1n);
      }
      board.well(source, (kind) => kind !== QUIET);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      board.trouble(source, error, stuck[0] ?? null);
    }
  }
}

const isNews = (round: Round, size: bigint): boolean => round.state.done === null || size > doneSize(round);

/** False when the place shows another history. */
async function readOn(round: Round, place: Place): Promise<boolean> {
  const { state } = round;
  const { shown, checkpoint, files } = place;
  const reader = await readLogAt(files, shown.note);
  if (!(await extendsAll(round, reader, shown))) return false;
  // What a killed run was reading, and this doesn't reach, is compared once that many records are read.
  if (state.reading !== null && markOf(state.reading.note) !== markOf(shown.note))
    state.pending.push(state.reading);
  state.reading = shown; // it was signed: whatever comes later must lead on from it
  const finished = await readRecords(round, reader, place);
  round.ring = rememberedRing(round.policy, state.memory, nodeCrypto);
  if (!finished) return true;
  const root = rootOf(checkpoint.size, state.hashes.readerAt(checkpoint.size), nodeCrypto);
  if (!equalBytes(root, checkpoint.root))
    throw new Error("the records don't hash to the root they were read under");
  state.reading = null;
  state.done = shown;
  state.doneAt = round.at;
  return true;
}

/** What was read, and what it was read under, is a beginning of the new tree. Others are told when they aren't. */
async function extendsAll(round: Round, reader: LogReader, shown: Shown): Promise<boolean> {
  const { state } = round;
  const ours = [state.done, state.reading].filter((before) => before !== null);
  let extended = true;
  for (const before of [...ours, ...state.pending]) {
    if (await isExtended(round, before, reader, shown)) continue;
    if (!ours.includes(before)) continue;
    round.forked.add(markOf(shown.note));
    extended = false;
  }
  if (!extended) return false;
  const own = rootOf(state.size, state.hashes.readerAt(state.size), nodeCrypto);
  if (equalBytes(own, await reader.rootAt(state.size))) return true;
  const message = `it shows a tree that doesn't begin with the ${state.size} records read`;
  round.board.raise({ code: "log-inconsistent", message, source: shown.from });
  round.forked.add(markOf(shown.note));
  return false;
}

async function isExtended(round: Round, before: Shown, reader: LogReader, shown: Shown): Promise<boolean> {
  const { size, root } = openSigned(round, before.note).checkpoint;
  if (size > reader.size) return true; // once that many are read
  const implied = await reader.rootAt(size);
  if (equalBytes(implied, root)) return true;
  reportFork(round, before, shown, size < reader.size ? await partsOf(reader, size, implied) : null);
  return false;
}

/** What partsAt gives, of a reader that answers later: a whole first tree is its own first part. */
async function partsOf(reader: LogReader, size: bigint, root: Uint8Array): Promise<Uint8Array[]> {
  if (size === 0n) return [];
  const proof = await reader.proveConsistency(size);
  return (size & (size - 1n)) === 0n ? [root, ...proof] : proof;
}

/** False when it was stopped. */
async function readRecords(round: Round, reader: LogReader, { source }: Place): Promise<boolean> {
  const { state, policy, interest, board } = round;
  const watch = openWatch(policy, interest, nodeCrypto, state.memory, await momentsIn(round, reader));
  const rootAt = (size: bigint) => rootOf(size, state.hashes.readerAt(size), nodeCrypto);
  for await (const { index, bytes } of reader.entries(state.size)) {
    // Of a folder nothing is waited for: signals and timers have their turn here.
    if (index % BREATH === 0n) await new Promise((resolve) => setImmediate(resolve));
    if (round.stopped?.()) return false;
    state.hashes.append(leafHash(bytes, nodeCrypto));
    for (const found of watch.record(index, bytes, rootAt)) board.record(index, found, source);
    state.size = index + 1n;
    if (state.size % (round.commitEvery ?? COMMIT_EVERY) !== 0n) continue;
    state.commit();
    round.progress?.(state.size, reader.size);
  }
  return true;
}
