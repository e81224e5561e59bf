// The committees that this log's ledger has had, as far as they are proved here: what `prove` needs of the one that
// certified the receipt's checkpoint.
//
//   root ── closing checkpoints, one an epoch, each certified by the committee before ──▶ the receipt's epoch
//
// The walk beside the log is ours, written after it was proved, so its last committee is where we go on from:
// an anchor a day proves one closing checkpoint. Whoever verifies later starts from a root of their own and
// proves all of it. A node can't lead us on: each step has to be certified before the next is asked for.

import { equalBytes, fromBase64 } from "@vouch/shared/bytes";
import { makeBlsKeys } from "@vouch/shared/curves";
import { ANCHORS } from "@vouch/shared/rebased/anchors";
import { checkCertificate, readCertificate } from "@vouch/shared/rebased/certificate";
import { readSummary } from "@vouch/shared/rebased/checkpoint";
import {
  type Committee,
  committeeDigest,
  decodeCommittee,
  makeCommittee,
} from "@vouch/shared/rebased/committee";
import { formatRoot, type Root } from "@vouch/shared/rebased/root";
import { makeClose, makeRatchet, type Ratchet, rootOf } from "@vouch/shared/rebased/walk";
import type { Walk } from "@vouch/shared/rebased/walkform";
import { Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { nameOf } from "./networks";
import type { Prover } from "./node";

export interface Epochs {
  /** All that is proved; null before the first committee is known. */
  walk(): Walk | null;
  /** Before a fee is paid for what could not be proved then. Refuses `ledger-not-trusted`. */
  requireStart(chain: string): void;
  /** Proves the committees up to that of `epoch`. Refuses `ledger-not-trusted`, and what the verifier and the node do. */
  proveTo(epoch: bigint, chain: string | null, prover: Prover): Promise<void>;
  /** For receipts of that epoch, once it is proved. Refuses `epoch-missing`. */
  ratchetOf(epoch: bigint, chain: string | null): Ratchet;
}

/** `known` is the walk beside the log; `root` names a committee to begin with where neither that nor this program has one. */
export function trackEpochs(known: Walk | null, root: Root | null): Epochs {
  let walk = known;
  const last = ({ start, closes }: Walk): Committee =>
    closes.length === 0
      ? start
      : makeCommittee(start.epoch + BigInt(closes.length), closes[closes.length - 1]!.next);
  return {
    walk: () => walk,
    requireStart(chain) {
      if (walk === null && root === null && shippedFor(chain) === undefined) throw noStart(chain);
    },
    async proveTo(epoch, chain, prover) {
      walk ??= { start: await firstCommittee(chain, root, prover), closes: [] };
      const keys = makeBlsKeys();
      for (let committee = last(walk); committee.epoch < epoch; committee = last(walk)) {
        const { summary, certificate } = await prover.close(committee.epoch);
        const close = makeClose(summary, certificate);
        checkCertificate(readSummary(summary), readCertificate(certificate), committee, keys);
        walk = { start: walk.start, closes: [...walk.closes, close] };
      }
    },
    ratchetOf(epoch, chain) {
      const place = walk === null ? -1 : Number(epoch - walk.start.epoch);
      const next = place > 0 ? walk?.closes[place - 1]?.next : walk?.start.members;
      if (place < 0 || next === undefined)
        throw new Refusal("epoch-missing", `the walk beside the log doesn't lead to epoch ${epoch}`);
      const committee = makeCommittee(epoch, next);
      const trusted = rootOf(root?.network ?? nameOf(chain ?? ""), committee, nodeCrypto);
      return makeRatchet({ start: committee, closes: [] }, [trusted], nodeCrypto);
    },
  };
}

const shippedFor = (chain: string | null) => ANCHORS.find((anchor) => anchor.chain === chain);

const noStart = (chain: string | null) =>
  new Refusal("ledger-not-trusted", `no committee of ${nameOf(chain ?? "")} is known to begin with`, {
    hint: "--root NETWORK@EPOCH:SHA256 names one, as in a policy; the same command goes on then",
  });

/** The committee that the root names, or the one that ships for this chain. */
async function firstCommittee(chain: string | null, root: Root | null, prover: Prover): Promise<Committee> {
  const shipped = shippedFor(chain);
  if (root === null && shipped !== undefined) return decodeCommittee(fromBase64(shipped.committee)!);
  if (root === null) throw noStart(chain);
  const committee = await prover.committee(root.epoch);
  if (!equalBytes(committeeDigest(committee, nodeCrypto), root.digest))
    throw new Refusal(
      "ledger-not-trusted",
      `the node's committee of epoch ${root.epoch} isn't the one that ${formatRoot(root)} names`,
    );
  return committee;
}
