// Which port a device is on: by name, by USB ids, or because it is the only
// one; and where it is after it restarted, when its name may be another's.
//
//   --port P                     that, as given
//   --usb VID:PID[:SERIAL]       the only port with these ids
//   nothing                      the only USB serial port there is
//
// Between two ports nothing is ever guessed: `ambiguous-port` lists them. A
// device that comes back is looked for, in this order,
//   1. by its USB serial number: the same one is the same device, on any port;
//   2. among ports that weren't there before, of its maker, with no serial
//      number to say otherwise (a boot loader may have ids of its own);
//   3. under its old name, unless another device has that now.

import { existsSync, realpathSync } from "node:fs";
import { quote, Refusal } from "@vouch/shared/refusal";
import { usage } from "../exit";
import { type Clock, realClock, sleep } from "./clock";
import { type ListedPort, listPorts } from "./ports";

const LOOK_MS = 250;

export interface UsbIdentity {
  vendorId: string;
  productId: string;
  /** Null where the device has none. */
  serialNumber: string | null;
  /** Which of several ports of the device; null where it has one. */
  interfaceNumber: string | null;
  /** As the person named the port. */
  path: string;
  /** The other ports there were. */
  others: readonly string[];
}

export type List = () => Promise<ListedPort[]>;

export interface PortFlags {
  port?: string | undefined;
  usb?: string | undefined;
  /** Seconds to wait for the port to appear. */
  wait?: number | undefined;
}

/** Who is on a port; null when USB doesn't say (a pseudo-terminal, a simulated device, a port of the machine's own). */
export async function identityOf(path: string, list: List = listPorts): Promise<UsbIdentity | null> {
  const ports = await list();
  const node = nodeOf(path);
  const port = ports.find((one) => one.path === node);
  if (port?.vendorId === undefined || port.productId === undefined) return null;
  return {
    vendorId: port.vendorId,
    productId: port.productId,
    serialNumber: port.serialNumber ?? null,
    interfaceNumber: port.interfaceNumber ?? null,
    path,
    others: ports.filter((one) => one !== port).map((one) => one.path),
  };
}

/** /dev/serial/by-id/… and names that udev rules give are links. */
function nodeOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // COM3, or gone
  }
}

/** Where the device is now; null while it is nowhere, or while two ports could be it. */
export async function findPort(identity: UsbIdentity, list: List = listPorts): Promise<string | null> {
  const ports = await list();
  const { vendorId, serialNumber, others, path } = identity;
  const old = nodeOf(path);
  if (serialNumber !== null) {
    const same = ports.filter((port) => port.vendorId === vendorId && port.serialNumber === serialNumber);
    const exact = same.filter((port) => (port.interfaceNumber ?? null) === identity.interfaceNumber);
    const found = onlyOne(exact) ?? onlyOne(same);
    if (found !== null) return found.path === old ? path : found.path;
    if (same.length > 0) return null;
  }
  const mayBe = (port: ListedPort) =>
    port.vendorId === vendorId && (serialNumber === null || port.serialNumber === undefined);
  const fresh = ports.filter((port) => !others.includes(port.path) && port.path !== old && mayBe(port));
  const atOld = ports.find((port) => port.path === old);
  if (atOld !== undefined && mayBe(atOld)) return fresh.length === 0 ? path : null;
  return onlyOne(fresh)?.path ?? null;
}

/**
 * A way to find the device that is on this port now, after it went: for Link's reopen() and `vouch term`. What it
 * gives refuses `no-device` while the device is nowhere. One that USB doesn't name is found by its port alone.
 */
export async function followDevice(port: string, list: List = listPorts): Promise<() => Promise<string>> {
  const identity = await identityOf(port, list);
  return async () => {
    const isGone = identity === null && port.startsWith("/") && !existsSync(port);
    const path = identity === null ? port : await findPort(identity, list);
    if (path !== null && !isGone) return path;
    throw new Refusal("no-device", "the device that was on the port is gone", {
      hint: "`vouch ports` lists what is there",
    });
  };
}

const onlyOne = <T>(list: readonly T[]): T | null => (list.length === 1 ? (list[0] ?? null) : null);

/**
 * The port that the flags mean. Refuses `no-device` when there is none (after `wait`), `ambiguous-port` when there is
 * more than one, `usage` for ids that aren't any.
 */
export async function resolvePort(
  flags: PortFlags,
  list: List = listPorts,
  clock: Clock = realClock,
): Promise<string> {
  if (flags.port !== undefined && flags.usb !== undefined) throw usage("--port and --usb name a port each");
  const wanted = flags.usb === undefined ? undefined : parseUsb(flags.usb);
  const deadline = clock.now() + (flags.wait ?? 0) * 1000;
  for (;;) {
    const found = flags.port !== undefined ? byName(flags) : choose(await list(), wanted, flags);
    if (typeof found === "string") return found;
    if (clock.now() + LOOK_MS > deadline) throw found;
    await sleep(clock, LOOK_MS);
  }
}

/** A named port is taken as it is, unless somebody wants to wait for it: opening it tells best why it can't be. */
function byName({ port = "", wait }: PortFlags): string | Refusal {
  const isFile = port.startsWith("/");
  if (wait === undefined || !isFile || existsSync(port)) return port;
  return new Refusal("no-device", `${quote(port)} did not appear within ${wait} s`);
}

interface Wanted {
  vendorId: string;
  productId: string;
  serialNumber: string | undefined;
}

/** VID:PID or VID:PID:SERIAL; a serial number may hold colons. */
export function parseUsb(text: string): Wanted {
  const [, vendorId, productId, serialNumber] = /^([0-9a-f]{4}):([0-9a-f]{4})(?::(.+))?$/i.exec(text) ?? [];
  if (vendorId === undefined || productId === undefined) {
    throw usage(`found ${quote(text)}, expected VID:PID or VID:PID:SERIAL, such as 0483:5740`);
  }
  return { vendorId: vendorId.toLowerCase(), productId: productId.toLowerCase(), serialNumber };
}

function choose(
  ports: readonly ListedPort[],
  wanted: Wanted | undefined,
  flags: PortFlags,
): string | Refusal {
  const usb = ports.filter((port) => port.vendorId !== undefined);
  const found = wanted === undefined ? usb : usb.filter((port) => isWanted(port, wanted));
  const only = onlyOne(found);
  if (only !== null) return only.path;
  if (found.length === 0) return noDevice(ports, flags);
  throw new Refusal(
    "ambiguous-port",
    `found ${found.length} ports, and none is guessed: ${found.map(tell).join("; ")}`,
    { hint: "name one with --port, or by --usb VID:PID:SERIAL" },
  );
}

const isWanted = (port: ListedPort, wanted: Wanted) =>
  port.vendorId?.toLowerCase() === wanted.vendorId &&
  port.productId?.toLowerCase() === wanted.productId &&
  (wanted.serialNumber === undefined || port.serialNumber === wanted.serialNumber);

function noDevice(ports: readonly ListedPort[], { usb, wait }: PortFlags): Refusal {
  const what = usb === undefined ? "USB serial port" : `port of USB device ${quote(usb)}`;
  const when = wait === undefined ? "" : ` within ${wait} s`;
  const rest = ports.length === 0 ? "" : `; there is ${ports.map(tell).join("; ")}`;
  return new Refusal("no-device", `found no ${what}${when}${rest}`, {
    hint: "is the cable one that carries data? A pseudo-terminal or sim:FILE is named with --port",
  });
}

/** "/dev/ttyACM0 (0483:5740 3971, interface 02, STM32 virtual COM port)" */
function tell(port: ListedPort): string {
  const { path, vendorId, productId = "", serialNumber, interfaceNumber, what } = port;
  if (vendorId === undefined) return `${path} (${what})`;
  const ids = [`${vendorId}:${productId}`, serialNumber].filter((part) => part !== undefined).join(" ");
  const channel = interfaceNumber === undefined ? "" : `, interface ${interfaceNumber}`;
  return `${path} (${ids}${channel}, ${what})`;
}
