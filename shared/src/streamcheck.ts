// A stream verified as it comes: frames in, events out, in bounded memory.
//
// A reading is evidence when, in this order,
//   1. its frame is one, of this stream, with the number that comes next, linked to the frame before;
//   2. it belongs to the epoch that runs, and is masked as the stream's mode says;
//   3. a later frame that is linked to it carries the signature of the device's key.
//
//   A ◀── d ◀── d ◀── C ◀── d ◀── d ┆ power lost ┆ C ◀── R ◀── d ◀── C
//   signed ◀──bound──┘      └─ hang ─┘            └ named by R
//
// Blocks wait for step 3, or for what shows that it never comes (streamwaiting.ts); no frame decides about itself. What is wrong is
// told as a finding and the rest is read on, so that one bad frame doesn't hide the others. A frame that isn't
// taken (a forged signature, a stream that isn't this one) changes nothing. spec/stream.md, "Rules", has the
// argument and what can't be known.

import { copyBytes, equalBytes, toHex } from "./bytes";
import type { Refusal } from "./refusal";
import {
  EPOCH_FRAMES_MAX,
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_KEYLOAD,
  FRAME_RESUME,
  MODE_PUBLIC,
  streamIdOf,
  streamMessage,
} from "./stream";
import { Bodies } from "./streambodies";
import type { Keyload } from "./streambody";
import { StreamClock } from "./streamclock";
import { Ending } from "./streamending";
import type { CheckOptions, ProvedNote, StreamEvents, StreamSummary } from "./streamevents";
import { Findings } from "./streamfindings";
import { type StreamHasher, streamHasher } from "./streamhash";
import { checkResume, checkSuccessor, ownAnnounce, ownBoot, type Stream } from "./streamlineage";
import { Numbers, tellAgain } from "./streamnumbers";
import {
  decodeAnnounce,
  decodeCheckpoint,
  decodeClose,
  decodeKeyload,
  decodeResume,
  type Frame,
  parseFrame,
  unsignedWithoutId,
} from "./streamread";
import type { StreamCode } from "./streamreasons";
import { WaitingRoom } from "./streamwaiting";
import type { CoincidenceStatement } from "./vstream";

export type * from "./streamevents";

/** Streams gone by whose frames are known as theirs; those of older ones are of a stream that nobody knows. */
const EARLIER_KEPT = 64;
/** Signed frames that a resume may name, the last first. */
const SIGNED_KEPT = 256;

export class StreamChecker {
  private readonly hasher: StreamHasher;
  private readonly told: Findings;
  private stream: Stream | null = null;
  private earlier: Uint8Array[] = [];
  private maxEpoch = 0;
  private readonly waiting: WaitingRoom;
  private readonly ending: Ending;
  private readonly bodies: Bodies;
  private readonly counts = { frames: 0, proved: 0 };

  constructor(
    private readonly options: CheckOptions,
    private readonly events: StreamEvents,
  ) {
    this.hasher = streamHasher(options.crypto);
    this.told = new Findings(events);
    this.waiting = new WaitingRoom(events, options.again ?? null, this.hasher);
    this.bodies = new Bodies(options, this.hasher);
    this.ending = new Ending(options, events);
  }

  /** The last signed frame of the stream that runs. */
  get head(): ProvedNote | null {
    return this.stream?.head ?? null;
  }

  /** The next frame; `at` is its place in the recording. */
  frame(bytes: Uint8Array, at = 0): void {
    this.counts.frames++;
    const frame = this.told.attempt(null, at, () => parseFrame(bytes));
    if (frame === null) return;
    if (frame.type === FRAME_ANNOUNCE) {
      this.announce(frame, at);
      return;
    }
    const { stream } = this;
    const tell = this.told.teller(frame.seq, at);
    if (stream === null) {
      tell("stream-unannounced", `frame ${frame.seq} comes before any announce`);
      return;
    }
    if (!equalBytes(frame.id, stream.id)) {
      this.other(frame, at);
      return;
    }
    if (stream.isClosed) {
      tell("stream-after-close", `frame ${frame.seq} comes after the close`);
      return;
    }
    if (frame.signature !== null && !this.isSigned(frame, stream.announce.publicKey)) {
      tell("stream-signature", `frame ${frame.seq} isn't signed by the stream's key`);
      return;
    }
    if (frame.seq <= stream.last.seq) {
      tellAgain(frame, stream, at, this.told);
      return;
    }
    const link = this.hasher.link(bytes);
    if (frame.type === FRAME_RESUME) this.resume(frame, stream, at);
    else this.next(frame, stream, at, link);
    stream.numbers.remember(frame, link, at);
    stream.last = { seq: frame.seq, link };
    if (frame.signature !== null) this.prove(frame, stream, link);
    this.ending.passes(stream, frame.seq, link, tell);
  }

  /** A recorder's statement, in its place among the frames. */
  coincidence(statement: CoincidenceStatement, at = 0): void {
    const { stream } = this;
    const tell = this.told.teller(statement.seq, at);
    if (stream !== null && equalBytes(statement.id, stream.id))
      this.ending.coincidence(statement, stream, tell);
    else if (!this.isEarlier(statement.id))
      tell("stream-coincidence", "a coincidence is about a stream that doesn't run there");
  }

  /** The recording can't be read on from `at`. */
  damaged(refusal: Refusal, at: number): void {
    this.told.attempt(null, at, () => {
      throw refusal;
    });
  }

  /** After the last item; `torn` is how many bytes hang after it. */
  end(torn = 0): StreamSummary {
    const { stream } = this;
    if (torn > 0)
      this.told.find("stream-torn", null, null, `the recording ends inside an item, ${torn} bytes into it`);
    if (stream === null) this.told.find("stream-empty", null, null, "the recording holds no stream");
    else {
      this.drop("stream-unsigned-tail", "sent after the last signed frame");
      this.ending.end(stream, this.told.teller(stream.last.seq, null));
    }
    const { opened, unopened } = this.bodies;
    if (this.options.opener && opened === 0 && unopened > 0)
      this.told.find("stream-unread", null, null, "the key that was given opens none of the masked frames");
    return {
      id: stream?.id ?? null,
      isClosed: stream?.isClosed ?? false,
      head: stream?.head ?? null,
      seen: stream === null ? null : this.ending.seen(stream),
      last: stream?.last.seq ?? 0,
      ...this.counts,
      opened,
      unopened,
      more: this.told.more(),
    };
  }

  // ---- Announce, resume and the frames between

  private announce(frame: Frame, at: number): void {
    const { options } = this;
    const announce = this.told.attempt(frame.seq, at, () => decodeAnnounce(frame.body));
    if (announce === null) return;
    const tell = this.told.teller(frame.seq, at);
    if (!equalBytes(frame.id, streamIdOf(unsignedWithoutId(frame)))) {
      tell("stream-id", "the stream's id isn't its announce's hash");
      return;
    }
    if (frame.seq !== 0 || frame.prev.some((byte) => byte !== 0)) {
      tell("stream-malformed", "an announce that isn't frame 0, or is linked to another");
      return;
    }
    if (!this.isSigned(frame, announce.publicKey)) {
      tell("stream-signature", "the announce isn't signed by the key that it names");
      return;
    }
    const why = options.refuseSigner?.(announce) ?? null;
    if (why !== null) {
      tell("stream-wrong-signer", why);
      return;
    }
    const before = this.stream;
    if (before !== null) {
      if (equalBytes(before.id, frame.id) || this.isEarlier(frame.id)) {
        tell("stream-repeated", "an announce comes again");
        return;
      }
      this.drop("stream-hanging", "sent before another stream began");
      checkSuccessor(before, announce, tell);
      this.ending.checkSeen(before, tell);
      this.earlier.push(before.id);
      if (this.earlier.length > EARLIER_KEPT) this.earlier.shift();
    }
    this.takeEpoch(frame, null, at);
    const link = this.hasher.link(frame.bytes);
    const id = copyBytes(frame.id, 0, 16);
    const stream: Stream = {
      id,
      announce: ownAnnounce(announce),
      isClosed: false,
      boot: ownBoot(announce),
      epoch: frame.epoch,
      epochSeq: 0,
      keys: null,
      isKeyTried: false,
      last: { seq: 0, link },
      head: { id, epoch: frame.epoch, from: 0, to: 0, ticks: announce.ticks, link },
      numbers: new Numbers(),
      clock: new StreamClock(),
      signed: new Map(),
    };
    this.stream = stream;
    this.ending.begin(id, frame.epoch);
    stream.clock.boot(announce.ticks);
    stream.numbers.remember(frame, link, at);
    this.events.announce?.(stream.announce, id);
    this.begins(frame, stream, 0, at);
    this.openEpoch(frame, stream, announce.keyload, at);
    this.prove(frame, stream, link);
    this.ending.passes(stream, 0, link, tell);
  }

  private resume(frame: Frame, stream: Stream, at: number): void {
    const tell = this.told.teller(frame.seq, at);
    this.drop("stream-hanging", "sent before power was lost");
    const resume = this.told.attempt(frame.seq, at, () => decodeResume(frame.body, stream.announce.mode));
    this.takeEpoch(frame, stream, at);
    if (resume === null) return;
    checkResume(stream, frame, resume, tell);
    tell("stream-boot-change", `boot ${resume.bootcount} goes on at frame ${frame.seq}`);
    stream.boot = ownBoot(resume);
    stream.clock.boot(resume.ticks);
    this.ending.boot(frame.epoch);
    this.begins(frame, stream, resume.checkpointSeq, at);
    this.openEpoch(frame, stream, resume.keyload, at);
  }

  private begins({ type, epoch, seq }: Frame, { id, boot }: Stream, linked: number, at: number): void {
    const kind = type === FRAME_RESUME ? "resume" : "announce";
    this.events.boot?.({ id, kind, boot, epoch, seq, linked, at });
  }

  private next(frame: Frame, stream: Stream, at: number, link: Uint8Array): void {
    const tell = this.told.teller(frame.seq, at);
    const { last } = stream;
    if (frame.seq > last.seq + 1) {
      const missing =
        last.seq + 2 === frame.seq
          ? `frame ${last.seq + 1} is`
          : `frames ${last.seq + 1} to ${frame.seq - 1} are`;
      tell("stream-gap", `${missing} missing`);
      stream.numbers.skip(last.seq + 1, frame.seq);
      this.break(stream);
    } else if (!equalBytes(frame.prev, last.link)) {
      tell("stream-link", `frame ${frame.seq} is linked to another frame ${last.seq}`);
      this.break(stream);
    }
    if (frame.type === FRAME_KEYLOAD) {
      this.keyload(frame, stream, at);
      return;
    }
    if (frame.epoch !== stream.epoch)
      tell("stream-epoch", `frame ${frame.seq} is of epoch ${frame.epoch}, epoch ${stream.epoch} runs`);
    else if (frame.seq - stream.epochSeq === EPOCH_FRAMES_MAX)
      tell("stream-epoch-long", `epoch ${frame.epoch} has more than ${EPOCH_FRAMES_MAX} frames`);
    if (frame.type === FRAME_CHECKPOINT || frame.type === FRAME_CLOSE) {
      this.checkpoint(frame, stream, at);
      return;
    }
    this.waiting.enter(frame.seq);
    this.told.attempt(frame.seq, at, () => this.bodies.read(frame, stream, this.waiting, tell, at, link));
    if (frame.seq - this.waiting.from! > 2 * stream.announce.everyFrames + 16) {
      tell(
        "stream-stale",
        `no signed frame after ${stream.head.to}, one is promised every ${stream.announce.everyFrames}`,
      );
      this.break(stream);
    }
  }

  private keyload(frame: Frame, stream: Stream, at: number): void {
    this.takeEpoch(frame, stream, at);
    stream.keys = null;
    const body = this.told.attempt(frame.seq, at, () => decodeKeyload(frame.body, stream.announce.mode));
    if (body === null) return;
    this.tick(frame, stream, body.ticks, at);
    this.openEpoch(frame, stream, body.keyload, at);
  }

  private checkpoint(frame: Frame, stream: Stream, at: number): void {
    const isClose = frame.type === FRAME_CLOSE;
    const body = this.told.attempt(frame.seq, at, () =>
      (isClose ? decodeClose : decodeCheckpoint)(frame.body),
    );
    if (body !== null) this.tick(frame, stream, body.ticks, at);
    if (isClose) stream.isClosed = true;
  }

  private tick(frame: Frame, stream: Stream, ticks: number, at: number): void {
    stream.clock.signed(ticks, this.told.teller(frame.seq, at));
  }

  // ---- Epochs, and what is in a body

  private takeEpoch(frame: Frame, stream: Stream | null, at: number): void {
    const tell = this.told.teller(frame.seq, at);
    if (frame.epoch <= this.maxEpoch)
      tell(
        "stream-epoch-reuse",
        `frame ${frame.seq} begins epoch ${frame.epoch}, epoch ${this.maxEpoch} was used before`,
      );
    else if (this.maxEpoch > 0 && frame.epoch > this.maxEpoch + 1)
      tell(
        "stream-epoch-skipped",
        `epoch ${frame.epoch} follows ${this.maxEpoch}: a start that was cut short, or one that isn't here`,
      );
    this.maxEpoch = Math.max(this.maxEpoch, frame.epoch);
    if (stream === null) return;
    stream.epoch = frame.epoch;
    stream.epochSeq = frame.seq;
    stream.keys = null;
  }

  private openEpoch(frame: Frame, stream: Stream, keyload: Keyload | null, at: number): void {
    const { opener } = this.options;
    stream.isKeyTried = false;
    if (!opener || stream.announce.mode === MODE_PUBLIC) return;
    const start = { id: stream.id, epoch: frame.epoch, seq: frame.seq, keyload };
    stream.keys = this.told.attempt(frame.seq, at, () => opener.open(start));
  }

  // ---- What waits, and what becomes of it

  /** A signed frame: all that is linked to it, back to the last break, is the device's. */
  private prove(frame: Frame, stream: Stream, link: Uint8Array): void {
    const from = this.waiting.from ?? frame.seq;
    const { clock } = stream;
    stream.head = { id: stream.id, epoch: frame.epoch, from, to: frame.seq, ticks: clock.ticks, link };
    stream.signed.set(frame.seq, link);
    if (stream.signed.size > SIGNED_KEPT) stream.signed.delete(stream.signed.keys().next().value!);
    this.counts.proved += frame.seq - from + 1;
    this.waiting.leave(true);
    this.events.proved?.(stream.head);
  }

  /** The chain has a hole: what waits is never signed for, as far as this recording shows. */
  private break(stream: Stream): void {
    this.drop("stream-hanging", "stand before the break");
    stream.clock.unread();
  }

  private drop(code: StreamCode, what: string): void {
    const { stream } = this;
    const { from } = this.waiting;
    if (from !== null && stream !== null) {
      const { seq } = stream.last;
      this.told.find(
        code,
        from,
        null,
        from === seq
          ? `frame ${from} was ${what}: nobody signed for it`
          : `frames ${from} to ${seq} were ${what}: nobody signed for them`,
      );
    }
    this.waiting.leave(false);
  }

  // ---- Frames that aren't next

  private other(frame: Frame, at: number): void {
    const tell = this.told.teller(frame.seq, at);
    if (this.isEarlier(frame.id))
      tell("stream-superseded", `frame ${frame.seq} is of a stream that another has followed`);
    else tell("stream-other", `frame ${frame.seq} is of stream ${toHex(frame.id)}`);
  }

  private isEarlier(id: Uint8Array): boolean {
    return this.earlier.some((other) => equalBytes(other, id));
  }

  private isSigned(frame: Frame, key: Uint8Array): boolean {
    return this.options.crypto.verifyEd25519(key, streamMessage(frame.unsigned), frame.signature!);
  }
}
