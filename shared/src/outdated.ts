// What the newest context of a release says of it, where an older one knew less. Rule: spec/audit-record.md, "Outdated".
//
//   lines of contexts ──▶ standing: log, product, release; size of the status; word ──▶ the newest of each release
//                                                                                          │ worse than "patched"?
//   a device judged patched by an older context ───────────────────────────────────────────▶ counts as that word
//
// A context of somebody else turns other people's devices only by what the maker signed and logged: every finding that
// it has must be of that kind (AGAINST), or about the status's age alone, which takes nothing from an advisory. A context
// with any other finding decides nothing. Nor does one that shows an advisory which its own status knew of and doesn't
// list (UNLISTED): the withdrawal may have been left out of it. It still counts for its own devices.

import type { AuditContext } from "./auditline";
import { type Word, worst } from "./verdict";

export const OUTDATED = "context-outdated";
/** What helps. */
export const OUTDATED_STEP =
  "judge them with the newer bundle: `vouch fleet collect` makes lines that name it";
/** A context's flag. */
export const UNLISTED = "UNLISTED_ADVISORY";

const AGAINST: ReadonlySet<string> = new Set([
  "advisory-in-force",
  "advisory-recall",
  "advisory-under-investigation",
  "release-withdrawn",
]);
const OF_AGE: ReadonlySet<string> = new Set(["status-after-t", "status-stale"]);

export interface Standing {
  readonly line: AuditContext;
  /** Of the log, as far as the status speaks for it. */
  readonly size: number;
  /** What it says of devices that are patched but for the release. */
  readonly word: Word;
}

/** One release: a version of a product in a log. A maker who gives a version twice is found by `vouch monitor`. */
export const releaseOf = ({ log, product, release }: Pick<AuditContext, "log" | "product" | "release">) =>
  JSON.stringify([log, product, release]);

/** Whether what the maker signed and logged stands, for whoever's context it is: nothing is found but against the release, or of age. */
export const isProved = (reasons: readonly { readonly code: string }[]): boolean =>
  reasons.every(({ code }) => AGAINST.has(code) || OF_AGE.has(code));

/** What the context says of its release for all that run it; null where it decides nothing. */
export function standingOf(line: AuditContext): Standing | null {
  const { asOf, flags, log, product, reasons, release } = line;
  if (asOf === null || log === null || product === null || release === null) return null;
  if (flags.includes(UNLISTED)) return null;
  if (!isProved(reasons)) return null;
  const against = reasons.filter(({ code }) => AGAINST.has(code));
  if (against.length === 0 && reasons.length > 0) return null; // too old to clear anything
  return { line, size: asOf.logSize, word: worst(["patched", ...against.map(({ word }) => word)]) };
}

/** Of the two the one whose status speaks for more of the log; where both speak for as much, the worse. */
export function newerOf(a: Standing, b: Standing): Standing {
  if (a.size !== b.size) return a.size > b.size ? a : b;
  if (a.word !== b.word) return worst([a.word, b.word]) === a.word ? a : b;
  return a.line.context <= b.line.context ? a : b;
}

/** What is wrong with "patched" by a context as of `size`, or of sizes from one to the other. */
export function outdatedMessage({ line, size, word }: Standing, from: number, to: number): string {
  const older = from === to ? String(from) : `${from} to ${to}`;
  return `patched by a context as of log size ${older}, and the one as of log size ${size} says of ${line.product} ${line.release}: ${word}`;
}
