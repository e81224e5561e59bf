// Versions in the order of the specification's own example, and ranges of them: what is read,
// what is inside, and whether one holds another, tried against every version of a small world.

import * as fc from "fast-check";
import semver from "semver";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compareSemver, isPrerelease, isSemver, majorOf } from "../src/semver";
import {
  coversRange,
  formatRange,
  type Interval,
  isWithin,
  parseRange,
  unite,
  upperBounds,
} from "../src/vers";
import { refusal } from "./vectors";

const versions = suite("semver");

// semver.org, section 11: the order it gives, with a few between.
const ASCENDING =
  "0.0.0-0 0.9.9 1.0.0-0 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.9.7 2.0.0 2.1.0 2.1.1 10.0.0 99999999999999999999.0.0".split(
    " ",
  );

versions("every pair of the specification's example is in its order", () => {
  for (const [i, a] of ASCENDING.entries())
    for (const [j, b] of ASCENDING.entries()) assert.is(compareSemver(a, b), Math.sign(i - j), `${a} ${b}`);
});

versions("build metadata says nothing of the order", () => {
  assert.is(compareSemver("1.0.0+a", "1.0.0+b"), 0);
  assert.is(compareSemver("1.0.0-x+a-1", "1.0.0-x"), 0);
  assert.ok(isPrerelease("1.0.0-x+a"));
  assert.not.ok(isPrerelease("1.0.0+a-x"));
  assert.is(majorOf("12.3.4-rc.1"), "12");
});

for (const text of ["", "1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3\n", "1.2.3-é"])
  versions(`no version: ${JSON.stringify(text)}`, () => assert.not.ok(isSemver(text)));

const number = fc.nat({ max: 3 });
const part = fc.constantFrom("0", "1", "11", "a", "A", "a1", "-", "rc");
const anyVersion = fc
  .tuple(number, number, number, fc.array(part, { maxLength: 3 }))
  .map(([a, b, c, pre]) => `${a}.${b}.${c}${pre.length > 0 ? `-${pre.join(".")}` : ""}`);

versions("orders as the semver package does", () => {
  fc.assert(
    fc.property(anyVersion, anyVersion, (a, b) => {
      assert.is(compareSemver(a, b), semver.compare(a, b), `${a} ${b}`);
    }),
    { numRuns: 3000 },
  );
});
versions.run();

const ranges = suite("vers");

for (const [text, inside, outside] of [
  ["vers:semver/*", "0.0.0-0 9.9.9", ""],
  ["vers:semver/2.4.1", "2.4.1 2.4.1+build", "2.4.0 2.4.1-rc.1 2.4.2"],
  ["vers:semver/<2.0.0", "0.0.0 1.9.9 2.0.0-rc.1", "2.0.0 3.0.0"],
  ["vers:semver/>=2.0.0", "2.0.0 3.0.0", "2.0.0-rc.1 1.9.9"],
  ["vers:semver/>1.0.0|<=1.2.0", "1.0.1 1.2.0", "1.0.0 1.2.1"],
  ["vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<2.4.0", "1.0.0 1.9.6 2.3.9 2.4.0-rc.1", "0.9.0 1.9.7 1.99.0 2.4.0"],
  ["vers:semver/1.0.0|>=2.0.0|<2.1.0|3.0.0", "1.0.0 2.0.5 3.0.0", "1.0.1 2.1.0 3.0.1"],
] as const) {
  ranges(`${text} holds what it says`, () => {
    const range = parseRange(text);
    assert.is(formatRange(range), text);
    for (const version of inside.split(" ")) assert.ok(isWithin(version, range), version);
    for (const version of outside.split(" ").filter(Boolean))
      assert.not.ok(isWithin(version, range), version);
  });
}

for (const [name, text] of [
  ["no scheme", ">=1.0.0|<2.0.0"],
  ["another scheme", "vers:npm/>=1.0.0"],
  ["nothing", "vers:semver/"],
  ["a version that is none", "vers:semver/>=1.0"],
  ["a space", "vers:semver/>=1.0.0 |<2.0.0"],
  ["descending", "vers:semver/>=2.0.0|<1.0.0"],
  ["a version twice", "vers:semver/>=1.0.0|<1.0.0"],
  ["two lower bounds", "vers:semver/>=1.0.0|>=2.0.0"],
  ["two upper bounds", "vers:semver/<1.0.0|<2.0.0"],
  ["one version inside a range", "vers:semver/>=1.0.0|1.5.0|<2.0.0"],
  ["a star among others", "vers:semver/*|1.0.0"],
  ["a version left out", "vers:semver/!=1.0.0"],
  ["an empty constraint", "vers:semver/>=1.0.0||<2.0.0"],
  ["2,000 characters", `vers:semver/${"1.0.0|".repeat(400)}`],
] as const)
  ranges(`refuses: ${name}`, () => assert.throws(() => parseRange(text), refusal("malformed-range")));

const plain = { noNullPrototype: true };
const bound = fc.option(
  fc.record({ version: fc.constantFrom(...ASCENDING), included: fc.boolean() }, plain),
  {
    nil: null,
  },
);
const interval: fc.Arbitrary<Interval> = fc.record({ from: bound, to: bound }, plain);
const some = fc.array(interval, { maxLength: 4 });

ranges("uniting loses no version and adds none, and gives a range in its one form", () => {
  fc.assert(
    fc.property(some, (intervals) => {
      const range = unite(intervals);
      for (const version of ASCENDING)
        assert.is(
          isWithin(version, range),
          isWithin(version, intervals),
          `${version} ${JSON.stringify(intervals)}`,
        );
      // All but one version can't be written: the format has no way to name a bound twice.
      const isWritable = range.every(
        ({ to }, i) => to === null || to.version !== range[i + 1]?.from?.version,
      );
      if (range.length > 0 && isWritable)
        assert.equal(parseRange(formatRange(range)), range, formatRange(range));
    }),
    { numRuns: 3000 },
  );
});

ranges(
  "a range that covers another holds every version of it; one that doesn't lacks some version there may be",
  () => {
    fc.assert(
      fc.property(some, some, (a, b) => {
        const [outer, inner] = [unite(a), unite(b)];
        if (!coversRange(outer, inner)) return;
        for (const version of ASCENDING)
          if (isWithin(version, inner)) assert.ok(isWithin(version, outer), `${version}`);
      }),
      { numRuns: 3000 },
    );
    const of = (...texts: string[]) => unite(texts.flatMap((text) => parseRange(`vers:semver/${text}`)));
    assert.ok(coversRange(of(">=1.0.0|<2.0.0", ">=2.0.0|<3.0.0"), of(">=1.5.0|<2.5.0")));
    assert.not.ok(coversRange(of(">=1.0.0|<2.0.0", ">2.0.0|<3.0.0"), of(">=1.5.0|<2.5.0")));
    for (const [outer, inner, covers] of [
      ["*", "1.0.0", true],
      [">=1.0.0", "*", false],
      ["<=1.0.0", "<1.0.0", true],
      ["<1.0.0", "<=1.0.0", false],
      ["1.0.0", ">=1.0.0|<1.0.1", false],
    ] as const)
      assert.is(coversRange(of(outer), of(inner)), covers, `${outer} ${inner}`);
  },
);

ranges("what mends is what a range ends before", () => {
  assert.equal(upperBounds(parseRange("vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<=2.4.0|>=3.0.0")), ["1.9.7"]);
});
ranges.run();
