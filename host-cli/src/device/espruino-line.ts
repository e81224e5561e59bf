// Bytes to and from an Espruino's console: one wait at a time, flow control, and
// never more in memory than a bounded tail of what the device says.
//
//   XOFF 13 ─▶ nothing is written ─▶ XON 11 ─▶ goes on; held for 10 s is an error
//
// Both bytes are taken out of what is read: the console's text has neither, and
// what we ask for is ASCII. Writes go out in small pieces, so that an XOFF finds
// little on its way; on a UART they are also paced to its rate, since what the
// system has buffered is sent whatever the device says.

import { Refusal } from "@vouch/shared/refusal";
import type { Clock } from "./clock";
import type { Transport } from "./transport";

const XON = 0x11;
const XOFF = 0x13;
const PIECE = 128;
const HELD_MS = 10_000;
const MAX_TEXT = 64 * 1024;

export class EspruinoLine {
  /** Bytes a second, where the console is a UART; null where the line has flow control of its own. */
  pace: number | null = null;
  private text = "";
  private held = false;
  private gone = false;
  private wake: () => void = () => {};

  constructor(
    private readonly transport: Transport,
    readonly clock: Clock,
    /** No wait goes beyond it. */
    readonly deadline: number,
  ) {
    transport.onData((bytes) => this.take(bytes));
    transport.onClose(() => {
      this.gone = true;
      this.wake();
    });
  }

  get label(): string {
    return this.transport.label;
  }

  private take(bytes: Uint8Array): void {
    let rest = "";
    for (const byte of bytes) {
      if (byte === XON) this.held = false;
      else if (byte === XOFF) this.held = true;
      else rest += String.fromCharCode(byte);
    }
    this.text += rest;
    if (this.text.length > MAX_TEXT) this.text = this.text.slice(-MAX_TEXT / 2);
    this.wake();
  }

  /** Forgets what was read: what comes from here on is new. */
  discard(): void {
    this.text = "";
  }

  /** What was read since discard(), or its tail. One character per byte. */
  heard(): string {
    return this.text;
  }

  /** Until `find` makes something of the text, the time is up (null) or the line is gone (`device-closed`). */
  async wait<T>(ms: number, find: (text: string) => T | undefined): Promise<T | null> {
    const found = await this.until(ms, () => find(this.text));
    return found ?? null;
  }

  private until<T>(ms: number, look: () => T | undefined): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => {
        this.wake = () => {};
        stop();
        end();
      };
      const check = () => {
        const found = look();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.gone) settle(() => reject(closed()));
      };
      const patience = Math.max(0, Math.min(ms, this.deadline - this.clock.now()));
      const stop = this.clock.after(patience, () => settle(() => resolve(undefined)));
      this.wake = check;
      check();
    });
  }

  /** Hands the bytes on as fast as the device takes them. */
  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    for (let at = 0; at < bytes.length; at += PIECE) {
      if (this.clock.now() >= this.deadline) throw timeUp();
      if (this.held) await this.release();
      const piece = bytes.subarray(at, at + PIECE);
      await this.hand(piece);
      if (this.pace !== null) await this.until((piece.length / this.pace) * 1000, () => undefined);
    }
  }

  private async release(): Promise<void> {
    if ((await this.until(HELD_MS, () => (this.held ? undefined : true))) === true) return;
    this.held = false; // what comes next finds a line again
    throw new Refusal("device-timeout", "the device stopped the line (XOFF) and didn't let go of it", {
      hint: "what the device runs is too busy to read; reset it and run this again",
    });
  }

  /** A write that the system never finishes is a device that doesn't read. */
  private async hand(piece: Uint8Array): Promise<void> {
    if (this.gone) throw closed();
    let done = false;
    let failed = false;
    const end = (isFailure: boolean) => {
      done = true;
      failed = isFailure;
      this.wake();
    };
    this.transport.write(piece).then(
      () => end(false),
      () => end(true),
    );
    await this.until(HELD_MS, () => (done ? true : undefined));
    if (failed) throw closed();
    if (!done) throw new Refusal("device-timeout", "the device doesn't read what is sent to it");
  }

  close(): Promise<void> {
    return this.transport.close();
  }
}

const closed = () => new Refusal("device-closed", "the line to the device is gone");

export const timeUp = () =>
  new Refusal("device-timeout", "the time of --timeout is up", {
    hint: "run it again, with more --timeout if the device is only slow",
  });
