// The transaction that anchors a note: programmable, one pure input, one command that makes
// a vector of it and drops it again. No package, no object, no event.
//
//   TransactionData V1   0 │ kind 0, programmable │ sender │ gas │ expiration
//   inputs               1 │ 0, pure │ vector<u8> of: vector<u8> of the note
//   commands             1 │ 5, MakeMoveVec │ 1, some type: 6, vector of 1, u8 │ 1 argument: 1, input │ u16 0
//   gas                  vector of (id 32, u64 version, digest): coins │ owner │ u64 price │ u64 budget
//   expiration           0, none, or 1 and u64 epoch
//
// IOTA: crates/iota-types/src/transaction.rs. A ledger takes any transaction; what is read here
// is this one shape and the empty one, everything else is `bcs-unsupported`: an anchor has to be looked at
// without an interpreter for Move.

import { concatBytes } from "../bytes";
import { blake2b256 } from "../hash";
import { Refusal } from "../refusal";
import { type BcsReader, listBytes, readBcs, u16Bytes, u64Bytes, ulebBytes, vectorBytes } from "./bcs";
import { DIGEST_BYTES } from "./digest";

export { addressText } from "./root";

export const ADDRESS_BYTES = 32;
/** Of a pure input (iota-protocol-config, max_pure_argument_size). */
const MAX_PURE = 16 * 1024;
/** The largest note an anchor holds: two lengths of three bytes stand before it. */
export const MAX_NOTE = MAX_PURE - 3;

export interface Coin {
  readonly objectId: Uint8Array;
  readonly version: bigint;
  readonly digest: Uint8Array;
}

export interface Gas {
  readonly coins: readonly Coin[];
  readonly owner: Uint8Array;
  /** NANOS a unit of computation. */
  readonly price: bigint;
  /** NANOS at most. */
  readonly budget: bigint;
}

export interface Transaction {
  readonly sender: Uint8Array;
  readonly gas: Gas;
  /** The last epoch in which it may be executed; null for any. */
  readonly expiration: bigint | null;
  /** What its only input holds; null when there is none. */
  readonly payload: Uint8Array | null;
}

const PROGRAMMABLE = new Uint8Array([0, 0]); // TransactionData V1, kind
const PURE = 0;
const MAKE_MOVE_VEC = 5;
const VECTOR_OF_U8 = new Uint8Array([1, 6, 1]); // some type
const INPUT_0 = concatBytes([new Uint8Array([1]), u16Bytes(0)]);

const coinBytes = ({ objectId, version, digest }: Coin) =>
  concatBytes([objectId, u64Bytes(version), vectorBytes(digest)]);

/** The bytes to sign and submit. `payload` is at most MAX_NOTE bytes. */
export function encodeTransaction(transaction: Transaction & { payload: Uint8Array }): Uint8Array {
  const { sender, gas, expiration, payload } = transaction;
  if (payload.length > MAX_NOTE)
    throw new Refusal("too-large", `the note has ${payload.length} bytes, a transaction takes ${MAX_NOTE}`);
  const input = concatBytes([ulebBytes(PURE), vectorBytes(vectorBytes(payload))]);
  const command = concatBytes([ulebBytes(MAKE_MOVE_VEC), VECTOR_OF_U8, listBytes([INPUT_0])]);
  return concatBytes([
    PROGRAMMABLE,
    listBytes([input]),
    listBytes([command]),
    sender,
    listBytes(gas.coins.map(coinBytes)),
    gas.owner,
    u64Bytes(gas.price),
    u64Bytes(gas.budget),
    expiration === null ? new Uint8Array([0]) : concatBytes([new Uint8Array([1]), u64Bytes(expiration)]),
  ]);
}

/** Refuses `bcs-malformed`, `bcs-unsupported`. */
export function readTransaction(bcs: Uint8Array): Transaction {
  const reader = readBcs(bcs, "the transaction");
  reader.variant(1, "TransactionData");
  reader.variant(1, "TransactionKind");
  const inputs = reader.list(2, () => readInput(reader));
  const commands = reader.list(2, () => readCommand(reader));
  if (inputs.length !== commands.length || inputs.length > 1) {
    throw new Refusal(
      "bcs-unsupported",
      `the transaction has ${inputs.length} inputs and ${commands.length} commands, an anchor has one and one`,
    );
  }
  const sender = reader.fixed(ADDRESS_BYTES);
  const coins = reader.list(ADDRESS_BYTES + 8 + 1 + DIGEST_BYTES, () => ({
    objectId: reader.fixed(ADDRESS_BYTES),
    version: reader.u64(),
    digest: reader.sized(DIGEST_BYTES),
  }));
  const gas = { coins, owner: reader.fixed(ADDRESS_BYTES), price: reader.u64(), budget: reader.u64() };
  const expiration = reader.variant(2, "TransactionExpiration") === 0 ? null : reader.u64();
  reader.end();
  return { sender, gas, expiration, payload: inputs[0] ?? null };
}

function readInput(reader: BcsReader): Uint8Array {
  reader.variant(1, "CallArg"); // an object is the next one
  const pure = readBcs(reader.bytes(), "the transaction's input");
  const payload = pure.bytes();
  pure.end();
  return payload;
}

function readCommand(reader: BcsReader): void {
  const expected = concatBytes([VECTOR_OF_U8, listBytes([INPUT_0])]);
  const command = reader.variant(7, "Command");
  const rest = command === MAKE_MOVE_VEC ? reader.fixed(expected.length) : null;
  if (rest === null || expected.some((byte, i) => byte !== rest[i]))
    throw new Refusal("bcs-unsupported", `the transaction's command ${command} isn't that of an anchor`);
}

/** What a user signs: BLAKE2b-256 over the intent (scope TransactionData, version 0, app 0) and the transaction. */
export const signingDigest = (bcs: Uint8Array) => blake2b256(new Uint8Array([0, 0, 0]), bcs);

export interface Effects {
  readonly epoch: bigint;
  readonly transaction: Uint8Array;
  /** NANOS: computation, burned of it, storage, rebate, of it not refundable. */
  readonly gas: readonly bigint[];
}

/**
 * What execution came to: it succeeded. Behind these fields come objects and dependencies, which nothing here
 * rests on; their bytes count in the digest. Refuses `transaction-failed`, `bcs-malformed`, `bcs-unsupported`.
 */
export function readEffects(bcs: Uint8Array): Effects {
  const reader = readBcs(bcs, "the transaction's effects");
  reader.variant(1, "TransactionEffects");
  if (reader.variant(2, "ExecutionStatus") !== 0)
    throw new Refusal("transaction-failed", "the ledger executed the transaction without success");
  const epoch = reader.u64();
  const gas = [reader.u64(), reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  return { epoch, gas, transaction: reader.sized(DIGEST_BYTES) };
}
