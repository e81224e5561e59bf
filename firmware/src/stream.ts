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
// Memory while something streams: the outbox, 3 KiB; up to CONTENT_MAX bytes a group; a frame under way, four times its size.

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
  FRAME_DATA,
  FRAME_GAP,
  FRAME_KEYLOAD,
  STREAM_FRAME_MAX,
  STREAM_ID_BYTES,
} from "@vouch/shared/stream";
import { encodeKeyload } from "@vouch/shared/streambody";
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
import type { Device } from "./job";
import { makeOutbox, roomIn } from "./outbox";
import type { Sensor, SensorGroup } from "./ports/sensor";
import {
  prepare,
  prepareAnnounce,
  prepareCheckpoint,
  prepareClose,
  prepareResume,
  type Stream,
  save,
  sendContent,
  settle,
  ticks,
  type Wanted,
} from "./streamframes";
import { BLOCK, type StreamRecord } from "./streamrecord";

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

/** Those of the groups whose bits are set. */
export function groupsOf(offered: SensorGroup[], mask: number): SensorGroup[] {
  const groups: SensorGroup[] = [];
  for (let i = 0; i < offered.length; i++)
    if (((mask >> i) & 1) === 1) groups.push(offered[i] as SensorGroup);
  return groups;
}

/** Begins an epoch, of a stream that begins or of one that goes on: its number is used from here on. */
export function startEpoch(s: Stream, readers: Uint8Array, seed: Uint8Array | null): void {
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
    isTurn: false,
    message: null,
    isResume,
    isOpen: false,
    isClosing: false,
    isClosed: false,
    isFull: false,
    isBlocked: false,
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
  if (!isFull && s.message === null && !s.isLost && s.seq - s.first < EPOCH_FRAMES_MAX - 8) return true;
  s.isBlocked = true;
  return false;
}

// Takes rows of one group, as many as surely fit a frame; whether there may be more.
function takeRows(s: Stream, at: number): boolean {
  const group = s.groups[at] as SensorGroup;
  const packer = s.packers[at] as Packer;
  const width = group.channels.length;
  const max = Math.floor((packer.bytes.length - READINGS_HEAD) / (4 * width));
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
  s.isBlocked = false;
  for (let at = 0; at < s.groups.length; at++) {
    const packer = s.packers[at] as Packer;
    const hasMore = mayTake(s) && takeRows(s, at);
    const isDue = s.isClosing ? !hasMore : ticks(s) - (s.since[at] as number) >= FRAME_MS;
    if (packer.rows > 0 && isDue && mayTake(s)) flush(s, at);
    more = more || hasMore || (s.isClosing && packer.rows > 0);
  }
  return more;
}

// As much as a frame's rows take at most; less than CONTENT_MAX where few are sampled in FRAME_MS.
function packerFor(at: number, group: SensorGroup): Packer {
  const width = group.channels.length;
  const bytes = READINGS_HEAD + 4 * width * (Math.floor(FRAME_MS / group.period) + 8);
  return makePacker(at, width, Math.min(bytes, CONTENT_MAX));
}

// The epoch is made, and in use from here on: the frame that begins it is next.
function enterEpoch(s: Stream, epoch: Epoch): void {
  wipe(s.chain);
  s.epoch = epoch.number;
  s.chain = epoch.key;
  s.first = s.seq;
  s.wanted.readers = epoch.readers;
  s.next = null;
  if (s.isOpen) prepare(s, FRAME_KEYLOAD, encodeKeyload(ticks(s), keyloadOf(epoch)));
  else if (s.isResume) prepareResume(s, epoch);
  else prepareAnnounce(s, epoch);
}

// Its first frame is out.
function begin(s: Stream): void {
  s.isOpen = true;
  for (let i = 0; i < s.groups.length; i++) {
    s.packers.push(packerFor(i, s.groups[i] as SensorGroup));
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
  if (s.message !== null) {
    settle(s);
    if (!s.isOpen && !s.isLost) begin(s);
    return 0;
  }
  // Rows and an epoch in the making take turns: each needs memory.
  if (s.next !== null) s.isTurn = !s.isTurn;
  if (s.isTurn && stepNext(s)) return 0;
  const more = s.isOpen && pump(s);
  if (s.isLost || s.message !== null) return 0;
  if (s.isOpen && s.next === null && s.seq - s.first >= EPOCH_FRAMES_MAX - EPOCH_SPARE)
    startEpoch(s, s.wanted.readers, s.wanted.seed);
  if (roomIn(s.out) >= SIGNED_BYTES) {
    if (s.isClosing && !more && !s.isBlocked) prepareClose(s);
    else if (isCheckpointDue(s)) prepareCheckpoint(s);
  }
  const isNext = s.message !== null || (s.next !== null && !s.isTurn) || (more && !s.isBlocked);
  return isNext ? 0 : POLL_MS;
}
