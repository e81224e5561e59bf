// Bodies of data and gap frames: opened where somebody gave us the key, read, and put among what waits.

import { isRefusal, Refusal } from "./refusal";
import { openBoxFast } from "./secretboxopen";
import { FRAME_GAP, MODE_PUBLIC } from "./stream";
import type { CheckOptions, Tell } from "./streamevents";
import type { StreamHasher } from "./streamhash";
import type { Stream } from "./streamlineage";
import { decodeGap, decodeReadings, type Frame, type MaskTools, parseFrame, unmaskBody } from "./streamread";
import type { Arrived, Opening, Waiting, WaitingRoom } from "./streamwaiting";

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

  /** Throws a Refusal at a body that isn't one; what its ticks show is told. `at` and `link` are the frame's. */
  read(frame: Frame, stream: Stream, waiting: WaitingRoom, tell: Tell, at: number, link: Uint8Array): void {
    const { announce, boot, clock } = stream;
    let isRead = false;
    try {
      const opened = this.open(frame, stream);
      if (opened === null) return;
      const arrived = { at, link, key: opened.key, announce, boot };
      const found = waitingOf(frame, opened.content, arrived);
      const { groupIndex, ticks, rows } = found.kind === "block" ? found.block : found.gap;
      clock.rows(groupIndex, announce.groups[groupIndex]!, ticks, rows, tell);
      waiting.put(found, arrived, this.again);
      isRead = true;
    } finally {
      if (!isRead) clock.unread();
    }
  }

  /** What was made of a frame when it came, from the same bytes. */
  private readonly again: Opening = (bytes, arrived) => {
    const frame = parseFrame(bytes);
    const { key } = arrived;
    return waitingOf(frame, key === null ? frame.body : unmaskBody(frame, key, this.tools), arrived);
  };

  /** Null for a body that nobody gave us the key of. */
  private open(frame: Frame, stream: Stream): { content: Uint8Array; key: Uint8Array | null } | null {
    const { mode } = stream.announce;
    if (frame.isMasked !== (mode !== MODE_PUBLIC)) {
      const is = frame.isMasked ? "masked" : "readable";
      throw new Refusal("stream-mask", `frame ${frame.seq} is ${is}, the stream's mode is ${mode}`);
    }
    if (!frame.isMasked) return { content: frame.body, key: null };
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
      return { content, key };
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

/** The readings of a frame, or its gap, as yet unproved. */
function waitingOf({ type, seq, epoch }: Frame, content: Uint8Array, { announce, boot }: Arrived): Waiting {
  const { groups } = announce;
  const isProved = false;
  if (type === FRAME_GAP) {
    const { group: groupIndex, ticks, rows } = decodeGap(content, groups);
    return { kind: "gap", gap: { seq, epoch, boot, groupIndex, ticks, rows, isProved } };
  }
  const { group: groupIndex, ticks, values, rows } = decodeReadings(content, groups);
  const group = groups[groupIndex]!;
  return { kind: "block", block: { seq, epoch, boot, groupIndex, group, ticks, rows, values, isProved } };
}
