// A stream: one device's readings as a chain of frames; masked, linked, signed now and then. [device]
//
//   A1 | type | flags | 0 | id 16 | epoch u32 | seq u64 | prev 32 | length u16 | body | [signature 64]
//
// big endian; spec/stream.md has bodies, rules and reasons. Signed are announce, keyload, checkpoint, resume
// and close; what lies between two of them is bound by the links, from the later one backwards.
//
//   id     first 16 bytes of H("id", the announce frame with zeros for id, without signature)
//   prev   H("link", the whole frame before, its signature too); zeros in an announce
//   H(tag, bytes) = SHA-256("vouch/stream/" ‖ tag ‖ LF ‖ bytes)
//
// Masked bodies: the key of frame seq is ratcheted from the epoch's, one step a frame, so that who has the chain
// at one frame has it from there on and not before. The nonce is made from all that it protects:
//
//   chain_0 = epoch key     key_i = H("mk", chain_i)     chain_{i+1} = H("ck", chain_i)     i = seq - first seq of the epoch
//   nonce  = first 24 bytes of H("nonce", key_i ‖ header ‖ plain)
//   body   = nonce ‖ secretbox(plain, nonce, key_i)      plain = content ‖ 80 ‖ 00… to a multiple of 16
//
// So a body belongs to its header and to one key, and should a counter ever go back, a nonce comes again only
// with the same text: the second box is the first.

import { concatBytes, copyBytes, utf8Encode } from "./bytes";
import { hsalsa20, sealBox } from "./secretbox";
import { sha256Final, sha256Init, sha256Update } from "./sha256";
import { x25519 } from "./x25519";

export const FRAME_ANNOUNCE = 0;
export const FRAME_DATA = 1;
export const FRAME_KEYLOAD = 2;
export const FRAME_GAP = 3;
export const FRAME_CHECKPOINT = 4;
export const FRAME_RESUME = 5;
export const FRAME_CLOSE = 6;

export const FLAG_MASKED = 1;

export const MODE_PUBLIC = 0;
export const MODE_PRIVATE = 1;
export const MODE_RESTRICTED = 2;
/** By mode, for people. */
export const MODE_NAMES = ["public", "private", "restricted"];

/** What a device says of its stream with each reply. */
export const STREAM_NONE = 0;
export const STREAM_SIGNING = 1;
export const STREAM_RUNNING = 2;
export const STREAM_CLOSING = 3;
export const STREAM_FULL = 4;

export const STREAM_HEADER_BYTES = 66;
export const STREAM_ID_BYTES = 16;
export const STREAM_SIGNATURE_BYTES = 64;
export const STREAM_NONCE_BYTES = 24;
const STREAM_TAG_BYTES = 16;
const PAD = 16;

/** A frame, header to signature, is at most this long; a body is what is left. */
export const STREAM_FRAME_MAX = 1024;
/** Frames of an epoch: whoever reads from its start makes one step of the ratchet for each. */
export const EPOCH_FRAMES_MAX = 65536;
/** Readers that one keyload names. */
export const READERS_MAX = 4;

/** Which types carry a signature. */
export function isSignedType(type: number): boolean {
  return type !== FRAME_DATA && type !== FRAME_GAP;
}

/** H(tag, parts one after another). */
export function streamHash(tag: string, parts: Uint8Array[]): Uint8Array {
  const state = sha256Init();
  const head = utf8Encode(`vouch/stream/${tag}\n`);
  sha256Update(state, head, 0, head.length);
  for (let i = 0; i < parts.length; i++) sha256Update(state, parts[i]!, 0, parts[i]!.length);
  return sha256Final(state);
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export interface Position {
  id: Uint8Array;
  epoch: number;
  seq: number;
  /** Link to the frame before. */
  prev: Uint8Array;
}

/** The 66 bytes before a body of `length` bytes. `seq` below 2^53, `epoch` below 2^32. */
export function streamHeader(type: number, flags: number, p: Position, length: number): Uint8Array {
  const out = new Uint8Array(STREAM_HEADER_BYTES);
  out[0] = 0xa1;
  out[1] = type;
  out[2] = flags;
  out.set(p.id, 4);
  putU32(out, 20, p.epoch);
  putU32(out, 24, Math.floor(p.seq / 0x100000000));
  putU32(out, 28, p.seq % 0x100000000);
  out.set(p.prev, 32);
  out[64] = length >> 8;
  out[65] = length;
  return out;
}

/** What a device signs: the frame without its signature, under a name that nothing else it signs begins with. */
export function streamMessage(unsigned: Uint8Array): Uint8Array {
  return concatBytes([utf8Encode("vouch/stream/v1\n"), unsigned]);
}

/** The link that the next frame carries. */
export function linkOf(frame: Uint8Array): Uint8Array {
  return streamHash("link", [frame]);
}

/** The id of the stream that an announce frame begins; `unsigned` has zeros where the id goes. */
export function streamIdOf(unsigned: Uint8Array): Uint8Array {
  return copyBytes(streamHash("id", [unsigned]), 0, STREAM_ID_BYTES);
}

/** The key of the frame that the chain stands at. */
export function frameKey(chain: Uint8Array): Uint8Array {
  return streamHash("mk", [chain]);
}

/** The chain one frame on. */
export function nextChain(chain: Uint8Array): Uint8Array {
  return streamHash("ck", [chain]);
}

/** Length of a masked body for `length` bytes of content. */
export function maskedLength(length: number): number {
  return STREAM_NONCE_BYTES + STREAM_TAG_BYTES + (Math.floor(length / PAD) + 1) * PAD;
}

/** The nonce of the box for `plain` under `key` behind `header`. */
export function maskNonce(key: Uint8Array, header: Uint8Array, plain: Uint8Array): Uint8Array {
  return copyBytes(streamHash("nonce", [key, header, plain]), 0, STREAM_NONCE_BYTES);
}

/** The masked body; `header` is of a frame with a body of maskedLength(content.length) bytes. */
export function maskBody(key: Uint8Array, header: Uint8Array, content: Uint8Array): Uint8Array {
  const plain = new Uint8Array(maskedLength(content.length) - STREAM_NONCE_BYTES - STREAM_TAG_BYTES);
  plain.set(content);
  plain[content.length] = 0x80;
  const nonce = maskNonce(key, header, plain);
  return concatBytes([nonce, sealBox(key, nonce, plain)]);
}

/** Wraps an epoch's key for one reader: 48 bytes, or null when the reader's key is of small order. */
export function wrapEpochKey(
  epochKey: Uint8Array,
  secret: Uint8Array,
  ephemeral: Uint8Array,
  reader: Uint8Array,
  epoch: number,
): Uint8Array | null {
  const wrap = wrapKey(secret, ephemeral, reader, reader, epoch);
  return wrap === null ? null : sealBox(wrap.key, wrap.nonce, epochKey);
}

/**
 * Key and nonce of the box between an ephemeral key and a reader's; either side computes it with its own secret and
 * the other's public key. As crypto_box of NaCl: HSalsa20 of the shared point. Null for a point of small order.
 */
export function wrapKey(
  secret: Uint8Array,
  ephemeral: Uint8Array,
  reader: Uint8Array,
  other: Uint8Array,
  epoch: number,
): { key: Uint8Array; nonce: Uint8Array } | null {
  const shared = x25519(secret, other);
  let any = 0;
  for (let i = 0; i < 32; i++) any |= shared[i]!;
  if (any === 0) return null;
  const number = new Uint8Array(4);
  putU32(number, 0, epoch);
  const nonce = copyBytes(streamHash("wrap", [ephemeral, reader, number]), 0, STREAM_NONCE_BYTES);
  return { key: hsalsa20(shared, new Uint8Array(16)), nonce };
}

/** How a keyload names a reader: the first 8 bytes of the hash of its X25519 key. */
export function readerKid(reader: Uint8Array): Uint8Array {
  return copyBytes(streamHash("reader", [reader]), 0, 8);
}
