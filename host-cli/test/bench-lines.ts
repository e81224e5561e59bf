// Shaped lines with a server behind each, in a process of their own: what
// scripts/bench-flash.mjs measures against. One JSON object a line on stdin asks,
// one on stdout answers.
//
//   {open: {lines, baud, latencyMs, lossPpm, server}}  ─▶ {paths}
//   {times: true}                                      ─▶ {lines: [{ms, firstBytes, stored, bytes}]}
//   end of input                                       ─▶ all is closed

import { createInterface } from "node:readline";
import { toHex } from "@vouch/shared/bytes";
import { realClock } from "../src/device/clock";
import { bothWays, type PtyLine, shapePty } from "./line-shaper";
import type { Shape } from "./shaping";
import { makeServer, type ServerOptions, type SmpServer, sha256Of } from "./smp-server";

interface Open extends Partial<Shape> {
  lines: number;
  server: Omit<ServerOptions, "clock" | "has">;
  /** Hex of the image it has. */
  has?: string;
}

let open: { line: PtyLine; server: SmpServer }[] = [];

async function openLines({ lines, server: options, has, ...shape }: Open) {
  for (const { line } of open) line.close();
  open = [];
  const held = has === undefined ? {} : { has: new Uint8Array(Buffer.from(has, "hex")) };
  for (let i = 0; i < lines; i++) {
    const server = makeServer({ ...options, ...held, clock: realClock });
    open.push({ server, line: await shapePty(server, bothWays({ ...shape, seed: (shape.seed ?? 1) + i })) });
  }
  return { paths: open.map(({ line }) => line.path) };
}

const readTimes = () => ({
  lines: open.map(({ line, server }) => ({
    ms: server.times.done - server.times.first,
    firstBytes: server.times.firstBytes,
    stored: server.stored === null ? null : toHex(sha256Of(server.stored)),
    bytes: line.toDevice.carried + line.toHost.carried,
  })),
});

const input = createInterface(process.stdin);
for await (const text of input) {
  const asked = JSON.parse(text) as { open?: Open };
  const answer = asked.open === undefined ? readTimes() : await openLines(asked.open);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
for (const { line } of open) line.close();
process.exit(0);
