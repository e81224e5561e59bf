// A stream while it is recorded, for a person: a few lines redrawn in place on a terminal, one line now and then
// anywhere else.
//
//   stream 3f2a09c1…  private, 1 reader            on a terminal; cut to its columns, and never
//     SpO2  97.0 %   pulse  62 /min                more lines than it has
//   132 frames  660 readings  1.2 frames/s
//   signed 8 s ago, 3 frames wait for the next
//   mqtt://broker:1883/ward/3  kept up
//
//   3f2a09c1: 132 frames, 660 readings, no gaps, signed 8 s ago          elsewhere
//
// Both go to stderr: stdout is for what programs read.

import { printable } from "../exit";
import type { Io } from "../io";
import { fit, type Now, rateText, startMeter } from "./progress";
import { paint } from "./terminal";

const REDRAW_MS = 250;
const LINE_MS = 10_000;

/** What is shown; texts are made for people already. */
export interface StreamView {
  id: string | null;
  mode: string;
  frames: number;
  rows: number;
  lost: number;
  unopened: number;
  resumes: number;
  unsigned: number;
  /** Milliseconds; null before the first. */
  signatureAge: number | null;
  values: readonly { name: string; value: string; unit: string }[];
  deliveries: readonly { where: string; words: string; isGood: boolean }[];
  file: string;
}

export interface StreamScreen {
  update(view: StreamView): void;
  /** A remark between redraws. */
  say(text: string): void;
  end(view: StreamView): void;
}

export function startStreamScreen(io: Io, now: Now = () => performance.now()): StreamScreen {
  if (io.quiet || io.json) return { update() {}, say: sayQuietly(io), end() {} };
  return io.tty.stderr && io.env["TERM"] !== "dumb" ? drawn(io, now) : lines(io, now);
}

/** Programs get events; a person who reads stderr beside them still gets what went wrong, but not with --quiet. */
const sayQuietly = (io: Io) => (text: string) => {
  if (!io.quiet) io.stderr(`${printable(text)}\n`);
};

function drawn(io: Io, now: Now): StreamScreen {
  const meter = startMeter(now);
  let height = 0;
  let last = Number.NEGATIVE_INFINITY;
  const wipe = () => {
    if (height > 0) io.stderr(`\u001b[${height}A\u001b[J`);
    height = 0;
  };
  const draw = (view: StreamView) => {
    const rows = viewLines(view, meter.rate(), io.columns ?? 80, io).slice(
      0,
      Math.max(1, (io.rows ?? 24) - 1),
    );
    wipe();
    io.stderr(rows.map((row) => `${row}\n`).join(""));
    height = rows.length;
    last = now();
  };
  return {
    update(view) {
      meter.add(view.frames);
      if (now() - last >= REDRAW_MS) draw(view);
    },
    say(text) {
      wipe();
      io.stderr(`${printable(text)}\n`);
      last = Number.NEGATIVE_INFINITY;
    },
    end: draw,
  };
}

function lines(io: Io, now: Now): StreamScreen {
  let last = now();
  let frames = -1;
  const line = (view: StreamView) => {
    last = now();
    frames = view.frames;
    io.stderr(`${printable(summaryLine(view))}\n`);
  };
  return {
    update(view) {
      if (now() - last >= LINE_MS) line(view);
    },
    say: (text) => io.stderr(`${printable(text)}\n`),
    end(view) {
      if (view.frames !== frames) line(view);
    },
  };
}

/** One line for a log. */
export function summaryLine(view: StreamView): string {
  const parts = [count(view.frames, "frame"), count(view.rows, "reading")];
  if (view.unopened > 0) parts.push(`${view.unopened} masked`);
  parts.push(view.lost > 0 ? `${view.lost} lost` : "no gaps");
  parts.push(signature(view));
  for (const { where, words } of view.deliveries) parts.push(`${where}: ${words}`);
  return `${view.id?.slice(0, 8) ?? "no stream yet"}: ${parts.join(", ")}`;
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

function signature(view: StreamView): string {
  if (view.signatureAge === null) return "nothing signed yet";
  return `signed ${ageText(view.signatureAge)} ago`;
}

const ageText = (ms: number) =>
  ms < 120_000 ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min`;

/** The lines of the live view, each at most `columns` - 1 wide, since the last column makes some terminals go on below. */
export function viewLines(view: StreamView, rate: number | null, columns: number, io: Io): string[] {
  const room = Math.max(1, columns - 1);
  const plain: [text: string, style: "bold" | "dim" | "red" | "yellow" | null][] = [
    [`stream ${view.id ?? "not begun"}  ${view.mode}`, "bold"],
    ...valueLines(view.values, room).map((text): [string, null] => [text, null]),
    [countLine(view, rate), null],
    [signatureLine(view), view.unsigned > 0 && (view.signatureAge ?? 0) > 120_000 ? "yellow" : null],
    ...view.deliveries.map(({ where, words, isGood }): [string, "yellow" | null] => [
      `${where}  ${words}`,
      isGood ? null : "yellow",
    ]),
    [view.file, "dim"],
  ];
  return plain.map(([text, style]) =>
    style === null ? fit(text, room) : paint(io, "stderr", style, fit(text, room)),
  );
}

/** As many values on a line as there is room for; none is cut in two. */
function valueLines(values: StreamView["values"], room: number): string[] {
  const out: string[] = [];
  let line = "";
  for (const { name, value, unit } of values) {
    const cell = `  ${name}  ${value}${unit === "" ? "" : ` ${unit}`}`;
    if (line !== "" && line.length + cell.length > room) {
      out.push(line);
      line = "";
    }
    line += cell;
  }
  return line === "" ? out : [...out, line];
}

function countLine(view: StreamView, rate: number | null): string {
  const parts = [count(view.frames, "frame"), count(view.rows, "reading")];
  if (view.unopened > 0) parts.push(`${view.unopened} masked`);
  if (view.lost > 0) parts.push(`${view.lost} lost in gaps`);
  if (view.resumes > 0) parts.push(count(view.resumes, "restart"));
  if (rate !== null) parts.push(rate < 10 ? `${rate.toFixed(1)} frames/s` : rateText(rate, "frames"));
  return parts.join("  ");
}

const signatureLine = (view: StreamView): string =>
  view.unsigned === 0
    ? signature(view)
    : `${signature(view)}, ${count(view.unsigned, "frame")} wait${view.unsigned === 1 ? "s" : ""} for the next`;
