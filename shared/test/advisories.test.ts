// Advisories: what one says of a release, which of several is in force, and what holds for any set of
// them: nothing that a status key alone signs ever makes a release look better.

import { formatBundle } from "@vouch/shared/bundle";
import type { Verdict, Word } from "@vouch/shared/verdict";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { type AdvisoryRecord, affectsNoLess, type Effect, effectOn, standings } from "../src/advisories";
import type { AdvisoryStatement } from "../src/statement";
import { isoTime } from "../src/time";
import { appraiseAlike } from "./alike";
import { type AdvisoryWish, LATE, makeWorld, NOW, T0, type World, type WorldOptions } from "./world";

const D1 = "11".repeat(32);
const D2 = "22".repeat(32);
const ADVISORY: AdvisoryStatement = {
  kind: "advisory",
  subjects: [],
  id: "A-1",
  product: "pump-400",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: [],
  summary: "s",
  created: "2026-01-15T09:00:00Z",
};
const RELEASE = { version: "2.4.1", subjects: [{ name: "app", sha256: D1 }] };
const BELOW_2_5 = "vers:semver/<2.5.0";
const NOT_AFFECTED = { status: "not_affected", justification: "component_not_present" } as const;

const effects = suite("effect");

for (const [name, more, effect] of [
  ["nothing named", {}, "none"],
  ["the image named", { subjects: [{ name: "x", sha256: D1 }] }, "affected"],
  ["another image", { subjects: [{ name: "app", sha256: D2 }] }, "none"],
  ["the version in range", { affected: BELOW_2_5 }, "affected"],
  ["the version beside the range", { affected: "vers:semver/>=2.5.0" }, "none"],
  [
    "in range, under investigation",
    { affected: BELOW_2_5, state: "under_investigation" },
    "under_investigation",
  ],
  [
    "in range, said to be fixed",
    { affected: BELOW_2_5, releases: [{ version: "2.4.1", status: "fixed" }] },
    "none",
  ],
  [
    "in range, not affected",
    { affected: BELOW_2_5, releases: [{ version: "2.4.1", ...NOT_AFFECTED }] },
    "none",
  ],
  [
    "another release not affected",
    { affected: BELOW_2_5, releases: [{ version: "2.4.0", ...NOT_AFFECTED }] },
    "affected",
  ],
  ["outside, said to be affected", { releases: [{ version: "2.4.1", status: "affected" }] }, "affected"],
  [
    "the image named outweighs what is said of its version",
    { subjects: [{ name: "app", sha256: D1 }], releases: [{ version: "2.4.1", ...NOT_AFFECTED }] },
    "affected",
  ],
  [
    "named under investigation, said to be affected: the worse",
    {
      state: "under_investigation",
      subjects: [{ name: "app", sha256: D1 }],
      releases: [{ version: "2.4.1", status: "affected" }],
    },
    "affected",
  ],
] as readonly [string, Partial<AdvisoryStatement>, Effect][])
  effects(`${name}: ${effect}`, () => assert.is(effectOn({ ...ADVISORY, ...more }, RELEASE), effect));

const BUILD = { ...RELEASE, version: "2.4.1+build.5" };
for (const [name, more, effect] of [
  ["the version affected", { releases: [{ version: "2.4.1", status: "affected" }] }, "affected"],
  [
    "the version under investigation, the range says worse",
    { affected: BELOW_2_5, releases: [{ version: "2.4.1", status: "under_investigation" }] },
    "affected",
  ],
  [
    "the version affected, this build fixed",
    {
      releases: [
        { version: "2.4.1", status: "affected" },
        { version: "2.4.1+build.5", status: "fixed" },
      ],
    },
    "none",
  ],
  ["another build affected", { releases: [{ version: "2.4.1+build.4", status: "affected" }] }, "none"],
  [
    "in range, the version fixed: another build than that",
    { affected: BELOW_2_5, releases: [{ version: "2.4.1", status: "fixed" }] },
    "affected",
  ],
] as readonly [string, Partial<AdvisoryStatement>, Effect][])
  effects(`a build; ${name}: ${effect}`, () => assert.is(effectOn({ ...ADVISORY, ...more }, BUILD), effect));
effects.run();

const properties = suite("advisories, whatever they are");

const version = fc.constantFrom(
  "1.0.0",
  "1.9.7",
  "2.0.0",
  "2.4.0-rc.1",
  "2.4.0",
  "2.4.1",
  "2.4.1+a",
  "2.4.1+b",
  "2.5.0",
  "3.0.0",
);
const affected = fc.constantFrom(
  "vers:semver/*",
  "vers:semver/<2.4.1",
  "vers:semver/>=2.0.0|<2.4.1",
  "vers:semver/>=2.0.0|<=2.4.1",
  "vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<2.5.0",
  "vers:semver/2.4.1",
);
const said = fc.oneof(
  fc.record({ version, status: fc.constantFrom("affected", "fixed", "under_investigation") }),
  version.map((v) => ({ version: v, ...NOT_AFFECTED })),
);
const subject = fc.constantFrom(D1, D2).map((sha256) => ({ name: "app", sha256 }));
const advisory = fc
  .record(
    {
      id: fc.constantFrom("A-1", "A-2"),
      subjects: fc.uniqueArray(subject, { maxLength: 2, selector: (s) => s.sha256 }),
      advisoryKind: fc.constantFrom("security", "recall", "field-safety-notice"),
      state: fc.constantFrom("affected", "affected", "under_investigation"),
      revision: fc.integer({ min: 2, max: 4 }),
      affected,
      deadline: fc.constantFrom("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
      releases: fc.uniqueArray(said, { maxLength: 2, selector: (s) => s.version }),
    },
    { requiredKeys: ["id", "subjects", "advisoryKind", "state"], noNullPrototype: true },
  )
  .map((more) => ({ ...ADVISORY, ...more }) as AdvisoryStatement);

type Draft = { statement: AdvisoryStatement; approved: boolean; withdrawn: boolean };
const draft: fc.Arbitrary<Draft> = fc.record({
  statement: advisory,
  approved: fc.boolean(),
  withdrawn: fc.boolean(),
});

const digestOf = (index: number) => index.toString(16).padStart(64, "0");

/** The records in the order of the log, each withdrawal right after what it takes back. */
function logged(drafts: readonly Draft[]): AdvisoryRecord[] {
  const records: AdvisoryRecord[] = [];
  const add = (statement: AdvisoryRecord["statement"], mayTakeBack: boolean) => {
    const index = records.length;
    records.push({ statement, index: BigInt(index), sha256: digestOf(index), mayTakeBack });
    return digestOf(index);
  };
  for (const { statement, approved, withdrawn } of drafts) {
    const sha256 = add(statement, approved);
    const { id, product, created } = statement;
    if (withdrawn)
      add({ kind: "advisory-withdrawal", records: [sha256], id, product, reason: "r", created }, approved);
  }
  return records;
}

/** How bad it is for the release: 0 for no advisory that counts, up to 3 for a recall. */
function badness(records: readonly AdvisoryRecord[], release = RELEASE): number {
  const counting = standings(records).filter(({ standing }) => standing.kind === "in-force");
  const each = counting.map(({ record: { statement } }) => {
    const effect = effectOn(statement, release);
    if (effect !== "affected") return effect === "none" ? 0 : 1;
    return statement.advisoryKind === "recall" ? 3 : 2;
  });
  return Math.max(0, ...each);
}

const drafts = fc.array(draft, { maxLength: 6 });
const release = version.map((v) => ({ ...RELEASE, version: v }));

properties("one more advisory by a status key makes no release better off", () => {
  fc.assert(
    fc.property(drafts, advisory, release, (before, statement, about) => {
      const more = [...before, { statement, approved: false, withdrawn: false }];
      assert.ok(badness(logged(more), about) >= badness(logged(before), about));
    }),
    { numRuns: 3000 },
  );
});

properties("nor does one of a new id, whoever signs it, or a withdrawal by a status key", () => {
  fc.assert(
    fc.property(drafts, advisory, release, (before, statement, about) => {
      const was = badness(logged(before), about);
      const fresh = { statement: { ...statement, id: "A-9" }, approved: true, withdrawn: false };
      assert.ok(badness(logged([...before, fresh]), about) >= was);
      const idle = before.map((d) => (d.approved ? d : { ...d, withdrawn: true }));
      const without = before.map((d) => (d.approved ? d : { ...d, withdrawn: false }));
      assert.is(badness(logged(idle), about), badness(logged(without), about));
    }),
    { numRuns: 2000 },
  );
});

properties("the order in which records are handed over changes nothing", () => {
  const shuffled = drafts.chain((all) => {
    const records = logged(all);
    return fc.tuple(fc.constant(records), fc.shuffledSubarray(records, { minLength: records.length }));
  });
  fc.assert(
    fc.property(shuffled, ([records, other]) => {
      assert.equal(standings(other), standings(records));
    }),
    { numRuns: 1000 },
  );
});

properties("an advisory that affects no less says for each release at least what the other says", () => {
  let seen = 0;
  fc.assert(
    fc.property(advisory, advisory, release, (later, earlier, about) => {
      if (!affectsNoLess(later, earlier)) return;
      seen++;
      const order: Effect[] = ["none", "under_investigation", "affected"];
      assert.ok(order.indexOf(effectOn(later, about)) >= order.indexOf(effectOn(earlier, about)));
    }),
    { numRuns: 5000 },
  );
  assert.ok(seen > 50, `${seen} pairs`);
});

properties("approvers narrow by a higher revision and take back by name; nothing else does", () => {
  const wide = { statement: { ...ADVISORY, affected: "vers:semver/*" }, approved: false, withdrawn: false };
  const narrow = { ...ADVISORY, affected: "vers:semver/<2.0.0" };
  const after = (statement: AdvisoryStatement, approved: boolean) =>
    badness(logged([wide, { statement, approved, withdrawn: false }]));
  assert.is(badness(logged([wide])), 2);
  assert.is(after({ ...narrow, revision: 2 }, true), 0);
  assert.is(after({ ...narrow, revision: 2 }, false), 2);
  assert.is(after(narrow, true), 2);
  assert.is(badness(logged([{ ...wide, withdrawn: true }])), 2);
  assert.is(badness(logged([{ ...wide, approved: true, withdrawn: true }])), 0);
});
properties.run();

const bundles = suite("advisories in bundles");

function ask(world: World, at = NOW, now = at): Verdict {
  return appraiseAlike({
    ...{ bundle: formatBundle(world.bundle), policy: world.policy, crypto: nodeCrypto, at, now },
    ...{ releaseOnly: false, images: world.images, handed: null },
  });
}

const ranged: AdvisoryWish = { id: "A-1", affects: false, listed: true, more: { affected: BELOW_2_5 } };
const weaker = { affected: "vers:semver/<2.0.0", revision: 2 };
const update: AdvisoryWish = { id: "A-1", affects: false, listed: false, more: weaker };

for (const [name, word, code, options] of [
  ["a range that holds the release's version", "vulnerable", "advisory-in-force", { advisories: [ranged] }],
  [
    "a range beside it",
    "patched",
    "",
    { advisories: [{ ...ranged, more: { affected: "vers:semver/>=2.5.0" } }] },
  ],
  [
    "a release that the maker says isn't affected",
    "patched",
    "",
    {
      advisories: [
        { ...ranged, more: { affected: BELOW_2_5, releases: [{ version: "2.4.1", ...NOT_AFFECTED }] } },
      ],
    },
  ],
  ["a weaker update by a status key", "vulnerable", "advisory-in-force", { advisories: [ranged, update] }],
  [
    "a weaker update by the approvers",
    "patched",
    "",
    { advisories: [ranged, { ...update, approved: true }] },
  ],
  [
    "a weaker update by the approvers, of no higher revision",
    "vulnerable",
    "advisory-in-force",
    { advisories: [ranged, { ...update, approved: true, more: { affected: weaker.affected } }] },
  ],
  ["a withdrawal by the approvers", "patched", "", { advisories: [{ ...ranged, withdrawnBy: "approvers" }] }],
  [
    "a withdrawal by a status key",
    "vulnerable",
    "advisory-in-force",
    { advisories: [{ ...ranged, withdrawnBy: "status" }] },
  ],
  ["a recall by range", "recalled", "advisory-recall", { advisories: [{ ...ranged, kind: "recall" }] }],
  [
    "an update that says more, and its first form",
    "recalled",
    "advisory-recall",
    { advisories: [ranged, { ...update, kind: "recall", more: { affected: BELOW_2_5, revision: 2 } }] },
  ],
] as readonly [string, Word, string, WorldOptions][])
  bundles(`${name}: ${word}`, () => {
    const verdict = ask(makeWorld(options));
    assert.is(verdict.reasons.map((r) => r.code).join(), code);
    assert.is(verdict.word, word);
  });

bundles("before its withdrawal was anchored the advisory is still in force", () => {
  const options = { advisories: [{ ...ranged, withdrawnBy: "approvers", withdrawnLate: true } as const] };
  const world = makeWorld(options);
  const before = ask(world, NOW, NOW + 2 * LATE);
  assert.is(before.word, "vulnerable");
  assert.ok(before.notes.some((note) => note.includes("isn't shown to be from before")));
  const after = ask(world, NOW + 2 * LATE);
  assert.is(after.word, "patched");
  assert.ok(after.notes.includes('advisory A-1 was withdrawn: "it was another pump"'), after.notes.join());
});

bundles("a withdrawal bent in any byte, moved, or with one signature less takes nothing back", () => {
  const world = makeWorld({ advisories: [{ ...ranged, withdrawnBy: "approvers" }] });
  assert.is(ask(world).word, "patched");
  const [advisory, withdrawal] = world.bundle.advisories;
  const withRecord = (change: Partial<typeof withdrawal>) =>
    ask({ ...world, bundle: { ...world.bundle, advisories: [advisory!, { ...withdrawal!, ...change }] } });
  for (let at = 0; at < withdrawal!.statement.length; at += 7) {
    const bent = withdrawal!.statement.slice();
    bent[at]! ^= 1 << (at % 7);
    assert.is.not(withRecord({ statement: bent }).word, "patched", `byte ${at}`);
  }
  assert.is.not(withRecord({ index: withdrawal!.index - 1n }).word, "patched");
  const text = new TextDecoder().decode(withdrawal!.statement);
  const one = text.replace(/,\{"keyid"[^}]*\}\]/, "]");
  assert.is.not(one, text);
  assert.is.not(withRecord({ statement: new TextEncoder().encode(one) }).word, "patched");
  assert.is(ask({ ...world, bundle: { ...world.bundle, advisories: [advisory!] } }).word, "vulnerable");
});

bundles("the verdict names the advisory, its severity, what mends it and whether that is overdue", () => {
  const more = {
    affected: BELOW_2_5,
    aliases: ["CVE-2026-1234"],
    cvss: ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"],
    fixedVersions: ["1.9.8", "3.0.0", "2.5.0"],
    deadline: "2026-01-01T00:00:00Z",
    class: "out-of-cycle" as const,
  };
  const verdict = ask(makeWorld({ advisories: [{ ...ranged, more }] }));
  assert.match(verdict.reasons[0]!.message, /^advisory A-1 \(CVE-2026-1234, CVSS 9\.8 critical\) affects/);
  assert.equal(verdict.advisories, [
    {
      ...{ id: "A-1", revision: 1, aliases: ["CVE-2026-1234"], kind: "security", effect: "affected" },
      ...{ cvss: more.cvss, class: "out-of-cycle", deadline: more.deadline, overdue: true, fixIn: "2.5.0" },
      ...{ created: isoTime(T0 - 600), recorded: T0 },
    },
  ]);
  assert.equal(
    verdict.flags.map(({ code }) => code),
    ["OVERDUE"],
  );
});

bundles("flags stand beside the verdict and don't change it", () => {
  const open = ask(
    makeWorld({ claims: { dbgstat: 0 }, supportEnds: "2025-12-31", newest: ["1.9.9", "2.4.2"] }),
  );
  assert.is(open.word, "patched");
  assert.equal(
    open.flags.map(({ code, device }) => [code, device !== null]),
    [
      ["END_OF_SUPPORT", false],
      ["NOT_LATEST", false],
      ["DEBUG_OPEN", true],
    ],
  );
  const day = "2026-11-18";
  const last = Date.parse(`${day}T23:59:59Z`) / 1000; // T0 is on that day
  const world = makeWorld({ supportEnds: day, newest: ["1.9.9", "2.4.1", "3.0.0"] });
  assert.equal(ask(world, last, last).flags, []);
  assert.is(ask(world, last + 1, last + 1).flags[0]?.code, "END_OF_SUPPORT");
});

// Whole bundles, signed for real: few, since each costs a world.
const wish: fc.Arbitrary<AdvisoryWish> = fc.record(
  {
    id: fc.constantFrom("A-1", "A-2"),
    affects: fc.boolean(),
    listed: fc.constant(false),
    approved: fc.boolean(),
    withdrawnBy: fc.constantFrom("status" as const, "approvers" as const),
    more: fc.record(
      { affected, revision: fc.integer({ min: 2, max: 3 }) },
      { requiredKeys: [], noNullPrototype: true },
    ),
  },
  { requiredKeys: ["id", "affects", "listed"], noNullPrototype: true },
);
const ORDER: readonly Word[] = ["patched", "unproven", "vulnerable", "recalled", "refuted"];

bundles(
  "for whole bundles: more advisories, other orders, no newest release, an old or absent source",
  () => {
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 3 }), wish, (wishes, extra) => {
        const options: WorldOptions = { advisories: wishes, newest: ["2.4.2"] };
        const world = makeWorld(options);
        const { word } = ask(world);
        const { approved: _a, withdrawnBy: _w, ...byStatusKey } = extra;
        const more = ask(makeWorld({ ...options, advisories: [...wishes, byStatusKey] }));
        assert.ok(ORDER.indexOf(more.word) >= ORDER.indexOf(word), `${word}, then ${more.word}`);
        assert.is(ask(makeWorld({ advisories: wishes })).word, word, "without a newest release");
        const { advisories } = world.bundle;
        const turned = ask({ ...world, bundle: { ...world.bundle, advisories: [...advisories].reverse() } });
        assert.is(turned.word, word, "advisories turned round");
        assert.equal(turned.advisories, ask(world).advisories);
        assert.is.not(ask(world, NOW + 31 * LATE, NOW + 31 * LATE).word, "patched", "a stale source");
        const unreachable = makeWorld({
          ...options,
          receipts: () => [{ kind: "rebased", proof: new Uint8Array(9) }],
        });
        assert.is.not(ask(unreachable).word, "patched", "a ledger that says nothing");
      }),
      { numRuns: 4 },
    );
  },
);
bundles.run();
