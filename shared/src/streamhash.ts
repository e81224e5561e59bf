// The hashes of a stream by the host's SHA-256: H(tag, parts) of stream.ts, for who reads fifty thousand frames a second.
//
// One buffer a tag, its beginning written once. Not to be shared between calls that overlap: nothing here waits.

import { utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { EPOCH_FRAMES_MAX, STREAM_FRAME_MAX } from "./stream";

export interface StreamHasher {
  link(frame: Uint8Array): Uint8Array;
  key(chain: Uint8Array): Uint8Array;
  next(chain: Uint8Array): Uint8Array;
  nonce(key: Uint8Array, header: Uint8Array, plain: Uint8Array): Uint8Array;
  /** H(tag, part) for whatever is rare. */
  hash(tag: string, part: Uint8Array): Uint8Array;
}

export function streamHasher(crypto: Pick<Crypto, "sha256">): StreamHasher {
  const tagged = (tag: string, room: number) => {
    const head = utf8Encode(`vouch/stream/${tag}\n`);
    const buffer = new Uint8Array(head.length + room);
    buffer.set(head);
    const bySize: Uint8Array[] = [];
    return (a: Uint8Array, b?: Uint8Array, c?: Uint8Array): Uint8Array => {
      buffer.set(a, head.length);
      let end = head.length + a.length;
      if (b !== undefined) {
        buffer.set(b, end);
        end += b.length;
      }
      if (c !== undefined) {
        buffer.set(c, end);
        end += c.length;
      }
      bySize[end] ??= buffer.subarray(0, end);
      return crypto.sha256(bySize[end]!);
    };
  };
  const link = tagged("link", STREAM_FRAME_MAX);
  const key = tagged("mk", 32);
  const next = tagged("ck", 32);
  const nonce = tagged("nonce", 2 * STREAM_FRAME_MAX);
  return {
    link: (frame) => link(frame),
    key: (chain) => key(chain),
    next: (chain) => next(chain),
    nonce: (k, header, plain) => nonce(k, header, plain),
    hash: (tag, part) => tagged(tag, part.length)(part),
  };
}

/** Keys of an epoch's frames from a chain, given in rising order: each step is taken once. */
export function ratchet(
  hasher: StreamHasher,
  chain: Uint8Array,
  from: number,
): (seq: number) => Uint8Array | null {
  let at = from;
  let now = chain;
  return (seq) => {
    if (seq < at || seq - from >= EPOCH_FRAMES_MAX) return null;
    while (at < seq) {
      now = hasher.next(now);
      at++;
    }
    return hasher.key(now);
  };
}
