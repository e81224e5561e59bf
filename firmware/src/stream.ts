// Streams: rows from the sensor to frames, masked, linked, signed now and then, and into the outbox.
//
//   sensor ─▶ packer, one a group ─▶ frame ─▶ outbox ─▶ read     streamcommands.ts
//
//   opening ─▶ open ─▶ closing ─▶ done         opening: an epoch is made, announce or resume is signed
//                 └▶ another epoch, while it is open ─▶
//
// Work is done in ticks: each reads rows, and then does at most one thing that takes long: an X25519 of an epoch in
// the making, or a signature. Meanwhile rows wait in the sensor's own FIFO. When the outbox is full they wait there
// too; what the FIFO then loses becomes a gap frame, in front of the rows that came after it.
//
// Before a number is used the store has it (streamrecord.ts), so whenever power goes: no epoch and no sequence
// number is used twice. What a resume links to is something the host acknowledged.
//
// A frame of rows goes out when it is full, or FRAME_MS after its first row.
//
// Memory while something streams: the outbox, 4 KiB; CONTENT_MAX bytes a group; a frame under way, four times its size.

import { concatBytes, copyBytes, equalBytes } from "@vouch/shared/bytes";
import { type CborValue, encodeCbor } from "@vouch/shared/cbor";
import { signEd25519 } from "@vouch/shared/ed25519";
import { FAULT_NONE, FAULT_STREAM_READER } from "@vouch/shared/fault";
import {
  encodeGap,
  hasRoom,
  makePacker,
  type Packer,
  packRow,
  READINGS_HEAD,
  takePacked,
} from "@vouch/shared/readings";
import {
  EPOCH_FRAMES_MAX,
  FLAG_MASKED,
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_GAP,
  FRAME_KEYLOAD,
  FRAME_RESUME,
  frameKey,
  linkOf,
  maskBody,
  maskedLength,
  nextChain,
  STREAM_FRAME_MAX,
  STREAM_ID_BYTES,
  streamHash,
  streamHeader,
  streamIdOf,
  streamMessage,
} from "@vouch/shared/stream";
import {
  type Boot,
  CLOSE_STOPPED,
  encodeAnnounce,
  encodeCheckpoint,
  encodeClose,
  encodeKeyload,
  encodeResume,
  groupValue,
} from "@vouch/shared/streambody";
import {
  beginEpoch,
  dropEpoch,
  EPOCH_BAD_READER,
  EPOCH_WORKING,
  type Epoch,
  isMade,
  keyloadOf,
  stepEpoch,
  wipe,
} from "./epoch";
import { keyKid } from "./identity";
import type { Device } from "./job";
import { makeOutbox, type Outbox, putInto, roomIn } from "./outbox";
import type { Sensor, SensorGroup } from "./ports/sensor";
import {
  BLOCK,
  RECORD_CLOSED,
  RECORD_NONE,
  RECORD_OPEN,
  type StreamRecord,
  saveStreamRecord,
} from "./streamrecord";

/** How long a row waits for others of its frame. */
const FRAME_MS = 1000;
/** Between looks at the FIFOs. */
const POLL_MS = 100;
/** Bytes of readings in a frame: one that is masked has 522. */
const CONTENT_MAX = 400;

/** A new epoch is begun so many frames before the old one may have no more. */
const EPOCH_SPARE = 1024;

// What a frame may take at most: of readings, of a gap, of what is signed but names no readers; and of what does.
const DATA_BYTES = 522;
const GAP_BYTES = 122;
const SIGNED_BYTES = 150;
const OPENING_BYTES = STREAM_FRAME_MAX;
/** All that rows from a FIFO can bring at once: a frame that was begun, a gap, a checkpoint after each. */
const ROWS_BYTES = DATA_BYTES + GAP_BYTES + 2 * SIGNED_BYTES;

/** What is asked for with `start`. */
export interface Wanted {
  mode: number;
  readers: Uint8Array[];
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
  isResume: boolean;
  isOpen: boolean;
  isClosing: boolean;
  isClosed: boolean;
  /** Rows wait in the FIFOs for room. */
  isFull: boolean;
  /** Why it can't go on, or what it was asked for and can't do. */
  fault: number;
  /** It ended with a fault. */
  isLost: boolean;
}

/** Those of the groups whose bits are set. */
export function groupsOf(offered: SensorGroup[], mask: number): SensorGroup[] {
  const groups: SensorGroup[] = [];
  for (let i = 0; i < offered.length; i++)
    if (((mask >> i) & 1) === 1) groups.push(offered[i] as SensorGroup);
  return groups;
}

/** What a resume must find unchanged. */
export function samplingOf(groups: SensorGroup[]): Uint8Array {
  const list: CborValue[] = [];
  for (let i = 0; i < groups.length; i++) list.push(groupValue(groups[i] as SensorGroup));
  return copyBytes(streamHash("sampling", [encodeCbor(list)]), 0, 8);
}

function ticks(s: Stream): number {
  return s.device.port.millis();
}

function save(s: Stream): boolean {
  const fault = saveStreamRecord(s.device.slots.store, s.record);
  if (fault === FAULT_NONE) return true;
  s.fault = fault;
  s.isLost = true;
  return false;
}

/** Begins an epoch, of a stream that begins or of one that goes on: its number is used from here on. */
export function startEpoch(s: Stream, readers: Uint8Array[], seed: Uint8Array | null): void {
  s.record.epoch++;
  if (!save(s)) return;
  s.next = beginEpoch(s.device, s.record.epoch, s.wanted.mode, readers, seed);
}

/** Opens a stream: the one of `record`, or another. The caller has judged what is wanted. */
export function openStream(
  device: Device,
  record: StreamRecord,
  wanted: Wanted,
  groups: SensorGroup[],
  isResume: boolean,
  evidence: Uint8Array,
  image: Uint8Array | null,
): Stream {
  const sensor = device.port.sensor as Sensor;
  const s: Stream = {
    device,
    sensor,
    record,
    out: makeOutbox(),
    wanted,
    numbers: [],
    groups,
    packers: [],
    since: [],
    evidence,
    image,
    id: isResume ? record.id : new Uint8Array(STREAM_ID_BYTES),
    epoch: 0,
    seq: isResume ? record.reserved : 0,
    prev: isResume ? record.link : new Uint8Array(32),
    chain: null,
    first: 0,
    waiting: 0,
    waitingSince: 0,
    next: null,
    isResume,
    isOpen: false,
    isClosing: false,
    isClosed: false,
    isFull: false,
    fault: FAULT_NONE,
    isLost: false,
  };
  for (let i = 0; i < 8; i++) if (((wanted.mask >> i) & 1) === 1) s.numbers.push(i);
  if (isResume) record.reserved += BLOCK;
  startEpoch(s, wanted.readers, wanted.seed);
  return s;
}

/** Wipes keys and stops the sensor; nothing is done with it afterwards. */
export function dropStream(s: Stream): void {
  s.sensor.sample(0);
  wipe(s.chain);
  wipe(s.wanted.seed);
  if (s.next !== null) dropEpoch(s.next);
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

function sign(s: Stream, unsigned: Uint8Array): Uint8Array {
  const secretKey = s.device.identity.secretKey as Uint8Array;
  return concatBytes([unsigned, signEd25519(secretKey, streamMessage(unsigned))]);
}

function unsignedFrame(s: Stream, type: number, body: Uint8Array): Uint8Array {
  return concatBytes([streamHeader(type, 0, s, body.length), body]);
}

function sendSigned(s: Stream, type: number, body: Uint8Array): void {
  s.waiting = 0;
  send(s, sign(s, unsignedFrame(s, type, body)));
}

function checkpoint(s: Stream): void {
  if (reserve(s)) sendSigned(s, FRAME_CHECKPOINT, encodeCheckpoint(ticks(s)));
}

// A frame of readings, or of none.
function sendContent(s: Stream, type: number, content: Uint8Array): void {
  if (!reserve(s)) return;
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
  if (s.waiting >= s.wanted.frames) checkpoint(s);
}

function flush(s: Stream, at: number): void {
  const packer = s.packers[at] as Packer;
  if (packer.rows > 0) sendContent(s, FRAME_DATA, takePacked(packer));
}

// Whether rows may be taken, or a frame of them let go: there is room for what that brings and for the signed frame
// that may be due, and the epoch has numbers.
function mayTake(s: Stream): boolean {
  const spare = s.next === null ? SIGNED_BYTES : OPENING_BYTES;
  const isFull = roomIn(s.out) < ROWS_BYTES + spare;
  if (isFull) s.isFull = true;
  return !isFull && !s.isLost && s.seq - s.first < EPOCH_FRAMES_MAX - 8;
}

// Takes rows of one group, as many as surely fit a frame; whether there may be more.
function takeRows(s: Stream, at: number): boolean {
  const group = s.groups[at] as SensorGroup;
  const packer = s.packers[at] as Packer;
  const width = group.channels.length;
  const max = Math.floor((CONTENT_MAX - READINGS_HEAD) / (4 * width));
  const rows = s.sensor.read(s.numbers[at] as number, max);
  const count = rows.values.length / width;
  if (rows.lost > 0) {
    flush(s, at);
    sendContent(s, FRAME_GAP, encodeGap(at, rows.ticks - rows.lost * group.period, rows.lost));
  }
  const expected = (s.since[at] as number) + packer.rows * group.period;
  if (2 * Math.abs(rows.ticks - expected) > group.period) flush(s, at);
  for (let row = 0; row < count; row++) {
    if (!hasRoom(packer)) flush(s, at);
    const now = rows.ticks + row * group.period;
    if (packer.rows === 0) s.since[at] = now;
    packRow(packer, now, rows.values, row * width);
  }
  return count === max;
}

// Takes what the FIFOs hold, and lets go what has waited long enough; whether there is more to take.
function pump(s: Stream): boolean {
  let more = false;
  s.isFull = false;
  for (let at = 0; at < s.groups.length; at++) {
    const packer = s.packers[at] as Packer;
    const hasMore = mayTake(s) && takeRows(s, at);
    const isDue = s.isClosing ? !hasMore : ticks(s) - (s.since[at] as number) >= FRAME_MS;
    if (packer.rows > 0 && isDue && mayTake(s)) flush(s, at);
    more = more || hasMore || (s.isClosing && packer.rows > 0);
  }
  return more;
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
  const boot = bootOf(s, epoch);
  const r = s.record;
  return encodeAnnounce({
    bootcount: boot.bootcount,
    bootseed: boot.bootseed,
    ticks: boot.ticks,
    evidence: boot.evidence,
    image: boot.image,
    keyload: boot.keyload,
    ueid: s.device.identity.ueid as Uint8Array,
    publicKey: s.device.identity.publicKey as Uint8Array,
    mode: s.wanted.mode,
    groups: s.groups,
    everyFrames: s.wanted.frames,
    everyMillis: s.wanted.millis,
    parent: isOurs(s.device, r) ? { id: r.id, seq: r.checkpoint, link: r.link } : null,
  });
}

// The store has the new stream before anybody sees its first frame.
function sendAnnounce(s: Stream, epoch: Epoch): void {
  const unsigned = unsignedFrame(s, FRAME_ANNOUNCE, announceBody(s, epoch));
  const id = streamIdOf(unsigned);
  unsigned.set(id, 4);
  const frame = sign(s, unsigned);
  const w = s.wanted;
  s.id = id;
  s.record = {
    state: RECORD_OPEN,
    kid: keyKid(s.device.identity),
    id,
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
  if (save(s)) send(s, frame);
}

function sendResume(s: Stream, epoch: Epoch): void {
  const boot = bootOf(s, epoch);
  const body = encodeResume({
    bootcount: boot.bootcount,
    bootseed: boot.bootseed,
    ticks: boot.ticks,
    evidence: boot.evidence,
    image: boot.image,
    keyload: boot.keyload,
    checkpointSeq: s.record.checkpoint,
    acknowledged: s.record.acknowledged,
  });
  sendSigned(s, FRAME_RESUME, body);
}

// The epoch is made: its first frame is signed, and it is the one in use.
function enterEpoch(s: Stream, epoch: Epoch): void {
  if (s.isOpen && !reserve(s)) return;
  const old = s.chain;
  s.epoch = epoch.number;
  s.chain = epoch.key;
  s.first = s.seq;
  s.wanted.readers = epoch.readers;
  s.next = null;
  if (s.isOpen) sendSigned(s, FRAME_KEYLOAD, encodeKeyload(ticks(s), keyloadOf(epoch)));
  else if (s.isResume) sendResume(s, epoch);
  else sendAnnounce(s, epoch);
  wipe(old);
  if (s.isOpen || s.isLost) return;
  s.isOpen = true;
  for (let i = 0; i < s.groups.length; i++) {
    s.packers.push(makePacker(i, (s.groups[i] as SensorGroup).channels.length, CONTENT_MAX));
    s.since.push(0);
  }
  s.sensor.sample(s.wanted.mask);
}

// One slice of making an epoch. Whether something was done.
function stepNext(s: Stream): boolean {
  const epoch = s.next;
  if (epoch === null || (isMade(epoch) && roomIn(s.out) < OPENING_BYTES)) return false;
  const made = stepEpoch(epoch);
  if (made === EPOCH_WORKING) return true;
  if (made === EPOCH_BAD_READER) {
    s.fault = FAULT_STREAM_READER;
    s.isLost = !s.isOpen; // an open stream goes on with the readers it has
    dropEpoch(epoch);
    s.next = null;
  } else enterEpoch(s, epoch);
  return true;
}

// The store knows before the host does: nothing follows a close.
function close(s: Stream): void {
  if (!reserve(s)) return;
  const frame = sign(s, unsignedFrame(s, FRAME_CLOSE, encodeClose(ticks(s), CLOSE_STOPPED)));
  s.record.state = RECORD_CLOSED;
  if (!save(s)) return;
  send(s, frame);
  s.isClosed = true;
}

function isCheckpointDue(s: Stream): boolean {
  return s.waiting > 0 && ticks(s) - s.waitingSince >= s.wanted.millis;
}

/** Ends it, in time: the sensor stops now, the close frame follows what it had. False when nothing of it was ever seen. */
export function stopStream(s: Stream): boolean {
  if (s.next !== null) dropEpoch(s.next);
  s.next = null;
  if (!s.isOpen) return false;
  if (!s.isClosing) s.sensor.sample(0);
  s.isClosing = true;
  return true;
}

/** One tick; how many milliseconds may pass until the next. */
export function stepStream(s: Stream): number {
  if (s.isClosed || s.isLost) return POLL_MS;
  const more = s.isOpen && pump(s);
  if (s.isLost) return 0;
  if (s.isOpen && s.next === null && s.seq - s.first >= EPOCH_FRAMES_MAX - EPOCH_SPARE)
    startEpoch(s, s.wanted.readers, s.wanted.seed);
  if (stepNext(s)) return 0;
  if (roomIn(s.out) >= SIGNED_BYTES) {
    if (s.isClosing && !more && !s.isFull) {
      close(s);
      return 0;
    }
    if (isCheckpointDue(s)) checkpoint(s);
  }
  return more && !s.isFull ? 0 : POLL_MS;
}
