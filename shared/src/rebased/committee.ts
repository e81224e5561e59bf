// The validators of one epoch, who certify its checkpoints together.
//
//   committee   u64 epoch │ vector of members                         BCS; digest: SHA-256 over a tag and this
//   member      0x60 │ 96 bytes, BLS12-381 key in G2 │ u64 stake      ascending by key; stakes add up to 10000
//
// A committee is only ever known from the closing checkpoint of the epoch before, or from a root: the digest of one
// committee that a policy names. So a root is a starting point somebody looked at once, and everything after is
// proved from it.

import { concatBytes, utf8Encode } from "../bytes";
import type { Crypto } from "../crypto";
import { Refusal } from "../refusal";
import { type BcsReader, listBytes, readBcs, u64Bytes, vectorBytes } from "./bcs";
import type { Root } from "./root";

export const BLS_KEY_BYTES = 96;
export const TOTAL_STAKE = 10_000n;
/** Of TOTAL_STAKE: more than two thirds. */
export const QUORUM = 6_667n;

export interface Member {
  readonly publicKey: Uint8Array;
  readonly stake: bigint;
}

export interface Committee {
  readonly epoch: bigint;
  readonly members: readonly Member[];
}

/** vec<(key, stake)>, as closing checkpoints have it. */
export function readMembers(reader: BcsReader): Member[] {
  return reader.list(1 + BLS_KEY_BYTES + 8, () => ({
    publicKey: reader.sized(BLS_KEY_BYTES),
    stake: reader.u64(),
  }));
}

export const membersBytes = (members: readonly Member[]) =>
  listBytes(members.map((m) => concatBytes([vectorBytes(m.publicKey), u64Bytes(m.stake)])));

/** Refuses `committee-malformed`: members out of order or repeated, without stake, or not 10000 in all. */
export function makeCommittee(epoch: bigint, members: readonly Member[]): Committee {
  let total = 0n;
  members.forEach(({ publicKey, stake }, i) => {
    const before = members[i - 1];
    if (before !== undefined && compare(before.publicKey, publicKey) >= 0)
      throw malformed(epoch, `member ${i} isn't behind the one before it`);
    if (stake <= 0n) throw malformed(epoch, `member ${i} has no stake`);
    total += stake;
  });
  if (total !== TOTAL_STAKE) throw malformed(epoch, `stakes add up to ${total}, expected ${TOTAL_STAKE}`);
  return { epoch, members };
}

const malformed = (epoch: bigint, found: string) =>
  new Refusal("committee-malformed", `the committee of epoch ${epoch}: ${found}`);

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return 0;
}

export const encodeCommittee = (committee: Committee) =>
  concatBytes([u64Bytes(committee.epoch), membersBytes(committee.members)]);

export function decodeCommittee(bytes: Uint8Array): Committee {
  const reader = readBcs(bytes, "the committee");
  const epoch = reader.u64();
  const members = readMembers(reader);
  reader.end();
  return makeCommittee(epoch, members);
}

/** What a root names. */
export const committeeDigest = (committee: Committee, crypto: Crypto) =>
  crypto.sha256(concatBytes([utf8Encode("vouch/rebased-committee/v1\n"), encodeCommittee(committee)]));

export const rootOf = (network: string, committee: Committee, crypto: Crypto): Root => ({
  network,
  epoch: committee.epoch,
  digest: committeeDigest(committee, crypto),
});
