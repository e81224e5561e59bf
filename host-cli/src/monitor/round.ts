// What one look at a log is about, and what its parts (pass.ts, follow.ts, conditions.ts) say alike.

import { toHex } from "@vouch/shared/bytes";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { endOf } from "@vouch/shared/distrust";
import { proveStale } from "@vouch/shared/fraud";
import { type Keyring, policyAt } from "@vouch/shared/keyring";
import type { HashReader } from "@vouch/shared/merkle";
import { type Note, parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Interest } from "@vouch/shared/watch";
import { nodeCrypto } from "../crypto";
import { keepFraud, writeFraud } from "../fraudfile";
import type { LogFiles, ReadOptions } from "../log/files";
import type { Board } from "./board";
import type { MonitorState, Shown } from "./state";

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
  /** Sources that aren't asked any more, on purpose: what stands of them is closed. */
  readonly retire?: readonly string[];
}

/** The one condition of a witness that isn't about an answer of its own. */
export const QUIET = "witness-quiet";

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
  /** The policy's keys, as the records about keys leave them that are known so far. */
  ring: Keyring;
  /** Checkpoints (markOf) that contradict what was read. */
  readonly forked: Set<string>;
  /** What ledgers prove to have been there at a moment; only where the policy distrusts a key (distrusted.ts). */
  readonly proven: readonly Proven[];
}

/** The root of the first `size` records, and when a ledger had it, Unix seconds. */
export interface Proven {
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly time: number;
}

/** What tells one checkpoint from another, whoever cosigned it. */
export const markOf = (note: Uint8Array): string => {
  const { size, root } = parseCheckpoint(parseNote(note).text);
  return `${size}:${toHex(root)}`;
};

/** The policy with the keys of a checkpoint's size, as far as records about keys are known. */
export const policyFor = ({ ring }: Pick<Round, "ring">, size: bigint): Policy => policyAt(ring, size);

/** A checkpoint that this log signed, by its key of that size. Refuses as openCheckpoint does. */
export function openSigned(round: Pick<Round, "ring">, note: Uint8Array) {
  const { size } = parseCheckpoint(parseNote(note).text);
  return openCheckpoint(note, policyFor(round, size).log, nodeCrypto);
}

export const doneSize = (round: Pick<Round, "ring" | "state">): bigint =>
  round.state.done === null ? 0n : openSigned(round, round.state.done.note).checkpoint.size;

/** Two checkpoints that contradict each other: the proof, as a file, and the finding. */
export function reportFork(
  round: Round,
  known: Shown,
  other: Shown,
  tree: HashReader | readonly Uint8Array[] | null,
): void {
  const { board, fraudOut } = round;
  const opened = [known, other].map(({ note }) => openSigned(round, note).checkpoint);
  const [a, b] = opened as [Checkpoint, Checkpoint];
  const mark = [known, other]
    .map(({ note }) => markOf(note))
    .sort()
    .join(" ");
  // A proof is for one key: of two checkpoints with a change of it in between there is none.
  const { log } = policyFor(round, a.size);
  const kept = keepFraud([known.note, other.note], tree, log, fraudOut);
  const end = endOf(round.policy, log, round.at);
  const whose =
    end === null ? "" : ` (the policy distrusts that key since ${isoTime(end)}: others may have it)`;
  const what = `${log.name} signed size ${a.size}, shown by ${known.from}, and size ${b.size}, shown by ${other.from}, which contradict each other${whose}`;
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
export function reportWentBack(round: Round, smaller: Shown): void {
  const { state, board, fraudOut } = round;
  if (state.done === null) return;
  const policy = policyFor(round, doneSize(round));
  const witnesses = policy.witnesses.map(({ vkey }) => vkey);
  const fraud = proveStale([state.done.note, smaller.note], policy.log, witnesses, nodeCrypto);
  if (fraud === null) return;
  const what = `a witness cosigned a smaller tree, shown by ${smaller.from}, after a larger one`;
  try {
    const proof = writeFraud(fraud, policy.log, fraudOut, witnesses);
    board.raise({ code: "witness-went-back", message: `${what}: ${proof} proves it`, mark: proof, proof });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const mark = [state.done.note, smaller.note].map(markOf).join(" ");
    const message = `${what}, and the proof can't be kept: ${error.message}`;
    board.raise({ code: "witness-went-back", message, mark });
  }
}
