// The exporter against resources written by hand after the Personal Health Device guide: given the same facts it writes the
// same, field for field, but for what is listed here with its reason. Both oracles and our own rules agree; each of them is
// shown a fault first.

import { readFileSync } from "node:fs";
import { absentReason, decimalText } from "@vouch/shared/decimal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { publishedJson } from "../../shared/test/vectors";
import { blockOf, exportFhir, type Json, READINGS, resourcesOf } from "./fhir-kit";
import { fhirIssues, medplumIssues } from "./fhir-oracles";
import { brokenBundle, brokenRules } from "./fhir-rules";

const vector = (name: string) => publishedJson<Json>(`fhir/${name}.json`);

// ---- What is written otherwise than in the vectors, and why

const ID =
  "ids are the server's: entries are created if none has their identifier, and name each other by fullUrl";
const SUFFIX =
  "ticks begin anew with each boot: without boot, group and channel a reading would hide another one";
const UNSURE = "how sure the time is stands with it";
const DIFFERENCES: Record<string, readonly (readonly [path: RegExp, why: string])[]> = {
  "device-phd": [
    [/^id$/, ID],
    [/^udiCarrier\.0\.jurisdiction$/, "no label says under whose rules it was printed"],
    [/^udiCarrier\.0\.entryType$/, "it was typed: manual"],
  ],
  "device-phg": [[/^id$/, ID]],
  "devicemetric-spo2": [
    [/^id$/, ID],
    [/^source\.reference$/, ID],
    [/^identifier$/, "without one a repeated upload would double it"],
  ],
  "obs-coincident-time": [
    [/^id$/, ID],
    [/^(subject|device)\.reference$/, ID],
    [/^identifier$/, "without one a repeated upload would double it"],
    [/^extension$/, UNSURE],
  ],
  reading: [
    [/^id$/, ID],
    [/^device\.reference$/, ID],
    [/^extension\.[01]\.valueReference\.reference$/, ID],
    [/^extension\.2$/, UNSURE],
    [/^identifier\.0\.value$/, SUFFIX],
  ],
  "obs-pulse-nan": [[/^code\.text$/, "the text is the code's, whatever the value"]],
  "obs-ecg": [
    [
      /^valueSampledData\.factor$/,
      "a stream's exponent is a power of ten: 5 µV steps are told in steps of 1 µV",
    ],
    [/^valueSampledData\.data$/, "the same curve in those steps"],
    [/^valueSampledData\.(lower|upper)Limit$/, "numbers have 24 bits, less five that mean something else"],
  ],
  provenance: [
    [/^id$/, ID],
    [/^target/, "the Observations of this run of frames"],
    [/^recorded$/, "the frame was signed then; when it was exported is no matter of the record"],
    [/^agent\.[01]\.who\.reference$/, ID],
    [/^agent\.0\.onBehalfOf$/, "a stream doesn't name its maker's Organization"],
    [/^entity\.0\.what/, "the frames themselves; the ledger's record comes last"],
    [/^entity\.[123]$/, "the boot's evidence, its image, and then the ledger's record"],
    [/^signature\.0\.who\.reference$/, ID],
    [
      /^signature\.0\.(targetFormat|sigFormat|data)$/,
      "the device signs frames and not JSON: the signed frame is the signature",
    ],
  ],
};

/** Paths where two values differ. */
function differences(a: unknown, b: unknown, path = ""): string[] {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null)
    return Object.is(a, b) ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => {
    const at = path === "" ? key : `${path}.${key}`;
    if (!(key in a) || !(key in b)) return [at];
    return differences((a as Json)[key], (b as Json)[key], at);
  });
}

/** Every difference is explained, and every explanation explains one. */
function sameBut(name: string, ours: Json, lists: readonly string[]): void {
  const allowed = lists.flatMap((each) => DIFFERENCES[each] ?? []);
  const found = differences(ours, vector(name));
  const unexplained = found.filter((path) => !allowed.some(([known]) => known.test(path)));
  assert.equal(unexplained, [], `${name}: ${unexplained.join(", ")}`);
  for (const [known, why] of allowed)
    assert.ok(
      found.some((path) => known.test(path)),
      `${name}: ${why}`,
    );
}

const blocks = READINGS.map(([group, values], i) => blockOf(group, values, { groupIndex: i }));
const { text } = exportFhir(blocks);
const bundle = JSON.parse(text) as Json;
const resources = resourcesOf(text);
const byType = (type: string) => resources.filter(({ resourceType }) => resourceType === type);
const [coincidence, ...observations] = byType("Observation");
const NAMES = ["obs-spo2", "obs-pulse", "obs-pulse-nan", "obs-temp", "obs-glucose", "obs-bp", "obs-ecg"];

const fhir = suite("FHIR, as others write it");

fhir("devices, the metric, the coincidence and the Provenance are the vectors'", () => {
  const [phd, phg] = byType("Device");
  sameBut("device-phd", phd!, ["device-phd"]);
  sameBut("device-phg", phg!, ["device-phg"]);
  sameBut("devicemetric-spo2", byType("DeviceMetric")[0]!, ["devicemetric-spo2"]);
  sameBut("obs-coincident-time", coincidence!, ["obs-coincident-time"]);
  sameBut("provenance", byType("Provenance")[0]!, ["provenance"]);
});

for (const [i, name] of NAMES.entries())
  fhir(`${name} is the vector's`, () => sameBut(name, observations[i]!, ["reading", name]));

fhir("identifiers begin as the guide makes them, and the curve of the ECG is the vector's", () => {
  const value = (resource: Json) => (resource.identifier as { value: string }[])[0]!.value;
  for (const [i, name] of NAMES.entries())
    assert.is(value(observations[i]!).replace(/-4\.\d\.0$/, ""), value(vector(name)), name);
  const curve = (resource: Json) => {
    const { data, factor } = resource.valueSampledData as { data: string; factor: number };
    return data.split(" ").map((step) => Math.round(Number(step) * factor * 1e6));
  };
  assert.equal(curve(observations[6]!), curve(vector("obs-ecg")));
});

fhir("the search of a conditional create is the vector's, but for the suffix", () => {
  const entry = (of: Json, at: (search: string) => boolean) =>
    (of.entry as { request: { ifNoneExist?: string } }[]).find(({ request }) => at(request.ifNoneExist ?? ""))
      ?.request.ifNoneExist;
  const wanted = entry(vector("bundle-transaction"), (search) => search.includes("-150456-1234."));
  const ours = entry(bundle, (search) => search.includes("-150456-1234."));
  assert.is(ours?.replace(/-4\.0\.0$/, ""), wanted);
});

fhir("what is said again is the same to the byte", () => {
  assert.is(exportFhir(blocks).text, text);
});

// ---- Decimals

interface MderRow {
  hex: string;
  fhir: string;
}
const mder = publishedJson<{
  float: MderRow[];
  sfloat: MderRow[];
  special: Record<string, Record<string, string>>;
}>("mder/mder-vectors.json");
/** An IEEE 11073 number taken apart: the exponent's bits in front. */
function parts(hex: string, exponentBits: number, bits: number) {
  const value = BigInt(hex);
  const mantissaBits = bits - exponentBits;
  return {
    exponent: Number(BigInt.asIntN(exponentBits, value >> BigInt(mantissaBits))),
    mantissa: Number(BigInt.asIntN(mantissaBits, value)),
  };
}

fhir("FLOAT and SFLOAT keep their digits: 19 rows", () => {
  const rows = [
    ...mder.float.map((row) => [row, parts(row.hex, 8, 32)] as const),
    ...mder.sfloat.map((row) => [row, parts(row.hex, 4, 16)] as const),
  ];
  assert.is(rows.length, 19);
  for (const [row, { mantissa, exponent }] of rows) {
    assert.is(decimalText(mantissa, exponent), row.fhir, row.hex);
    const group = { kind: 0, code: 0, period: 1000, channels: [{ code: 150364, unit: 268192, exponent }] };
    assert.ok(
      exportFhir([blockOf(group, [mantissa])]).text.includes(`"valueQuantity":{"value":${row.fhir},`),
      row.hex,
    );
  }
});

fhir(
  "a compound whose parts are another's, or whose code is no compound's, is called by its number alone",
  () => {
    const [bp] = READINGS.flatMap(([group]) => (group.code === 150020 ? [group] : []));
    const parts = [
      { code: 150456, unit: 262688, exponent: 0 },
      { code: 149530, unit: 264864, exponent: 0 },
    ];
    for (const group of [
      { ...bp!, channels: parts },
      { ...bp!, channels: [bp!.channels[0]!, parts[1]!] },
      { ...bp!, code: 150456 },
      { ...bp!, code: 150456, channels: parts },
    ]) {
      const { text } = exportFhir([
        blockOf(
          group,
          group.channels.map(() => 90),
        ),
      ]);
      const made = resourcesOf(text).find(({ component }) => component !== undefined)!;
      const label = `${group.code} of ${group.channels.map(({ code }) => code).join()}`;
      const { coding } = made["code"] as { coding: { code: string }[] };
      assert.equal(
        coding.map(({ code }) => code),
        [String(group.code)],
        label,
      );
      assert.not.match(
        JSON.stringify(made["meta"]),
        /hl7\.org\/fhir\/StructureDefinition\/(bp|oxygensat)/,
        label,
      );
      assert.not.match(JSON.stringify(made["category"]), /vital-signs/, label);
    }
  },
);

fhir("numbers that are none say why, and have no value", () => {
  for (const [hex, reason] of Object.entries(mder.special.float!)) {
    const { mantissa } = parts(hex, 8, 32);
    assert.is(absentReason(mantissa), reason, hex);
    const [, made] = resourcesOf(exportFhir([blockOf(READINGS[0]![0], [mantissa])]).text).filter(
      ({ resourceType }) => resourceType === "Observation",
    );
    assert.is((made!.dataAbsentReason as { coding: { code: string }[] }).coding[0]?.code, reason);
    assert.not("valueQuantity" in made!);
  }
});

// ---- Oracles, each shown a fault first

/** A copy with one thing changed. */
function spoilt(resource: Json, change: (copy: Json) => void): Json {
  const copy = structuredClone(resource);
  change(copy);
  return copy;
}

fhir("`fhir` sees a status that isn't one", () => {
  assert.equal(fhirIssues(observations[0]!), []);
  const bad = spoilt(observations[0]!, (copy) => (copy.status = "finale"));
  assert.match(fhirIssues(bad).join(), /status/);
});

fhir("medplum sees a missing code, a broken invariant, and a vital sign in no category of its own", () => {
  assert.equal(medplumIssues(observations[0]!), []);
  const gone = spoilt(observations[0]!, (copy) => delete copy.code);
  assert.match(medplumIssues(gone).join(), /[Mm]issing required property.*code/);
  const both = spoilt(observations[0]!, (copy) => (copy.dataAbsentReason = { text: "and a value" }));
  assert.match(medplumIssues(both).join(), /obs-6/);
  const uncategorised = spoilt(observations[0]!, (copy) => (copy.category as Json[]).shift());
  assert.match(medplumIssues(uncategorised).join(), /VSCat/);
});

fhir("both oracles take every resource, and the bundle", () => {
  for (const resource of [...resources, bundle]) {
    const name = `${resource.resourceType} ${JSON.stringify(resource.code ?? resource.id ?? "").slice(0, 90)}`;
    assert.equal(fhirIssues(resource), [], name);
    assert.equal(medplumIssues(resource), [], name);
  }
});

// What both take. Each fault is shown to pass them, so that the rules stay needed.
const FAULTS: readonly (readonly [string, number, (copy: Json) => void, RegExp])[] = [
  ["two values", 0, (copy) => (copy.valueString = "97"), /valueQuantity and valueString/],
  ["a wrong unit", 0, (copy) => ((copy.valueQuantity as Json).code = "/min"), /2708-6 in \/min/],
  ["coulomb for Celsius", 3, (copy) => ((copy.valueQuantity as Json).code = "C"), /8310-5 in C/],
  [
    "samples parted by two spaces",
    6,
    (copy) => ((copy.valueSampledData as Json).data = "1  2"),
    /parted by single spaces/,
  ],
  ["no gateway", 4, (copy) => (copy.extension as Json[]).shift(), /0 gateways/],
  ["not of the guide's category", 4, (copy) => (copy.category as Json[]).pop(), /no category phd/],
];

for (const [fault, at, change, expected] of FAULTS)
  fhir(`our rules find what both oracles miss: ${fault}`, () => {
    assert.equal(brokenRules(observations[at]!), []);
    const bad = spoilt(observations[at]!, change);
    assert.match(brokenRules(bad).join("; "), expected);
    assert.equal(fhirIssues(bad), [], "`fhir` has learnt it");
    assert.equal(
      medplumIssues(bad).filter((issue) => !issue.includes("valueString")),
      [],
      "medplum has learnt it",
    );
  });

fhir("our rules take every resource, and find names that lead nowhere or name two things", () => {
  for (const resource of resources) assert.equal(brokenRules(resource), []);
  assert.equal(brokenBundle(bundle), []);
  const dangling = spoilt(bundle, (copy) => (copy.entry as Json[]).shift());
  assert.match(brokenBundle(dangling).join(), /names nothing/);
  const twice = spoilt(bundle, (copy) => (copy.entry as Json[]).push((copy.entry as Json[])[0]!));
  assert.match(brokenBundle(twice).join(), /names several/);
});

fhir("the vectors themselves pass oracles and rules", () => {
  for (const name of NAMES) {
    assert.equal(brokenRules(vector(name)), [], name);
    assert.equal([...fhirIssues(vector(name)), ...medplumIssues(vector(name))], [], name);
  }
});

fhir("NDJSON has the same resources with ids, and relative references", () => {
  const lines = exportFhir(blocks, { isLines: true })
    .text.trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.is(lines.length, resources.length);
  const ids = new Set(lines.map(({ resourceType, id }) => `${resourceType}/${id}`));
  assert.is(ids.size, lines.length);
  for (const line of lines) {
    for (const [, reference] of JSON.stringify(line).matchAll(/"reference":"((?!Patient\/)[^"]*)"/g))
      assert.ok(ids.has(reference!), reference);
    assert.equal([...fhirIssues(line), ...medplumIssues(line), ...brokenRules(line)], []);
  }
});

fhir("the page of the format shows what is written", () => {
  const page = readFileSync("shared/spec/fhir-export.md", "utf8");
  const [example = ""] = /(?<=```json\n)[\s\S]*?(?=\n```)/.exec(page) ?? [];
  assert.equal(JSON.parse(example), observations[0]);
});

fhir.run();
