// Where a work on a device says what it does: remarks and progress, one device or
// several at once. On a terminal each of several devices has a line of its own,
// redrawn in place; anywhere else its lines begin with its name:
//
//   /dev/ttyACM0 [########------]  41%  8.1 kB/s  0:32      /dev/ttyACM0: uploading 40%
//   /dev/ttyACM1 waiting for the device                     /dev/ttyACM1: the line is gone; …
//
// Works don't know which it is. All of it goes to stderr.

import { printable } from "../exit";
import type { Io } from "../io";
import { fit, type Now, progressLine, startMeter } from "./progress";
import { type Progress, startProgress } from "./terminal";

const REDRAW_MS = 100;

export interface Screen {
  say(line: string): void;
  progress(label: string, total: number): Progress;
}

/** One device: remarks as they come. */
export function plainScreen(io: Io): Screen {
  return {
    say: (line) => {
      if (!io.quiet && !io.json) io.stderr(`${printable(line)}\n`);
    },
    progress: (label, total) => startProgress(io, label, total),
  };
}

export interface Board {
  /** In the order of the names. */
  readonly screens: readonly Screen[];
  /** Whether it is redrawn in place: until its end nothing else may be printed. */
  readonly isDrawn: boolean;
  /** The last word on one of them; whoever prints results as they come has said it already. */
  settle(index: number, text: string): void;
  /** Leaves the lines finished. */
  end(): void;
}

/** Several devices. */
export function startBoard(io: Io, names: readonly string[], now: Now = () => performance.now()): Board {
  const rows = io.rows ?? 24;
  const silent = io.quiet || io.json;
  const isTerminal = io.tty.stderr && io.env.TERM !== "dumb" && names.length < rows;
  return !silent && isTerminal ? drawnBoard(io, names, now) : namedBoard(io, names);
}

function namedBoard(io: Io, names: readonly string[]): Board {
  const screens = names.map((name): Screen => {
    const stderr = (text: string) => io.stderr(`${printable(name)}: ${text}`);
    const own: Io = Object.create(io, {
      stderr: { value: stderr },
      tty: { value: { ...io.tty, stderr: false } },
    });
    return plainScreen(own);
  });
  return { screens, isDrawn: false, settle() {}, end() {} };
}

function drawnBoard(io: Io, names: readonly string[], now: Now): Board {
  const width = Math.max(0, ...names.map((name) => printable(name).length));
  const lines: ((columns: number) => string)[] = names.map(() => () => "waiting");
  let drawn = false;
  let last = Number.NEGATIVE_INFINITY;
  const draw = () => {
    const columns = io.columns ?? 80;
    const head = Math.min(width, Math.floor(columns / 2));
    const rows = names.map((name, i) => {
      const room = columns - head - 1;
      return `\r\u001b[K${fit(name, head).padEnd(head)} ${lines[i]?.(room) ?? ""}\n`;
    });
    io.stderr(`${drawn ? `\u001b[${names.length}A` : ""}${rows.join("")}`);
    drawn = true;
    last = now();
  };
  const set = (index: number, line: (columns: number) => string) => {
    lines[index] = line;
    draw();
  };
  const words = (text: string) => (columns: number) => fit(text, columns - 1);
  draw();
  return {
    screens: names.map((_, index) => ({
      say: (text) => set(index, words(text)),
      progress(label, total) {
        const meter = startMeter(now);
        return {
          update(done) {
            meter.add(done);
            lines[index] = (columns) => progressLine({ label, done, total, rate: meter.rate() }, columns);
            if (now() - last >= REDRAW_MS || done >= total) draw();
          },
          end: draw,
        };
      },
    })),
    isDrawn: true,
    settle: (index, text) => set(index, words(text)),
    end: draw,
  };
}
