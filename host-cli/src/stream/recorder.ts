// What a recorder does with bytes of a device's run: frames out of them, each looked at, written, told of; then one
// flush for all; and only then may they be acknowledged.
//
//   bytes ─▶ frames ─▶ goes on? signed right? ─▶ append ─▶ watchers ─▶ flush ─▶ acknowledge
//                           │ no
//                           └─▶ asked for again, since a line may garble; the third time it is the device's word:
//                               kept beside the recording as NAME.vstream.refused, and the end
//
// At each start of the device, with signed frames, and at the end a coincidence is written: at our time its ticks
// stood so (ticks.ts).

import { equalBytes } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { STREAM_FRAME_MAX } from "@vouch/shared/stream";
import { frameLength, parseFrame } from "@vouch/shared/streamread";
import {
  type CoincidenceClaim,
  coincidenceMessage,
  decodeCoincidence,
  type EvidenceItem,
  encodeCoincidence,
  encodeEvidenceItem,
  encodeFrameItem,
  recorderKid,
  type VstreamItem,
} from "@vouch/shared/vstream";
import type { Signer } from "../signer";
import { writeWhole } from "../writefiles";
import { checkSigned, followFrame } from "./chain";
import type { Recording } from "./recording";
import type { Moment } from "./ticks";

/** A signed frame has a coincidence of its own unless the last one is younger than this. */
const COINCIDENCE_MS = 10_000;
/** How often bytes that can't be are asked for again. */
const AGAIN_MAX = 2;

/** Who else looks at what is recorded: the checker, a store, the view. Called with an item before it is flushed. */
export interface Watcher {
  item(item: VstreamItem, at: number): void;
}

export interface RecorderOptions {
  crypto: Crypto;
  /** Signs coincidences; null: nobody vouches for when. */
  signer: Signer | null;
  watchers: readonly Watcher[];
  /** Monotonic milliseconds. */
  now: () => number;
}

export class Recorder {
  private rest: Uint8Array = new Uint8Array(0);
  private again = 0;
  private signedSince = false;
  private saidAt = Number.NEGATIVE_INFINITY;
  private saidBoot = -1;

  constructor(
    readonly recording: Recording,
    /** Of the device that is enrolled, once it is known. */
    private publicKey: Uint8Array | null,
    private readonly options: RecorderOptions,
  ) {}

  /** Bytes of the run that came, of which the end may be half a frame; what is before the half is written. */
  get place(): number {
    return (this.recording.chain?.place ?? 0) + this.rest.length;
  }

  /** The key that signs what follows; refuses `stream-other-device` when the recording is by another: a mistaken name, no forgery. */
  expectKey(publicKey: Uint8Array): void {
    if (this.publicKey !== null && !equalBytes(this.publicKey, publicKey))
      throw new Refusal(
        "stream-other-device",
        "the recording is by another key than the device on this line has",
        { hint: "put that recording's device on the line, or begin another recording with -o" },
      );
    this.publicKey = publicKey;
  }

  /** A run begins: half a frame of the run before it is nothing. */
  beginRun(): void {
    this.rest = new Uint8Array(0);
    this.again = 0;
  }

  /**
   * Takes the bytes at `place`; false when they can't be what the device has: they are to be asked for again, from the
   * new `place`. Refuses what they are when that doesn't help.
   */
  take(chunks: readonly Uint8Array[]): boolean {
    for (const chunk of chunks) {
      const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
      let at = 0;
      try {
        for (let length = this.whole(bytes, at); length > 0; length = this.whole(bytes, at)) {
          this.frame(bytes.subarray(at, at + length));
          at += length;
          this.again = 0;
        }
      } catch (error) {
        this.rest = new Uint8Array(0);
        if (!isRefusal(error) || !SUSPECT.has(error.code)) throw error;
        if (this.again++ < AGAIN_MAX) return false;
        throw this.refused(error, bytes.subarray(at));
      }
      this.rest = bytes.slice(at);
    }
    return true;
  }

  private whole(bytes: Uint8Array, at: number): number {
    const length = frameLength(bytes, at);
    return at + length <= bytes.length ? length : 0;
  }

  private frame(bytes: Uint8Array): void {
    const frame = parseFrame(bytes);
    followFrame(this.recording.chain, frame);
    this.publicKey = checkSigned(frame, this.publicKey, this.options.crypto);
    const at = this.recording.end;
    this.recording.appendFrame(frame, encodeFrameItem(bytes));
    if (frame.signature !== null) this.signedSince = true;
    this.tell({ kind: "frame", bytes }, at);
  }

  private refused(error: Refusal, bytes: Uint8Array): Refusal {
    const path = `${this.recording.path}.refused`;
    writeWhole(path, bytes.subarray(0, STREAM_FRAME_MAX));
    return new Refusal(error.code, `${error.message}; what the device sent is in ${path}`, { cause: error });
  }

  /** What a boot attested; flushed, since frames that follow refer to it. */
  evidence(item: EvidenceItem): void {
    const bytes = encodeEvidenceItem(item);
    const at = this.recording.end;
    this.recording.append(bytes);
    this.recording.flush();
    this.tell({ kind: "evidence", ...item }, at);
  }

  /** Whether a coincidence is due, for frames by this start of the device. */
  isDue(bootcount: number, isLast: boolean): boolean {
    const { chain } = this.recording;
    if (this.options.signer === null || chain === null || chain.bootcount !== bootcount) return false;
    if (isLast || this.saidBoot !== bootcount) return true;
    return this.signedSince && this.options.now() - this.saidAt >= COINCIDENCE_MS;
  }

  /** Writes that the device's ticks stood so. */
  async coincide(moment: Moment): Promise<void> {
    const { signer, crypto } = this.options;
    const { chain } = this.recording;
    if (signer === null || chain === null) return;
    const { id, epoch, seq, link } = chain;
    const claim: CoincidenceClaim = { ...moment, id, epoch, seq, link };
    const kid = recorderKid(signer.publicKey, crypto);
    const signature = await signer.sign(coincidenceMessage(claim, kid));
    const bytes = encodeCoincidence(claim, kid, signature);
    const at = this.recording.end;
    this.recording.append(bytes);
    this.signedSince = false;
    this.saidAt = this.options.now();
    this.saidBoot = chain.bootcount;
    this.tell({ kind: "coincidence", statement: decodeCoincidence(bytes), bytes }, at);
  }

  private tell(item: VstreamItem, at: number): void {
    for (const watcher of this.options.watchers) watcher.item(item, at);
  }
}

/** What a garbled line may have made of good bytes. */
const SUSPECT: ReadonlySet<string> = new Set([
  "stream-malformed",
  "unsupported-version",
  "stream-link",
  "stream-other",
  "stream-signature",
  "stream-wrong-signer",
]);
