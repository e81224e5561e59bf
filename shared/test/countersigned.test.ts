// What a policy wants countersigned: real keys of ML-DSA-65 in front of a real bundle. A demand is an AND: without its
// countersignature nothing is patched, and with it nothing is that wasn't.

import { readFileSync } from "node:fs";
import { openGrounds } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import { concatBytes, utf8Encode } from "@vouch/shared/bytes";
import {
  type Covered,
  contextOf,
  formatCountersignature,
  parseCountersignature,
  releaseMessage,
} from "@vouch/shared/countersignature";
import { keyidOf } from "@vouch/shared/dsse";
import { earOf } from "@vouch/shared/ear";
import { mldsaPublicKey, signMldsa, verifyMldsa } from "@vouch/shared/mldsa";
import { formatMldsaKey, makeMldsaKey } from "@vouch/shared/mldsakey";
import { parsePolicy } from "@vouch/shared/policy";
import { parseRenewed } from "@vouch/shared/renewal";
import { isoTime } from "@vouch/shared/time";
import { Findings, type Verdict } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { appraiseAlike } from "./alike";
import { rememberingCrypto } from "./remembering";
import { content, first, linesOf, renewed, second, world, YEAR } from "./renewal-kit";
import { counting, refusal } from "./vectors";
import { makeWorld, NOW, T0 } from "./world";

const crypto = rememberingCrypto();
const LF = Uint8Array.of(10);

function signerOf(name: string) {
  const seed = crypto.sha256(utf8Encode(name));
  const key = makeMldsaKey(`${name}.example/pq`, mldsaPublicKey(seed), crypto);
  const keyid = keyidOf(key.publicKey, crypto);
  const line = (of: Covered, message: Uint8Array, context: Covered = of) => {
    const signature = signMldsa(seed, message, contextOf(context), counting(32));
    return formatCountersignature({ of, algorithm: "ml-dsa-65", keyid, signature });
  };
  return { name, key, keyid, line };
}
type Countersigner = ReturnType<typeof signerOf>;
const [maker, keeper, stranger] = ["maker", "keeper", "stranger"].map(signerOf) as [
  Countersigner,
  Countersigner,
  Countersigner,
];

const inFront = (line: Uint8Array, file: Uint8Array) => concatBytes([line, LF, file]);
const message = releaseMessage(world.bundle.release.statement);
const ofRelease = (by: Countersigner, file: Uint8Array) => inFront(by.line("release", message), file);
const ofBundle = (by: Countersigner, file: Uint8Array) => inFront(by.line("bundle", file), file);

const NAMED = [maker, keeper].map(({ name, key }) => `countersigner ${name} ${formatMldsaKey(key)}`);
const RELEASE = "countersigned release maker";
const BUNDLE = "countersigned bundle keeper";
const RENEWALS = "countersigned renewals keeper";
const ends = ({ key }: Countersigner, time: number) => `distrust ${formatMldsaKey(key)} ${isoTime(time)}`;

function policyOf(lines: readonly string[], text = world.policyText) {
  return parsePolicy(
    utf8Encode([text.trimEnd(), ...linesOf(first), ...linesOf(second), ...lines, ""].join("\n")),
    crypto,
  );
}

function ask(
  file: Uint8Array,
  lines: readonly string[],
  verify: typeof verifyMldsa | undefined = verifyMldsa,
) {
  return appraiseAlike({
    bundle: file,
    policy: policyOf(lines),
    crypto,
    at: NOW,
    now: T0 + 11 * YEAR,
    releaseOnly: false,
    images: world.images,
    handed: null,
    mldsa: verify,
  });
}
const codesOf = ({ reasons }: Verdict) => reasons.map(({ code }) => code);

const signed = ofRelease(maker, content);
const both = ofBundle(keeper, signed);
const once = renewed(content, first, T0 + 10 * YEAR);
const other = makeWorld({ device: "other" });

const test = suite("countersigned");

test("with all that the policy demands it is patched, and the verdict names who countersigned what", () => {
  const verdict = ask(both, [...NAMED, RELEASE, BUNDLE, RENEWALS]);
  assert.is(verdict.word, "patched", JSON.stringify(verdict.reasons));
  assert.equal(verdict.countersignatures, [
    { of: "bundle", by: "keeper", algorithm: "ml-dsa-65", keyid: keeper.keyid },
    { of: "release", by: "maker", algorithm: "ml-dsa-65", keyid: maker.keyid },
  ]);
  const { vouch } = earOf(verdict, NOW, "test") as { vouch: { countersignatures: unknown } };
  assert.equal(vouch.countersignatures, verdict.countersignatures);
  const steps = verdict.steps.filter(({ claim }) => claim === "countersign");
  assert.equal(
    steps.map(({ holds, text }) => [holds, text]),
    [
      [
        true,
        `the bundle, ${signed.length} bytes, by keeper with ml-dsa-65 key ${keeper.keyid.slice(0, 16)}…`,
      ],
      [true, `the release, by maker with ml-dsa-65 key ${maker.keyid.slice(0, 16)}…`],
    ],
  );
  assert.match(steps[1]!.explain[0]!, /context vouch\/countersignature\/release\/v1/);
});

const bent = (line: Uint8Array) => {
  const read = parseCountersignature(line);
  return formatCountersignature({ ...read, signature: read.signature.fill(0xaa, 100, 101) });
};
const headOf = (file: Uint8Array) => file.subarray(0, file.indexOf(10));
const ALL_ENDED = world.policyText
  .split("\n")
  .flatMap((line) => /^(?:approver|vendor|status|enroller|ledger) .*?(\S+\+\S+)$/.exec(line)?.[1] ?? [])
  .map((vkey) => `distrust ${vkey} ${isoTime(T0 + YEAR)}`);

for (const [name, file, lines, word, code] of [
  ["nothing is demanded and nothing there", content, [], "patched"],
  ["a key is named, and nothing there", content, NAMED, "patched"],
  ["named keys countersigned, and nobody asked", both, NAMED, "patched"],
  ["the release isn't countersigned", content, [...NAMED, RELEASE], "unproven", "countersignature-missing"],
  ["the bundle isn't", content, [...NAMED, BUNDLE], "unproven", "countersignature-missing"],
  ["the bundle isn't, the release is", signed, [...NAMED, BUNDLE], "unproven", "countersignature-missing"],
  [
    "the release isn't, the bundle is",
    ofBundle(maker, content),
    [...NAMED, RELEASE],
    "unproven",
    "countersignature-missing",
  ],
  [
    "another named key did",
    ofRelease(keeper, content),
    [...NAMED, RELEASE],
    "unproven",
    "countersignature-missing",
  ],
  [
    "a key that nobody names did",
    ofRelease(stranger, content),
    [...NAMED, RELEASE],
    "unproven",
    "countersignature-missing",
  ],
  ["a key that nobody names did, and nobody asked", ofRelease(stranger, content), NAMED, "patched"],
  ["… badly, and nobody asked", inFront(bent(stranger.line("bundle", content)), content), NAMED, "patched"],
  ["… beside the demanded one", ofBundle(stranger, signed), [...NAMED, RELEASE], "patched"],
  [
    "two keys are demanded and one is there",
    both,
    [...NAMED, RELEASE, "countersigned release keeper"],
    "unproven",
    "countersignature-missing",
  ],
  [
    "the release's is bent",
    inFront(bent(headOf(signed)), content),
    [...NAMED, RELEASE],
    "refuted",
    "bad-countersignature",
  ],
  ["… and nobody asked", inFront(bent(headOf(signed)), content), NAMED, "refuted", "bad-countersignature"],
  [
    "the bundle's is bent",
    inFront(bent(headOf(both)), signed),
    [...NAMED, BUNDLE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "the bundle's is of other bytes",
    inFront(headOf(both), content),
    [...NAMED, BUNDLE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "a line was put behind the bundle's",
    inFront(headOf(both), ofRelease(stranger, signed)),
    [...NAMED, BUNDLE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "the release's is of another release",
    inFront(
      maker.line("release", releaseMessage(makeWorld({ versions: ["2.4.0"] }).bundle.release.statement)),
      content,
    ),
    [...NAMED, RELEASE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "the release's was made as a bundle's",
    inFront(maker.line("release", message, "bundle"), content),
    [...NAMED, RELEASE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "the bundle's was made as a release's",
    inFront(keeper.line("bundle", content, "release"), content),
    [...NAMED, BUNDLE],
    "refuted",
    "bad-countersignature",
  ],
  [
    "it is renewed, and countersigned in front",
    ofBundle(keeper, once),
    [...NAMED, BUNDLE, RENEWALS],
    "patched",
  ],
  [
    "it is renewed, and countersigned behind",
    renewed(ofBundle(keeper, content), first, T0 + 10 * YEAR),
    [...NAMED, BUNDLE],
    "patched",
  ],
  [
    "… when renewals are to be",
    renewed(ofBundle(keeper, content), first, T0 + 10 * YEAR),
    [...NAMED, RENEWALS],
    "unproven",
    "countersignature-missing",
  ],
  ["renewals are to be, and there is none", content, [...NAMED, RENEWALS], "patched"],
  [
    "the key ended before now",
    ofBundle(keeper, content),
    [...NAMED, BUNDLE, ends(keeper, T0 + 10 * YEAR)],
    "unproven",
    "countersignature-missing",
  ],
  [
    "the key ended after the renewal in front",
    renewed(ofBundle(keeper, content), first, T0 + 9 * YEAR),
    [...NAMED, BUNDLE, ends(keeper, T0 + 10 * YEAR)],
    "patched",
  ],
  [
    "the key ended before the renewal in front",
    renewed(ofBundle(keeper, content), first, T0 + 10 * YEAR),
    [...NAMED, BUNDLE, ends(keeper, T0 + 9 * YEAR)],
    "unproven",
    "countersignature-missing",
  ],
  [
    "every Ed25519 key has ended",
    both,
    [...NAMED, RELEASE, BUNDLE, ...ALL_ENDED],
    "unproven",
    "unknown-signer",
  ],
] as const) {
  test(`${name}: ${word}${code === undefined ? "" : `, ${code}`}`, () => {
    const verdict = ask(file, lines);
    assert.is(verdict.word, word, JSON.stringify(verdict.reasons));
    if (code === undefined) assert.equal(codesOf(verdict), []);
    else assert.ok(codesOf(verdict).includes(code), JSON.stringify(verdict.reasons));
  });
}

test("a line by a key that nobody names is told in a note", () => {
  const { notes, countersignatures } = ask(ofRelease(stranger, content), NAMED);
  assert.ok(notes.some((note) => note.includes(stranger.keyid.slice(0, 16))));
  assert.is(countersignatures, undefined);
});

// Of worlds that aren't patched: countersigning all of it changes no word.
for (const [name, made, word] of [
  [
    "an advisory is in force",
    makeWorld({ advisories: [{ id: "ACME-1", affects: true, listed: true }] }),
    "vulnerable",
  ],
  ["one approver is missing", makeWorld({ approvers: ["alice"] }), "unproven"],
] as const)
  test(`all is countersigned, and ${name}: ${word}`, () => {
    const file = formatBundle(made.bundle);
    const line = maker.line("release", releaseMessage(made.bundle.release.statement));
    const question = { crypto, at: NOW, now: NOW, releaseOnly: false, images: made.images, handed: null };
    const bare = appraiseAlike({ ...question, bundle: file, policy: policyOf([], made.policyText) });
    assert.is(bare.word, word, JSON.stringify(bare.reasons));
    const policy = policyOf([...NAMED, RELEASE, BUNDLE], made.policyText);
    const bundle = ofBundle(keeper, inFront(line, file));
    const verdict = appraiseAlike({ ...question, bundle, policy, mldsa: verifyMldsa });
    assert.equal([verdict.word, codesOf(verdict)], [word, codesOf(bare)]);
    assert.is(verdict.countersignatures?.length, 2);
  });

test("ML-DSA isn't asked, nor loaded, where no line is by a key of the policy", () => {
  const never = () => {
    throw new Error("it was asked");
  };
  for (const file of [content, once, ofRelease(stranger, content), ofBundle(stranger, content)])
    assert.is(ask(file, NAMED, never).word, "patched");
});

test("without anything that verifies ML-DSA, a named key's line is unproven, another's is passed over", () => {
  const without = (file: Uint8Array) =>
    appraiseAlike({
      ...{ bundle: file, policy: policyOf(NAMED), crypto, at: NOW, now: NOW },
      ...{ releaseOnly: false, images: world.images, handed: null },
    });
  for (const file of [signed, ofBundle(keeper, content)]) {
    assert.is(without(file).word, "unproven");
    assert.equal(codesOf(without(file)), ["unsupported-algorithm"]);
  }
  assert.is(without(ofBundle(stranger, content)).word, "patched");
});

test("where nobody took the file apart, no demand is met", () => {
  const out = new Findings();
  const policy = policyOf([...NAMED, RELEASE, BUNDLE, RENEWALS]);
  const question = { policy, crypto, at: NOW, now: NOW, releaseOnly: true, images: [], mldsa: verifyMldsa };
  openGrounds(world.bundle, question, out);
  assert.equal(
    out.reasons.map(({ code }) => code),
    Array.from({ length: 3 }, () => "countersignature-missing"),
  );
});

const text = new TextDecoder().decode(headOf(signed));
for (const [name, line, code] of [
  ["of a later version", text.replace("/v1", "/v2"), "unsupported-version"],
  ["of no version", text.replace("/v1", "/vI"), "malformed-countersignature"],
  ["of another algorithm", text.replace("ml-dsa-65", "ml-dsa-87"), "unsupported-algorithm"],
  ["of no algorithm", text.replace("ml-dsa-65", ""), "malformed-countersignature"],
  ["of something else", text.replace('"release"', '"advisory"'), "malformed-countersignature"],
  [
    "with a key id in capitals",
    text.replace(maker.keyid, maker.keyid.toUpperCase()),
    "malformed-countersignature",
  ],
  ["with a signature cut short", text.replace(/....","?\}$|....("\})$/, "$1"), "malformed-countersignature"],
  ["with a key more", text.replace(/\}$/, ',"time":1}'), "malformed-countersignature"],
  ["with white space", text.replace('"of":', '"of": '), "not-canonical-json"],
  [
    "with its keys in another order",
    text.replace(/("of":"release"),("algorithm":"ml-dsa-65")/, "$2,$1"),
    "not-canonical-json",
  ],
  ["that is no JSON", text.slice(0, -1), "malformed-json"],
  ["of 9 KiB", `${text}${" ".repeat(5000)}`, "too-large"],
] as const) {
  test(`refuses a countersignature ${name}: ${code}`, () => {
    assert.throws(() => parseCountersignature(utf8Encode(line)), refusal(code));
    const verdict = ask(inFront(utf8Encode(line), content), []);
    assert.ok(["refuted", "unproven"].includes(verdict.word));
    assert.ok(codesOf(verdict).includes(code), JSON.stringify(verdict.reasons));
  });
}

test("refuses a line that stands alone, and more than sixteen", () => {
  assert.throws(() => parseRenewed(headOf(signed)), refusal("malformed-countersignature"));
  const many = Array.from({ length: 17 }).reduce<Uint8Array>(
    (file) => inFront(headOf(signed), file),
    content,
  );
  assert.throws(() => parseRenewed(many), refusal("too-large"));
  assert.is(parseRenewed(many.subarray(headOf(signed).length + 1)).layers.length, 16);
});

test("whatever byte of a demanded line is bent, it isn't patched; dropped, neither", () => {
  const words = new Set<string>();
  const length = both.length - content.length;
  for (let at = 0; at < length; at += at < 220 ? 5 : 131) {
    const mutant = both.slice();
    mutant[at]! ^= 1 << (at % 7);
    const { word } = ask(mutant, [...NAMED, RELEASE, BUNDLE]);
    assert.is.not(word, "patched", `byte ${at}`);
    words.add(word);
  }
  assert.equal([...words].sort(), ["refuted", "unproven"]);
});

test("the page shows the maker's countersignature of this release", () => {
  const page = readFileSync("shared/spec/countersignature.md", "utf8");
  const [, shown = ""] = /^```json\n(.*?)^```$/ms.exec(page) ?? [];
  assert.is(shown.replace(/\n */g, ""), new TextDecoder().decode(headOf(signed)));
});

test("of another world's lines none is of use here", () => {
  const foreign = formatBundle(other.bundle);
  const lines = [...NAMED, BUNDLE];
  assert.is(ask(inFront(headOf(ofBundle(keeper, foreign)), content), lines).word, "refuted");
});

test.run();
