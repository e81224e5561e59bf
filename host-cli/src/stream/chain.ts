// The chain of a recording's frames, followed as far as it keeps a recorder from losing or doubling one: number after
// number, link after link. What they prove is streamcheck.ts's.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { Refusal } from "@vouch/shared/refusal";
import {
  FRAME_ANNOUNCE,
  FRAME_CLOSE,
  FRAME_RESUME,
  isSignedType,
  linkOf,
  streamIdOf,
  streamMessage,
} from "@vouch/shared/stream";
import type { Announce } from "@vouch/shared/streambody";
import {
  decodeAnnounce,
  decodeResume,
  type Frame,
  parseFrame,
  startsEpoch,
  unsignedWithoutId,
} from "@vouch/shared/streamread";
import type { CoincidenceStatement, VstreamItem } from "@vouch/shared/vstream";

/** Where a recording's chain of frames stands. */
export interface Chain {
  id: Uint8Array;
  announce: Announce;
  epoch: number;
  seq: number;
  /** Link of the last frame, which the next one carries. */
  link: Uint8Array;
  /** The device's start that the last frames are from, and how many bytes of its run they are. */
  bootcount: number;
  place: number;
  /** Frames altogether, and those that no signed one follows. */
  frames: number;
  unsigned: number;
  isClosed: boolean;
}

/** The chain with one more frame; null before the first. Refuses `stream-link`, `stream-other`, `stream-malformed`. */
export function followFrame(chain: Chain | null, frame: Frame): Chain {
  if (chain === null) return beginChain(frame);
  if (!equalBytes(frame.id, chain.id))
    throw new Refusal(
      "stream-other",
      `a frame of stream ${toHex(frame.id)}, the recording is of ${toHex(chain.id)}`,
    );
  if (chain.isClosed) throw broken(frame, "the stream was closed before it");
  const isResume = frame.type === FRAME_RESUME;
  if (frame.type === FRAME_ANNOUNCE) throw broken(frame, "a stream is announced once");
  if (isResume ? frame.seq <= chain.seq : frame.seq !== chain.seq + 1)
    throw broken(frame, `frame ${chain.seq} came before it`);
  if (!isResume && !equalBytes(frame.prev, chain.link))
    throw broken(frame, "its link is to another frame before it");
  if (startsEpoch(frame.type) ? frame.epoch <= chain.epoch : frame.epoch !== chain.epoch)
    throw broken(frame, `its epoch is ${frame.epoch}, that before it ${chain.epoch}`);
  const boot = isResume ? decodeResume(frame.body, chain.announce.mode) : null;
  return {
    ...chain,
    epoch: frame.epoch,
    seq: frame.seq,
    link: linkOf(frame.bytes),
    bootcount: boot === null ? chain.bootcount : boot.bootcount,
    place: (boot === null ? chain.place : 0) + frame.bytes.length,
    frames: chain.frames + 1,
    unsigned: isSignedType(frame.type) ? 0 : chain.unsigned + 1,
    isClosed: frame.type === FRAME_CLOSE,
  };
}

function beginChain(frame: Frame): Chain {
  if (frame.type !== FRAME_ANNOUNCE || frame.seq !== 0)
    throw broken(frame, "a stream begins with its announce frame");
  if (!equalBytes(streamIdOf(unsignedWithoutId(frame)), frame.id))
    throw broken(frame, "the stream's id isn't that of its announce frame");
  const announce = decodeAnnounce(frame.body.slice());
  return {
    id: frame.id.slice(),
    announce,
    epoch: frame.epoch,
    seq: 0,
    link: linkOf(frame.bytes),
    bootcount: announce.bootcount,
    place: frame.bytes.length,
    frames: 1,
    unsigned: 0,
    isClosed: false,
  };
}

const broken = (frame: Frame, why: string) =>
  new Refusal(
    "stream-link",
    `frame ${frame.seq} of type ${frame.type} doesn't go on where the recording ends: ${why}`,
  );

/**
 * Settles that a frame which carries a signature has one by `key`, before it is written: what isn't the device's may come
 * again right. Gives the key; where none is known yet, the announce's own. Refuses `stream-signature`, `stream-wrong-signer`.
 */
export function checkSigned(frame: Frame, key: Uint8Array | null, crypto: Crypto): Uint8Array | null {
  if (frame.signature === null) return key;
  const named = frame.type === FRAME_ANNOUNCE ? decodeAnnounce(frame.body).publicKey : key;
  if (named === null) throw new Refusal("stream-unannounced", "a signed frame came before any announce");
  if (key !== null && !equalBytes(named, key))
    throw new Refusal("stream-wrong-signer", "the announce names another key than is expected of the device");
  if (!crypto.verifyEd25519(named, streamMessage(frame.unsigned), frame.signature))
    throw new Refusal("stream-signature", `frame ${frame.seq} isn't signed by the device's key`);
  return named.slice();
}

/**
 * What a receiver settles of an item before it is written: a signed frame is the device's, a resume finds all that it says
 * was acknowledged, a coincidence is about the frame before it.
 */
export function checkItem(item: VstreamItem, chain: Chain | null, crypto: Crypto): void {
  if (item.kind === "coincidence") checkSaid(item.statement, chain);
  if (item.kind !== "frame") return;
  const frame = parseFrame(item.bytes);
  checkSigned(frame, chain?.announce.publicKey ?? null, crypto);
  if (frame.type !== FRAME_RESUME || chain === null) return;
  const { acknowledged } = decodeResume(frame.body, chain.announce.mode);
  if (acknowledged > chain.seq + 1)
    throw new Refusal(
      "stream-truncated",
      `frames up to ${acknowledged - 1} were acknowledged, and there is none after ${chain.seq}`,
    );
}

function checkSaid({ id, epoch, seq, link }: CoincidenceStatement, chain: Chain | null): void {
  const isOfLast =
    chain !== null &&
    equalBytes(id, chain.id) &&
    epoch === chain.epoch &&
    seq === chain.seq &&
    equalBytes(link, chain.link);
  if (!isOfLast)
    throw new Refusal("stream-coincidence", "a coincidence is about another frame than the one before it");
}
