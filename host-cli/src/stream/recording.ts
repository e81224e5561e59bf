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
// What follows the last signed frame is provisional: a receiver may have to put another tail in its place (intake.ts).
// What stands before it never changes again.

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
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { isSignedType } from "@vouch/shared/stream";
import { type Frame, parseFrame } from "@vouch/shared/streamread";
import { encodeVstreamHead, type VstreamItem, VstreamReader } from "@vouch/shared/vstream";
import { about } from "../exit";
import { fileTrouble } from "../filetrouble";
import { withFileLock } from "../lock";
import { flushFolder } from "../writefiles";
import { type Chain, followFrame } from "./chain";

const CHUNK = 256 * 1024;
/** Most that is ever written between two flushes. */
export const LOOSE_MAX = 256 * 1024;

/** Where the last signed frame stands: what follows it is provisional, since anybody could have made it. */
export interface Proved {
  /** Where its item begins, and what follows it. The recording's first item where no frame is signed. */
  at: number;
  end: number;
  chain: Chain | null;
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
  /** The chain that its first frame goes on from: of a tail that is kept beside a recording (tail.ts). */
  chain?: Chain;
}

const BEGINNING = encodeVstreamHead().length;
const itemBytes = ({ bytes: { length } }: Frame) => length + (length < 256 ? 2 : 3);

export class Recording {
  private loose = 0;
  private failed: unknown;
  /** The place of the first frame that no signed one follows. */
  private firstUnsigned: number | null = null;
  proved: Proved;

  /** Bytes of whole items that are on the disk for good. */
  flushed = 0;
  /** What was cut off the end when it was opened. */
  torn = 0;

  private constructor(
    readonly path: string,
    private readonly fd: number,
    private readonly disk: Disk,
    public chain: Chain | null,
  ) {
    this.proved = { at: BEGINNING, end: BEGINNING, chain };
  }

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
        return Recording.over(path, fd, disk, options);
      } catch (error) {
        closeSync(fd);
        throw fileTrouble(error, "unwritable", "can't be written");
      }
    });
  }

  private static over(path: string, fd: number, disk: Disk, { take, chain }: OpenOptions): Recording {
    const { size } = fstatSync(fd);
    const recording = new Recording(path, fd, disk, chain ?? null);
    const whole = readWhole(fd, size, (item, at) => {
      if (item.kind === "frame") {
        const frame = parseFrame(item.bytes);
        recording.follow(frame, at, followFrame(recording.chain, frame));
      }
      take?.(item, at);
    });
    if (whole < size) ftruncateSync(fd, whole);
    recording.flushed = whole;
    recording.torn = size - whole;
    if (whole === 0) recording.write(encodeVstreamHead());
    // What a killed process wrote may be in the system's memory alone: it counts from here on.
    recording.sync();
    flushFolder(dirname(path));
    return recording;
  }

  private follow(frame: Frame, at: number, chain: Chain): void {
    this.chain = chain;
    if (isSignedType(frame.type)) {
      this.proved = { at, end: at + itemBytes(frame), chain };
      this.firstUnsigned = null;
    } else this.firstUnsigned ??= at;
  }

  /** Up to here no frame waits for a signature; what recorders say after the last one is part of it. */
  get settled(): number {
    return Math.min(this.flushed, this.firstUnsigned ?? this.flushed);
  }

  /** Where the next item begins. */
  get end(): number {
    return this.flushed + this.loose;
  }

  /** Adds a frame that goes on where the last one ended; `item` is its encoding. Refuses what followFrame does, and `unwritable`. */
  appendFrame(frame: Frame, item: Uint8Array): void {
    const chain = followFrame(this.chain, frame);
    const at = this.end;
    this.append(item);
    this.follow(frame, at, chain);
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
    if (this.loose > 0 || this.failed !== undefined) this.sync();
  }

  private sync(): void {
    if (this.failed !== undefined) throw this.failed;
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

  /**
   * Puts another tail in the place of what follows the last signed frame. Killed at any moment it leaves a recording: the
   * one before, or one with a part of the new tail, which its own file still has.
   */
  replaceTail(other: Recording): void {
    about(this.path, () => {
      this.flush();
      const { end, chain } = this.proved;
      try {
        ftruncateSync(this.fd, end);
        this.disk.sync(this.fd); // before anything is written there: the two are never mixed
      } catch (error) {
        throw this.fail(error);
      }
      this.flushed = end;
      this.chain = chain;
      this.firstUnsigned = null;
      for (let at = BEGINNING; at < other.end; at += CHUNK) {
        this.flush();
        this.write(other.peek(at, CHUNK));
      }
      this.flush();
      const { proved, firstUnsigned } = other;
      const shift = end - BEGINNING;
      this.proved = { ...proved, at: proved.at + shift, end: proved.end + shift };
      this.firstUnsigned = firstUnsigned === null ? null : firstUnsigned + shift;
      this.chain = other.chain;
    });
  }

  /** Bytes of whole items, flushed or not. */
  peek(at: number, length: number): Uint8Array {
    const buffer = new Uint8Array(Math.max(0, Math.min(length, this.end - at)));
    return buffer.subarray(0, readSync(this.fd, buffer, 0, buffer.length, at));
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
