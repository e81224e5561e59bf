// The keys of an epoch in the making: one X25519 at a time, each of which takes seconds on a board.
//
//   epoch key, secret of the ephemeral key     H(tag, device's secret 64 ‖ epoch u32 ‖ starts u32 ‖ seed 32 ‖ random 32)
//   ephemeral key                              one slice
//   a box for each reader                      one slice each
//
// The epoch's number is in the store before this begins, so neither key ever comes again: also where the generator
// is bad, or there is none and no seed came (zeros stand in their place). Who doesn't have the device's secret can't
// make them, whatever else is known.

import { MODE_PUBLIC, readerKid, streamHash, wrapEpochKey } from "@vouch/shared/stream";
import type { Keyload, WrappedKey } from "@vouch/shared/streambody";
import { x25519Public } from "@vouch/shared/x25519";
import type { Device } from "./job";

export const EPOCH_WORKING = 0;
/** All is made; the frame that begins the epoch can be signed. */
export const EPOCH_MADE = 1;
/** A reader's key is a point of small order. */
export const EPOCH_BAD_READER = 2;

export interface Epoch {
  number: number;
  /** Null in a public stream, as are the next two. */
  key: Uint8Array | null;
  secret: Uint8Array | null;
  ephemeral: Uint8Array | null;
  readers: Uint8Array[];
  boxes: WrappedKey[];
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
  readers: Uint8Array[],
  seed: Uint8Array | null,
): Epoch {
  const isMasked = mode !== MODE_PUBLIC;
  return {
    number,
    key: isMasked ? makeSecret("epoch", device, number, seed) : null,
    secret: isMasked ? makeSecret("ephemeral", device, number, seed) : null,
    ephemeral: null,
    readers,
    boxes: [],
  };
}

/** One slice of work; EPOCH_… */
export function stepEpoch(e: Epoch): number {
  const secret = e.secret;
  if (e.key === null || secret === null || e.boxes.length === e.readers.length) return EPOCH_MADE;
  if (e.ephemeral === null) {
    e.ephemeral = x25519Public(secret);
    return EPOCH_WORKING;
  }
  const reader = e.readers[e.boxes.length] as Uint8Array;
  const box = wrapEpochKey(e.key, secret, e.ephemeral, reader, e.number);
  if (box === null) return EPOCH_BAD_READER;
  e.boxes.push({ kid: readerKid(reader), box });
  if (e.boxes.length === e.readers.length) wipe(secret);
  return EPOCH_WORKING;
}

/** Whether the next slice makes nothing, and the frame that begins the epoch is next. */
export function isMade(e: Epoch): boolean {
  return e.boxes.length === e.readers.length;
}

export function keyloadOf(e: Epoch): Keyload | null {
  return e.key === null ? null : { ephemeral: e.ephemeral as Uint8Array, readers: e.boxes };
}

/** Wipes what an epoch that didn't come to be has of keys. */
export function dropEpoch(e: Epoch): void {
  wipe(e.key);
  wipe(e.secret);
}
