// A recording on disk while it is written: one stream, whole items, and nothing acknowledged that isn't flushed.
//
//   open     the only writer (lock)  ──▶  read it all  ──▶  cut what is torn  ──▶  flush
//   append   write at the end, in one piece              on a full disk: cut back, refuse
//   flush    fsync; only now `flushed` moves, and with it what may be acknowledged
//
//   …│ item │ item │ it          a kill left this: the last item is cut off. It was never acknowledged: nothing
//    └─ flushed ───┘             is, before a flush that came after it is done
//
// A power cut may leave bytes that were never written, zeros mostly, past what was flushed: at most LOOSE_MAX, since
// no more is ever written without a flush. Damage further from the end is refused and left as it is.
//
// The chain of frames is followed here as far as it keeps a recorder from losing or doubling one: number after
// number, link after link. Who signed what is streamcheck.ts's.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
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
import { encodeVstreamHead, type VstreamItem, VstreamReader } from "@vouch/shared/vstream";
import { about } from "../exit";
import { fileTrouble, flushFolder } from "../files";
import { withFileLock } from "../lock";

const CHUNK = 256 * 1024;
/** Most that is ever written between two flushes. */
export const LOOSE_MAX = 256 * 1024;

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

/** What touches the disk, so that a test can have it fail. */
export interface Disk {
  write(fd: number, bytes: Uint8Array, at: number): number;
  sync(fd: number): void;
}

const realDisk: Disk = {
  write: (fd, bytes, at) => writeSync(fd, bytes, 0, bytes.length, at),
  sync: fsyncSync,
};

export interface OpenOptions {
  /** Sees every item that is there already; what it holds is good during the call. */
  take?: (item: VstreamItem, at: number) => void;
  disk?: Disk;
}

export class Recording {
  private loose = 0;
  private failed: unknown;

  private constructor(
    readonly path: string,
    private readonly fd: number,
    private readonly disk: Disk,
    /** Bytes of whole items that are on the disk for good. */
    public flushed: number,
    /** What was cut off the end when it was opened. */
    readonly torn: number,
    public chain: Chain | null,
  ) {}

  /** Opens it, or makes it. Refuses `vstream-damaged`, `not-a-vstream`, `unwritable`, and what followFrame does. */
  static open(path: string, options: OpenOptions = {}): Recording {
    const disk = options.disk ?? realDisk;
    return about(path, () => {
      let fd: number;
      try {
        fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
      } catch (error) {
        throw fileTrouble(error, "unwritable", "can't be written");
      }
      try {
        if (!fstatSync(fd).isFile())
          throw new Refusal("not-a-file", "a recording is a file that is read again");
        return Recording.over(path, fd, disk, options.take ?? (() => {}));
      } catch (error) {
        closeSync(fd);
        throw fileTrouble(error, "unwritable", "can't be written");
      }
    });
  }

  private static over(
    path: string,
    fd: number,
    disk: Disk,
    take: (item: VstreamItem, at: number) => void,
  ): Recording {
    const { size } = fstatSync(fd);
    let chain: Chain | null = null;
    const whole = readWhole(fd, size, (item, at) => {
      if (item.kind === "frame") chain = followFrame(chain, parseFrame(item.bytes));
      take(item, at);
    });
    if (whole < size) ftruncateSync(fd, whole);
    const recording = new Recording(path, fd, disk, whole, size - whole, chain);
    if (whole === 0) recording.write(encodeVstreamHead());
    // What a killed process wrote may be in the system's memory alone: it counts from here on.
    recording.flush();
    flushFolder(dirname(path));
    return recording;
  }

  /** Where the next item begins. */
  get end(): number {
    return this.flushed + this.loose;
  }

  /** Adds a frame that goes on where the last one ended; `item` is its encoding. Refuses what followFrame does, and `unwritable`. */
  appendFrame(frame: Frame, item: Uint8Array): void {
    const chain = followFrame(this.chain, frame);
    this.append(item);
    this.chain = chain;
  }

  /** Adds an item that is no frame. */
  append(item: Uint8Array): void {
    about(this.path, () => {
      if (this.loose + item.length > LOOSE_MAX && this.loose > 0) this.flush();
      this.write(item);
    });
  }

  private write(bytes: Uint8Array): void {
    if (this.failed !== undefined) throw this.failed;
    try {
      for (let done = 0; done < bytes.length; )
        done += this.disk.write(this.fd, bytes.subarray(done), this.end + done);
      this.loose += bytes.length;
    } catch (error) {
      throw this.fail(error);
    }
  }

  /** Has the disk keep what was written. After a failure nothing is known of it, so nothing more is written. */
  flush(): void {
    if (this.failed !== undefined) throw this.failed;
    if (this.loose === 0) return;
    try {
      this.disk.sync(this.fd);
    } catch (error) {
      throw this.fail(error);
    }
    this.flushed += this.loose;
    this.loose = 0;
  }

  private fail(error: unknown): unknown {
    this.failed = fileTrouble(error, "unwritable", "can't be written");
    try {
      ftruncateSync(this.fd, this.flushed);
    } catch {
      // Opening it again cuts it, by what is whole.
    }
    return this.failed;
  }

  /** Bytes of what is flushed, for who passes it on. */
  read(at: number, length: number): Uint8Array {
    const buffer = new Uint8Array(Math.max(0, Math.min(length, this.flushed - at)));
    return buffer.subarray(0, readSync(this.fd, buffer, 0, buffer.length, at));
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Feeds all whole items to `take`, and gives where the last one ends. */
function readWhole(fd: number, size: number, take: (item: VstreamItem, at: number) => void): number {
  const reader = new VstreamReader();
  const buffer = new Uint8Array(Math.min(CHUNK, Math.max(1, size)));
  try {
    for (let at = 0; at < size; ) {
      const count = readSync(fd, buffer, 0, buffer.length, at);
      if (count === 0) break;
      at += count;
      reader.push(buffer.subarray(0, count), take);
    }
    reader.end();
  } catch (error) {
    if (!isRefusal(error) || !CUT.includes(error.code) || size - reader.at > LOOSE_MAX) throw error;
    if (reader.at === 0) throw error; // nothing of it is a recording: it isn't ours to cut
  }
  return reader.at;
}

/** The stream that a recording is of; null when it has no frame yet, or isn't there. What is wrong with it shows when it is opened. */
export function recordedStream(path: string): Uint8Array | null {
  let id: Uint8Array | null = null;
  if (!existsSync(path)) return null;
  const fd = openSync(path, "r");
  const reader = new VstreamReader();
  const buffer = new Uint8Array(CHUNK);
  try {
    for (let at = 0, count = 1; id === null && count > 0; at += count) {
      count = readSync(fd, buffer, 0, buffer.length, at);
      reader.push(buffer.subarray(0, count), (item) => {
        if (item.kind === "frame") id ??= parseFrame(item.bytes).id.slice();
      });
    }
  } catch (error) {
    if (!isRefusal(error)) throw error;
  } finally {
    closeSync(fd);
  }
  return id;
}

/** What bytes that were never written look like. */
const CUT = ["vstream-damaged", "coincidence-malformed"];

/** Opens a recording as its only writer, for as long as `work` runs. Refuses `locked`. */
export function withRecording<T>(
  path: string,
  options: OpenOptions,
  work: (recording: Recording) => Promise<T>,
): Promise<T> {
  return withFileLock(path, 0, async () => {
    const recording = Recording.open(path, options);
    try {
      return await work(recording);
    } finally {
      recording.close();
    }
  });
}
