// A session with an Espruino through its console, the REPL that people type at.
//
//   05                ENQ, on an empty line     "Espruino 2v29 PUCKJS"
//   ESC [ 2 H         drops a half-typed line
//   03                stops what runs, when nothing answers; it may be in the debugger then
//   10 … 0a           a line that isn't echoed
//
// A question is one line, and its answer names itself, so that prompts, echo and
// whatever the program prints may stand around it:
//
//   10 (function(c,p){ … print("<"+"v7f3a1:"+r.length+":"+r+":v7f3a1>") })("code","data")
//      <v7f3a1:6:[1234]:v7f3a1>      JSON; "!" and the device's error; "?" came garbled
//
// The line itself never holds the marker, so no echo is taken for an answer. What
// arrives without its CRC-32 (without its length, in firmware that has no E.CRC32)
// isn't run: half of `erase("a.js")` may be another name. A question may be asked
// again when the answer was lost: ask only what may be done twice. On Espruino for Linux a second 03 within 5 s ends the program: at most
// one in 6 s is sent.
//
// https://www.espruino.com/Interfacing, Espruino's README_Protocol.md.

import { quote, Refusal } from "@vouch/shared/refusal";
import type { Clock } from "./clock";
import { EspruinoLine, timeUp } from "./espruino-line";
import type { Transport } from "./transport";

const ENQ = "\x05";
const DROP_LINE = "\x1b[2H";
const BREAK = "\x03";
const ENQ_MS = 1000;
const ANSWER_MS = 5000;
const BREAK_MS = 500;
const DEBUGGER = /debug>|In debug mode/;
const BREAK_EVERY_MS = 6000;
// Both longer than the 5 s after which a device gives up half a packet.
const START_TRIES = 6;
const RECOVER_TRIES = 8;
const QUESTIONS = 5;
const MAX_ANSWER = 4096;
const GARBLED = "?";
const RESTART_TRIES = 4;

export interface EspruinoSession {
  readonly line: EspruinoLine;
  readonly identity: EspruinoIdentity;
  /** The value of an expression, in which `p` is the data. Refuses `device-error` with what the device threw. */
  evaluate(expression: string, options?: Question): Promise<unknown>;
  /** Gets back to an empty line that answers, whatever state the console is in. */
  recover(): Promise<void>;
  /** reset() or load(), and whether the console answers after it; `text` is what it printed. */
  restart(how: "reset" | "load"): Promise<{ answers: boolean; text: string }>;
  close(): Promise<void>;
}

export interface Question {
  /** Default 5 s. */
  readonly patienceMs?: number;
  readonly data?: Uint8Array;
}

export interface EspruinoIdentity {
  /** As ENQ tells it, such as "2v29". */
  readonly version: string;
  /** Such as "PUCKJS". */
  readonly board: string;
}

/** "2v25" and newer speak packets. */
export function hasPackets(version: string): boolean {
  const [, major = "0", minor = "0"] = /^(\d{1,4})v(\d{1,4})/.exec(version) ?? [];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 25);
}

export interface EspruinoOptions {
  readonly clock: Clock;
  readonly deadline: number;
}

/** Refuses `not-espruino` when nobody answers as one. */
export async function openEspruino(transport: Transport, options: EspruinoOptions): Promise<EspruinoSession> {
  const line = new EspruinoLine(transport, options.clock, options.deadline);
  const session = new Session(line);
  try {
    await session.start();
    return session;
  } catch (error) {
    await line.close();
    throw error;
  }
}

class Session implements EspruinoSession {
  identity: EspruinoIdentity = { version: "", board: "" };
  private brokenAt = Number.NEGATIVE_INFINITY;
  private count = 0;

  constructor(readonly line: EspruinoLine) {}

  async start(): Promise<void> {
    await this.line.write(DROP_LINE);
    for (let tries = 1; tries <= START_TRIES; tries++) {
      const found = await this.enquire();
      if (found !== null) {
        this.identity = found;
        return;
      }
      if (tries > 1) await this.interrupt();
    }
    throw notEspruino(this.line.heard());
  }

  private async enquire(): Promise<EspruinoIdentity | null> {
    this.line.discard();
    await this.line.write(ENQ);
    return this.line.wait(ENQ_MS, readIdentity);
  }

  /** Stops what runs, and with it a half-typed line. */
  private async interrupt(): Promise<void> {
    const { clock } = this.line;
    if (clock.now() - this.brokenAt < BREAK_EVERY_MS) return;
    this.brokenAt = clock.now();
    this.line.discard();
    await this.line.write(BREAK);
    await this.line.wait(BREAK_MS, (text) => (DEBUGGER.test(text) ? true : undefined));
    await this.leaveDebugger();
  }

  /** Where a break stopped the program in the debugger, a second one ends it; `quit` lets a loop run on. */
  private async leaveDebugger(): Promise<void> {
    if (DEBUGGER.test(this.line.heard())) await this.line.write(BREAK);
  }

  async recover(): Promise<void> {
    await this.leaveDebugger();
    for (let tries = 0; tries < RECOVER_TRIES; tries++) {
      await this.line.write(DROP_LINE);
      if ((await this.enquire()) !== null) return;
      if (this.line.clock.now() >= this.line.deadline) throw timeUp();
      // First the line alone: half a packet would swallow this, and a break at an empty line may mean more.
      if (tries > 0) await this.interrupt();
    }
    throw new Refusal("device-timeout", "the device's console doesn't answer any more", {
      hint: "reset the device and run this again",
    });
  }

  async evaluate(expression: string, question: Question = {}): Promise<unknown> {
    let complaint = "";
    for (let tries = 1; ; tries++) {
      const answer = await this.ask(expression, question);
      if (answer === null) await this.recover();
      else if (answer.startsWith("[")) return unwrap(answer);
      // A complaint may be about a letter that was lost. Made twice, it is meant. Anything else is no answer:
      // our own "?" can lose its letter too.
      else if (isComplaint(answer) && (answer === complaint || tries === QUESTIONS)) throw thrown(answer);
      else complaint = answer;
      if (this.line.clock.now() >= this.line.deadline) throw timeUp();
      if (tries === QUESTIONS) {
        throw new Refusal("device-timeout", `${tries} questions to the console, and none was answered`, {
          hint: "the line loses bytes, or the program floods it; try a lower --baud or a better cable",
        });
      }
    }
  }

  /** Asks once; null when no whole answer came. */
  private async ask(expression: string, question: Question): Promise<string | null> {
    const id = `v${Math.floor(Math.random() * 0x1000000).toString(16)}.${this.count++}`;
    const data = question.data ?? new Uint8Array(0);
    const both = Buffer.concat([Buffer.from(expression, "latin1"), data]);
    this.line.discard();
    await this.line.write(
      `\x10(function(c,p){var r;try{r=(E.CRC32?E.CRC32(c+p)==${crc32(both)}:(c+p).length==${both.length})?` +
        `JSON.stringify([eval(c)]):"${GARBLED}"}catch(e){r="!"+e}` +
        `print("<"+"${id}:"+r.length+":"+r+":${id}"+">")})(${literal(expression)},${literal(data)})\n`,
    );
    return this.line.wait(question.patienceMs ?? ANSWER_MS, (text) => findAnswer(text, id));
  }

  async restart(how: "reset" | "load"): Promise<{ answers: boolean; text: string }> {
    // A variable tells the time before from the time after: it is gone with the rest of RAM.
    await this.evaluate("global.vouchBefore=1");
    this.line.discard();
    await this.line.write(`\x10${how}()\n`);
    let text = "";
    for (let tries = 0; tries < RESTART_TRIES; tries++) {
      const answer = await this.askAfter();
      text = `${text}${answer.text}`.slice(-MAX_ANSWER);
      if (answer.restarted) return { answers: true, text };
    }
    return { answers: false, text };
  }

  private async askAfter(): Promise<{ restarted: boolean; text: string }> {
    const before = await this.line.wait(ENQ_MS / 4, () => undefined as string | undefined);
    const heard = before ?? this.line.heard();
    const answer = await this.ask("typeof vouchBefore", { patienceMs: ENQ_MS });
    const text = heard + this.line.heard();
    if (answer === null) await this.line.write(DROP_LINE);
    return { restarted: answer === '["undefined"]', text };
  }

  close(): Promise<void> {
    return this.line.close();
  }
}

function readIdentity(text: string): EspruinoIdentity | undefined {
  const [, version, board] = /Espruino (\d{1,4}v\d{1,4}\S{0,20}) (\S{1,40})\r?\n/.exec(text) ?? [];
  return version === undefined || board === undefined ? undefined : { version, board };
}

function findAnswer(text: string, id: string): string | undefined {
  const start = text.lastIndexOf(`<${id}:`);
  if (start < 0) return undefined;
  const [head = "", length = ""] = /^<[^:]*:(\d{1,4}):/.exec(text.slice(start, start + 40)) ?? [];
  if (head === "" || Number(length) > MAX_ANSWER) return undefined;
  const from = start + head.length;
  const end = from + Number(length);
  return text.startsWith(`:${id}>`, end) ? text.slice(from, end) : undefined;
}

const isComplaint = (answer: string) => answer.startsWith("!");

const thrown = (answer: string) =>
  new Refusal("device-error", `the device says ${quote(answer.slice(1, 200))}`);

function unwrap(answer: string): unknown {
  try {
    const value: unknown = JSON.parse(answer);
    if (Array.isArray(value)) return value[0];
  } catch {
    // below
  }
  throw new Refusal("device-error", `the device's answer isn't JSON: ${quote(answer.slice(0, 80))}`);
}

/** Text or bytes as a string literal of printable ASCII. */
export function literal(text: string | Uint8Array): string {
  let inside = "";
  for (const byte of typeof text === "string" ? Buffer.from(text, "latin1") : text) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    if (plain) inside += String.fromCharCode(byte);
    else
      inside += byte === 0x22 ? '\\"' : byte === 0x5c ? "\\\\" : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `"${inside}"`;
}

/** CRC-32 of IEEE 802.3, as E.CRC32 does it. node:zlib has it only from Node 20.15 on. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function notEspruino(heard: string): Refusal {
  const found = heard === "" ? "nothing answers" : `what answers is ${quote(heard.slice(-60))}`;
  return new Refusal("not-espruino", `no Espruino console here: ${found}`, {
    hint: /password/.test(heard)
      ? "its console has a password; log in with a terminal first"
      : "its program may have taken the console, or the rate differs: hold the button at power on, or pass --baud",
  });
}
