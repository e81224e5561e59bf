// A signed head of a stream, committed to: what a log and a ledger hold of it, and what its keeper holds.
//
//   commitment = SHA-256("vouch/stream-commitment/v1" LF ‖ salt 16 ‖ id 16 ‖ epoch u32 ‖ seq u64 ‖ link 32)
//
//   x.head   {"version":"vouch-stream-head/v1","stream":hex,"epoch":1,"seq":1204,"link":hex,"salt":b64}
//
// No reading, no device and no stream can be told from the commitment without the salt.

import { concatBytes, fromBase64, fromHex, toBase64, toHex } from "./bytes";
import { commitment, SALT_LENGTH } from "./commitment";
import type { Crypto } from "./crypto";
import { formatJson, parseJson } from "./json";
import { quote, Refusal } from "./refusal";

const STREAM_TAG = "vouch/stream-commitment/v1\n";
const VERSION = "vouch-stream-head/v1";
export const MAX_HEAD = 4096;

export interface StreamHead {
  readonly id: Uint8Array;
  readonly epoch: number;
  readonly seq: number;
  readonly link: Uint8Array;
  readonly salt: Uint8Array;
}

/** What the log's statement holds. */
export function headCommitment(head: StreamHead, crypto: Crypto): Uint8Array {
  const numbers = new Uint8Array(12);
  const view = new DataView(numbers.buffer);
  view.setUint32(0, head.epoch);
  view.setBigUint64(4, BigInt(head.seq));
  return commitment(STREAM_TAG, head.salt, concatBytes([head.id, numbers, head.link]), crypto);
}

export const formatHead = ({ id, epoch, seq, link, salt }: StreamHead): Uint8Array =>
  formatJson({ version: VERSION, stream: toHex(id), epoch, seq, link: toHex(link), salt: toBase64(salt) });

/** Refuses `malformed-head`, `malformed-json`, `not-canonical-json`, `unsupported-version`. */
export function parseHead(file: Uint8Array): StreamHead {
  const json = (parseJson(file, "head", MAX_HEAD) ?? {}) as Record<string, unknown>;
  const { version, stream, epoch, seq, link, salt } = json;
  if (typeof version === "string" && /^vouch-stream-head\/v[0-9]{1,6}$/.test(version) && version !== VERSION)
    throw new Refusal("unsupported-version", `the head is ${quote(version)}, expected ${VERSION}`);
  const isCount = (value: unknown, max: number): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
  const bytes = (value: unknown, read: (text: string) => Uint8Array | null, length: number) => {
    const found = typeof value === "string" ? read(value) : null;
    return found?.length === length ? found : null;
  };
  const head = {
    id: bytes(stream, fromHex, 16),
    link: bytes(link, fromHex, 32),
    salt: bytes(salt, fromBase64, SALT_LENGTH),
  };
  const isShaped = Object.keys(json).join() === "version,stream,epoch,seq,link,salt" && version === VERSION;
  const { id, link: linked, salt: salted } = head;
  const isWhole = id !== null && linked !== null && salted !== null;
  if (!isShaped || !isWhole || !isCount(epoch, 0xffffffff) || !isCount(seq, Number.MAX_SAFE_INTEGER))
    throw new Refusal("malformed-head", "found no head of a stream, as `vouch stream anchor` writes it");
  return { id, epoch, seq, link: linked, salt: salted };
}
