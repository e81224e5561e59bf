// What a device must know of its streams after it lost power: one record of the store.
//
//   [1, state, kid, id, mode, mask, frames, milliseconds, sampling, epoch, reserved, checkpoint, link, acknowledged]
//
//   epoch         the highest number that was ever used, by any stream under any key: the next is one more
//   reserved      sequence numbers below may have been used
//   checkpoint    the last signed frame that the host acknowledged (or the announce), with its link: what a
//                 resume continues from. Not the last one signed: the host may never have got that
//   acknowledged  the host has all frames below
//   kid           of the key that signed it: after a clear nothing of the old key's goes on
//   sampling      what was announced, in short: 8 bytes of a hash of the groups
//
// Written before a number is used: the epoch's before its key is made, BLOCK sequence numbers at a time. Beside
// that at acknowledged checkpoints, so wear is what the host asks for: about 120 bytes of a half of the store a checkpoint.

import { CBOR_STRICT, type CborValue, decodeCbor, encodeCbor, isBytes } from "@vouch/shared/cbor";
import { loadRecord, RECORD_STREAM, type Store, saveRecord } from "./store";

export const RECORD_NONE = 0;
export const RECORD_OPEN = 1;
/** The close frame was signed, and may not have arrived. */
export const RECORD_CLOSED = 2;

/** Sequence numbers that one write reserves. */
export const BLOCK = 256;

export interface StreamRecord {
  state: number;
  kid: Uint8Array;
  id: Uint8Array;
  mode: number;
  /** Bit n: the sensor's group n is sampled. */
  mask: number;
  frames: number;
  millis: number;
  sampling: Uint8Array;
  epoch: number;
  reserved: number;
  checkpoint: number;
  link: Uint8Array;
  acknowledged: number;
}

const NOTHING = new Uint8Array(0);

function noStream(epoch: number): StreamRecord {
  return {
    state: RECORD_NONE,
    kid: NOTHING,
    id: NOTHING,
    mode: 0,
    mask: 0,
    frames: 0,
    millis: 0,
    sampling: NOTHING,
    epoch,
    reserved: 0,
    checkpoint: 0,
    link: NOTHING,
    acknowledged: 0,
  };
}

function bytesAt(list: CborValue[], at: number): Uint8Array {
  const value = list[at];
  return isBytes(value) ? value : NOTHING;
}

export function loadStreamRecord(store: Store): StreamRecord {
  const bytes = loadRecord(store, RECORD_STREAM);
  const list = bytes === null ? null : decodeCbor(bytes, CBOR_STRICT).value;
  if (!Array.isArray(list) || list.length !== 14 || list[0] !== 1) return noStream(0);
  return {
    state: list[1] as number,
    kid: bytesAt(list, 2),
    id: bytesAt(list, 3),
    mode: list[4] as number,
    mask: list[5] as number,
    frames: list[6] as number,
    millis: list[7] as number,
    sampling: bytesAt(list, 8),
    epoch: list[9] as number,
    reserved: list[10] as number,
    checkpoint: list[11] as number,
    link: bytesAt(list, 12),
    acknowledged: list[13] as number,
  };
}

export function saveStreamRecord(store: Store, r: StreamRecord): number {
  const list: CborValue[] = [1, r.state, r.kid, r.id, r.mode, r.mask, r.frames, r.millis];
  list.push(r.sampling, r.epoch, r.reserved, r.checkpoint, r.link, r.acknowledged);
  return saveRecord(store, RECORD_STREAM, encodeCbor(list));
}

/** Forgets the stream; the epochs it used stay used. */
export function forgetStream(store: Store, r: StreamRecord): number {
  return saveStreamRecord(store, noStream(r.epoch));
}
