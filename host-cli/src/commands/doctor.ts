// vouch doctor: why a port doesn't work. Status 0 only when nothing has to be mended.
//
//   which port ─▶ what the machine says of it ─▶ what answers on it
//
// The last is left out while the port can't be opened or is another program's.

import { isRefusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { bad, type Check, checkLinux, checkUdevadm, type Host, hostOf, ok, skipped } from "../device/doctor";
import { identityOf, type List, resolvePort } from "../device/find";
import { type LineFlags, lineFlags, linkFrom } from "../device/link";
import { type ListedPort, listPorts } from "../device/ports";
import { hasAnswered, probeDevice } from "../device/probe";
import { openDevice, type Transport } from "../device/transport";
import { EXIT } from "../exit";
import type { Io } from "../io";
import { paint, table } from "../output/terminal";
import { nextStep, rows } from "./probe";

const DEFAULT_TIMEOUT_S = 10;

export interface DoctorOptions {
  flags: LineFlags;
  host: Host;
  platform: NodeJS.Platform;
  list: List;
  open: (port: string) => Promise<Transport>;
}

export interface Report {
  /** Null when no port could be chosen. */
  port: string | null;
  well: boolean;
  checks: Check[];
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("doctor")
    .description(
      "Says why a port doesn't work: permission, another program, ModemManager, baud rate, no answer.",
    )
    .option("--json", "print one JSON object");
  lineFlags(command, DEFAULT_TIMEOUT_S).action(async (flags: LineFlags) => {
    const { open = openDevice } = linkFrom(flags);
    const { platform } = process;
    const found = await examine({ flags, host: hostOf(io.env), platform, list: listPorts, open });
    printReport(found, io);
  });
}

export async function examine(options: DoctorOptions): Promise<Report> {
  const { flags, host, platform, list } = options;
  const checks: Check[] = [];
  let port: string;
  try {
    port = await resolvePort(flags, list);
  } catch (error) {
    if (!isRefusal(error) || error.code === "usage") throw error;
    checks.push(bad("port", error.message, ...(error.hint === undefined ? [] : [error.hint])));
    if (platform === "linux") checks.push(checkUdevadm(host));
    return { port: null, well: false, checks };
  }
  const listed = await findListed(port, list);
  checks.push(ok("port", listed === undefined ? port : `${port}, ${nameOf(listed)}`));
  if (platform === "linux" && port.startsWith("/")) checks.push(...checkLinux(port, listed, host));
  const stopped = checks.find(({ check, status }) => status === "bad" && check !== "ModemManager");
  checks.push(
    stopped === undefined
      ? await checkLine(port, options)
      : skipped("line", `not tried, because of: ${stopped.check}`),
  );
  return { port, well: checks.every(({ status }) => status !== "bad"), checks };
}

async function findListed(port: string, list: List): Promise<ListedPort | undefined> {
  const identity = await identityOf(port, list);
  if (identity === null) return undefined;
  return (await list()).find((one) => !identity.others.includes(one.path));
}

const nameOf = (port: ListedPort) =>
  [`${port.vendorId}:${port.productId}`, port.serialNumber, port.what]
    .filter((part) => part !== undefined)
    .join(" ");

async function checkLine(port: string, { flags, open }: DoctorOptions): Promise<Check> {
  try {
    const transport = await open(port);
    const probe = await probeDevice(transport, { timeoutMs: flags.timeout * 1000 }).finally(() =>
      transport.close(),
    );
    const found = rows(probe)[0]?.[1] ?? probe.kind;
    if (hasAnswered(probe)) return ok("line", found);
    const next = nextStep(probe, false);
    return bad("line", `${found} (${flags.baud} baud)`, ...(next === undefined ? [] : [next]));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return bad("line", `${error.message} [${error.code}]`, ...(error.hint === undefined ? [] : [error.hint]));
  }
}

const STYLES = { ok: "green", note: "yellow", bad: "red", skipped: "dim" } as const;

export function printReport(report: Report, io: Io): void {
  if (!report.well) io.exitCode = EXIT.trouble;
  if (io.json) {
    io.stdout(`${JSON.stringify(report)}\n`);
    return;
  }
  const lines = table(report.checks.map(({ check, status, found }) => [status, check, found])).split("\n");
  report.checks.forEach(({ status, next }, at) => {
    const line = lines[at] ?? "";
    io.stdout(
      `${paint(io, "stdout", STYLES[status], line.slice(0, status.length))}${line.slice(status.length)}\n`,
    );
    io.stdout(table(next.map((text) => ["", text])));
  });
}
