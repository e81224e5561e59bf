// vouch probe: what is on a line. Status 0 only when something answered.

import { toHex } from "@vouch/shared/bytes";
import type { Command } from "commander";
import { type LineFlags, linkFrom, withLine } from "../device/link";
import { hasAnswered, type Probe, type ProbedImage, probeDevice, probeRates, RATES } from "../device/probe";
import { openDevice } from "../device/transport";
import { about, EXIT } from "../exit";
import type { Io } from "../io";
import { table } from "../output/terminal";

const DEFAULT_TIMEOUT_S = 30;

interface Flags extends LineFlags {
  rates?: boolean;
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("probe")
    .description(
      "Says what is on a line: our agent, an SMP server, MCUboot's recovery, Espruino, text or noise.",
    )
    .option("--rates", "where nothing answers, try other baud rates")
    .option("--json", "print one JSON object");
  withLine(command, DEFAULT_TIMEOUT_S).action(async (flags: Flags) => {
    const { baud, probe } = await about(flags.port, () => probeLine(flags));
    report(flags.port, baud, probe, flags.rates === true, io);
  });
}

async function probeLine(flags: Flags): Promise<{ baud: number; probe: Probe }> {
  const { open = openDevice, timeoutMs } = linkFrom(flags);
  const started = performance.now();
  const transport = await open(flags.port);
  const probe = await probeDevice(transport, { timeoutMs }).finally(() => transport.close());
  if (hasAnswered(probe) || flags.rates !== true) return { baud: flags.baud, probe };
  const others = RATES.filter((rate) => rate !== flags.baud);
  const at = (baud: number) => (linkFrom({ ...flags, baud }).open ?? openDevice)(flags.port);
  const left = { timeoutMs: timeoutMs - (performance.now() - started) };
  return (await probeRates(at, others, left)) ?? { baud: flags.baud, probe };
}

export function report(port: string, baud: number, probe: Probe, triedRates: boolean, io: Io): void {
  if (!hasAnswered(probe)) io.exitCode = EXIT.trouble;
  if (io.json) {
    io.stdout(`${JSON.stringify({ port, baud, ...plain(probe) })}\n`);
    return;
  }
  io.stdout(table([["port", port.startsWith("sim:") ? port : `${port}, ${baud} baud`], ...rows(probe)]));
  const next = nextStep(probe, triedRates);
  if (next !== undefined && !io.quiet) io.stderr(`hint: ${next}\n`);
}

/** Bytes as hex, for JSON. */
function plain(probe: Probe): object {
  if (probe.kind !== "vouch") return probe;
  const { identity, ...rest } = probe;
  const entries = Object.entries(identity).map(([key, value]) => [
    key,
    value instanceof Uint8Array ? toHex(value) : value,
  ]);
  return { ...rest, identity: Object.fromEntries(entries) };
}

export function rows(probe: Probe): string[][] {
  switch (probe.kind) {
    case "vouch": {
      const { agent, engine, model, hwver, ueid, enrolled } = probe.identity;
      const id = ueid === null ? "no device id yet" : `device id ${toHex(ueid).slice(0, 16)}…`;
      return [
        ["found", `our agent ${agent} on ${engine.name} ${engine.version}`],
        ["device", `${model} ${hwver}, ${id}, ${enrolled ? "enrolled" : "not enrolled"}`],
        ...serverRows(probe),
      ];
    }
    case "smp": {
      const remark = probe.remark === null ? [] : [["but", probe.remark]];
      const name = probe.name === null ? "" : `, ${probe.name}`;
      const raw = probe.framing === "raw" ? " with raw framing" : "";
      return [["found", `an SMP server${raw}${name}`], ...remark, ...serverRows(probe)];
    }
    case "mcuboot-recovery":
      return [["found", "MCUboot in serial recovery"], ...serverRows(probe)];
    case "espruino":
      return [["found", `Espruino ${probe.version} console on ${probe.board}`]];
    case "unknown":
      return [
        ["found", `${HEARD[probe.heard]}, ${probe.bytes} bytes, such as ${JSON.stringify(probe.sample)}`],
      ];
    case "silent":
      return [["found", "nothing: no answer, and nothing was heard"]];
  }
}

const HEARD = {
  text: "text, and no answer to what we ask",
  noise: "bytes that are no text",
  echo: "what we sent comes back",
};

function serverRows(server: {
  buffers: { size: number; count: number } | null;
  images: ProbedImage[] | null;
}) {
  const { buffers, images } = server;
  const holds = buffers === null ? "it doesn't say" : `${buffers.count} of ${buffers.size} bytes`;
  const none = images === null ? "it keeps none" : "none";
  const slots = (images ?? []).map(({ image, slot, version, hash, flags }) => [
    "image",
    [
      `${image}, slot ${slot}: ${version}`,
      ...flags,
      ...(hash === null ? [] : [`hash ${hash.slice(0, 16)}…`]),
    ].join(", "),
  ]);
  return [["buffers", holds], ...(slots.length === 0 ? [["images", none]] : slots)];
}

/** What a person can try when nothing answered. */
export function nextStep(probe: Probe, triedRates: boolean): string | undefined {
  if (probe.kind === "silent")
    return triedRates
      ? "is it powered, and are RX and TX crossed? `vouch doctor` checks this side of the line"
      : "is it powered? `--rates` tries other baud rates, `vouch doctor` checks this side of the line";
  if (probe.kind !== "unknown") return undefined;
  if (probe.heard === "echo") return "a loopback, or a console that echoes: RX and TX may be joined";
  if (probe.heard === "text")
    return "`vouch term` shows it; the agent's line may be another port of the board";
  return triedRates
    ? "no common baud rate gives sense: is this the line, and is ground connected?"
    : "the baud rate is probably wrong: `--rates` tries others, --baud names one";
}
