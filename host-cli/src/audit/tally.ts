// What a summary counts while rows go by, in memory that doesn't grow with their number: the table of
// version × advisory, and the worst rows to show first.

import type { AuditContext, AuditRecord, AuditSummary } from "@vouch/shared/auditline";
import { SUMMARY_VERSION } from "@vouch/shared/auditline";
import { EXIT_STATUS, type Word, worst } from "@vouch/shared/verdict";
import type { Trouble } from "./inputs";

/** How many rows that aren't patched are kept to be shown; the rest is counted. */
export const SHOWN = 100;
/** Hostile bundles could name ever new releases: those beyond are counted together. */
const MAX_RELEASES = 1000;
const MAX_TROUBLE = 1000;

const WORST_FIRST: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched"];

export interface Tally {
  /** A row; `record` only where it isn't patched, or has a flag of its own. */
  row(word: Word, context: string | null, record: AuditRecord | null, reused: boolean): void;
  context(line: AuditContext): void;
  trouble(trouble: Trouble): void;
  /** Worst first, then as they came. */
  exceptions(): readonly AuditRecord[];
  readonly contexts: readonly AuditContext[];
  summary(about: { at: string; policy: string; tool: string }): AuditSummary;
}

interface Release {
  readonly context: AuditContext | null;
  readonly words: Partial<Record<Word, number>>;
  count: number;
}

export function startTally(): Tally {
  const releases = new Map<string, Release>();
  const byContext = new Map<string, Release>();
  const contexts: AuditContext[] = [];
  const words: Partial<Record<Word, number>> = {};
  const flags: Record<string, number> = {};
  const shown = new Map<Word, AuditRecord[]>(WORST_FIRST.map((word) => [word, []]));
  const troubles: Trouble[] = [];
  let [records, reused, untold] = [0, 0, 0];

  const releaseOf = (context: AuditContext | null): Release => {
    const name =
      context === null
        ? ""
        : JSON.stringify([context.product, context.release, context.advisories.map(({ id }) => id)]);
    const known = releases.get(name) ?? (releases.size >= MAX_RELEASES ? releases.get("") : undefined);
    if (known !== undefined) return known;
    const fresh: Release = { context: releases.size >= MAX_RELEASES ? null : context, words: {}, count: 0 };
    releases.set(fresh.context === null ? "" : name, fresh);
    return fresh;
  };

  return {
    contexts,
    row(word, context, record, isReused) {
      records++;
      if (isReused) reused++;
      const release = (context === null ? undefined : byContext.get(context)) ?? releaseOf(null);
      release.count++;
      release.words[word] = (release.words[word] ?? 0) + 1;
      words[word] = (words[word] ?? 0) + 1;
      const own = record?.flags.includes("DEBUG_OPEN") === true ? ["DEBUG_OPEN"] : [];
      for (const flag of new Set([...(release.context?.flags ?? []), ...own]))
        flags[flag] = (flags[flag] ?? 0) + 1;
      const list = word === "patched" || record === null ? undefined : shown.get(word);
      if (list !== undefined && list.length < SHOWN) list.push(record as AuditRecord);
    },
    context(line) {
      if (byContext.size >= MAX_RELEASES) byContext.clear(); // only what is judged next asks for its context
      byContext.set(line.context, releaseOf(line));
      if (contexts.length < MAX_RELEASES) contexts.push(line);
    },
    trouble(trouble) {
      if (troubles.length < MAX_TROUBLE) troubles.push(trouble);
      else untold++;
    },
    exceptions: () => WORST_FIRST.flatMap((word) => shown.get(word) ?? []).slice(0, SHOWN),
    summary({ at, policy, tool }) {
      const found = WORST_FIRST.filter((word) => words[word] !== undefined);
      const word = found.length === 0 ? null : worst(found);
      const table = [...releases.values()].filter(({ count }) => count > 0).sort(byProductAndVersion);
      const more = untold === 0 ? [] : [{ file: "", code: "more", message: `${untold} more` }];
      return {
        version: SUMMARY_VERSION,
        at,
        policy,
        tool,
        records,
        reused,
        words: inOrder(words),
        releases: table.map(({ context, words: own, count }) => ({
          product: context?.product ?? null,
          release: context?.release ?? null,
          words: inOrder(own),
          advisories: Object.fromEntries(context?.advisories.map(({ id }) => [id, count]) ?? []),
        })),
        flags: Object.fromEntries(Object.entries(flags).sort(([a], [b]) => (a < b ? -1 : 1))),
        trouble: [...troubles, ...more],
        word,
        exit: exitOf(word, troubles.length > 0),
      };
    },
  };
}

const inOrder = (words: Partial<Record<Word, number>>): Record<string, number> =>
  Object.fromEntries(WORST_FIRST.flatMap((word) => (words[word] === undefined ? [] : [[word, words[word]]])));

function byProductAndVersion(a: Release, b: Release): number {
  const name = ({ context }: Release) => `${context?.product ?? ""} ${context?.release ?? ""}`;
  return name(a).localeCompare(name(b), "en", { numeric: true });
}

/**
 * What was found to be bad is told whatever else went wrong; where nothing was, a file that could not be read
 * comes before "can't say": with it the answer might have been worse. Nothing judged is trouble.
 */
export function exitOf(word: Word | null, isTroubled: boolean): number {
  const isBad = word === "refuted" || word === "recalled" || word === "vulnerable";
  if (word === null || (isTroubled && !isBad)) return 1;
  return EXIT_STATUS[word];
}
