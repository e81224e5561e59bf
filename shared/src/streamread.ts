// Frames of a stream read back: header, body, readings. What they mean together is streamcheck.ts's.
//
// Everything here is strict: one encoding for a frame, every length bounded before memory is taken; a Refusal
// with code `stream-malformed` says what was found. Formats are in stream.ts, streambody.ts and readings.ts.

import { copyBytes } from "./bytes";
import { CBOR_STRICT, type CborMap, type CborValue, decodeCbor, isBytes, isMap } from "./cbor";
import { FAULT_NONE } from "./fault";
import {
  GAP_BYTES,
  GROUP_COMPOUND,
  GROUP_NUMERIC,
  GROUP_SAMPLED,
  type Group,
  READINGS_HEAD,
  VALUE_NAN,
  VALUE_NRES,
} from "./readings";
import { FAULTS, Refusal } from "./refusal";
import { openBox } from "./secretbox";
import {
  FLAG_MASKED,
  FRAME_ANNOUNCE,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_GAP,
  isSignedType,
  MODE_PRIVATE,
  MODE_PUBLIC,
  MODE_RESTRICTED,
  maskNonce,
  READERS_MAX,
  STREAM_FRAME_MAX,
  STREAM_HEADER_BYTES,
  STREAM_ID_BYTES,
  STREAM_NONCE_BYTES,
  STREAM_SIGNATURE_BYTES,
} from "./stream";
import * as k from "./streambody";

/** Channels of a group, and groups of a stream. */
const CHANNELS_MAX = 8;
const GROUPS_MAX = 8;
/** A period is at most a day. */
const PERIOD_MAX = 86_400_000;
const SAFE = Number.MAX_SAFE_INTEGER;

export interface Frame {
  type: number;
  isMasked: boolean;
  id: Uint8Array;
  epoch: number;
  seq: number;
  prev: Uint8Array;
  /** The first 66 bytes. */
  header: Uint8Array;
  body: Uint8Array;
  /** What was signed over, without its prefix; and by what. Null for types that carry none. */
  unsigned: Uint8Array;
  signature: Uint8Array | null;
  /** The whole of it. */
  bytes: Uint8Array;
}

function refuse(found: string): Refusal {
  return new Refusal("stream-malformed", `found ${found}`);
}

const u32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);

/** How long the frame is that begins at bytes[at]; 0 when too little of it is there to tell. Throws when it is none. */
export function frameLength(bytes: Uint8Array, at: number): number {
  if (bytes.length - at < STREAM_HEADER_BYTES) return 0;
  const type = bytes[at + 1]!;
  if (bytes[at] !== 0xa1) throw refuse(`a frame that begins with ${bytes[at]}, expected 161`);
  if (type > FRAME_CLOSE) throw refuse(`a frame of type ${type}, expected 0 to ${FRAME_CLOSE}`);
  const body = bytes[at + 64]! * 256 + bytes[at + 65]!;
  const length = STREAM_HEADER_BYTES + body + (isSignedType(type) ? STREAM_SIGNATURE_BYTES : 0);
  if (length > STREAM_FRAME_MAX)
    throw refuse(`a frame of ${length} bytes, expected at most ${STREAM_FRAME_MAX}`);
  return length;
}

/** Reads exactly one frame. Throws `stream-malformed`. The frame's parts are views of `bytes`. */
export function parseFrame(bytes: Uint8Array): Frame {
  const length = frameLength(bytes, 0);
  if (length !== bytes.length)
    throw refuse(`${bytes.length} bytes, expected a frame of ${length || "66 and more"}`);
  const type = bytes[1]!;
  const flags = bytes[2]!;
  const canMask = type === FRAME_DATA || type === FRAME_GAP;
  if (flags > (canMask ? FLAG_MASKED : 0)) throw refuse(`flags ${flags} in a frame of type ${type}`);
  if (bytes[3] !== 0) throw refuse(`${bytes[3]} in the reserved byte, expected 0`);
  const seq = u32(bytes, 24) * 0x100000000 + u32(bytes, 28);
  if (seq > SAFE) throw refuse("a sequence number past 2^53");
  const end = length - (isSignedType(type) ? STREAM_SIGNATURE_BYTES : 0);
  return {
    type,
    isMasked: flags === FLAG_MASKED,
    id: bytes.subarray(4, 20),
    epoch: u32(bytes, 20),
    seq,
    prev: bytes.subarray(32, 64),
    header: bytes.subarray(0, STREAM_HEADER_BYTES),
    body: bytes.subarray(STREAM_HEADER_BYTES, end),
    unsigned: bytes.subarray(0, end),
    signature: end === length ? null : bytes.subarray(end),
    bytes,
  };
}

/** An announce frame as its id was made from: zeros for the id, no signature. */
export function unsignedWithoutId(frame: Frame): Uint8Array {
  const out = copyBytes(frame.unsigned, 0, frame.unsigned.length);
  for (let i = 4; i < 4 + STREAM_ID_BYTES; i++) out[i] = 0;
  return out;
}

// ---- Bodies

class Fields {
  constructor(
    private readonly map: CborMap,
    keys: readonly number[],
  ) {
    const found = map.keys.join();
    if (found !== keys.join()) throw refuse(`keys ${found} in a frame's body, expected ${keys.join()}`);
  }

  value(key: number): CborValue {
    return this.map.values[this.map.keys.indexOf(key)]!;
  }

  uint(key: number, max = SAFE): number {
    return uintOf(this.value(key), max, key);
  }

  bytes(key: number, length: number): Uint8Array {
    return bytesOf(this.value(key), length, key);
  }

  bytesOrNull(key: number, length: number): Uint8Array | null {
    return this.value(key) === null ? null : this.bytes(key, length);
  }

  list(key: number, length: number): CborValue[] {
    return listOf(this.value(key), length, length, key);
  }
}

function uintOf(value: CborValue | undefined, max: number, key: number): number {
  if (typeof value !== "number" || value < 0 || value > max)
    throw refuse(`no number to ${max} under key ${key}`);
  return value;
}

function bytesOf(value: CborValue | undefined, length: number, key: number): Uint8Array {
  if (!isBytes(value) || value.length !== length) throw refuse(`no ${length} bytes under key ${key}`);
  return value;
}

function listOf(value: CborValue | undefined, min: number, max: number, key: number): CborValue[] {
  if (!Array.isArray(value) || value.length < min || value.length > max)
    throw refuse(`no list of ${min === max ? min : `${min} to ${max}`} under key ${key}`);
  return value;
}

function fieldsOf(body: Uint8Array, keys: readonly number[]): Fields {
  const { fault, value } = decodeCbor(body, CBOR_STRICT);
  if (fault !== FAULT_NONE)
    throw refuse(`a frame's body that is no CBOR of ours: ${FAULTS[fault]?.[1] ?? fault}`);
  if (value === null || !isMap(value)) throw refuse("a frame's body that is no map");
  return new Fields(value, keys);
}

function keyloadOf(value: CborValue): k.Keyload | null {
  if (value === null) return null;
  const [ephemeral, list] = listOf(value, 2, 2, k.KEY_KEYLOAD);
  let before = "";
  const readers = listOf(list, 1, READERS_MAX, k.KEY_KEYLOAD).map((item) => {
    const [kid, box] = listOf(item, 2, 2, k.KEY_KEYLOAD);
    const reader = { kid: bytesOf(kid, 8, k.KEY_KEYLOAD), box: bytesOf(box, 48, k.KEY_KEYLOAD) };
    const name = String.fromCharCode(...reader.kid);
    if (name <= before) throw refuse("a keyload whose readers aren't sorted, or one twice");
    before = name;
    return reader;
  });
  return { ephemeral: bytesOf(ephemeral, 32, k.KEY_KEYLOAD), readers };
}

function intOf(value: CborValue | undefined, min: number, max: number): number {
  if (typeof value !== "number" || value < min || value > max)
    throw refuse(`no number from ${min} to ${max}`);
  return value;
}

function groupOf(value: CborValue): Group {
  const [kind, code, period, list] = listOf(value, 4, 4, k.KEY_GROUPS);
  const channels = listOf(list, 1, CHANNELS_MAX, k.KEY_GROUPS).map((item) => {
    const [channel, unit, exponent] = listOf(item, 3, 3, k.KEY_GROUPS);
    return {
      code: intOf(channel, 1, 0xffffffff),
      unit: intOf(unit, 1, 0xffffffff),
      exponent: intOf(exponent, -8, 7),
    };
  });
  const group = {
    kind: intOf(kind, GROUP_NUMERIC, GROUP_SAMPLED),
    code: intOf(code, 0, 0xffffffff),
    period: intOf(period, 1, PERIOD_MAX),
    channels,
  };
  if ((group.kind === GROUP_COMPOUND) !== group.code > 0)
    throw refuse("a compound without a code, or a code without");
  if (group.kind === GROUP_SAMPLED && channels.length !== 1) throw refuse("a waveform of several channels");
  return group;
}

function bootOf(f: Fields): k.Boot {
  return {
    bootcount: f.uint(k.KEY_BOOTCOUNT, 0xffffffff),
    bootseed: f.bytes(k.KEY_BOOTSEED, 16),
    ticks: f.uint(k.KEY_TICKS),
    evidence: f.bytes(k.KEY_EVIDENCE, 32),
    image: f.bytesOrNull(k.KEY_IMAGE, 32),
    keyload: keyloadOf(f.value(k.KEY_KEYLOAD)),
  };
}

const ANNOUNCE_KEYS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
const RESUME_KEYS = [4, 5, 6, 7, 8, 13, 14];

/** Readers that a mode's keyload has: none, one, several. */
function checkKeyload(mode: number, keyload: k.Keyload | null): void {
  const count = keyload === null ? 0 : keyload.readers.length;
  const fits = mode === MODE_PUBLIC ? count === 0 : mode === MODE_PRIVATE ? count === 1 : count > 0;
  if (!fits) throw refuse(`a keyload for ${count} readers in a stream of mode ${mode}`);
}

export function decodeAnnounce(body: Uint8Array): k.Announce {
  const f = fieldsOf(body, ANNOUNCE_KEYS);
  if (f.uint(k.KEY_VERSION) !== k.STREAM_VERSION)
    throw new Refusal(
      "unsupported-version",
      `found a stream of version ${f.uint(k.KEY_VERSION)}, expected 1`,
    );
  const groups = listOf(f.value(k.KEY_GROUPS), 1, GROUPS_MAX, k.KEY_GROUPS).map(groupOf);
  const [frames, millis] = f.list(k.KEY_EVERY, 2);
  const parent = f.value(k.KEY_PARENT) === null ? null : f.list(k.KEY_PARENT, 3);
  const announce = {
    ...bootOf(f),
    ueid: f.bytes(k.KEY_UEID, 17),
    publicKey: f.bytes(k.KEY_PUBLIC, 32),
    mode: f.uint(k.KEY_MODE, MODE_RESTRICTED),
    groups,
    everyFrames: intOf(frames, 1, 65535),
    everyMillis: intOf(millis, 1, PERIOD_MAX),
    parent: parent && {
      id: bytesOf(parent[0], STREAM_ID_BYTES, k.KEY_PARENT),
      seq: uintOf(parent[1], SAFE, k.KEY_PARENT),
      link: bytesOf(parent[2], 32, k.KEY_PARENT),
    },
  };
  checkKeyload(announce.mode, announce.keyload);
  return announce;
}

/** `mode` is the announce's. */
export function decodeResume(body: Uint8Array, mode: number): k.Resume {
  const f = fieldsOf(body, RESUME_KEYS);
  const [checkpoint, acknowledged] = f.list(k.KEY_LAST, 2);
  const resume = {
    ...bootOf(f),
    checkpointSeq: uintOf(checkpoint, SAFE, k.KEY_LAST),
    acknowledged: uintOf(acknowledged, SAFE, k.KEY_LAST),
  };
  checkKeyload(mode, resume.keyload);
  return resume;
}

export function decodeKeyload(body: Uint8Array, mode: number): { ticks: number; keyload: k.Keyload | null } {
  const f = fieldsOf(body, [k.KEY_TICKS, k.KEY_KEYLOAD]);
  const keyload = keyloadOf(f.value(k.KEY_KEYLOAD));
  checkKeyload(mode, keyload);
  return { ticks: f.uint(k.KEY_TICKS), keyload };
}

export function decodeCheckpoint(body: Uint8Array): { ticks: number } {
  return { ticks: fieldsOf(body, [k.KEY_TICKS]).uint(k.KEY_TICKS) };
}

export function decodeClose(body: Uint8Array): { ticks: number; reason: number } {
  const f = fieldsOf(body, [k.KEY_TICKS, k.KEY_REASON]);
  return { ticks: f.uint(k.KEY_TICKS), reason: f.uint(k.KEY_REASON, 255) };
}

// ---- Masked bodies and readings

/** What opens a body: a host may bring faster ones. */
export interface MaskTools {
  openBox(key: Uint8Array, nonce: Uint8Array, box: Uint8Array): Uint8Array | null;
  /** At least its first 24 bytes. */
  maskNonce(key: Uint8Array, header: Uint8Array, plain: Uint8Array): Uint8Array;
}

/**
 * The content of a masked body by the frame's key. Throws `stream-mac` when the box isn't this key's, and
 * `stream-unbound` when it opens and belongs to another header.
 */
export function unmaskBody(
  frame: Frame,
  key: Uint8Array,
  tools: MaskTools = { openBox, maskNonce },
): Uint8Array {
  const nonce = frame.body.subarray(0, STREAM_NONCE_BYTES);
  const plain = tools.openBox(key, nonce, frame.body.subarray(STREAM_NONCE_BYTES));
  if (plain === null) throw new Refusal("stream-mac", `frame ${frame.seq} doesn't open with its key`);
  const expected = tools.maskNonce(key, frame.header, plain);
  for (let i = 0; i < STREAM_NONCE_BYTES; i++)
    if (expected[i] !== nonce[i])
      throw new Refusal("stream-unbound", `the body of frame ${frame.seq} was masked for another header`);
  return unpad(plain);
}

function unpad(plain: Uint8Array): Uint8Array {
  let end = plain.length - 1;
  while (end >= 0 && plain[end] === 0) end--;
  if (end < 0 || plain[end] !== 0x80 || plain.length - end > 16 || plain.length % 16 !== 0)
    throw refuse("a masked body with other padding");
  return plain.subarray(0, end);
}

export interface Rows {
  group: number;
  /** Of the first row. */
  ticks: number;
  /** Row by row, channel by channel: mantissas. */
  values: Int32Array;
  rows: number;
}

function headOf(
  content: Uint8Array,
  groups: readonly Group[],
): { group: Group; index: number; ticks: number } {
  if (content.length < READINGS_HEAD) throw refuse(`${content.length} bytes of readings`);
  const index = content[0]!;
  const group = groups[index];
  if (group === undefined) throw refuse(`readings of group ${index}, the stream has ${groups.length}`);
  return { group, index, ticks: (content[1]! * 256 + content[2]!) * 0x100000000 + u32(content, 3) };
}

/** The rows of a data frame's content. */
export function decodeReadings(content: Uint8Array, groups: readonly Group[]): Rows {
  const { group, index, ticks } = headOf(content, groups);
  const width = group.channels.length;
  const values = new Int32Array(content.length - READINGS_HEAD);
  let count = 0;
  let at = READINGS_HEAD;
  while (at < content.length) {
    let rest = 0;
    let shift = 0;
    let byte = 128;
    while (byte > 127) {
      if (at === content.length || shift > 21)
        throw refuse("readings that end inside a number, or one too long");
      byte = content[at++]!;
      rest |= (byte & 127) << shift;
      shift += 7;
    }
    if (byte === 0 && shift > 7) throw refuse("a number in readings that isn't in its shortest form");
    const value = (count >= width ? values[count - width]! : 0) + ((rest >>> 1) ^ -(rest & 1));
    if (value < VALUE_NRES || value > VALUE_NAN) throw refuse(`the value ${value}, expected 24 bits`);
    values[count++] = value;
  }
  if (count === 0 || count % width !== 0) throw refuse(`${count} values in rows of ${width}`);
  return { group: index, ticks, values: values.subarray(0, count), rows: count / width };
}

/** The content of a gap frame: so many rows of the group were lost. */
export function decodeGap(
  content: Uint8Array,
  groups: readonly Group[],
): { group: number; ticks: number; rows: number } {
  if (content.length !== GAP_BYTES) throw refuse(`${content.length} bytes in a gap, expected ${GAP_BYTES}`);
  const { index, ticks } = headOf(content, groups);
  const rows = u32(content, READINGS_HEAD);
  if (rows === 0) throw refuse("a gap of no rows");
  return { group: index, ticks, rows };
}

/** Whether a frame of this type begins an epoch, and with it a chain of keys. */
export const startsEpoch = (type: number): boolean => type === FRAME_ANNOUNCE || type === 2 || type === 5;
