// What there is to see of a stream while it is recorded: counts, the last values, how old the last signature is.
//
// Values are shown as they come, before a signed frame proves them: the view says how old the last signature is, and
// nothing shown is evidence. Masked ones show when we have a reader's key. Memory: a value for each channel.

import { toHex } from "@vouch/shared/bytes";
import type { Group } from "@vouch/shared/readings";
import { isRefusal } from "@vouch/shared/refusal";
import {
  FRAME_ANNOUNCE,
  FRAME_DATA,
  FRAME_GAP,
  FRAME_KEYLOAD,
  FRAME_RESUME,
  isSignedType,
} from "@vouch/shared/stream";
import type { Announce, Keyload } from "@vouch/shared/streambody";
import type { FrameKeys, Opener } from "@vouch/shared/streamopen";
import {
  decodeAnnounce,
  decodeGap,
  decodeKeyload,
  decodeReadings,
  decodeResume,
  type Frame,
  parseFrame,
  unmaskBody,
} from "@vouch/shared/streamread";
import type { VstreamItem } from "@vouch/shared/vstream";
import type { Watcher } from "./recorder";

export interface Last {
  code: number;
  unit: number;
  mantissa: number;
  exponent: number;
}

export interface Figures {
  id: string | null;
  mode: number;
  readers: number;
  epoch: number;
  frames: number;
  bytes: number;
  /** Rows read, and rows that gaps told as lost; null while nothing could be opened. */
  rows: number;
  lost: number;
  unopened: number;
  resumes: number;
  /** Frames that no signed one follows, and when the last signed one came. */
  unsigned: number;
  signedAtMs: number | null;
  isClosed: boolean;
  /** Group by group, channel by channel. */
  last: Last[];
}

/** Gathers figures from the items that come. */
export class FigureKeeper implements Watcher {
  readonly figures: Figures = {
    id: null,
    mode: 0,
    readers: 0,
    epoch: 0,
    frames: 0,
    bytes: 0,
    rows: 0,
    lost: 0,
    unopened: 0,
    resumes: 0,
    unsigned: 0,
    signedAtMs: null,
    isClosed: false,
    last: [],
  };
  private announce: Announce | null = null;
  private keys: FrameKeys | null = null;

  constructor(
    private readonly opener: Opener | null,
    private readonly now: () => number,
  ) {}

  item(item: VstreamItem): void {
    if (item.kind === "frame") this.frame(parseFrame(item.bytes));
  }

  private frame(frame: Frame): void {
    const f = this.figures;
    f.frames++;
    f.bytes += frame.bytes.length;
    f.epoch = frame.epoch;
    f.unsigned = isSignedType(frame.type) ? 0 : f.unsigned + 1;
    if (isSignedType(frame.type)) f.signedAtMs = this.now();
    f.isClosed = frame.type === 6;
    try {
      this.look(frame);
    } catch (error) {
      if (!isRefusal(error)) throw error; // the checker says what is wrong with it
      f.unopened++;
    }
  }

  private look(frame: Frame): void {
    const f = this.figures;
    if (frame.type === FRAME_ANNOUNCE) {
      this.announce = decodeAnnounce(frame.body.slice());
      Object.assign(f, { id: toHex(frame.id), mode: this.announce.mode });
      f.last = this.announce.groups.flatMap((group) =>
        group.channels.map(({ code, unit, exponent }) => ({ code, unit, exponent, mantissa: Number.NaN })),
      );
      this.beginEpoch(frame, this.announce.keyload);
    }
    const { announce } = this;
    if (announce === null) return;
    if (frame.type === FRAME_KEYLOAD)
      this.beginEpoch(frame, decodeKeyload(frame.body, announce.mode).keyload);
    if (frame.type === FRAME_RESUME) {
      f.resumes++;
      this.beginEpoch(frame, decodeResume(frame.body, announce.mode).keyload);
    }
    if (frame.type === FRAME_DATA || frame.type === FRAME_GAP) this.content(frame, announce.groups);
  }

  private beginEpoch({ id, epoch, seq }: Frame, keyload: Keyload | null): void {
    this.figures.readers = keyload?.readers.length ?? 0;
    this.keys = null;
    const own = keyload && {
      ephemeral: keyload.ephemeral.slice(),
      readers: keyload.readers.map(({ kid, box }) => ({ kid: kid.slice(), box: box.slice() })),
    };
    this.keys = this.opener?.open({ id: id.slice(), epoch, seq, keyload: own }) ?? null;
  }

  private content(frame: Frame, groups: readonly Group[]): void {
    const f = this.figures;
    let body = frame.body;
    if (frame.isMasked) {
      const key = this.keys?.(frame.seq) ?? null;
      if (key === null) {
        f.unopened++;
        return;
      }
      body = unmaskBody(frame, key);
    }
    if (frame.type === FRAME_GAP) {
      f.lost += decodeGap(body, groups).rows;
      return;
    }
    const { group, rows, values } = decodeReadings(body, groups);
    f.rows += rows;
    const before = groups.slice(0, group).reduce((sum, { channels }) => sum + channels.length, 0);
    const width = groups[group]?.channels.length ?? 0;
    for (let i = 0; i < width; i++) {
      const last = f.last[before + i];
      if (last !== undefined) last.mantissa = values[(rows - 1) * width + i] ?? Number.NaN;
    }
  }
}
