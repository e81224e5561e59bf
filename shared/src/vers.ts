// Ranges of versions: "vers" of the package-url project, for the scheme `semver`.
//
//   vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<2.4.0      from 1.0.0 to before 1.9.7, and from 2.0.0 to before 2.4.0
//   vers:semver/<=2.3.9                            all up to 2.3.9
//   vers:semver/2.4.1                              that one
//   vers:semver/*                                  all there are or will be
//
// One way to write a range: versions ascend and none stands twice, a lower bound (> >=) is
// followed by an upper one (< <=) or ends the text, two of a kind never follow each other.
// Without that rule the same text would read in two ways ("<2|<3"). Pre-releases are
// ordered, not left out: 2.4.0-rc.1 comes before 2.4.0 and has what 2.4.0 mends. `!=` isn't known here.

import { quote, Refusal } from "./refusal";
import { compareSemver, isSemver } from "./semver";

const PREFIX = "vers:semver/";
const MAX_RANGE = 1024;

/** What lies between two versions; null is without end. */
export interface Interval {
  readonly from: Bound | null;
  readonly to: Bound | null;
}

export interface Bound {
  readonly version: string;
  readonly included: boolean;
}

/** Ascending, no two of them with a version in common. */
export type Range = readonly Interval[];

const malformed = (text: string, why: string) =>
  new Refusal("malformed-range", `range ${quote(text)}: ${why}`, {
    hint: "for example vers:semver/>=2.0.0|<2.4.0",
  });

/** Reads a range in its one form. Throws `malformed-range`. */
export function parseRange(text: string): Range {
  if (text.length > MAX_RANGE) throw malformed(text, `longer than ${MAX_RANGE} characters`);
  if (!text.startsWith(PREFIX)) throw malformed(text, `expected it to begin with ${PREFIX}`);
  const body = text.slice(PREFIX.length);
  if (body === "*") return [{ from: null, to: null }];
  const intervals: Interval[] = [];
  let open: Bound | null = null;
  let last: string | null = null;
  for (const constraint of body.split("|")) {
    const [, sign, version] = /^(>=|<=|>|<|)([^<>=!*].*)$/.exec(constraint) ?? [];
    if (version === undefined || !isSemver(version))
      throw malformed(text, `${quote(constraint)} isn't a version after nothing, <, <=, > or >=`);
    if (last !== null && compareSemver(last, version) >= 0)
      throw malformed(text, `${version} doesn't come after ${last}`);
    const bound = { version, included: sign !== "<" && sign !== ">" };
    if (sign?.startsWith(">")) {
      if (open !== null) throw malformed(text, `${constraint} follows another lower bound`);
      if (isEndless(intervals)) throw malformed(text, `${constraint} follows a range without an end`);
      open = bound;
    } else if (sign?.startsWith("<")) {
      if (open === null && intervals.length > 0) throw malformed(text, `${constraint} has no lower bound`);
      intervals.push({ from: open, to: bound });
      open = null;
    } else {
      if (open !== null) throw malformed(text, `${constraint} stands inside a range`);
      intervals.push({ from: bound, to: bound });
    }
    last = version;
  }
  if (open !== null) intervals.push({ from: open, to: null });
  return intervals;
}

const isEndless = (intervals: Range) => intervals.length > 0 && intervals[intervals.length - 1]!.to === null;

/** The one text of a range that `unite` could have given. */
export function formatRange(range: Range): string {
  const constraints = range.flatMap(({ from, to }) => {
    if (from !== null && to !== null && from.version === to.version) return [from.version];
    return [
      ...(from === null ? [] : [`${from.included ? ">=" : ">"}${from.version}`]),
      ...(to === null ? [] : [`${to.included ? "<=" : "<"}${to.version}`]),
    ];
  });
  return `${PREFIX}${constraints.length === 0 ? "*" : constraints.join("|")}`;
}

const startsBy = (from: Bound | null, version: string): boolean => {
  if (from === null) return true;
  const order = compareSemver(from.version, version);
  return order < 0 || (order === 0 && from.included);
};

const endsAfter = (to: Bound | null, version: string): boolean => {
  if (to === null) return true;
  const order = compareSemver(version, to.version);
  return order < 0 || (order === 0 && to.included);
};

export const isWithin = (version: string, range: Range): boolean =>
  range.some(({ from, to }) => startsBy(from, version) && endsAfter(to, version));

// Bounds on one axis: a lower one that leaves its version out lies just after it, as an
// upper one that includes it does. null is before all, or after all.
function compareLower(a: Bound | null, b: Bound | null): number {
  if (a === null || b === null) return Number(b === null) - Number(a === null);
  return compareSemver(a.version, b.version) || Number(b.included) - Number(a.included);
}

function compareUpper(a: Bound | null, b: Bound | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return compareSemver(a.version, b.version) || Number(a.included) - Number(b.included);
}

/** Nothing lies between the end of the one and the start of the other. */
function meets(to: Bound | null, from: Bound | null): boolean {
  if (to === null || from === null) return true;
  const order = compareSemver(from.version, to.version);
  return order < 0 || (order === 0 && (from.included || to.included));
}

/** These intervals as a range, those that meet joined. Intervals that hold nothing are left out. */
export function unite(intervals: readonly Interval[]): Range {
  const united: Interval[] = [];
  const held = intervals.filter(
    ({ from, to }) =>
      from === null || (endsAfter(to, from.version) && (from.included || to?.version !== from.version)),
  );
  for (const next of [...held].sort((a, b) => compareLower(a.from, b.from))) {
    const before = united[united.length - 1];
    if (before === undefined || !meets(before.to, next.from)) united.push(next);
    else if (compareUpper(next.to, before.to) > 0)
      united[united.length - 1] = { from: before.from, to: next.to };
  }
  return united;
}

/** Whether every version in `inner` is in `outer`; both as `parseRange` or `unite` give them. */
export function coversRange(outer: Range, inner: Range): boolean {
  const whole = unite(outer);
  return inner.every(({ from, to }) =>
    whole.some((o) => compareLower(o.from, from) <= 0 && compareUpper(o.to, to) >= 0),
  );
}

/** The first versions that lie after a part of the range: what mends the problem, where nothing else says so. */
export const upperBounds = (range: Range): string[] =>
  range.flatMap(({ to }) => (to !== null && !to.included ? [to.version] : []));
