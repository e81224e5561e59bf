// The requests any SMP server understands: echo, parameters, and MCUboot's two
// image slots. Works on any MCUboot device, not only on our agent.
//
//   upload   {len, off: 0, sha, data}     starts, or finds the session of this sha again
//            {off, data} …                the reply's `off` says how much has arrived
//   state    {hash, confirm: false}       boot this once: test
//            {confirm: true}              keep what runs: confirm
//
// `off` in a reply is cumulative: a chunk that was lost, came twice or came too
// late changes nothing but the offset to go on from. So every request here may
// be repeated, except reset, which runs once (the second could undo a test boot).
// An upload is resumed by uploading again: the device knows the session by the
// SHA-256 of the whole stream and answers with the offset it has.

import { type CborMap, cborMap, encodeCbor } from "@vouch/shared/cbor";
import { Refusal } from "@vouch/shared/refusal";
import {
  GROUP_IMAGE,
  GROUP_OS,
  IMAGE_ERASE,
  IMAGE_STATE,
  IMAGE_UPLOAD,
  OS_ECHO,
  OS_PARAMS,
  OS_RESET,
  RC_NOT_SUPPORTED,
  SMP_HEADER_BYTES,
} from "@vouch/shared/smp";
import { bytesField, type Fields, flagField, hasField, listField, textField, uintField } from "./body";
import type { Reply, Request, Session } from "./session";

// Largest message: what a server advertises, less the length and CRC around it.
const FRAME_BYTES = 4;
// Stock Zephyr takes two lines in a burst whatever it advertises; one line always fits.
const LADDER = [178, 88];
const CHUNK_TRIES = 3; // per size, then a smaller one
const ERASE_MS = 20000; // a whole slot, on a slow part
const FIRST_CHUNK_MS = 3000; // it may erase first; sending it again is harmless

const RC_WORDS = [
  "ok",
  "unknown error",
  "out of memory",
  "invalid value",
  "timeout",
  "no such entry",
  "bad state",
  "message too large",
  "not supported",
  "corrupt",
  "busy",
  "access denied",
];

/** The error a device answered, as a Refusal naming its number. */
export function deviceError(what: string, error: { group: number | null; rc: number }): Refusal {
  // From group 1 on, version 2 errors have numbers of their own; the words are for the common ones.
  const word = error.group === null || error.group === GROUP_OS ? RC_WORDS[error.rc] : undefined;
  const name = word === undefined ? `${error.rc}` : `${error.rc} (${word})`;
  const group = error.group === null ? "" : ` of group ${error.group}`;
  return new Refusal("device-error", `the device answers ${what} with error ${name}${group}`);
}

export async function call(session: Session, request: Request): Promise<Fields> {
  return { what: request.what, body: expectOk(request.what, await session.exchange(request)) };
}

export function expectOk(what: string, reply: Reply): CborMap {
  if (reply.kind === "error") throw deviceError(what, reply);
  return reply.body;
}

export async function echo(session: Session, text: string): Promise<string> {
  const body = cborMap([["d", text]]);
  const request = { what: "echo", write: true, group: GROUP_OS, command: OS_ECHO, body };
  return textField(await call(session, request), "r");
}

export interface Parameters {
  bufferSize: number;
  bufferCount: number;
}

const UNKNOWN_PARAMETERS: Parameters = { bufferSize: 256, bufferCount: 1 };

/** What the server's buffers hold; the smallest in the field when it can't say. */
export async function readParameters(session: Session): Promise<Parameters> {
  const request = {
    what: "parameters",
    write: false,
    group: GROUP_OS,
    command: OS_PARAMS,
    body: cborMap([]),
  };
  const reply = await session.exchange(request);
  if (reply.kind === "error" && reply.rc === RC_NOT_SUPPORTED) return UNKNOWN_PARAMETERS;
  const fields = { what: request.what, body: expectOk(request.what, reply) };
  return {
    bufferSize: Math.max(96, uintField(fields, "buf_size", 65535)),
    bufferCount: Math.max(1, uintField(fields, "buf_count", 255)),
  };
}

export interface ImageSlot {
  image: number;
  slot: number;
  version: string;
  /** As the device claims it; proof is the measurement. */
  hash: Uint8Array | null;
  bootable: boolean;
  pending: boolean;
  confirmed: boolean;
  active: boolean;
  permanent: boolean;
}

export async function readImages(session: Session): Promise<ImageSlot[]> {
  const what = "image state";
  const request = { what, write: false, group: GROUP_IMAGE, command: IMAGE_STATE, body: cborMap([]) };
  return readSlots(await call(session, request));
}

function readSlots(fields: Fields): ImageSlot[] {
  return listField(fields, "images", 16).map((slot) => ({
    image: hasField(slot, "image") ? uintField(slot, "image", 255) : 0,
    slot: uintField(slot, "slot", 255),
    version: hasField(slot, "version") ? textField(slot, "version") : "",
    hash: hasField(slot, "hash") ? bytesField(slot, "hash") : null,
    bootable: flagField(slot, "bootable"),
    pending: flagField(slot, "pending"),
    confirmed: flagField(slot, "confirmed"),
    active: flagField(slot, "active"),
    permanent: flagField(slot, "permanent"),
  }));
}

/** Marks an uploaded image to be booted once. Saying it twice changes nothing. */
export async function testImage(session: Session, hash: Uint8Array): Promise<void> {
  await writeState(session, "test", [
    ["confirm", false],
    ["hash", hash],
  ]);
}

/** Keeps the image that runs. Saying it twice changes nothing. */
export async function confirmImage(session: Session): Promise<void> {
  await writeState(session, "confirm", [["confirm", true]]);
}

async function writeState(
  session: Session,
  what: string,
  pairs: [string, boolean | Uint8Array][],
): Promise<void> {
  await call(session, {
    what,
    write: true,
    group: GROUP_IMAGE,
    command: IMAGE_STATE,
    body: cborMap(pairs),
    replyMs: 2000,
  });
}

export async function eraseImage(session: Session, slot: number): Promise<void> {
  const body = cborMap([["slot", slot]]);
  const request = { what: "erase", write: true, group: GROUP_IMAGE, command: IMAGE_ERASE, body };
  await call(session, { ...request, replyMs: ERASE_MS, tries: 3 });
}

/** Asks once for a restart. No answer is no failure: whether it restarted, its boot count tells. */
export async function resetDevice(session: Session): Promise<void> {
  const request = { what: "reset", write: true, group: GROUP_OS, command: OS_RESET, body: cborMap([]) };
  try {
    expectOk(request.what, await session.exchange({ ...request, tries: 1 }));
  } catch (error) {
    if (!(error instanceof Refusal) || !LOST.has(error.code)) throw error;
  }
}

const LOST = new Set(["device-timeout", "device-closed"]);

export interface UploadOptions {
  sha256: Uint8Array;
  parameters: Parameters;
  onProgress?: (done: number) => void;
}

/** Sends a whole upload, from wherever the device already is. */
export async function uploadImage(
  session: Session,
  stream: Uint8Array,
  options: UploadOptions,
): Promise<void> {
  const full = Math.max(LADDER[1] ?? 0, options.parameters.bufferSize - FRAME_BYTES);
  const sizes = [full, ...LADDER.filter((size) => size < full)];
  // Progress is measured by the furthest offset, so that a device that keeps falling back ends in a refusal.
  let furthest = 0;
  let stalls = 0;
  let off = 0;
  let rung = 0;
  while (off < stream.length) {
    let next: number;
    try {
      // The smallest size is the last hope: twice the tries.
      const tries = rung + 1 < sizes.length ? CHUNK_TRIES : 2 * CHUNK_TRIES;
      next = await sendChunk(session, stream, off, sizes[rung] ?? full, tries, options.sha256);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "device-timeout" || rung + 1 >= sizes.length)
        throw error;
      rung++;
      continue;
    }
    stalls = next > furthest ? 0 : stalls + 1;
    if (stalls > 16) {
      throw new Refusal("device-error", `the upload doesn't get past ${furthest} of ${stream.length} bytes`);
    }
    furthest = Math.max(furthest, next);
    off = next;
    options.onProgress?.(off);
  }
}

/** The offset the device wants next. */
async function sendChunk(
  session: Session,
  stream: Uint8Array,
  off: number,
  messageBytes: number,
  tries: number,
  sha256: Uint8Array,
): Promise<number> {
  const empty = chunkBody(stream, off, off, sha256);
  // A byte string's own length takes up to two bytes more than the empty one's.
  const room = messageBytes - SMP_HEADER_BYTES - encodeCbor(empty).length - 2;
  const end = Math.min(stream.length, off + Math.max(1, room));
  const fields = await call(session, {
    what: `upload at ${off}`,
    write: true,
    group: GROUP_IMAGE,
    command: IMAGE_UPLOAD,
    body: chunkBody(stream, off, end, sha256),
    replyMs: off === 0 ? FIRST_CHUNK_MS : 1000,
    tries,
  });
  return uintField(fields, "off", stream.length);
}

function chunkBody(stream: Uint8Array, off: number, end: number, sha256: Uint8Array): CborMap {
  const data = stream.subarray(off, end);
  if (off > 0) {
    return cborMap([
      ["data", data],
      ["off", off],
    ]);
  }
  return cborMap([
    ["data", data],
    ["len", stream.length],
    ["off", 0],
    ["sha", sha256],
  ]);
}
