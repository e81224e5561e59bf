// Claim 4, the part about advisories: which of those in the bundle are in force at T and count
// against the release. An advisory in the bundle counts, listed by the status or not: leaving one
// out of a status must not help. Which one takes another's place is advisories.ts.

import { type AdvisoryRecord, effectOn, type Judged, revisionOf, standings } from "./advisories";
import { parseCvss } from "./cvss";
import { type Case, horizonOf } from "./history";
import { quote } from "./refusal";
import { compareSemver } from "./semver";
import type { AdvisoryStatement, ReleaseStatement } from "./statement";
import { isoTime, secondsOf } from "./time";
import type { AdvisoryResult } from "./verdict";

export interface OpenedAdvisory extends AdvisoryRecord {
  /** When a ledger first had it, as far as the bundle shows. */
  readonly recorded: number | null;
  readonly byApprovers: boolean;
}

/** Both what the maker signed and what a ledger recorded put it after T. Neither alone would do. */
export function isAfter(c: Case, recorded: number | null, created: string): boolean {
  return recorded !== null && recorded > horizonOf(c) && secondsOf(created) > horizonOf(c);
}

/** To take something away, a statement must be shown to be from before T. */
export const isRecordedByT = (c: Case, recorded: number | null): boolean =>
  recorded !== null && recorded <= horizonOf(c);

/** Judges them, and returns those that count. Findings, flags and notes go to the case. */
export function judgeAdvisories(
  c: Case,
  opened: readonly OpenedAdvisory[],
  release: ReleaseStatement,
): AdvisoryResult[] {
  noteIdle(c, opened);
  const known = opened.filter((record) => {
    const { statement } = record;
    if (!isAfter(c, record.recorded, statement.created)) return true;
    if (statement.kind === "advisory" && effectOn(statement, release) !== "none")
      c.out.note(`advisory ${statement.id} affects this release but came after ${isoTime(c.at)}`);
    return false;
  });
  return standings(known).flatMap((judged) => judgeOne(c, judged, release));
}

/** What would take an advisory back and doesn't: a reader may wonder why it still counts. */
function noteIdle(c: Case, opened: readonly OpenedAdvisory[]): void {
  for (const { statement, byApprovers, mayTakeBack } of opened) {
    if (statement.kind !== "advisory-withdrawal" || mayTakeBack) continue;
    const why = byApprovers
      ? `isn't shown to be from before ${isoTime(c.at)}`
      : "is signed by a status key alone, it takes the approvers";
    c.out.note(`the withdrawal of advisory ${statement.id} ${why}`);
  }
}

function judgeOne(
  c: Case,
  { record, standing }: Judged<OpenedAdvisory & AdvisoryRecord<AdvisoryStatement>>,
  release: ReleaseStatement,
): AdvisoryResult[] {
  const { statement } = record;
  const effect = effectOn(statement, release);
  if (effect === "none") {
    const said = statement.releases?.find(({ version }) => version === release.version);
    if (standing.kind === "in-force" && said?.justification !== undefined)
      c.out.note(`advisory ${statement.id} does not affect ${release.version}: ${said.justification}`);
    return [];
  }
  if (standing.kind === "withdrawn") {
    c.out.note(`advisory ${statement.id} was withdrawn: ${quote(standing.by.statement.reason)}`);
    return [];
  }
  if (standing.kind === "superseded") return [];
  const fixIn = fixedAfter(statement, release.version);
  const overdue = statement.deadline !== undefined && c.at > secondsOf(statement.deadline);
  const what = `advisory ${statement.id}${namesOf(statement)} affects ${release.product} ${release.version}: ${quote(statement.summary)}`;
  const hint =
    statement.fixedVersions.length === 0
      ? "no fixed version is released yet"
      : `fixed in ${statement.fixedVersions.join(", ")}`;
  if (effect === "affected") {
    const code = statement.advisoryKind === "recall" ? "advisory-recall" : "advisory-in-force";
    c.out.failed("advisories", code, what, hint);
  } else if (c.policy.allowUnderInvestigation) {
    c.out.note(`advisory ${quote(statement.id)} is under investigation; the policy allows that`);
  } else c.out.failed("advisories", "advisory-under-investigation", what);
  if (overdue) c.out.flag("OVERDUE", `advisory ${statement.id} was to be mended by ${statement.deadline}`);
  return [
    {
      id: statement.id,
      revision: revisionOf(statement),
      aliases: statement.aliases ?? [],
      kind: statement.advisoryKind,
      effect,
      cvss: statement.cvss ?? [],
      class: statement.class ?? null,
      created: statement.created,
      recorded: record.recorded,
      deadline: statement.deadline ?? null,
      overdue,
      fixIn,
    },
  ];
}

/** The nearest release after this one that mends it. */
function fixedAfter({ fixedVersions }: AdvisoryStatement, version: string): string | null {
  const later = fixedVersions.filter((fixed) => compareSemver(fixed, version) > 0);
  return later.sort(compareSemver)[0] ?? null;
}

/** " (CVE-2026-1234, CVSS 9.8 critical)", or nothing. */
function namesOf({ aliases = [], cvss = [] }: AdvisoryStatement): string {
  const bases = cvss.flatMap((vector) => parseCvss(vector).base ?? []);
  const [worst] = bases.sort((a, b) => b.score - a.score);
  const score = worst && `CVSS ${worst.score.toFixed(1)} ${worst.severity.toLowerCase()}`;
  const names = [...aliases, ...(score === undefined ? [] : [score])];
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}
