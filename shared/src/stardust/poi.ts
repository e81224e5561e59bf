// A receipt from what inx-poi, and Chronicle, answer for a block:
//
//   {"milestone":{"type":7,"index":151,…,"signatures":[…]},"block":{…},"proof":NODE}
//   NODE   {"l":NODE,"r":NODE} │ {"h":"0x…"}, a sibling │ {"value":"0x…"}, the block's id
//          {"l":{"value":"0x…"}} for a milestone that referenced this block alone (Chronicle)
//
// Blocks and milestones are built from the JSON, since bytes are what was hashed. Hex is of either case, as nodes take
// it; members that aren't known here are refused. Nothing is verified but that the leaf is the block: proof.ts does.

import { concatBytes, equalBytes, fromHex, toHex } from "../bytes";
import { fields, integer, list, maybe, object, type Shape } from "../json";
import { isRefusal, Refusal } from "../refusal";
import { blockIdOf, encodeBlock, MAX_PARENTS, MAX_TAG } from "./block";
import { uintBytes } from "./layout";
import { decodeMilestone, encodeEssence, encodeMilestone, MILESTONE_PAYLOAD } from "./milestone";
import { MAX_BLOCK, MAX_PATH, type PathStep, type StardustReceipt } from "./receipt";
import type { Trust } from "./trust";

type Read<T> = T extends Shape<infer U> ? U : never;

const hexBytes =
  (min: number, max: number = min): Shape<Uint8Array> =>
  (value, at) => {
    const text = typeof value === "string" && /^0x/.test(value) ? value.slice(2).toLowerCase() : null;
    const bytes = text === null ? null : fromHex(text);
    if (bytes === null || bytes.length < min || bytes.length > max)
      throw new Refusal(
        "malformed-poi",
        `${at} isn't 0x and the hex of ${min === max ? min : `${min} to ${max}`} bytes`,
      );
    return bytes;
  };

const u64: Shape<bigint> = (value, at) => {
  const text = typeof value === "string" && /^(0|[1-9][0-9]{0,19})$/.test(value) ? BigInt(value) : -1n;
  if (text < 0n || text >= 1n << 64n)
    throw new Refusal("malformed-poi", `${at} isn't a decimal number of 64 bits`);
  return text;
};

const exactly = (value: number) => integer(value, value);
const id = hexBytes(32);
const u8 = integer(0, 0xff);
const u32 = integer(0, 0xffffffff);

const BLOCK = object({
  protocolVersion: exactly(2),
  parents: list(id, 1, MAX_PARENTS),
  payload: object({
    type: exactly(5),
    tag: maybe(hexBytes(0, MAX_TAG)),
    data: maybe(hexBytes(0, MAX_BLOCK)),
  }),
  nonce: u64,
});

const FUND = object({
  tailTransactionHash: hexBytes(49),
  address: object({ type: exactly(0), pubKeyHash: id }),
  deposit: u64,
});
const MIGRATION = object({
  type: exactly(0),
  migratedAt: u32,
  final: maybe(flag),
  funds: list(FUND, 1, 127),
  transaction: object({
    type: exactly(4),
    input: object({ type: exactly(1), milestoneId: id }),
    output: object({ type: exactly(2), amount: u64 }),
  }),
});
const PARAMETERS = object({
  type: exactly(1),
  targetMilestoneIndex: u32,
  protocolVersion: u8,
  params: hexBytes(0, 8192),
});

function flag(value: unknown, at: string): boolean {
  if (typeof value !== "boolean") throw new Refusal("malformed-poi", `${at} is neither true nor false`);
  return value;
}

const option: Shape<Uint8Array> = (value, at) =>
  (value as { type?: unknown } | null)?.type === 1
    ? parametersBytes(PARAMETERS(value, at))
    : migrationBytes(MIGRATION(value, at));

const MILESTONE = object({
  type: exactly(MILESTONE_PAYLOAD),
  index: u32,
  timestamp: u32,
  protocolVersion: exactly(2),
  previousMilestoneId: id,
  parents: list(id, 1, MAX_PARENTS),
  inclusionMerkleRoot: id,
  appliedMerkleRoot: id,
  metadata: maybe(hexBytes(0, 8192)),
  options: maybe(list(option, 0, 2)),
  signatures: list(object({ type: exactly(0), publicKey: id, signature: hexBytes(64) }), 0, 255),
});

const anything: Shape<unknown> = (value) => value;
const POI = object({ milestone: MILESTONE, block: BLOCK, proof: anything });

/** Takes JSON as it was parsed. Refuses `malformed-poi`, `poi-leaf-mismatch`, and what decoding the bytes does. */
export function receiptFromPoi(poi: unknown, trust: Trust): StardustReceipt {
  const { milestone, block, proof } = reading(() => POI(poi, "the proof"));
  const bytes = encodeBlock({
    parents: block.parents,
    tag: block.payload.tag ?? new Uint8Array(),
    data: block.payload.data ?? new Uint8Array(),
    nonce: block.nonce,
  });
  const { leaf, path } = reading(() => readPath(proof));
  const blockId = blockIdOf(bytes);
  if (!equalBytes(leaf, blockId))
    throw new Refusal(
      "poi-leaf-mismatch",
      `the path is of block ${toHex(leaf)}, the block's id is ${toHex(blockId)}`,
    );
  const milestoneBytes = milestoneBytesOf(milestone);
  decodeMilestone(milestoneBytes);
  return { trust, milestone: milestoneBytes, path, block: bytes };
}

/** From the root down, at most MAX_PATH levels. */
function readPath(root: unknown): { leaf: Uint8Array; path: PathStep[] } {
  const down: PathStep[] = [];
  for (let node = root, at = "the proof.proof"; ; ) {
    if (has(node, "value")) return { leaf: fields(node, at, { value: id }).value, path: down.reverse() };
    if (down.length === MAX_PATH) throw new Refusal("malformed-poi", `the path is deeper than ${MAX_PATH}`);
    const { l, r } = fields(node, at, { l: anything, r: maybe(anything) });
    if (r === undefined) {
      if (node !== root || !has(l, "value")) throw new Refusal("malformed-poi", `${at} has no right side`);
      return { leaf: fields(l, `${at}.l`, { value: id }).value, path: [] };
    }
    if (has(l, "h") === has(r, "h")) throw new Refusal("malformed-poi", `${at} has no one sibling`);
    const side = has(l, "h") ? "left" : "right";
    const [sibling, next, letter] = side === "left" ? [l, r, "r"] : [r, l, "l"];
    down.push({ side, hash: fields(sibling, at, { h: id }).h });
    node = next;
    at = `${at}.${letter}`;
  }
}

const has = (value: unknown, key: string) =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key);

function milestoneBytesOf(m: Read<typeof MILESTONE>): Uint8Array {
  const essence = encodeEssence({
    index: m.index,
    timestamp: m.timestamp,
    previous: m.previousMilestoneId,
    parents: m.parents,
    inclusionRoot: m.inclusionMerkleRoot,
    appliedRoot: m.appliedMerkleRoot,
    metadata: m.metadata ?? new Uint8Array(),
    options: m.options ?? [],
  });
  return encodeMilestone(
    essence,
    m.signatures.map(({ publicKey: key, signature }) => ({ key, signature })),
  );
}

function parametersBytes(o: Read<typeof PARAMETERS>): Uint8Array {
  return concatBytes([
    uintBytes(1, 1),
    uintBytes(o.targetMilestoneIndex, 4),
    uintBytes(o.protocolVersion, 1),
    uintBytes(o.params.length, 2),
    o.params,
  ]);
}

function migrationBytes(o: Read<typeof MIGRATION>): Uint8Array {
  const treasury = concatBytes([
    uintBytes(4, 4),
    uintBytes(1, 1),
    o.transaction.input.milestoneId,
    uintBytes(2, 1),
    uintBytes(o.transaction.output.amount, 8),
  ]);
  return concatBytes([
    uintBytes(0, 1),
    uintBytes(o.migratedAt, 4),
    uintBytes(o.final === true ? 1 : 0, 1),
    uintBytes(o.funds.length, 2),
    ...o.funds.flatMap((fund) => [
      fund.tailTransactionHash,
      uintBytes(0, 1),
      fund.address.pubKeyHash,
      uintBytes(fund.deposit, 8),
    ]),
    uintBytes(treasury.length, 4),
    treasury,
  ]);
}

/** Shapes refuse as malformed JSON: here it is the proof that is malformed. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isRefusal(error) && error.code === "malformed-json")
      throw new Refusal("malformed-poi", error.message, { cause: error });
    throw error;
  }
}
