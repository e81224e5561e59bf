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
// Blocks wait for step 3, or for what shows that it never comes; no frame decides about itself. What is wrong is
// told as a finding and the rest is read on, so that one bad frame doesn't hide the others. A frame that isn't
// taken (a forged signature, a stream that isn't this one) changes nothing. spec/stream.md, "Rules", has the
// argument and what can't be known.

import { copyBytes, equalBytes, toHex } from "./bytes";
import type { Crypto } from "./crypto";
import type { Group } from "./readings";
import { isRefusal, Refusal } from "./refusal";
import {
  EPOCH_FRAMES_MAX,
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_GAP,
  FRAME_KEYLOAD,
  FRAME_RESUME,
  MODE_PUBLIC,
  streamIdOf,
  streamMessage,
} from "./stream";
import type { Announce, Boot, Keyload, Resume } from "./streambody";
import { StreamClock } from "./streamclock";
import { type StreamHasher, streamHasher } from "./streamhash";
import { Numbers } from "./streamnumbers";
import type { FrameKeys, Opener } from "./streamopen";
import {
  decodeAnnounce,
  decodeCheckpoint,
  decodeClose,
  decodeGap,
  decodeKeyload,
  decodeReadings,
  decodeResume,
  type Frame,
  type MaskTools,
  parseFrame,
  unmaskBody,
  unsignedWithoutId,
} from "./streamread";
import { STREAM_REASONS, type StreamCode, type StreamFinding } from "./streamreasons";
import { type Coincidence, type CoincidenceStatement, isCoincidenceBy, recorderKid } from "./vstream";

export type { Coincidence } from "./vstream";

/** Rows of one data frame, opened. */
export interface ReadingBlock {
  seq: number;
  epoch: number;
  boot: Boot;
  groupIndex: number;
  group: Group;
  ticks: number;
  rows: number;
  /** Row-major mantissas. */
  values: Int32Array;
  /** A signed frame later links back to it. */
  isProved: boolean;
}

export interface GapNote {
  seq: number;
  epoch: number;
  boot: Boot;
  groupIndex: number;
  ticks: number;
  rows: number;
  isProved: boolean;
}

/** A boot that sends: what its announce or resume says. */
export interface BootNote {
  id: Uint8Array;
  kind: "announce" | "resume";
  boot: Boot;
  epoch: number;
  seq: number;
  at: number;
}

/** Frames from..to, one after another, that a signed frame binds; `ticks` and `link` are the signed one's. */
export interface ProvedNote {
  id: Uint8Array;
  epoch: number;
  from: number;
  to: number;
  ticks: number;
  link: Uint8Array;
}

export interface StreamEvents {
  announce?(announce: Announce, id: Uint8Array): void;
  boot?(note: BootNote): void;
  block?(block: ReadingBlock): void;
  gap?(gap: GapNote): void;
  proved?(note: ProvedNote): void;
  /** `isChecked`: by a recorder's key that was named. */
  coincidence?(coincidence: Coincidence, isChecked: boolean): void;
  finding?(finding: StreamFinding): void;
}

/** A signed head that somebody else has seen. */
export interface KnownHead {
  id: Uint8Array;
  seq: number;
  link: Uint8Array;
  /** An earlier run of this verifier, or a log's record. */
  from: "state" | "anchor";
}

export interface CheckOptions {
  crypto: Crypto;
  /** Why this announce isn't by an enrolled device, or null when it is; without it the announce's word is taken. */
  refuseSigner?: (announce: Announce) => string | null;
  /** Keys of recorders whose coincidences count. */
  recorders?: readonly Uint8Array[];
  opener?: Opener | null;
  /** Faster tools than the device's, to open bodies with. */
  openBox?: MaskTools["openBox"];
  heads?: readonly KnownHead[];
}

export interface StreamSummary {
  /** Of the stream that the recording ends in. */
  id: Uint8Array | null;
  isClosed: boolean;
  /** The last signed frame. */
  head: ProvedNote | null;
  frames: number;
  proved: number;
  /** Bodies that were masked and have been opened, and that weren't. */
  opened: number;
  unopened: number;
  /** Findings beyond what was told one by one, by code. */
  more: { [code: string]: number };
}

/** Findings of one code that are told one by one. */
const TOLD_MAX = 20;
/** Signed frames that a resume may name, the last first. */
const SIGNED_KEPT = 256;

interface Stream {
  id: Uint8Array;
  announce: Announce;
  isClosed: boolean;
  boot: Boot;
  epoch: number;
  epochSeq: number;
  keys: FrameKeys | null;
  isKeyTried: boolean;
  last: { seq: number; link: Uint8Array };
  head: ProvedNote;
  numbers: Numbers;
  clock: StreamClock;
  signed: Map<number, Uint8Array>;
}

type Waiting = { kind: "block"; block: ReadingBlock } | { kind: "gap"; gap: GapNote };

export class StreamChecker {
  private readonly hasher: StreamHasher;
  private readonly tools: MaskTools | undefined;
  private readonly told = new Map<StreamCode, number>();
  private stream: Stream | null = null;
  private earlier: Uint8Array[] = [];
  private maxEpoch = 0;
  private waiting: Waiting[] = [];
  /** First of the frames that no signed frame binds yet; null when there is none. */
  private unsignedFrom: number | null = null;
  private covered: Coincidence | null = null;
  private latest: Coincidence | null = null;
  private heads: KnownHead[];
  private counts = { frames: 0, proved: 0, opened: 0, unopened: 0 };

  constructor(
    private readonly options: CheckOptions,
    private readonly events: StreamEvents,
  ) {
    this.hasher = streamHasher(options.crypto);
    const { openBox } = options;
    this.tools = openBox && { openBox, maskNonce: (k, h, p) => this.hasher.nonce(k, h, p) };
    this.heads = [...(options.heads ?? [])];
  }

  /** The last signed frame of the stream that runs. */
  get head(): ProvedNote | null {
    return this.stream?.head ?? null;
  }

  /** The next frame; `at` is its place in the recording. */
  frame(bytes: Uint8Array, at = 0): void {
    this.counts.frames++;
    const frame = this.attempt(null, at, () => parseFrame(bytes));
    if (frame === null) return;
    if (frame.type === FRAME_ANNOUNCE) {
      this.announce(frame, at);
      return;
    }
    const { stream } = this;
    if (stream === null) {
      this.find("stream-unannounced", frame.seq, at, `frame ${frame.seq} comes before any announce`);
      return;
    }
    if (!equalBytes(frame.id, stream.id)) {
      this.other(frame, at);
      return;
    }
    if (stream.isClosed) {
      this.find("stream-after-close", frame.seq, at, `frame ${frame.seq} comes after the close`);
      return;
    }
    if (frame.signature !== null && !this.isSigned(frame, stream.announce.publicKey)) {
      this.find("stream-signature", frame.seq, at, `frame ${frame.seq} isn't signed by the stream's key`);
      return;
    }
    if (frame.seq <= stream.last.seq) {
      this.again(frame, stream, at);
      return;
    }
    const link = this.hasher.link(bytes);
    if (frame.type === FRAME_RESUME) this.resume(frame, stream, at);
    else this.next(frame, stream, at);
    stream.numbers.remember(frame, link, at);
    stream.last = { seq: frame.seq, link };
    if (frame.signature !== null) this.prove(frame, stream, link);
    this.checkHeads(stream, frame.seq, link, at);
  }

  /** A recorder's statement, in its place among the frames. */
  coincidence(statement: CoincidenceStatement, at = 0): void {
    const { crypto, recorders = [] } = this.options;
    const key = recorders.find((k) => equalBytes(recorderKid(k, crypto), statement.kid));
    const tell = (code: StreamCode, message: string) => this.find(code, statement.seq, at, message);
    if (key !== undefined && !isCoincidenceBy(statement, key, crypto)) {
      tell("stream-coincidence", "a coincidence isn't signed by the recorder that it names");
      return;
    }
    const { stream } = this;
    if (stream === null || !equalBytes(statement.id, stream.id)) {
      if (stream !== null && this.earlier.some((id) => equalBytes(id, statement.id))) return;
      tell("stream-coincidence", "a coincidence is about a stream that doesn't run there");
      return;
    }
    if (key === undefined)
      tell("stream-recorder", `times are the word of recorder ${toHex(statement.kid)}, whom nobody named`);
    if (statement.seq > stream.last.seq) {
      tell(
        "stream-truncated",
        `a coincidence names frame ${statement.seq} as received, the recording has none after ${stream.last.seq}`,
      );
      return;
    }
    const known = stream.numbers.at(statement.seq);
    const isOurs = known !== undefined && equalBytes(known.link, statement.link);
    if (!isOurs || statement.epoch > stream.epoch) {
      tell("stream-coincidence", `the recorder had received another frame ${statement.seq}`);
      return;
    }
    if (statement.epoch === stream.epoch) stream.clock.coincidence(statement, tell);
    this.latest = statement;
    if (key !== undefined) this.covered = statement;
    this.events.coincidence?.(statement, key !== undefined);
  }

  /** After the last item; `torn` is how many bytes hang after it. */
  end(torn = 0): StreamSummary {
    const { stream } = this;
    if (torn > 0)
      this.find("stream-torn", null, null, `the recording ends inside an item, ${torn} bytes into it`);
    if (stream === null) this.find("stream-empty", null, null, "the recording holds no stream");
    else {
      this.drop("stream-unsigned-tail", "were sent after the last signed frame");
      this.checkEnd(stream);
    }
    const { opened, unopened } = this.counts;
    if (this.options.opener && opened === 0 && unopened > 0)
      this.find("stream-unread", null, null, "the key that was given opens none of the masked frames");
    const more: { [code: string]: number } = {};
    for (const [code, count] of this.told) if (count > TOLD_MAX) more[code] = count - TOLD_MAX;
    return {
      id: stream?.id ?? null,
      isClosed: stream?.isClosed ?? false,
      head: stream?.head ?? null,
      ...this.counts,
      more,
    };
  }

  // ---- Announce, resume and the frames between

  private announce(frame: Frame, at: number): void {
    const { options } = this;
    const announce = this.attempt(frame.seq, at, () => decodeAnnounce(frame.body));
    if (announce === null) return;
    const tell = (code: StreamCode, message: string) => this.find(code, frame.seq, at, message);
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
      if (equalBytes(before.id, frame.id) || this.earlier.some((id) => equalBytes(id, frame.id))) {
        tell("stream-repeated", "an announce comes again");
        return;
      }
      this.succeed(before, announce, tell);
      this.earlier.push(before.id);
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
    this.covered = this.latest = null;
    stream.clock.boot(announce.ticks);
    stream.numbers.remember(frame, link, at);
    this.events.announce?.(stream.announce, id);
    this.events.boot?.({ id, kind: "announce", boot: stream.boot, epoch: frame.epoch, seq: 0, at });
    this.openEpoch(frame, stream, announce.keyload, at);
    this.prove(frame, stream, link);
    this.checkHeads(stream, 0, link, at);
  }

  /** Another stream begins where one stands: it says which, and up to where that one is the device's. */
  private succeed(
    before: Stream,
    announce: Announce,
    tell: (code: StreamCode, message: string) => void,
  ): void {
    this.drop("stream-hanging", "were sent before another stream began");
    const { parent } = announce;
    if (!equalBytes(announce.ueid, before.announce.ueid))
      tell("stream-parent", "another device's stream begins");
    else if (parent === null) {
      if (!before.isClosed) tell("stream-parent", "another stream begins, and names no parent");
    } else if (!equalBytes(parent.id, before.id))
      tell("stream-parent", "another stream begins, and names a parent that isn't the stream before it");
    else {
      this.checkNamed(before, parent.seq, parent.link, "the stream's successor", tell);
      const isRotated = !equalBytes(announce.publicKey, before.announce.publicKey);
      if (isRotated && before.head.to > parent.seq)
        tell(
          "stream-superseded",
          `the old key signed up to frame ${before.head.to}, the new key's stream takes over after ${parent.seq}`,
        );
    }
  }

  private resume(frame: Frame, stream: Stream, at: number): void {
    const tell = (code: StreamCode, message: string) => this.find(code, frame.seq, at, message);
    this.drop("stream-hanging", "were sent before power was lost");
    const resume = this.attempt(frame.seq, at, () => decodeResume(frame.body, stream.announce.mode));
    this.takeEpoch(frame, stream, at);
    if (resume === null) return;
    if (!this.checkNamed(stream, resume.checkpointSeq, frame.prev, `resume ${frame.seq}`, tell))
      tell(
        "stream-resume-link",
        `resume ${frame.seq} is linked to frame ${resume.checkpointSeq}, which isn't signed`,
      );
    this.checkAcknowledged(frame, stream, resume, tell);
    const isSameSeed = equalBytes(resume.bootseed, stream.boot.bootseed);
    if (resume.bootcount <= stream.boot.bootcount || isSameSeed)
      tell(
        "stream-boot",
        `a resume of boot ${resume.bootcount} follows boot ${stream.boot.bootcount}${isSameSeed ? ", with its seed" : ""}`,
      );
    tell("stream-boot-change", `boot ${resume.bootcount} goes on at frame ${frame.seq}`);
    stream.boot = ownBoot(resume);
    stream.clock.boot(resume.ticks);
    this.events.boot?.({
      id: stream.id,
      kind: "resume",
      boot: stream.boot,
      epoch: frame.epoch,
      seq: frame.seq,
      at,
    });
    this.openEpoch(frame, stream, resume.keyload, at);
  }

  /** All below what a device knows to be acknowledged was written down by its recorder. */
  private checkAcknowledged(
    frame: Frame,
    stream: Stream,
    resume: Resume,
    tell: (code: StreamCode, message: string) => void,
  ): void {
    if (resume.acknowledged > frame.seq)
      tell(
        "stream-malformed",
        `resume ${frame.seq} says that ${resume.acknowledged} frames were acknowledged`,
      );
    else if (resume.acknowledged > stream.last.seq + 1)
      tell(
        "stream-truncated",
        `frames up to ${resume.acknowledged - 1} were acknowledged, the recording has none after ${stream.last.seq}`,
      );
  }

  /** Whether a signed frame that the device names is the one we have; false when it has none to be. */
  private checkNamed(
    stream: Stream,
    seq: number,
    link: Uint8Array,
    who: string,
    tell: (code: StreamCode, message: string) => void,
  ): boolean {
    const known = stream.signed.get(seq);
    if (known === undefined) {
      if (seq <= stream.last.seq) return false;
      tell("stream-truncated", `${who} names frame ${seq}, the recording has none after ${stream.last.seq}`);
    } else if (!equalBytes(known, link))
      tell("stream-fork", `${who} names another frame ${seq} than was recorded`);
    return true;
  }

  private next(frame: Frame, stream: Stream, at: number): void {
    const { last } = stream;
    if (frame.seq > last.seq + 1) {
      const missing =
        last.seq + 2 === frame.seq
          ? `frame ${last.seq + 1} is`
          : `frames ${last.seq + 1} to ${frame.seq - 1} are`;
      this.find("stream-gap", frame.seq, at, `${missing} missing`);
      stream.numbers.skip(last.seq + 1, frame.seq);
      this.break(stream);
    } else if (!equalBytes(frame.prev, last.link)) {
      this.find("stream-link", frame.seq, at, `frame ${frame.seq} is linked to another frame ${last.seq}`);
      this.break(stream);
    }
    if (frame.type === FRAME_KEYLOAD) {
      this.keyload(frame, stream, at);
      return;
    }
    if (frame.epoch !== stream.epoch)
      this.find(
        "stream-epoch",
        frame.seq,
        at,
        `frame ${frame.seq} is of epoch ${frame.epoch}, epoch ${stream.epoch} runs`,
      );
    else if (frame.seq - stream.epochSeq === EPOCH_FRAMES_MAX)
      this.find(
        "stream-epoch-long",
        frame.seq,
        at,
        `epoch ${frame.epoch} has more than ${EPOCH_FRAMES_MAX} frames`,
      );
    if (frame.type === FRAME_CHECKPOINT || frame.type === FRAME_CLOSE) {
      this.checkpoint(frame, stream, at);
      return;
    }
    this.unsignedFrom ??= frame.seq;
    this.content(frame, stream, at);
    if (frame.seq - this.unsignedFrom > 2 * stream.announce.everyFrames + 16) {
      this.find(
        "stream-stale",
        frame.seq,
        at,
        `no signed frame after ${stream.head.to}, one is promised every ${stream.announce.everyFrames}`,
      );
      this.break(stream);
    }
  }

  private keyload(frame: Frame, stream: Stream, at: number): void {
    this.takeEpoch(frame, stream, at);
    stream.keys = null;
    const body = this.attempt(frame.seq, at, () => decodeKeyload(frame.body, stream.announce.mode));
    if (body === null) return;
    this.tick(frame, stream, body.ticks, at);
    this.openEpoch(frame, stream, body.keyload, at);
  }

  private checkpoint(frame: Frame, stream: Stream, at: number): void {
    const isClose = frame.type === FRAME_CLOSE;
    const body = this.attempt(frame.seq, at, () => (isClose ? decodeClose : decodeCheckpoint)(frame.body));
    if (body !== null) this.tick(frame, stream, body.ticks, at);
    if (isClose) stream.isClosed = true;
  }

  private tick(frame: Frame, stream: Stream, ticks: number, at: number): void {
    stream.clock.signed(ticks, (code, message) => this.find(code, frame.seq, at, message));
  }

  // ---- Epochs, and what is in a body

  private takeEpoch(frame: Frame, stream: Stream | null, at: number): void {
    if (frame.epoch <= this.maxEpoch)
      this.find(
        "stream-epoch-reuse",
        frame.seq,
        at,
        `frame ${frame.seq} begins epoch ${frame.epoch}, epoch ${this.maxEpoch} was used before`,
      );
    else if (this.maxEpoch > 0 && frame.epoch > this.maxEpoch + 1)
      this.find(
        "stream-epoch-skipped",
        frame.seq,
        at,
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
    stream.keys = this.attempt(frame.seq, at, () => opener.open(start));
  }

  private content(frame: Frame, stream: Stream, at: number): void {
    const { announce, clock } = stream;
    if (frame.isMasked !== (announce.mode !== MODE_PUBLIC)) {
      this.find(
        "stream-mask",
        frame.seq,
        at,
        `frame ${frame.seq} is ${frame.isMasked ? "masked" : "readable"}, the stream's mode is ${announce.mode}`,
      );
      return;
    }
    const content = this.attempt(frame.seq, at, () => this.opened(frame, stream));
    if (content === null) {
      clock.unread();
      return;
    }
    const tell = (code: StreamCode, message: string) => this.find(code, frame.seq, at, message);
    const head = { seq: frame.seq, epoch: frame.epoch, boot: stream.boot, isProved: false };
    this.attempt(frame.seq, at, () => {
      if (frame.type === FRAME_GAP) {
        const { group: index, ticks, rows } = decodeGap(content, announce.groups);
        clock.rows(index, announce.groups[index]!, ticks, rows, tell);
        this.waiting.push({ kind: "gap", gap: { ...head, groupIndex: index, ticks, rows } });
        return;
      }
      const { group: index, ticks, values, rows } = decodeReadings(content, announce.groups);
      const group = announce.groups[index]!;
      clock.rows(index, group, ticks, rows, tell);
      this.waiting.push({ kind: "block", block: { ...head, groupIndex: index, group, ticks, rows, values } });
    });
  }

  /** Null for a body that nobody gave us the key of. */
  private opened(frame: Frame, stream: Stream): Uint8Array | null {
    if (!frame.isMasked) return frame.body;
    const key = stream.keys?.(frame.seq) ?? null;
    if (key === null) {
      this.counts.unopened++;
      return null;
    }
    const isFirst = !stream.isKeyTried;
    stream.isKeyTried = true;
    try {
      const content = unmaskBody(frame, key, this.tools);
      this.counts.opened++;
      return content;
    } catch (error) {
      this.counts.unopened++;
      if (!isFirst || !isRefusal(error) || error.code !== "stream-mac") throw error;
      stream.keys = null;
      throw new Refusal(
        "stream-keyload-key",
        `the key of epoch ${stream.epoch} doesn't open its first frame`,
      );
    }
  }

  // ---- What waits, and what becomes of it

  /** A signed frame: all that is linked to it, back to the last break, is the device's. */
  private prove(frame: Frame, stream: Stream, link: Uint8Array): void {
    const from = this.unsignedFrom ?? frame.seq;
    const { clock } = stream;
    stream.head = { id: stream.id, epoch: frame.epoch, from, to: frame.seq, ticks: clock.ticks, link };
    stream.signed.set(frame.seq, link);
    if (stream.signed.size > SIGNED_KEPT) stream.signed.delete(stream.signed.keys().next().value!);
    this.counts.proved += frame.seq - from + 1;
    this.unsignedFrom = null;
    this.release(true);
    this.events.proved?.(stream.head);
  }

  /** The chain has a hole: what waits is never signed for, as far as this recording shows. */
  private break(stream: Stream): void {
    this.drop("stream-hanging", "stand before the break");
    stream.clock.unread();
  }

  private drop(code: StreamCode, what: string): void {
    const { unsignedFrom: from, stream } = this;
    if (from !== null && stream !== null) {
      const { seq } = stream.last;
      this.find(
        code,
        from,
        null,
        `${from === seq ? `frame ${from}` : `frames ${from} to ${seq}`} ${what}: nobody signed for them`,
      );
    }
    this.unsignedFrom = null;
    this.release(false);
  }

  private release(isProved: boolean): void {
    const { waiting, events } = this;
    if (waiting.length === 0) return;
    this.waiting = [];
    for (const item of waiting) {
      if (item.kind === "block") {
        item.block.isProved = isProved;
        events.block?.(item.block);
      } else {
        item.gap.isProved = isProved;
        events.gap?.(item.gap);
      }
    }
  }

  // ---- Frames that aren't next

  private other(frame: Frame, at: number): void {
    if (this.earlier.some((id) => equalBytes(id, frame.id)))
      this.find(
        "stream-superseded",
        frame.seq,
        at,
        `frame ${frame.seq} is of a stream that another has followed`,
      );
    else this.find("stream-other", frame.seq, at, `frame ${frame.seq} is of stream ${toHex(frame.id)}`);
  }

  private again(frame: Frame, stream: Stream, at: number): void {
    const { seq } = frame;
    const known = stream.numbers.judge(frame);
    if (known.kind === "reordered") {
      this.find("stream-reordered", seq, at, `frame ${seq} comes after ${stream.last.seq}`);
      return;
    }
    if (known.other === null) {
      this.find(
        "stream-rollback",
        seq,
        at,
        `frame ${seq} comes after ${stream.last.seq}, long after its turn`,
      );
      return;
    }
    const { at: first, isSigned } = known.other;
    const other = { at: first, isSigned: isSigned && frame.signature !== null };
    if (known.kind === "repeated") {
      this.find("stream-repeated", seq, at, `frame ${seq} comes twice`, other);
      return;
    }
    if (known.kind === "nonce-reuse") {
      this.find(
        "stream-nonce-reuse",
        seq,
        at,
        `two frames ${seq} are masked with one key and one nonce`,
        other,
      );
      return;
    }
    const whose = other.isSigned
      ? "the device signed both"
      : "a signed frame settles which is the device's, if any";
    this.find("stream-fork", seq, at, `there are two frames ${seq}: ${whose}`, other);
    if (frame.type === FRAME_RESUME)
      this.find(
        "stream-rollback",
        seq,
        at,
        `a resume takes number ${seq} again: the device's store went back`,
      );
  }

  // ---- The end, and heads that others have seen

  private checkHeads(stream: Stream, seq: number, link: Uint8Array, at: number): void {
    if (this.heads.length === 0) return;
    this.heads = this.heads.filter((head) => {
      if (head.seq !== seq || !equalBytes(head.id, stream.id)) return true;
      if (!equalBytes(head.link, link))
        this.find("stream-fork", seq, at, `${wasSeen(head)} another frame ${seq}`);
      return false;
    });
  }

  private checkEnd(stream: Stream): void {
    const { latest, covered } = this;
    const { announce, head, last } = stream;
    for (const known of this.heads) {
      if (!equalBytes(known.id, stream.id)) continue;
      const message = `${wasSeen(known)} frame ${known.seq}, which is missing; the recording ends with ${last.seq}`;
      this.find(known.from === "state" ? "stream-rollback" : "stream-truncated", known.seq, null, message);
    }
    if (stream.isClosed) return;
    const period = Math.min(...announce.groups.map((group) => group.period));
    const age = latest === null || latest.epoch !== stream.epoch ? 0 : latest.ticks - stream.clock.ticks;
    if (age > 2 * (announce.everyMillis + period))
      this.find(
        "stream-stale",
        head.to,
        null,
        `no signed frame for ${Math.round(age / 1000)} s before the last coincidence`,
      );
    if (covered === null || covered.seq < head.to)
      this.find("stream-open", null, null, `nothing says whether the stream went on after frame ${last.seq}`);
  }

  // ---- Findings

  private isSigned(frame: Frame, key: Uint8Array): boolean {
    return this.options.crypto.verifyEd25519(key, streamMessage(frame.unsigned), frame.signature!);
  }

  private attempt<T>(seq: number | null, at: number, work: () => T): T | null {
    try {
      return work();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const code = error.code in STREAM_REASONS ? (error.code as StreamCode) : "stream-malformed";
      this.find(code, seq, at, error.message);
      return null;
    }
  }

  private find(
    code: StreamCode,
    seq: number | null,
    at: number | null,
    message: string,
    other?: StreamFinding["other"],
  ): void {
    const count = (this.told.get(code) ?? 0) + 1;
    this.told.set(code, count);
    if (count > TOLD_MAX || (code === "stream-recorder" && count > 1)) return;
    this.events.finding?.({ code, word: STREAM_REASONS[code], message, seq, at, ...(other && { other }) });
  }
}

const wasSeen = (head: KnownHead) => (head.from === "state" ? "an earlier run saw" : "a log has");

// What is kept must not be views of a buffer that is used again.
const own = (bytes: Uint8Array) => copyBytes(bytes, 0, bytes.length);

function ownBoot(boot: Boot): Boot {
  const { bootcount, ticks, image } = boot;
  return {
    bootcount,
    ticks,
    bootseed: own(boot.bootseed),
    evidence: own(boot.evidence),
    image: image && own(image),
    keyload: null,
  };
}

function ownAnnounce(a: Announce): Announce {
  const parent = a.parent && { id: own(a.parent.id), seq: a.parent.seq, link: own(a.parent.link) };
  return { ...a, ...ownBoot(a), ueid: own(a.ueid), publicKey: own(a.publicKey), parent };
}
