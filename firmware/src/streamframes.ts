// Frames of a stream on their way: numbered, masked or signed, linked, and into the outbox.
//
// A frame that is signed is made in two steps, a tick apart where that is possible: first what is signed, then the
// signature, which needs what memory there is. Nothing else goes out in between, so its number and link still hold.
//
// Before a number is used the store has it (streamrecord.ts).

import { concatBytes, copyBytes, equalBytes } from "@vouch/shared/bytes";
import { type CborValue, encodeCbor } from "@vouch/shared/cbor";
import { signEd25519 } from "@vouch/shared/ed25519";
import { FAULT_NONE } from "@vouch/shared/fault";
import type { Packer } from "@vouch/shared/readings";
import {
  FLAG_MASKED,
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_RESUME,
  frameKey,
  linkOf,
  maskBody,
  maskedLength,
  nextChain,
  streamHash,
  streamHeader,
  streamIdOf,
  streamMessage,
} from "@vouch/shared/stream";
import {
  type Announce,
  type Boot,
  CLOSE_STOPPED,
  encodeAnnounce,
  encodeCheckpoint,
  encodeClose,
  encodeResume,
  groupValue,
  type Resume,
} from "@vouch/shared/streambody";
import { type Epoch, keyloadOf, wipe } from "./epoch";
import { keyKid } from "./identity";
import type { Device } from "./job";
import { type Outbox, putInto } from "./outbox";
import type { Sensor, SensorGroup } from "./ports/sensor";
import {
  BLOCK,
  RECORD_CLOSED,
  RECORD_NONE,
  RECORD_OPEN,
  type StreamRecord,
  saveStreamRecord,
} from "./streamrecord";

/** Where a frame begins in what is signed: behind "vouch/stream/v1" and a line's end. */
const SIGNED_AT = 16;

/** What is asked for with `start`. */
export interface Wanted {
  mode: number;
  /** Their keys, 32 bytes each, sorted as a keyload has them. */
  readers: Uint8Array;
  mask: number;
  frames: number;
  millis: number;
  seed: Uint8Array | null;
}

export interface Stream {
  device: Device;
  sensor: Sensor;
  record: StreamRecord;
  out: Outbox;
  wanted: Wanted;
  /** The sensor's numbers of the groups that are announced, and those groups. */
  numbers: number[];
  groups: SensorGroup[];
  packers: Packer[];
  /** Ticks of the first row in each packer. */
  since: number[];
  /** SHA-256 of the evidence and of the running image, as attested. */
  evidence: Uint8Array;
  image: Uint8Array | null;
  /** Of the frame to come: stream.ts's Position. */
  id: Uint8Array;
  epoch: number;
  seq: number;
  prev: Uint8Array;
  /** Key chain at that frame; null in a public stream. */
  chain: Uint8Array | null;
  /** The frame that began the epoch. */
  first: number;
  /** Frames that no signature covers yet, and since when. */
  waiting: number;
  waitingSince: number;
  /** The epoch in the making. */
  next: Epoch | null;
  isTurn: boolean;
  /** What is to be signed next; until then nothing goes out. */
  message: Uint8Array | null;
  isResume: boolean;
  isOpen: boolean;
  isClosing: boolean;
  isClosed: boolean;
  /** Rows wait in the FIFOs: for room, or for anything. */
  isFull: boolean;
  isBlocked: boolean;
  /** Why it can't go on, or what it was asked for and can't do. */
  fault: number;
  /** It ended with a fault. */
  isLost: boolean;
}

/** What a resume must find unchanged. */
export function samplingOf(groups: SensorGroup[]): Uint8Array {
  const list: CborValue[] = [];
  for (let i = 0; i < groups.length; i++) list.push(groupValue(groups[i] as SensorGroup));
  return copyBytes(streamHash("sampling", [encodeCbor(list)]), 0, 8);
}

export function ticks(s: Stream): number {
  return s.device.port.millis();
}

export function save(s: Stream): boolean {
  const fault = saveStreamRecord(s.device.slots.store, s.record);
  if (fault === FAULT_NONE) return true;
  s.fault = fault;
  s.isLost = true;
  return false;
}

// Sequence numbers are on record before they are used.
function reserve(s: Stream): boolean {
  if (s.seq < s.record.reserved) return true;
  s.record.reserved += BLOCK;
  return save(s);
}

// The frame goes out, and everything moves on by one.
function send(s: Stream, frame: Uint8Array): void {
  putInto(s.out, frame);
  s.prev = linkOf(frame);
  s.seq++;
  if (s.chain !== null) s.chain.set(nextChain(s.chain));
}

// ---- Signed

/** Makes what is signed next. The caller has asked for room. */
export function prepare(s: Stream, type: number, body: Uint8Array): void {
  if (!s.isOpen || reserve(s))
    s.message = streamMessage(concatBytes([streamHeader(type, 0, s, body.length), body]));
}

// The store has a new stream before anybody sees its first frame.
function noteAnnounce(s: Stream, frame: Uint8Array): void {
  const w = s.wanted;
  s.record = {
    state: RECORD_OPEN,
    kid: keyKid(s.device.identity),
    id: s.id,
    mode: w.mode,
    mask: w.mask,
    frames: w.frames,
    millis: w.millis,
    sampling: samplingOf(s.groups),
    epoch: s.record.epoch,
    reserved: BLOCK,
    checkpoint: 0,
    link: linkOf(frame),
    acknowledged: 0,
  };
}

/** Signs what waits for it, and sends it: seconds. */
export function settle(s: Stream): void {
  const message = s.message;
  if (message === null) return;
  s.message = null;
  const type = message[SIGNED_AT + 1];
  const signature = signEd25519(s.device.identity.secretKey as Uint8Array, message);
  const frame = concatBytes([message.subarray(SIGNED_AT), signature]);
  if (type === FRAME_ANNOUNCE) noteAnnounce(s, frame);
  // … and knows before the host does that nothing follows a close.
  if (type === FRAME_CLOSE) s.record.state = RECORD_CLOSED;
  if ((type === FRAME_ANNOUNCE || type === FRAME_CLOSE) && !save(s)) return;
  send(s, frame);
  s.waiting = 0;
  if (type === FRAME_CLOSE) s.isClosed = true;
}

export function prepareCheckpoint(s: Stream): void {
  prepare(s, FRAME_CHECKPOINT, encodeCheckpoint(ticks(s)));
}

export function prepareClose(s: Stream): void {
  prepare(s, FRAME_CLOSE, encodeClose(ticks(s), CLOSE_STOPPED));
}

function bootOf(s: Stream, epoch: Epoch): Boot {
  return {
    bootcount: s.device.starts,
    bootseed: s.device.bootSeed,
    ticks: ticks(s),
    evidence: s.evidence,
    image: s.image,
    keyload: keyloadOf(epoch),
  };
}

/** Whether a stream is on record, of the key that the device has now. */
export function isOurs(device: Device, r: StreamRecord): boolean {
  return r.state !== RECORD_NONE && equalBytes(r.kid, keyKid(device.identity));
}

function announceBody(s: Stream, epoch: Epoch): Uint8Array {
  const r = s.record;
  const a = bootOf(s, epoch) as Announce;
  a.ueid = s.device.identity.ueid as Uint8Array;
  a.publicKey = s.device.identity.publicKey as Uint8Array;
  a.mode = s.wanted.mode;
  a.groups = s.groups;
  a.everyFrames = s.wanted.frames;
  a.everyMillis = s.wanted.millis;
  a.parent = isOurs(s.device, r) ? { id: r.id, seq: r.checkpoint, link: r.link } : null;
  return encodeAnnounce(a);
}

export function prepareAnnounce(s: Stream, epoch: Epoch): void {
  prepare(s, FRAME_ANNOUNCE, announceBody(s, epoch));
  const message = s.message as Uint8Array;
  s.id = streamIdOf(message.subarray(SIGNED_AT));
  message.set(s.id, SIGNED_AT + 4);
}

export function prepareResume(s: Stream, epoch: Epoch): void {
  const r = bootOf(s, epoch) as Resume;
  r.checkpointSeq = s.record.checkpoint;
  r.acknowledged = s.record.acknowledged;
  prepare(s, FRAME_RESUME, encodeResume(r));
}

// ---- Not signed

/** Sends a frame of rows, or of a gap; when a checkpoint is due then, that is next. */
export function sendContent(s: Stream, type: number, content: Uint8Array): void {
  settle(s); // only where one frame brings another, and each a checkpoint
  if (s.isLost || !reserve(s)) return;
  if (s.chain === null) {
    send(s, concatBytes([streamHeader(type, 0, s, content.length), content]));
  } else {
    const header = streamHeader(type, FLAG_MASKED, s, maskedLength(content.length));
    const key = frameKey(s.chain);
    const frame = concatBytes([header, maskBody(key, header, content)]);
    wipe(key);
    send(s, frame);
  }
  if (s.waiting === 0) s.waitingSince = ticks(s);
  s.waiting++;
  if (s.waiting >= s.wanted.frames) prepareCheckpoint(s);
}
