// From a committee somebody trusts to the committee of a later epoch: the ratchet.
//
//   root of the policy ──closing checkpoint──▶ next committee ──▶ … ──▶ committee of a receipt's epoch
//
// A committee is believed when a root names it by digest, or when a quorum of the one before certified it. What
// stands before the root nearest to a receipt isn't looked at. Whoever held keys of two thirds of an old committee
// could make up all that follows from it: a newer root shortens that.
//
// What one run proved another may take as known, as long as its policy names the root that it was proved from.

import { concatBytes, copyBytes, equalBytes } from "../bytes";
import type { Crypto } from "../crypto";
import { type BlsKeys, makeBlsKeys } from "../curves";
import { Refusal } from "../refusal";
import { checkCertificate, readCertificate } from "./certificate";
import { readSummary } from "./checkpoint";
import { type Committee, committeeDigest, makeCommittee, membersBytes, rootOf } from "./committee";
import { formatRoot, type Root } from "./root";
import { type Close, lastEpochOf, malformedWalk, type Walk } from "./walkform";

export { rootOf } from "./committee";
export { formatRoot, parseRoot, type Root } from "./root";
export { type Close, readWalk, WALK, type Walk, walkJson } from "./walkform";

export const closingSummary = ({ head, next, tail }: Close) => concatBytes([head, membersBytes(next), tail]);

/** Takes a closing checkpoint, as the ledger gives it, apart. Refuses `not-closing` and what readSummary does. */
export function makeClose(summary: Uint8Array, certificate: Uint8Array): Close {
  const { next, sequence, membersAt } = readSummary(summary);
  if (next === null) throw notClosing(sequence);
  const length = membersBytes(next.members).length;
  return {
    head: copyBytes(summary, 0, membersAt),
    next: next.members,
    tail: copyBytes(summary, membersAt + length, summary.length),
    certificate,
  };
}

const notClosing = (sequence: bigint) =>
  new Refusal("not-closing", `checkpoint ${sequence} names no next committee, so it closes no epoch`);

/** A committee proved by an earlier run, and the root that it was proved from. */
export interface Known {
  readonly from: Root;
  readonly proved: Root;
}

export interface Ratchet {
  /** What is proved so far, roots included: what a machine may keep to walk less the next time. */
  proved(): Known[];
  /** The committee of an epoch, once everything up to it is proved. Refuses `epoch-before-root`, `epoch-missing`, and what checkCertificate does. */
  committeeOf(epoch: bigint): Committee;
  /** The root that a proved committee is trusted for. */
  rootBehind(epoch: bigint): Root;
  readonly keys: BlsKeys;
}

/**
 * Starts from any committee of the walk that a root names, or one known from it. A close that fails leaves
 * everything proved before it as it was. Refuses `ledger-not-trusted` when no root names any.
 */
export function makeRatchet(
  walk: Walk,
  roots: readonly Root[],
  crypto: Crypto,
  { known = [], keys = makeBlsKeys() }: { known?: readonly Known[]; keys?: BlsKeys } = {},
): Ratchet {
  const claimed = [walk.start, ...walk.closes.map((close, i) => claimOf(walk, close, i))];
  const ours = new Set(roots.map(formatRoot)); // another policy's roots prove nothing here
  const learned = known.filter(({ from }) => ours.has(formatRoot(from)));
  const named = namesOf([...roots.map((root) => ({ from: root, proved: root })), ...learned]);
  /** Where trust in the committee at a place comes from; null for one that nothing proves yet. */
  const behind = claimed.map((committee) => nameOf(committee, named, crypto));
  const first = behind.findIndex((root) => root !== null);
  if (first < 0) throw untrusted(walk, roots);
  const base = walk.start.epoch;
  const placeOf = (epoch: bigint) => {
    const place = Number(epoch - base);
    if (place < first) {
      const { network, epoch: begins } = behind[first]!;
      throw new Refusal(
        "epoch-before-root",
        `the checkpoint is of epoch ${epoch}, the root ${network} of ${begins}: nothing leads back`,
      );
    }
    if (place >= claimed.length)
      throw new Refusal(
        "epoch-missing",
        `the checkpoint is of epoch ${epoch}, the walk ends with the committee of ${lastEpochOf(walk)}`,
      );
    return place;
  };
  return {
    keys,
    proved: () =>
      behind.flatMap((from, i) =>
        from === null ? [] : [{ from, proved: rootOf(from.network, claimed[i]!, crypto) }],
      ),
    committeeOf(epoch) {
      const place = placeOf(epoch);
      let last = place;
      while (behind[last] === null) last--; // ends: `first` isn't null
      for (; last < place; last++) {
        proveNext(walk.closes[last]!, claimed[last]!, claimed[last + 1]!, keys);
        behind[last + 1] = behind[last]!;
      }
      return claimed[place]!;
    },
    rootBehind(epoch) {
      const root = behind[placeOf(epoch)];
      if (root == null) throw new Error(`committee ${epoch} isn't proved`);
      return root;
    },
  };
}

const claimOf = (walk: Walk, close: Close, i: number) =>
  makeCommittee(walk.start.epoch + BigInt(i + 1), close.next);

/** By epoch. */
function namesOf(list: readonly Known[]): Map<bigint, Known[]> {
  const names = new Map<bigint, Known[]>();
  for (const each of list) names.set(each.proved.epoch, [...(names.get(each.proved.epoch) ?? []), each]);
  return names;
}

function nameOf(
  committee: Committee,
  named: ReadonlyMap<bigint, readonly Known[]>,
  crypto: Crypto,
): Root | null {
  const near = named.get(committee.epoch);
  if (near === undefined) return null;
  const digest = committeeDigest(committee, crypto);
  return near.find(({ proved }) => equalBytes(proved.digest, digest))?.from ?? null;
}

function untrusted(walk: Walk, roots: readonly Root[]): Refusal {
  const { epoch } = walk.start;
  const named = roots.map((root) => `${root.network}@${root.epoch}`).join(", ") || "none";
  return new Refusal(
    "ledger-not-trusted",
    `committees of epochs ${epoch} to ${lastEpochOf(walk)} are here, and none is one that the policy names (${named})`,
  );
}

function proveNext(close: Close, committee: Committee, claimed: Committee, keys: BlsKeys): void {
  const summary = readSummary(closingSummary(close));
  if (summary.next === null) throw notClosing(summary.sequence);
  checkCertificate(summary, readCertificate(close.certificate), committee, keys);
  if (!equalBytes(membersBytes(summary.next.members), membersBytes(claimed.members)))
    throw malformedWalk(`another committee than the closing checkpoint of epoch ${committee.epoch}`);
}
