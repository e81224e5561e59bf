// Gets a note into blocks of a Tangle, and keeps each block that was tried.
//
//   attach    a new block over fresh tips: worked for, kept, handed in
//   lookUp    what became of those that were tried before
//   promote   a block without payload that takes another for a parent, so that the coordinator sees it
//
// Where the node does the work it is handed an order (stardust-draft.ts), and the block that it made is read back: only
// the nonce may be new. Should we be killed between the two, the order is given again, and an idle block with the
// same note may be left behind; with work done here, or none, there is never one that we don't know.

import { equalBytes } from "@vouch/shared/bytes";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { blockIdOf, MAX_PARENTS } from "@vouch/shared/stardust/block";
import type { Deadline } from "./deadline";
import type { DraftStore } from "./ledger";
import { buildBlock, checkSame, hexOf, sortedIds, type TangleNode } from "./stardust";
import { formatDraft, MAX_TRIES, parseDraft, type StardustDraft, type Try } from "./stardust-draft";
import type { TangleState } from "./stardust-network";
import { type Work, workOn } from "./stardust-pow";

export type Pow = "local" | "node" | "auto";

export interface CarryOptions {
  readonly node: TangleNode;
  readonly network: string;
  readonly tag: Uint8Array;
  readonly store: DraftStore;
  /** Who does the work that the network may ask of a block; auto: the node, if it does that for others. */
  readonly pow: Pow;
  readonly onWork?: ((work: Work) => void) | undefined;
  state(deadline: Deadline): Promise<TangleState>;
}

export interface Carrier {
  /** Null when nothing is on its way. Refuses `anchor-conflict`, `wrong-network`. */
  kept(note: Uint8Array): StardustDraft | null;
  attach(note: Uint8Array, deadline: Deadline): Promise<Uint8Array>;
  /** Hands the newest try in again; null when the node won't have it. */
  again(note: Uint8Array, deadline: Deadline): Promise<Uint8Array | null>;
  lookUp(note: Uint8Array, deadline: Deadline): Promise<Uint8Array | null>;
  promote(id: Uint8Array, deadline: Deadline): Promise<void>;
}

/** What a node says of a block, as stardust.ts words it. A 5xx says nothing of the block. */
const STALE_TIPS = /below max depth|not solid/;
const OVER = /HTTP status 400/;
const ATTACH_TRIES = 3;

export function makeCarrier({ node, network, tag, store, pow, onWork, state }: CarryOptions): Carrier {
  function kept(note: Uint8Array): StardustDraft | null {
    const bytes = store.read(note);
    if (bytes === null) return null;
    const draft = parseDraft(bytes);
    if (!equalBytes(draft.note, note))
      throw new Refusal("anchor-conflict", "another note of this size is on its way to the ledger already");
    if (draft.network !== network)
      throw new Refusal(
        "wrong-network",
        `this checkpoint is on its way to network ${draft.network}, the trust file is of ${network}`,
      );
    return draft;
  }

  function keep(note: Uint8Array, next: Try, inPlace = false): void {
    const draft = kept(note) ?? { network, tag, note, tries: [] };
    const before = inPlace ? draft.tries.slice(0, -1) : draft.tries;
    store.write(note, formatDraft({ ...draft, tries: [...before, next].slice(-MAX_TRIES) }));
  }

  /** Gives the block's id. Refuses `node-answer` when the node calls it another. */
  async function handIn(block: Uint8Array, deadline: Deadline): Promise<Uint8Array> {
    const id = blockIdOf(block);
    checkSame(node.host, await node.submit(block, deadline), id);
    return id;
  }

  /** Has the node make the block of an order that is kept as the newest try. */
  async function giveOrder(order: Uint8Array, note: Uint8Array, deadline: Deadline): Promise<Uint8Array> {
    const id = await node.submit(order, deadline);
    keep(note, { order, id }, true);
    if (await readBack(order, id, note, deadline)) return id;
    throw new Refusal("node-answer", `${node.host} made block ${hexOf(id)}, and doesn't know it`);
  }

  /** Puts what the node made in the place of the order; false when it has lost it. */
  async function readBack(order: Uint8Array, id: Uint8Array, note: Uint8Array, deadline: Deadline) {
    const block = await node.raw(id, deadline);
    if (block === null) return false;
    checkSame(node.host, blockIdOf(block), id);
    const same = block.length === order.length && equalBytes(block.subarray(0, -8), order.subarray(0, -8));
    if (!same)
      throw new Refusal("node-answer", `${node.host} made another block than was ordered: ${hexOf(id)}`);
    keep(note, { block }, true);
    return true;
  }

  /** Who does the work for a block, given what the node asks for and offers. */
  const worker = ({ minPowScore, worksForOthers }: TangleState) =>
    minPowScore === 0 ? "nobody" : pow !== "auto" ? pow : worksForOthers ? "node" : "local";

  /** Null when the tips are too old by now. Refuses `pow-unfinished`. */
  async function worked(block: Uint8Array, on: TangleState, deadline: Deadline): Promise<Uint8Array | null> {
    const limitMs = Math.min(deadline.askMs(Number.POSITIVE_INFINITY), on.tipsMs);
    const found = await workOn(block, { score: on.minPowScore, limitMs, onWork });
    if (found === null && !deadline.allows(0))
      throw new Refusal("pow-unfinished", `no nonce gave a score of ${on.minPowScore} in time`, {
        hint: "--timeout SECONDS allows more; --pow node asks a node that works for others",
      });
    return found;
  }

  async function attachOnce(note: Uint8Array, deadline: Deadline): Promise<Uint8Array | null> {
    const on = await state(deadline);
    const payload = { tag: kept(note)?.tag ?? tag, data: note };
    const order = buildBlock(await node.tips(deadline), payload);
    const by = worker(on);
    if (by === "node") {
      keep(note, { order, id: null });
      return giveOrder(order, note, deadline);
    }
    const block = by === "nobody" ? order : await worked(order, on, deadline);
    if (block === null) return null;
    keep(note, { block });
    return handIn(block, deadline);
  }

  async function attach(note: Uint8Array, deadline: Deadline): Promise<Uint8Array> {
    for (let refused = 0; ; ) {
      try {
        const id = await attachOnce(note, deadline);
        if (id !== null) return id;
      } catch (error) {
        if (!isRefused(error, STALE_TIPS) || ++refused === ATTACH_TRIES) throw error;
      }
    }
  }

  /** The id of a try that the node has, or has again; null for one that it won't take any more. */
  const revive = (each: Try, note: Uint8Array, newest: boolean, deadline: Deadline) =>
    "block" in each
      ? reviveBlock(each.block, deadline).catch(nullIf(OVER))
      : reviveOrder(each, note, newest, deadline).catch(nullIf(/./));

  async function reviveBlock(block: Uint8Array, deadline: Deadline): Promise<Uint8Array | null> {
    const id = blockIdOf(block);
    return (await node.state(id, deadline)) === null ? handIn(block, deadline) : id;
  }

  async function reviveOrder(
    { order, id }: Extract<Try, { order: Uint8Array }>,
    note: Uint8Array,
    newest: boolean,
    deadline: Deadline,
  ): Promise<Uint8Array | null> {
    if (!newest) return id;
    if (id === null) return giveOrder(order, note, deadline);
    return (await readBack(order, id, note, deadline)) ? id : null;
  }

  return {
    kept,
    attach,
    again: (note, deadline) => revive(kept(note)!.tries.at(-1)!, note, true, deadline),
    async lookUp(note, deadline) {
      const { tries } = kept(note)!;
      let alive: Uint8Array | null = null;
      for (let i = tries.length - 1; i >= 0; i--) {
        const id = await revive(tries[i]!, note, i === tries.length - 1, deadline);
        const found = id === null ? null : await node.state(id, deadline);
        if (found === null) continue;
        if (found.referencedBy !== null) return id;
        if (!found.shouldReattach) alive ??= id;
      }
      return alive;
    },
    async promote(id, deadline) {
      const on = await state(deadline);
      const tips = await node.tips(deadline);
      const others = tips.filter((tip) => !equalBytes(tip, id)).slice(0, MAX_PARENTS - 1);
      const order = buildBlock(sortedIds([id, ...others]), null);
      const block = worker(on) === "local" ? await worked(order, on, deadline) : order;
      if (block !== null) await node.submit(block, deadline);
    },
  };
}

const isRefused = (error: unknown, how: RegExp) =>
  isRefusal(error) && error.code === "node-refused" && how.test(error.message);

const nullIf = (how: RegExp) => (error: unknown) => {
  if (isRefused(error, how)) return null;
  throw error;
};
