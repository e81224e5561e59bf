// An upload, chunk by chunk, into the slot that doesn't run.
//
//   stream   u32 length | SUIT envelope | payload        (without a manifest: the payload alone)
//   chunk    {off: 0, len, sha, data}, then {off, data}; the answer's `off` is what has arrived
//
// A chunk at another offset than the next changes nothing and is answered with the next: lost,
// repeated and late chunks are harmless. `sha`, the SHA-256 of the whole stream, names the
// session: chunk 0 with the same one resumes.
//
// The envelope is collected in memory and judged before anything is written:
//   1. it is one, strict, and signed by the vendor key of the engine block;
//   2. it is for this vendor, class and hardware revision of device;
//   3. its sequence number is not below the floor;
//   4. the payload it announces is the one that follows, and fits.
// After the last chunk
//   5. what stands in flash, read back after each write, has the digest of the manifest.
// Only then does one record make the image bootable. Anything else erases what was written.
//
// Memory: 1024 bytes of envelope, two hash states, 32 bytes that wait for a whole write unit.

import { copyBytes, equalBytes } from "@vouch/shared/bytes";
import { verifyEd25519 } from "@vouch/shared/ed25519";
import {
  FAULT_ENGINE_BLOCK,
  FAULT_NONE,
  FAULT_SLOT_OVERRUN,
  FAULT_SLOT_STREAM,
  FAULT_SLOT_TOO_LARGE,
  FAULT_SUIT_CLASS,
  FAULT_SUIT_IMAGE_DIGEST,
  FAULT_SUIT_IMAGE_SIZE,
  FAULT_SUIT_REVISION,
  FAULT_SUIT_ROLLBACK,
  FAULT_SUIT_UPLOAD,
  FAULT_SUIT_VENDOR,
} from "@vouch/shared/fault";
import { type Sha256, sha256, sha256Final, sha256Init, sha256Update } from "@vouch/shared/sha256";
import {
  decodeEnvelope,
  fitsRevision,
  MAX_ENVELOPE,
  type Manifest,
  verifyEnvelope,
} from "@vouch/shared/suit";
import type { Engine } from "./engine";
import type { Region } from "./ports/layout";
import {
  checkOtherFree,
  forgetSlot,
  MANIFEST_AREA,
  otherSlot,
  payloadRegion,
  SLOT_CHECKED,
  SLOT_STORED,
  type Slot,
  type Slots,
  saveSlots,
} from "./slots";
import { alignUp, blankBytes, u32At } from "./store";

const MIN_ENVELOPE = 16; // a first word below it, or above MAX_ENVELOPE, is no envelope's length
const TAIL_BYTES = 32; // the largest write unit

const NOTHING = new Uint8Array(0);

const CLOSED = 0;
const IN_ENVELOPE = 1;
const IN_PAYLOAD = 2;

export interface Upload {
  slots: Slots;
  engine: Engine | null;
  state: number;
  sha: Uint8Array | null;
  length: number;
  received: number;
  slot: number;
  /** u32 length and envelope as they come. */
  head: Uint8Array;
  /** Bytes of `head` before the payload; 0 while unknown, and for an upload without manifest. */
  headLength: number;
  manifest: Manifest | null;
  manifestDigest: Uint8Array | null;
  stream: Sha256;
  payload: Sha256;
  /** Payload bytes in flash, and those that wait for a whole write unit. */
  written: number;
  tail: Uint8Array;
  tailLength: number;
  /** Bytes of the slot erased so far. */
  erased: number;
  /** Length of the upload that was completed last: its last chunk may be repeated. */
  completed: number;
}

/** What a chunk is answered with: a fault, or the next offset. */
export interface UploadAnswer {
  fault: number;
  off: number;
  match: boolean;
}

export function makeUpload(slots: Slots, engine: Engine | null): Upload {
  return {
    slots,
    engine,
    state: CLOSED,
    sha: null,
    length: 0,
    received: 0,
    slot: 0,
    head: NOTHING,
    headLength: 0,
    manifest: null,
    manifestDigest: null,
    stream: sha256Init(),
    payload: sha256Init(),
    written: 0,
    tail: new Uint8Array(TAIL_BYTES),
    tailLength: 0,
    erased: 0,
    completed: 0,
  };
}

/** The longest stream a slot takes. */
export function maxUpload(u: Upload): number {
  return 4 + MAX_ENVELOPE + payloadRegion(u.slots.port, 0).length;
}

export function isUploading(u: Upload): boolean {
  return u.state !== CLOSED;
}

/** Ends a session; what it wrote stays unknown to the record. */
export function closeUpload(u: Upload): void {
  u.state = CLOSED;
  u.head = NOTHING;
  u.sha = null;
  u.completed = 0;
}

// Flash is erased as far as the next write needs, sector by sector.
function eraseUpTo(u: Upload, end: number): void {
  const port = u.slots.port;
  const sector = port.layout.store.sectorSize;
  const address = (port.layout.slots[u.slot] as Region).address;
  while (u.erased < end) {
    port.eraseFlash(address + u.erased, sector);
    u.erased += sector;
  }
}

// Writes payload bytes, padded to the write unit, and hashes what then stands in flash.
function writePayload(u: Upload, bytes: Uint8Array, length: number): void {
  const port = u.slots.port;
  const padded = blankBytes(alignUp(port, length));
  padded.set(bytes.subarray(0, length));
  eraseUpTo(u, MANIFEST_AREA + u.written + padded.length);
  const address = payloadRegion(port, u.slot).address + u.written;
  port.writeFlash(address, padded);
  sha256Update(u.payload, port.readFlash(address, length), 0, length);
  u.written += length;
}

// Takes payload bytes; those that don't fill a write unit wait in the tail.
function takePayload(u: Upload, bytes: Uint8Array): void {
  const unit = u.slots.port.layout.writeSize;
  let at = 0;
  if (u.tailLength > 0) {
    while (at < bytes.length && u.tailLength < unit) u.tail[u.tailLength++] = bytes[at++] as number;
    if (u.tailLength < unit) return;
    writePayload(u, u.tail, unit);
    u.tailLength = 0;
  }
  const whole = bytes.length - at - ((bytes.length - at) % unit);
  if (whole > 0) writePayload(u, bytes.subarray(at), whole);
  for (at += whole; at < bytes.length; at++) u.tail[u.tailLength++] = bytes[at] as number;
}

function writeHead(u: Upload): void {
  const port = u.slots.port;
  const bytes = blankBytes(alignUp(port, u.headLength));
  bytes.set(u.head.subarray(0, u.headLength));
  eraseUpTo(u, bytes.length);
  port.writeFlash((port.layout.slots[u.slot] as Region).address, bytes);
}

// Steps 1 to 4, on the envelope in memory.
function judgeManifest(u: Upload): number {
  const engine = u.engine;
  if (engine === null) return FAULT_ENGINE_BLOCK;
  const envelope = decodeEnvelope(copyBytes(u.head, 4, u.headLength));
  if (envelope.fault !== FAULT_NONE) return envelope.fault;
  const manifest = envelope.manifest;
  const fault = verifyEnvelope(envelope, engine.vendorKey, sha256, verifyEd25519);
  if (fault !== FAULT_NONE) return fault;
  if (!equalBytes(manifest.vendorId, engine.vendorId)) return FAULT_SUIT_VENDOR;
  if (!equalBytes(manifest.classId, engine.classId)) return FAULT_SUIT_CLASS;
  if (!fitsRevision(manifest, engine.hardwareVersion)) return FAULT_SUIT_REVISION;
  if (manifest.sequence < u.slots.floor) return FAULT_SUIT_ROLLBACK;
  if (manifest.size !== u.length - u.headLength) return FAULT_SUIT_IMAGE_SIZE;
  if (manifest.size > payloadRegion(u.slots.port, u.slot).length) return FAULT_SLOT_TOO_LARGE;
  u.manifest = manifest;
  u.manifestDigest = sha256(envelope.manifestBytes);
  return FAULT_NONE;
}

// Whether a slot already holds, checked, what this manifest describes. Only the one that runs
// and the one a test would run count: a confirmed image that rotted is neither, and is repaired by
// the same release.
function isThere(u: Upload): boolean {
  const manifest = u.manifest as Manifest;
  for (let i = 0; i < 2; i++) {
    if (i !== u.slot && i !== u.slots.active) continue;
    const slot = u.slots.slots[i] as Slot;
    if (slot.kind === SLOT_CHECKED && slot.image !== null && slot.manifest !== null) {
      if (
        equalBytes(slot.image, manifest.digest) &&
        equalBytes(slot.manifest, u.manifestDigest as Uint8Array)
      ) {
        return true;
      }
    }
  }
  return false;
}

function complete(u: Upload): UploadAnswer {
  const length = u.length;
  closeUpload(u);
  u.completed = length;
  return { fault: FAULT_NONE, off: length, match: true };
}

// Nothing of a refused image stays, and the record never knew it.
function refuse(u: Upload, fault: number): UploadAnswer {
  const touched = u.erased;
  u.erased = 0;
  if (touched > 0) eraseUpTo(u, touched);
  closeUpload(u);
  return { fault, off: 0, match: false };
}

// Step 5 and the record.
function finish(u: Upload): UploadAnswer {
  if (u.tailLength > 0) writePayload(u, u.tail, u.tailLength);
  u.tailLength = 0;
  const region = u.slots.port.layout.slots[u.slot] as Region;
  eraseUpTo(u, region.length); // measured to its end, so nothing old may stand there
  const image = sha256Final(u.payload);
  const sent = sha256Final(u.stream);
  if (u.manifest !== null && !equalBytes(image, u.manifest.digest)) return refuse(u, FAULT_SUIT_IMAGE_DIGEST);
  if (u.sha !== null && u.sha.length === 32 && !equalBytes(sent, u.sha)) return refuse(u, FAULT_SLOT_STREAM);
  u.slots.slots[u.slot] = {
    kind: u.manifest !== null ? SLOT_CHECKED : SLOT_STORED,
    length: u.written,
    image,
    manifest: u.manifestDigest,
  };
  const fault = saveSlots(u.slots);
  return fault !== FAULT_NONE ? refuse(u, fault) : complete(u);
}

const ALREADY_THERE = -1; // beside faults, which are positive

// The head is complete: judge it, then open the slot.
function openPayload(u: Upload): number {
  if (u.headLength > 0) {
    const fault = judgeManifest(u);
    if (fault !== FAULT_NONE) return fault;
    if (isThere(u)) return ALREADY_THERE;
  } else if (u.length > payloadRegion(u.slots.port, u.slot).length) {
    return FAULT_SLOT_TOO_LARGE;
  }
  // Asked last: what is there already is no conflict.
  const busy = checkOtherFree(u.slots);
  const fault = busy !== FAULT_NONE ? busy : forgetSlot(u.slots, u.slot);
  if (fault !== FAULT_NONE) return fault;
  if (u.headLength > 0) writeHead(u);
  u.state = IN_PAYLOAD;
  return FAULT_NONE;
}

// The first word tells an envelope from a payload without one.
function readHeadLength(u: Upload): number {
  const length = u32At(u.head, 0);
  if (length < MIN_ENVELOPE || length > MAX_ENVELOPE) return 0;
  return 4 + length;
}

// Takes what belongs to the head, and tells how many bytes that were.
function takeHead(u: Upload, data: Uint8Array): { fault: number; used: number } {
  let at = 0;
  while (u.received + at < 4 && at < data.length) {
    u.head[u.received + at] = data[at] as number;
    at++;
  }
  const have = u.received + at;
  if (have < 4 && have < u.length) return { fault: FAULT_NONE, used: at };
  if (have >= 4) u.headLength = readHeadLength(u);
  if (have < 4 || u.headLength === 0) {
    const fault = openPayload(u);
    if (fault === FAULT_NONE) takePayload(u, u.head.subarray(0, have));
    return { fault, used: at };
  }
  if (u.headLength >= u.length) return { fault: FAULT_SUIT_UPLOAD, used: at };
  const end = Math.min(data.length, u.headLength - u.received);
  u.head.set(data.subarray(at, end), u.received + at);
  return { fault: u.received + end < u.headLength ? FAULT_NONE : openPayload(u), used: end };
}

function takeChunk(u: Upload, data: Uint8Array): UploadAnswer {
  if (u.received + data.length > u.length) return refuse(u, FAULT_SLOT_OVERRUN);
  sha256Update(u.stream, data, 0, data.length);
  let used = 0;
  if (u.state === IN_ENVELOPE) {
    const head = takeHead(u, data);
    if (head.fault === ALREADY_THERE) return complete(u);
    if (head.fault !== FAULT_NONE) return refuse(u, head.fault);
    used = head.used;
  }
  if (used < data.length) takePayload(u, data.subarray(used));
  u.received += data.length;
  if (u.received === u.length) return finish(u);
  return { fault: FAULT_NONE, off: u.received, match: false };
}

function start(u: Upload, length: number, sha: Uint8Array | null): void {
  closeUpload(u);
  u.state = IN_ENVELOPE;
  u.sha = sha === null ? null : copyBytes(sha, 0, sha.length);
  u.length = length;
  u.received = 0;
  u.slot = otherSlot(u.slots);
  if (u.head.length === 0) u.head = new Uint8Array(MANIFEST_AREA);
  u.headLength = 0;
  u.manifest = null;
  u.manifestDigest = null;
  u.stream = sha256Init();
  u.payload = sha256Init();
  u.written = 0;
  u.tailLength = 0;
  u.erased = 0;
}

/** Chunk 0: opens a session, or finds the one of this sha again. `length` is 1 or more. */
export function firstChunk(
  u: Upload,
  length: number,
  sha: Uint8Array | null,
  data: Uint8Array,
): UploadAnswer {
  const same = sha !== null && u.sha !== null && equalBytes(sha, u.sha) && length === u.length;
  if (u.state !== CLOSED && same && u.received > 0) {
    return { fault: FAULT_NONE, off: u.received, match: false };
  }
  if (length > maxUpload(u)) return { fault: FAULT_SLOT_TOO_LARGE, off: 0, match: false };
  start(u, length, sha);
  return takeChunk(u, data);
}

/** Any later chunk. Out of turn it changes nothing. */
export function nextChunk(u: Upload, off: number, data: Uint8Array): UploadAnswer {
  if (u.state === CLOSED) {
    const repeated = u.completed > 0 && off + data.length === u.completed;
    return { fault: FAULT_NONE, off: repeated ? u.completed : 0, match: repeated };
  }
  if (off !== u.received) return { fault: FAULT_NONE, off: u.received, match: false };
  return takeChunk(u, data);
}
