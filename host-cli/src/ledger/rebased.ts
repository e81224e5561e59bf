// IOTA's ledger: a checkpoint note in a transaction of its own, and the receipt that proves it without a node.
//
//   prepare   chain, gas price, a coin, the epoch ──▶ draft            JSON-RPC, one question by gRPC
//   sign      the draft's digest                                       OFFLINE
//   submit    the draft kept on disk, then the ledger                  JSON-RPC
//   confirm   until a checkpoint holds it                              JSON-RPC
//   prove     transaction, effects, contents, summary, certificate, and the epochs since the last walk   gRPC
//   verify    our own verifier                                         OFFLINE
//
// One note has one transaction. It is kept (`store`) before anybody sees it, and from then on only ever handed in
// again: the same bytes have the same effects. Another one is made only when its last epoch is over and no node
// knows it, and on the very same version of the same coin, so that not even a node that lies
// about both makes two of them count.
//
// A node is believed in nothing that a receipt says. It can keep us from getting one, or waste a fee.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { readSummary } from "@vouch/shared/rebased/checkpoint";
import { base58, digestOf } from "@vouch/shared/rebased/digest";
import { type RebasedProof, verifyRebasedReceipt } from "@vouch/shared/rebased/proof";
import { formatRebasedReceipt, parseRebasedReceipt } from "@vouch/shared/rebased/receipt";
import { addressText, type Root } from "@vouch/shared/rebased/root";
import { type Coin, encodeTransaction, readEffects, signingDigest } from "@vouch/shared/rebased/transaction";
import type { Ratchet } from "@vouch/shared/rebased/walk";
import type { Walk } from "@vouch/shared/rebased/walkform";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { deadlineIn, eachWithin, sleep } from "./deadline";
import {
  type Draft,
  draftId,
  draftTransaction,
  formatDraft,
  parseDraft,
  type Sender,
  senderAddress,
  userSignature,
  withSignature,
} from "./draft";
import { trackEpochs } from "./epochs";
import type { DraftStore, Facts, Ledger, Submitted } from "./ledger";
import { explorerOf, type Network, nameOf, wrongNetwork } from "./networks";
import { askChain, askCheckpointOf, askCoins, askGasPrice, execute, type Prover, withProver } from "./node";

export { nameOf, parseNetwork } from "./networks";

export interface RebasedOptions {
  readonly network: Network;
  readonly sender: Sender;
  readonly store: DraftStore;
  /** Beside the log; null when this is its first anchor. */
  readonly walk: Walk | null;
  readonly root: Root | null;
  readonly timeoutMs: number;
  /** NANOS at most. */
  readonly gasBudget: bigint;
}

/** Epochs, beyond the current one, in which it may still be executed: days, for who has to carry it to a key. */
const EXPIRES_AFTER = 2n;
const POLL_MS = [100, 200, 400, 800, 1500];

export interface RebasedLedger extends Ledger {
  /** All epochs proved so far, to keep beside the log. */
  walk(): Walk | null;
}

export function openRebasedLedger(options: RebasedOptions): RebasedLedger {
  const { network, sender, store, timeoutMs } = options;
  const address = senderAddress(sender);
  const limit = () => deadlineIn(timeoutMs);
  let chain = network.chain; // what a node says it is, if nothing else says
  const epochs = trackEpochs(options.walk, options.root);
  let submittedAt: number | null = null;
  let finalMs: number | null = null;

  async function chainChecked(expected: string | null): Promise<string> {
    const found = await askChain(network, limit());
    for (const known of [expected, chain])
      if (known !== null && found !== known) throw wrongNetwork(network.rpc.host, found, known);
    chain = found;
    return found;
  }

  async function epochOn(expected: string): Promise<bigint> {
    const info = await withProver(network, limit(), (prover) => prover.info());
    if (info.chain !== null && info.chain !== expected)
      throw wrongNetwork(network.grpc.host, info.chain, expected);
    return info.epoch;
  }

  /** The largest; for a note whose earlier draft is over, the very coin of that one. */
  async function chooseCoin(note: Uint8Array): Promise<Coin> {
    const over = store.read(note);
    const pinned = over === null ? undefined : draftTransaction(parseDraft(over)).gas.coins[0];
    const coins = await askCoins(network, address, limit());
    const coin = coins.find(
      (each) =>
        pinned === undefined ||
        (equalBytes(each.objectId, pinned.objectId) && each.version === pinned.version),
    );
    if (coin === undefined && pinned !== undefined)
      throw new Refusal(
        "anchor-unsettled",
        "an earlier transaction for this checkpoint is over and unknown here, yet its coin was spent",
        { hint: "ask another node; a transaction by other means may have spent it" },
      );
    if (coin === undefined || coin.balance < options.gasBudget)
      throw new Refusal(
        "no-gas-coin",
        `${addressText(address)} has no coin of ${options.gasBudget} nanos${coin ? `, its largest has ${coin.balance}` : ""}`,
        { hint: "send it some IOTA: an anchor takes a thousandth of one" },
      );
    return coin;
  }

  const submittedOf = (draft: Draft): Submitted => ({
    note: draft.note,
    id: toHex(draftId(draft)),
    fresh: true,
  });

  async function handIn(draft: Draft): Promise<Submitted> {
    const signature = userSignature(draft);
    epochs.requireStart(draft.chain);
    submittedAt = performance.now();
    try {
      await execute(network, draftId(draft), draft.transaction, signature, limit());
    } catch (error) {
      const known = await askCheckpointOf(network, draftId(draft), limit()).catch(() => undefined);
      if (known === undefined) throw error;
    }
    return submittedOf(draft);
  }

  /** Whether nobody can execute it any more, and nobody knows of it. */
  async function isOver(draft: Draft): Promise<boolean> {
    const { expiration } = draftTransaction(draft);
    return expiration !== null && (await epochOn(draft.chain)) > expiration;
  }

  /** A failure that validators certified is final: the note may have another transaction. */
  function checked(receipt: Uint8Array, note: Uint8Array, ratchet: Ratchet): RebasedProof {
    try {
      return verifyRebasedReceipt(receipt, note, ratchet, nodeCrypto);
    } catch (error) {
      if (isRefusal(error) && error.code === "transaction-failed") store.retire(note);
      throw error;
    }
  }

  return {
    kind: "rebased",
    worth: "public",
    isPublic: true,
    walk: () => epochs.walk(),
    readDraft: (draft) => parseDraft(draft),

    async find(note) {
      const kept = store.read(note);
      if (kept === null) return null;
      const draft = parseDraft(kept);
      if (!equalBytes(draft.note, note))
        throw new Refusal("anchor-conflict", "another note of this size is on its way to the ledger already");
      await chainChecked(draft.chain);
      if ((await askCheckpointOf(network, draftId(draft), limit())) !== undefined) return submittedOf(draft);
      try {
        return await handIn(draft);
      } catch (error) {
        if (!isRefusal(error) || error.code !== "node-refused" || !(await isOver(draft))) throw error;
      }
      return null;
    },

    async prepare(note) {
      const on = await chainChecked(network.chain);
      const price = await askGasPrice(network, limit());
      if (price * 1000n > options.gasBudget)
        throw new Refusal(
          "gas-price",
          `gas costs ${price} nanos a unit, too much for a budget of ${options.gasBudget}`,
          {
            hint: "--gas-budget NANOS allows more",
          },
        );
      const coin = await chooseCoin(note);
      const expiration = (await epochOn(on)) + EXPIRES_AFTER;
      const gas = { coins: [coin], owner: address, price, budget: options.gasBudget };
      const transaction = encodeTransaction({ sender: address, gas, expiration, payload: note });
      const signatures = sender.keys.map(() => null);
      const draft = formatDraft({ chain: on, note, transaction, sender, signatures });
      const asks = questionFor(on, address, options.gasBudget);
      return { note, messages: [signingDigest(transaction)], draft: new TextDecoder().decode(draft), asks };
    },

    async submit(signed) {
      const draft = signed.signatures.reduce(
        withSignature,
        parseDraft(new TextEncoder().encode(signed.draft)),
      );
      userSignature(draft); // complete, or it isn't worth keeping
      store.write(draft.note, formatDraft(draft));
      return handIn(draft);
    },

    async confirm({ id }) {
      const digest = Buffer.from(id, "hex");
      const deadline = limit();
      for (let attempt = 0; ; attempt++) {
        const found = await askCheckpointOf(network, digest, deadline);
        if (found !== undefined && found !== null) break;
        const pause = POLL_MS[Math.min(attempt, POLL_MS.length - 1)]!;
        if (!deadline.allows(pause))
          throw new Refusal("anchor-pending", `no checkpoint holds transaction ${base58(digest)} so far`, {
            hint: "the same command goes on from here",
          });
        await sleep(pause);
      }
      if (submittedAt !== null) finalMs = performance.now() - submittedAt;
    },

    async prove({ id }) {
      const digest = new Uint8Array(Buffer.from(id, "hex"));
      const sequence = await askCheckpointOf(network, digest, limit());
      if (sequence === undefined || sequence === null)
        throw new Refusal("node-answer", `${network.rpc.host} no longer knows transaction ${base58(digest)}`);
      return withProver(network, eachWithin(timeoutMs), async (prover) => {
        const receipt = await collect(prover, digest, sequence, timeoutMs);
        const { epoch } = readSummary(receipt.summary);
        await epochs.proveTo(epoch, chain, prover);
        return formatRebasedReceipt(receipt);
      });
    },

    verify(receipt, note) {
      const { summary, effects } = parseRebasedReceipt(receipt);
      const ratchet = epochs.ratchetOf(readSummary(summary).epoch, chain);
      const proof = checked(receipt, note, ratchet);
      const [computation = 0n, , storage = 0n, rebate = 0n] = readEffects(effects).gas;
      const facts: Facts = {
        network: chain === null ? null : nameOf(chain),
        transaction: proof.transaction,
        checkpoint: String(proof.sequence),
        epoch: String(proof.epoch),
        weight: String(proof.weight),
        sender: addressText(proof.sender),
        gas: iota(computation + storage - rebate),
        final: finalMs === null ? null : `${(finalMs / 1000).toFixed(1)} s`,
        explorer: chain === null ? null : explorerOf(chain, proof.transaction),
      };
      return { time: proof.time, facts };
    },
  };
}

/** A node's two interfaces may lie a moment apart: what one has checkpointed, the other is asked for until it has it. */
async function collect(prover: Prover, id: Uint8Array, sequence: bigint, timeoutMs: number) {
  const deadline = deadlineIn(timeoutMs);
  for (let attempt = 0; ; attempt++) {
    try {
      const { transaction, effects } = await prover.transaction(id);
      const checkpoint = await prover.checkpoint(sequence);
      const found = digestOf("TransactionData", transaction);
      if (!equalBytes(found, id))
        throw new Refusal(
          "node-answer",
          `the node gives transaction ${base58(found)}, asked was ${base58(id)}`,
        );
      const given = readSummary(checkpoint.summary).sequence;
      if (given !== sequence)
        throw new Refusal("node-answer", `the node gives checkpoint ${given}, asked was ${sequence}`);
      return { ...checkpoint, transaction, effects };
    } catch (error) {
      const pause = POLL_MS[Math.min(attempt, POLL_MS.length - 1)]!;
      if (!isRefusal(error) || error.code !== "node-not-found" || !deadline.allows(pause)) throw error;
      await sleep(pause);
    }
  }
}

/** What somebody agrees to before a transaction is submitted. */
export const questionFor = (chain: string, sender: Uint8Array, budget: bigint) =>
  `submit to ${nameOf(chain)} (chain ${chain}), paid by ${addressText(sender)}, gas budget ${iota(budget)}?`;

/** NANOS as IOTA. */
export function iota(nanos: bigint): string {
  const digits = nanos.toString().replace("-", "").padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "");
  return `${nanos < 0n ? "-" : ""}${digits.slice(0, -9)}${fraction && `.${fraction}`} IOTA`;
}
