// The Merkle tree over the ids of the blocks that a milestone referenced, TIP-4.
//
//   leaf(id) = BLAKE2b-256(00 │ id)      node(l, r) = BLAKE2b-256(01 │ l │ r)      empty = BLAKE2b-256()
//
// As RFC 6962 splits: the left half holds the largest power of two below the number of leaves. merkle.ts has the same
// shape with another hash; here a path is all there is, without a place in the tree, so folding is all there is to do.

import { blake2b256 } from "../hash";
import type { PathStep } from "./receipt";

const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);

const leafOf = (id: Uint8Array) => blake2b256(LEAF, id);
const nodeOf = (left: Uint8Array, right: Uint8Array) => blake2b256(NODE, left, right);

/** The root above a block, by its path from the leaf up. */
export const foldPath = (blockId: Uint8Array, path: readonly PathStep[]): Uint8Array =>
  path.reduce(
    (below, { side, hash }) => (side === "left" ? nodeOf(hash, below) : nodeOf(below, hash)),
    leafOf(blockId),
  );

/** The root over blocks in the order in which the milestone referenced them. */
export function inclusionRoot(blockIds: readonly Uint8Array[]): Uint8Array {
  if (blockIds.length === 0) return blake2b256();
  if (blockIds.length === 1) return leafOf(blockIds[0]!);
  const half = splitOf(blockIds.length);
  return nodeOf(inclusionRoot(blockIds.slice(0, half)), inclusionRoot(blockIds.slice(half)));
}

/** The path of the block at `place`. */
export function inclusionPath(blockIds: readonly Uint8Array[], place: number): PathStep[] {
  if (blockIds.length <= 1) return [];
  const half = splitOf(blockIds.length);
  const [left, right] = [blockIds.slice(0, half), blockIds.slice(half)];
  return place < half
    ? [...inclusionPath(left, place), { side: "right", hash: inclusionRoot(right) }]
    : [...inclusionPath(right, place - half), { side: "left", hash: inclusionRoot(left) }];
}

/** The largest power of two below `count`, which is 2 or more. */
const splitOf = (count: number) => 2 ** (31 - Math.clz32(count - 1));
