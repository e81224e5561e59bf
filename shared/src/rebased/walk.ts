// From a committee somebody trusts to the committee of a later epoch: the ratchet.
//
//   {"keys":b64,"epoch":"514","committee":b64,
//    "closes":[{"head":b64,"next":b64,"tail":b64,"certificate":b64}…]}
//
//   keys        96 bytes each, ascending: every key that occurs in the walk, once
//   committee   vector of (u16 key, u64 stake): that of `epoch`
//   closes      the closing checkpoints of `epoch`, `epoch` + 1, …: the summary's bytes are head ‖ committee ‖ tail,
//               with `next` for the committee, its keys as numbers; the certificate as the ledger gives it
//
// A committee of mainnet takes 6.5 KB, and from day to day it hardly changes: by numbers a day takes one. What was
// certified is put together again, byte for byte, so a wrong number is a wrong signature.
//
// A root is the digest of one committee. The walk is believed from the last committee that a root names; every
// later one is proved by a quorum of the one before. What stands before isn't looked at. Whoever held keys of
// two thirds of an old committee could make up all that follows from it: a newer root shortens that.

import { concatBytes, copyBytes, equalBytes, fromHex, toBase64, toHex } from "../bytes";
import type { Crypto } from "../crypto";
import { type BlsKeys, makeBlsKeys } from "../curves";
import { base64, list, matching, object } from "../json";
import { quote, Refusal } from "../refusal";
import { listBytes, readBcs, u16Bytes, u64Bytes } from "./bcs";
import { checkCertificate, readCertificate } from "./certificate";
import { readSummary } from "./checkpoint";
import {
  BLS_KEY_BYTES,
  type Committee,
  committeeDigest,
  type Member,
  makeCommittee,
  membersBytes,
} from "./committee";

/** As a policy names it: `mainnet@514:<hex>`. */
export interface Root {
  /** A name for people; the digest decides. */
  readonly network: string;
  readonly epoch: bigint;
  readonly digest: Uint8Array;
}

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

const ROOT = /^([a-z][a-z0-9-]{0,31})@(0|[1-9][0-9]{0,9}):([0-9a-f]{64})$/;

/** Refuses `malformed-root`. */
export function parseRoot(text: string): Root {
  const [, network, epoch, digest] = ROOT.exec(text) ?? [];
  if (digest === undefined)
    throw new Refusal("malformed-root", `found ${quote(text)}, expected NETWORK@EPOCH:SHA256 of a committee`);
  return { network: network!, epoch: BigInt(epoch!), digest: fromHex(digest)! };
}

export const formatRoot = ({ network, epoch, digest }: Root) => `${network}@${epoch}:${toHex(digest)}`;

export const rootOf = (network: string, committee: Committee, crypto: Crypto): Root => ({
  network,
  epoch: committee.epoch,
  digest: committeeDigest(committee, crypto),
});

const MAX_KEYS = 65_535;
const MAX_CLOSES = 20_000;
const MAX_PIECE = 64 * 1024;
const piece = base64(0, MAX_PIECE);

/** What a bundle's JSON holds; `walkJson` writes it. */
export const WALK = object({
  keys: base64(BLS_KEY_BYTES, MAX_KEYS * BLS_KEY_BYTES),
  epoch: matching(/^(0|[1-9][0-9]{0,9})$/, "an epoch as text"),
  committee: piece,
  closes: list(object({ head: piece, next: piece, tail: piece, certificate: piece }), 0, MAX_CLOSES),
});

/** Refuses `malformed-walk`, `bcs-malformed`, `committee-malformed`. Nothing is verified. */
export function readWalk(json: ReturnType<typeof WALK>): Walk {
  const keys = keysOf(json.keys);
  const used = new Set<number>();
  const members = (bytes: Uint8Array): Member[] => {
    const reader = readBcs(bytes, "a committee of the walk");
    const read = reader.list(10, () => {
      const number = reader.u16();
      const publicKey = keys[number];
      if (publicKey === undefined) throw malformed(`key ${number} of ${keys.length}`);
      used.add(number);
      return { publicKey, stake: reader.u64() };
    });
    reader.end();
    return read;
  };
  const start = makeCommittee(BigInt(json.epoch), members(json.committee));
  const closes = json.closes.map((close) => ({ ...close, next: members(close.next) }));
  if (used.size !== keys.length) throw malformed(`${keys.length} keys, of which ${used.size} occur`);
  return { start, closes };
}

function keysOf(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length % BLS_KEY_BYTES !== 0) throw malformed(`keys of ${bytes.length} bytes`);
  const keys: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += BLS_KEY_BYTES) {
    const key = copyBytes(bytes, at, at + BLS_KEY_BYTES);
    const before = keys[keys.length - 1];
    if (before !== undefined && toHex(before) >= toHex(key)) throw malformed("keys out of order");
    keys.push(key);
  }
  return keys;
}

const malformed = (found: string) => new Refusal("malformed-walk", `the walk of epochs has ${found}`);

/** The JSON value of a walk, in its one form. */
export function walkJson({ start, closes }: Walk) {
  const all = [start.members, ...closes.map((close) => close.next)].flat();
  const byHex = new Map(all.map((m) => [toHex(m.publicKey), m.publicKey]));
  const names = [...byHex.keys()].sort();
  const numbers = new Map(names.map((name, number) => [name, number]));
  const members = (list: readonly Member[]) =>
    toBase64(
      listBytes(
        list.map((m) => concatBytes([u16Bytes(numbers.get(toHex(m.publicKey))!), u64Bytes(m.stake)])),
      ),
    );
  return {
    keys: toBase64(concatBytes(names.map((name) => byHex.get(name)!))),
    epoch: String(start.epoch),
    committee: members(start.members),
    closes: closes.map(({ head, next, tail, certificate }) => ({
      head: toBase64(head),
      next: members(next),
      tail: toBase64(tail),
      certificate: toBase64(certificate),
    })),
  };
}

export const closingSummary = ({ head, next, tail }: Close) => concatBytes([head, membersBytes(next), tail]);

/** Takes a closing checkpoint, as the ledger gives it, apart. Refuses `not-closing` and what readSummary does. */
export function makeClose(summary: Uint8Array, certificate: Uint8Array): Close {
  const { next, sequence, membersAt } = readSummary(summary);
  if (next === null) throw notClosing(sequence);
  const length = membersBytes(next.members).length;
  return {
    head: copyBytes(summary, 0, membersAt),
    next: next.members,
    tail: copyBytes(summary, membersAt + length, summary.length),
    certificate,
  };
}

const notClosing = (sequence: bigint) =>
  new Refusal("not-closing", `checkpoint ${sequence} names no next committee, so it closes no epoch`);

export interface Ratchet {
  /** Where trust begins. */
  readonly root: Root;
  /** A root for every epoch proved so far: what a machine may keep to walk less the next time. */
  proved(): Root[];
  /** The committee of an epoch, once everything up to it is proved. Refuses `epoch-before-root`, `epoch-missing`, and what checkCertificate does. */
  committeeOf(epoch: bigint): Committee;
  readonly keys: BlsKeys;
}

/**
 * Starts at the last committee of the walk that a root names. A close that fails leaves everything proved before
 * it as it was. Refuses `ledger-not-trusted` when no root names any.
 */
export function makeRatchet(walk: Walk, roots: readonly Root[], crypto: Crypto): Ratchet {
  const keys = makeBlsKeys();
  const claimed = [walk.start, ...walk.closes.map((close, i) => claimOf(walk, close, i))];
  let found: Root | undefined;
  let first = claimed.length - 1;
  for (; first >= 0 && found === undefined; first--) found = rootNaming(claimed[first]!, roots, crypto);
  first++;
  if (found === undefined) throw untrusted(walk, roots);
  const root = found;
  let last = first; // of those that are proved
  const base = walk.start.epoch;
  return {
    root,
    keys,
    proved: () => claimed.slice(first, last + 1).map((committee) => rootOf(root.network, committee, crypto)),
    committeeOf(epoch) {
      const place = Number(epoch - base);
      if (place < first)
        throw new Refusal(
          "epoch-before-root",
          `the checkpoint is of epoch ${epoch}, the root ${root.network} of ${root.epoch}: nothing leads back`,
        );
      if (place >= claimed.length)
        throw new Refusal(
          "epoch-missing",
          `the checkpoint is of epoch ${epoch}, the walk ends with the committee of ${base + BigInt(claimed.length - 1)}`,
        );
      while (last < place) {
        proveNext(walk.closes[last]!, claimed[last]!, claimed[last + 1]!, keys);
        last++;
      }
      return claimed[place]!;
    },
  };
}

const claimOf = (walk: Walk, close: Close, i: number) =>
  makeCommittee(walk.start.epoch + BigInt(i + 1), close.next);

function rootNaming(committee: Committee, roots: readonly Root[], crypto: Crypto): Root | undefined {
  const near = roots.filter((root) => root.epoch === committee.epoch);
  if (near.length === 0) return undefined;
  const digest = committeeDigest(committee, crypto);
  return near.find((root) => equalBytes(root.digest, digest));
}

function untrusted(walk: Walk, roots: readonly Root[]): Refusal {
  const { epoch } = walk.start;
  const named = roots.map((root) => `${root.network}@${root.epoch}`).join(", ") || "none";
  return new Refusal(
    "ledger-not-trusted",
    `committees of epochs ${epoch} to ${epoch + BigInt(walk.closes.length)} are here, and none is one that the policy names (${named})`,
  );
}

function proveNext(close: Close, committee: Committee, claimed: Committee, keys: BlsKeys): void {
  const summary = readSummary(closingSummary(close));
  if (summary.next === null) throw notClosing(summary.sequence);
  checkCertificate(summary, readCertificate(close.certificate), committee, keys);
  if (!equalBytes(membersBytes(summary.next.members), membersBytes(claimed.members)))
    throw malformed(`another committee than the closing checkpoint of epoch ${committee.epoch}`);
}
