// What a person sees while waiting and how answers line up: colour, progress,
// tables. Colour and bars appear only where `io.color` and `io.tty` allow
// them; a log file gets plain lines, one each tenth of the way:
//
//   flashing [##########----------]  50%  8.1 kB/s  0:32     on a terminal, redrawn in place
//   flashing 50%                                             anywhere else
//   auditing 50%  6.1 k devices/s  0:08                      … where something is counted, too
//
// Progress goes to stderr, so that stdout stays the product.

import { printable } from "../exit";
import type { Io } from "../io";
import { type Now, percentOf, progressLine, type Standing, speedText, startMeter } from "./progress";

const SGR = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof SGR;

/** Colours text for a stream, or leaves it as it is where colour isn't wanted. */
export function paint(io: Io, stream: "stdout" | "stderr", style: Style, text: string): string {
  return io.color[stream] ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text;
}

export interface Progress {
  /**
   * Reports how much is done; anything from 0 to the total, in any order. Where something else is counted than what
   * the total is of (devices, of a file's bytes), `count` says how many: it gives the rate, and `done` the time left.
   */
  update(done: number, count?: number): void;
  /** Leaves the line finished. Call it on failure too, or the error lands behind the bar. */
  end(): void;
}

const REDRAW_MS = 200;

export function startProgress(
  io: Io,
  label: string,
  total: number,
  now: Now = () => performance.now(),
  unit?: string,
): Progress {
  if (io.quiet || io.json) return { update() {}, end() {} };
  return io.tty.stderr && io.env.TERM !== "dumb"
    ? bar(io, label, total, now, unit)
    : tenths(io, label, total, now, unit);
}

function bar(io: Io, label: string, total: number, now: Now, unit: string | undefined): Progress {
  const standing = startStanding(label, total, now, unit);
  let percent = -1;
  let last = 0;
  let width = 0;
  return {
    update(done, count) {
      standing.add(done, count);
      if (percentOf(done, total) === percent && now() - last < REDRAW_MS) return;
      percent = percentOf(done, total);
      last = now();
      const line = progressLine(standing.now(), io.columns ?? 80);
      io.stderr(`\r${line.padEnd(width)}`); // what a longer line left is overwritten
      width = line.length;
    },
    end() {
      if (percent >= 0) io.stderr("\n");
    },
  };
}

function startStanding(label: string, total: number, now: Now, unit: string | undefined) {
  const [meter, counter] = [startMeter(now), startMeter(now)];
  let last = 0;
  let isCounted = false;
  return {
    add(done: number, count: number | undefined): void {
      last = done;
      meter.add(done);
      if (count === undefined) return;
      counter.add(count);
      isCounted = true;
    },
    now(): Standing {
      const counted = isCounted ? counter.rate() : undefined;
      return { label, done: last, total, rate: meter.rate(), counted, unit };
    },
  };
}

function tenths(io: Io, label: string, total: number, now: Now, unit: string | undefined): Progress {
  const standing = startStanding(label, total, now, unit);
  let shown = 0;
  return {
    update(done, count) {
      standing.add(done, count);
      const tenth = Math.floor(percentOf(done, total) / 10);
      if (tenth <= shown) return;
      shown = tenth;
      const speed = count === undefined ? "" : speedText(standing.now()).join("");
      io.stderr(`${printable(label)} ${tenth * 10}%${speed}\n`);
    },
    end() {},
  };
}

/** Rows in columns, two spaces apart; the last column runs free. Cells are made safe for a terminal. */
export function table(rows: readonly (readonly string[])[]): string {
  const safe = rows.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of safe) {
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join("  ");
  return safe.map((row) => `${line(row).trimEnd()}\n`).join("");
}
