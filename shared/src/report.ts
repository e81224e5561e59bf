// What a report says, gathered from the lines of audits. Spec: spec/report.md.
//
//   context context … record record … summary │ context … record … summary │ …      lines, file after file
//   └──────────────── one audit, at its T ────┘ └── another ──┘
//
//   audits at or before T ──┬─ the newest ──▶ what each device is now            rows
//                           ├─ all of them ─▶ evidence of what it was before     metrics
//                           └─ summaries ───▶ patched over time                  trend
//
// A report asks about one T. "Patched" holds at the T of the audit that said so and at no other: a device that was last
// judged before T is `unproven` here, and what was worse than that stays as bad as it was.
//
// Of several pieces of evidence of one device (its key) the one measured last counts. Brackets may overlap: then the
// worst of those that are not proved to be older. Evidence that proves no key stands alone, as a row of its own.
//
// A record that is patched by a context counts as what the newest context of its release among the results says, where
// that is worse (outdated.ts): an audit may have met it later, or another audit.
//
// Pure: nothing here reads a clock, and the order of the files changes nothing but the list of sources.

import { type AuditContext, type AuditLine, CONTEXT_VERSION, RECORD_VERSION } from "./auditline";
import { measure } from "./metrics";
import { quote, Refusal } from "./refusal";
import { factsOf, type ReportMetrics, timed } from "./reportfacts";
import {
  type Audit,
  countWords,
  isOutdated,
  newestContexts,
  newestStandings,
  type ReportRelease,
  type ReportRow,
  releasesOf,
  rowsOf,
  unique,
  withNewest,
} from "./reportrows";
import { isoTime, secondsOf } from "./time";
import { type Word, worst } from "./verdict";

export const REPORT_VERSION = "vouch-report/v1";

export interface Source {
  /** The file's own name. */
  readonly name: string;
  readonly sha256: string;
  readonly lines: number;
}

export interface TrendPoint {
  readonly at: string;
  readonly records: number;
  readonly patched: number;
}

export interface Report {
  readonly version: typeof REPORT_VERSION;
  readonly at: string;
  readonly word: Word | null;
  readonly words: Readonly<Partial<Record<Word, number>>>;
  readonly devices: number;
  readonly policies: readonly string[];
  /** The policy's text, when it was given; its digest is then the only one of `policies`. */
  readonly policyText: string | null;
  readonly tools: readonly string[];
  readonly sources: readonly Source[];
  readonly releases: readonly ReportRelease[];
  /** All devices, worst first. */
  readonly rows: readonly ReportRow[];
  readonly trend: readonly TrendPoint[];
  readonly metrics: ReportMetrics;
  readonly limits: readonly string[];
  readonly notes: readonly string[];
  readonly trouble: readonly { readonly file: string; readonly code: string; readonly message: string }[];
}

/** Takes lines in their order, file after file. */
export class Gathering {
  private readonly audits: Audit[] = [];
  private current: Audit | null = null;
  /** Audits of the files before this one. */
  private told = 0;
  readonly sources: Source[] = [];

  /** Refuses `malformed-audit-line` for a time that isn't one: lines are compared by theirs. */
  line({ kind: _, ...line }: AuditLine): void {
    this.current ??= { at: null, contexts: [], records: [], summary: null, whole: false };
    if (line.version === CONTEXT_VERSION) {
      this.current.contexts.push(line);
      return;
    }
    checkTimes(line.version === RECORD_VERSION ? [line.at, line.notBefore, line.notAfter] : [line.at]);
    // Another T without a summary between: an audit that was cut short.
    if (this.current.at !== null && this.current.at !== line.at) {
      const { contexts } = this.current;
      this.endAudit();
      this.current = { at: null, contexts: [...contexts], records: [], summary: null, whole: false };
    }
    this.current.at = line.at;
    if (line.version === RECORD_VERSION) {
      this.current.records.push(line);
      return;
    }
    this.current.summary = line;
    this.endAudit();
  }

  /** Ends a file. `whole`: it holds all lines of its audits. */
  source(source: Source, whole: boolean): void {
    this.endAudit();
    for (const audit of this.audits.slice(this.told)) audit.whole = whole;
    this.told = this.audits.length;
    this.sources.push(source);
  }

  private endAudit(): void {
    if (this.current !== null) this.audits.push(this.current);
    this.current = null;
  }

  /** The T of the newest audit; null when there is none. */
  newest(): string | null {
    const times = this.audits.flatMap(({ at }) => at ?? []);
    return times.sort().pop() ?? null;
  }

  /** Refuses `evidence-missing` when no audit is as old as `at`. */
  report(at: string, policyText: string | null = null): Report {
    const audits = this.audits.filter((audit) => audit.at !== null && audit.at <= at);
    if (audits.length === 0)
      throw new Refusal("evidence-missing", `no audit at or before ${at} is among the results`, {
        hint: "`vouch audit --json` writes what a report is made of",
      });
    return reportOf(audits, at, { policyText, sources: this.sources }, this.audits.length - audits.length);
  }
}

function reportOf(
  found: readonly Audit[],
  at: string,
  given: { readonly policyText: string | null; readonly sources: readonly Source[] },
  later: number,
): Report {
  const contexts = newestContexts(found);
  const standings = newestStandings(contexts);
  const audits = withNewest(found, contexts, standings);
  const rows = rowsOf(audits, at);
  const newest = audits
    .map((audit) => audit.at as string)
    .sort()
    .pop() as string;
  const last = audits.filter((audit) => audit.at === newest);
  const words = countWords(rows);
  return {
    version: REPORT_VERSION,
    at,
    word: rows.length === 0 ? null : worst(rows.map(({ word }) => word)),
    words,
    devices: rows.length,
    policies: unique(last.flatMap((audit) => policiesOf(audit))),
    policyText: given.policyText,
    tools: unique(audits.flatMap((audit) => toolsOf(audit))),
    sources: given.sources,
    releases: releasesOf(rows, contexts, standings),
    rows,
    trend: trendOf(audits),
    metrics: timed(measure(factsOf(audits, rows, contexts, at))),
    limits: [...unique([...contexts.values()].flatMap(({ limits }) => [...limits])), ...OWN_LIMITS],
    notes: notesOf(audits, newest, at, rows, contexts, later),
    trouble: last.flatMap(({ summary }) => summary?.trouble ?? []),
  };
}

const OWN_LIMITS = [
  "a report repeats what audits found and judges nothing itself; whoever doubts it audits the evidence again",
  "a device says what it runs when it is asked, not when it was changed: an installation lies between two pieces of evidence",
  "advisories and releases are those that the audits met; a release that no device runs appears in no measure",
  "an advisory's time is that of its revision in force, when a ledger first had it; an earlier revision may have been recorded before",
];

const policiesOf = ({ summary, records }: Audit) => [
  ...(summary === null ? [] : [summary.policy]),
  ...records.map(({ policy }) => policy),
];
const toolsOf = ({ summary, records }: Audit) => [
  ...(summary === null ? [] : [summary.tool]),
  ...records.map(({ tool }) => tool),
];

const UNREAD =
  "files could not be read: their devices are missing here, and with them the answer might be worse";
const CUT_SHORT = "an audit has no summary: it may have been cut short, and devices may be missing";
const LOST = "lines were lost or added";

/** Those of a report's notes by which devices are missing here, or may be: what it says of all of them is of the others. */
export const gapsOf = ({ notes }: Report): readonly string[] =>
  notes.filter((note) => note === UNREAD || note === CUT_SHORT || note.endsWith(LOST));

function notesOf(
  audits: readonly Audit[],
  newest: string,
  at: string,
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
  later: number,
): string[] {
  const stale = rows.filter(({ reasons }) => reasons.some(({ code }) => code === "judged-earlier")).length;
  const outdated = rows.filter(isOutdated).length;
  const sizes = new Set(rows.flatMap(({ context }) => contexts.get(context ?? "")?.asOf?.logSize ?? []));
  const last = audits.filter((audit) => audit.at === newest);
  const policies = unique(last.flatMap(policiesOf));
  return [
    ...(newest < at ? [`the newest audit is of ${newest}, before ${at}`] : []),
    ...(stale > 0
      ? [
          `devices that were last judged patched before ${at}, and count as unproven until they are audited at that time: ${stale}`,
        ]
      : []),
    ...(outdated > 0
      ? [
          `devices that an audit called patched by an older context, and that count as what the newest one of their release says: ${outdated}; judge them with the newer bundle`,
        ]
      : []),
    ...(later > 0 ? [`audits later than ${at}, which are left out: ${later}`] : []),
    ...(policies.length > 1 ? ["devices were judged by different policies"] : []),
    ...(sizes.size > 1
      ? ["the releases' statuses are of different log sizes: a newer one may know more"]
      : []),
    ...(last.some(({ summary }) => (summary?.trouble ?? []).length > 0) ? [UNREAD] : []),
    ...(last.some(({ summary }) => summary === null) ? [CUT_SHORT] : []),
    ...last.flatMap(({ whole, records, summary }) =>
      whole && summary !== null && records.length !== summary.records
        ? [`an audit counted ${summary.records} records, and ${records.length} are here: ${LOST}`]
        : [],
    ),
  ];
}

function trendOf(audits: readonly Audit[]): TrendPoint[] {
  const points = new Map<string, TrendPoint>();
  for (const { summary } of audits) {
    if (summary === null) continue;
    const { at, records } = summary;
    const point = { at, records, patched: summary.words["patched"] ?? 0 };
    points.set(JSON.stringify(point), point); // the same audit in two files is one
  }
  return [...points].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, point]) => point);
}

const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;

function checkTimes(times: readonly (string | null)[]): void {
  for (const time of times) {
    if (
      time === null ||
      (TIME.test(time) && !Number.isNaN(secondsOf(time)) && isoTime(secondsOf(time)) === time)
    )
      continue;
    throw new Refusal("malformed-audit-line", `a time is ${quote(time)}, expected 2026-01-15T09:00:00Z`);
  }
}
