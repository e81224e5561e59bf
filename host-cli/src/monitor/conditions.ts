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
import { doneSize, openSigned, type Place, policyFor, type Round, reportWentBack } from "./round";

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
  const before = state.sources.get(source) ?? 0n;
  const read = doneSize(round);
  if (size < before) {
    const message = `it shows a checkpoint of size ${size}, and showed one of ${before} before`;
    board.raise({ code: "checkpoint-shrunk", message, source });
    reportWentBack(round, shown);
  } else if (size < read && at - state.doneAt > GRACE_S) {
    const message = `it shows a checkpoint of size ${size}, another place one of ${read} since ${isoTime(state.doneAt)}`;
    board.raise({ code: "log-behind", message, source });
  }
  if (size > before) state.sources.set(source, size);
}

/** Somebody has seen more of the log than it shows: a witness, a ledger, ourselves. */
function judgeBehind(round: Round, places: readonly Place[]): void {
  const { state, board, at } = round;
  for (const { from, note: bytes } of state.pending) {
    const { checkpoint, note } = openSigned(round, bytes);
    const { size } = checkpoint;
    const { witnesses } = policyFor(round, size);
    if (places.some((place) => place.checkpoint.size >= size)) continue;
    const times = witnesses.flatMap(({ vkey }) => timeOf(note, vkey) ?? []);
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
      const known = state.witnesses.get(key) ?? { cosigned: 0, answered: 0 };
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

/**
 * A witness cosigns when it is asked to, and a log that nothing was added to asks nobody. So it is quiet when the
 * checkpoint has been there for long without its cosignature, or it has not answered us for as long.
 */
function judgeWitnesses(round: Round): void {
  const { state, board, at, quietAfterS } = round;
  if (state.done === null) return;
  const { note, checkpoint } = openSigned(round, state.done.note);
  const policy = policyFor(round, checkpoint.size);
  for (const { name, vkey, url } of policy.witnesses) {
    const { cosigned, answered } = state.witnesses.get(formatVkey(vkey)) ?? { cosigned: 0, answered: 0 };
    const last =
      cosigned === 0 ? "it never cosigned this log" : `its last cosignature is of ${isoTime(cosigned)}`;
    const isMissing = timeOf(note, vkey) === null && at - state.doneAt > quietAfterS;
    const isDeaf = url !== undefined && at - Math.max(answered, state.since) > quietAfterS;
    if (!isMissing && !isDeaf) continue;
    const message = isMissing
      ? `witness ${name} hasn't cosigned the checkpoint that is there since ${isoTime(state.doneAt)}; ${last}`
      : `witness ${name} gives no answer since ${isoTime(Math.max(answered, state.since))}; ${last}`;
    board.raise({ code: "witness-quiet", message, source: name });
  }
}

/** No record and no fresh cosignature: what is shown may be an old view of a log that went on. */
function judgeAge(round: Round): void {
  const { state, board, at, staleAfterS } = round;
  if (staleAfterS === null || state.done === null || closedBy(state.memory) !== null) return;
  const policy = policyFor(round, doneSize(round));
  const times = policy.witnesses.flatMap(({ vkey }) => state.witnesses.get(formatVkey(vkey))?.cosigned ?? []);
  const newest = Math.max(state.doneAt, ...times);
  if (at - newest <= staleAfterS) return;
  const message = `nothing was added, and nobody cosigned, since ${isoTime(newest)}`;
  board.raise({ code: "checkpoint-stale", message });
}
