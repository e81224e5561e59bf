// The serial ports of this machine, each with whether it can be opened.
//
// On Linux the binding asks udevadm, which containers and small systems lack;
// then the names USB serial devices get are looked for in /dev. Pseudo-terminals
// are never listed: name them.

import { accessSync, constants, readdirSync, realpathSync } from "node:fs";
import { listSerial, type PortEntry } from "./serial";

const USB_NAMES = /^(ttyACM|ttyUSB|cu\.usb|cu\.SLAB|cu\.wch)/;

export interface ListedPort extends PortEntry {
  /** Whether this user may open it; false wants the group's name, which opening it tells. */
  accessible: boolean;
}

export async function listPorts(list: () => Promise<PortEntry[]> = listSerial): Promise<ListedPort[]> {
  const entries = await list().catch(() => lookInDev("/dev"));
  return entries
    .map((entry) => ({ ...entry, accessible: isAccessible(entry.path) }))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** By the names in /dev; the long name of /dev/serial/by-id tells maker and serial number. */
export function lookInDev(folder: string): PortEntry[] {
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
    const id = ids.get(path);
    return id === undefined ? { path } : { path, manufacturer: id };
  });
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return process.platform === "win32";
  }
}
