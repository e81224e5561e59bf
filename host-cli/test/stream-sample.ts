// Recordings for tests and benches: a device of shared/test/stream-kit.ts, and a recorder that times it.
//
//   pulse and saturation each second, some rows a frame, a checkpoint each eight frames, a coincidence now and then

import { concatBytes } from "@vouch/shared/bytes";
import { linkOf, MODE_PRIVATE, MODE_PUBLIC } from "@vouch/shared/stream";
import { formatVkey, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import {
  coincidenceMessage,
  encodeCoincidence,
  encodeFrameItem,
  encodeVstreamHead,
  recorderKid,
} from "@vouch/shared/vstream";
import { deviceKey, StreamMaker } from "../../shared/test/stream-kit";
import { nodeCrypto } from "../src/crypto";

export const DEVICE = deviceKey(1);
export const RECORDER = deviceKey(7);
const vkey = (name: string, { publicKey }: typeof DEVICE) =>
  formatVkey(makeVkey(name, KEY_ED25519, publicKey, nodeCrypto));
export const DEVICE_VKEY = vkey("device.example", DEVICE);
export const RECORDER_VKEY = vkey("recorder.example", RECORDER);

/** When the maker's device was started. */
const STARTED = Date.parse("2026-11-22T15:00:00Z") * 1000;

export class Recording {
  readonly maker: StreamMaker;
  private readonly items: Uint8Array[] = [encodeVstreamHead()];
  private taken = 0;
  private wait = 8;

  constructor(private readonly reader: Uint8Array | null = null) {
    this.maker = new StreamMaker({
      device: DEVICE,
      mode: reader === null ? MODE_PUBLIC : MODE_PRIVATE,
      readers: reader === null ? [] : [reader],
      everyFrames: 64,
    });
    this.maker.announce();
  }

  /** `seconds` of readings, `rows` of them a frame; a checkpoint each eight frames. Masked ones get a new epoch each 256. */
  seconds(seconds: number, rows = 10): this {
    for (let done = 0; done < seconds; done += rows) {
      this.maker.data(Math.min(rows, seconds - done));
      if (--this.wait > 0) continue;
      this.wait = 8;
      if (this.reader !== null && this.maker.seq % 256 > 246) this.maker.keyload();
      else this.maker.checkpoint();
    }
    return this;
  }

  /** A recorder's word on the ticks of now; `off` microseconds beside the truth. */
  timed(off = 0, { started = STARTED, uncertainty = 20_000, by = RECORDER } = {}): this {
    this.take();
    const { id, epoch, ticks, seq, frames } = this.maker;
    const claim = {
      id,
      epoch,
      ticks,
      micros: started + ticks * 1000 + off,
      uncertainty,
      seq: seq - 1,
      link: linkOf(frames.at(-1)!),
    };
    const kid = recorderKid(by.publicKey, nodeCrypto);
    this.items.push(encodeCoincidence(claim, kid, by.sign(coincidenceMessage(claim, kid))));
    return this;
  }

  private take(): void {
    for (; this.taken < this.maker.frames.length; this.taken++)
      this.items.push(encodeFrameItem(this.maker.frames[this.taken]!));
  }

  bytes(): Uint8Array {
    this.take();
    return concatBytes(this.items);
  }

  closed(): Uint8Array {
    this.maker.close();
    return this.bytes();
  }
}
