// The keys of an epoch in the making: one X25519 at a time, each of which takes seconds on a board.
//
//   epoch key, secret of the ephemeral key     H(tag, device's secret 64 ‖ epoch u32 ‖ starts u32 ‖ seed 32 ‖ random 32)
//   ephemeral key                              one slice
//   a box for each reader                      one slice each
//
// The epoch's number is in the store before this begins, so neither key ever comes again: also where the generator
// is bad, or there is none and no seed came (zeros stand in their place). Who doesn't have the device's secret can't
// make them, whatever else is known.

import { copyBytes } from "@vouch/shared/bytes";
import { MODE_PUBLIC, readerKid, streamHash, wrapEpochKey } from "@vouch/shared/stream";
import type { Keyload, WrappedKey } from "@vouch/shared/streambody";
import { x25519Public } from "@vouch/shared/x25519";
import type { Device } from "./job";

const KEY_BYTES = 32;
const KID_BYTES = 8;
const WRAPPED_BYTES = KID_BYTES + 48;

export const EPOCH_WORKING = 0;
/** All is made; the frame that begins the epoch can be signed. */
const EPOCH_MADE = 1;
/** A reader's key is a point of small order. */
export const EPOCH_BAD_READER = 2;

export interface Epoch {
  number: number;
  /** Null in a public stream, as are the next two. */
  key: Uint8Array | null;
  secret: Uint8Array | null;
  ephemeral: Uint8Array | null;
  /** Keys of 32 bytes one after another, and for each that was dealt with its kid and box. */
  readers: Uint8Array;
  boxes: Uint8Array;
  made: number;
}

/** Overwrites a key that is done with. */
export function wipe(bytes: Uint8Array | null): void {
  if (bytes !== null) for (let i = 0; i < bytes.length; i++) bytes[i] = 0;
}

function numbers(epoch: number, starts: number): Uint8Array {
  const out = new Uint8Array(8);
  for (let i = 0; i < 4; i++) {
    out[i] = epoch >>> (24 - 8 * i);
    out[4 + i] = starts >>> (24 - 8 * i);
  }
  return out;
}

function makeSecret(tag: string, device: Device, epoch: number, seed: Uint8Array | null): Uint8Array {
  const zeros = new Uint8Array(32);
  const random = device.port.random;
  return streamHash(tag, [
    device.identity.secretKey as Uint8Array,
    numbers(epoch, device.starts),
    seed === null ? zeros : seed,
    random === null ? zeros : random(32),
  ]);
}

/** Begins epoch `number`, which the store has as used. */
export function beginEpoch(
  device: Device,
  number: number,
  mode: number,
  readers: Uint8Array,
  seed: Uint8Array | null,
): Epoch {
  const isMasked = mode !== MODE_PUBLIC;
  return {
    number,
    key: isMasked ? makeSecret("epoch", device, number, seed) : null,
    secret: isMasked ? makeSecret("ephemeral", device, number, seed) : null,
    ephemeral: null,
    readers,
    boxes: new Uint8Array((readers.length / KEY_BYTES) * WRAPPED_BYTES),
    made: 0,
  };
}

/** Whether the next slice makes nothing, and the frame that begins the epoch is next. */
export function isMade(e: Epoch): boolean {
  return e.made * KEY_BYTES === e.readers.length;
}

/** One slice of work; EPOCH_… */
export function stepEpoch(e: Epoch): number {
  const secret = e.secret;
  if (e.key === null || secret === null || isMade(e)) return EPOCH_MADE;
  if (e.ephemeral === null) {
    e.ephemeral = x25519Public(secret);
    return EPOCH_WORKING;
  }
  const reader = copyBytes(e.readers, e.made * KEY_BYTES, (e.made + 1) * KEY_BYTES);
  const box = wrapEpochKey(e.key, secret, e.ephemeral, reader, e.number);
  if (box === null) return EPOCH_BAD_READER;
  e.boxes.set(readerKid(reader), e.made * WRAPPED_BYTES);
  e.boxes.set(box, e.made * WRAPPED_BYTES + KID_BYTES);
  e.made++;
  if (isMade(e)) wipe(secret);
  return EPOCH_WORKING;
}

export function keyloadOf(e: Epoch): Keyload | null {
  if (e.key === null) return null;
  const readers: WrappedKey[] = [];
  for (let at = 0; at < e.boxes.length; at += WRAPPED_BYTES) {
    const kidEnd = at + KID_BYTES;
    readers.push({ kid: e.boxes.subarray(at, kidEnd), box: e.boxes.subarray(kidEnd, at + WRAPPED_BYTES) });
  }
  return { ephemeral: e.ephemeral as Uint8Array, readers };
}

/** Wipes what an epoch that didn't come to be has of keys. */
export function dropEpoch(e: Epoch): void {
  wipe(e.key);
  wipe(e.secret);
}
