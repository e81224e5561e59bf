// The serial ports of this machine: whose they are, and whether they can be
// opened.
//
//   Linux     /sys (sysfs.ts); without it, the names USB serial ports get in /dev
//   macOS     the binding's list: /dev/cu.X, since /dev/tty.X waits for a carrier
//   Windows   the binding's list: COM3, COM10
//
// The binding is loaded only where it is the one that knows: loading it takes
// longer than all else `vouch ports` does. Pseudo-terminals are never listed:
// name them.

import { accessSync, constants, readdirSync, realpathSync, statSync } from "node:fs";
import { groupOf, listSerial, type PortEntry } from "./serial";
import { type Port, present, ROOTS, type Roots, readSysfs } from "./sysfs";
import { describeUsb } from "./usb";

export type { Port } from "./sysfs";

export interface ListedPort extends Port {
  /** What its USB ids say it is. */
  what: string;
  accessible: boolean;
  /** Why it can't be opened, where it can't. */
  reason?: string;
}

export interface ListOptions {
  platform?: NodeJS.Platform;
  roots?: Roots;
  /** What the binding lists. */
  list?: () => Promise<PortEntry[]>;
}

export async function listPorts(options: ListOptions = {}): Promise<ListedPort[]> {
  const { platform = process.platform, roots = ROOTS, list = listSerial } = options;
  const found = platform === "linux" ? (readSysfs(roots) ?? lookInDev(roots.dev)) : await list();
  const ports = platform === "darwin" ? callOut(found) : found;
  return ports
    .map((port) => {
      const reason = platform === "win32" ? undefined : whyShut(port.path);
      return { ...port, what: whatIs(port), accessible: reason === undefined, ...present({ reason }) };
    })
    .sort((a, b) => comparePaths(a.path, b.path));
}

function whatIs({ vendorId, productId }: Port): string {
  if (vendorId === undefined || productId === undefined) return "serial port";
  return describeUsb(vendorId.toLowerCase(), productId.toLowerCase());
}

/** /dev/tty.X as /dev/cu.X, each once. */
export function callOut(ports: readonly Port[]): Port[] {
  const paths = new Map<string, Port>();
  for (const port of ports) {
    const path = port.path.replace(/^\/dev\/tty\./, "/dev/cu.");
    paths.set(path, { ...paths.get(path), ...port, path });
  }
  return [...paths.values()];
}

/** COM3 before COM10, ttyUSB2 before ttyUSB10; otherwise by character. */
export function comparePaths(a: string, b: string): number {
  const [left, right] = [a, b].map((path) => path.split(/(\d+)/));
  for (let i = 0; i < Math.max(left?.length ?? 0, right?.length ?? 0); i++) {
    const [x = "", y = ""] = [left?.[i], right?.[i]];
    if (x === y) continue;
    const byNumber = i % 2 === 1 ? Number(x) - Number(y) : 0;
    if (byNumber !== 0) return byNumber;
    return x < y ? -1 : 1;
  }
  return 0;
}

const USB_NAMES = /^(ttyACM|ttyUSB)/;

/** By the names in /dev; the long name of /dev/serial/by-id tells maker and serial number. */
export function lookInDev(folder: string): Port[] {
  const names = entriesOf(folder).filter((name) => USB_NAMES.test(name));
  const ids = new Map<string, string>();
  for (const id of entriesOf(`${folder}/serial/by-id`)) {
    try {
      ids.set(realpathSync(`${folder}/serial/by-id/${id}`), id);
    } catch {
      // A link whose device has just gone.
    }
  }
  return names.map((name) => {
    const path = `${folder}/${name}`;
    return { path, ...present({ product: ids.get(path) }) };
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Undefined when this user may open the port. */
export function whyShut(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return "there is no such device file here";
    const group = groupOf(path);
    return group === undefined ? "no permission" : `no permission, it belongs to group ${group}`;
  }
}
