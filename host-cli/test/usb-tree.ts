// A /sys, /dev and /proc of a machine to order, in a folder: what ports, find
// and doctor read, laid out as Linux lays it out.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface UsbDevice {
  /** ttyACM0 or ttyUSB0: where the driver puts the tty differs. */
  tty: string;
  /** Where on the bus, such as 1-4: unique per device. */
  bus: string;
  idVendor: string;
  idProduct: string;
  serial?: string;
  product?: string;
  manufacturer?: string;
  interfaceNumber?: string;
}

export class Machine {
  readonly root = mkdtempSync(join(tmpdir(), "vouch-machine-"));
  readonly sys = join(this.root, "sys");
  readonly dev = join(this.root, "dev");
  readonly proc = join(this.root, "proc");

  constructor() {
    for (const folder of [join(this.sys, "class/tty"), this.dev, this.proc])
      mkdirSync(folder, { recursive: true });
  }

  /** Puts a file there, with the folders above it. */
  file(path: string, text: string): string {
    const full = join(this.root, path);
    mkdirSync(join(full, ".."), { recursive: true });
    writeFileSync(full, text);
    return full;
  }

  plug(device: UsbDevice): string {
    const usb = `sys/devices/pci0000:00/usb1/${device.bus}`;
    const face = `${usb}/${device.bus}:1.${device.interfaceNumber ?? "00"}`;
    for (const key of ["idVendor", "idProduct", "serial", "product", "manufacturer"] as const) {
      if (device[key] !== undefined) this.file(`${usb}/${key}`, `${device[key]}\n`);
    }
    this.file(`${face}/bInterfaceNumber`, `${device.interfaceNumber ?? "00"}\n`);
    // A CDC tty hangs on its interface, one of a USB serial driver on a port between them.
    const holder = device.tty.startsWith("ttyUSB") ? `${face}/${device.tty}` : face;
    this.tty(device.tty, `${holder}/tty/${device.tty}`, holder);
    return this.file(`dev/${device.tty}`, "");
  }

  unplug({ tty, bus }: Pick<UsbDevice, "tty" | "bus">): void {
    rmSync(join(this.sys, "class/tty", tty));
    rmSync(join(this.dev, tty));
    rmSync(join(this.sys, "devices/pci0000:00/usb1", bus), { recursive: true });
  }

  /** The entry of /sys/class/tty, and the link back to what it hangs on. */
  tty(name: string, folder: string, holder?: string): void {
    mkdirSync(join(this.root, folder), { recursive: true });
    if (holder !== undefined) symlinkSync(join(this.root, holder), join(this.root, folder, "device"));
    symlinkSync(join(this.root, folder), join(this.sys, "class/tty", name));
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }
}

export const ESPRUINO: UsbDevice = {
  tty: "ttyACM0",
  bus: "1-4",
  idVendor: "0483",
  idProduct: "5740",
  serial: "3971",
  product: "Espruino Serial port",
  manufacturer: "Espruino",
};

export const FTDI_CABLE: UsbDevice = {
  tty: "ttyUSB0",
  bus: "1-2",
  idVendor: "0403",
  idProduct: "6001",
  serial: "A600b30P",
};
