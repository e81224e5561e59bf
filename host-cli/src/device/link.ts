// A session that outlives its line: boards on USB vanish and come back when
// they restart, and cables get pulled.
//
//   open ──▶ session ──▶ line closed ──▶ reopen (every 250 ms) ──▶ session
//                                          until the one deadline of it all
//
// What was sent before the line went is not sent again here: whoever drives the
// device asks it where it stands. Where a device comes back under another name,
// `find` tells which; that it is the same device, its driver checks.

import { quote, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { about, usage } from "../exit";
import { seconds } from "../signer";
import { type Clock, realClock, sleep } from "./clock";
import { followDevice, resolvePort } from "./find";
import { FRAMINGS, type FramingName } from "./framing";
import { openSession, type Session } from "./session";
import { openTrace } from "./trace";
import { DEFAULT_BAUD, openDevice, type Transport } from "./transport";

const REOPEN_MS = 250;

export interface LinkOptions {
  /** All waiting together. */
  timeoutMs: number;
  clock?: Clock;
  /** Opens the line; `openDevice` unless a test brings its own. */
  open?: (port: string) => Promise<Transport>;
  onText?: (line: Uint8Array) => void;
  /** Where sequence numbers begin. Default: anywhere. */
  firstSequence?: number;
  /** How messages lie on the line. Default: console. */
  framing?: FramingName;
  /** Where the device is when its line went away; refuses while it isn't anywhere. Default: where it was. */
  find?: () => Promise<string>;
  /** Remembers what the device on a port is, and gives such a `find` for it. */
  follow?: (port: string) => Promise<() => Promise<string>>;
}

/** What the flags of withLine give a command. */
export interface LineFlags {
  port: string;
  baud: number;
  timeout: number;
  trace?: string;
  framing: FramingName;
}

/** Adds the flags that name a line to a device. The action finds in `port` which one they mean. */
export function withLine(command: Command, timeoutSeconds: number): Command {
  return lineFlags(command, timeoutSeconds).hook("preAction", async (_, verb) => {
    verb.setOptionValue("port", await resolvePort(verb.opts()));
  });
}

/** The flags alone. */
export function lineFlags(command: Command, timeoutSeconds: number): Command {
  return command
    .option("-p, --port <PORT>", "serial port, or sim:FILE; default: the only USB serial port there is")
    .option("--usb <IDS>", "the port with USB ids VID:PID or VID:PID:SERIAL")
    .option("--wait <SECONDS>", "for the port to appear", seconds)
    .option("--trace <FILE>", "append what goes over the line to a file; it holds no keys")
    .option("--baud <RATE>", "speed of a serial port", baudRate, DEFAULT_BAUD)
    .option("--framing <NAME>", "console (base64 lines) or raw", framingName, "console")
    .option("--timeout <SECONDS>", "all waiting together", seconds, timeoutSeconds);
}

function baudRate(text: string): number {
  if (/^[1-9][0-9]{1,7}$/.test(text)) return Number(text);
  throw usage(`found ${quote(text)}, expected a rate such as 115200`);
}

function framingName(text: string): FramingName {
  const name = FRAMINGS.find((known) => known === text);
  if (name !== undefined) return name;
  throw usage(`found ${quote(text)}, expected ${FRAMINGS.join(" or ")}`);
}

export function linkFrom(flags: LineFlags): LinkOptions {
  const { baud, framing } = flags;
  const trace = flags.trace === undefined ? undefined : openTrace(flags.trace);
  const open = async (port: string) => {
    const transport = await openDevice(port, { baud });
    return trace === undefined ? transport : trace.over(transport);
  };
  return { timeoutMs: flags.timeout * 1000, framing, open, follow: followDevice };
}

export interface Link {
  /** The current session; another one after reopen(). */
  readonly session: Session;
  readonly deadline: number;
  /** Waits until the port can be opened again. Refuses with why it can't when time is up, or `isOver` says so. */
  reopen(options?: { find?: () => Promise<string>; isOver?: () => boolean }): Promise<void>;
  close(): Promise<void>;
}

export async function openLink(port: string, options: LinkOptions): Promise<Link> {
  const clock = options.clock ?? realClock;
  const open = options.open ?? openDevice;
  const deadline = clock.now() + options.timeoutMs;
  const connect = async (at: string) =>
    openSession(await open(at), {
      clock,
      timeoutMs: Math.max(0, deadline - clock.now()),
      ...(options.onText === undefined ? {} : { onText: options.onText }),
      ...(options.framing === undefined ? {} : { framing: options.framing }),
      ...(options.firstSequence === undefined ? {} : { firstSequence: options.firstSequence }),
    });
  let session = await connect(port);
  const followed = await options.follow?.(port);
  return {
    get session() {
      return session;
    },
    deadline,
    async reopen(again = {}) {
      await session.close();
      const find = again.find ?? options.find ?? followed ?? (async () => port);
      for (;;) {
        try {
          session = await connect(await find());
          return;
        } catch (error) {
          const isOver = clock.now() + REOPEN_MS >= deadline || again.isOver?.() === true;
          if (!(error instanceof Refusal) || isOver) throw error;
        }
        await sleep(clock, REOPEN_MS);
      }
    },
    close: () => session.close(),
  };
}

/** Runs `work` with a link to the port, and closes it whatever happens. Errors are about the port. */
export async function withLink<T>(
  port: string,
  options: LinkOptions,
  work: (link: Link) => Promise<T>,
): Promise<T> {
  return about(port, async () => {
    const link = await openLink(port, options);
    try {
      return await work(link);
    } finally {
      await link.close();
    }
  });
}
