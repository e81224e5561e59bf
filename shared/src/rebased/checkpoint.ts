// Checkpoints of the ledger: the summary that validators certify, and the contents it names by digest.
//
//   summary    u64 epoch │ u64 sequence │ u64 transactions so far │ digest of contents │ option digest of the one before
//              │ 5 × u64 gas │ u64 time, ms │ vector of commitments │ option end of epoch │ bytes of a later version
//   end        vector of (key, stake): next committee │ u64 protocol version │ commitments │ i64 supply change
//   contents   0 │ vector of (transaction digest, effects digest) │ for each of them, a vector of user signatures
//
// IOTA: crates/iota-types/src/messages_checkpoint.rs. Gas and commitments are read for their length alone.

import { Refusal } from "../refusal";
import { type BcsReader, readBcs } from "./bcs";
import { type Committee, makeCommittee, readMembers } from "./committee";
import { DIGEST_BYTES, digestOf } from "./digest";

export interface Summary {
  /** The bytes that were certified. */
  readonly bcs: Uint8Array;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly contentsDigest: Uint8Array;
  /** Unix milliseconds, as the validators agreed on them. */
  readonly timestampMs: bigint;
  /** In the closing checkpoint of an epoch: who certifies the next one. */
  readonly next: Committee | null;
  /** Where its members begin in the bytes; 0 where there are none. */
  readonly membersAt: number;
}

/** Refuses `bcs-malformed`, `bcs-unsupported`, `committee-malformed`. */
export function readSummary(bcs: Uint8Array): Summary {
  const reader = readBcs(bcs, "the checkpoint summary");
  const epoch = reader.u64();
  const sequence = reader.u64();
  reader.u64();
  const contentsDigest = reader.sized(DIGEST_BYTES);
  reader.option(() => reader.sized(DIGEST_BYTES));
  for (let i = 0; i < 5; i++) reader.u64();
  const timestampMs = reader.u64();
  readCommitments(reader);
  let membersAt = 0;
  const next = reader.option(() => {
    membersAt = reader.at();
    const members = readMembers(reader);
    reader.u64();
    readCommitments(reader);
    reader.u64();
    return makeCommittee(epoch + 1n, members);
  });
  reader.bytes();
  reader.end();
  return { bcs, epoch, sequence, contentsDigest, timestampMs, next, membersAt };
}

function readCommitments(reader: BcsReader): void {
  reader.list(1 + 1 + DIGEST_BYTES, () => {
    reader.variant(1, "CheckpointCommitment");
    reader.sized(DIGEST_BYTES);
  });
}

export interface Executed {
  readonly transaction: Uint8Array;
  readonly effects: Uint8Array;
  readonly signatures: readonly Uint8Array[];
}

export interface Contents {
  readonly digest: Uint8Array;
  readonly executed: readonly Executed[];
}

export function readContents(bcs: Uint8Array): Contents {
  const reader = readBcs(bcs, "the checkpoint contents");
  reader.variant(1, "CheckpointContents");
  const pairs = reader.list(2 * (1 + DIGEST_BYTES), () => ({
    transaction: reader.sized(DIGEST_BYTES),
    effects: reader.sized(DIGEST_BYTES),
  }));
  const signatures = reader.list(1, () => reader.list(1, () => reader.bytes()));
  reader.end();
  if (signatures.length !== pairs.length) {
    throw new Refusal(
      "bcs-malformed",
      `the checkpoint contents have ${pairs.length} transactions and signatures of ${signatures.length}`,
    );
  }
  const executed = pairs.map((pair, i) => ({ ...pair, signatures: signatures[i]! }));
  return { digest: digestOf("CheckpointContents", bcs), executed };
}
