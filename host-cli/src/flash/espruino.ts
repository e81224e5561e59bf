// vouch flash FILE.js: a program or any other file into an Espruino's Storage,
// through its console, and the device's own word that it is there.
//
//   enquire ─ ask what Storage holds ─ the same? ─▶ done, nothing written
//     │
//     └─ reset() ─▶ write ─▶ device hashes it ─▶ load() ─▶ did it throw?
//                     ▲            │ differs, or packets were lost
//                     └────────────┘ from the start: Storage can't replace a piece
//
// FILE.js becomes .bootcde, the code that runs at power on, as `save` in the
// Espruino IDE does it. --storage NAME makes it a module or data file instead.
// reset() first: code in Storage runs from where it lies, and would be pulled
// from under itself.
//
// SHA-256 where the firmware has it, else CRC-32, which says that the file arrived
// and nothing about who may have changed it since. Either is the word of the
// interpreter that runs: `vouch attest` is what proves what a device is.

import { toHex } from "@vouch/shared/bytes";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { realClock } from "../device/clock";
import { type EspruinoSession, hasPackets, openEspruino } from "../device/espruino";
import { evalPacket, sendFile } from "../device/espruino-packets";
import {
  type Check,
  eraseFile,
  MAX_NAME,
  matches,
  readState,
  roomFor,
  type StorageState,
  writeLines,
} from "../device/espruino-storage";
import { type LineFlags, type LinkOptions, linkFrom } from "../device/link";
import { openDevice } from "../device/transport";
import { about, printable, usage } from "../exit";
import type { Io } from "../io";
import { startProgress } from "../output/terminal";
import { readInput } from "../readfiles";

const BOOT_CODE = ".bootcde";
const MAX_FILE = 8 * 1024 * 1024; // the largest external flash on a board with Espruino
const RESETS = 3;
const TRANSFERS = 4;
const PACKET_TRANSFERS = 2; // then lines, each of which is repaired by itself
const MISMATCHES = 2;
const BITS_PER_BYTE = 10; // 8N1

export interface EspruinoFlashOptions {
  readonly port: string;
  readonly file: Uint8Array;
  /** Its name in Storage. */
  readonly name: string;
  /** False leaves the device at its prompt after reset(). */
  readonly load: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly baud: number;
  readonly link: LinkOptions;
}

export interface EspruinoReport {
  readonly result: "flashed" | "already-there" | "would-flash";
  readonly port: string;
  readonly board: string;
  readonly firmware: string;
  readonly file: { readonly name: string; readonly size: number; readonly sha256: string };
  /** How the device told that it holds the file; crc32 is no proof against tampering. */
  readonly check: Check;
  readonly method: "packets" | "lines" | null;
  /** Whether the console answers after load(); null when nothing was loaded. */
  readonly console: boolean | null;
  readonly seconds: number;
}

interface Job {
  readonly options: EspruinoFlashOptions;
  readonly session: EspruinoSession;
  readonly state: StorageState;
  readonly check: Check;
  readonly io: Io;
}

/** Refuses before anything is written, or with what the device holds now. */
export async function flashEspruino(options: EspruinoFlashOptions, io: Io): Promise<EspruinoReport> {
  const clock = options.link.clock ?? realClock;
  return about(options.port, async () => {
    const transport = await (options.link.open ?? openDevice)(options.port);
    const session = await openEspruino(transport, { clock, deadline: clock.now() + options.link.timeoutMs });
    try {
      const state = await readState(session, options.name);
      if (/^Serial/.test(state.console)) session.line.pace = options.baud / BITS_PER_BYTE;
      if (state.check === null) throw cannotTell();
      return await run({ options, session, state, check: state.check, io });
    } finally {
      await session.close();
    }
  });
}

async function run(job: Job): Promise<EspruinoReport> {
  const { options, session, state, check, io } = job;
  const { clock } = session.line;
  const { name, file } = options;
  const since = clock.now();
  const report = (result: EspruinoReport["result"], more: Partial<EspruinoReport> = {}): EspruinoReport => ({
    result,
    port: options.port,
    board: session.identity.board,
    firmware: session.identity.version,
    file: { name, size: file.length, sha256: toHex(nodeCrypto.sha256(file)) },
    check,
    method: null,
    console: null,
    seconds: Math.round(clock.now() - since) / 1000,
    ...more,
  });
  if (await matches(session, name, file, check, nodeCrypto.sha256)) return report("already-there");
  const room = roomFor(state);
  if (file.length > room) {
    throw new Refusal(
      "storage-full",
      `${name} has ${file.length} bytes, Storage room for ${room}; nothing was written`,
      { hint: 'erase what isn\'t needed: require("Storage").list() names it' },
    );
  }
  await announce(job);
  if (options.dryRun === true) return report("would-flash");
  await stop(session);
  const method = await methodFor(session, file);
  const used = await write(job, method);
  const seconds = Math.round(clock.now() - since) / 1000;
  const rate = `${(file.length / 1000 / Math.max(seconds, 0.001)).toFixed(1)} kB/s`;
  say(io, `written and verified in ${seconds.toFixed(1)} s, ${rate}`);
  return report("flashed", { method: used, seconds, console: options.load ? await start(job) : null });
}

function say(io: Io, line: string): void {
  if (!io.quiet && !io.json) io.stderr(`${printable(line)}\n`);
}

async function announce({ options, session, state, check, io }: Job): Promise<void> {
  const { name, file } = options;
  const { version, board } = session.identity;
  const old = state.size === null ? "" : `, in place of ${state.size} bytes`;
  const use = name === BOOT_CODE ? " (runs at power on)" : "";
  say(io, `file    ${name}${use}, ${file.length} bytes${old}, sha256 ${toHex(nodeCrypto.sha256(file))}`);
  say(io, `device  ${board} with Espruino ${version} on ${options.port}, ${roomFor(state)} bytes of room`);
  const steps = ["reset()", "write", `verify by the device's ${NAMES[check]}`];
  say(io, `plan    ${[...steps, ...(options.load ? ["load()"] : [])].join(", ")}`);
  if (options.dryRun === true || options.yes === true) return;
  if (!(await io.confirm(`change the device on ${options.port}?`))) {
    throw new Refusal("declined", "nothing was written to the device");
  }
}

const NAMES = { sha256: "SHA-256", crc32: "CRC-32" } as const;

/** reset(), until a variable set before it is gone: code that runs must not be replaced. */
async function stop(session: EspruinoSession): Promise<void> {
  try {
    for (let tries = 0; tries < RESETS; tries++) {
      if ((await session.restart("reset")).answers) return;
      await session.recover();
    }
    throw new Refusal("device-timeout", "the program doesn't stop at reset()", {
      hint: "hold the button at power on, so that it doesn't start, and run this again",
    });
  } catch (error) {
    throw told(error, "nothing was written, the old program is still there");
  }
}

/** Packets when the firmware has them and they get through, else lines. */
async function methodFor(session: EspruinoSession, file: Uint8Array): Promise<"packets" | "lines"> {
  const { version, board } = session.identity;
  if (!hasPackets(version)) return "lines";
  // Espruino for Linux ends at a byte 04, wherever it stands, and takes 03 for Ctrl-C; a line has neither.
  if (board === "LINUX" && file.some((byte) => byte === 3 || byte === 4)) return "lines";
  if ((await evalPacket(session.line, "1234+8765")) === "9999") return "packets";
  await session.recover();
  return "lines";
}

/** Until the device says that it holds the file; by which method it came to that. */
async function write(job: Job, first: "packets" | "lines"): Promise<"packets" | "lines"> {
  const { options, session, check, io } = job;
  const { name, file } = options;
  const progress = startProgress(io, "writing", file.length);
  let mismatches = 0;
  try {
    for (let transfers = 1; ; transfers++) {
      const method = transfers > PACKET_TRANSFERS ? "lines" : first;
      const sent = await transfer(job, method, progress.update);
      const holds = sent && (await matches(session, name, file, check, nodeCrypto.sha256));
      if (holds) return method;
      if (sent === null) await session.recover();
      else if (++mismatches === MISMATCHES) {
        throw new Refusal(
          "verify-mismatch",
          `written ${MISMATCHES} times, and the device's ${NAMES[check]} is another each time`,
          {
            hint: "the line alters bytes or the flash is worn: try a lower --baud, another cable, another board",
          },
        );
      }
      if (transfers === TRANSFERS) {
        throw new Refusal("transfer-failed", `${TRANSFERS} transfers didn't come through`, {
          hint: "the line loses bytes: try a lower --baud or another cable, then run this again",
        });
      }
      say(
        io,
        `${sent !== null ? "the device holds something else" : "the transfer broke off"}; from the start`,
      );
    }
  } catch (error) {
    throw told(error, await leave(session, name));
  } finally {
    progress.end();
  }
}

/** False when the device says that it holds something else, null when the transfer broke off. */
async function transfer(
  { options, session }: Job,
  method: "packets" | "lines",
  onProgress: (done: number) => void,
): Promise<boolean | null> {
  const { name, file } = options;
  if (method === "packets") return (await sendFile(session.line, name, file, onProgress)).sent || null;
  return writeLines(session, name, file, onProgress);
}

/** After a failure: half a program must not run at the next power on. Says what the device holds. */
async function leave(session: EspruinoSession, name: string): Promise<string> {
  try {
    await session.recover();
    await eraseFile(session, name);
    return `the device has no ${name} now: the old one had to go first`;
  } catch {
    return `the device's ${name} may be incomplete, and the old one is gone: run this again before it restarts`;
  }
}

function told(error: unknown, condition: string): unknown {
  if (!isRefusal(error)) return error;
  const hint = error.hint ?? "run the same command again";
  return new Refusal(error.code, `${error.message}; ${condition}`, { hint, cause: error });
}

/** load(), and whether the console answers after it. Refuses `program-threw`. */
async function start({ options, session, io }: Job): Promise<boolean> {
  const { answers, text } = await session.restart("load").catch((error: unknown) => {
    // A program may start its USB anew, and what was to be done is done.
    if (isRefusal(error) && error.code === "device-closed") return { answers: false, text: "" };
    throw error;
  });
  const [, error] = /Uncaught (.{1,160})/.exec(text) ?? [];
  if (error !== undefined) {
    throw new Refusal("program-threw", `the program threw as it started: ${quote(error.trim())}`, {
      hint: `${options.name} is on the device and verified; mend it and flash it again`,
    });
  }
  if (!answers) say(io, "the console is silent after load(): the program may have taken it");
  return answers;
}

const cannotTell = () =>
  new Refusal(
    "cannot-verify",
    "this firmware has neither SHA-256 nor E.CRC32: what it holds can't be verified",
    {
      hint: "update Espruino; nothing was written",
    },
  );

export interface EspruinoFlags extends LineFlags {
  storage?: string;
  save?: boolean;
  load?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  policy?: string;
  vendor?: string;
  key?: string;
  minCounter?: number;
  allowDowngrade?: boolean;
  confirm?: boolean;
}

export function withEspruino(command: Command): Command {
  return command
    .option("--save", "Espruino: as .bootcde, which runs at power on (the default for FILE.js)")
    .option("--storage <NAME>", "Espruino: as this file in Storage instead")
    .option("--no-load", "Espruino: leave it at its prompt, don't start the program");
}

export function isEspruino(file: string, flags: Omit<EspruinoFlags, "port">): boolean {
  return flags.storage !== undefined || flags.save === true || /\.js$/i.test(file);
}

export async function runEspruino(path: string, flags: EspruinoFlags, io: Io): Promise<void> {
  const { storage, save } = flags;
  if (storage !== undefined && save === true) throw usage("expected one of --save and --storage");
  for (const [given, name] of [
    [flags.policy !== undefined, "--policy"],
    [flags.vendor !== undefined, "--vendor"],
    [flags.key !== undefined, "--key"],
    [flags.minCounter !== undefined, "--min-counter"],
    [flags.allowDowngrade === true, "--allow-downgrade"],
    [flags.confirm === false, "--no-confirm"],
  ] as const) {
    if (given) throw usage(`${name} is for a signed image, and an Espruino checks no signature`);
  }
  const name = storage ?? BOOT_CODE;
  if (!/^[!-~]+$/.test(name) || name.length > MAX_NAME) {
    throw usage(`found --storage ${quote(name)}, expected 1 to ${MAX_NAME} ASCII characters without spaces`);
  }
  const file = readInput(path, MAX_FILE);
  if (file.length === 0) throw usage(`${path} is empty, and Storage holds no empty file`);
  const report = await flashEspruino(
    {
      port: flags.port,
      file,
      name,
      load: flags.load !== false,
      dryRun: flags.dryRun === true,
      yes: flags.yes === true,
      baud: flags.baud,
      link: linkFrom(flags),
    },
    io,
  );
  io.stdout(io.json ? `${JSON.stringify(report)}\n` : `${printable(verdict(report))}\n`);
}

function verdict({ result, board, file, check }: EspruinoReport): string {
  const by = check === "sha256" ? "SHA-256" : "CRC-32, which is no proof against tampering";
  const words = {
    flashed: `written, verified by the device's ${by}`,
    "already-there": `already there by the device's ${by}`,
    "would-flash": "would be written",
  };
  return `${board}: ${file.name}, ${file.size} bytes, sha256 ${file.sha256}: ${words[result]}`;
}
