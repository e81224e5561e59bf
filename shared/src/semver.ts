// Versions as SemVer 2.0.0 orders them (https://semver.org, section 11).
//
//   1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-alpha.beta < 1.0.0-beta.2 < 1.0.0-beta.11 < 1.0.0-rc.1 < 1.0.0
//
// Build metadata (+…) says nothing of the order. Numbers may be longer than 2^53: without
// leading zeros, the longer of two is the larger, and of equal length the text decides.

const NUMBER = "(0|[1-9][0-9]*)";
const PRERELEASE_PART = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
/** No leading zeros in numbers, at least one character in every part; 64 characters in all. */
export const SEMVER = new RegExp(
  `^(?=.{1,64}$)${NUMBER}\\.${NUMBER}\\.${NUMBER}(-${PRERELEASE_PART}(\\.${PRERELEASE_PART})*)?(\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$`,
);

export const isSemver = (text: string): boolean => SEMVER.test(text);

interface Parts {
  readonly numbers: readonly string[];
  /** Empty for a release. */
  readonly prerelease: readonly string[];
}

/** Of text that `isSemver`: any other is our own mistake. */
function partsOf(version: string): Parts {
  if (!isSemver(version)) throw new Error(`${version} is no semantic version`);
  const core = version.replace(/\+.*$/, "");
  const dash = core.indexOf("-");
  return {
    numbers: (dash < 0 ? core : core.slice(0, dash)).split("."),
    prerelease: dash < 0 ? [] : core.slice(dash + 1).split("."),
  };
}

/** Below, at, or above 0 as `a` comes before, with, or after `b`. */
export function compareSemver(a: string, b: string): number {
  const [x, y] = [partsOf(a), partsOf(b)];
  for (let i = 0; i < 3; i++) {
    const order = compareNumbers(x.numbers[i]!, y.numbers[i]!);
    if (order !== 0) return order;
  }
  if (x.prerelease.length === 0 || y.prerelease.length === 0) {
    return Math.sign(y.prerelease.length - x.prerelease.length); // the release comes last
  }
  const shared = Math.min(x.prerelease.length, y.prerelease.length);
  for (let i = 0; i < shared; i++) {
    const order = compareIdentifiers(x.prerelease[i]!, y.prerelease[i]!);
    if (order !== 0) return order;
  }
  return Math.sign(x.prerelease.length - y.prerelease.length);
}

const compareTexts = (a: string, b: string) => (a === b ? 0 : a < b ? -1 : 1);
const compareNumbers = (a: string, b: string) => Math.sign(a.length - b.length) || compareTexts(a, b);

/** Numbers below words; numbers by value, words by ASCII. */
function compareIdentifiers(a: string, b: string): number {
  const [isNumber, isOther] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (isNumber && isOther) return compareNumbers(a, b);
  if (isNumber !== isOther) return isNumber ? -1 : 1;
  return compareTexts(a, b);
}

export const isPrerelease = (version: string): boolean => partsOf(version).prerelease.length > 0;

/** The line that a version belongs to: fixes are made for each apart. */
export const majorOf = (version: string): string => partsOf(version).numbers[0]!;
