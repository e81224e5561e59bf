// Serial ports as Linux shows them in /sys: what udevadm would say, without
// starting a program, and where there is no udevadm.
//
//   /sys/class/tty/ttyACM0 ─▶ …/usb1/1-4/1-4:1.0/tty/ttyACM0
//                       /device ─▶ …/usb1/1-4/1-4:1.0           bInterfaceNumber
//                                  …/usb1/1-4                   idVendor, idProduct, serial, product
//
// Terminals that are nobody's hardware stand under /devices/virtual and are
// left out; so is a ttyS without a chip, which has type 0. The roots are
// arguments, so that tests hold folders of their own against this.

import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PortEntry } from "./serial";

export interface Roots {
  sys: string;
  dev: string;
}

export const ROOTS: Roots = { sys: "/sys", dev: "/dev" };

/** A port, with what its USB descriptors say where it has some. */
export interface Port extends PortEntry {
  product?: string;
  /** Which of several ports of one USB device this is. */
  interfaceNumber?: string;
}

const PARENTS = 6; // from a USB serial port up to its device: two or three in every driver seen

/** Undefined where there is no /sys to read. */
export function readSysfs(roots: Roots = ROOTS): Port[] | undefined {
  const folder = join(roots.sys, "class/tty");
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return undefined;
  }
  return names.flatMap((name) => readPort(roots, folder, name) ?? []);
}

function readPort(roots: Roots, folder: string, name: string): Port | undefined {
  try {
    if (readlinkSync(join(folder, name)).includes("/virtual/")) return undefined;
    const path = join(roots.dev, name);
    const port = { path, ...usbOf(realpathSync(join(folder, name, "device"))) };
    if ("vendorId" in port) return port;
    // A port of the machine's own counts when there is a chip and a file to open.
    return textOf(join(folder, name, "type")) !== "0" && existsSync(path) ? port : undefined;
  } catch {
    return undefined; // no hardware, or gone while we looked
  }
}

function usbOf(device: string): Omit<Port, "path"> {
  let interfaceNumber: string | undefined;
  for (let at = device, i = 0; i < PARENTS; at = dirname(at), i++) {
    interfaceNumber ??= textOf(join(at, "bInterfaceNumber"));
    const vendorId = textOf(join(at, "idVendor"));
    const productId = textOf(join(at, "idProduct"));
    if (vendorId === undefined || productId === undefined) continue;
    return {
      vendorId,
      productId,
      ...present({
        serialNumber: textOf(join(at, "serial")),
        manufacturer: textOf(join(at, "manufacturer")),
        product: textOf(join(at, "product")),
        interfaceNumber,
      }),
    };
  }
  return {};
}

/** The object without what is undefined. */
export function present<T extends object>(of: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(of).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** An attribute's text; undefined when it is missing or empty. */
export function textOf(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
