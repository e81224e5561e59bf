// What a summary counts while rows go by, in memory that doesn't grow with their number: the table of
// version × advisory, the worst rows to show first, and rows whose context turns out to be outdated.
//
// Rows come in the order of the input, and a newer context may come after those that it speaks of. So "patched" is
// counted for each release, beside the newest context of it so far, and settled at the end (shared/src/outdated.ts).
// What no room is left to count so is told as trouble: it could be outdated, and nobody would know.

import type { AuditContext, AuditRecord, AuditSummary } from "@vouch/shared/auditline";
import { OUTDATED_VERSION, SUMMARY_VERSION } from "@vouch/shared/auditline";
import {
  newerOf,
  OUTDATED,
  OUTDATED_STEP,
  outdatedMessage,
  releaseOf,
  type Standing,
  standingOf,
} from "@vouch/shared/outdated";
import { EXIT_STATUS, type Word, worst } from "@vouch/shared/verdict";
import type { Trouble } from "./inputs";

/** How many rows that aren't patched are kept to be shown; the rest is counted. */
export const SHOWN = 100;
/** Hostile bundles could name ever new releases: those beyond are counted together. */
const MAX_RELEASES = 1000;
/** Contexts whose devices may still come; those told first are forgotten. */
const MAX_CONTEXTS = 20_000;
const MAX_TROUBLE = 1000;

const WORST_FIRST: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched"];

type Outdated = Extract<AuditSummary, { version: typeof OUTDATED_VERSION }>["outdated"][number];

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

interface Group {
  readonly context: AuditContext | null;
  readonly words: Partial<Record<Word, number>>;
  count: number;
}

/** A release, and who is patched by any context of it. */
interface Judged {
  newest: Standing | null;
  readonly patched: Map<Group, number>;
  from: number;
  to: number;
}

/** What rows of a context count for. */
interface Counted {
  readonly group: Group;
  readonly judged: Judged | null;
  readonly size: number;
}

export function startTally(): Tally {
  const groups = new Map<string, Group>();
  const releases = new Map<string, Judged>();
  const byContext = new Map<string, Counted>();
  const contexts: AuditContext[] = [];
  const words: Partial<Record<Word, number>> = {};
  const flags: Record<string, number> = {};
  const shown = new Map<Word, AuditRecord[]>(WORST_FIRST.map((word) => [word, []]));
  const troubles: Trouble[] = [];
  let [records, reused, untold, unsettled] = [0, 0, 0, 0];

  const groupOf = (context: AuditContext | null): Group => {
    const name =
      context === null
        ? ""
        : JSON.stringify([context.product, context.release, context.advisories.map(({ id }) => id)]);
    const known = groups.get(name) ?? (groups.size >= MAX_RELEASES ? groups.get("") : undefined);
    if (known !== undefined) return known;
    const fresh: Group = { context: groups.size >= MAX_RELEASES ? null : context, words: {}, count: 0 };
    groups.set(fresh.context === null ? "" : name, fresh);
    return fresh;
  };

  /** Null where claims 1 and 2 name no release of a log, which nobody is patched by, and where there is no more room. */
  const judgedBy = (line: AuditContext): Judged | null => {
    if (line.product === null || line.release === null || line.log === null) return null;
    const name = releaseOf(line);
    const known = releases.get(name);
    if (known === undefined && releases.size >= MAX_RELEASES) return null;
    const fresh = { newest: null, patched: new Map(), from: Number.MAX_SAFE_INTEGER, to: 0 };
    const judged: Judged = known ?? fresh;
    const standing = standingOf(line);
    if (standing !== null) judged.newest = judged.newest ? newerOf(judged.newest, standing) : standing;
    releases.set(name, judged);
    return judged;
  };

  const patchedBy = (counted: Counted | undefined): void => {
    const judged = counted?.judged;
    if (counted === undefined || judged == null) {
      unsettled++;
      return;
    }
    judged.patched.set(counted.group, (judged.patched.get(counted.group) ?? 0) + 1);
    if (counted.size < judged.from) judged.from = counted.size;
    if (counted.size > judged.to) judged.to = counted.size;
  };

  /** Counts those of a release that were patched by an older context as what its newest one says. */
  const outdatedOf = ({ newest, patched, from, to }: Judged): Outdated[] => {
    if (newest === null) return [];
    const { line, word, size } = newest;
    const count = [...patched.values()].reduce((sum, n) => sum + n, 0);
    if (word === "patched" || count === 0) return [];
    const group = groupOf(line);
    for (const [before, n] of patched) {
      move(words, word, n);
      move(before.words, "patched", -n);
      move(group.words, word, n);
      move(words, "patched", -n);
      before.count -= n;
      group.count += n;
      for (const flag of line.flags)
        if (before.context?.flags.includes(flag) !== true) flags[flag] = (flags[flag] ?? 0) + n;
    }
    patched.clear();
    const about = { code: OUTDATED, product: line.product as string, release: line.release as string };
    const message = outdatedMessage(newest, from, to);
    return [
      { ...about, context: line.context, size, from, to, word, records: count, message, hint: OUTDATED_STEP },
    ];
  };

  return {
    contexts,
    row(word, context, record, isReused) {
      records++;
      if (isReused) reused++;
      const counted = context === null ? undefined : byContext.get(context);
      const group = counted?.group ?? groupOf(null);
      group.count++;
      move(group.words, word, 1);
      move(words, word, 1);
      if (word === "patched") patchedBy(counted);
      const own = record?.flags.includes("DEBUG_OPEN") === true ? ["DEBUG_OPEN"] : [];
      for (const flag of new Set([...(group.context?.flags ?? []), ...own]))
        flags[flag] = (flags[flag] ?? 0) + 1;
      const list = word === "patched" || record === null ? undefined : shown.get(word);
      if (list !== undefined && list.length < SHOWN) list.push(record as AuditRecord);
    },
    context(line) {
      byContext.delete(line.context);
      byContext.set(line.context, {
        group: groupOf(line),
        judged: judgedBy(line),
        size: line.asOf?.logSize ?? 0,
      });
      const [first] = byContext.size > MAX_CONTEXTS ? byContext.keys() : [];
      if (first !== undefined) byContext.delete(first);
      if (contexts.length < MAX_RELEASES) contexts.push(line);
    },
    trouble(trouble) {
      if (troubles.length < MAX_TROUBLE) troubles.push(trouble);
      else untold++;
    },
    exceptions: () => WORST_FIRST.flatMap((word) => shown.get(word) ?? []).slice(0, SHOWN),
    summary({ at, policy, tool }) {
      const outdated = [...releases.values()].flatMap(outdatedOf);
      const found = WORST_FIRST.filter((word) => words[word] !== undefined);
      const word = found.length === 0 ? null : worst(found);
      const table = [...groups.values()].filter(({ count }) => count > 0).sort(byProductAndVersion);
      const more = [
        ...(untold === 0 ? [] : [{ file: "", code: "more", message: `${untold} more` }]),
        ...(unsettled === 0 ? [] : [unsettledTrouble(unsettled)]),
      ];
      const counted = {
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
        exit: exitOf(word, troubles.length + more.length > 0),
      };
      return outdated.length === 0
        ? { version: SUMMARY_VERSION, ...counted }
        : { version: OUTDATED_VERSION, ...counted, outdated };
    },
  };
}

function move(words: Partial<Record<Word, number>>, word: Word, count: number): void {
  const left = (words[word] ?? 0) + count;
  if (left === 0) delete words[word];
  else words[word] = left;
}

const unsettledTrouble = (count: number): Trouble => ({
  file: "",
  code: "too-many-contexts",
  message: `whether a newer context says worse could not be settled for ${count} records: more than ${MAX_RELEASES} releases or ${MAX_CONTEXTS} contexts`,
});

const inOrder = (words: Partial<Record<Word, number>>): Record<string, number> =>
  Object.fromEntries(WORST_FIRST.flatMap((word) => (words[word] === undefined ? [] : [[word, words[word]]])));

function byProductAndVersion(a: Group, b: Group): number {
  const name = ({ context }: Group) => `${context?.product ?? ""} ${context?.release ?? ""}`;
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
