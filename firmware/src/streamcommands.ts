// SMP group 64, commands 7 to 9: a stream is started, read and stopped. spec/stream.md, "Wire".
//
//   7 start  write {mode, readers, groups?, frames, millis, resume, seed?} -> {id, epoch, state}; id null while
//                                                                           an announce is being signed
//   8 read   write {stream?, ack, at} -> {at, data, left, now, state}    ack and at may be missing beside stream
//   9 stop   write {}         -> {state}
//
// A board without a sensor knows none of them. Nothing here takes long: what does is done in ticks (stream.ts), and a host asks again. Repeating a request
// whose answer was lost is harmless.

import { copyBytes, equalBytes } from "@vouch/shared/bytes";
import { type CborMap, type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
import { sha256 } from "@vouch/shared/sha256";
import { RC_BAD_STATE, RC_BUSY, RC_INVALID, RC_TOO_LARGE, RC_UNKNOWN } from "@vouch/shared/smp";
import {
  FRAME_CLOSE,
  isSignedType,
  linkOf,
  MODE_PRIVATE,
  MODE_PUBLIC,
  MODE_RESTRICTED,
  READERS_MAX,
  readerKid,
  STREAM_CLOSING,
  STREAM_FULL,
  STREAM_HEADER_BYTES,
  STREAM_ID_BYTES,
  STREAM_NONE,
  STREAM_RUNNING,
  STREAM_SIGNATURE_BYTES,
  STREAM_SIGNING,
} from "@vouch/shared/stream";
import type { Agent } from "./agent";
import { bytesIn, hasKey, uintIn } from "./body";
import { isRunning, JOB_READY } from "./job";
import { groupError, type Request } from "./link";
import { copyOut } from "./outbox";
import type { Sensor, SensorGroup } from "./ports/sensor";
import { dropStream, groupsOf, openStream, startEpoch, stopStream } from "./stream";
import { isOurs, type Stream, samplingOf, type Wanted } from "./streamframes";
import {
  forgetStream,
  loadStreamRecord,
  RECORD_OPEN,
  type StreamRecord,
  saveStreamRecord,
} from "./streamrecord";
import { isUploading } from "./upload";

/** Bytes of a read: with the rest of the reply below 512. */
const READ_BYTES = 384;
const FRAMES_MAX = 65535;
const MILLIS_MAX = 86400000;
/** Items of CBOR that an announce has room for beside four readers and a parent: its reader takes 128 (cbor.ts). */
const GROUP_ITEMS = 82;
const EPOCH_MAX = 0xffffffff;

function refusal(request: Request, rc: number): CborMap {
  return groupError(request, rc, rc);
}

function stateOf(s: Stream | null): number {
  if (s === null) return STREAM_NONE;
  if (s.isClosing) return STREAM_CLOSING;
  if (!s.isOpen || s.next !== null) return STREAM_SIGNING;
  return s.isFull ? STREAM_FULL : STREAM_RUNNING;
}

/** Ends what streams at once: its keys are gone, and what wasn't read with them. */
export function endStream(agent: Agent): void {
  if (agent.stream !== null) dropStream(agent.stream);
  agent.stream = null;
}

// ---- start

function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  let i = 0;
  while (i < 7 && a[i] === b[i]) i++;
  return (a[i] as number) < (b[i] as number);
}

// Readers in the order of a keyload, as many as the mode has; else null.
function readersIn(body: CborMap, mode: number): Uint8Array | null {
  const value = mapGet(body, "readers");
  const list: CborValue[] = value === undefined ? [] : Array.isArray(value) ? value : [null];
  const max = mode === MODE_PUBLIC ? 0 : mode === MODE_PRIVATE ? 1 : READERS_MAX;
  if (list.length > max || (mode !== MODE_PUBLIC && list.length === 0)) return null;
  const readers = new Uint8Array(32 * list.length);
  const kids: Uint8Array[] = [];
  for (let i = 0; i < list.length; i++) {
    const key = list[i];
    if (!(key instanceof Uint8Array) || key.length !== 32) return null;
    const kid = readerKid(key);
    let at = i;
    for (; at > 0 && isBefore(kid, kids[at - 1] as Uint8Array); at--) {
      kids[at] = kids[at - 1] as Uint8Array;
      readers.set(readers.subarray(32 * at - 32, 32 * at), 32 * at);
    }
    if (at > 0 && equalBytes(kids[at - 1] as Uint8Array, kid)) return null;
    kids[at] = kid;
    readers.set(key, 32 * at);
  }
  return readers;
}

// Bit n for group n; 0 for what is none, and `all` where none is named.
function maskIn(body: CborMap, count: number, all: number): number {
  const value = mapGet(body, "groups");
  if (value === undefined) return all;
  if (!Array.isArray(value)) return 0;
  let mask = 0;
  for (let i = 0; i < value.length; i++) {
    const at = value[i];
    if (typeof at !== "number" || at < 0 || at >= count || ((mask >> at) & 1) === 1) return 0;
    mask |= 1 << at;
  }
  return mask;
}

// What a request asks for; null when it isn't one.
function wantedIn(body: CborMap, count: number, all: number): Wanted | null {
  const mode = uintIn(body, "mode");
  const frames = uintIn(body, "frames");
  const millis = uintIn(body, "millis");
  const seed = bytesIn(body, "seed", 32, 32);
  const mask = maskIn(body, count, all);
  if (mode < 0 || mode > MODE_RESTRICTED || mask === 0 || typeof mapGet(body, "resume") !== "boolean")
    return null;
  if (frames < 1 || frames > FRAMES_MAX || millis < 1 || millis > MILLIS_MAX) return null;
  if (seed === null && hasKey(body, "seed")) return null;
  const readers = readersIn(body, mode);
  if (readers === null) return null;
  return { mode, readers, mask, frames, millis, seed: seed === null ? null : copyBytes(seed, 0, 32) };
}

function isSame(w: Wanted, r: { mode: number; mask: number; frames: number; millis: number }): boolean {
  return w.mode === r.mode && w.mask === r.mask && w.frames === r.frames && w.millis === r.millis;
}

function itemsOf(groups: SensorGroup[]): number {
  let items = 0;
  for (let i = 0; i < groups.length; i++) items += 5 + 4 * (groups[i] as SensorGroup).channels.length;
  return items;
}

function started(s: Stream): CborMap {
  return cborMap([
    ["id", s.isOpen || s.isResume ? s.id : null],
    ["epoch", s.next === null ? s.epoch : s.next.number],
    ["state", stateOf(s)],
  ]);
}

// For a stream that runs: the same again, or other readers.
function startAgain(agent: Agent, request: Request, s: Stream, wanted: Wanted): CborMap {
  if (s.isClosing) return refusal(request, RC_BUSY);
  if (!isSame(wanted, s.wanted)) return refusal(request, RC_BAD_STATE);
  const readers = s.next === null ? s.wanted.readers : s.next.readers;
  if (!equalBytes(readers, wanted.readers)) {
    if (s.next !== null) return refusal(request, RC_BUSY);
    if (s.record.epoch >= EPOCH_MAX) return refusal(request, RC_BAD_STATE);
    if (wanted.seed !== null) s.wanted.seed = wanted.seed;
    startEpoch(s, wanted.readers, s.wanted.seed);
  }
  return endIfLost(agent, request, s);
}

function endIfLost(agent: Agent, request: Request, s: Stream): CborMap {
  if (!s.isLost) return started(s);
  agent.fault = s.fault;
  endStream(agent);
  return refusal(request, RC_UNKNOWN);
}

// Why a stream on record can't go on as it is wanted, or 0.
function checkResume(agent: Agent, record: StreamRecord, wanted: Wanted, sampling: Uint8Array): number {
  if (record.state !== RECORD_OPEN || !isOurs(agent.device, record)) return RC_BAD_STATE;
  return isSame(wanted, record) && equalBytes(sampling, record.sampling) ? 0 : RC_INVALID;
}

export function startStream(agent: Agent, request: Request): CborMap {
  const device = agent.device;
  const sensor = agent.port.sensor as Sensor;
  const running = agent.stream;
  const isResume = mapGet(request.body, "resume") === true;
  const record = running === null ? loadStreamRecord(device.slots.store) : running.record;
  const offered = sensor.groups();
  let all = (1 << offered.length) - 1;
  if (running !== null) all = running.wanted.mask;
  else if (isResume && record.state === RECORD_OPEN) all = record.mask;
  const wanted = wantedIn(request.body, offered.length, all);
  if (wanted === null) return refusal(request, RC_INVALID);
  if (running !== null) return startAgain(agent, request, running, wanted);
  if (isRunning(agent.job) || isUploading(agent.upload)) return refusal(request, RC_BUSY);
  if (agent.job.state !== JOB_READY || record.epoch >= EPOCH_MAX) return refusal(request, RC_BAD_STATE);
  const groups = groupsOf(offered, wanted.mask);
  if (itemsOf(groups) > GROUP_ITEMS) return refusal(request, RC_TOO_LARGE);
  const rc = isResume ? checkResume(agent, record, wanted, samplingOf(groups)) : 0;
  if (rc !== 0) return refusal(request, rc);
  const app = agent.job.components[1];
  const s = openStream(
    device,
    record,
    wanted,
    groups,
    isResume,
    sha256(agent.job.evidence),
    app === undefined ? null : app.digest,
  );
  agent.stream = s;
  return endIfLost(agent, request, s);
}

// ---- read

// Notes what the host keeps, frame by frame; a signed one of them is what a resume continues from.
function acknowledge(agent: Agent, s: Stream, ack: number): void {
  const o = s.out;
  const r = s.record;
  let isNew = false;
  let hasClose = false;
  while (o.frame + STREAM_HEADER_BYTES <= ack) {
    const head = copyOut(o, o.frame, o.frame + STREAM_HEADER_BYTES);
    const type = head[1] as number;
    const length =
      STREAM_HEADER_BYTES +
      (head[64] as number) * 256 +
      (head[65] as number) +
      (isSignedType(type) ? STREAM_SIGNATURE_BYTES : 0);
    if (o.frame + length > ack) break;
    let seq = 0;
    for (let i = 24; i < 32; i++) seq = seq * 256 + (head[i] as number);
    r.acknowledged = seq + 1;
    hasClose = type === FRAME_CLOSE;
    if (isSignedType(type) && seq > r.checkpoint) {
      r.checkpoint = seq;
      r.link = linkOf(copyOut(o, o.frame, o.frame + length));
      isNew = true;
    }
    o.frame += length;
  }
  o.acked = ack;
  if (!isNew) return;
  const store = agent.device.slots.store;
  agent.fault = hasClose ? forgetStream(store, r) : saveStreamRecord(store, r);
  if (hasClose) endStream(agent);
}

function answer(agent: Agent, at: number, data: Uint8Array, left: number): CborMap {
  return cborMap([
    ["at", at],
    ["data", data],
    ["left", left],
    ["now", agent.port.millis()],
    ["state", stateOf(agent.stream)],
  ]);
}

// A place is one of the stream's that the host means: in another one's run it would let go what nobody has kept.
export function readStream(agent: Agent, request: Request): CborMap {
  const body = request.body;
  const s = agent.stream;
  const isNamed = hasKey(body, "stream");
  const id = bytesIn(body, "stream", STREAM_ID_BYTES, STREAM_ID_BYTES);
  const acked = s === null ? 0 : s.out.acked;
  const ack = isNamed && !hasKey(body, "ack") ? acked : uintIn(body, "ack");
  const at = isNamed && !hasKey(body, "at") ? ack : uintIn(body, "at");
  if (ack < 0 || at < ack || (isNamed && id === null)) return refusal(request, RC_INVALID);
  if (s === null) return answer(agent, 0, new Uint8Array(0), 0);
  if (id !== null && !equalBytes(id, s.id)) return refusal(request, RC_BAD_STATE);
  const o = s.out;
  if (ack < acked || at > o.written) return refusal(request, RC_INVALID);
  acknowledge(agent, s, ack);
  const end = Math.min(at + READ_BYTES, o.written);
  return answer(agent, at, copyOut(o, at, end), o.written - end);
}

// ---- stop

export function stopStreaming(agent: Agent): CborMap {
  const s = agent.stream;
  if (s !== null && !stopStream(s)) endStream(agent);
  return cborMap([["state", stateOf(agent.stream)]]);
}
