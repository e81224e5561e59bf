// vouch term: a plain terminal on a line. Survives unplugging.
//
//   keys ──▶ device      on a TTY as they are typed, Ctrl-C too; Ctrl-] leaves
//   stdin ─▶ device      off one; ends when stdin has ended and the device was
//                        silent for a second, with --follow never
//   device ─▶ stdout     on a TTY made safe (output/safe.ts), unless --raw;
//                        off one the bytes as they came
//
// When the device goes it is waited for, and found by its USB identity wherever
// it comes back (device/find.ts). What is typed meanwhile is lost, and said to be.

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { followDevice } from "../device/find";
import { type LineFlags, linkFrom, withLine } from "../device/link";
import { openDevice, type Transport } from "../device/transport";
import { about } from "../exit";
import type { Io } from "../io";
import { safeText } from "../output/safe";
import { paint } from "../output/terminal";

const LEAVE = 0x1d; // Ctrl-], as telnet has it
const LOOK_MS = 250;
const SILENT_MS = 1000;
const DEFAULT_TIMEOUT_S = 600;

/** Where keys come from: process.stdin, or a test. */
export interface Keys {
  on(event: "data", listener: (bytes: Uint8Array) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  pause(): unknown;
}

export interface TermOptions {
  port: string;
  open(port: string): Promise<Transport>;
  /** Where the device is after it went; refuses while it is nowhere. */
  find(): Promise<string>;
  keys: Keys;
  /** Keys are typed: Ctrl-] leaves, and the end of keys doesn't. */
  typed: boolean;
  follow: boolean;
  /** To the person, or the file. */
  show(bytes: Uint8Array): void;
  say(text: string): void;
  /** How long a device that went is waited for. */
  timeoutMs: number;
}

interface Flags extends LineFlags {
  raw?: boolean;
  follow?: boolean;
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("term")
    .description(
      "A plain terminal on a line; survives unplugging. Ctrl-] leaves. --timeout is for a device that went.",
    )
    .option("--raw", "on a terminal, pass every escape sequence of the device on")
    .option("--follow", "off a terminal, go on when stdin has ended");
  withLine(command, DEFAULT_TIMEOUT_S).action((flags: Flags) =>
    about(flags.port, () => onProcess(flags, io)),
  );
}

async function onProcess(flags: Flags, io: Io): Promise<void> {
  const { open = openDevice, timeoutMs } = linkFrom(flags);
  const { stdin } = process;
  const typed = io.tty.stdin;
  const toSafe = safeText();
  const isSafe = io.tty.stdout && flags.raw !== true;
  const find = await followDevice(flags.port);
  const say = (text: string) => {
    if (!io.quiet) io.stderr(`${paint(io, "stderr", "dim", `-- ${text}`)}\n`);
  };
  const show = (bytes: Uint8Array) => io.stdout(isSafe ? toSafe(bytes) : bytes);
  if (typed) stdin.setRawMode(true);
  try {
    const follow = flags.follow === true;
    await runTerm({ port: flags.port, open, find, keys: stdin, typed, follow, show, say, timeoutMs });
  } finally {
    if (typed) stdin.setRawMode(false);
    stdin.pause();
  }
}

/** Resolves when the person leaves or there is no more to do. Refuses `did-not-return` when the device doesn't. */
export async function runTerm(options: TermOptions): Promise<void> {
  const { keys, typed, follow, show, say } = options;
  let line: Transport | null = await options.open(options.port);
  let lastHeard = performance.now();
  let isLeaving = false;
  let hasEnded = false;
  let sending = Promise.resolve();
  let lost = 0;

  const use = (transport: Transport) => {
    line = transport;
    transport.onData((bytes) => {
      lastHeard = performance.now();
      show(bytes);
    });
    transport.onClose(() => {
      if (line === transport) line = null;
    });
  };
  const send = (bytes: Uint8Array) => {
    sending = sending.then(async () => {
      const isSent = line !== null && (await line.write(bytes).then(...ANSWERS));
      if (!isSent) lost += bytes.length;
      lastHeard = performance.now();
    });
  };
  use(line);
  say(typed ? `${options.port}; Ctrl-] leaves` : options.port);
  keys.on("data", (bytes) => {
    const leave = typed ? bytes.indexOf(LEAVE) : -1;
    if (leave >= 0) isLeaving = true;
    if (leave !== 0) send(new Uint8Array(leave < 0 ? bytes : bytes.subarray(0, leave)));
  });
  keys.on("end", () => {
    hasEnded = true;
  });

  const isDone = () =>
    isLeaving || (hasEnded && !follow && performance.now() - lastHeard > SILENT_MS) || (hasEnded && typed);
  while (!isDone()) {
    await pause(isLeaving ? 0 : 50);
    if (line === null && !isDone()) {
      say("the device went away; waiting for it to come back");
      const back = await waitFor(options, isDone);
      if (back === null) break;
      use(back);
      lastHeard = performance.now();
      say(`back on ${back.label}${lost === 0 ? "" : `; ${lost} bytes typed meanwhile were not sent`}`);
      lost = 0;
    }
  }
  await sending;
  await line?.close();
}

const ANSWERS = [() => true, () => false] as const;

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

/** Null when the person left meanwhile. */
async function waitFor(options: TermOptions, isDone: () => boolean): Promise<Transport | null> {
  const { find, open, timeoutMs } = options;
  const deadline = performance.now() + timeoutMs;
  while (!isDone()) {
    try {
      return await open(await find());
    } catch (error) {
      if (!isRefusal(error)) throw error; // not there yet, or not ready to be opened
    }
    if (performance.now() > deadline) {
      throw new Refusal("did-not-return", `the device did not come back within ${timeoutMs / 1000} s`);
    }
    await pause(LOOK_MS);
  }
  return null;
}
