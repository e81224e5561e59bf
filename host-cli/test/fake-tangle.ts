// A SIMULATED Stardust network in memory, one node's view of it: blocks, milestones by a coordinator with test keys,
// what becomes of a block. fake-hornet.ts serves it over HTTP.
//
//   block ──▶ attach: parents known, not below max depth ──▶ pending, a tip
//   issue: the last milestone and some new tips ──▶ white flag over what they reach ──▶ Merkle root ──▶ signed
//
// As in the real one a milestone takes only a few of the tips that came since the one before, and never comes back
// for those it left; they are referenced when a later block takes them as parents, and else grow old:
//
//   index now - youngest root of the cone > 8      shouldPromote
//   index now - oldest root of the cone > 15       shouldReattach: below max depth, refused as a parent too
//
// The root of a cone is where it meets what milestones reference.

import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { sha256 } from "@vouch/shared/sha256";
import { handed } from "../../shared/test/handed";
import {
  type Block,
  blockBytes,
  checkSyntax,
  essenceOf,
  hex,
  idOf,
  type Milestone,
  merkleRoot,
  milestoneIdOf,
  Rejected,
  readBlock,
  unhex,
} from "./fake-blocks";
import { powScore } from "./fake-curl";

const ZERO_ID = `0x${"00".repeat(32)}`;
const MAX_YOUNGEST = 8; // HORNET's tangle.maxDeltaBlockYoungestConeRootIndexToCMI
const MAX_OLDEST = 13; // and its maxDeltaBlockOldestConeRootIndexToCMI
const MILESTONE_TIPS = 5; // as a burst of 50 blocks showed: five were taken
const TIPS = 4;

export interface Entry {
  readonly id: string;
  /** Absent for one that is known by id alone. */
  readonly bytes?: Buffer;
  readonly parents: readonly string[];
  readonly milestoneIndex?: number;
  /** Index of the milestone that references it, and its place in that one's order. */
  referenced?: { readonly index: number; readonly place: number };
  /** Nobody takes it for a tip. */
  avoided?: boolean;
}

export interface Coordinator {
  /** 0x and hex. */
  readonly publicKey: string;
  sign(message: Uint8Array): Uint8Array;
}

/** A test key out of a name. */
export function coordinatorKey(name: string): Coordinator {
  const pkcs8 = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    sha256(Buffer.from(name)),
  ]);
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const { x = "" } = createPublicKey(key).export({ format: "jwk" });
  return { publicKey: hex(Buffer.from(x, "base64url")), sign: (message) => sign(null, message, key) };
}

function isSigned(publicKey: string, message: Uint8Array, signature: string): boolean {
  const key = { kty: "OKP", crv: "Ed25519", x: unhex(publicKey).toString("base64url") };
  return verify(null, message, createPublicKey({ key, format: "jwk" }), unhex(signature));
}

export interface NetworkOptions {
  readonly name?: string;
  readonly minPowScore?: number;
  readonly belowMaxDepth?: number;
  readonly coordinators?: readonly Coordinator[];
  readonly threshold?: number;
}

export type TipScore = "healthy" | "promote" | "below max depth";

export class SimulatedTangle {
  readonly name: string;
  readonly minPowScore: number;
  readonly belowMaxDepth: number;
  readonly coordinators: readonly Coordinator[];
  /** Keys that count, of coordinators or of a recording. */
  publicKeys: readonly string[];
  readonly threshold: number;
  readonly blocks = new Map<string, Entry>();
  readonly milestones = new Map<number, Milestone>();
  /** Ids in white-flag order, by index of the milestone that references them. */
  readonly cones = new Map<number, readonly string[]>();
  /** Referenced blocks that aren't here any more, and by which milestone. */
  readonly solidEntries = new Map<string, number>([[ZERO_ID, 0]]);
  readonly tips = new Set<string>();
  private readonly milestoneBlocks = new Map<number, string>();
  private fresh: string[] = [];
  /** The last milestone, as a node tells it. */
  head = { index: 0, timestamp: 0, milestoneId: ZERO_ID };

  constructor(options: NetworkOptions = {}) {
    this.name = options.name ?? "simulated-tangle";
    this.minPowScore = options.minPowScore ?? 0;
    this.belowMaxDepth = options.belowMaxDepth ?? 15;
    this.coordinators = (options.coordinators ?? ["one", "two"].map(coordinatorKey)).toSorted((a, b) =>
      a.publicKey < b.publicKey ? -1 : 1,
    );
    this.publicKeys = this.coordinators.map(({ publicKey }) => publicKey);
    this.threshold = options.threshold ?? this.coordinators.length;
  }

  get index(): number {
    return this.head.index;
  }

  // ---- Blocks

  /** What a client or the coordinator sends; gives its id. Throws Rejected. */
  attach(bytes: Buffer): string {
    handed(bytes);
    const block = readBlock(bytes);
    checkSyntax(block);
    if (block.payload?.type !== 7 && this.minPowScore > 0) {
      const score = powScore(bytes);
      if (score < this.minPowScore)
        throw new Rejected(`block has insufficient PoW score ${score.toFixed(2)}`);
    }
    const id = idOf(bytes);
    const known = this.blocks.get(id);
    if (known?.referenced !== undefined) return id;
    if (!block.parents.every((parent) => this.blocks.has(parent) || this.solidEntries.has(parent)))
      throw new Rejected("block is not solid");
    if (this.index - this.coneRoots(block.parents).oldest > this.belowMaxDepth)
      throw new Rejected("block is below max depth");
    if (known === undefined) this.enter(id, block, bytes);
    return id;
  }

  private enter(id: string, block: Block, bytes: Buffer): void {
    const { parents, payload } = block;
    this.blocks.set(id, {
      id,
      bytes,
      parents,
      ...(payload?.type === 7 ? { milestoneIndex: payload.index } : {}),
    });
    for (const parent of parents) this.tips.delete(parent);
    this.tips.add(id);
    if (payload?.type === 7) this.milestoneBlocks.set(payload.index, id);
    else this.fresh.push(id);
  }

  /** Where the cones of these blocks meet what is referenced: the lowest and the highest index. */
  private coneRoots(ids: readonly string[]): { oldest: number; youngest: number } {
    const roots: number[] = [];
    const seen = new Set<string>();
    const visit = [...ids];
    for (let id = visit.pop(); id !== undefined; id = visit.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      const entry = this.blocks.get(id);
      const index = entry === undefined ? this.solidEntries.get(id) : entry.referenced?.index;
      if (index !== undefined) roots.push(index);
      else visit.push(...(entry?.parents ?? []));
    }
    return roots.length === 0
      ? { oldest: this.index, youngest: this.index }
      : { oldest: Math.min(...roots), youngest: Math.max(...roots) };
  }

  scoreOf(id: string): TipScore {
    const { oldest, youngest } = this.coneRoots([id]);
    if (this.index - oldest > this.belowMaxDepth) return "below max depth";
    return this.index - youngest > MAX_YOUNGEST || this.index - oldest > MAX_OLDEST ? "promote" : "healthy";
  }

  /** Up to four, ascending. */
  selectTips(): string[] {
    const good = [...this.tips].filter((id) => {
      const healthy = this.scoreOf(id) === "healthy";
      if (!healthy) this.tips.delete(id);
      return healthy && this.blocks.get(id)?.avoided !== true;
    });
    const last = this.milestoneBlock(this.index);
    if (good.length === 0 && last !== undefined) return [last];
    return good
      .map((id) => ({ id, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at)
      .slice(0, TIPS)
      .map(({ id }) => id)
      .toSorted();
  }

  /** Nobody will take it as a parent unasked. */
  avoid(id: string): void {
    const entry = this.blocks.get(id);
    if (entry !== undefined) entry.avoided = true;
  }

  /** As if it had never arrived. */
  drop(id: string): void {
    this.blocks.delete(id);
    this.tips.delete(id);
    this.fresh = this.fresh.filter((other) => other !== id);
  }

  /** A coordinator that begins anew knows no block that came before. */
  forgetFresh(): void {
    this.fresh = [];
  }

  /** What a node loses that is killed: all that no milestone references yet. */
  dropPending(): void {
    for (const { id, referenced, milestoneIndex } of [...this.blocks.values()])
      if (referenced === undefined && milestoneIndex === undefined) this.drop(id);
  }

  // ---- Milestones

  /** Blocks that `parents` reach and no milestone references, each after its parents. */
  whiteFlag(parents: readonly string[]): string[] {
    const order = new Set<string>();
    const visit = (id: string): void => {
      const entry = this.blocks.get(id);
      if (entry === undefined || entry.referenced !== undefined || order.has(id)) return;
      for (const parent of entry.parents) visit(parent);
      order.add(id);
    };
    for (const parent of parents) visit(parent);
    return [...order];
  }

  /** The next milestone, signed, of the last and of some of what came since. */
  issue(now = Date.now()): Milestone {
    const taken = this.fresh
      .filter((id) => this.tips.has(id) && this.blocks.get(id)?.avoided !== true)
      .slice(0, MILESTONE_TIPS);
    const last = this.milestoneBlock(this.index);
    const parents = [...(last === undefined ? [ZERO_ID] : [last]), ...taken].toSorted();
    const unsigned: Milestone = {
      type: 7,
      index: this.index + 1,
      timestamp: Math.max(Math.floor(now / 1000), this.head.timestamp),
      protocolVersion: 2,
      previousMilestoneId: this.head.milestoneId,
      parents,
      inclusionMerkleRoot: hex(merkleRoot(this.whiteFlag(parents))),
      appliedMerkleRoot: hex(merkleRoot([])), // nobody moves money here
      signatures: [],
    };
    const message = unhex(milestoneIdOf(unsigned));
    const signatures = this.coordinators.map(({ publicKey, sign }) => ({
      type: 0 as const,
      publicKey,
      signature: hex(sign(message)),
    }));
    const milestone = { ...unsigned, signatures };
    this.confirm(milestone);
    this.attach(blockBytes({ protocolVersion: 2, parents, payload: milestone, nonce: "0" }));
    return milestone;
  }

  /** What a milestone does to the blocks below it. Throws when it isn't the one of these blocks. */
  confirm(milestone: Milestone): void {
    const { index, timestamp, parents, inclusionMerkleRoot } = milestone;
    const cone = this.whiteFlag(parents);
    const root = hex(merkleRoot(cone));
    if (root !== inclusionMerkleRoot)
      throw new Error(
        `milestone ${index} has root ${inclusionMerkleRoot}, its ${cone.length} blocks ${root}`,
      );
    cone.forEach((id, place) => {
      this.blocks.get(id)!.referenced = { index, place };
    });
    this.cones.set(index, cone);
    this.milestones.set(index, milestone);
    this.head = { index, timestamp, milestoneId: milestoneIdOf(milestone) };
    this.fresh = [];
  }

  /** Id of the block that carried it. */
  milestoneBlock = (index: number): string | undefined => this.milestoneBlocks.get(index);

  /** As HORNET judges one: it counts signatures, not keys. */
  isSigned(milestone: Milestone): boolean {
    const message = unhex(idOf(essenceOf(milestone)));
    const { signatures } = milestone;
    return (
      signatures.length >= this.threshold &&
      signatures.every(
        ({ publicKey, signature }) =>
          this.publicKeys.includes(publicKey.toLowerCase()) && isSigned(publicKey, message, signature),
      )
    );
  }
}
