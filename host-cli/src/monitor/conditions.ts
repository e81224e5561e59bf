// What the checkpoints in sight say of the log as it is: whether it shrank, fell behind, stands still, and who cosigned it.

import { CLOCK_SKEW } from "@vouch/shared/anchoring";
import { verifyCosignature } from "@vouch/shared/cosignature";
import { parseNote, signaturesBy } from "@vouch/shared/note";
import { evalQuorum } from "@vouch/shared/quorum";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { formatVkey } from "@vouch/shared/vkey";
import { closedBy } from "@vouch/shared/watchkeys";
import { nodeCrypto } from "../crypto";
import { doneSize, openSigned, type Place, policyFor, QUIET, type Round, reportWentBack } from "./round";
import { type KnownWitness, type Source, standingKey } from "./state";

/** Places that show one log are renewed one after another. */
const GRACE_S = 600;

export function judgeShown(round: Round, places: readonly Place[]): void {
  for (const place of places) judgeSize(round, place);
  const cosigned = places.map((place) => judgeCosignatures(round, place));
  judgeQuorum(round, places, cosigned);
  if (places.length === 0) return; // nothing is known of the log as it is
  judgeBehind(round, places);
  judgeWitnesses(round);
  judgeAge(round);
}

function judgeSize(round: Round, { source, shown, checkpoint: { size } }: Place): void {
  const { state, board, at } = round;
  const before = state.sources.get(source) ?? { size: 0n, owed: 0n, since: 0 };
  if (size < before.size) {
    const message = `it shows a checkpoint of size ${size}, and showed one of ${before.size} before`;
    board.raise({ code: "checkpoint-shrunk", message, source });
    reportWentBack(round, shown);
  }
  const { owed, since } = debtOf(round, before, size);
  const isTold = state.standing.has(standingKey("log-behind", source, "")); // one that shrinks as well is still behind
  if (owed > 0n && at - since > GRACE_S && (isTold || size >= before.size)) {
    const message = `it shows a checkpoint of size ${size}, another place one of ${owed} since ${isoTime(since)}`;
    board.raise({ code: "log-behind", message, source });
  }
  state.sources.set(source, { size: size > before.size ? size : before.size, owed, since });
}

/**
 * What a place owes: the size that was read when it first showed less. It stays that while the log goes on, or a place
 * that stands still beside a busy log would never be behind; a copy that follows pays it and owes the next.
 */
function debtOf(round: Round, before: Source, size: bigint): Pick<Source, "owed" | "since"> {
  const read = doneSize(round);
  if (size >= read) return { owed: 0n, since: 0 };
  return before.owed > size ? before : { owed: read, since: round.state.doneAt };
}

/** Somebody has seen more of the log than it shows: a witness, a ledger, ourselves. */
function judgeBehind(round: Round, places: readonly Place[]): void {
  const { state, board, at } = round;
  for (const { from, note: bytes } of state.pending) {
    const { checkpoint, note } = openSigned(round, bytes);
    const { size } = checkpoint;
    const { witnesses } = policyFor(round, size);
    if (places.some((place) => place.checkpoint.size >= size)) continue;
    // A time to come would keep it waiting for as long.
    const times = witnesses
      .flatMap(({ vkey }) => timeOf(note, vkey) ?? [])
      .filter((time) => time <= at + CLOCK_SKEW);
    // A maker gathers cosignatures before it publishes.
    if (times.length > 0 && at - Math.min(...times) <= GRACE_S) continue;
    const largest = places.map((place) => place.checkpoint.size).join(", ");
    const message = `${from} has a checkpoint of size ${size}, the log shows ${largest}`;
    board.raise({ code: "log-behind", message, source: from });
  }
}

type Witness = Round["policy"]["witnesses"][number];

function timeOf(note: Parameters<typeof verifyCosignature>[0], vkey: Witness["vkey"]): number | null {
  try {
    return verifyCosignature(note, vkey, nodeCrypto).time;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

/** Who of the policy's witnesses cosigned what a place shows, by name. */
function judgeCosignatures(round: Round, { source, note, checkpoint }: Place): Set<string> {
  const { state, board, at } = round;
  const policy = policyFor(round, checkpoint.size);
  const cosigned = new Set<string>();
  for (const { name, vkey } of policy.witnesses) {
    if (signaturesBy(note, vkey).length === 0) continue;
    try {
      const { time } = verifyCosignature(note, vkey, nodeCrypto);
      if (time > at + CLOCK_SKEW) {
        const message = `${name} cosigned at ${isoTime(time)}, it is ${isoTime(at)}`;
        board.raise({ code: "cosignature-from-future", message, source, mark: name });
        continue;
      }
      cosigned.add(name);
      const key = formatVkey(vkey);
      const known = state.witnesses.get(key) ?? STRANGER;
      state.witnesses.set(key, { ...known, cosigned: Math.max(known.cosigned, time) });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      board.raise({ code: error.code, message: error.message, source, mark: name });
    }
  }
  return cosigned;
}

function judgeQuorum(round: Round, places: readonly Place[], cosigned: readonly Set<string>[]): void {
  const { board, state } = round;
  places.forEach(({ source, shown, checkpoint, note }, i) => {
    const policy = policyFor(round, checkpoint.size);
    const by = cosigned[i] as Set<string>;
    // The same checkpoint with newer cosignatures.
    if (state.done !== null && parseNote(state.done.note).text === note.text) state.done = shown;
    if (evalQuorum(policy, by)) return;
    const message = `the checkpoint of size ${checkpoint.size} has ${by.size} cosignatures, the policy's quorum ${policy.quorum} is not met`;
    board.raise({ code: "quorum-missing", message, source });
  });
}

const STRANGER: KnownWitness = { cosigned: 0, answered: 0, missed: 0 };

/**
 * A witness cosigns when it is asked to, and a log that nothing was added to asks nobody. So it is quiet when what the log
 * shows has lacked its cosignature for long, be it one checkpoint or one after another, or it has not answered us for as
 * long. That is over when the newest checkpoint has its cosignature, and it answers, if it can be asked.
 */
function judgeWitnesses(round: Round): void {
  const { state, board, at, quietAfterS } = round;
  if (state.done === null) return;
  const { note, checkpoint } = openSigned(round, state.done.note);
  const policy = policyFor(round, checkpoint.size);
  for (const { name, vkey, url } of policy.witnesses) {
    const key = formatVkey(vkey);
    const known = state.witnesses.get(key) ?? STRANGER;
    const { cosigned, answered } = known;
    const time = timeOf(note, vkey);
    const isThere = time !== null && time <= at + CLOCK_SKEW;
    const missed = isThere ? 0 : known.missed || state.doneAt;
    state.witnesses.set(key, { ...known, missed });
    const last =
      cosigned === 0 ? "it never cosigned this log" : `its last cosignature is of ${isoTime(cosigned)}`;
    const isMissing = !isThere && at - Math.max(missed, cosigned) > quietAfterS;
    const isDeaf = url !== undefined && at - Math.max(answered, state.since) > quietAfterS;
    const message = isMissing
      ? `witness ${name} hasn't cosigned what the log shows since ${isoTime(missed)}; ${last}`
      : `witness ${name} gives no answer since ${isoTime(Math.max(answered, state.since))}; ${last}`;
    if (isMissing || isDeaf) board.raise({ code: QUIET, message, source: name });
    else if (isThere && (url === undefined || answered === at)) board.well(name, (kind) => kind === QUIET);
  }
}

/** No record and no fresh cosignature: what is shown may be an old view of a log that went on. */
function judgeAge(round: Round): void {
  const { state, board, at, staleAfterS } = round;
  if (staleAfterS === null || state.done === null) return;
  const policy = policyFor(round, doneSize(round));
  const times = policy.witnesses.flatMap(({ vkey }) => state.witnesses.get(formatVkey(vkey))?.cosigned ?? []);
  const newest = Math.max(state.doneAt, ...times);
  board.well("", (kind) => kind === "checkpoint-stale");
  if (closedBy(state.memory) !== null || at - newest <= staleAfterS) return;
  const message = `nothing was added, and nobody cosigned, since ${isoTime(newest)}`;
  board.raise({ code: "checkpoint-stale", message });
}
