// Merkle trees over log records, exactly as RFC 6962 section 2.1 lays them out, so that
// a proof made here checks under any Certificate Transparency library and the other way
// round.
//
//               root = node(ab, cd)
//              /                   \
//        ab = node(a, b)      cd = node(c, d)          level 1
//         /        \            /        \
//     leaf(a)   leaf(b)     leaf(c)    leaf(d)         level 0
//
// leaf(x) hashes 0x00 ‖ x and node(l, r) hashes 0x01 ‖ l ‖ r: the prefix keeps an interior
// node from ever being passed off as a leaf. A left subtree is always complete: its size
// is the largest power of two smaller than the whole.
//
// Sizes and indices are attacker-controlled 64-bit numbers, hence bigint. Loops run once
// a level, 63 at most; a proof's length is known from index and size before any hashing.
//
// A HashReader gives the hash of a *complete* subtree: level l, index i covers the
// records from i·2^l up to (i+1)·2^l. Everything a prover needs is made of those.

import { copyBytes, equalBytes, toHex } from "./bytes";
import { MAX_TREE_SIZE } from "./checkpoint";
import type { Crypto } from "./crypto";
import { Refusal } from "./refusal";
import { sha256Of } from "./sha256of";

type Hasher = Pick<Crypto, "sha256">;

export interface HashReader {
  hash(level: number, index: bigint): Uint8Array;
}

const LEAF = Uint8Array.of(0);

/** 0x01 and two hashes; one for all nodes, as none of it is kept once it is hashed. */
const pair = new Uint8Array(65).fill(1, 0, 1);

export function leafHash(record: Uint8Array, crypto: Hasher): Uint8Array {
  return sha256Of([LEAF, record], crypto);
}

export function nodeHash(left: Uint8Array, right: Uint8Array, crypto: Hasher): Uint8Array {
  if (left.length !== 32 || right.length !== 32) throw new Error("a node is made of two hashes");
  pair.set(left, 1);
  pair.set(right, 33);
  return crypto.sha256(pair);
}

/** The root of a log without records. */
export function emptyRoot(crypto: Hasher): Uint8Array {
  return crypto.sha256(new Uint8Array(0));
}

/**
 * The root that a leaf and its audit path imply. Throws `malformed-proof` when the path
 * can't be one of that leaf in a tree of that size.
 */
export function rootFromInclusion(
  leaf: Uint8Array,
  index: bigint,
  size: bigint,
  proof: readonly Uint8Array[],
  crypto: Hasher,
): Uint8Array {
  checkHashes([leaf, ...proof]);
  if (size < 1n || size > MAX_TREE_SIZE) throw malformed(`the tree has size ${size}`);
  if (index < 0n || index >= size) throw malformed(`record ${index} isn't in a tree of size ${size}`);
  const { inner, border } = shapeOf(index, size);
  if (proof.length !== inner + border) {
    throw malformed(
      `the inclusion proof has ${proof.length} hashes, record ${index} of ${size} needs ${inner + border}`,
    );
  }
  return proof.reduce(
    (hash, sibling, level) =>
      level < inner && ((index >> BigInt(level)) & 1n) === 0n
        ? nodeHash(hash, sibling, crypto)
        : nodeHash(sibling, hash, crypto),
    leaf,
  );
}

/**
 * Up to the level where the leaf's path meets the right edge of the tree, siblings stand on either
 * side; above it only on the left, one for each set bit of the index.
 */
function shapeOf(index: bigint, size: bigint): { inner: number; border: number } {
  const inner = bitLength(index ^ (size - 1n));
  return { inner, border: bitCount(index >> BigInt(inner)) };
}

/** Throws `inclusion-mismatch` when the leaf isn't the record at `index`, `malformed-proof` as above. */
export function checkInclusion(
  leaf: Uint8Array,
  index: bigint,
  size: bigint,
  proof: readonly Uint8Array[],
  root: Uint8Array,
  crypto: Hasher,
): void {
  checkHashes([root]);
  const implied = rootFromInclusion(leaf, index, size, proof, crypto);
  if (!equalBytes(implied, root)) {
    throw new Refusal(
      "inclusion-mismatch",
      `the proof for record ${index} of ${size} leads to root ${toHex(implied)}, the checkpoint says ${toHex(root)}`,
    );
  }
}

/** The last path that led to a root, and every node on it: what the next one may meet. */
interface Path {
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  /** Of the leaf's side, from the leaf up. */
  readonly nodes: readonly Uint8Array[];
}

/**
 * checkInclusion for many records of one tree. A path that meets the one before it at a node that is known to be the
 * tree's is followed no further than there: the rest of its proof must be the very bytes that led on to the root.
 */
export class InclusionChecker {
  private last: Path | null = null;

  constructor(
    private readonly size: bigint,
    private readonly root: Uint8Array,
    private readonly crypto: Hasher,
  ) {}

  /** Throws as checkInclusion. */
  check(leaf: Uint8Array, index: bigint, proof: readonly Uint8Array[]): void {
    if (
      this.last !== null &&
      index >= 0n &&
      index < this.size &&
      this.meets(leaf, Number(index), proof, this.last)
    )
      return;
    checkInclusion(leaf, index, this.size, proof, this.root, this.crypto);
    // Below 2^31 indices are numbers whose bits can be asked for.
    if (this.size > 0x7fffffffn) return;
    const { inner } = shapeOf(index, this.size);
    const nodes = this.climb(leaf, Number(index), proof, inner);
    this.last = { index: Number(index), proof: copied(proof), nodes };
  }

  /** The node on the leaf's side at each level up to `levels`. */
  private climb(leaf: Uint8Array, index: number, proof: readonly Uint8Array[], levels: number): Uint8Array[] {
    const nodes = [leaf]; // leafHash made it: memory of its own
    for (let level = 0; level < levels; level++) {
      const [hash, sibling] = [nodes[level]!, proof[level]!];
      const isLeft = ((index >> level) & 1) === 0;
      nodes.push(isLeft ? nodeHash(hash, sibling, this.crypto) : nodeHash(sibling, hash, this.crypto));
    }
    return nodes;
  }

  private meets(leaf: Uint8Array, index: number, proof: readonly Uint8Array[], last: Path): boolean {
    const level = 32 - Math.clz32(index ^ last.index); // where both have one node above them
    if (level >= last.nodes.length || proof.length !== last.proof.length || leaf.length !== 32) return false;
    for (let i = 0; i < proof.length; i++) {
      if (i < level ? proof[i]!.length !== 32 : !equalBytes(proof[i]!, last.proof[i]!)) return false;
    }
    const nodes = this.climb(leaf, index, proof, level);
    if (!equalBytes(nodes[level]!, last.nodes[level]!)) return false;
    this.last = {
      index,
      proof: [...copied(proof.slice(0, level)), ...last.proof.slice(level)],
      nodes: [...nodes, ...last.nodes.slice(level + 1)],
    };
    return true;
  }
}

/** A proof may be views of memory that is used again. */
const copied = (hashes: readonly Uint8Array[]) => hashes.map((hash) => copyBytes(hash, 0, hash.length));

/**
 * Establishes that the tree of `size1` is a prefix of the tree of `size2`. Throws
 * `consistency-mismatch`, or `malformed-proof` when sizes and proof don't fit together.
 */
export function checkConsistency(
  size1: bigint,
  root1: Uint8Array,
  size2: bigint,
  root2: Uint8Array,
  proof: readonly Uint8Array[],
  crypto: Hasher,
): void {
  checkHashes([root1, root2, ...proof]);
  if (size1 < 0n || size1 > size2 || size2 > MAX_TREE_SIZE) {
    throw malformed(`no tree of size ${size1} is a prefix of one of size ${size2}`);
  }
  if (size1 === 0n || size1 === size2) {
    if (proof.length > 0)
      throw malformed(`sizes ${size1} and ${size2} need no hashes, the proof has ${proof.length}`);
    const first = size1 === 0n ? emptyRoot(crypto) : root2;
    if (!equalBytes(root1, first)) throw mismatch(size1, root1, first);
    if (size2 === 0n && !equalBytes(root2, first)) throw mismatch(size2, root2, first);
    return;
  }
  // When the first tree is one complete subtree of the second, its hash is root1 itself and isn't sent.
  const whole = (size1 & (size1 - 1n)) === 0n;
  const { first, second } = impliedRoots(size1, size2, whole ? [root1, ...proof] : proof, crypto);
  if (!equalBytes(first, root1)) throw mismatch(size1, root1, first);
  if (!equalBytes(second, root2)) throw mismatch(size2, root2, second);
}

/**
 * What hashes that take a tree of `size2` apart where one of `size1` ends make of it: the root of the first `size1`
 * records, and of all. They begin with the largest complete subtree that ends there. Throws `malformed-proof` when
 * it can't be so many.
 */
export function impliedRoots(
  size1: bigint,
  size2: bigint,
  hashes: readonly Uint8Array[],
  crypto: Hasher,
): { first: Uint8Array; second: Uint8Array } {
  checkHashes(hashes);
  if (size1 < 1n || size1 >= size2 || size2 > MAX_TREE_SIZE)
    throw malformed(`a tree of size ${size2} has no part of size ${size1}`);
  let shift = 0;
  while (((size1 >> BigInt(shift)) & 1n) === 0n) shift++;
  const index = (size1 - 1n) >> BigInt(shift);
  const inner = bitLength(index ^ ((size2 - 1n) >> BigInt(shift)));
  const border = bitCount(index >> BigInt(inner));
  const [seed, ...siblings] = hashes;
  if (seed === undefined || siblings.length !== inner + border) {
    throw malformed(
      `the consistency proof has ${hashes.length} hashes with the one it starts at, ${size1} to ${size2} needs ${inner + border + 1}`,
    );
  }
  let first = seed;
  let second = seed;
  siblings.forEach((sibling, level) => {
    if (level < inner && ((index >> BigInt(level)) & 1n) === 0n) {
      second = nodeHash(second, sibling, crypto); // right of the first tree's end
    } else {
      first = nodeHash(sibling, first, crypto);
      second = nodeHash(sibling, second, crypto);
    }
  });
  return { first, second };
}

/** The root of the first `size` records. */
export function rootOf(size: bigint, reader: HashReader, crypto: Hasher): Uint8Array {
  return size === 0n ? emptyRoot(crypto) : rangeHash(0n, size, reader, crypto);
}

/** The audit path of record `index` in the tree of `size`, from the leaf up. */
export function proveInclusion(
  index: bigint,
  size: bigint,
  reader: HashReader,
  crypto: Hasher,
): Uint8Array[] {
  if (index < 0n || index >= size) throw malformed(`record ${index} isn't in a tree of size ${size}`);
  const path: Uint8Array[] = [];
  let low = 0n;
  let high = size;
  while (high - low > 1n) {
    const middle = low + splitPoint(high - low);
    if (index < middle) {
      path.push(rangeHash(middle, high, reader, crypto));
      high = middle;
    } else {
      path.push(rangeHash(low, middle, reader, crypto));
      low = middle;
    }
  }
  return path.reverse();
}

/** The proof that the tree of `size1` is a prefix of the tree of `size2`. */
export function proveConsistency(
  size1: bigint,
  size2: bigint,
  reader: HashReader,
  crypto: Hasher,
): Uint8Array[] {
  if (size1 < 0n || size1 > size2)
    throw malformed(`no tree of size ${size1} is a prefix of one of size ${size2}`);
  if (size1 === 0n || size1 === size2) return [];
  const parts = partsAt(size1, size2, reader, crypto);
  return (size1 & (size1 - 1n)) === 0n ? parts.slice(1) : parts;
}

/** The tree of `size2` taken apart where one of `size1` ends: what impliedRoots puts together. 0 < size1 < size2. */
export function partsAt(size1: bigint, size2: bigint, reader: HashReader, crypto: Hasher): Uint8Array[] {
  const path: Uint8Array[] = [];
  let low = 0n;
  let high = size2;
  while (high !== size1) {
    const middle = low + splitPoint(high - low);
    if (size1 <= middle) {
      path.push(rangeHash(middle, high, reader, crypto));
      high = middle;
    } else {
      path.push(rangeHash(low, middle, reader, crypto));
      low = middle;
    }
  }
  return [...path, rangeHash(low, high, reader, crypto)].reverse();
}

/** A reader over leaf hashes in memory; also finds hashes of every complete subtree above them. */
export function memoryReader(leaves: readonly Uint8Array[], crypto: Hasher): HashReader {
  const levels: Uint8Array[][] = [[...leaves]];
  for (let below = levels[0]!; below.length > 1; below = levels[levels.length - 1]!) {
    const level: Uint8Array[] = [];
    for (let i = 0; i + 1 < below.length; i += 2) level.push(nodeHash(below[i]!, below[i + 1]!, crypto));
    levels.push(level);
  }
  return {
    hash: (level, index) => {
      const found = levels[level]?.[Number(index)];
      if (found === undefined) throw new Error(`no complete subtree ${index} at level ${level}`);
      return found;
    },
  };
}

// The hash over records low to high, where low is a multiple of the largest power of two
// that fits: complete subtrees from left to right, folded from the right.
function rangeHash(low: bigint, high: bigint, reader: HashReader, crypto: Hasher): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = low; at < high; ) {
    const level = bitLength(high - at) - 1;
    parts.push(reader.hash(level, at >> BigInt(level)));
    at += 1n << BigInt(level);
  }
  return parts.reduceRight((right, left) => nodeHash(left, right, crypto));
}

/** The largest power of two smaller than n, which is 2 or more. */
const splitPoint = (n: bigint): bigint => 1n << BigInt(bitLength(n - 1n) - 1);

const bitLength = (n: bigint): number => (n === 0n ? 0 : n.toString(2).length);

const bitCount = (n: bigint): number => n.toString(2).replaceAll("0", "").length;

function checkHashes(hashes: readonly Uint8Array[]): void {
  for (const hash of hashes) {
    if (hash.length !== 32) throw malformed(`a hash is ${hash.length} bytes, expected 32`);
  }
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-proof", message);
}

function mismatch(size: bigint, root: Uint8Array, implied: Uint8Array): Refusal {
  return new Refusal(
    "consistency-mismatch",
    `the proof leads to root ${toHex(implied)} for size ${size}, the checkpoint says ${toHex(root)}`,
  );
}
