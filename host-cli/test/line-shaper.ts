// A serial line with everything that ails one, between a host and a device:
//
//   host ─▶ /dev/pts/N ─▶ shaping, each way ─▶ device        shapePty: real, for any program
//   host ─▶ Transport  ─▶ shaping, each way ─▶ device        shapeMemory: by a clock of the test's
//
// The device is anything that takes bytes and gives some: a server in this process
// or another pseudo-terminal. By hand: node scripts/line-shaper.mjs --help.

import { mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Refusal } from "@vouch/shared/refusal";
import { type Clock, realClock } from "../src/device/clock";
import { openDevice, type Transport } from "../src/device/transport";
import { openPty, type Pty } from "../src/sim/pty";
import { type Direction, makeDirection, type Shape } from "./shaping";

/** The far end. */
export interface Endpoint {
  receive(bytes: Uint8Array): void;
  onData(listener: (bytes: Uint8Array) => void): void;
}

/** `toHost` differs from `toDevice` in what it names; each has noise of its own. */
export interface LineShape {
  toDevice: Partial<Shape>;
  toHost: Partial<Shape>;
}

export const bothWays = (shape: Partial<Shape>): LineShape => ({
  toDevice: shape,
  toHost: { ...shape, seed: (shape.seed ?? 1) + 0x5eed },
});

interface Directions {
  toDevice: Direction;
  toHost: Direction;
}

function directions(
  endpoint: Endpoint,
  shape: LineShape,
  clock: Clock,
  toHost: (bytes: Uint8Array) => void,
): Directions {
  const both = {
    toDevice: makeDirection(shape.toDevice, clock, (bytes) => endpoint.receive(bytes)),
    toHost: makeDirection(shape.toHost, clock, toHost),
  };
  endpoint.onData((bytes) => both.toHost.write(bytes));
  return both;
}

export interface MemoryLine extends Directions {
  /** Refuses `no-such-port` while it is cut. */
  open(): Promise<Transport>;
  /** The cable is pulled: what is on it is gone. */
  cut(): void;
  plug(): void;
}

export function shapeMemory(endpoint: Endpoint, shape: LineShape, clock: Clock): MemoryLine {
  let host: { data: (bytes: Uint8Array) => void; closed: () => void } | null = null;
  let isCut = false;
  const both = directions(endpoint, shape, clock, (bytes) => host?.data(bytes));
  return {
    ...both,
    async open() {
      if (isCut) throw new Refusal("no-such-port", "the cable is out");
      const end = { data: (_bytes: Uint8Array) => {}, closed: () => {} };
      host = end;
      return {
        label: "shaped",
        write: async (bytes) => {
          if (host !== end) throw new Error("the line is gone");
          both.toDevice.write(bytes);
        },
        onData: (listener) => {
          end.data = listener;
        },
        onClose: (listener) => {
          end.closed = listener;
        },
        close: async () => {
          if (host === end) host = null;
        },
      };
    },
    cut() {
      isCut = true;
      both.toDevice.cut();
      both.toHost.cut();
      const end = host;
      host = null;
      end?.closed();
    },
    plug() {
      isCut = false;
      both.toDevice.restore();
      both.toHost.restore();
    },
  };
}

export interface PtyLine extends Directions {
  /** A link that always leads to the pseudo-terminal there is now. */
  readonly path: string;
  cut(): void;
  plug(): Promise<void>;
  close(): void;
}

/** Refuses `no-pty` where there are none. */
export async function shapePty(endpoint: Endpoint, shape: LineShape): Promise<PtyLine> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-line-"));
  const path = join(folder, "port");
  let pty: Pty | null = null;
  const both = directions(endpoint, shape, realClock, (bytes) => pty?.write(bytes));
  const plug = async () => {
    const next = await openPty();
    next.onData((bytes) => both.toDevice.write(bytes));
    both.toDevice.restore();
    both.toHost.restore();
    symlinkSync(next.path, `${path}.new`);
    renameSync(`${path}.new`, path);
    pty = next;
  };
  const cut = () => {
    both.toDevice.cut();
    both.toHost.cut();
    rmSync(path, { force: true });
    pty?.close();
    pty = null;
  };
  await plug();
  return {
    ...both,
    path,
    cut,
    plug,
    close() {
      cut();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const HELP = `usage: node scripts/line-shaper.mjs [options]

Puts a bad serial line between a program and a device, and prints the port that
the program opens. Without --device it prints a second port, for the device's
program. Until it is stopped; the same seed gives the same faults.

  --device PORT      the device's own port
  --baud RATE        pace as 8N1 at that rate (0: as fast as it comes)  [115200]
  --latency MS       time under way, each way                           [1]
  --jitter MS        up to so much more                                 [0]
  --loss PPM         bytes lost, in a million                           [0]
  --corrupt PPM      bytes with a bit bent, in a million                [0]
  --burst BYTES      lose what comes beyond so many back to back        [0: nothing]
  --cut-after S      pull the cable after so many seconds, each time    [never]
  --away S           for so long                                        [2]
  --seed N           of the faults                                      [1]
`;

const NUMBERS = [
  "baud",
  "latency",
  "jitter",
  "loss",
  "corrupt",
  "burst",
  "cut-after",
  "away",
  "seed",
] as const;
const DEFAULTS: Partial<Record<string, number>> = { baud: 115200, latency: 1, away: 2, seed: 1 };

/** What scripts/line-shaper.mjs runs. */
export async function main(args: string[]): Promise<void> {
  const named = Object.fromEntries(NUMBERS.map((name) => [name, { type: "string" as const }]));
  const values: Record<string, unknown> = parseArgs({
    args,
    options: { ...named, help: { type: "boolean" }, device: { type: "string" } },
  }).values;
  if (values["help"] === true) return void process.stdout.write(HELP);
  const number = (name: (typeof NUMBERS)[number]): number => {
    const text = String(values[name] ?? DEFAULTS[name] ?? 0);
    if (!/^[0-9]{1,9}(\.[0-9]{1,6})?$/.test(text)) throw new Error(`--${name} ${text}: expected a number`);
    return Number(text);
  };
  const shape = bothWays({
    baud: number("baud"),
    latencyMs: number("latency"),
    jitterMs: number("jitter"),
    lossPpm: number("loss"),
    corruptPpm: number("corrupt"),
    burstBytes: number("burst"),
    seed: number("seed"),
  });
  const { device } = values;
  const endpoint = typeof device === "string" ? await portEndpoint(device) : await ptyEndpoint();
  const line = await shapePty(endpoint, shape);
  process.stdout.write(`port ${line.path}\n`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      line.close();
      process.exit(0);
    });
  }
  const [after, away] = [number("cut-after") * 1000, number("away") * 1000];
  const cutLater = () =>
    setTimeout(() => {
      line.cut();
      process.stderr.write("cut\n");
      setTimeout(() => void line.plug().then(cutLater), away);
    }, after);
  if (after > 0) cutLater();
}

async function ptyEndpoint(): Promise<Endpoint> {
  const pty = await openPty();
  process.stdout.write(`device ${pty.path}\n`);
  return { receive: pty.write, onData: pty.onData };
}

async function portEndpoint(port: string): Promise<Endpoint> {
  const transport = await openDevice(port);
  transport.onClose(() => {
    process.stderr.write(`${port} is gone\n`);
    process.exit(1);
  });
  return { receive: (bytes) => void transport.write(bytes).catch(() => {}), onData: transport.onData };
}
