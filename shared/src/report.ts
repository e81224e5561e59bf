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
// Pure: nothing here reads a clock, and the order of the files changes nothing but the list of sources.

import {
  type AuditContext,
  type AuditLine,
  type AuditRecord,
  type AuditSummary,
  CONTEXT_VERSION,
  RECORD_VERSION,
} from "./auditline";
import { type AdvisoryFact, type Metrics, measure, type ReleaseFact, type Sighting } from "./metrics";
import { quote, Refusal } from "./refusal";
import { isoTime, secondsOf } from "./time";
import { type Word, worst } from "./verdict";

export const REPORT_VERSION = "vouch-report/v1";

/** One audit's lines. `at` is null when neither a record nor a summary tells it: such lines say nothing. */
interface Audit {
  at: string | null;
  readonly contexts: AuditContext[];
  readonly records: AuditRecord[];
  summary: AuditSummary | null;
  /** All its lines should be here: a store doesn't repeat what it holds. */
  whole: boolean;
}

export interface Source {
  /** The file's own name. */
  readonly name: string;
  readonly sha256: string;
  readonly lines: number;
}

export interface ReportRow {
  readonly word: Word;
  /** The T of the audit that judged it. */
  readonly judged: string;
  readonly reasons: readonly { readonly code: string; readonly word: Word; readonly message: string }[];
  readonly product: string | null;
  readonly release: string | null;
  readonly serial: string | null;
  readonly kid: string | null;
  readonly ueid: string | null;
  readonly device: string;
  readonly advisories: readonly string[];
  readonly flags: readonly string[];
  readonly notBefore: string | null;
  readonly notAfter: string | null;
  readonly timeSource: string | null;
  readonly enroller: string | null;
  readonly enrolled: string | null;
  readonly components: readonly { readonly name: string; readonly digest: string }[];
  readonly context: string | null;
  readonly input: string;
}

export interface ReportRelease {
  readonly product: string | null;
  readonly release: string | null;
  readonly recorded: string | null;
  readonly supportEnds: string | null;
  readonly udiDi: string | null;
  readonly approvers: readonly string[];
  readonly log: string | null;
  readonly size: string | null;
  readonly asOf: { readonly logSize: number; readonly time: string | null } | null;
  readonly timeSource: string | null;
  readonly advisories: AuditContext["advisories"];
  readonly words: Readonly<Partial<Record<Word, number>>>;
  readonly devices: number;
  readonly contexts: readonly string[];
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

type Timed<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]: string | null };
export type ReportMetrics = Omit<Metrics, "offered" | "installed"> & {
  readonly offered: readonly Timed<Metrics["offered"][number], "identified" | "available">[];
  readonly installed: readonly Timed<Metrics["installed"][number], "available" | "after" | "by">[];
};

const WORST_FIRST: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched", "verified"];
/** What a device may be found without its evidence being in doubt: these findings leave what was measured, and when. */
const SOUND: ReadonlySet<string> = new Set([
  "advisory-in-force",
  "advisory-recall",
  "advisory-under-investigation",
  "evidence-stale",
  "release-withdrawn",
  "status-stale",
]);

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
  audits: readonly Audit[],
  at: string,
  given: { readonly policyText: string | null; readonly sources: readonly Source[] },
  later: number,
): Report {
  const rows = rowsOf(audits, at);
  const newest = audits
    .map((audit) => audit.at as string)
    .sort()
    .pop() as string;
  const last = audits.filter((audit) => audit.at === newest);
  const contexts = newestContexts(audits);
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
    releases: releasesOf(rows, contexts),
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
const unique = (texts: readonly string[]): string[] => [...new Set(texts)].sort();

function notesOf(
  audits: readonly Audit[],
  newest: string,
  at: string,
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
  later: number,
): string[] {
  const stale = rows.filter(({ reasons }) => reasons.some(({ code }) => code === "judged-earlier")).length;
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
    ...(later > 0 ? [`audits later than ${at}, which are left out: ${later}`] : []),
    ...(policies.length > 1 ? ["devices were judged by different policies"] : []),
    ...(sizes.size > 1
      ? ["the releases' statuses are of different log sizes: a newer one may know more"]
      : []),
    ...(last.some(({ summary }) => summary === null)
      ? ["an audit has no summary: it may have been cut short, and devices may be missing"]
      : []),
    ...last.flatMap(({ whole, records, summary }) =>
      whole && summary !== null && records.length !== summary.records
        ? [
            `an audit counted ${summary.records} records, and ${records.length} are here: lines were lost or added`,
          ]
        : [],
    ),
  ];
}

/** One row for each device, worst first. */
function rowsOf(audits: readonly Audit[], at: string): ReportRow[] {
  const byDevice = new Map<string, AuditRecord[]>();
  for (const { records } of audits) {
    for (const record of records) {
      const name = record.kid === null ? `input:${record.input}` : `kid:${record.kid}`;
      const list = byDevice.get(name);
      if (list === undefined) byDevice.set(name, [record]);
      else list.push(record);
    }
  }
  const rows = [...byDevice.values()].map((records) => rowOf(currentOf(newestOf(records)), at));
  const rank = new Map(WORST_FIRST.map((word, i) => [word, i]));
  const keyed = rows.map((row) => ({ row, key: sortKey(row) }));
  keyed.sort(
    (a, b) =>
      (rank.get(a.row.word) as number) - (rank.get(b.row.word) as number) ||
      (a.key < b.key ? -1 : a.key > b.key ? 1 : 0),
  );
  return keyed.map(({ row }) => row);
}

const sortKey = (row: ReportRow) =>
  JSON.stringify([row.product ?? "", row.release ?? "", row.serial ?? row.device, row.kid ?? "", row.input]);

/** Evidence that was judged again counts as it was judged last. */
function newestOf(records: readonly AuditRecord[]): AuditRecord[] {
  const newest = new Map<string, AuditRecord>();
  for (const record of records) {
    const known = newest.get(record.input);
    if (known === undefined || isJudgedLater(record, known)) newest.set(record.input, record);
  }
  return [...newest.values()];
}

/** Two outcomes at one T (by different policies or contexts): the worse counts. */
function isJudgedLater(a: AuditRecord, b: AuditRecord): boolean {
  if (a.at !== b.at) return a.at > b.at;
  const [i, j] = [WORST_FIRST.indexOf(a.word), WORST_FIRST.indexOf(b.word)];
  return i !== j ? i < j : a.key < b.key;
}

function currentOf(records: readonly AuditRecord[]): AuditRecord {
  const last = records.reduce((a, b) => (isMeasuredLater(b, a) ? b : a));
  const open = records.filter(
    (r) => r.notAfter === null || last.notBefore === null || r.notAfter > last.notBefore,
  );
  const worse = open.filter(({ word }) => word === "refuted" || word === "recalled" || word === "vulnerable");
  return [last, ...worse].reduce((a, b) => (isWorse(b, a) ? b : a));
}

const isMeasuredLater = (a: AuditRecord, b: AuditRecord) =>
  (a.notBefore ?? "") > (b.notBefore ?? "") ||
  (a.notBefore === b.notBefore && (isWorse(a, b) || (a.word === b.word && a.key < b.key)));
const isWorse = (a: AuditRecord, b: AuditRecord) => WORST_FIRST.indexOf(a.word) < WORST_FIRST.indexOf(b.word);

function rowOf(record: AuditRecord, at: string): ReportRow {
  const early = record.word === "patched" && record.at !== at;
  const reasons = record.reasons.map(({ code, word, message }) => ({ code, word, message }));
  if (early)
    reasons.unshift({
      code: "judged-earlier",
      word: "unproven",
      message: `last judged at ${record.at}: patched then; nothing here says that it holds at ${at}`,
    });
  const { product, release, serial, kid, ueid, device, advisories, flags } = record;
  const { notBefore, notAfter, timeSource, enroller, enrolled, components, context, input } = record;
  return {
    word: early ? "unproven" : record.word,
    judged: record.at,
    reasons,
    product,
    release,
    serial,
    kid,
    ueid,
    device,
    advisories,
    flags: [...new Set(flags)],
    notBefore,
    notAfter,
    timeSource,
    enroller,
    enrolled,
    components,
    context,
    input,
  };
}

function countWords(rows: readonly ReportRow[]): Partial<Record<Word, number>> {
  const counts: Partial<Record<Word, number>> = {};
  for (const word of WORST_FIRST) {
    const count = rows.filter((row) => row.word === word).length;
    if (count > 0) counts[word] = count;
  }
  return counts;
}

/** The line of each context from the newest audit that met it; of two in one audit the later. */
function newestContexts(audits: readonly Audit[]): Map<string, AuditContext> {
  const found = new Map<string, { at: string; text: string; context: AuditContext }>();
  for (const audit of audits) {
    for (const context of audit.contexts) {
      const known = found.get(context.context);
      const text = JSON.stringify(context);
      const at = audit.at as string;
      if (known === undefined || at > known.at || (at === known.at && text > known.text))
        found.set(context.context, { at, text, context });
    }
  }
  return new Map(
    [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([digest, { context }]) => [digest, context]),
  );
}

function releasesOf(
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
): ReportRelease[] {
  const groups = new Map<string, ReportRow[]>();
  for (const row of rows) {
    const name = JSON.stringify([row.product, row.release]);
    const list = groups.get(name);
    if (list === undefined) groups.set(name, [row]);
    else list.push(row);
  }
  const names = [...groups.keys()].sort();
  return names.map((name) => {
    const own = groups.get(name) as ReportRow[];
    const digests = unique(own.flatMap(({ context }) => context ?? []));
    const known = digests.flatMap((digest) => contexts.get(digest) ?? []);
    // Of several contexts of one release the one whose status speaks for most of the log is shown.
    const shown = known.reduce<AuditContext | null>(
      (a, b) => (a === null || (b.asOf?.logSize ?? -1) > (a.asOf?.logSize ?? -1) ? b : a),
      null,
    );
    const first = own[0] as ReportRow;
    return {
      product: first.product,
      release: first.release,
      recorded: shown?.recorded ?? null,
      supportEnds: shown?.supportEnds ?? null,
      udiDi: shown?.udiDi ?? null,
      approvers: shown?.approvers ?? [],
      log: shown?.log ?? null,
      size: shown?.size ?? null,
      asOf: shown?.asOf ?? null,
      timeSource: shown?.timeSource ?? null,
      advisories: shown?.advisories ?? [],
      words: countWords(own),
      devices: own.length,
      contexts: digests,
    };
  });
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

function factsOf(
  audits: readonly Audit[],
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
  at: string,
) {
  const seen = new Map<string, Sighting>();
  for (const { records } of audits) {
    for (const record of records) {
      if (record.kid === null || record.product === null || record.release === null) continue;
      if (record.components.length === 0 || record.reasons.some(({ code }) => !SOUND.has(code))) continue;
      seen.set(`${record.input} ${record.context}`, {
        device: record.kid,
        product: record.product,
        release: record.release,
        notBefore: secondsOrNull(record.notBefore),
        notAfter: secondsOrNull(record.notAfter),
      });
    }
  }
  const sound = [...contexts.values()].filter(
    ({ product, release, reasons }) =>
      product !== null && release !== null && reasons.every(({ code }) => SOUND.has(code)),
  );
  // Of two fixes that statuses name, the later status's.
  sound.sort((a, b) => (b.asOf?.logSize ?? 0) - (a.asOf?.logSize ?? 0));
  return {
    at: secondsOf(at),
    devices: new Map(rows.map((row) => [row.kid ?? row.input, row.word])),
    sightings: [...seen.values()],
    advisories: advisoriesOf(sound),
    releases: sound.map(
      ({ product, release, recorded }): ReleaseFact => ({
        product: product as string,
        release: release as string,
        recorded: secondsOrNull(recorded),
      }),
    ),
  };
}

/** What the contexts say of each advisory that affects one of their releases. */
function advisoriesOf(contexts: readonly AuditContext[]): AdvisoryFact[] {
  const facts = new Map<string, { fact: MutableAdvisory; logSize: number }>();
  for (const context of contexts) {
    for (const advisory of context.advisories) {
      if (advisory.effect !== "affected") continue;
      const name = JSON.stringify([advisory.id, context.product]);
      const known = facts.get(name);
      const logSize = context.asOf?.logSize ?? 0;
      const entry = known ?? { fact: emptyAdvisory(advisory.id, context.product as string), logSize };
      facts.set(name, { fact: entry.fact, logSize: Math.min(entry.logSize, logSize) });
      const recorded = secondsOrNull(advisory.recorded);
      const { fact } = entry;
      if (recorded !== null) fact.recorded = Math.min(fact.recorded ?? recorded, recorded);
      const release = context.release as string;
      fact.affected.set(release, fact.affected.get(release) ?? advisory.fixIn);
    }
  }
  for (const { fact, logSize } of facts.values()) {
    for (const { product, release, asOf } of contexts) {
      // An older status knew nothing of the advisory: its silence clears no release.
      if (product !== fact.product || asOf === null || asOf.logSize < logSize) continue;
      if (!fact.affected.has(release as string)) fact.clear.add(release as string);
    }
  }
  return [...facts.values()].map(({ fact }) => fact);
}

interface MutableAdvisory {
  readonly id: string;
  readonly product: string;
  recorded: number | null;
  readonly affected: Map<string, string | null>;
  readonly clear: Set<string>;
}

const emptyAdvisory = (id: string, product: string): MutableAdvisory => ({
  id,
  product,
  recorded: null,
  affected: new Map(),
  clear: new Set(),
});

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

const secondsOrNull = (time: string | null): number | null => {
  const seconds = time === null ? Number.NaN : secondsOf(time);
  return Number.isSafeInteger(seconds) ? seconds : null; // nobody checked the text of a line's times
};
const timeOrNull = (seconds: number | null) => (seconds === null ? null : isoTime(seconds));

function timed(metrics: Metrics): ReportMetrics {
  return {
    ...metrics,
    offered: metrics.offered.map((one) => ({
      ...one,
      identified: timeOrNull(one.identified),
      available: timeOrNull(one.available),
    })),
    installed: metrics.installed.map((one) => ({
      ...one,
      available: timeOrNull(one.available),
      after: timeOrNull(one.after),
      by: timeOrNull(one.by),
    })),
  };
}
