// The published decisions on "is it patched", each as a real bundle, and the table that turns reason
// codes into words.
//
// Our advisories name images by digest, so a range of versions is turned into the
// images inside it, which is what a maker does when writing one.

import { appraise } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import type { Word } from "@vouch/shared/verdict";
import { wordOf, worst } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
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
    }[];
    readonly advisories: readonly {
      readonly id: string;
      readonly published: number;
      readonly ranges: readonly (readonly [string, string])[];
      readonly revokedDigests?: readonly string[];
    }[];
    readonly installed: { readonly version: string; readonly digest: string };
    readonly now: number;
    readonly attestedAt: number;
  };
  readonly expect: { readonly v: string };
}

const LEFT_OUT: Readonly<Record<string, string>> = {
  "verifier offline with an older advisory list than the anchored head":
    "verify keeps no memory of a newer head; how old a status may be is max-age",
  "withdrawn advisory": "no statement withdraws an advisory yet; approvers sign a status without it",
};

const WORDS: Readonly<Record<string, Word>> = {
  PATCHED: "patched",
  VULNERABLE: "vulnerable",
  STALE: "unproven",
  UNKNOWN_IMAGE: "refuted",
};

// Precedence of SemVer 2.0.0, as far as the rows need it: a pre-release comes before its release.
function isBefore(a: string, b: string): boolean {
  const [numbersA, numbersB] = [a, b].map((v) => v.split("-")[0]!.split(".").map(Number));
  for (let i = 0; i < 3; i++) if (numbersA![i] !== numbersB![i]) return numbersA![i]! < numbersB![i]!;
  return a.includes("-") && !b.includes("-");
}

/** The world of a row; its clock is ours moved so that `now` is NOW. */
function optionsOf({ input }: Row): WorldOptions {
  const { installed, releases, advisories, now } = input;
  const release = releases.find((r) => r.version === installed.version)!;
  return {
    versions: [installed.version],
    advisories: advisories.map(({ id, ranges, revokedDigests, published }) => ({
      id,
      affects:
        ranges.some(
          ([from, fixed]) => !isBefore(release.version, from) && isBefore(release.version, fixed),
        ) || revokedDigests?.includes(release.digest) === true,
      listed: published <= now,
      late: published > now,
      created: NOW - (now - published),
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
    const verdict = appraise({
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
