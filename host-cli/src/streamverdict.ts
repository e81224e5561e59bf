// What became of a stream: the worst of its chain, of whose key it is, and of what each boot's software was.

import { Refusal } from "@vouch/shared/refusal";
import type { Announce } from "@vouch/shared/streambody";
import type { StreamSummary } from "@vouch/shared/streamcheck";
import type { BootReason, BootResult } from "@vouch/shared/streamjudge";
import { type StreamFinding, streamWord } from "@vouch/shared/streamreasons";
import { type Word, worst } from "@vouch/shared/verdict";

/** One boot's part of a stream: what of it is evidence, and what its software was. */
export interface Segment {
  readonly boot: BootResult;
  /** Frames that a signed frame binds, as runs without a hole. */
  readonly frames: { from: number; to: number }[];
  /** Readings in them, counted from 0 through the stream; null when none was opened. */
  readings: { from: number; to: number } | null;
  /** Wall time of the first and the last coincidence, microseconds since 1970. */
  times: { from: number; to: number; isChecked: boolean } | null;
}

export interface StreamVerdict {
  readonly word: Word;
  readonly summary: StreamSummary;
  readonly announce: Announce | null;
  readonly findings: readonly StreamFinding[];
  readonly segments: readonly Segment[];
  /** Who says whose key it is; null when nobody does. */
  readonly device: { readonly by: string; readonly serial: string | null } | null;
  /** The moment that software was judged for, Unix seconds; null when it wasn't. */
  readonly at: number | null;
  /** Heads that a log's ledger had by then; Unix seconds, null where that isn't proved. */
  readonly anchors: readonly {
    readonly id: Uint8Array;
    readonly seq: number;
    readonly time: number | null;
  }[];
  /** Reasons of all kinds that aren't notes, the worst first. */
  readonly reasons: readonly BootReason[];
}

/** The verdict of its parts. */
export function settleStream(parts: Omit<StreamVerdict, "word" | "reasons">): StreamVerdict {
  const { findings, segments } = parts;
  const chain: BootReason[] = findings.flatMap(({ code, word, message }) =>
    word === "note" ? [] : [{ code, word, message }],
  );
  const reasons = [...chain, ...segments.flatMap(({ boot }) => boot.reasons)];
  const boots = segments.flatMap(({ boot }) => boot.word ?? []).filter((word) => word !== "patched");
  const word = worst([streamWord(findings), ...reasons.map((reason) => reason.word), ...boots]);
  const rank = (reason: BootReason) => (reason.word === word ? 0 : 1);
  return { ...parts, word, reasons: [...reasons].sort((a, b) => rank(a) - rank(b)) };
}

/** For verbs that take readings from a recording: refuses one that isn't what the device sent. */
export function refuseRefuted(findings: readonly StreamFinding[]): void {
  const worstOf = findings.find(({ word }) => word === "refuted");
  if (worstOf !== undefined) throw new Refusal(worstOf.code, worstOf.message);
}
