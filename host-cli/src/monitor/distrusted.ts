// What a monitor makes of a log whose key the policy distrusts (shared/src/distrust.ts).
//
//   distrust log.example+… T
//
//   seen before T, by this state ─▶ stands, and so does every beginning of it
//   on a ledger before T ─────────▶ stands
//   anything else by that key ────▶ log-distrusted: compared, and no more
//
// Whoever has a leaked key signs what they like and dates it as they like. So nothing that it signed is read on along,
// waits to be reached, or counts as what a place has shown, unless it is known to have been there before. A successor's
// checkpoints are no matter of this: a rotation brings it, and what it signed stands with all that came before.
// Two checkpoints that contradict each other are told all the same, since the key did sign both.

import { equalBytes } from "@vouch/shared/bytes";
import type { Checkpoint } from "@vouch/shared/checkpoint";
import { endOf } from "@vouch/shared/distrust";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { LogReader } from "../log/remote";
import { openSigned, policyFor, type Round } from "./round";

type Tree = Pick<Checkpoint, "size" | "root">;

const isSame = (a: Tree, b: Tree) => a.size === b.size && equalBytes(a.root, b.root);

/** Why a checkpoint that the log's key signed isn't the log's word; null when it is. */
export function doubtOf(round: Round, checkpoint: Checkpoint): Refusal | null {
  const { policy, state, at, proven } = round;
  if (policy.untrusted === undefined) return null;
  const isEnded = (tree: Tree, seen: number) => {
    const times = proven.filter((one) => isSame(one, tree)).map(({ time }) => time);
    return endOf(policy, policyFor(round, tree.size).log, Math.min(seen, ...times)) !== null;
  };
  const done = state.done === null ? null : openSigned(round, state.done.note).checkpoint;
  // What is no beginning of it is told as that.
  if (done !== null && checkpoint.size <= done.size && !isEnded(done, state.doneAt)) return null;
  if (!isEnded(checkpoint, at)) return null;
  const { name } = policy.log;
  return new Refusal(
    "log-distrusted",
    `the policy distrusts the key of ${name}, and nothing shows that this checkpoint of size ${checkpoint.size} was there before`,
  );
}

/** Checkpoints that waited to be reached, and aren't the log's word any more. */
export function dropDoubted(round: Round): void {
  const { state, board } = round;
  state.pending = state.pending.filter(({ from, note }) => {
    try {
      const doubt = doubtOf(round, openSigned(round, note).checkpoint);
      if (doubt !== null) board.trouble(from, doubt);
      return doubt === null;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return true; // compareAll tells of it
    }
  });
}

/** When records of what is read now are proved to have been there; null for those of which nobody knows. */
export async function momentsIn(
  { policy, proven }: Round,
  reader: LogReader,
): Promise<(index: bigint) => number | null> {
  if (policy.untrusted === undefined) return () => null;
  const good: { readonly size: bigint; readonly time: number }[] = [];
  for (const { size, root, time } of proven)
    if (size <= reader.size && equalBytes(await reader.rootAt(size), root)) good.push({ size, time });
  good.sort((a, b) => a.time - b.time);
  return (index) => good.find(({ size }) => size > index)?.time ?? null;
}
