// A network that is simulated, and says so: real BCS, real BLS certificates, keys made of a seed.
// Tests and the replay node (host-cli/test/replay-node.ts) anchor on it. Nothing of it is IOTA's.

import { bls12_381 } from "@noble/curves/bls12-381";
import { concatBytes, utf8Encode } from "../src/bytes";
import { listBytes, u16Bytes, u64Bytes, ulebBytes, vectorBytes } from "../src/rebased/bcs";
import { type Committee, type Member, makeCommittee, membersBytes } from "../src/rebased/committee";
import { digestOf } from "../src/rebased/digest";
import type { RebasedReceipt } from "../src/rebased/proof";
import { ed25519Address, encodeEd25519 } from "../src/rebased/signature";
import { encodeTransaction, signingDigest } from "../src/rebased/transaction";
import { type Close, makeClose } from "../src/rebased/walk";
import { sha256 } from "../src/sha256";
import { keyPairFromSeed, signEd25519 } from "../src/sign";

const { shortSignatures, fields } = bls12_381;

export interface Validator extends Member {
  readonly secret: bigint;
}

/** Validators of a seed, ascending by key; `stakes` are handed out in that order. */
export function makeValidators(seed: string, stakes: readonly number[]): Validator[] {
  const keys = stakes.map((_, i) => {
    const bytes = concatBytes([sha256(utf8Encode(`${seed}/${i}/a`)), sha256(utf8Encode(`${seed}/${i}/b`))]);
    const secret = fields.Fr.create(BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
    return { secret, publicKey: bls12_381.G2.Point.BASE.multiply(secret).toBytes(true) };
  });
  keys.sort((a, b) => Buffer.compare(a.publicKey, b.publicKey));
  return keys.map((key, i) => ({ ...key, stake: BigInt(stakes[i]!) }));
}

export const committeeOf = (epoch: bigint, validators: readonly Validator[]): Committee =>
  makeCommittee(
    epoch,
    validators.map(({ publicKey, stake }) => ({ publicKey, stake })),
  );

export interface SummarySpec {
  epoch: bigint;
  sequence: bigint;
  contentsDigest: Uint8Array;
  timestampMs: bigint;
  previous?: Uint8Array;
  next?: readonly Member[];
}

export function encodeSummary(spec: SummarySpec): Uint8Array {
  const none = new Uint8Array([0]);
  const some = (bytes: Uint8Array) => concatBytes([new Uint8Array([1]), bytes]);
  const zero = u64Bytes(0n);
  return concatBytes([
    u64Bytes(spec.epoch),
    u64Bytes(spec.sequence),
    u64Bytes(spec.sequence),
    vectorBytes(spec.contentsDigest),
    spec.previous === undefined ? none : some(vectorBytes(spec.previous)),
    zero,
    zero,
    zero,
    zero,
    zero,
    u64Bytes(spec.timestampMs),
    ulebBytes(0),
    spec.next === undefined
      ? none
      : some(concatBytes([membersBytes(spec.next), u64Bytes(1n), ulebBytes(0), zero])),
    vectorBytes(new Uint8Array([0, 1, 105, 0, 0, 0, 0, 0, 0, 0])),
  ]);
}

export function encodeBitmap(places: readonly number[]): Uint8Array {
  const u32 = (n: number) => concatBytes([u16Bytes(n & 0xffff), u16Bytes(n >>> 16)]);
  return concatBytes([
    u32(0x303a),
    u32(1),
    u16Bytes(0),
    u16Bytes(places.length - 1),
    u32(16),
    ...places.map(u16Bytes),
  ]);
}

/** Signed by the validators at these places; all of them, unless told. */
export function certify(
  summary: Uint8Array,
  epoch: bigint,
  validators: readonly Validator[],
  places: readonly number[] = validators.map((_, i) => i),
  bitmap: Uint8Array = encodeBitmap(places),
): Uint8Array {
  const message = shortSignatures.hash(concatBytes([new Uint8Array([2, 0, 0]), summary, u64Bytes(epoch)]));
  const secret = places.reduce((sum, place) => sum + validators[place]!.secret, 0n);
  const signature = message.multiply(fields.Fr.create(secret)).toBytes(true);
  return concatBytes([u64Bytes(epoch), signature, vectorBytes(bitmap)]);
}

export interface ExecutedSpec {
  transaction: Uint8Array;
  effects: Uint8Array;
  signatures: readonly Uint8Array[];
}

export function encodeContents(executed: readonly ExecutedSpec[]): Uint8Array {
  return concatBytes([
    new Uint8Array([0]),
    listBytes(
      executed.map((e) =>
        concatBytes([
          vectorBytes(digestOf("TransactionData", e.transaction)),
          vectorBytes(digestOf("TransactionEffects", e.effects)),
        ]),
      ),
    ),
    listBytes(executed.map((e) => listBytes(e.signatures.map(vectorBytes)))),
  ]);
}

/** Effects V1 of a transaction that only paid gas. `status` 1 is a failure for want of gas. */
export function encodeEffects(transaction: Uint8Array, epoch: bigint, status = 0): Uint8Array {
  const none = new Uint8Array([0]);
  return concatBytes([
    none,
    status === 0 ? none : new Uint8Array([1, 0, 0]),
    u64Bytes(epoch),
    u64Bytes(1_000_000n),
    u64Bytes(1_000_000n),
    u64Bytes(980_400n),
    u64Bytes(980_400n),
    u64Bytes(0n),
    vectorBytes(transaction),
    new Uint8Array([1, 0, 0, 0, 0]),
    none,
    ulebBytes(0),
    u64Bytes(7n),
    ulebBytes(0),
    ulebBytes(0),
    none,
  ]);
}

export interface SimulatedAnchor {
  readonly receipt: RebasedReceipt;
  readonly sender: Uint8Array;
}

/** A note in a transaction of its own, in a checkpoint of `epoch`. */
export function anchorNote(
  note: Uint8Array,
  epoch: bigint,
  validators: readonly Validator[],
  options: { time?: number; sequence?: bigint; places?: number[]; status?: number } = {},
): SimulatedAnchor {
  const { publicKey, secretKey } = keyPairFromSeed(sha256(utf8Encode("simulated sender")));
  const sender = ed25519Address(publicKey);
  const coin = { objectId: sha256(utf8Encode("coin")), version: 6n, digest: sha256(utf8Encode("coin at 6")) };
  const gas = { coins: [coin], owner: sender, price: 1000n, budget: 5_000_000n };
  const transaction = encodeTransaction({ sender, gas, expiration: epoch + 2n, payload: note });
  const signature = encodeEd25519(signEd25519(secretKey, signingDigest(transaction)), publicKey);
  const effects = encodeEffects(digestOf("TransactionData", transaction), epoch, options.status);
  const contents = encodeContents([{ transaction, effects, signatures: [signature] }]);
  const summary = encodeSummary({
    epoch,
    sequence: options.sequence ?? 1000n * epoch + 7n,
    contentsDigest: digestOf("CheckpointContents", contents),
    timestampMs: BigInt(options.time ?? 1_790_000_000) * 1000n,
  });
  const certificate = certify(summary, epoch, validators, options.places);
  return { receipt: { summary, certificate, contents, transaction, effects }, sender };
}

/** The closing checkpoint of an epoch. */
export function closeEpoch(epoch: bigint, validators: readonly Validator[], next: readonly Member[]): Close {
  const summary = encodeSummary({
    epoch,
    sequence: 1000n * epoch + 999n,
    contentsDigest: sha256(utf8Encode(`contents of ${epoch}`)),
    timestampMs: 1_780_000_000_000n + epoch * 86_400_000n,
    next: next.map(({ publicKey, stake }) => ({ publicKey, stake })),
  });
  return makeClose(summary, certify(summary, epoch, validators));
}
