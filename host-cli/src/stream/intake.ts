// The receiving end of a delivery: pieces of a recording, put where they belong.
//
//   file so far            proved ─┐   provisional   ┌─ received
//   ├──────────────────────────────┼─────────────────┤
//         again: compared          │ rival ──────────┴──▶ a signed frame ends it
//
// Whole items alone are written, and frames only where they go on, so a file never holds what isn't a recording of
// the one stream, whoever sends. Nothing is acknowledged (stand) before it is flushed.
//
// Frames that no signed one follows can be made by anybody who may send. So what stands in the file past the last signed frame is
// provisional: what contradicts it is kept beside it, as a rival, and the first of the two that a signed frame ends is the
// recording's tail. What a signature proves is never taken out of the file; a tail that loses is kept beside it
// (NAME.vstream.HASH.displaced). spec/stream-delivery.md, "Two tails", has the argument.

import { createHash } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import type { Piece, Stand } from "@vouch/shared/delivery";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { parseFrame } from "@vouch/shared/streamread";
import { encodeVstreamHead, type VstreamItem } from "@vouch/shared/vstream";
import { flushFolder, writeFed } from "../writefiles";
import { type Chain, followFrame } from "./chain";
import { Recording } from "./recording";
import { BEGINNING, itemReader, Tail } from "./tail";

const CHUNK = 256 * 1024;
/** Beside frames a rival may hold evidence, of a few boots. */
const RIVAL_EXTRA = 16 * 1024 * 1024;
const ITEM_BYTES = 1027;

export interface IntakeHooks {
  /** Refuses an item that goes on after this chain, before it is written. It is good during the call. */
  check?(item: VstreamItem, chain: Chain | null): void;
  /** What stood in the file from this place on is another tail now. */
  displaced?(from: number): void;
  remark?(text: string): void;
}

/** Astray: it fits nowhere, and what came before it may be somebody else's; it is to be sent again from the last signed frame on. */
export type Taken = "new" | "again" | "missing" | "astray";

export class Intake {
  private file: Tail;
  private rival: Tail | null = null;
  /** The one that took the last piece. */
  private current: Tail;
  private isAstray = false;
  /** Of a sender that greeted: up to where its bytes are those that are here. Null for those of a broker, who have no names. */
  private seen: number | null = null;
  private remarked = -1;
  private readonly tailHooks = {
    check: (item: VstreamItem, tail: Tail) => this.check(item, tail),
    kept: (item: VstreamItem, tail: Tail) => this.kept(item, tail),
  };

  constructor(
    private readonly recording: Recording,
    private readonly hooks: IntakeHooks = {},
  ) {
    this.file = new Tail(recording, BEGINNING, this.tailHooks);
    this.current = this.file;
    this.reopenRival();
  }

  /** Refuses `delivery-conflict`, and what an item is refused for. */
  take(piece: Piece): Taken {
    const taken = this.takeInto(piece);
    this.isAstray = taken === "astray";
    if (this.seen !== null && piece.at <= this.seen && (taken === "new" || taken === "again"))
      this.seen = Math.max(this.seen, piece.at + piece.bytes.length);
    return taken;
  }

  private takeInto(piece: Piece): Taken {
    let isMissing = false;
    let conflict: unknown;
    for (const tail of [this.current, this.current === this.file ? this.rival : this.file]) {
      if (tail === null) continue;
      const part = this.partFor(tail, piece);
      if (part === null) continue;
      try {
        const taken = part.bytes.length === 0 ? "again" : tail.take(part);
        if (taken !== "missing") {
          this.current = tail === this.rival ? tail : this.file;
          return taken;
        }
        isMissing ||= tail === this.file;
      } catch (error) {
        if (!isRefusal(error) || error.code === "unwritable") throw error;
        conflict = error;
      }
    }
    if (isMissing || conflict === undefined) return "missing";
    // It went on from half an item that didn't become one: where that began, the piece doesn't say.
    if (piece.at > this.recording.end) {
      if (this.isPresumed(piece.at)) return "astray";
      throw conflict;
    }
    return this.contest(piece);
  }

  /** Whether what stands before a piece in the file wasn't compared with what its sender has there. */
  private isPresumed(at: number): boolean {
    return at > this.recording.proved.end && (this.seen === null || at > this.seen);
  }

  /** A rival holds nothing before the last signed frame's end: that part is the file's. Null when it isn't the same. */
  private partFor(tail: Tail, piece: Piece): Piece | null {
    if (tail !== this.rival) return piece;
    const { end } = this.recording.proved;
    if (piece.at >= end) return piece;
    const before = piece.bytes.subarray(0, end - piece.at);
    if (!equalBytes(this.recording.peek(piece.at, before.length), before)) return null;
    return { at: end, bytes: piece.bytes.subarray(before.length) };
  }

  // ---- Two tails

  /** What came isn't what is here. Begins another tail with it, in the place of one that there was. */
  private contest({ at, bytes }: Piece): Taken {
    const { end, chain } = this.recording.proved;
    const before = bytes.subarray(0, Math.max(0, end - at));
    if (!equalBytes(this.recording.peek(at, before.length), before) || before.length === bytes.length)
      throw new Refusal(
        "delivery-conflict",
        `what came for byte ${at} of the recording isn't what is recorded there, and a signed frame follows that: it is another recording of this stream`,
      );
    // What stands between is taken to be this sender's too: if it isn't, what follows doesn't fit.
    const fresh = bytes.subarray(before.length);
    try {
      this.checkItems(this.between(end, at, fresh), chain);
    } catch (error) {
      if (this.isPresumed(at) && isRefusal(error)) return "astray";
      throw error;
    }
    this.dropRival();
    const rival = this.openRival(end);
    this.rival = rival;
    this.current = rival;
    if (this.remarked !== end)
      this.hooks.remark?.(
        `what came for byte ${at} isn't what was recorded there: both are kept until a signed frame ends one of them`,
      );
    this.remarked = end;
    let next = end;
    for (const part of this.between(end, at, fresh)) {
      rival.take({ at: next, bytes: part });
      next += part.length;
    }
    return "new";
  }

  /** What the file holds between two places, and what comes after it. */
  private *between(from: number, to: number, after: Uint8Array): Generator<Uint8Array> {
    for (let at = from; at < to; at += CHUNK) yield this.recording.peek(at, Math.min(CHUNK, to - at));
    yield after;
  }

  /** Bytes that go on after a chain. Refuses what an item is refused for. */
  private checkItems(parts: Iterable<Uint8Array>, chain: Chain | null): void {
    const reader = itemReader();
    let last = chain;
    for (const part of parts)
      reader.push(part, (item) => {
        this.hooks.check?.(item, last);
        if (item.kind === "frame") last = followFrame(last, parseFrame(item.bytes));
      });
  }

  private check(item: VstreamItem, tail: Tail): void {
    this.hooks.check?.(item, tail.recording.chain);
    if (tail !== this.rival) return;
    const { chain } = this.recording.proved;
    const most = RIVAL_EXTRA + (chain === null ? 0 : (2 * chain.announce.everyFrames + 16) * ITEM_BYTES);
    if (tail.recording.end > most) {
      this.dropRival();
      throw new Refusal(
        "delivery-conflict",
        `${most} bytes contradict the recording, and none is signed for`,
      );
    }
  }

  private kept(item: VstreamItem, tail: Tail): void {
    if (item.kind !== "frame" || parseFrame(item.bytes).signature === null) return;
    if (tail === this.rival) this.settle(tail);
    else this.dropRival();
  }

  /** The signature is the rival's: it is the recording's tail now. */
  private settle(rival: Tail): void {
    const { recording } = this;
    const { end } = recording.proved;
    const other = rival.recording;
    other.flush();
    const aside = this.setAside(end, other);
    recording.replaceTail(other);
    rival.become(recording);
    this.file = rival;
    this.current = rival;
    this.rival = null;
    this.removeRival(other);
    this.hooks.displaced?.(end);
    if (aside !== null)
      this.hooks.remark?.(
        `frame ${recording.proved.chain?.seq ?? 0} is signed and goes on from another tail: the one that was here is in ${aside}`,
      );
  }

  /** What was acknowledged is never deleted. The name; null when the rival has all of it. */
  private setAside(from: number, rival: Recording): string | null {
    const { recording } = this;
    recording.flush();
    const hash = createHash("sha256");
    let isSame = recording.end - from <= rival.end - BEGINNING;
    for (let at = from; at < recording.end; at += CHUNK) {
      const bytes = recording.peek(at, CHUNK);
      hash.update(bytes);
      isSame &&= equalBytes(bytes, rival.peek(at - from + BEGINNING, bytes.length));
    }
    if (isSame) return null;
    const path = `${recording.path}.${hash.digest("hex").slice(0, 16)}.displaced`;
    writeFed(path, (write) => {
      write(encodeVstreamHead());
      for (let at = from; at < recording.end; at += CHUNK) write(recording.peek(at, CHUNK));
    });
    return path;
  }

  private get rivalPath(): string {
    return `${this.recording.path}.rival`;
  }

  private openRival(place: number): Tail {
    const { chain } = this.recording.proved;
    const rival = Recording.open(this.rivalPath, chain === null ? {} : { chain });
    return new Tail(rival, place, this.tailHooks);
  }

  /** One that was there when the receiver ended. If a signed frame ends it, the receiver was killed while it took it over. */
  private reopenRival(): void {
    if (!existsSync(this.rivalPath)) return;
    try {
      const rival = this.openRival(this.recording.proved.end);
      this.rival = rival;
      if (rival.recording.proved.end > BEGINNING) this.settle(rival);
    } catch (error) {
      // Of a tail that was settled since: its frames don't go on from the last signed one.
      if (!isRefusal(error) || error.code === "unwritable") throw error;
      this.rival = null;
      rmSync(this.rivalPath, { force: true });
    }
  }

  private dropRival(): void {
    const { rival } = this;
    if (rival === null) return;
    this.rival = null;
    if (this.current === rival) this.current = this.file;
    this.removeRival(rival.recording);
  }

  private removeRival(rival: Recording): void {
    rival.close();
    rmSync(rival.path, { force: true });
    flushFolder(dirname(rival.path));
  }

  // ---- Where it stands

  /** Where the next piece is expected to begin, whichever of the tails it is of. */
  get position(): number {
    if (this.isAstray) return this.recording.proved.at;
    return Math.min(this.file.received, this.rival?.received ?? Number.POSITIVE_INFINITY);
  }

  /**
   * A sender greets. It begins at the last signed frame: what follows that may be somebody else's, and the frame itself shows
   * whether its recording is this one.
   */
  greet(): Stand {
    this.forget();
    this.recording.flush();
    this.seen = this.recording.proved.at;
    return { next: this.seen, isMissing: false };
  }

  /** Drops half an item, as when whoever was sending it is gone. */
  forget(): void {
    this.file.forget();
    this.rival?.forget();
    this.current = this.file;
  }

  /**
   * Has the disk keep what came, and says how far that is: to a sender that greeted, of its own bytes. A stand never covers the
   * end of a rival, which may be given up: no sender takes its delivery for done before a signed frame has decided.
   */
  flush(): Stand {
    const { recording, file, rival, seen, current } = this;
    recording.flush();
    rival?.recording.flush();
    const next = current === rival ? Math.min(rival.lastItem, rival.flushed) : file.flushed;
    if (seen !== null) return { next: Math.min(next, seen), isMissing: false };
    return { next: rival !== null || this.isAstray ? recording.proved.at : next, isMissing: false };
  }

  close(): void {
    this.rival?.recording.close();
  }
}
