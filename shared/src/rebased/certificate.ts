// A quorum of the epoch's committee signed this summary.
//
//   certificate   u64 epoch │ 48 bytes, sum of the signatures │ vector<u8>: which members, a roaring bitmap
//   signed        02 00 00 │ BCS of the summary │ u64 epoch         intent: scope CheckpointSummary, version 0, app 0
//
//   bitmap        u32 0x303a │ u32 containers │ (u16 key, u16 count - 1)… │ u32 offset… │ u16 member…
//
// IOTA: crates/iota-types/src/crypto.rs (AuthorityQuorumSignInfo); the bitmap: RoaringFormatSpec, the
// form without run containers. Committees are small, so one container of sorted members is all there can be.

import { concatBytes } from "../bytes";
import { type BlsKeys, verifyBls } from "../curves";
import { Refusal } from "../refusal";
import { readBcs, u64Bytes } from "./bcs";
import type { Summary } from "./checkpoint";
import { type Committee, QUORUM, TOTAL_STAKE } from "./committee";

const INTENT = new Uint8Array([2, 0, 0]);
const ROARING_COOKIE = 0x303a;
const ROARING_OFFSET = 16; // of the members, behind cookie, count, one key and one offset

export interface Certificate {
  readonly epoch: bigint;
  readonly signature: Uint8Array;
  /** Places in the committee, ascending. */
  readonly signers: readonly number[];
}

/** Refuses `bcs-malformed`, `certificate-bitmap`. */
export function readCertificate(bcs: Uint8Array): Certificate {
  const reader = readBcs(bcs, "the checkpoint's certificate");
  const epoch = reader.u64();
  const signature = reader.fixed(48);
  const signers = readBitmap(reader.bytes());
  reader.end();
  return { epoch, signature, signers };
}

function readBitmap(bytes: Uint8Array): number[] {
  const reader = readBcs(bytes, "the signers' bitmap");
  const cookie = reader.u32();
  if (cookie !== ROARING_COOKIE) throw bitmap(`cookie 0x${cookie.toString(16)}, expected 0x303a`);
  const containers = reader.u32();
  const key = reader.u16();
  const count = reader.u16() + 1;
  const offset = reader.u32();
  if (containers !== 1 || key !== 0)
    throw bitmap(`${containers} containers from key ${key}, expected one at 0`);
  if (count > 4096 || offset !== ROARING_OFFSET) throw bitmap(`${count} members at ${offset}`);
  const signers: number[] = [];
  for (let i = 0; i < count; i++) {
    const member = reader.u16();
    if (i > 0 && member <= signers[i - 1]!) throw bitmap(`member ${member} follows ${signers[i - 1]}`);
    signers.push(member);
  }
  reader.end();
  return signers;
}

const bitmap = (found: string) => new Refusal("certificate-bitmap", `the signers' bitmap has ${found}`);

/**
 * The weight, of 10000, that certified the summary. Refuses `certificate-epoch`, `certificate-bitmap`,
 * `certificate-quorum` or `certificate-signature`.
 */
export function checkCertificate(
  summary: Summary,
  certificate: Certificate,
  committee: Committee,
  keys: BlsKeys,
): bigint {
  if (summary.epoch !== committee.epoch || certificate.epoch !== committee.epoch) {
    throw new Refusal(
      "certificate-epoch",
      `checkpoint ${summary.sequence} is of epoch ${summary.epoch}, its certificate of ${certificate.epoch}, the committee of ${committee.epoch}`,
    );
  }
  const signers = certificate.signers.map((place) => {
    const member = committee.members[place];
    if (member === undefined) throw bitmap(`member ${place} of ${committee.members.length}`);
    return member;
  });
  const weight = signers.reduce((sum, member) => sum + member.stake, 0n);
  if (weight < QUORUM) {
    throw new Refusal(
      "certificate-quorum",
      `checkpoint ${summary.sequence} is signed by weight ${weight} of ${TOTAL_STAKE}, expected ${QUORUM} at least`,
    );
  }
  const message = concatBytes([INTENT, summary.bcs, u64Bytes(committee.epoch)]);
  const publicKeys = signers.map((member) => member.publicKey);
  if (!verifyBls(publicKeys, message, certificate.signature, keys)) {
    throw new Refusal(
      "certificate-signature",
      `the signature of epoch ${committee.epoch}'s committee over checkpoint ${summary.sequence} doesn't verify`,
    );
  }
  return weight;
}
