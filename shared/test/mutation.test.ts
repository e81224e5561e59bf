// A good bundle with one thing bent, dropped or exchanged is never `patched`. Exhaustive:
// every byte of the file, every byte of every member, every member dropped, every member
// exchanged with that of a bundle of another log, device or release. A reason always names the step
// that the member belongs to, and nothing but a verdict ever comes out.

import { appraise } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import { fromBase64, toBase64 } from "@vouch/shared/bytes";
import type { Claim, Verdict } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { settledCrypto as crypto } from "./settled";
import { makeWorld, NOW, type World } from "./world";

const test = suite("mutation");

type Json = null | string | Json[] | { [key: string]: Json };
type Path = readonly (string | number)[];

const encode = (json: Json) => new TextEncoder().encode(JSON.stringify(json));
const jsonOf = (bundle: Uint8Array): Json => JSON.parse(new TextDecoder().decode(bundle));

function verdictOf(world: World, bundle: Uint8Array): Verdict {
  return appraise({
    bundle,
    policy: world.policy,
    crypto,
    at: NOW,
    now: NOW,
    releaseOnly: false,
    images: world.images,
    handed: null,
  });
}

/** Every node below the root, parents before children. */
function* nodes(json: Json, path: Path = []): Generator<{ path: Path; value: Json }> {
  if (path.length > 0) yield { path, value: json };
  if (typeof json !== "object" || json === null) return;
  for (const [key, value] of Object.entries(json)) {
    yield* nodes(value, [...path, Array.isArray(json) ? Number(key) : key]);
  }
}

/** The value at `path`; undefined where the other bundle has no such member. */
function at(json: Json, path: Path): Json | undefined {
  return path.reduce<Json | undefined>(
    (node, key) => (node as Record<string | number, Json> | null)?.[key],
    json,
  );
}

/** A copy with the value at `path` changed, or without it. */
function changed(json: Json, path: Path, value: Json | undefined): Json {
  const [key, ...rest] = path;
  if (key === undefined) return value as Json;
  const copy: Json = Array.isArray(json) ? [...json] : { ...(json as { [key: string]: Json }) };
  const inner = (json as Record<string | number, Json>)[key]!;
  if (rest.length > 0) (copy as Record<string | number, Json>)[key] = changed(inner, rest, value);
  else if (value !== undefined) (copy as Record<string | number, Json>)[key] = value;
  else if (Array.isArray(copy)) copy.splice(key as number, 1);
  else delete copy[key];
  return copy;
}

// Which step a member belongs to. `bundle` is also right: there the form broke.
const OWNERS: readonly [RegExp, readonly Claim[]][] = [
  [/^release\.(index|proof)/, ["log"]],
  [/^release\.statement|^manifest/, ["release"]],
  [/^release$/, ["release", "log"]],
  [/^status|^consistency|^advisories/, ["advisories"]],
  [/^checkpoints\.\d+\.receipts/, ["ledger"]],
  [/^checkpoints/, ["log", "ledger", "evidence"]],
  [/^devices\.\d+\.(enrolment|salt|commitment)/, ["enrolment"]],
  [/^devices\.\d+\.(evidence|challenge|logged)/, ["evidence"]],
  [/^devices/, ["enrolment", "evidence"]],
  [/^version/, []],
];

function checkRefused(verdict: Verdict, path: Path, what: string): void {
  const name = path.join(".");
  assert.ok(["refuted", "unproven"].includes(verdict.word), `${what} ${name}: ${verdict.word}`);
  assert.ok(verdict.reasons.length > 0, `${what} ${name}: no reason`);
  const owner = OWNERS.find(([pattern]) => pattern.test(name))?.[1];
  assert.ok(owner !== undefined, `no owner for ${name}`);
  const named = verdict.reasons.some((r) => r.claim === "bundle" || owner.includes(r.claim));
  const found = verdict.reasons.map((r) => `${r.claim}:${r.code}`).join(" ");
  assert.ok(named, `${what} ${name}: expected a reason from ${owner.join(" or ")}, found ${found}`);
}

const unrelated = { id: "ACME-2026-2", affects: false, listed: true } as const;
const worlds: readonly [name: string, world: World][] = [
  ["t < n", makeWorld({ advisories: [unrelated], witnesses: 1 })],
  [
    "t = n",
    makeWorld({
      approve: "approve pump-400 3 engineering quality security",
      approvers: ["alice", "bob", "carol"],
    }),
  ],
];

for (const [name, world] of worlds) {
  const file = formatBundle(world.bundle);
  const json = jsonOf(file);

  test(`${name}: the bundle is patched as it is`, () => {
    assert.is(verdictOf(world, file).word, "patched");
  });

  test(`${name}: any byte of the file bent`, () => {
    for (let i = 0; i < file.length; i++) {
      const bent = file.slice();
      bent[i]! ^= 1 << (i % 7);
      const verdict = verdictOf(world, bent);
      assert.ok(["refuted", "unproven"].includes(verdict.word), `byte ${i}: ${verdict.word}`);
      assert.ok(verdict.reasons.length > 0, `byte ${i}: no reason`);
    }
  });

  test(`${name}: any byte of any member bent`, () => {
    for (const { path, value } of nodes(json)) {
      const bytes = typeof value === "string" && !/^[0-9]+$/.test(value) ? fromBase64(value) : null;
      if (bytes === null) continue;
      for (let i = 0; i < bytes.length; i++) {
        const bent = bytes.slice();
        bent[i]! ^= 0x80 >> (i % 8);
        const verdict = verdictOf(world, encode(changed(json, path, toBase64(bent))));
        checkRefused(verdict, path, `byte ${i} bent in`);
      }
    }
  });

  test(`${name}: any number off by one`, () => {
    for (const { path, value } of nodes(json)) {
      if (typeof value !== "string" || !/^[0-9]+$/.test(value)) continue;
      for (const other of [BigInt(value) + 1n, BigInt(value) - 1n, 2n ** 63n]) {
        checkRefused(verdictOf(world, encode(changed(json, path, String(other)))), path, `${other} in`);
      }
    }
  });

  test(`${name}: any member dropped`, () => {
    for (const { path } of nodes(json)) {
      const verdict = verdictOf(world, encode(changed(json, path, undefined)));
      assert.ok(["refuted", "unproven"].includes(verdict.word), `${path.join(".")} dropped: ${verdict.word}`);
    }
  });

  test(`${name}: any list or optional member emptied`, () => {
    for (const { path, value } of nodes(json)) {
      const empty = Array.isArray(value) ? [] : path.at(-1) === "logged" ? null : "";
      if (JSON.stringify(value) === JSON.stringify(empty)) continue;
      const verdict = verdictOf(world, encode(changed(json, path, empty)));
      assert.ok(["refuted", "unproven"].includes(verdict.word), `${path.join(".")} emptied: ${verdict.word}`);
    }
  });

  test(`${name}: any member of a list said twice`, () => {
    for (const { path, value } of nodes(json)) {
      if (!Array.isArray(value) || value.length === 0) continue;
      const twice = [...value, value[value.length - 1]!];
      const verdict = verdictOf(world, encode(changed(json, path, twice)));
      assert.ok(["refuted", "unproven"].includes(verdict.word), `${path.join(".")} twice: ${verdict.word}`);
    }
  });
}

test("more cosigners than asked for, a stranger among them: any byte of any note bent, any line dropped", () => {
  const world = makeWorld({ witnesses: 2, quorum: 1, strangers: 1 });
  const json = jsonOf(formatBundle(world.bundle));
  assert.is(verdictOf(world, encode(json)).word, "patched");
  world.bundle.checkpoints.forEach(({ note }, i) => {
    const path = ["checkpoints", i, "note"];
    const refused = (bytes: Uint8Array, what: string) =>
      checkRefused(verdictOf(world, encode(changed(json, path, toBase64(bytes)))), path, what);
    for (let at = 0; at < note.length; at++) {
      const bent = note.slice();
      bent[at]! ^= 0x80 >> (at % 8);
      refused(bent, `byte ${at} bent in`);
    }
    const lines = new TextDecoder().decode(note).split("\n");
    for (let at = 4; at < lines.length - 1; at++)
      refused(new TextEncoder().encode(lines.toSpliced(at, 1).join("\n")), `line ${at} dropped from`);
  });
});

const SWAPS: readonly [name: string, mine: World, other: World, allowed: readonly string[]][] = [
  ["another maker and log", makeWorld(), makeWorld({ seed: "zeta" }), []],
  ["a forked log of the same maker", makeWorld(), makeWorld({ statusCreated: 1_794_999_000 }), []],
  ["another device", makeWorld(), makeWorld({ device: "twin" }), []],
  ["another release", makeWorld(), makeWorld({ versions: ["2.5.0"] }), []],
  ["another product", makeWorld(), makeWorld({ product: "pump-500" }), []],
];

for (const [name, mine, other, allowed] of SWAPS) {
  test(`any member exchanged with that of ${name}`, () => {
    const [a, b] = [jsonOf(formatBundle(mine.bundle)), jsonOf(formatBundle(other.bundle))];
    for (const { path, value } of nodes(a)) {
      const theirs = at(b, path);
      if (theirs === undefined || JSON.stringify(theirs) === JSON.stringify(value)) continue;
      const verdict = verdictOf(mine, encode(changed(a, path, theirs)));
      if (allowed.includes(path.join("."))) continue;
      assert.ok(["refuted", "unproven"].includes(verdict.word), `${path.join(".")}: ${verdict.word}`);
    }
  });
}

test("inside one log, only whole devices of the same release can be exchanged", () => {
  // Two devices, both on 2.4.1, and one on 2.5.0; all in one log, so every proof is good in every bundle.
  const world = makeWorld({ versions: ["2.4.1", "2.4.1", "2.5.0"] });
  const [first, twin, newer] = world.bundles.map((bundle) => jsonOf(formatBundle(bundle)));
  const stayed = (a: Json, b: Json) =>
    [...nodes(a)]
      .filter(
        ({ path, value }) =>
          at(b, path) !== undefined && JSON.stringify(at(b, path)) !== JSON.stringify(value),
      )
      .filter(({ path }) => verdictOf(world, encode(changed(a, path, at(b, path)))).word === "patched")
      .map(({ path }) => path.join("."));
  // The twin's device is as good as the first one's.
  assert.equal(stayed(first!, twin!), ["devices", "devices.0"]);
  assert.equal(stayed(first!, newer!), []);
});

test("a bundle past the size limit is refused by name", () => {
  const verdict = verdictOf(worlds[0]![1], new Uint8Array(5 * 1024 * 1024));
  assert.equal(
    verdict.reasons.map((r) => r.code),
    ["too-large"],
  );
  assert.is(verdict.word, "unproven");
});

test.run();
