// The requests any SMP server understands: parameters, echo, and MCUboot's two
// image slots. Works on any MCUboot device, not only on our agent. upload.ts sends
// the images.
//
//   state    {hash, confirm: false}       boot this once: test
//            {confirm: true}              keep what runs: confirm
//
// Every request here may be repeated, except reset, which runs once (the second
// could undo a test boot).

import { type CborMap, cborMap } from "@vouch/shared/cbor";
import { Refusal } from "@vouch/shared/refusal";
import {
  GROUP_IMAGE,
  GROUP_OS,
  IMAGE_ERASE,
  IMAGE_STATE,
  OS_ECHO,
  OS_PARAMS,
  OS_RESET,
  RC_NOT_SUPPORTED,
} from "@vouch/shared/smp";
import { bytesField, type Fields, flagField, hasField, listField, textField, uintField } from "./body";
import type { Reply, Request, Session } from "./session";

const ERASE_MS = 20000; // a whole slot, on a slow part

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

/** The image group's own (Zephyr, img_mgmt.h): what an engineer can do something about. */
const IMAGE_WORDS: { readonly [rc: number]: string } = {
  8: "no image with this hash",
  9: "no free slot",
  10: "flash can't be opened",
  11: "flash can't be read",
  12: "flash can't be written",
  13: "flash can't be erased",
  15: "out of memory",
  22: "not an image header",
  23: "not an MCUboot image",
  27: "what runs is newer",
  28: "an image is set to run next",
  30: "too large for the slot",
  31: "more bytes than announced",
  32: "confirmation denied",
  33: "the image runs already",
};

/** The error a device answered, as a Refusal naming its number. */
export function deviceError(what: string, error: { group: number | null; rc: number }): Refusal {
  // From group 1 on, version 2 errors have numbers of their own.
  const words = error.group === null || error.group === GROUP_OS ? RC_WORDS : IMAGE_WORDS;
  const word = words === IMAGE_WORDS && error.group !== GROUP_IMAGE ? undefined : words[error.rc];
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

export async function readImages(
  session: Session,
  patience: Pick<Request, "tries" | "replyMs"> = {},
): Promise<ImageSlot[]> {
  const what = "image state";
  const request = { what, write: false, group: GROUP_IMAGE, command: IMAGE_STATE, body: cborMap([]) };
  return readSlots(await call(session, { ...request, ...patience }));
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
