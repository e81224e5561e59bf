// Bodies of data and gap frames: opened where somebody gave us the key, read, and put among what waits.

import { isRefusal, Refusal } from "./refusal";
import { openBoxFast } from "./secretboxopen";
import { FRAME_GAP, MODE_PUBLIC } from "./stream";
import type { CheckOptions, Tell } from "./streamevents";
import type { StreamHasher } from "./streamhash";
import type { Stream } from "./streamlineage";
import { decodeGap, decodeReadings, type Frame, type MaskTools, unmaskBody } from "./streamread";
import type { WaitingRoom } from "./streamwaiting";

export class Bodies {
  /** Masked ones that were opened, and that weren't. */
  opened = 0;
  unopened = 0;
  private readonly tools: MaskTools;

  private readonly isGrant: boolean;

  constructor({ opener }: CheckOptions, hasher: StreamHasher) {
    this.isGrant = opener?.isGrant === true;
    this.tools = {
      openBox: openBoxFast,
      maskNonce: (key, header, plain) => hasher.nonce(key, header, plain),
    };
  }

  /** Throws a Refusal at a body that isn't one; what its ticks show is told. */
  read(frame: Frame, stream: Stream, waiting: WaitingRoom, tell: Tell): void {
    const { announce, boot, clock } = stream;
    const { seq, epoch } = frame;
    let isRead = false;
    try {
      const content = this.open(frame, stream);
      if (content === null) return;
      if (frame.type === FRAME_GAP) {
        const { group: index, ticks, rows } = decodeGap(content, announce.groups);
        clock.rows(index, announce.groups[index]!, ticks, rows, tell);
        waiting.gap({ seq, epoch, boot, groupIndex: index, ticks, rows, isProved: false });
      } else {
        const { group: index, ticks, values, rows } = decodeReadings(content, announce.groups);
        const group = announce.groups[index]!;
        clock.rows(index, group, ticks, rows, tell);
        waiting.block({ seq, epoch, boot, groupIndex: index, group, ticks, rows, values, isProved: false });
      }
      isRead = true;
    } finally {
      if (!isRead) clock.unread();
    }
  }

  /** Null for a body that nobody gave us the key of. */
  private open(frame: Frame, stream: Stream): Uint8Array | null {
    const { mode } = stream.announce;
    if (frame.isMasked !== (mode !== MODE_PUBLIC)) {
      const is = frame.isMasked ? "masked" : "readable";
      throw new Refusal("stream-mask", `frame ${frame.seq} is ${is}, the stream's mode is ${mode}`);
    }
    if (!frame.isMasked) return frame.body;
    const key = stream.keys?.(frame.seq) ?? null;
    if (key === null) {
      this.unopened++;
      return null;
    }
    const isFirst = !stream.isKeyTried;
    stream.isKeyTried = true;
    try {
      const content = unmaskBody(frame, key, this.tools);
      this.opened++;
      return content;
    } catch (error) {
      this.unopened++;
      if (!isRefusal(error) || error.code !== "stream-mac") throw error;
      if (isFirst) stream.keys = null;
      // A grant isn't signed, and each key of a window stands alone: of those one may be wrong behind others that are right.
      if (this.isGrant)
        throw new Refusal("stream-grant-key", `the key that was granted doesn't open frame ${frame.seq}`);
      if (!isFirst) throw error;
      throw new Refusal(
        "stream-keyload-key",
        `the key of epoch ${stream.epoch} doesn't open its first frame`,
      );
    }
  }
}
