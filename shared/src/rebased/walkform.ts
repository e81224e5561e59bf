// The form of a walk: from the committee of one epoch to those of later ones. walk.ts proves it.
//
//   {"keys":b64,"epoch":"514","committee":b64,
//    "closes":[{"head":b64,"next":b64,"tail":b64,"certificate":b64}…]}
//
//   keys        96 bytes each, ascending: every key that occurs in the walk, once
//   committee   vector of (u16 key, u64 stake): that of `epoch`
//   closes      the closing checkpoints of `epoch`, `epoch` + 1, …: the summary's bytes are head ‖ committee ‖ tail,
//               with `next` for the committee, its keys as numbers; the certificate as the ledger gives it
//
// A committee of mainnet takes 6.5 KB, and from day to day it hardly changes: by numbers it takes a tenth. What was
// certified is put together again, byte for byte, so a wrong number is a wrong signature.

import { concatBytes, copyBytes, toBase64, toHex } from "../bytes";
import { base64, list, matching, object } from "../json";
import { Refusal } from "../refusal";
import { listBytes, readBcs, u16Bytes, u64Bytes } from "./bcs";
import { BLS_KEY_BYTES, type Committee, type Member, makeCommittee } from "./committee";

export interface Close {
  /** Of the summary, up to the next committee. */
  readonly head: Uint8Array;
  readonly next: readonly Member[];
  readonly tail: Uint8Array;
  readonly certificate: Uint8Array;
}

export interface Walk {
  readonly start: Committee;
  readonly closes: readonly Close[];
}

const MAX_KEYS = 65_535;
const MAX_CLOSES = 20_000;
const MAX_PIECE = 64 * 1024;
const piece = base64(0, MAX_PIECE);

/** As JSON holds it, in bytes: nothing of it is understood yet. */
export type WalkMember = ReturnType<typeof WALK>;

export const WALK = object({
  keys: base64(BLS_KEY_BYTES, MAX_KEYS * BLS_KEY_BYTES),
  epoch: matching(/^(0|[1-9][0-9]{0,9})$/, "an epoch as text"),
  committee: piece,
  closes: list(object({ head: piece, next: piece, tail: piece, certificate: piece }), 0, MAX_CLOSES),
});

/** The JSON value of what WALK read. */
export const walkMemberJson = ({ keys, epoch, committee, closes }: WalkMember) => ({
  keys: toBase64(keys),
  epoch,
  committee: toBase64(committee),
  closes: closes.map(({ head, next, tail, certificate }) => ({
    head: toBase64(head),
    next: toBase64(next),
    tail: toBase64(tail),
    certificate: toBase64(certificate),
  })),
});

/** Refuses `malformed-walk`, `bcs-malformed`, `committee-malformed`. Nothing is verified. */
export function readWalk(json: WalkMember): Walk {
  const keys = keysOf(json.keys);
  const used = new Set<number>();
  const members = (bytes: Uint8Array): Member[] => {
    const reader = readBcs(bytes, "a committee of the walk");
    const read = reader.list(10, () => {
      const number = reader.u16();
      const publicKey = keys[number];
      if (publicKey === undefined) throw malformedWalk(`key ${number} of ${keys.length}`);
      used.add(number);
      return { publicKey, stake: reader.u64() };
    });
    reader.end();
    return read;
  };
  const start = makeCommittee(BigInt(json.epoch), members(json.committee));
  const closes = json.closes.map((close) => ({ ...close, next: members(close.next) }));
  if (used.size !== keys.length) throw malformedWalk(`${keys.length} keys, of which ${used.size} occur`);
  return { start, closes };
}

function keysOf(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % BLS_KEY_BYTES !== 0) throw malformedWalk(`keys of ${bytes.length} bytes`);
  const keys: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += BLS_KEY_BYTES) {
    const key = copyBytes(bytes, at, at + BLS_KEY_BYTES);
    const before = keys[keys.length - 1];
    if (before !== undefined && toHex(before) >= toHex(key)) throw malformedWalk("keys out of order");
    keys.push(key);
  }
  return keys;
}

export const malformedWalk = (found: string) =>
  new Refusal("malformed-walk", `the walk of epochs has ${found}`);

/** A walk in its one form. */
export function walkMember({ start, closes }: Walk): WalkMember {
  const all = [start.members, ...closes.map((close) => close.next)].flat();
  const byHex = new Map(all.map((m) => [toHex(m.publicKey), m.publicKey]));
  const names = [...byHex.keys()].sort();
  const numbers = new Map(names.map((name, number) => [name, number]));
  const members = (list: readonly Member[]) =>
    listBytes(list.map((m) => concatBytes([u16Bytes(numbers.get(toHex(m.publicKey))!), u64Bytes(m.stake)])));
  return {
    keys: concatBytes(names.map((name) => byHex.get(name)!)),
    epoch: String(start.epoch),
    committee: members(start.members),
    closes: closes.map((close) => ({ ...close, next: members(close.next) })),
  };
}

/** Its JSON value. */
export const walkJson = (walk: Walk) => walkMemberJson(walkMember(walk));

/** The walk up to the committee of `epoch`: a bundle holds no more than its receipts need. */
export function walkUpTo({ start, closes }: Walk, epoch: bigint): Walk {
  return { start, closes: closes.slice(0, Math.max(0, Number(epoch - start.epoch))) };
}

/** The epoch that a close says it ends. Refuses `bcs-malformed`. */
export const closedEpoch = (close: Close): bigint => readBcs(close.head, "the checkpoint summary").u64();

export const lastEpochOf = ({ start, closes }: Walk) => start.epoch + BigInt(closes.length);
