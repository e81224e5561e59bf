// The published decisions on "is it patched", each as a real bundle, and the table that turns reason
// codes into words.
//
// A row's advisories become statements as they are: ranges of versions, digests of images, deadline,
// withdrawal. Its releases become what the status says is newest of each line. Its clock is ours, moved.

import { formatBundle } from "@vouch/shared/bundle";
import { compareSemver, isPrerelease, majorOf } from "@vouch/shared/semver";
import { isoTime } from "@vouch/shared/time";
import type { Word } from "@vouch/shared/verdict";
import { wordOf, worst } from "@vouch/shared/verdict";
import { formatRange, unite } from "@vouch/shared/vers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { appraiseAlike } from "./alike";
import { publishedJson } from "./vectors";
import { LATE, makeWorld, NOW, T0, type WorldOptions } from "./world";

const test = suite("verdict");

interface Row {
  readonly name: string;
  readonly input: {
    readonly releases: readonly {
      readonly version: string;
      readonly digest: string;
      readonly status?: string;
      readonly channel: string;
    }[];
    readonly advisories: readonly {
      readonly id: string;
      readonly published: number;
      readonly ranges: readonly (readonly [string, string])[];
      readonly revokedDigests?: readonly string[];
      readonly deadline?: number;
      readonly status?: string;
    }[];
    readonly installed: { readonly version: string; readonly digest: string };
    readonly now: number;
    readonly attestedAt: number;
  };
  readonly expect: {
    readonly v: string;
    readonly newest?: string;
    readonly open?: readonly string[];
    readonly fixIn?: string | null;
    readonly overdue?: readonly string[];
  };
}

const LEFT_OUT: Readonly<Record<string, string>> = {
  "verifier offline with an older advisory list than the anchored head":
    "verify keeps no memory of a newer head; how old a status may be is max-age",
};

const WORDS: Readonly<Record<string, Word>> = {
  PATCHED: "patched",
  PATCHED_NOT_LATEST: "patched",
  VULNERABLE: "vulnerable",
  STALE: "unproven",
  UNKNOWN_IMAGE: "refuted",
};

/** Of the releases that aren't withdrawn, the newest stable one of each major version. */
function newestOf({ input }: Row): string[] {
  const stable = input.releases.filter((r) => r.status !== "revoked" && !isPrerelease(r.version));
  const lines = new Map<string, string>();
  for (const { version } of stable) {
    const before = lines.get(majorOf(version));
    if (before === undefined || compareSemver(before, version) < 0) lines.set(majorOf(version), version);
  }
  return [...lines.values()].sort(compareSemver);
}

/** The world of a row; its clock is ours moved so that `now` is NOW. */
function optionsOf(row: Row): WorldOptions {
  const { installed, releases, advisories, now } = row.input;
  const release = releases.find((r) => r.version === installed.version)!;
  const clock = (seconds: number) => NOW - (now - seconds);
  return {
    versions: [installed.version],
    newest: newestOf(row),
    advisories: advisories.map(({ id, ranges, revokedDigests, published, deadline, status }) => ({
      id,
      affects: revokedDigests?.includes(release.digest) === true,
      listed: published <= now,
      late: published > now,
      created: clock(published),
      ...(status === "withdrawn" ? { withdrawnBy: "approvers" as const } : {}),
      more: {
        fixedVersions: ranges.map(([, fixed]) => fixed),
        ...(ranges.length > 0 && {
          affected: formatRange(
            unite(
              ranges.map(([from, fixed]) => ({
                from: { version: from, included: true },
                to: { version: fixed, included: false },
              })),
            ),
          ),
        }),
        ...(deadline !== undefined && { deadline: isoTime(clock(deadline)) }),
      },
    })),
    ...(release.digest === installed.digest ? {} : { claims: { manifestDigest: new Uint8Array(32) } }),
  };
}

const rows = publishedJson("verdict/verdict.json") as readonly Row[];
let judged = 0;

for (const row of rows) {
  if (LEFT_OUT[row.name] !== undefined) continue;
  judged++;
  test(`${row.name}: ${row.expect.v}`, () => {
    const world = makeWorld(optionsOf(row));
    const age = row.input.now - row.input.attestedAt;
    const verdict = appraiseAlike({
      bundle: formatBundle(world.bundle),
      policy: world.policy,
      crypto: nodeCrypto,
      at: T0 + age,
      now: T0 + Math.max(age, 2 * LATE),
      releaseOnly: false,
      images: [],
      handed: null,
    });
    assert.is(verdict.word, WORDS[row.expect.v], verdict.reasons.map((r) => r.code).join());
    const { open, fixIn, overdue, newest, v } = row.expect;
    const flags = verdict.flags.map(({ code }) => code);
    assert.equal(
      verdict.advisories.map(({ id }) => id),
      open ?? [],
    );
    if (fixIn !== undefined) assert.is(verdict.advisories[0]?.fixIn, fixIn);
    if (overdue !== undefined) {
      const late = verdict.advisories.filter((a) => a.overdue).map(({ id }) => id);
      assert.equal(late, overdue);
      assert.is(flags.includes("OVERDUE"), overdue.length > 0);
    }
    assert.is(
      flags.includes("NOT_LATEST"),
      v === "PATCHED_NOT_LATEST" || (v === "VULNERABLE" && fixIn !== null),
    );
    if (v === "PATCHED_NOT_LATEST")
      assert.ok(verdict.flags.some(({ message }) => message.includes(`line is ${newest}`)));
  });
}

test("every row is judged or left out by name", () => {
  assert.is(rows.length, 10);
  assert.is(judged, rows.length - Object.keys(LEFT_OUT).length);
  for (const name of Object.keys(LEFT_OUT))
    assert.ok(
      rows.some((row) => row.name === name),
      name,
    );
});

test("a code that no table knows refutes", () => {
  assert.is(wordOf("some-new-code"), "refuted");
  assert.is(wordOf("malformed-bundle"), "refuted");
});

test("the worst word wins, whatever the order", () => {
  const order: Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched"];
  for (const [i, a] of order.entries()) {
    for (const [j, b] of order.entries()) assert.is(worst([a, b]), order[Math.min(i, j)]);
  }
});

test.run();
