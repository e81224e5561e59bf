// Who sent a transaction: an Ed25519 key, or t of n of them.
//
//   Ed25519     0 │ signature 64 │ key 32
//   multisig    3 │ vector of (0 │ signature 64) │ u16 bitmap of keys │ vector of (0 │ key 32 │ u8 weight) │ u16 threshold
//
//   address     BLAKE2b-256 of the key; of a multisig: 3 │ u16 threshold │ (key │ u8 weight)…
//
// IOTA: crates/iota-types/src/crypto.rs, multisig.rs; unlike in Sui, no scheme byte stands before an Ed25519 key.
// Other schemes (secp256k1, secp256r1, passkeys) are `bcs-unsupported`: neither right nor wrong here.

import { concatBytes, equalBytes } from "../bytes";
import type { Crypto } from "../crypto";
import { blake2b256 } from "../hash";
import { Refusal } from "../refusal";
import { listBytes, readBcs, u16Bytes } from "./bcs";
import { addressText } from "./root";

const ED25519 = 0;
const MULTISIG = 3;
const MAX_SIGNERS = 10;

export interface MultisigKey {
  readonly members: readonly { readonly publicKey: Uint8Array; readonly weight: number }[];
  readonly threshold: number;
}

export const ed25519Address = (publicKey: Uint8Array) => blake2b256(publicKey);

const memberBytes = (member: MultisigKey["members"][number]) =>
  concatBytes([member.publicKey, new Uint8Array([member.weight])]);

export const multisigAddress = ({ members, threshold }: MultisigKey) =>
  blake2b256(new Uint8Array([MULTISIG]), u16Bytes(threshold), ...members.map(memberBytes));

export const encodeEd25519 = (signature: Uint8Array, publicKey: Uint8Array) =>
  concatBytes([new Uint8Array([ED25519]), signature, publicKey]);

/** `signatures` by place in the key; null for who has not signed. */
export function encodeMultisig(key: MultisigKey, signatures: readonly (Uint8Array | null)[]): Uint8Array {
  const scheme = new Uint8Array([ED25519]);
  const given = signatures.flatMap((s) => (s === null ? [] : [concatBytes([scheme, s])]));
  const bitmap = signatures.reduce((bits, s, place) => (s === null ? bits : bits | (1 << place)), 0);
  return concatBytes([
    new Uint8Array([MULTISIG]),
    listBytes(given),
    u16Bytes(bitmap),
    listBytes(key.members.map((member) => concatBytes([scheme, memberBytes(member)]))),
    u16Bytes(key.threshold),
  ]);
}

interface Parsed {
  readonly address: Uint8Array;
  /** All of them must be good. */
  readonly signatures: readonly { readonly publicKey: Uint8Array; readonly signature: Uint8Array }[];
}

function parse(bytes: Uint8Array): Parsed {
  const reader = readBcs(bytes, "the sender's signature");
  const scheme = reader.u8();
  if (scheme === ED25519) {
    const signature = reader.fixed(64);
    const publicKey = reader.fixed(32);
    reader.end();
    return { address: ed25519Address(publicKey), signatures: [{ publicKey, signature }] };
  }
  if (scheme !== MULTISIG)
    throw new Refusal(
      "bcs-unsupported",
      `the sender's signature is of scheme ${scheme}, known here are 0 and 3`,
    );
  const given = reader.list(65, () => {
    reader.variant(1, "CompressedSignature");
    return reader.fixed(64);
  });
  const bitmap = reader.u16();
  const members = reader.list(34, () => {
    reader.variant(1, "PublicKey");
    return { publicKey: reader.fixed(32), weight: reader.u8() };
  });
  const key = { members, threshold: reader.u16() };
  reader.end();
  return { address: multisigAddress(key), signatures: signersOf(key, bitmap, given) };
}

function signersOf(key: MultisigKey, bitmap: number, given: readonly Uint8Array[]): Parsed["signatures"] {
  const { members, threshold } = key;
  const places = members.map((_, place) => place).filter((place) => (bitmap >> place) & 1);
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const distinct = new Set(members.map(({ publicKey }) => addressText(publicKey))).size;
  const sound =
    members.length <= MAX_SIGNERS &&
    distinct === members.length &&
    members.every(({ weight }) => weight > 0) &&
    threshold > 0 &&
    threshold <= total &&
    bitmap >> members.length === 0 &&
    places.length === given.length;
  if (!sound) throw new Refusal("sender-signature", "the sender's multisig contradicts itself");
  const weight = places.reduce((sum, place) => sum + members[place]!.weight, 0);
  if (weight < threshold)
    throw new Refusal("sender-signature", `the sender's multisig has weight ${weight} of ${threshold}`);
  return places.map((place, i) => ({ publicKey: members[place]!.publicKey, signature: given[i]! }));
}

/** One of the transaction's signatures is its sender's (a sponsor's may stand beside it). Refuses `sender-signature`, `bcs-unsupported`. */
export function checkSender(
  sender: Uint8Array,
  digest: Uint8Array,
  signatures: readonly Uint8Array[],
  crypto: Crypto,
): void {
  let unknown: unknown;
  for (const bytes of signatures) {
    try {
      const parsed = parse(bytes);
      if (!equalBytes(parsed.address, sender)) continue;
      if (parsed.signatures.every((s) => crypto.verifyEd25519(s.publicKey, digest, s.signature))) return;
      throw new Refusal("sender-signature", `the signature of sender ${addressText(sender)} doesn't verify`);
    } catch (error) {
      if ((error as Refusal).code !== "bcs-unsupported") throw error;
      unknown = error;
    }
  }
  throw (
    unknown ??
    new Refusal(
      "sender-signature",
      `none of ${signatures.length} signatures is by sender ${addressText(sender)}`,
    )
  );
}
