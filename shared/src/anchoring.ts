// Claim 3: every checkpoint stands on a ledger that the policy names, and that gives it a time.
//
//   directory   a folder with a key: its keeper's clock                       receipt.ts
//   rebased     IOTA: a quorum of validators, from a root of the policy on    rebased/judge.ts
//   stardust    a Tangle: the coordinator whose keys a trust file names       stardust/proof.ts
//
// Every receipt in a bundle must be right, whatever else dates the same checkpoint. What judges receipts of IOTA
// and of Tangles is handed in: bundles without such receipts shouldn't wait for its cryptography.

import { equalBytes, toHex } from "./bytes";
import type { Crypto } from "./crypto";
import type { Anchored, Case } from "./history";
import { rebasedLines, stardustRoots } from "./policylines";
import type { RebasedProof } from "./rebased/proof";
import { addressText, type Root } from "./rebased/root";
import type { WalkMember } from "./rebased/walkform";
import { ledgerFor, verifyDirectoryReceipt } from "./receipt";
import { quote, Refusal } from "./refusal";
import type { StardustProof } from "./stardust/proof";
import { formatStardustRoot, type StardustRoot } from "./stardust/root";
import { isoTime } from "./time";

/** Clocks of a log, a ledger and a verifier may differ by this much before a time counts as future. */
export const CLOCK_SKEW = 300;

/** What a receipt of IOTA's ledger proved, and when its root was captured if it is one that ships with the program. */
export interface JudgedReceipt extends RebasedProof {
  readonly captured: string | null;
}

export type RebasedJudge = (receipt: Uint8Array, note: Uint8Array) => JudgedReceipt;

/** Makes the judge of one bundle's receipts. Refuses what reading the walk does, and `ledger-not-trusted`. */
export type OpenRebased = (walk: WalkMember, roots: readonly Root[], crypto: Crypto) => RebasedJudge;

/** Judges a receipt of a Tangle by the coordinators that a policy names. */
export type StardustJudge = (
  receipt: Uint8Array,
  note: Uint8Array,
  crypto: Crypto,
  roots: readonly StardustRoot[],
) => StardustProof;

export interface Receipt {
  readonly kind: string;
  readonly proof: Uint8Array;
  /** Null when it proves none. */
  readonly time: number | null;
  readonly rebased: JudgedReceipt | null;
  readonly stardust: StardustProof | null;
}

/** The receipts of checkpoint `i`, each with its time, or null when one of them doesn't hold: findings go to the case. */
export function openReceipts(c: Case, i: number, judge: RebasedJudge): Receipt[] | null {
  return c.out.attempt("ledger", () => {
    const { note, receipts } = c.bundle.checkpoints[i]!;
    if (c.policy.ledgers.length === 0) throw new Refusal("no-ledger", "the policy names no ledger");
    if (receipts.length === 0)
      throw new Refusal("not-anchored", `checkpoint ${i + 1} of the bundle has no ledger receipt`);
    if (new Set(receipts.map((r) => r.kind)).size !== receipts.length)
      throw new Refusal("surplus-receipt", "a checkpoint has two receipts of one kind");
    return receipts.map(({ kind, proof }): Receipt => {
      const rebased = kind === "rebased" ? judge(proof, note) : null;
      const stardust = kind === "stardust" ? judgeStardust(c, proof, note) : null;
      const { time } = rebased ?? stardust ?? { time: directoryTime(c, kind, proof, note) };
      if (time > c.now + CLOCK_SKEW)
        throw new Refusal("receipt-from-future", `a receipt says ${isoTime(time)}, it is ${isoTime(c.now)}`);
      return { kind, proof, time, rebased, stardust };
    });
  });
}

function directoryTime(c: Case, kind: string, proof: Uint8Array, note: Uint8Array): number {
  if (kind !== "directory")
    throw new Refusal(
      "unsupported-receipt",
      `a receipt is of kind ${quote(kind)}, this program checks directory, rebased and stardust`,
    );
  const ledger = ledgerFor(
    proof,
    c.policy.ledgers.flatMap((l) => (l.kind === "directory" ? [l.root] : [])),
  );
  if (ledger === undefined) {
    throw new Refusal(
      "ledger-not-public",
      "the bundle is anchored in a directory, the policy names other ledgers only",
    );
  }
  return verifyDirectoryReceipt(proof, note, ledger, c.crypto).time;
}

export interface StardustCase {
  readonly policy: Case["policy"];
  readonly crypto: Crypto;
  readonly stardust?: StardustJudge | undefined;
}

/** By the policy's lines. Refuses `ledger-not-trusted`, and what stardust/proof.ts does. */
export function judgeStardust(c: StardustCase, receipt: Uint8Array, note: Uint8Array): StardustProof {
  if (c.stardust === undefined)
    throw new Refusal("unsupported-receipt", 'a receipt is of kind "stardust", nothing here can check it');
  const roots = stardustRoots(c.policy.ledgers);
  if (roots.length === 0)
    throw new Refusal(
      "ledger-not-trusted",
      "a receipt is of a Tangle, the policy has no `ledger stardust` line",
      { hint: "`vouch ledger trust show FILE` prints the line for a trust file" },
    );
  return c.stardust(receipt, note, c.crypto, roots);
}

/** What a judge is made of; `vouch attest` makes one before there is a bundle. */
export interface RebasedCase {
  readonly policy: Case["policy"];
  readonly crypto: Crypto;
  readonly rebased?: OpenRebased | undefined;
  readonly walk?: WalkMember | undefined;
}

/** Judges by the policy's lines and the bundle's walk, which is looked at when the first receipt asks for it. */
export function rebasedJudge(c: RebasedCase): RebasedJudge {
  let opened: { judge: RebasedJudge | null; refusal: unknown } | undefined;
  const lines = rebasedLines(c.policy.ledgers);
  const open = (): RebasedJudge => {
    if (c.rebased === undefined)
      throw new Refusal("unsupported-receipt", 'a receipt is of kind "rebased", nothing here can check it');
    if (lines.length === 0)
      throw new Refusal(
        "ledger-not-trusted",
        "a receipt is of IOTA's ledger, the policy has no `ledger rebased` line",
        { hint: "`vouch ledger root show` prints one to consider" },
      );
    if (c.walk === undefined)
      throw new Refusal("walk-missing", "a receipt is of IOTA's ledger, and no walk leads to its epoch");
    return c.rebased(
      c.walk,
      lines.map(({ root }) => root),
      c.crypto,
    );
  };
  return (receipt, note) => {
    opened ??= attempt(open);
    if (opened.judge === null) throw opened.refusal;
    const judged = opened.judge(receipt, note);
    const senders = lines.flatMap((line) =>
      line.root.network === judged.root.network && line.sender !== null ? [line.sender] : [],
    );
    if (senders.length > 0 && !senders.some((sender) => equalBytes(sender, judged.sender)))
      throw new Refusal(
        "foreign-sender",
        `${addressText(judged.sender)} anchored the checkpoint, the policy names ${senders.map(addressText).join(", ")}`,
      );
    return judged;
  };
}

/** A walk that can't be read is read once, however many receipts ask. */
function attempt(open: () => RebasedJudge) {
  try {
    return { judge: open(), refusal: null };
  } catch (refusal) {
    return { judge: null, refusal };
  }
}

/** The lines of claim 3, once every checkpoint has its time; and that the walk leads no further than it must. */
export function concludeLedgers(c: Case, anchored: readonly Anchored[]): void {
  const all = anchored.flatMap(({ checkpoint, receipts }) =>
    receipts.map((receipt) => ({ ...receipt, size: checkpoint.size })),
  );
  const rebased = all.flatMap(({ size, rebased: judged }) => (judged === null ? [] : [{ size, judged }]));
  checkWalkMinimal(
    c,
    rebased.map(({ judged }) => judged.epoch),
  );
  if (anchored.some(({ time }) => time === null)) return;
  const times = all.flatMap(({ kind, size, time }) => (kind === "directory" ? [{ size, time: time! }] : []));
  if (times.length > 0) {
    const seconds = times.map(({ time }) => time);
    const [first, last] = [isoTime(Math.min(...seconds)), isoTime(Math.max(...seconds))];
    const when = first === last ? `at ${first}` : `from ${first} to ${last}`;
    const count = times.length === 1 ? "1 checkpoint" : `${times.length} checkpoints`;
    c.out.established(
      "ledger",
      `directory: ${count} recorded ${when} (recorded locally, not public)`,
      times.map(({ size, time }) => `receipt: checkpoint of size ${size}, recorded ${isoTime(time)}`),
    );
  }
  for (const { size, judged } of rebased)
    c.out.established("ledger", rebasedText(size, judged), [
      `rule: BLS signature of a quorum over the ledger's checkpoint; its contents hold the transaction, whose input is the note`,
      `bytes: transaction ${judged.transaction}`,
    ]);
  for (const { size, stardust } of all) if (stardust !== null) tellStardust(c, size, stardust);
}

function tellStardust(c: Case, size: bigint, proof: StardustProof): void {
  const { network, time, index, blockId, milestoneId, signers, threshold, tag, trustDigest, retired } = proof;
  const kept = retired === null ? "a private Tangle" : "a Tangle that is retired";
  c.out.established(
    "ledger",
    `${network}: size ${size} referenced at ${isoTime(time)} by milestone ${index} in block 0x${toHex(blockId)}, ` +
      `signed by ${signers} keys where ${threshold} must, recorded by the coordinator of ${kept}`,
    [
      "rule: the note is a block's data; TIP-4 inclusion of the block's id in the milestone; Ed25519 by the coordinator's keys",
      `bytes: milestone 0x${toHex(milestoneId)}, tag 0x${toHex(tag)}, keys ${formatStardustRoot({ network, digest: trustDigest })}`,
    ],
  );
  if (retired !== null)
    c.out.note(
      `${network} has keys of a network that is retired (${retired}): whoever holds its old keys could back-date`,
    );
}

function rebasedText(size: bigint, judged: JudgedReceipt): string {
  const { root, time, sequence, sender, weight, epoch, captured } = judged;
  return [
    `${root.network}: size ${size} included and executed at ${isoTime(time)} in checkpoint ${sequence}`,
    `by sender ${addressText(sender)}`,
    `signed by weight ${weight} of 10000 of epoch ${epoch}'s committee`,
    `trusted because of the anchor of epoch ${root.epoch}`,
    captured === null ? "named by the policy" : `captured on ${captured}`,
  ].join(", ");
}

/** `epochs` are those of the receipts that hold. */
function checkWalkMinimal(c: Case, epochs: readonly bigint[]): void {
  const { walk, checkpoints } = c.bundle;
  if (walk === undefined) return;
  const given = checkpoints.flatMap(({ receipts }) => receipts).filter(({ kind }) => kind === "rebased");
  if (given.length === 0) {
    c.out.failed(
      "ledger",
      "surplus-walk",
      "the bundle holds a walk of epochs, and no receipt that it is for",
    );
    return;
  }
  if (epochs.length < given.length) return; // what stopped them has been said
  const last = BigInt(walk.epoch) + BigInt(walk.closes.length);
  if (epochs.every((epoch) => epoch < last))
    c.out.failed(
      "ledger",
      "surplus-walk",
      `the walk leads to the committee of epoch ${last}, no receipt is of that epoch`,
    );
}
