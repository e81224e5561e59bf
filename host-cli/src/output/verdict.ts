// A verdict for people: one line a step of the argument, flags and notes, the limits, and
// the verdict word last, alone. --explain adds, under each step, the rule and the bytes.

import { isoTime } from "@vouch/shared/time";
import type { Reason, Verdict, Word } from "@vouch/shared/verdict";
import { printable } from "../exit";
import type { Io } from "../io";
import { paint, type Style } from "./terminal";

/** What a verdict word is printed in. */
export const COLOUR: Readonly<Record<Word, Style>> = {
  patched: "green",
  verified: "green",
  unproven: "yellow",
  vulnerable: "red",
  recalled: "red",
  refuted: "red",
};

const MARGIN = 13; // "enrolment" and "advisories", and a gap

export function verdictText(verdict: Verdict, explain: boolean, io: Io): string {
  const lines: string[] = [];
  const line = (label: string, text: string) => lines.push(`${label.padEnd(MARGIN)}${printable(text)}`);
  const hints = new Map(verdict.reasons.map((r) => [`${r.message} [${r.code}]`, r]));
  for (const step of verdict.steps) {
    const reason = hints.get(step.text);
    line(step.claim, reason === undefined ? step.text : `${reason.word}: ${step.text}`);
    if (explain) for (const detail of step.explain) line("", detail);
  }
  for (const { code, message } of verdict.flags) line("flag", `${message} [${code}]`);
  for (const note of verdict.notes) line("note", note);
  if (verdict.timeSource !== null) line("note", `time-source: ${verdict.timeSource}`);
  for (const limit of verdict.limits) line("limit", limit);
  line("as of", asOf(verdict));
  lines.push(paint(io, "stdout", COLOUR[verdict.word], verdict.word));
  return `${lines.join("\n")}\n`;
}

function asOf(verdict: Verdict): string {
  const status = verdict.asOf;
  const size = status === null ? "no status statement" : `log size ${status.logSize}`;
  const recorded = status?.time == null ? "" : `, recorded ${isoTime(status.time)}`;
  return `${isoTime(verdict.at)}; ${size}${recorded}`;
}

/** The reason a person should read first: the first of the worst. */
export function mainReason(verdict: Verdict): Reason | undefined {
  return verdict.reasons.find((reason) => reason.word === verdict.word);
}
