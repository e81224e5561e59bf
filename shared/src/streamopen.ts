// Who may read a stream: what an epoch's keys are to the owner or another reader of its keyload.
//
//   keyload ──kid──▶ box ──X25519, secretbox──▶ epoch key ──▶ chain_0 ──▶ key of each frame
//
// A keyload is hostile until it has opened: a point of small order would make the key known to all, a box may be
// another reader's under the same kid, and the key inside may open nothing. Each has its code.

import { equalBytes } from "./bytes";
import type { Crypto } from "./crypto";
import { Refusal } from "./refusal";
import { openBox } from "./secretbox";
import { readerKid, wrapKey } from "./stream";
import type { Keyload } from "./streambody";
import { ratchet, streamHasher } from "./streamhash";

/** A frame that begins an epoch, as far as its keys matter. */
export interface EpochStart {
  id: Uint8Array;
  epoch: number;
  seq: number;
  keyload: Keyload | null;
}

/** Keys of frames, asked for in rising order; null for a frame that this reader has none of. */
export type FrameKeys = (seq: number) => Uint8Array | null;

export interface Opener {
  /** Keys came from somebody who granted them, and not from the device: when they open nothing, it isn't the device's fault. */
  readonly isGrant?: boolean;
  /** The keys of an epoch that begins; null when it has none. Refuses `stream-not-reader`, `stream-keyload-…`. */
  open(start: EpochStart): FrameKeys | null;
}

export interface ReaderKey {
  secret: Uint8Array;
  publicKey: Uint8Array;
}

/** The epoch key in a keyload. Refuses `stream-not-reader`, `stream-keyload-order`, `stream-keyload-box`. */
export function unwrapEpochKey(keyload: Keyload, epoch: number, reader: ReaderKey): Uint8Array {
  const kid = readerKid(reader.publicKey);
  const wrapped = keyload.readers.find((r) => equalBytes(r.kid, kid));
  if (wrapped === undefined)
    throw new Refusal("stream-not-reader", `epoch ${epoch} has other readers, this key is none of them`);
  const wrap = wrapKey(reader.secret, keyload.ephemeral, reader.publicKey, keyload.ephemeral, epoch);
  if (wrap === null)
    throw new Refusal("stream-keyload-order", `the keyload of epoch ${epoch} has a point of small order`);
  const key = openBox(wrap.key, wrap.nonce, wrapped.box);
  if (key === null)
    throw new Refusal(
      "stream-keyload-box",
      `the box that epoch ${epoch} has under this reader's kid isn't for this reader's key`,
    );
  return key;
}

/** Opens what a reader of the keyloads may. */
export function readerOpener(reader: ReaderKey, crypto: Pick<Crypto, "sha256">): Opener {
  const hasher = streamHasher(crypto);
  return {
    open({ epoch, seq, keyload }) {
      if (keyload === null) return null;
      return ratchet(hasher, unwrapEpochKey(keyload, epoch, reader), seq);
    },
  };
}
