// Bodies of a stream's signed frames, as the device writes them: deterministic CBOR. [device]
//
//   announce    {1: 1, 2: ueid, 3: public key, 4: bootcount, 5: bootseed, 6: ticks, 7: SHA-256 of the evidence,
//                8: SHA-256 of the running image | null, 9: mode, 10: [group…], 11: [frames, milliseconds],
//                12: [id, seq, link] of the stream it continues | null, 13: keyload | null}
//   keyload     {6: ticks, 13: keyload}
//   checkpoint  {6: ticks}
//   resume      {4: bootcount, 5: bootseed, 6: ticks, 7: evidence, 8: image | null, 13: keyload | null,
//                14: [seq of the checkpoint it is linked to, frames acknowledged as far as the device knows]}
//   close       {6: ticks, 15: reason}
//
//   group       [kind, code, period, [[code, unit, exponent]…]]
//   keyload     [ephemeral X25519 key, [[reader's kid, box of 48 bytes]…]]       sorted by kid
//
// 11: a checkpoint follows at the latest after so many frames, and so long after the first frame that waits for one.
// streamread.ts reads them.

import { type CborMap, type CborValue, cborMap, encodeCbor } from "./cbor";
import type { Group } from "./readings";

export const STREAM_VERSION = 1;

export const KEY_VERSION = 1;
export const KEY_UEID = 2;
export const KEY_PUBLIC = 3;
export const KEY_BOOTCOUNT = 4;
export const KEY_BOOTSEED = 5;
export const KEY_TICKS = 6;
export const KEY_EVIDENCE = 7;
export const KEY_IMAGE = 8;
export const KEY_MODE = 9;
export const KEY_GROUPS = 10;
export const KEY_EVERY = 11;
export const KEY_PARENT = 12;
export const KEY_KEYLOAD = 13;
export const KEY_LAST = 14;
export const KEY_REASON = 15;

/** Why a stream was closed: the host asked. */
export const CLOSE_STOPPED = 0;

export interface WrappedKey {
  kid: Uint8Array;
  box: Uint8Array;
}

export interface Keyload {
  ephemeral: Uint8Array;
  readers: WrappedKey[];
}

/** What a boot says of itself, in announce and resume. */
export interface Boot {
  bootcount: number;
  bootseed: Uint8Array;
  ticks: number;
  /** SHA-256 of the evidence that this boot signed last. */
  evidence: Uint8Array;
  /** SHA-256 of the image that runs; null when none does. */
  image: Uint8Array | null;
  keyload: Keyload | null;
}

export interface Announce extends Boot {
  ueid: Uint8Array;
  publicKey: Uint8Array;
  mode: number;
  groups: Group[];
  /** Frames, and milliseconds, until a checkpoint. */
  everyFrames: number;
  everyMillis: number;
  parent: { id: Uint8Array; seq: number; link: Uint8Array } | null;
}

export interface Resume extends Boot {
  /** The checkpoint that the frame's prev links to. */
  checkpointSeq: number;
  /** All frames below were acknowledged; there may have been more. */
  acknowledged: number;
}

function keyloadValue(k: Keyload | null): CborValue {
  if (k === null) return null;
  const readers: CborValue[] = [];
  for (let i = 0; i < k.readers.length; i++) readers.push([k.readers[i]!.kid, k.readers[i]!.box]);
  return [k.ephemeral, readers];
}

/** A group as an announce has it. */
export function groupValue(group: Group): CborValue {
  const channels: CborValue[] = [];
  for (let i = 0; i < group.channels.length; i++) {
    const c = group.channels[i]!;
    channels.push([c.code, c.unit, c.exponent]);
  }
  return [group.kind, group.code, group.period, channels];
}

export function encodeAnnounce(a: Announce): Uint8Array {
  const groups: CborValue[] = [];
  for (let i = 0; i < a.groups.length; i++) groups.push(groupValue(a.groups[i]!));
  return encodeCbor(
    cborMap([
      [KEY_VERSION, STREAM_VERSION],
      [KEY_UEID, a.ueid],
      [KEY_PUBLIC, a.publicKey],
      [KEY_BOOTCOUNT, a.bootcount],
      [KEY_BOOTSEED, a.bootseed],
      [KEY_TICKS, a.ticks],
      [KEY_EVIDENCE, a.evidence],
      [KEY_IMAGE, a.image],
      [KEY_MODE, a.mode],
      [KEY_GROUPS, groups],
      [KEY_EVERY, [a.everyFrames, a.everyMillis]],
      [KEY_PARENT, a.parent === null ? null : [a.parent.id, a.parent.seq, a.parent.link]],
      [KEY_KEYLOAD, keyloadValue(a.keyload)],
    ]),
  );
}

export function encodeResume(r: Resume): Uint8Array {
  return encodeCbor(
    cborMap([
      [KEY_BOOTCOUNT, r.bootcount],
      [KEY_BOOTSEED, r.bootseed],
      [KEY_TICKS, r.ticks],
      [KEY_EVIDENCE, r.evidence],
      [KEY_IMAGE, r.image],
      [KEY_KEYLOAD, keyloadValue(r.keyload)],
      [KEY_LAST, [r.checkpointSeq, r.acknowledged]],
    ]),
  );
}

export function encodeKeyload(ticks: number, keyload: Keyload | null): Uint8Array {
  const map: CborMap = cborMap([
    [KEY_TICKS, ticks],
    [KEY_KEYLOAD, keyloadValue(keyload)],
  ]);
  return encodeCbor(map);
}

export function encodeCheckpoint(ticks: number): Uint8Array {
  return encodeCbor(cborMap([[KEY_TICKS, ticks]]));
}

export function encodeClose(ticks: number, reason: number): Uint8Array {
  return encodeCbor(
    cborMap([
      [KEY_TICKS, ticks],
      [KEY_REASON, reason],
    ]),
  );
}
