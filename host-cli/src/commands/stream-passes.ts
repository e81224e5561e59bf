// A recording read twice: first verified whole, then again while what is proved goes out, a run of frames at a time.
//
// Both times the same streams must come, by their ids, and in the end the same signed head: with it, by their links, the
// same frames. What a recorder appends
// in between isn't waited for; a file that was changed is told, and then nothing has been written.

import { equalBytes } from "@vouch/shared/bytes";
import { CBOR_STRICT, decodeCbor, isMap } from "@vouch/shared/cbor";
import { FAULT_NONE } from "@vouch/shared/fault";
import { Refusal } from "@vouch/shared/refusal";
import { KEY_TICKS } from "@vouch/shared/streambody";
import {
  type CheckOptions,
  type ProvedNote,
  StreamChecker,
  type StreamEvents,
  type StreamSummary,
} from "@vouch/shared/streamcheck";
import { parseFrame } from "@vouch/shared/streamread";
import type { Timeline } from "@vouch/shared/streamtime";
import { bootKey, type Choice, type Counts, type Piece, Selector, type Stamp } from "../readings";
import { readRecording, withFramesOf } from "../streamfile";

/** A frame that signs for others. */
export interface SignedFrame {
  frame: Uint8Array;
  seq: number;
  /** Of its boot, in milliseconds. */
  ticks: number;
  boot: string;
}

/** What takes pieces, in the order of the recording. */
export interface Taker {
  /** `signed` is the frame that binds the piece; for a proved piece alone. */
  piece(piece: Piece, signed: () => SignedFrame): void;
  /** A run of frames has ended with this signed one. */
  proved(note: ProvedNote, signed: () => SignedFrame): void;
}

/** The checker, which knows the frame that it is at. Its bytes are good as long as the call that gave them. */
class Watching extends StreamChecker {
  current: Uint8Array = new Uint8Array(0);

  override frame(bytes: Uint8Array, at?: number): void {
    this.current = bytes;
    super.frame(bytes, at);
  }
}

/** Reads again, and gives what the first reading found to be proved. Throws `recording-changed`. */
export function exportAgain(
  path: string,
  options: CheckOptions,
  { head, ids }: { head: ProvedNote | null; ids: readonly Uint8Array[] },
  timeline: Timeline<Stamp>,
  choice: Choice,
  taker: Taker,
): { counts: Counts; summary: StreamSummary } {
  const selector = new Selector(timeline, choice);
  let streamId: Uint8Array = new Uint8Array(0);
  let begun = 0;
  let boot = "";
  let isOver = false; // at the head that the first reading ended with
  let isNew = false;
  let isOther = false; // told after: what is thrown in here counts as damage of the recording
  let checker: Watching;
  const signed = () => signedFrame(checker.current, boot);
  const events: StreamEvents = {
    announce: (_, id) => {
      streamId = id;
      const expected = ids[begun++];
      // A stream that was begun since is nobody's yet.
      isOther ||= expected === undefined ? !isOver : !equalBytes(id, expected);
      isNew = expected === undefined;
    },
    boot: (note) => {
      boot = bootKey(note.boot);
    },
    block: (block) => {
      if (isOther || isNew || (isOver && block.isProved && !choice.takesUnproved)) return;
      for (const piece of selector.pieces(streamId, block)) taker.piece(piece, signed);
    },
    gap: (gap) => {
      if (!isOther && !isNew && !(isOver && gap.isProved)) selector.gap(gap);
    },
    proved: (note) => {
      if (isOver || isOther) return;
      taker.proved(note, signed);
      isOver = head !== null && equalBytes(note.id, head.id) && note.to === head.to;
      isOther ||= isOver && !equalBytes(note.link, head!.link);
    },
  };
  const { summary } = withFramesOf(path, (again) => {
    checker = new Watching({ ...options, again }, events);
    return readRecording(path, checker);
  });
  if (isOther || (head !== null && !isOver))
    throw new Refusal("recording-changed", "the recording isn't the one that was verified a moment ago", {
      hint: "export again when nobody writes to it but its recorder",
    });
  return { counts: selector.counts, summary };
}

/** Every signed frame's body says its ticks under one key. The frame has been verified. */
function signedFrame(bytes: Uint8Array, boot: string): SignedFrame {
  const { seq, body } = parseFrame(bytes);
  const { fault, value } = decodeCbor(body, CBOR_STRICT);
  if (fault !== FAULT_NONE || value === null || !isMap(value)) throw new Error("a signed frame without body");
  const ticks = value.values[value.keys.indexOf(KEY_TICKS)];
  if (typeof ticks !== "number") throw new Error("a signed frame without ticks");
  return { frame: bytes, seq, ticks, boot };
}
