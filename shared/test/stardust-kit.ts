// A Tangle in memory: a coordinator with keys from a seed, and milestones over real Merkle trees. For tests that need
// receipts at moments of their choosing; how a node answers is in the recordings.

import { utf8Encode } from "../src/bytes";
import { blake2b256 } from "../src/hash";
import { blockIdOf, encodeBlock } from "../src/stardust/block";
import { inclusionPath, inclusionRoot } from "../src/stardust/inclusion";
import { compareBytes } from "../src/stardust/layout";
import { type Essence, encodeEssence, encodeMilestone, milestoneIdOf } from "../src/stardust/milestone";
import type { StardustReceipt } from "../src/stardust/receipt";
import { makeTrust, type Trust } from "../src/stardust/trust";
import { type TestKey, testKey } from "./keys";

export interface Tangle {
  readonly trust: Trust;
  /** In the order of their public keys. */
  readonly coordinator: readonly TestKey[];
}

export function makeTangle(network: string, keys = 3, threshold = 2, seed = network): Tangle {
  const coordinator = Array.from({ length: keys }, (_, i) => testKey(`${seed}-coordinator-${i}`)).sort(
    (a, b) => compareBytes(a.vkey.publicKey, b.vkey.publicKey),
  );
  const trusted = coordinator.map(({ vkey }) => ({ key: vkey.publicKey, start: 0, end: 0 }));
  return { trust: makeTrust({ network, threshold, keys: trusted }), coordinator };
}

/** An id that no block has. */
export const someId = (name: string) => blake2b256(utf8Encode(name));

export interface Wishes {
  readonly time: number;
  readonly index?: number;
  /** Blocks that the milestone referenced beside ours, and where ours stands. */
  readonly neighbours?: number;
  readonly place?: number;
  readonly tag?: Uint8Array;
  /** Places of the keys that sign. */
  readonly signers?: readonly number[];
  readonly essence?: Partial<Essence>;
}

/** Anchors the note as a node and a coordinator would. */
export function anchorOnTangle(tangle: Tangle, note: Uint8Array, wishes: Wishes): StardustReceipt {
  const { time, index = 100, neighbours = 4, place = 2, signers = [0, 1] } = wishes;
  const block = encodeBlock({
    parents: [someId("a tip"), someId("another tip")].sort(compareBytes),
    tag: wishes.tag ?? utf8Encode("vouch/v1"),
    data: note,
    nonce: 0n,
  });
  const ids = Array.from({ length: neighbours }, (_, i) => someId(`neighbour ${i} of ${index}`));
  ids.splice(place, 0, blockIdOf(block));
  const essence = encodeEssence({
    index,
    timestamp: time,
    previous: someId(`milestone ${index - 1}`),
    parents: [blockIdOf(block)],
    inclusionRoot: inclusionRoot(ids),
    appliedRoot: inclusionRoot([]),
    metadata: new Uint8Array(),
    options: [],
    ...wishes.essence,
  });
  const id = milestoneIdOf(essence);
  const signatures = signers.map((i) => {
    const { vkey, sign } = tangle.coordinator[i]!;
    return { key: vkey.publicKey, signature: sign(id) };
  });
  return {
    trust: tangle.trust,
    milestone: encodeMilestone(essence, signatures),
    path: inclusionPath(ids, place),
    block,
  };
}
