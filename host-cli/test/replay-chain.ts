// A SIMULATED chain, for the replay node: it executes anchors honestly, with real BCS, real user signatures and
// real BLS certificates, by validators whose keys are made of a seed. Nothing of it is IOTA's.
//
//   execute ──▶ pending ──seal──▶ checkpoint of the epoch ──advance──▶ closing checkpoint, next committee
//
// Every address has one coin from the moment somebody looks. A transaction names that coin's version and moves it on,
// so of two transactions on one version the second is refused; the same one again gives the same effects.

import { concatBytes, equalBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { u64Bytes } from "@vouch/shared/rebased/bcs";
import { digestOf } from "@vouch/shared/rebased/digest";
import { checkSender } from "@vouch/shared/rebased/signature";
import {
  type Coin,
  readTransaction,
  signingDigest,
  type Transaction,
} from "@vouch/shared/rebased/transaction";
import { closingSummary, formatRoot, rootOf } from "@vouch/shared/rebased/walk";
import { sha256 } from "@vouch/shared/sha256";
import { handed } from "../../shared/test/handed";
import {
  certify,
  closeEpoch,
  committeeOf,
  encodeContents,
  encodeEffects,
  encodeSummary,
  makeValidators,
  type Validator,
} from "../../shared/test/rebased-kit";

export const SIMULATED_CHAIN = "51300001";
export const FIRST_EPOCH = 5n;
export const PRICE = 1000n;
const COST = 1_000_000n;
const BALANCE = 10_000_000_000n;

/** By turns, so that a walk has something to prove. */
const SETS = [
  makeValidators("simulated/even", [2500, 2500, 2500, 2500]),
  makeValidators("simulated/odd", [3333, 3333, 3334]),
];

export const validatorsOf = (epoch: bigint): readonly Validator[] => SETS[Number(epoch % 2n)]!;

/** What a policy would name. */
export const rootAt = (epoch: bigint) =>
  formatRoot(rootOf("simulated", committeeOf(epoch, validatorsOf(epoch)), portableCrypto));

export interface Executed {
  readonly id: Uint8Array;
  readonly transaction: Uint8Array;
  readonly parsed: Transaction;
  readonly signatures: readonly Uint8Array[];
  readonly effects: Uint8Array;
  checkpoint: bigint | null;
}

export interface Certified {
  readonly summary: Uint8Array;
  readonly certificate: Uint8Array;
  readonly contents: Uint8Array;
}

interface Held extends Coin {
  readonly balance: bigint;
}

export class SimulatedChain {
  epoch = FIRST_EPOCH;
  readonly executed = new Map<string, Executed>();
  readonly checkpoints = new Map<bigint, Certified>();
  readonly closes = new Map<bigint, Certified>();
  private readonly coins = new Map<string, Held>();
  private pending: Executed[] = [];
  private next = 1000n * FIRST_EPOCH + 1n;
  /** False: transactions wait for seal(). */
  sealsAtOnce = true;
  /** Execution fails for want of gas, and is certified all the same. */
  failsNext = false;

  coinOf(owner: Uint8Array): Held {
    const key = toHex(owner);
    const held = this.coins.get(key) ?? coinAt(owner, 6n, BALANCE);
    this.coins.set(key, held);
    return held;
  }

  /** Somebody else spends the address's coin. */
  spend(owner: Uint8Array): void {
    const { version, balance } = this.coinOf(owner);
    this.coins.set(toHex(owner), coinAt(owner, version + 1n, balance - COST));
  }

  empty(owner: Uint8Array): void {
    this.coins.set(toHex(owner), coinAt(owner, this.coinOf(owner).version + 1n, 1n));
  }

  /** Throws an Error that says what is wrong with it, as validators would. */
  execute(transaction: Uint8Array, signatures: readonly Uint8Array[]): Executed {
    handed(transaction);
    const id = digestOf("TransactionData", transaction);
    const known = this.executed.get(toHex(id));
    if (known !== undefined) return known;
    const parsed = readTransaction(transaction);
    checkSender(parsed.sender, signingDigest(transaction), signatures, portableCrypto);
    const { gas, expiration } = parsed;
    if (!equalBytes(gas.owner, parsed.sender)) throw new Error("gas is another's");
    if (expiration !== null && expiration < this.epoch) throw new Error("TransactionExpired");
    if (gas.price < PRICE) throw new Error("GasPriceUnderRGP");
    const held = this.coinOf(gas.owner);
    const [coin, ...more] = gas.coins;
    if (coin === undefined || more.length > 0 || !equalBytes(coin.objectId, held.objectId))
      throw new Error("ObjectNotFound");
    if (coin.version !== held.version || !equalBytes(coin.digest, held.digest))
      throw new Error(`ObjectVersionUnavailableForConsumption: current is ${held.version}`);
    if (held.balance < gas.budget) throw new Error("GasBalanceTooLow");
    this.coins.set(toHex(gas.owner), coinAt(gas.owner, held.version + 1n, held.balance - COST));
    const effects = encodeEffects(id, this.epoch, this.failsNext ? 1 : 0);
    this.failsNext = false;
    const executed: Executed = { id, transaction, parsed, signatures, effects, checkpoint: null };
    this.executed.set(toHex(id), executed);
    this.pending.push(executed);
    if (this.sealsAtOnce) this.seal();
    return executed;
  }

  /** A checkpoint of all that is pending. */
  seal(): void {
    if (this.pending.length === 0) return;
    const sequence = this.next++;
    this.checkpoints.set(sequence, this.certified(sequence, this.pending));
    for (const executed of this.pending) executed.checkpoint = sequence;
    this.pending = [];
  }

  certified(
    sequence: bigint,
    executed: readonly Executed[],
    validators = validatorsOf(this.epoch),
  ): Certified {
    const contents = encodeContents(executed);
    const summary = encodeSummary({
      epoch: this.epoch,
      sequence,
      contentsDigest: digestOf("CheckpointContents", contents),
      timestampMs: BigInt(Date.now()),
    });
    return { summary, certificate: certify(summary, this.epoch, validators), contents };
  }

  /** The epoch ends, and the next one's committee takes over. */
  advance(epochs = 1): void {
    for (let i = 0; i < epochs; i++) {
      this.seal();
      const close = closeEpoch(this.epoch, validatorsOf(this.epoch), validatorsOf(this.epoch + 1n));
      const summary = closingSummary(close);
      this.closes.set(this.epoch, { summary, certificate: close.certificate, contents: new Uint8Array(1) });
      this.epoch++;
      this.next = 1000n * this.epoch + 1n;
    }
  }

  /** Transactions that anchor this note. */
  anchorsOf(note: Uint8Array): Executed[] {
    return [...this.executed.values()].filter(
      ({ parsed }) => parsed.payload !== null && equalBytes(parsed.payload, note),
    );
  }
}

const tag = (text: string, ...parts: Uint8Array[]) => sha256(concatBytes([utf8Encode(text), ...parts]));

const coinAt = (owner: Uint8Array, version: bigint, balance: bigint): Held => ({
  objectId: tag("simulated coin of ", owner),
  version,
  digest: tag("simulated coin state ", owner, u64Bytes(version)),
  balance,
});
