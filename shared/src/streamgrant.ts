// A grant: keys of some frames of a stream, sealed for one reader. The owner makes it from a recording; nothing of
// the device's is asked.
//
//   {"version":"vouch-grant/v1","stream":hex 16,"reader":kid hex 8,"ephemeral":b64 32,"box":b64}
//
//   box    secretbox(parts, nonce, HSalsa20(X25519(…), 0))     nonce = first 24 bytes of H("grant", ephemeral ‖ reader ‖ id)
//   part   epoch u32 | seq u64 | kind u8 | count u32 | count × 32 bytes
//
// kind 0 is forward: the chain at frame `seq`, which gives that frame and all after it to the end of the epoch. kind 1
// is a window: the keys of frames seq to seq + count - 1, from which no other follows. Parts rise, by epoch and by seq, and
// don't overlap. Who has a grant can hand on what is in it; nothing prevents that.

import { concatBytes, fromBase64, fromHex, toBase64, toHex } from "./bytes";
import type { Crypto } from "./crypto";
import { formatJson, parseJson } from "./json";
import { quote, Refusal } from "./refusal";
import { hsalsa20, openBox, sealBox } from "./secretbox";
import { EPOCH_FRAMES_MAX, readerKid, STREAM_ID_BYTES, streamHash } from "./stream";
import { ratchet, streamHasher } from "./streamhash";
import type { FrameKeys, Opener, ReaderKey } from "./streamopen";
import { x25519, x25519Public } from "./x25519";

export const GRANT_VERSION = "vouch-grant/v1";
export const MAX_GRANT = 32 * 1024 * 1024;
const PART_HEAD = 17;
const KEY = 32;

export interface GrantPart {
  epoch: number;
  /** The first frame. */
  seq: number;
  kind: "forward" | "window";
  /** One chain, or the key of each frame, end to end. */
  keys: Uint8Array;
}

export interface Grant {
  /** Of the stream, 16 bytes. */
  id: Uint8Array;
  parts: GrantPart[];
}

// ---- Making one

/** An epoch's key as its reader knows it, and its first frame. */
export interface KnownEpoch {
  epoch: number;
  seq: number;
  key: Uint8Array;
}

/** What opens frames from..to of an epoch; `to` null: from there on. */
export function grantPart(
  known: KnownEpoch,
  from: number,
  to: number | null,
  crypto: Pick<Crypto, "sha256">,
): GrantPart {
  const hasher = streamHasher(crypto);
  const end = to ?? from;
  if (from < known.seq || end < from || end - known.seq >= EPOCH_FRAMES_MAX)
    throw new Error(`frames ${from} to ${to} aren't of an epoch that begins at ${known.seq}`);
  if (to === null) {
    let chain = known.key;
    for (let at = known.seq; at < from; at++) chain = hasher.next(chain);
    return { epoch: known.epoch, seq: from, kind: "forward", keys: chain };
  }
  const keyOf = ratchet(hasher, known.key, known.seq);
  const keys = new Uint8Array((to - from + 1) * KEY);
  for (let seq = from; seq <= to; seq++) keys.set(keyOf(seq)!, (seq - from) * KEY);
  return { epoch: known.epoch, seq: from, kind: "window", keys };
}

function encodeParts(parts: readonly GrantPart[]): Uint8Array {
  return concatBytes(
    parts.flatMap(({ epoch, seq, kind, keys }) => {
      const head = new Uint8Array(PART_HEAD);
      const view = new DataView(head.buffer);
      view.setUint32(0, epoch);
      view.setBigUint64(4, BigInt(seq));
      view.setUint8(12, kind === "forward" ? 0 : 1);
      view.setUint32(13, keys.length / KEY);
      return [head, keys];
    }),
  );
}

/** Key and nonce between an ephemeral key and the reader's; `other` is the other side's public key. */
function between(
  secret: Uint8Array,
  other: Uint8Array,
  ephemeral: Uint8Array,
  reader: Uint8Array,
  id: Uint8Array,
) {
  const shared = x25519(secret, other);
  if (shared.every((byte) => byte === 0))
    throw new Refusal("grant-order", "a key of the grant has small order");
  const nonce = streamHash("grant", [ephemeral, reader, id]).subarray(0, 24);
  return { key: hsalsa20(shared, new Uint8Array(16)), nonce };
}

/** The file. `secret` is 32 fresh random bytes. Refuses `grant-order` for a reader's key of small order. */
export function sealGrant(grant: Grant, reader: Uint8Array, secret: Uint8Array): Uint8Array {
  const ephemeral = x25519Public(secret);
  const { key, nonce } = between(secret, reader, ephemeral, reader, grant.id);
  const box = sealBox(key, nonce, encodeParts(grant.parts));
  return formatJson(fileJson({ id: grant.id, kid: readerKid(reader), ephemeral, box }));
}

// ---- Reading one

export interface GrantFile {
  id: Uint8Array;
  kid: Uint8Array;
  ephemeral: Uint8Array;
  box: Uint8Array;
}

const fileJson = ({ id, kid, ephemeral, box }: GrantFile) => ({
  version: GRANT_VERSION,
  stream: toHex(id),
  reader: toHex(kid),
  ephemeral: toBase64(ephemeral),
  box: toBase64(box),
});

const malformed = (found: string) => new Refusal("malformed-grant", `found ${found}`);

/** A grant file as anybody may see it: which stream's, and for whom. Refuses `malformed-grant`, `unsupported-version`, and as parseJson. */
export function parseGrantFile(file: Uint8Array): GrantFile {
  const json = parseJson(file, "grant", MAX_GRANT);
  const found = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  const { version } = found;
  if (typeof version === "string" && /^vouch-grant\/v[0-9]{1,6}$/.test(version) && version !== GRANT_VERSION)
    throw new Refusal("unsupported-version", `the grant is ${quote(version)}, expected ${GRANT_VERSION}`);
  const texts = Object.values(found).every((value) => typeof value === "string");
  if (
    Object.keys(found).join() !== "version,stream,reader,ephemeral,box" ||
    !texts ||
    version !== GRANT_VERSION
  )
    throw malformed("no grant: expected the keys version, stream, reader, ephemeral, box");
  const field = found as Record<string, string>;
  const id = fromHex(field["stream"]!);
  const kid = fromHex(field["reader"]!);
  const ephemeral = fromBase64(field["ephemeral"]!);
  const box = fromBase64(field["box"]!);
  if (id?.length !== STREAM_ID_BYTES || kid?.length !== 8 || ephemeral?.length !== 32 || box === null)
    throw malformed("a field of another size, or not in its one encoding");
  return { id, kid, ephemeral, box };
}

/** What was granted. Refuses `malformed-grant`, `grant-other-reader`, `grant-order`, `grant-box`. */
export function openGrant(file: Uint8Array, reader: ReaderKey): Grant {
  const { id, kid, ephemeral, box } = parseGrantFile(file);
  const own = toHex(readerKid(reader.publicKey));
  if (toHex(kid) !== own)
    throw new Refusal("grant-other-reader", `the grant is for reader ${toHex(kid)}, this key is ${own}`);
  const { key, nonce } = between(reader.secret, ephemeral, ephemeral, reader.publicKey, id);
  const parts = openBox(key, nonce, box);
  if (parts === null) throw new Refusal("grant-box", "the grant doesn't open with this key, or was altered");
  return { id, parts: decodeParts(parts) };
}

function decodeParts(bytes: Uint8Array): GrantPart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: GrantPart[] = [];
  let at = 0;
  let before = { epoch: 0, end: 0 };
  while (at < bytes.length) {
    if (bytes.length - at < PART_HEAD) throw malformed("a part that ends early");
    const epoch = view.getUint32(at);
    const wide = view.getBigUint64(at + 4);
    const kind = view.getUint8(at + 12);
    const count = view.getUint32(at + 13);
    at += PART_HEAD;
    const seq = Number(wide);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a frame past 2^53");
    if (kind > 1 || count === 0 || count > EPOCH_FRAMES_MAX || (kind === 0 && count > 1))
      throw malformed(`a part of kind ${kind} with ${count} keys`);
    if (bytes.length - at < count * KEY) throw malformed("a part that ends early");
    if (epoch < before.epoch || (epoch === before.epoch && seq < before.end))
      throw malformed("parts that don't rise, or overlap");
    before = { epoch, end: kind === 0 ? Number.POSITIVE_INFINITY : seq + count };
    const keys = bytes.subarray(at, at + count * KEY);
    parts.push({ epoch, seq, kind: kind === 0 ? "forward" : "window", keys });
    at += count * KEY;
  }
  if (parts.length === 0) throw malformed("a grant of nothing");
  return parts;
}

/** Opens what was granted, and nothing else. */
export function grantOpener({ id, parts }: Grant, crypto: Pick<Crypto, "sha256">): Opener {
  const hasher = streamHasher(crypto);
  const name = toHex(id);
  const byEpoch = new Map<number, GrantPart[]>();
  for (const part of parts) {
    const own = byEpoch.get(part.epoch);
    if (own === undefined) byEpoch.set(part.epoch, [part]);
    else own.push(part);
  }
  const keysOf = (part: GrantPart): FrameKeys => {
    if (part.kind === "forward") return ratchet(hasher, part.keys, part.seq);
    const end = part.seq + part.keys.length / KEY;
    return (seq) =>
      seq < part.seq || seq >= end
        ? null
        : part.keys.subarray((seq - part.seq) * KEY, (seq - part.seq + 1) * KEY);
  };
  return {
    isGrant: true,
    open(start) {
      if (toHex(start.id) !== name) return null;
      const own = byEpoch.get(start.epoch)?.map((part) => ({ seq: part.seq, keys: keysOf(part) }));
      if (own === undefined) return null;
      let at = 0; // frames are asked for in rising order, and parts rise
      return (seq) => {
        while (at + 1 < own.length && seq >= own[at + 1]!.seq) at++;
        return own[at]!.keys(seq);
      };
    },
  };
}
