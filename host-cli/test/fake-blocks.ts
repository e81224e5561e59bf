// Blocks and milestones of a Stardust network as HORNET 2.0.1 reads and writes them: bytes, JSON, and its own words
// for what is wrong with either. For the fake node; written apart from shared/src/stardust, so that one may be
// tested by the other.
//
//   block      u8 version | u8 n, n parents | u32 length, payload | u64 nonce                             TIP-24
//   payload    u32 5 | u8 length, tag | u32 length, data                                                  TIP-23
//              u32 7 | essence | u8 n, n times: u8 0, key, signature                                       TIP-29
//   essence    u32 index | u32 time | u8 version | previous | u8 n, n parents | inclusion root | applied root
//              | u16 length, metadata | u8 0 options

import { blake2b256 } from "@vouch/shared/hash";

export const RAW = "application/vnd.iota.serializer-v1";
const MAX_BLOCK = 32_768;
const MAX_PARENTS = 8;
const MAX_TAG = 64;

/** Ids, keys and other bytes are 0x and hex, as in JSON. */
export interface Tagged {
  readonly type: 5;
  readonly tag?: string;
  readonly data?: string;
}

export interface Signed {
  readonly type: 0;
  readonly publicKey: string;
  readonly signature: string;
}

export interface Milestone {
  readonly type: 7;
  readonly index: number;
  readonly timestamp: number;
  readonly protocolVersion: number;
  readonly previousMilestoneId: string;
  readonly parents: readonly string[];
  readonly inclusionMerkleRoot: string;
  readonly appliedMerkleRoot: string;
  readonly metadata?: string;
  readonly signatures: readonly Signed[];
}

export interface Block {
  readonly protocolVersion: number;
  readonly parents: readonly string[];
  readonly payload?: Tagged | Milestone;
  readonly nonce: string;
}

/** What HORNET says of a bad request, less what its errors have around that. */
export class Rejected extends Error {}

export const hex = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString("hex")}`;
export const unhex = (text: string) => Buffer.from(text.slice(2), "hex");
export const idOf = (bytes: Uint8Array) => hex(blake2b256(bytes));

const uint = (value: number | bigint, size: number) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out.subarray(0, size);
};
const many = (items: readonly string[]) => [uint(items.length, 1), ...items.map(unhex)];

// ---- Milestones

export function essenceOf(milestone: Milestone): Buffer {
  const metadata = unhex(milestone.metadata ?? "0x");
  return Buffer.concat([
    uint(milestone.index, 4),
    uint(milestone.timestamp, 4),
    uint(milestone.protocolVersion, 1),
    unhex(milestone.previousMilestoneId),
    ...many(milestone.parents),
    unhex(milestone.inclusionMerkleRoot),
    unhex(milestone.appliedMerkleRoot),
    uint(metadata.length, 2),
    metadata,
    uint(0, 1),
  ]);
}

export const milestoneIdOf = (milestone: Milestone) => idOf(essenceOf(milestone));

export const milestoneBytes = (milestone: Milestone) =>
  Buffer.concat([
    uint(7, 4),
    essenceOf(milestone),
    uint(milestone.signatures.length, 1),
    ...milestone.signatures.flatMap(({ publicKey, signature }) => [
      uint(0, 1),
      unhex(publicKey),
      unhex(signature),
    ]),
  ]);

/** The payload, its type read already. Only of the test's own making or a recording: no words for what is wrong. */
export function readMilestone(bytes: Buffer): Milestone {
  const take = taker(bytes, () => new Error("a milestone ends early"));
  if (take(4).readUInt32LE() !== 7) throw new Error("not a milestone");
  const index = take(4).readUInt32LE();
  const timestamp = take(4).readUInt32LE();
  const protocolVersion = take(1)[0]!;
  const previousMilestoneId = hex(take(32));
  const parents = Array.from({ length: take(1)[0]! }, () => hex(take(32)));
  const [inclusionMerkleRoot, appliedMerkleRoot] = [hex(take(32)), hex(take(32))];
  const metadata = hex(take(take(2).readUInt16LE()));
  if (take(1)[0] !== 0) throw new Error("a milestone with options");
  const signatures = Array.from({ length: take(1)[0]! }, (): Signed => {
    take(1);
    return { type: 0, publicKey: hex(take(32)), signature: hex(take(64)) };
  });
  return {
    type: 7,
    index,
    timestamp,
    protocolVersion,
    previousMilestoneId,
    parents,
    inclusionMerkleRoot,
    appliedMerkleRoot,
    ...(metadata === "0x" ? {} : { metadata }),
    signatures,
  };
}

// ---- Blocks

/** Bytes one after the other; what comes too early an end becomes `short`. */
function taker(bytes: Buffer, short: (what: string) => Error) {
  let at = 0;
  return Object.assign(
    (size: number, what = "") => {
      if (at + size > bytes.length) throw short(what);
      at += size;
      return bytes.subarray(at - size, at);
    },
    { left: () => bytes.length - at },
  );
}

export function blockBytes({ protocolVersion, parents, payload, nonce }: Block): Buffer {
  const body = payload === undefined ? Buffer.alloc(0) : payloadBytes(payload);
  return Buffer.concat([
    uint(protocolVersion, 1),
    ...many(parents),
    uint(body.length, 4),
    body,
    uint(BigInt(nonce), 8),
  ]);
}

function payloadBytes(payload: Tagged | Milestone): Buffer {
  if (payload.type === 7) return milestoneBytes(payload);
  const [tag, data] = [unhex(payload.tag ?? "0x"), unhex(payload.data ?? "0x")];
  return Buffer.concat([uint(5, 4), uint(tag.length, 1), tag, uint(data.length, 4), data]);
}

/** Bytes as the node reads them, before it checks what they say. */
export function readBlock(bytes: Buffer): Block {
  if (bytes.length > MAX_BLOCK) throw new Rejected(`block exceeds max size: size ${bytes.length} bytes`);
  const take = taker(
    bytes,
    (what) => new Rejected(`unable to deserialize block ${what}: not enough data for deserialization`),
  );
  const protocolVersion = take(1, "protocol version")[0]!;
  const count = take(1, "parents")[0]!;
  const parents = Array.from({ length: count }, () => hex(take(32, "parents")));
  const length = take(4, "payload length").readUInt32LE();
  if (length > take.left())
    throw new Rejected(
      "unable to deserialize block's inner payload: not enough data for deserialization: payload length denotes more bytes than are available",
    );
  const payload = length === 0 ? undefined : readPayload(Buffer.from(take(length)));
  const nonce = String(take(8, "nonce").readBigUInt64LE());
  if (take.left() > 0)
    throw new Rejected(
      `not all data has been consumed but should have been: unable to deserialize block: ${take.left()} bytes are still available`,
    );
  return { protocolVersion, parents, ...(payload === undefined ? {} : { payload }), nonce };
}

function readPayload(bytes: Buffer): Tagged | Milestone {
  const inner = (what: string) => new Rejected(`unable to deserialize block's inner payload: ${what}`);
  const take = taker(bytes, () => inner("not enough data for deserialization"));
  const type = take(4).readUInt32LE();
  if (type === 7) return readMilestone(bytes);
  if (type !== 5) throw inner(`unsupported payload type: ${type}`);
  const tagLength = take(1)[0]!;
  if (tagLength > MAX_TAG)
    throw inner(
      `unable to deserialize tagged data tag: length denotation invalid: denoted ${tagLength} bytes, max allowed ${MAX_TAG} `,
    );
  const tag = hex(take(tagLength));
  const data = hex(take(take(4).readUInt32LE()));
  if (take.left() > 0) throw inner("the payload is longer than what it holds");
  return tagged(tag, data);
}

/** Empty members are left out of JSON. */
const tagged = (tag: string, data: string): Tagged => ({
  type: 5,
  ...(tag === "0x" ? {} : { tag }),
  ...(data === "0x" ? {} : { data }),
});

/** A block from JSON; members that aren't there have Go's zero value. */
export function readBlockJson(text: string): Block {
  let value: Record<string, unknown>;
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Rejected("code=400, message=unexpected EOF, internal=unexpected EOF");
  }
  const { protocolVersion = 0, parents = [], payload, nonce = "0" } = value;
  if (typeof protocolVersion !== "number") {
    const found = Array.isArray(protocolVersion) ? "array" : typeof protocolVersion;
    const offset = /"protocolVersion"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[^,}]*)/.exec(text);
    const type = `cannot unmarshal ${found} into Go struct field jsonBlock.protocolVersion of type int`;
    throw new Rejected(
      `code=400, message=Unmarshal type error: expected=int, got=${found}, field=protocolVersion, offset=${(offset?.index ?? 0) + (offset?.[0].length ?? 0)}, internal=json: ${type}`,
    );
  }
  const { type, tag = "0x", data = "0x" } = (payload ?? {}) as { type?: number; tag?: string; data?: string };
  if (payload !== undefined && payload !== null && type !== 5)
    throw new Rejected(`payload of type ${type} isn't for this node`);
  const block = { protocolVersion, parents: parents as string[], nonce: String(nonce) };
  return payload === undefined || payload === null ? block : { ...block, payload: tagged(tag, data) };
}

/** Syntax that the node checks when it attaches, in its order and words. */
export function checkSyntax({ parents, payload }: Block): void {
  const wrong = (what: string) => new Rejected(`unable to serialize block parents: ${what}`);
  if (parents.length > MAX_PARENTS)
    throw wrong(
      `max count of elements within the array exceeded: max is ${MAX_PARENTS} but count is ${parents.length}`,
    );
  for (let i = 1; i < parents.length; i++) {
    const twin = parents.indexOf(parents[i]!);
    if (twin < i) throw wrong(`array elements must be unique: element ${i} and ${twin} are duplicates`);
    if (parents[i]! < parents[i - 1]!)
      throw wrong(
        `array elements must be in their lexical order (byte wise): element ${i} should have been before element ${i - 1}`,
      );
  }
  const tag = payload?.type === 5 ? unhex(payload.tag ?? "0x").length : 0;
  if (tag > MAX_TAG)
    throw new Rejected(
      `unable to serialize block inner payload: unable to serialize payload: unable to serialize tagged data tag: slice length is too long: slice (len ${tag}) exceeds max length of ${MAX_TAG} `,
    );
}

// ---- TIP-4

const leaf = (id: string) => blake2b256(Uint8Array.of(0), unhex(id));
const node = (left: Uint8Array, right: Uint8Array) => blake2b256(Uint8Array.of(1), left, right);

/** The largest power of two below n: where a tree of n leaves is split. */
const split = (n: number) => 2 ** Math.ceil(Math.log2(n) - 1);

export function merkleRoot(ids: readonly string[]): Uint8Array {
  if (ids.length === 0) return blake2b256();
  if (ids.length === 1) return leaf(ids[0]!);
  const k = split(ids.length);
  return node(merkleRoot(ids.slice(0, k)), merkleRoot(ids.slice(k)));
}

export type Path = { l: Path; r: Path } | { h: string } | { value: string };

/** inx-poi's form of an audit path. */
export function auditPath(ids: readonly string[], at: number): Path {
  if (ids.length === 1) return { value: ids[0]! };
  const k = split(ids.length);
  const [left, right] = [ids.slice(0, k), ids.slice(k)];
  return at < k
    ? { l: auditPath(left, at), r: { h: hex(merkleRoot(right)) } }
    : { l: { h: hex(merkleRoot(left)) }, r: auditPath(right, at - k) };
}

/** The root that a path leads to, and the value in it. */
export function foldPath(path: Path): { root: Uint8Array; value: string | undefined } {
  if ("value" in path) return { root: leaf(path.value), value: path.value };
  if ("h" in path) return { root: unhex(path.h), value: undefined };
  const [l, r] = [foldPath(path.l), foldPath(path.r)];
  return { root: node(l.root, r.root), value: l.value ?? r.value };
}
