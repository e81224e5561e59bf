// Which devices to flash: those named with --port, the one of --usb, the only one there is, or with --all every serial port
// behind which something answers that this file is for. Nothing is guessed: --all
// says what it takes and what it leaves alone before anything is changed.

import { existsSync } from "node:fs";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { type Clock, realClock, sleep } from "../device/clock";
import { resolvePort } from "../device/find";
import { type LinkOptions, withLink } from "../device/link";
import { type ListedPort, listPorts } from "../device/ports";
import type { Session } from "../device/session";
import { usage } from "../exit";
import type { Screen } from "../output/screen";

const LOOK_MS = 250;
const PROBE_MS = 4000;

export interface PortFlags {
  readonly port?: readonly string[];
  readonly usb?: string;
  readonly all?: boolean;
  /** Seconds to wait for a device to appear. */
  readonly wait?: number;
}

/** Refuses with why the device behind this session is not one for the file. */
export type Suits = (session: Session) => Promise<void>;

export interface Choosing {
  readonly link: LinkOptions;
  readonly suits: Suits;
  readonly list?: () => Promise<ListedPort[]>;
}

/** The ports to flash, each once. Refuses `no-device`, `ambiguous-port`, or `usage` where flags contradict each other. */
export async function choosePorts(flags: PortFlags, choosing: Choosing, screen: Screen): Promise<string[]> {
  const named = [...new Set(flags.port ?? [])];
  const ways = [named.length > 0, flags.usb !== undefined, flags.all === true];
  if (ways.filter(Boolean).length > 1) throw usage("expected one of --port, --usb and --all");
  if (named.length === 0 && flags.all !== true) return [await resolvePort(flagsOfOne(flags), choosing.list)];
  const clock = choosing.link.clock ?? realClock;
  const deadline = clock.now() + (flags.wait ?? 0) * 1000;
  if (named.length > 0) {
    await Promise.all(named.map((port) => appear(port, flags.wait, deadline, clock)));
    return named;
  }
  for (;;) {
    const isLast = clock.now() + LOOK_MS > deadline;
    const found = await answering(choosing, isLast ? screen : null);
    if (found.length > 0 || isLast) return someOf(found);
    await sleep(clock, LOOK_MS);
  }
}

const flagsOfOne = ({ usb, wait }: PortFlags) => ({ usb, wait });

function someOf(ports: string[]): string[] {
  if (ports.length > 0) return ports;
  throw new Refusal("no-device", "no serial port has a device that this file is for", {
    hint: "`vouch ports` lists the ports; --wait SECONDS waits for a device",
  });
}

/** A named port is taken as it is, unless somebody wants to wait for it: opening it tells best why it can't be. */
async function appear(port: string, wait: number | undefined, deadline: number, clock: Clock): Promise<void> {
  if (wait === undefined || !port.startsWith("/")) return;
  while (!existsSync(port)) {
    if (clock.now() >= deadline) {
      throw new Refusal("no-device", `${quote(port)} did not appear within ${wait} s`);
    }
    await sleep(clock, LOOK_MS);
  }
}

/** Ports whose device suits; the screen is told of the others. */
async function answering(
  { link, suits, list = listPorts }: Choosing,
  screen: Screen | null,
): Promise<string[]> {
  const ports = await list();
  const reasons = await Promise.all(
    ports.map(async ({ path, accessible }) => {
      if (!accessible) return "no permission to open it";
      try {
        await withLink(path, { ...link, timeoutMs: PROBE_MS }, ({ session }) => suits(session));
        return null;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return error.message;
      }
    }),
  );
  ports.forEach(({ path }, i) => {
    if (reasons[i] !== null) screen?.say(`left alone: ${path}: ${reasons[i]}`);
  });
  return ports.filter((_, i) => reasons[i] === null).map(({ path }) => path);
}
