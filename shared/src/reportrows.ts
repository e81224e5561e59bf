// A report's rows: of all evidence of a device, what counts at T. Rules in spec/report.md, "Which audits count".

import type { AuditContext, AuditRecord, AuditSummary } from "./auditline";
import { newerOf, OUTDATED, outdatedMessage, releaseOf, type Standing, standingOf } from "./outdated";
import type { Word } from "./verdict";

/** One audit's lines. `at` is null when neither a record nor a summary tells it: such lines say nothing. */
export interface Audit {
  at: string | null;
  readonly contexts: AuditContext[];
  readonly records: AuditRecord[];
  summary: AuditSummary | null;
  /** All its lines should be here: a store doesn't repeat what it holds. */
  whole: boolean;
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
  /** How many records of the device this row was chosen from. */
  readonly records: number;
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

/** The newest standing of each release among the contexts, by releaseOf. */
export function newestStandings(contexts: ReadonlyMap<string, AuditContext>): Map<string, Standing> {
  const found = new Map<string, Standing>();
  for (const line of contexts.values()) {
    const standing = standingOf(line);
    const known = found.get(releaseOf(line));
    if (standing !== null) found.set(releaseOf(line), known ? newerOf(known, standing) : standing);
  }
  return found;
}

/** The audits, with what they found patched by a context that is outdated here as what the newest one says. */
export function withNewest(
  audits: readonly Audit[],
  contexts: ReadonlyMap<string, AuditContext>,
  standings: ReadonlyMap<string, Standing>,
): Audit[] {
  const judged = (record: AuditRecord): AuditRecord => {
    const own = contexts.get(record.context ?? "");
    const newest = own && standings.get(releaseOf(own));
    if (record.word !== "patched" || newest === undefined || newest.word === "patched") return record;
    const { word, line } = newest;
    const size = own?.asOf?.logSize ?? 0;
    const about = { word, claim: "advisories", of: "release" };
    const outdated = { ...about, code: OUTDATED, message: outdatedMessage(newest, size, size) };
    const reasons = [outdated, ...line.reasons.map((reason) => ({ ...reason, of: "release" }))];
    const flags = [...record.flags, ...line.flags]; // a row has each of them once
    return { ...record, word, reasons, flags, advisories: line.advisories.map(({ id }) => id) };
  };
  return audits.map((audit) => ({ ...audit, records: audit.records.map(judged) }));
}

const WORST_FIRST: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched", "verified"];

/** One row for each device, worst first. */
export function rowsOf(audits: readonly Audit[], at: string): ReportRow[] {
  const byDevice = new Map<string, AuditRecord[]>();
  for (const { records } of audits) {
    for (const record of records) {
      const name = record.kid === null ? `input:${record.input}` : `kid:${record.kid}`;
      const list = byDevice.get(name);
      if (list === undefined) byDevice.set(name, [record]);
      else list.push(record);
    }
  }
  const rows = [...byDevice.values()].map((records) => ({
    ...rowOf(currentOf(withoutSettled(newestOf(records))), at),
    records: records.length,
  }));
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
export function newestOf(records: readonly AuditRecord[]): AuditRecord[] {
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

/**
 * Evidence that was collected again stands in another line, which names another context: its digest doesn't tell that it is
 * the same. What an earlier audit held against the release alone is settled by a later one of a status that speaks for as much.
 */
function withoutSettled(records: readonly AuditRecord[]): readonly AuditRecord[] {
  if (records.length < 2) return records;
  const last = new Map<string, AuditRecord>();
  for (const record of records) {
    const text = measuredText(record);
    const known = last.get(text);
    const isLater = known === undefined || record.at > known.at;
    if (isLater || (record.at === known.at && sizeOf(record) < sizeOf(known))) last.set(text, record);
  }
  return records.filter((record) => !isSettledBy(record, last.get(measuredText(record)) as AuditRecord));
}

function isSettledBy(record: AuditRecord, later: AuditRecord): boolean {
  if (record.at >= later.at || record.notBefore === null || record.components.length === 0) return false;
  if (record.reasons.some(({ of }) => of !== "release")) return false;
  return later.asOf !== null && sizeOf(later) >= sizeOf(record);
}

const sizeOf = ({ asOf }: AuditRecord) => asOf?.logSize ?? 0;

const measuredText = ({ product, release, notBefore, notAfter, components, dbgstat }: AuditRecord) =>
  JSON.stringify([product, release, notBefore, notAfter, components, dbgstat]);

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

function rowOf(record: AuditRecord, at: string): Omit<ReportRow, "records"> {
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

export function countWords(rows: readonly ReportRow[]): Partial<Record<Word, number>> {
  const counts: Partial<Record<Word, number>> = {};
  for (const word of WORST_FIRST) {
    const count = rows.filter((row) => row.word === word).length;
    if (count > 0) counts[word] = count;
  }
  return counts;
}

export const unique = (texts: readonly string[]): string[] => [...new Set(texts)].sort();

/** The line of each context from the newest audit that met it; of two in one audit the later. */
export function newestContexts(audits: readonly Audit[]): Map<string, AuditContext> {
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

/** Of the contexts that a row rests on: where its own is outdated, the newest, too. */
function digestsOf(
  { context, reasons }: ReportRow,
  contexts: ReadonlyMap<string, AuditContext>,
  standings: ReadonlyMap<string, Standing>,
): string[] {
  if (context === null) return [];
  const own = contexts.get(context);
  const newest = own && standings.get(releaseOf(own));
  return isOutdated({ reasons }) && newest !== undefined ? [context, newest.line.context] : [context];
}

export const isOutdated = ({ reasons }: Pick<ReportRow, "reasons">) =>
  reasons.some(({ code }) => code === OUTDATED);

export function releasesOf(
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
  standings: ReadonlyMap<string, Standing>,
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
    const digests = unique(own.flatMap((row) => digestsOf(row, contexts, standings)));
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
