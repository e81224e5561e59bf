// A receipt of a Tangle: this note was in a block that a milestone of this time referenced.
//
//   keys of the trust ──signatures──▶ milestone ──inclusion root──▶ path ──▶ block id ──▶ block ──▶ the note
//                                        └─ time
//
// Nothing is asked of a node. In this order: the form; whether a policy names the trust; the block, and that its data
// is the note; that the path leads from its id to the milestone's inclusion root; the coordinator's signatures.
// The time is the coordinator's word: one party's, who may be the maker. Whoever holds enough of its keys can
// date a milestone as they like, also long after the network is gone.

import { equalBytes, toHex } from "../bytes";
import type { Crypto } from "../crypto";
import { Refusal } from "../refusal";
import { blockIdOf, decodeBlock } from "./block";
import { foldPath } from "./inclusion";
import { checkSignatures, decodeMilestone } from "./milestone";
import { retiredPreset } from "./presets";
import { parseStardustReceipt } from "./receipt";
import { formatStardustRoot, type StardustRoot } from "./root";
import { rootOfTrust } from "./trust";

export { formatStardustReceipt, type PathStep, parseStardustReceipt, type StardustReceipt } from "./receipt";

export interface StardustProof {
  /** Unix seconds: the coordinator's time of the milestone. */
  readonly time: number;
  readonly index: number;
  readonly milestoneId: Uint8Array;
  readonly blockId: Uint8Array;
  readonly network: string;
  /** How many of the coordinator's keys signed, of how many that must. */
  readonly signers: number;
  readonly threshold: number;
  readonly tag: Uint8Array;
  readonly trustDigest: Uint8Array;
  /** What became of the network, when the keys are those of a public one that is gone; null otherwise. */
  readonly retired: string | null;
}

/** Without `roots` the receipt is judged by the keys that it brings itself. Refuses what is wrong. */
export function verifyStardustReceipt(
  bytes: Uint8Array,
  note: Uint8Array,
  crypto: Crypto,
  roots?: readonly StardustRoot[],
): StardustProof {
  const receipt = parseStardustReceipt(bytes);
  const { trust } = receipt;
  const root = rootOfTrust(trust, crypto);
  if (roots !== undefined) checkTrusted(root, roots);
  const block = decodeBlock(receipt.block);
  if (!equalBytes(block.data, note))
    throw new Refusal("note-mismatch", "the block holds another note than this");
  const milestone = decodeMilestone(receipt.milestone);
  const blockId = blockIdOf(receipt.block);
  const folded = foldPath(blockId, receipt.path);
  if (!equalBytes(folded, milestone.inclusionRoot))
    throw new Refusal(
      "block-not-included",
      `block ${toHex(blockId)} leads to root ${toHex(folded)}, milestone ${milestone.index} has ${toHex(milestone.inclusionRoot)}`,
    );
  const signers = checkSignatures(milestone, trust, crypto);
  return {
    time: milestone.timestamp,
    index: milestone.index,
    milestoneId: milestone.id,
    blockId,
    network: trust.network,
    signers,
    threshold: trust.threshold,
    tag: block.tag,
    trustDigest: root.digest,
    retired: retiredPreset(trust)?.retired ?? null,
  };
}

/** Refuses `ledger-not-trusted`. */
function checkTrusted(root: StardustRoot, roots: readonly StardustRoot[]): void {
  const found = formatStardustRoot(root);
  const named = roots.filter(({ digest }) => equalBytes(digest, root.digest));
  if (named.some(({ network }) => network === root.network)) return;
  const others = roots.some(({ network }) => network === root.network);
  const why =
    named[0] !== undefined
      ? `which the policy calls ${named[0].network}`
      : others
        ? "with other keys than the policy names for it"
        : "which the policy doesn't name";
  throw new Refusal("ledger-not-trusted", `the receipt is of network ${found}, ${why}`);
}
