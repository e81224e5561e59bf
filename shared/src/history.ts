// Claims 2 and 3: everybody sees the same log, and it looked like this no later than T.
//
//   2. log     the log the policy names signed every checkpoint, and its witnesses cosigned, a quorum of them
//              at least; each tree is a prefix of the head's; the release is a leaf of it
//   3. ledger  every checkpoint stands on a ledger the policy names: that gives times (anchoring.ts)

import {
  CLOCK_SKEW,
  concludeLedgers,
  type OpenRebased,
  openReceipts,
  type Receipt,
  rebasedJudge,
  type StardustJudge,
} from "./anchoring";
import type { Bundle, LogRecord } from "./bundle";
import { equalBytes, toHex } from "./bytes";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "./checkpoint";
import { verifyCosignature } from "./cosignature";
import type { Crypto } from "./crypto";
import { endOf } from "./distrust";
import type { Keys } from "./keyrecords";
import { policyAt, refuseOutOfPlace, sameKey } from "./keyring";
import { checkConsistency, InclusionChecker, leafHash } from "./merkle";
import { type NoteSignature, parseNote } from "./note";
import type { Policy } from "./policy";
import { evalQuorum } from "./quorum";
import { quote, Refusal } from "./refusal";
import { isoTime } from "./time";
import type { Findings } from "./verdict";
import type { Vkey } from "./vkey";

/** Everything a verification is about. `at` and `now` are Unix seconds. */
export interface Case {
  readonly bundle: Bundle;
  readonly policy: Policy;
  /** The policy's keys at each place of the log, and devices' keys that are revoked. */
  readonly keys: Keys;
  readonly crypto: Crypto;
  readonly at: number;
  readonly now: number;
  readonly out: Findings;
  /** Judges receipts of IOTA's ledger; without it they are `unsupported-receipt`. */
  readonly rebased?: OpenRebased | undefined;
  /** Judges receipts of Tangles; without it they are `unsupported-receipt`. */
  readonly stardust?: StardustJudge | undefined;
  /** Bytes of images that may still be hashed: a small bundle must not cost hours. */
  readonly budget: { left: number };
}

/** A checkpoint of the bundle that claims 2 and 3 went over. */
export interface Anchored {
  readonly note: Uint8Array;
  readonly checkpoint: Checkpoint;
  /** When a ledger recorded it; null when no trusted receipt says so. */
  readonly time: number | null;
  /** Every receipt for it, with the time that it proves, if it does. */
  readonly receipts: readonly Receipt[];
}

export interface History {
  /** Ascending by size; the last is the head. */
  readonly anchored: readonly Anchored[];
  readonly head: Checkpoint;
  /** Checkpoints some claim relied on; the rest are surplus. */
  readonly used: Set<Anchored>;
}

/** The latest moment that counts as not after T: a question about now bears clocks that run a little ahead. */
export const horizonOf = (c: Case) => (c.at === c.now ? c.now + CLOCK_SKEW : c.at);

/** Claims 2 and 3. Returns null when no history could be established. */
export function checkHistory(c: Case): History | null {
  const opened = c.out.attempt("log", () => openCheckpoints(c));
  if (opened === null) return null;
  const head = opened[opened.length - 1]!;
  c.out.attempt("log", () => checkLogTrusted(c, head));
  c.out.attempt("log", () => checkReleaseLogged(c, head, opened.length));
  const judge = rebasedJudge({ ...c, walk: c.bundle.walk });
  const anchored = opened.map((checkpoint, i): Anchored => {
    const { note, receipts } = c.bundle.checkpoints[i]!;
    const held = openReceipts(c, i, judge);
    return {
      note,
      checkpoint,
      time: held === null ? null : Math.min(...held.map(({ time }) => time!)),
      receipts:
        held ?? receipts.map((receipt) => ({ ...receipt, time: null, rebased: null, stardust: null })),
    };
  });
  concludeLedgers(c, anchored);
  return { anchored, head, used: new Set() };
}

const isLine = (line: NoteSignature, vkey: Vkey) =>
  line.name === vkey.name && equalBytes(line.keyId, vkey.keyId);

function openCheckpoints(c: Case): Checkpoint[] {
  const opened = c.bundle.checkpoints.map((bundled) => {
    const policy = keysFor(c, bundled.note);
    const { checkpoint, note } = openCheckpoint(bundled.note, policy.log, c.crypto);
    const ours = note.signatures.filter((line) => isLine(line, policy.log));
    if (ours.length !== 1)
      throw new Refusal("surplus-signature", `the log signed the checkpoint ${ours.length} times`);
    const cosigned = new Set<string>();
    for (const line of note.signatures) {
      if (isLine(line, policy.log)) continue;
      const witness = policy.witnesses.find((w) => isLine(line, w.vkey));
      if (witness === undefined) {
        // Not read any further, and yet nobody's to bend: the ledger's receipt is for the whole note (claim 3).
        c.out.note(`${quote(line.name)} signed a checkpoint too; the policy does not know that key`);
        continue;
      }
      if (cosigned.has(witness.name))
        throw new Refusal("surplus-signature", `${witness.name} cosigned the checkpoint twice`);
      const { time } = verifyCosignature(note, witness.vkey, c.crypto);
      if (time > c.now + CLOCK_SKEW)
        throw new Refusal(
          "cosignature-from-future",
          `${witness.name} cosigned at ${isoTime(time)}, it is ${isoTime(c.now)}`,
        );
      cosigned.add(witness.name);
    }
    if (!evalQuorum(policy, cosigned))
      throw new Refusal(
        "quorum-missing",
        `the checkpoint of size ${checkpoint.size} has ${cosigned.size} cosignatures, the policy's quorum ${policy.quorum} is not met`,
      );
    return checkpoint;
  });
  const head = opened[opened.length - 1]!;
  opened.forEach((checkpoint, i) => {
    const { consistency } = c.bundle.checkpoints[i]!;
    const next = opened[i + 1];
    if (next !== undefined && checkpoint.size >= next.size)
      throw new Refusal("malformed-bundle", "the checkpoints do not ascend by size");
    if (checkpoint === head) {
      if (consistency.length > 0)
        throw new Refusal("surplus-proof", "the head carries a consistency proof with itself");
    } else {
      checkConsistency(checkpoint.size, checkpoint.root, head.size, head.root, [...consistency], c.crypto);
    }
  });
  return opened;
}

/**
 * The head's key is one that the policy trusts. Smaller trees need no key's word once they are prefixes of the head's:
 * so a log's leaked key ends nothing that a successor's checkpoint holds.
 */
function checkLogTrusted(c: Case, head: Checkpoint): void {
  const { ring } = c.keys;
  const { log } = policyAt(ring, head.size);
  if (!ring.untrusted?.some((key) => sameKey(key, log))) return;
  const since = endOf(c.policy, log, Number.POSITIVE_INFINITY)!;
  throw new Refusal("log-distrusted", `the policy distrusts ${quote(log.name)} since ${isoTime(since)}`, {
    hint: "a renewal shows that a bundle was there before; or a bundle under the key that came after it",
  });
}

/** The policy at the size that a checkpoint claims. Refuses `key-replaced`, `key-early`, and as parsing does. */
function keysFor(c: Case, bytes: Uint8Array): Policy {
  const note = parseNote(bytes);
  const { size } = parseCheckpoint(note.text);
  for (const line of note.signatures) refuseOutOfPlace(c.keys.ring, size, (key) => isLine(line, key));
  return policyAt(c.keys.ring, size);
}

/** The record is a leaf of the head. Throws what merkle.ts throws. */
export function checkLogged(c: Case, record: LogRecord, head: Checkpoint): void {
  let checker = checkers.get(head);
  if (checker === undefined) {
    checker = new InclusionChecker(head.size, head.root, c.crypto);
    checkers.set(head, checker);
  }
  checker.check(leafHash(record.statement, c.crypto), record.index, record.proof);
}

/** A fleet's records are a million leaves of one head. */
const checkers = new WeakMap<Checkpoint, InclusionChecker>();

/** The first checkpoint of the bundle that holds a record of the head. */
export function firstHolding(history: History, record: LogRecord): Anchored {
  return history.anchored.find((a) => a.checkpoint.size > record.index)!;
}

/** The same, for a claim that rests on its time: the checkpoint then has its place in a minimal bundle. */
export function timedBy(history: History, record: LogRecord): Anchored {
  const first = firstHolding(history, record);
  history.used.add(first);
  return first;
}

function checkReleaseLogged(c: Case, head: Checkpoint, checkpoints: number): void {
  const { release } = c.bundle;
  checkLogged(c, release, head);
  const quorum =
    c.policy.quorum === "none" ? "no witnesses asked for" : `witness quorum ${c.policy.quorum} met`;
  c.out.established("log", `${head.origin}, record ${release.index} of ${head.size}; ${quorum}`, [
    `rule: RFC 6962 inclusion of the exact DSSE bytes, ${release.proof.length} hashes; ${checkpoints} consistent checkpoints`,
    `bytes: root ${toHex(head.root)} signed by ${c.policy.log.name}`,
  ]);
}
