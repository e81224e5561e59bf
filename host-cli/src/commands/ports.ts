// vouch ports: which serial ports there are, what they are, and which can be opened.

import type { Command } from "commander";
import { type ListedPort, listPorts } from "../device/ports";
import type { Io } from "../io";
import { table } from "../output/terminal";

export function define(program: Command, io: Io): void {
  program
    .command("ports")
    .description("Lists serial ports. Pseudo-terminals and sim:FILE aren't listed: name them.")
    .option("--json", "print one JSON object")
    .action(async () => printPorts(await listPorts(), io));
}

export function printPorts(ports: readonly ListedPort[], io: Io): void {
  if (io.json) {
    io.stdout(`${JSON.stringify({ ports })}\n`);
    return;
  }
  io.stdout(table(ports.map(row)));
  if (ports.length === 0 && !io.quiet) io.stderr("no serial ports found\n");
}

/** Port, USB ids, serial number, what it is and calls itself, why it can't be opened. */
function row(port: ListedPort): string[] {
  const usb = port.vendorId === undefined ? "" : `${port.vendorId}:${port.productId ?? ""}`;
  const named = port.product ?? port.manufacturer;
  const what = named === undefined ? port.what : `${port.what}: ${named}`;
  return [port.path, usb, port.serialNumber ?? "", what, port.reason ?? ""];
}
