// Serial ports, by the npm package serialport: the only file that imports it.
// Dropping it would take another binding for termios and for COM ports.
//
// - Listeners for data, error and close are attached before the port opens: an
//   unplugged board is only noticed while somebody reads, and an error event
//   that nobody hears ends the process.
// - A terminal that was hung up may read as empty for ever, and the binding then
//   reads for ever: so we also watch whether the device file is still there.
// - Modem lines are left alone: DTR and RTS reset many boards, and a
//   pseudo-terminal has none. So no set(), and no hang-up when we close.
// - Errors from the binding carry no code, only text; the table below reads it.

import { existsSync, readFileSync, statSync } from "node:fs";
import { Refusal } from "@vouch/shared/refusal";
import type { LineOptions, Transport } from "./transport";

const WATCH_MS = 250;

export async function openSerial(path: string, options: LineOptions): Promise<Transport> {
  const { SerialPort } = await import("serialport");
  const port = new SerialPort({ path, baudRate: options.baud, autoOpen: false, hupcl: false });
  let dataListener: (bytes: Uint8Array) => void = () => {};
  let closeListener: () => void = () => {};
  let isClosed = false;
  let stopWatching = () => {};
  const gone = () => {
    if (isClosed) return;
    isClosed = true;
    stopWatching();
    if (port.isOpen) port.close(() => {});
    closeListener();
  };
  port.on("data", (bytes: Buffer) => dataListener(new Uint8Array(bytes)));
  port.on("error", gone);
  port.on("close", gone);
  await new Promise<void>((resolve, reject) => {
    port.open((error) => (error === null || error === undefined ? resolve() : reject(refuse(path, error))));
  });
  stopWatching = watch(path, gone);
  return {
    label: path,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        // On a closed port the binding would wait for it to open again.
        if (isClosed) return reject(new Error(`${path} is closed`));
        port.write(Buffer.from(bytes), (error) => {
          if (error === null || error === undefined) return resolve();
          gone();
          reject(error);
        });
      }),
    onData: (listener) => {
      dataListener = listener;
    },
    onClose: (listener) => {
      closeListener = listener;
    },
    close: () =>
      new Promise((resolve) => {
        isClosed = true;
        stopWatching();
        if (port.isOpen) port.close(() => resolve());
        else resolve();
      }),
  };
}

/** Calls `gone` when the port's device file goes; there is none to watch for a COM port. */
function watch(path: string, gone: () => void): () => void {
  if (!existsSync(path)) return () => {};
  const timer = setInterval(() => {
    if (!existsSync(path)) gone();
  }, WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

export interface PortEntry {
  path: string;
  manufacturer?: string;
  serialNumber?: string;
  vendorId?: string;
  productId?: string;
}

/** What the platform lists. Rejects where its helper is missing (Linux: udevadm). */
export async function listSerial(): Promise<PortEntry[]> {
  // Not import(): a verb with one in it isn't compiled ahead (scripts/build.mjs).
  const { SerialPort } = require("serialport") as typeof import("serialport");
  const ports = await SerialPort.list();
  return ports.map(({ path, manufacturer, serialNumber, vendorId, productId }) => ({
    path,
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...(serialNumber === undefined ? {} : { serialNumber }),
    ...(vendorId === undefined ? {} : { vendorId }),
    ...(productId === undefined ? {} : { productId }),
  }));
}

/** The binding's words to a Refusal a person can act on. */
export function refuse(path: string, error: Error): Refusal {
  const text = error.message;
  const cause = { cause: error };
  if (/no such file|file not found|cannot find/i.test(text)) {
    return new Refusal("no-such-port", `there is no such port`, {
      ...cause,
      hint: /^\/dev\/(?:pts\/|ttys)\d/.test(path)
        ? "a simulated device's port is there while `vouch sim` runs, under another number each time"
        : "`vouch ports` lists the ports; is the cable one that carries data?",
    });
  }
  if (/cannot lock|temporarily unavailable|resource busy|device or resource busy/i.test(text)) {
    return new Refusal("port-busy", `another program holds the port`, {
      ...cause,
      hint: `close the other terminal; \`fuser ${path}\` tells which program it is`,
    });
  }
  if (/permission denied|access denied/i.test(text)) {
    const group = groupOf(path);
    const hint =
      group === undefined
        ? "another program may hold it, or it needs more rights"
        : `join the group: \`sudo usermod -aG ${group} $USER\`, then log in again`;
    const owner = group === undefined ? "" : `, it belongs to group ${group}`;
    return new Refusal("port-permission", `no permission to open the port${owner}`, {
      ...cause,
      hint,
    });
  }
  const isFile = isPlainFile(path);
  return new Refusal("port-failed", `the port can't be opened: ${isFile ? "it is a file" : text}`, {
    ...cause,
    hint: isFile
      ? `the flash of a simulated device is named with sim: before it: sim:${path}`
      : "is it a serial port? `vouch ports` lists them",
  });
}

function isPlainFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false; // COM3 is nothing that has a status
  }
}

/** The name of the group that owns a device file; undefined where there are no groups. */
export function groupOf(path: string): string | undefined {
  try {
    const { gid } = statSync(path);
    const line = readFileSync("/etc/group", "utf8")
      .split("\n")
      .find((entry) => entry.split(":")[2] === String(gid));
    return line?.split(":")[0] ?? String(gid);
  } catch {
    return undefined;
  }
}
