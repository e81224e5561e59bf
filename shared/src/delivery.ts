// How a recording travels from one recorder to the next: pieces of the file by their place in it, and how far the
// receiver has flushed them. spec/stream-delivery.md.
//
//   piece    at u64 | bytes            the file's bytes from `at` on, cut anywhere, 1 to 32,768 of them
//   stand    flags u8 | next u64       all before `next` is kept; flag 1: what begins there is missing, send it again
//   hello    "vouch/delivery/v1" LF | id 16
//   refusal  code                      1 to 64 of a-z, 0-9, -
//
//   over TCP    length u32 | type u8 | body       1 hello, 2 piece, 3 stand, 4 refusal; length is of type and body
//   over MQTT   version u8 | body                 in topics of their own: BASE/id/piece, BASE/id/head, BASE/id/stand
//
//   head     as stand, of the sender: how far its recording goes. Head and stand are retained
//
// big endian. The receiver's file is a prefix of the sender's, so that a place says all: what came before, what
// comes again, what is missing.

import { concatBytes, toHex, utf8Encode } from "./bytes";
import { Refusal } from "./refusal";
import { STREAM_ID_BYTES } from "./stream";

export const PIECE_BYTES_MAX = 32 * 1024;
export const DELIVERY_HELLO = 1;
export const DELIVERY_PIECE = 2;
export const DELIVERY_STAND = 3;
export const DELIVERY_REFUSAL = 4;

const VERSION = 1;
const GREETING = utf8Encode("vouch/delivery/v1\n");
const MESSAGE_MAX = 1 + 8 + PIECE_BYTES_MAX;
const MISSING = 1;

export interface Piece {
  at: number;
  bytes: Uint8Array;
}

export interface Stand {
  next: number;
  isMissing: boolean;
}

const malformed = (found: string): Refusal => new Refusal("delivery-malformed", `found ${found}`);

function u64(value: number): Uint8Array {
  const out = new Uint8Array(8);
  const view = new DataView(out.buffer);
  view.setUint32(0, Math.floor(value / 0x100000000));
  view.setUint32(4, value % 0x100000000);
  return out;
}

function readU64(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  const value = view.getUint32(0) * 0x100000000 + view.getUint32(4);
  if (value > Number.MAX_SAFE_INTEGER - MESSAGE_MAX) throw malformed("a place past 2^53");
  return value;
}

export const encodePiece = ({ at, bytes }: Piece): Uint8Array => concatBytes([u64(at), bytes]);

/** Throws `delivery-malformed`. The bytes are a view. */
export function decodePiece(body: Uint8Array): Piece {
  const length = body.length - 8;
  if (length < 1 || length > PIECE_BYTES_MAX)
    throw malformed(`a piece of ${Math.max(0, length)} bytes, expected 1 to ${PIECE_BYTES_MAX}`);
  return { at: readU64(body, 0), bytes: body.subarray(8) };
}

export const encodeStand = ({ next, isMissing }: Stand): Uint8Array =>
  concatBytes([new Uint8Array([isMissing ? MISSING : 0]), u64(next)]);

export function decodeStand(body: Uint8Array): Stand {
  if (body.length !== 9 || body[0]! > MISSING) throw malformed("a stand that isn't one");
  return { next: readU64(body, 1), isMissing: body[0] === MISSING };
}

export const encodeHello = (id: Uint8Array): Uint8Array => concatBytes([GREETING, id]);

/** The id of the stream that is to be delivered. */
export function decodeHello(body: Uint8Array): Uint8Array {
  if (body.length !== GREETING.length + STREAM_ID_BYTES)
    throw malformed(`a greeting of ${body.length} bytes`);
  if (GREETING.some((byte, i) => body[i] !== byte))
    throw new Refusal(
      "unsupported-version",
      "the other side greets in another protocol than vouch/delivery/v1",
    );
  return body.subarray(GREETING.length);
}

const CODE = /^[a-z0-9-]{1,64}$/;

export const encodeRefusal = (code: string): Uint8Array => utf8Encode(CODE.test(code) ? code : "refused");

export function decodeRefusal(body: Uint8Array): string {
  const code = String.fromCharCode(...body.subarray(0, 65));
  if (!CODE.test(code)) throw malformed("a refusal without a code");
  return code;
}

/** A message for a connection that is nothing but bytes. */
export function frameMessage(type: number, body: Uint8Array): Uint8Array {
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(0, body.length + 1);
  head[4] = type;
  return concatBytes([head, body]);
}

/** Messages out of a connection's bytes. Holds one message at most, and no longer one than there is. */
export class MessageReader {
  private rest: Uint8Array = new Uint8Array(0);

  /** Throws `delivery-malformed`. What `take` gets is good until it returns. */
  push(chunk: Uint8Array, take: (type: number, body: Uint8Array) => void): void {
    const bytes = this.rest.length === 0 ? chunk : concatBytes([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
      const type = bytes[at + 4]!;
      if (length < 1 || length > MESSAGE_MAX)
        throw malformed(`a message of ${length} bytes, expected 1 to ${MESSAGE_MAX}`);
      if (type < DELIVERY_HELLO || type > DELIVERY_REFUSAL) throw malformed(`a message of type ${type}`);
      if (bytes.length - at < 4 + length) break;
      take(type, bytes.subarray(at + 5, at + 4 + length));
      at += 4 + length;
    }
    this.rest = bytes.slice(at);
  }
}

/** A body as an MQTT payload. */
export const encodePayload = (body: Uint8Array): Uint8Array => concatBytes([new Uint8Array([VERSION]), body]);

/** The body of a payload. Throws `delivery-malformed`, `unsupported-version`. */
export function decodePayload(payload: Uint8Array): Uint8Array {
  if (payload.length === 0) throw malformed("an empty message");
  if (payload[0] !== VERSION)
    throw new Refusal("unsupported-version", `found a message of version ${payload[0]}, expected ${VERSION}`);
  return payload.subarray(1);
}

const TOPIC_MAX = 200;

/** What an MQTT topic of ours begins with: levels of letters, digits, - _ . and no wildcard. Throws `delivery-topic`. */
export function checkTopicBase(base: string): string {
  if (base.length <= TOPIC_MAX && /^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/.test(base)) return base;
  throw new Refusal(
    "delivery-topic",
    "a topic has levels of letters, digits, - _ and . between slashes, and no wildcard",
  );
}

export type TopicPart = "piece" | "head" | "stand";

export const topicOf = (base: string, id: Uint8Array, part: TopicPart): string =>
  `${base}/${toHex(id)}/${part}`;

/** The stream and the part that a topic is about; null when it is none of ours. */
export function readTopic(base: string, topic: string): { id: string; part: TopicPart } | null {
  if (!topic.startsWith(`${base}/`)) return null;
  const [id = "", part = "", ...more] = topic.slice(base.length + 1).split("/");
  if (!/^[0-9a-f]{32}$/.test(id) || more.length > 0) return null;
  return part === "piece" || part === "head" || part === "stand" ? { id, part } : null;
}
