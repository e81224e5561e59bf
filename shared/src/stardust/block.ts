// Blocks of a Stardust Tangle that carry tagged data: TIP-24, TIP-23.
//
//   u8 protocol version 2 │ u8 n │ 32 bytes, n times: parents │ u32 length │ payload │ u64 nonce
//   payload    u32 5 │ u8 length │ tag │ u32 length │ data
//
// Little-endian. Parents ascend, each once, 1 to 8 of them. The id of a block is BLAKE2b-256 over all its bytes.
// There is one encoding of a block, so what was decoded is what was hashed.

import { concatBytes } from "../bytes";
import { blake2b256 } from "../hash";
import { Refusal } from "../refusal";
import { readLayout, uintBytes } from "./layout";
import { MAX_BLOCK } from "./receipt";

export const PROTOCOL_VERSION = 2;
export const MAX_PARENTS = 8;
export const MAX_TAG = 64;
const TAGGED_DATA = 5;

export interface TaggedBlock {
  readonly parents: readonly Uint8Array[];
  readonly tag: Uint8Array;
  readonly data: Uint8Array;
  readonly nonce: bigint;
}

export const blockIdOf = (block: Uint8Array) => blake2b256(block);

/** Refuses `block-malformed`, and `stardust-unsupported` for another protocol version or payload. */
export function decodeBlock(bytes: Uint8Array): TaggedBlock {
  const reader = readLayout(bytes, "the block", "block-malformed");
  if (bytes.length > MAX_BLOCK) throw reader.malformed(`it has more than ${MAX_BLOCK} bytes`);
  const version = reader.u8();
  checkVersion(version, "the block");
  const parents = reader.parents(MAX_PARENTS);
  const length = reader.u32();
  const start = reader.at();
  if (length < 4) throw reader.malformed(`the payload has ${length} bytes`);
  const type = reader.u32();
  if (type !== TAGGED_DATA)
    throw new Refusal(
      "stardust-unsupported",
      `the block has a payload of type ${type}, expected tagged data (5)`,
    );
  const tagLength = reader.u8();
  if (tagLength > MAX_TAG)
    throw reader.malformed(`the tag has ${tagLength} bytes, at most ${MAX_TAG} are accepted`);
  const tag = reader.fixed(tagLength);
  const data = reader.fixed(reader.u32());
  if (reader.at() - start !== length)
    throw reader.malformed(`the payload ends after ${reader.at() - start} bytes, it says ${length}`);
  const nonce = reader.u64();
  reader.end();
  return { parents, tag, data, nonce };
}

/** The bytes of a block. What isn't one (unsorted parents, a long tag) is refused as decodeBlock does. */
export function encodeBlock({ parents, tag, data, nonce }: TaggedBlock): Uint8Array {
  if (parents.length > MAX_PARENTS || tag.length > MAX_TAG)
    // else their counts, of one byte, would wrap
    throw new Refusal(
      "block-malformed",
      `a block of ${parents.length} parents and a tag of ${tag.length} bytes`,
    );
  const payload = concatBytes([
    uintBytes(TAGGED_DATA, 4),
    uintBytes(tag.length, 1),
    tag,
    uintBytes(data.length, 4),
    data,
  ]);
  const bytes = concatBytes([
    uintBytes(PROTOCOL_VERSION, 1),
    uintBytes(parents.length, 1),
    ...parents,
    uintBytes(payload.length, 4),
    payload,
    uintBytes(nonce, 8),
  ]);
  decodeBlock(bytes);
  return bytes;
}

/** Refuses `stardust-unsupported`. */
export function checkVersion(version: number, what: string): void {
  if (version !== PROTOCOL_VERSION)
    throw new Refusal(
      "stardust-unsupported",
      `${what} is of protocol version ${version}, expected ${PROTOCOL_VERSION}`,
    );
}
