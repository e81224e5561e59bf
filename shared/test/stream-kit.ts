// Streams for tests, good ones and spoilt ones: made from stream.ts and streambody.ts as a device would, and by
// nothing of the device's. Each call gives the frame it made and keeps it in `frames`; `spoil` takes the place of
// what a field should hold.

import { createPrivateKey, sign } from "node:crypto";
import { concatBytes } from "@vouch/shared/bytes";
import {
  encodeGap,
  GROUP_NUMERIC,
  type Group,
  makePacker,
  packRow,
  takePacked,
} from "@vouch/shared/readings";
import { keyPairFromSeed } from "@vouch/shared/sign";
import {
  FLAG_MASKED,
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_GAP,
  FRAME_KEYLOAD,
  FRAME_RESUME,
  frameKey,
  isSignedType,
  linkOf,
  MODE_PUBLIC,
  maskBody,
  maskedLength,
  nextChain,
  type Position,
  readerKid,
  streamHeader,
  streamIdOf,
  streamMessage,
  wrapEpochKey,
} from "@vouch/shared/stream";
import {
  type Announce,
  type Boot,
  encodeAnnounce,
  encodeCheckpoint,
  encodeClose,
  encodeKeyload,
  encodeResume,
  type Keyload,
} from "@vouch/shared/streambody";
import { x25519Public } from "@vouch/shared/x25519";

const fill = (length: number, byte: number) => new Uint8Array(length).fill(byte);

export interface DeviceKey {
  publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** A key made of one byte, and what signs with it: node's, since a mutated stream is verified thousands of times. */
export function deviceKey(byte: number): DeviceKey {
  const { publicKey } = keyPairFromSeed(fill(32, byte));
  const pkcs8 = concatBytes([
    new Uint8Array([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]),
    fill(32, byte),
  ]);
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return { publicKey, sign: (message: Uint8Array) => new Uint8Array(sign(null, message, key)) };
}

export function readerKey(byte: number) {
  const secret = fill(32, byte);
  return { secret, publicKey: x25519Public(secret) };
}

/** Pulse and saturation each second, 100 rows of ECG a second. */
export const GROUPS: Group[] = [
  {
    kind: GROUP_NUMERIC,
    code: 0,
    period: 1000,
    channels: [
      { code: 149530, unit: 264864, exponent: 0 },
      { code: 150456, unit: 262688, exponent: -1 },
    ],
  },
  { kind: 2, code: 0, period: 10, channels: [{ code: 131329, unit: 266418, exponent: -3 }] },
];

export interface MakerOptions {
  mode?: number;
  readers?: Uint8Array[];
  device?: DeviceKey;
  everyFrames?: number;
  everyMillis?: number;
  epoch?: number;
  parent?: Announce["parent"];
  ueid?: Uint8Array;
  evidence?: Uint8Array;
}

/** What takes the place of what would be right. */
export interface Spoil extends Partial<Position> {
  flags?: number;
  /** Another key signs. */
  by?: DeviceKey;
  signature?: Uint8Array;
  /** The nonce of another frame, whose box then isn't what it says. */
  body?: Uint8Array;
  /** The frame is made and not sent: the maker's state stays as it was. */
  isAside?: boolean;
}

export class StreamMaker {
  readonly frames: Uint8Array[] = [];
  readonly device: DeviceKey;
  readonly mode: number;
  id: Uint8Array = fill(16, 0);
  epoch: number;
  seq = 0;
  prev: Uint8Array = fill(32, 0);
  ticks = 5000;
  bootcount = 7;
  signed: { seq: number; link: Uint8Array } = { seq: 0, link: fill(32, 0) };
  readonly epochKeys = new Map<number, { seq: number; key: Uint8Array }>();
  private chain: Uint8Array = fill(32, 0);
  private chainSeq = 0;
  private readers: Uint8Array[];

  constructor(readonly options: MakerOptions = {}) {
    this.mode = options.mode ?? MODE_PUBLIC;
    this.device = options.device ?? deviceKey(1);
    this.epoch = options.epoch ?? 1;
    this.readers = options.readers ?? [];
  }

  boot(): Boot {
    return {
      bootcount: this.bootcount,
      bootseed: fill(16, this.bootcount),
      ticks: this.ticks,
      evidence: this.options.evidence ?? fill(32, 0xe0 + this.bootcount),
      image: fill(32, 0x11),
      keyload: this.makeKeyload(),
    };
  }

  /** The key of an epoch is the epoch's number, 32 times: a test knows it. */
  makeKeyload(readers = this.readers, epochKey = fill(32, this.epoch)): Keyload | null {
    if (this.mode === MODE_PUBLIC) return null;
    const secret = fill(32, 0x40 + this.epoch);
    const ephemeral = x25519Public(secret);
    const wrapped = readers.map((reader) => ({
      kid: readerKid(reader),
      box: wrapEpochKey(epochKey, secret, ephemeral, reader, this.epoch) ?? fill(48, 0),
    }));
    wrapped.sort((a, b) => Buffer.compare(a.kid, b.kid));
    return { ephemeral, readers: wrapped };
  }

  announce(change: Partial<Announce> = {}, spoil: Spoil = {}): Uint8Array {
    this.beginEpoch();
    const body = encodeAnnounce({
      ...this.boot(),
      ueid: this.options.ueid ?? fill(17, 1),
      publicKey: this.device.publicKey,
      mode: this.mode,
      groups: GROUPS,
      everyFrames: this.options.everyFrames ?? 8,
      everyMillis: this.options.everyMillis ?? 10_000,
      parent: this.options.parent ?? null,
      ...change,
    });
    const zero = { id: fill(16, 0), epoch: this.epoch, seq: 0, prev: fill(32, 0) };
    this.id = streamIdOf(concatBytes([streamHeader(FRAME_ANNOUNCE, 0, zero, body.length), body]));
    return this.emit(FRAME_ANNOUNCE, body, spoil);
  }

  /** A row of each of `rows` seconds: pulse 60 + seq, saturation 97.0. */
  data(rows = 1, spoil: Spoil = {}, text?: number): Uint8Array {
    const packer = makePacker(0, 2, 512);
    const at = this.ticks;
    for (let row = 0; row < rows; row++)
      packRow(packer, at, new Int32Array([text ?? 60 + (this.seq % 100), 970]), 0);
    if (spoil.isAside !== true) this.ticks += rows * 1000;
    return this.masked(FRAME_DATA, takePacked(packer), spoil);
  }

  gap(rows = 1, spoil: Spoil = {}): Uint8Array {
    const content = encodeGap(0, this.ticks, rows);
    this.ticks += rows * 1000;
    return this.masked(FRAME_GAP, content, spoil);
  }

  checkpoint(spoil: Spoil = {}, ticks = this.ticks): Uint8Array {
    return this.emit(FRAME_CHECKPOINT, encodeCheckpoint(ticks), spoil);
  }

  close(spoil: Spoil = {}): Uint8Array {
    return this.emit(FRAME_CLOSE, encodeClose(this.ticks, 0), spoil);
  }

  keyload(readers = this.readers, change: { keyload?: Keyload | null; epoch?: number } = {}): Uint8Array {
    this.readers = readers;
    this.epoch = change.epoch ?? this.epoch + 1;
    this.beginEpoch();
    return this.emit(FRAME_KEYLOAD, encodeKeyload(this.ticks, change.keyload ?? this.makeKeyload()), {});
  }

  /** Power is lost: another boot goes on after the block of numbers, from the last signed frame. */
  resume(
    change: {
      seq?: number;
      acknowledged?: number;
      bootcount?: number;
      epoch?: number;
      checkpoint?: { seq: number; link: Uint8Array };
    } = {},
    spoil: Spoil = {},
  ): Uint8Array {
    const checkpoint = change.checkpoint ?? this.signed;
    const acknowledged = change.acknowledged ?? this.seq;
    this.bootcount = change.bootcount ?? this.bootcount + 1;
    this.epoch = change.epoch ?? this.epoch + 1;
    this.seq = change.seq ?? (Math.floor(this.seq / 64) + 1) * 64;
    this.prev = checkpoint.link;
    this.ticks = 700;
    this.beginEpoch();
    return this.emit(
      FRAME_RESUME,
      encodeResume({ ...this.boot(), checkpointSeq: checkpoint.seq, acknowledged }),
      spoil,
    );
  }

  /** Any frame, right but for what `spoil` says. */
  emit(type: number, body: Uint8Array, spoil: Spoil): Uint8Array {
    const { id, epoch, seq, prev } = this;
    const header = streamHeader(type, spoil.flags ?? 0, { id, epoch, seq, prev, ...spoil }, body.length);
    const unsigned = concatBytes([header, body]);
    const signer = spoil.by ?? this.device;
    const frame = isSignedType(type)
      ? concatBytes([unsigned, spoil.signature ?? signer.sign(streamMessage(unsigned))])
      : unsigned;
    if (spoil.isAside === true) return frame;
    this.frames.push(frame);
    this.prev = linkOf(frame);
    if (isSignedType(type)) this.signed = { seq, link: this.prev };
    this.seq = seq + 1;
    return frame;
  }

  private masked(type: number, content: Uint8Array, spoil: Spoil): Uint8Array {
    if (this.mode === MODE_PUBLIC || spoil.flags === 0) return this.emit(type, spoil.body ?? content, spoil);
    const position = { id: this.id, epoch: this.epoch, seq: this.seq, prev: this.prev, ...spoil };
    const header = streamHeader(type, FLAG_MASKED, position, maskedLength(content.length));
    const body = spoil.body ?? maskBody(this.keyOf(position.seq), header, content);
    return this.emit(type, body, { flags: FLAG_MASKED, ...spoil });
  }

  private beginEpoch(): void {
    this.chain = fill(32, this.epoch);
    this.chainSeq = this.seq;
    this.epochKeys.set(this.epoch, { seq: this.seq, key: this.chain });
  }

  /** Frames mostly come in order: the chain is kept where it was used last. */
  private keyOf(seq: number): Uint8Array {
    if (seq < this.chainSeq) {
      const { seq: first, key } = this.epochKeys.get(this.epoch)!;
      this.chain = key;
      this.chainSeq = first;
    }
    for (; this.chainSeq < seq; this.chainSeq++) this.chain = nextChain(this.chain);
    return frameKey(this.chain);
  }
}
