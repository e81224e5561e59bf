// The three measures over a fleet of ten devices and three advisories, worked out by hand.
//
//   day  0 = 2026-01-01T00:00:00Z; T = day 60; all days below are days of that count
//
//   release   recorded         advisory   recorded   affects → mended by            clear
//   1.0       day 0            A          day 5      1.0 → 1.1                      1.1 1.2
//   1.1       day 8            B          day 20     1.0 → 1.2, 1.1 → 1.2           1.2
//   1.2       day 27           C          day 30     1.2 → 1.3                      1.0 1.1
//   1.3       not in the results
//
//   offered   A 1.0: 8 − 5 = 3      B 1.0: 27 − 20 = 7      B 1.1: 27 − 20 = 7      C 1.2: fix-not-in-results
//             known 3 7 7: least 3, median 7 (rank 2 of 3), p90 7 (rank 3), most 7
//
//   device  evidence (release @ not before … not after)                now
//   d0      1.0 @ 2…3      1.1 @ 10…11     1.2 @ 30…32                 vulnerable (C)
//   d1      1.0 @ 2…3      1.1 @ 14…16                                 vulnerable (B)
//   d2      1.0 @ 2…3      1.2 @ 40…41                                 vulnerable (C)
//   d3      1.0 @ 2…3                                                  vulnerable (A B)
//   d4      1.1 @ 9…10                                                 vulnerable (B)
//   d5      1.1 @ 9…10     1.2 @ 28…29                                 vulnerable (C)
//   d6      1.0 @ 2…3      1.1 @ 12…?      (no log holds the second)   unproven
//   d7      1.0 @ 2…15     1.1 @ 14…16     (brackets overlap)          vulnerable (B)
//   d8      2.0 @ 50…51    of another product                          patched
//   d9      2.0 @ 50…51                                                patched
//
//   patched   2 of 10
//
//   installed, from `available` to `by`                            A (8)    B (27)    C (?)
//   d0   A: 1.1 by 11 → 3     B: last affected 1.1, 1.2 by 32 → 5             3        5      fix-not-in-results
//   d1   A: 1.1 by 16 → 8     B: open, 60 − 27 = 33                           8     open 33
//   d2   A: 1.2 by 41 → 33    B: 1.2 by 41 → 14                              33       14      fix-not-in-results
//   d3   A: open, 60 − 8 = 52 B: open, 33                               open 52     open 33
//   d4                        B: open, 33                                           open 33
//   d5                        B: 1.2 by 29 → 2                                         2      fix-not-in-results
//   d6   A: 1.1, no `by`: evidence-time-unknown   B: open, 33                 ?     open 33
//   d7   A: evidence-order-unknown, open          B: open, 33            open ?     open 33
//
//   done and known: 3 8 33 | 5 14 2  →  2 3 5 8 14 33: median 5 (rank 3 of 6), p90 33 (rank 6)
//   open: A d3 d7, B d1 d3 d4 d6 d7, C d0 d2 d5 = 10
//   missing: fix-not-in-results 1 + 3, evidence-time-unknown 1, evidence-order-unknown 1

import { type Facts, type Installed, measure, type Sighting } from "@vouch/shared/metrics";
import type { Word } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const DAY = 86400;
const day = (n: number) => 1_767_225_600 + n * DAY;
const when = (n: number | null) => (n === null ? null : day(n));

const SEEN: readonly [string, string, number | null, number | null, string?][] = [
  ["d0", "1.0", 2, 3],
  ["d0", "1.1", 10, 11],
  ["d0", "1.2", 30, 32],
  ["d1", "1.0", 2, 3],
  ["d1", "1.1", 14, 16],
  ["d2", "1.0", 2, 3],
  ["d2", "1.2", 40, 41],
  ["d3", "1.0", 2, 3],
  ["d4", "1.1", 9, 10],
  ["d5", "1.1", 9, 10],
  ["d5", "1.2", 28, 29],
  ["d6", "1.0", 2, 3],
  ["d6", "1.1", 12, null],
  ["d7", "1.0", 2, 15],
  ["d7", "1.1", 14, 16],
  ["d8", "2.0", 50, 51, "monitor"],
  ["d9", "2.0", 50, 51, "monitor"],
];
const NOW: Record<string, Word> = {
  d0: "vulnerable",
  d1: "vulnerable",
  d2: "vulnerable",
  d3: "vulnerable",
  d4: "vulnerable",
  d5: "vulnerable",
  d6: "unproven",
  d7: "vulnerable",
  d8: "patched",
  d9: "patched",
};

const sightings = SEEN.map(
  ([device, release, from, to, product = "pump"]): Sighting => ({
    device,
    product,
    release,
    notBefore: when(from),
    notAfter: when(to),
  }),
);
const advisory = (
  id: string,
  recorded: number | null,
  affected: [string, string | null][],
  clear: string[],
) => ({
  id,
  product: "pump",
  recorded: when(recorded),
  affected: new Map(affected),
  clear: new Set(clear),
});
const release = (name: string, recorded: number | null, product = "pump") => ({
  product,
  release: name,
  recorded: when(recorded),
});

const FLEET: Facts = {
  at: day(60),
  devices: new Map(Object.entries(NOW)),
  sightings,
  advisories: [
    advisory("A", 5, [["1.0", "1.1"]], ["1.1", "1.2"]),
    advisory(
      "B",
      20,
      [
        ["1.0", "1.2"],
        ["1.1", "1.2"],
      ],
      ["1.2"],
    ),
    advisory("C", 30, [["1.2", "1.3"]], ["1.0", "1.1"]),
  ],
  releases: [release("1.0", 0), release("1.1", 8), release("1.2", 27), release("2.0", 1, "monitor")],
};

const days = (seconds: number | null) => (seconds === null ? null : seconds / DAY);
const row = (one: Installed) =>
  [
    one.advisory,
    one.device,
    `${one.from}→${one.to ?? "open"}`,
    one.missing ?? String(days(one.seconds)),
  ].join(" ");

const metrics = suite("metrics");

metrics("the fleet above: share of devices patched", () => {
  assert.equal(measure(FLEET).patched, { devices: 10, patched: 2 });
});

metrics("the fleet above: from advisory to release", () => {
  const { offered, offeredSpread } = measure(FLEET);
  assert.equal(
    offered.map((o) => `${o.advisory} ${o.affected}→${o.fix} ${o.missing ?? days(o.seconds)}`),
    ["A 1.0→1.1 3", "B 1.0→1.2 7", "B 1.1→1.2 7", "C 1.2→1.3 fix-not-in-results"],
  );
  assert.equal(offeredSpread, { count: 3, least: 3 * DAY, median: 7 * DAY, p90: 7 * DAY, most: 7 * DAY });
});

metrics("the fleet above: from release to installation", () => {
  const { installed, installedSpread, open, missing } = measure(FLEET);
  assert.equal(installed.map(row), [
    "A d0 1.0→1.1 3",
    "A d1 1.0→1.1 8",
    "A d2 1.0→1.2 33",
    "A d3 1.0→open 52",
    "A d6 1.0→1.1 evidence-time-unknown",
    "A d7 1.0→open evidence-order-unknown",
    "B d0 1.1→1.2 5",
    "B d1 1.1→open 33",
    "B d2 1.0→1.2 14",
    "B d3 1.0→open 33",
    "B d4 1.1→open 33",
    "B d5 1.1→1.2 2",
    "B d6 1.1→open 33",
    "B d7 1.1→open 33",
    "C d0 1.2→open fix-not-in-results",
    "C d2 1.2→open fix-not-in-results",
    "C d5 1.2→open fix-not-in-results",
  ]);
  assert.equal(installedSpread, { count: 6, least: 2 * DAY, median: 5 * DAY, p90: 33 * DAY, most: 33 * DAY });
  assert.is(open, 10);
  assert.equal(missing, {
    "evidence-order-unknown": 1,
    "evidence-time-unknown": 1,
    "fix-not-in-results": 4,
  });
});

metrics("the bracket of an installation: after the last affected evidence, by the first mended one", () => {
  const [d0] = measure(FLEET).installed;
  assert.equal([d0?.after, d0?.by], [day(2), day(11)]);
});

metrics("the order of the inputs changes nothing", () => {
  const turned: Facts = {
    at: FLEET.at,
    devices: new Map([...FLEET.devices].reverse()),
    sightings: [...FLEET.sightings].reverse(),
    advisories: FLEET.advisories
      .map((a) => ({ ...a, affected: new Map([...a.affected].reverse()) }))
      .reverse(),
    releases: [...FLEET.releases].reverse(),
  };
  assert.is(JSON.stringify(measure(turned)), JSON.stringify(measure(FLEET)));
});

for (const [name, change, expected] of [
  [
    "a fix recorded before its advisory counts below zero",
    { advisories: [advisory("A", 10, [["1.0", "1.1"]], ["1.1"])] },
    "A 1.0→1.1 -2",
  ],
  [
    "an advisory that no ledger timed has no first duration",
    { advisories: [advisory("A", null, [["1.0", "1.1"]], ["1.1"])] },
    "A 1.0→1.1 advisory-time-unknown",
  ],
  [
    "an advisory that names no fix says so",
    { advisories: [advisory("A", 5, [["1.0", null]], ["1.1"])] },
    "A 1.0→null no-fix-named",
  ],
  ["a fix that no ledger timed says so", { releases: [release("1.1", null)] }, "A 1.0→1.1 fix-time-unknown"],
  [
    "a release of another product with the same number is no fix",
    { releases: [release("1.1", 8, "monitor")] },
    "A 1.0→1.1 fix-not-in-results",
  ],
] as const) {
  metrics(name, () => {
    const [first] = measure({ ...FLEET, ...change }).offered;
    assert.is(
      `${first?.advisory} ${first?.affected}→${first?.fix} ${first?.missing ?? days(first?.seconds ?? null)}`,
      expected,
    );
  });
}

metrics("a fleet without devices or advisories has no spreads and divides by nothing", () => {
  const none = measure({ at: 0, devices: new Map(), sightings: [], advisories: [], releases: [] });
  assert.equal(none.patched, { devices: 0, patched: 0 });
  assert.is(none.offeredSpread, null);
  assert.is(none.installedSpread, null);
});

metrics.run();
