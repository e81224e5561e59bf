// A Tangle: a checkpoint note in a block of its own, and the receipt that proves it without a node.
//
//   prepare   network, version, freshness, who makes proofs      nothing wants signing: a block has no owner and no fee
//   submit    parents, work, the block kept on disk, then the node
//   confirm   until a milestone references it: promoted early, attached anew late
//   prove     proof of inclusion, from inx-poi
//   verify    our own verifier                                   OFFLINE
//
// A block is kept (`store`) before anybody sees it, and from then on handed in again as often as it takes: the same bytes
// are the same block. Another one with the same note is made only when the node says that it won't reference
// the first any more, and no id is forgotten before the receipt is there.
//
// An idle network drops blocks: its coordinator follows the heaviest branch, and of 50 at once it referenced 5
// (measured). What saves one is a block that takes it for a parent, in time: after `belowMaxDepth` milestones it is over.
//
// A node is believed in nothing that a receipt says. It can keep us from getting one.

import { toHex, utf8Decode } from "@vouch/shared/bytes";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { receiptFromPoi } from "@vouch/shared/stardust/poi";
import { formatStardustReceipt, verifyStardustReceipt } from "@vouch/shared/stardust/proof";
import { rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { nodeCrypto } from "../crypto";
import { type Deadline, deadlineIn, sleep } from "./deadline";
import type { DraftStore, Ledger, Submitted } from "./ledger";
import { checkSame, hexOf, openNode } from "./stardust";
import { makeCarrier, type Pow } from "./stardust-carry";
import { parseDraft } from "./stardust-draft";
import { readNetwork, type TangleState } from "./stardust-network";
import { checkProver, fetchProof } from "./stardust-poi";
import type { Work } from "./stardust-pow";
import type { Where } from "./stardust-where";

export { parseTrust } from "@vouch/shared/stardust/trust";
export { parseTag } from "./stardust-draft";
export { parseWhere } from "./stardust-where";

export interface StardustOptions {
  readonly where: Where;
  readonly trust: Trust;
  readonly store: DraftStore;
  readonly tag: Uint8Array;
  readonly pow: Pow;
  readonly timeoutMs: number;
  /** Unix milliseconds. */
  now?(): number;
  onWork?(work: Work): void;
}

/** Milestone intervals after which a block that none references is promoted, each time. */
const PROMOTE_AFTER = 2;

const MOST_PAUSE_MS = 200;
const PASSING: ReadonlySet<string> = new Set(["node-refused", "node-unreachable", "pow-unfinished"]);

/** What a node said of its network is as good as new for so long. */
const STATE_MS = 5000;

export function openStardustLedger(options: StardustOptions): Ledger {
  const { where, trust, store, timeoutMs, tag, pow, now = Date.now } = options;
  const node = openNode(where.node);
  const limit = () => deadlineIn(timeoutMs);
  let known: { readonly at: number; readonly state: TangleState } | null = null;
  const state = async (deadline: Deadline): Promise<TangleState> => {
    if (known !== null && performance.now() - known.at < STATE_MS) return known.state;
    const at = performance.now();
    known = { at, state: await readNetwork(node, trust, now(), deadline) };
    return known.state;
  };
  const carrier = makeCarrier({
    node,
    network: trust.network,
    tag,
    store,
    pow,
    onWork: options.onWork,
    state,
  });
  /** The block that a milestone came to reference, by the id that the caller knows. */
  const settled = new Map<string, Uint8Array>();
  let submittedAt: number | null = null;
  let finalMs: number | null = null;

  const submittedOf = (note: Uint8Array, id: Uint8Array): Submitted => ({ note, id: toHex(id), fresh: true });

  /** Waits until a milestone references the block, or another with the same note; gives its id. */
  async function settle(note: Uint8Array, first: Uint8Array): Promise<Uint8Array> {
    const deadline = limit();
    const watched = watch(note, first, deadline);
    for (let attempt = 0; ; attempt++) {
      const pause = Math.min(MOST_PAUSE_MS, 50 * 2 ** Math.min(attempt, 10));
      try {
        if (await watched.look()) return watched.id();
      } catch (error) {
        // It may be starting again, and by then have lost what it was handed last.
        if (!isRefusal(error) || error.code !== "node-unreachable" || !deadline.allows(pause)) throw error;
      }
      if (!deadline.allows(pause))
        throw new Refusal("anchor-pending", `no milestone references block ${hexOf(watched.id())} so far`, {
          hint: "the same command goes on from here",
        });
      await sleep(pause);
    }
  }

  /** One look says whether it is referenced; it also does for the block what is due. */
  function watch(note: Uint8Array, first: Uint8Array, deadline: Deadline) {
    let id = first;
    let promoteAt = Number.POSITIVE_INFINITY;
    let attachAt = 0; // no network loses a block in less time than it takes tips to expire
    const restart = ({ intervalMs }: TangleState) => {
      promoteAt = performance.now() + PROMOTE_AFTER * intervalMs;
    };
    async function look(): Promise<boolean> {
      const on = await state(deadline);
      if (promoteAt === Number.POSITIVE_INFINITY) restart(on);
      const found = await node.state(id, deadline);
      if (found !== null && found.referencedBy !== null) return true;
      const at = performance.now();
      if (found === null || (found.shouldReattach && at > attachAt)) {
        const again = found === null ? await carrier.again(note, deadline) : null;
        if (again === null) attachAt = at + on.tipsMs;
        id = again ?? (await carrier.attach(note, deadline));
        restart(on);
      } else if (found.shouldPromote || at > promoteAt) {
        await promoted(id, deadline);
        restart(on);
      }
      return false;
    }
    return { look, id: () => id };
  }

  /** Promoting is worth a try, not a failure. */
  const promoted = (id: Uint8Array, deadline: Deadline) =>
    carrier.promote(id, deadline).catch((error) => {
      if (!isRefusal(error) || !PASSING.has(error.code)) throw error;
    });

  /** A receipt for the block, verified; null when nobody can ever prove that block. */
  async function receiptFor(note: Uint8Array, id: Uint8Array): Promise<Uint8Array | null> {
    const poi = await fetchProof(where, id, limit());
    if (poi === null) return null;
    const receipt = formatStardustReceipt(receiptFromPoi(poi, trust));
    const { blockId } = verifyStardustReceipt(receipt, note, nodeCrypto);
    checkSame((where.poi ?? where.node).host, blockId, id);
    return receipt;
  }

  return {
    kind: "stardust",
    worth: "on a private Tangle, by its coordinator's word",
    isPublic: false,
    readDraft: (draft) => parseDraft(draft),

    async find(note) {
      if (carrier.kept(note) === null) return null;
      const deadline = limit();
      await state(deadline);
      // Somebody agreed to this note on this network already, and another block costs nothing.
      const id = (await carrier.lookUp(note, deadline)) ?? (await carrier.attach(note, deadline));
      return submittedOf(note, id);
    },

    async prepare(note) {
      const deadline = limit();
      await state(deadline);
      await checkProver(where, deadline); // before there is a block that nobody proves
      const shown = quote(utf8Decode(tag) ?? hexOf(tag));
      const asks = `submit to ${trust.network} by ${node.host}, tag ${shown}, for good, without a fee?`;
      return { note, messages: [], draft: trust.network, asks };
    },

    async submit({ note, draft }) {
      if (draft !== trust.network) throw new Error(`prepared for ${draft}, this is ${trust.network}`);
      submittedAt = performance.now();
      return submittedOf(note, await carrier.attach(note, limit()));
    },

    async confirm({ note, id }) {
      settled.set(id, await settle(note, idBytes(id)));
      if (submittedAt !== null) finalMs = performance.now() - submittedAt;
    },

    async prove({ note, id }) {
      const block = settled.get(id) ?? idBytes(id);
      const receipt = await receiptFor(note, block);
      if (receipt !== null) return receipt;
      // Its milestone referenced it alone, and inx-poi can't prove a tree of one leaf: another block isn't alone.
      const other = await settle(note, await carrier.attach(note, limit()));
      const second = await receiptFor(note, other);
      if (second !== null) return second;
      throw new Refusal("node-refused", `the network references no block beside ${hexOf(other)}`, {
        hint: "a milestone is proved only with two blocks or more: have something else send blocks",
      });
    },

    verify(receipt, note) {
      const roots = [rootOfTrust(trust, nodeCrypto)];
      const proof = verifyStardustReceipt(receipt, note, nodeCrypto, roots);
      const facts = {
        network: proof.network,
        block: hexOf(proof.blockId),
        milestone: String(proof.index),
        signed: `${proof.signers} of the coordinator's keys, ${proof.threshold} must`,
        tag: utf8Decode(proof.tag) ?? hexOf(proof.tag),
        final: finalMs === null ? null : `${(finalMs / 1000).toFixed(1)} s`,
      };
      return { time: proof.time, facts };
    },
  };
}

const idBytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
