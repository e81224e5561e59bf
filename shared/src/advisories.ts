// What advisories mean for a release, and which of them are in force. Pure comparison of
// statements: who signed them, and when the log had them, is said by the caller.
//
//   effect on a release, the first that applies:
//     its image is named by digest     what the advisory's state says, at least
//     `releases` names its version     that status; fixed and not_affected: none
//     its version lies in `affected`   what the state says, or what `releases` says of the version that it is a build
//                                      of, where that is worse: a build is no other version (SemVer 2.0.0, 10)
//     else                             none
//
//   out of force is an advisory
//     withdrawn   by a later withdrawal that names its record, signed by t approvers
//     superseded  by a later one of its id, of no lower revision, that is itself in force and either
//                 affects no less, whoever signed it, or has a higher revision and t approvers
//
// So nothing that a status key alone signs takes anything away: the later statement says all that
// the earlier one did. Versions are those of signed releases, never what a device claims.

import type { AdvisoryStatement, AdvisoryWithdrawal, ReleaseStatement } from "./statement";
import { secondsOf } from "./time";
import { coversRange, isWithin, parseRange, type Range } from "./vers";

export type Effect = "none" | "under_investigation" | "affected";

const EFFECTS: readonly Effect[] = ["none", "under_investigation", "affected"];
const rank = (effect: Effect) => EFFECTS.indexOf(effect);
const worse = (a: Effect, b: Effect) => (rank(a) > rank(b) ? a : b);

/** Whether the release has the problem, by what the advisory says. */
export function effectOn(
  advisory: AdvisoryStatement,
  release: Pick<ReleaseStatement, "version" | "subjects">,
): Effect {
  const said = effectOnVersion(advisory, release.version);
  const isNamed = advisory.subjects.some((a) => release.subjects.some((s) => s.sha256 === a.sha256));
  return isNamed ? worse(advisory.state, said) : said;
}

/** The same for a version, whatever its images are. */
const effectOnVersion = (advisory: AdvisoryStatement, version: string): Effect =>
  saidOf(advisory, version) ?? effectOnBuilds(advisory, version);

/** The same for those builds of a version that `releases` doesn't name. */
function effectOnBuilds(advisory: AdvisoryStatement, version: string): Effect {
  const byRange = isWithin(version, rangeOf(advisory)) ? advisory.state : "none";
  return worse(byRange, saidOf(advisory, version.split("+", 1)[0]!) ?? "none");
}

/** What `releases` says of exactly this version. */
function saidOf({ releases }: AdvisoryStatement, version: string): Effect | undefined {
  const status = releases?.find((r) => r.version === version)?.status;
  return status === "fixed" || status === "not_affected" ? "none" : status;
}

const ranges = new WeakMap<AdvisoryStatement, Range>(); // read once: each is compared with many

function rangeOf(statement: AdvisoryStatement): Range {
  const { affected } = statement;
  const range = ranges.get(statement) ?? (affected === undefined ? [] : parseRange(affected));
  ranges.set(statement, range);
  return range;
}

const KIND_RANK: Record<AdvisoryStatement["advisoryKind"], number> = {
  security: 0,
  "field-safety-notice": 0,
  recall: 1,
};

/** Whether for every release there can be, `later` says at least what `earlier` does, and by no later a deadline. */
export function affectsNoLess(later: AdvisoryStatement, earlier: AdvisoryStatement): boolean {
  const named = [...(later.releases ?? []), ...(earlier.releases ?? [])].map(({ version }) => version);
  const saysNoLess = (effect: typeof effectOnVersion) =>
    named.every((version) => rank(effect(later, version)) >= rank(effect(earlier, version)));
  return (
    rank(later.state) >= rank(earlier.state) &&
    KIND_RANK[later.advisoryKind] >= KIND_RANK[earlier.advisoryKind] &&
    earlier.subjects.every((a) => later.subjects.some((b) => b.sha256 === a.sha256)) &&
    coversRange(rangeOf(later), rangeOf(earlier)) &&
    saysNoLess(effectOnVersion) &&
    saysNoLess(effectOnBuilds) &&
    deadlineOf(later) <= deadlineOf(earlier)
  );
}

const deadlineOf = ({ deadline }: AdvisoryStatement) =>
  deadline === undefined ? Number.POSITIVE_INFINITY : secondsOf(deadline);

export const revisionOf = ({ revision }: AdvisoryStatement): number => revision ?? 1;

/** An advisory, or a withdrawal, as a record of the log. All of one product. */
export interface AdvisoryRecord<S = AdvisoryStatement | AdvisoryWithdrawal> {
  readonly statement: S;
  readonly index: bigint;
  /** SHA-256 of the envelope, hex. */
  readonly sha256: string;
  /** t approvers signed it, and the log had it by the moment asked about: only such a one takes away. */
  readonly mayTakeBack: boolean;
}

export type Standing =
  | { readonly kind: "in-force" }
  | { readonly kind: "superseded"; readonly by: AdvisoryRecord<AdvisoryStatement> }
  | { readonly kind: "withdrawn"; readonly by: AdvisoryRecord<AdvisoryWithdrawal> };

export interface Judged<R> {
  readonly record: R;
  readonly standing: Standing;
}

/** Every advisory among the records with its standing, ascending by index, whatever their order was. */
export function standings<R extends AdvisoryRecord>(
  records: readonly R[],
): Judged<R & AdvisoryRecord<AdvisoryStatement>>[] {
  type Advisory = R & AdvisoryRecord<AdvisoryStatement>;
  const newestFirst = records
    .filter((record): record is Advisory => record.statement.kind === "advisory")
    .sort((a, b) => (a.index > b.index ? -1 : 1));
  const withdrawals = records.filter(
    (record): record is R & AdvisoryRecord<AdvisoryWithdrawal> =>
      record.statement.kind === "advisory-withdrawal",
  );
  const judged: Judged<Advisory>[] = [];
  for (const record of newestFirst) {
    const withdrawal = withdrawals.find((w) => takesBack(w, record));
    if (withdrawal !== undefined) {
      judged.push({ record, standing: { kind: "withdrawn", by: withdrawal } });
      continue;
    }
    // All that come later are judged already: what is out of force itself supersedes nothing.
    const later = judged.find(
      ({ record: by, standing }) => standing.kind === "in-force" && supersedes(by, record),
    );
    judged.push({
      record,
      standing: later === undefined ? { kind: "in-force" } : { kind: "superseded", by: later.record },
    });
  }
  return judged.reverse();
}

const takesBack = (by: AdvisoryRecord<AdvisoryWithdrawal>, record: AdvisoryRecord<AdvisoryStatement>) =>
  by.mayTakeBack &&
  by.index > record.index &&
  by.statement.id === record.statement.id &&
  by.statement.records.includes(record.sha256);

function supersedes(
  by: AdvisoryRecord<AdvisoryStatement>,
  record: AdvisoryRecord<AdvisoryStatement>,
): boolean {
  const [later, earlier] = [by.statement, record.statement];
  if (later.id !== earlier.id || by.index <= record.index) return false;
  if (revisionOf(later) < revisionOf(earlier)) return false;
  return (by.mayTakeBack && revisionOf(later) > revisionOf(earlier)) || affectsNoLess(later, earlier);
}
