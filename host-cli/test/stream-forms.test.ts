// Which readings leave a stream, and CSV and SenML of them: what comes out is read again, by readers of others' examples.

import { readFileSync } from "node:fs";
import {
  type Channel,
  VALUE_NAN,
  VALUE_NEGATIVE_INFINITY,
  VALUE_NRES,
  VALUE_POSITIVE_INFINITY,
} from "@vouch/shared/readings";
import type { ReadingBlock } from "@vouch/shared/streamcheck";
import type { Timeline } from "@vouch/shared/streamtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { publishedBytes } from "../../shared/test/vectors";
import { CSV_COLUMNS, CsvWriter, field } from "../src/export/csv";
import { deviceUrn, SENML_CBOR, SENML_JSON, SenmlWriter } from "../src/export/senml";
import { bootKey, type Choice, Selector, type Stamp } from "../src/readings";
import {
  BOOT,
  blockOf,
  CHOICE,
  exportFhir,
  FACTS,
  GROUPS,
  type Json,
  MICROS,
  READINGS,
  resourcesOf,
  STREAM_ID,
  stamp,
  TICKS,
  timelineOf,
} from "./fhir-kit";
import { fhirIssues } from "./fhir-oracles";
import { brokenRules } from "./fhir-rules";
import { type Resolved, readSenmlCbor, readSenmlJson } from "./senml-reader";

type Sink = { piece(piece: never): void; end(): void };

function run<W extends Sink>(
  blocks: readonly ReadingBlock[],
  make: (out: (chunk: Uint8Array) => void) => W,
  choice: Choice = CHOICE,
  timeline: Timeline<Stamp> = timelineOf(stamp(TICKS, MICROS)),
) {
  const chunks: Uint8Array[] = [];
  const writer = make((chunk) => chunks.push(chunk));
  const selector = new Selector(timeline, choice);
  for (const block of blocks)
    for (const piece of selector.pieces(STREAM_ID, block)) writer.piece(piece as never);
  writer.end();
  return { bytes: Buffer.concat(chunks), writer, counts: selector.counts };
}

const LENIENT: Choice = { ...CHOICE, isStrict: false };
const csv = (blocks: readonly ReadingBlock[], choice = LENIENT, timeline?: Timeline<Stamp>) => {
  const { bytes, counts } = run(blocks, (out) => new CsvWriter(out), choice, timeline);
  const [head, ...lines] = bytes.toString("utf8").trimEnd().split("\r\n");
  assert.is(head, CSV_COLUMNS.join(","));
  return {
    rows: lines.map((line) => Object.fromEntries(line.split(",").map((cell, i) => [CSV_COLUMNS[i], cell]))),
    counts,
  };
};

const URN = deviceUrn(undefined, FACTS.proven.ueid);
const senml = (blocks: readonly ReadingBlock[], choice = CHOICE) => {
  const json = run(blocks, (out) => new SenmlWriter(URN, SENML_JSON, out), choice);
  const cbor = run(blocks, (out) => new SenmlWriter(URN, SENML_CBOR, out), choice);
  return { json, cbor, text: json.bytes.toString("utf8") };
};

const blocks = READINGS.map(([group, values], i) => blockOf(group, values, { groupIndex: i }));

// ---- What leaves, and what stays

const selection = suite("what leaves a stream");

selection("what nobody signed for stays, and is counted", () => {
  const tail = blockOf(GROUPS.spo2, [97, 98], { isProved: false });
  assert.equal(exportFhir([tail]).counts, { ...none, unproved: 2 });
  const { rows } = csv([tail], { ...LENIENT, takesUnproved: true });
  assert.equal(
    rows.map(({ proved, flags }) => [proved, flags]),
    [
      ["no", "unproved"],
      ["no", "unproved"],
    ],
  );
});

const none = { exported: 0, unproved: 0, timeless: 0, uncertain: 0, outside: 0, repeated: 0, lost: 0 };

selection("a boot that nobody timed is evidence and no Observation", () => {
  const earlier = blockOf(GROUPS.spo2, [97], {
    boot: { ...BOOT, bootcount: 3, bootseed: new Uint8Array(16) },
  });
  const { text, counts } = exportFhir([earlier]);
  assert.equal(counts, { ...none, timeless: 1 });
  assert.equal(
    resourcesOf(text).filter(({ resourceType }) => resourceType === "Observation"),
    [],
  );
  const { rows } = csv([earlier]);
  assert.equal([rows[0]?.time, rows[0]?.boot, rows[0]?.flags], ["", "3", "no-time"]);
});

selection("a time that is less sure than allowed is no clinical one", () => {
  const far = blockOf(GROUPS.spo2, [97], { ticks: TICKS + 3_600_000 }); // 1.8 s of drift
  assert.equal(exportFhir([far]).counts, { ...none, uncertain: 1 });
  assert.is(exportFhir([far], { choice: { ...CHOICE, maxUncertainty: 2e6 } }).counts.exported, 1);
  assert.is(csv([far]).rows[0]?.flags, "uncertain-time");
});

selection("a clock set back by an hour leaves no reading a clinical time", () => {
  const set = timelineOf(
    stamp(TICKS - 60_000, MICROS - 60e6),
    stamp(TICKS + 60_000, MICROS + 60e6 - 3600e6),
    stamp(TICKS + 120_000, MICROS + 120e6 - 3600e6),
  );
  const rows = blockOf(
    GROUPS.spo2,
    Array.from({ length: 120 }, () => 97),
  );
  assert.equal(exportFhir([rows], { timeline: set }).counts, { ...none, uncertain: 120 });
});

selection("ticks that go back tell nothing twice", () => {
  const first = blockOf(GROUPS.spo2, [91, 92, 93, 94]);
  const again = blockOf(GROUPS.spo2, [81, 82, 83], { ticks: TICKS + 2000, seq: 13 });
  const { text, counts } = exportFhir([first, again]);
  assert.equal(counts, { ...none, exported: 5, repeated: 2 });
  const values = [...text.matchAll(/"valueQuantity":\{"value":(\d\d),/g)].map(([, value]) => value);
  assert.equal(values, ["91", "92", "93", "94", "83"]);
  const elsewhere = blockOf(GROUPS.spo2, [70], { groupIndex: 1 });
  assert.is(exportFhir([first, elsewhere]).counts.exported, 5, "another group goes its own way");
});

selection("from is the first moment, to the first one after; a waveform is cut between samples", () => {
  const choice = { ...CHOICE, from: MICROS + 1e6, to: MICROS + 3e6 };
  const { counts } = exportFhir([blockOf(GROUPS.spo2, [90, 91, 92, 93, 94])], { choice });
  assert.equal(counts, { ...none, exported: 2, outside: 3 });
  const wave = blockOf(GROUPS.ecg, [0, 1, 2, 3, 4, 5]);
  const cut = exportFhir([wave], { choice: { ...CHOICE, from: MICROS + 4000, to: MICROS + 16_000 } });
  assert.match(cut.text, /"data":"1 2 3"/);
  assert.match(cut.text, /"effectiveDateTime":"2026-11-22T15:04:05.124\+00:00"/);
  assert.equal(cut.counts, { ...none, exported: 3, outside: 3 });
});

selection("two boots with the same ticks have readings of their own", () => {
  const other = { ...BOOT, bootcount: 5, bootseed: new Uint8Array(16) };
  const timeline = timelineOf(stamp(TICKS, MICROS));
  timeline.add(bootKey(other), stamp(TICKS, MICROS + 3600e6));
  const { text } = exportFhir(
    [blockOf(GROUPS.spo2, [97]), blockOf(GROUPS.spo2, [98], { boot: other, seq: 40 })],
    {
      timeline,
    },
  );
  const searches = [...text.matchAll(/"ifNoneExist":"([^"]*-150456-1234[^"]*)"/g)].map(
    ([, search]) => search,
  );
  assert.is(new Set(searches).size, 2);
});

selection("a waveform is as unsure as its last sample", () => {
  const slow = { ...GROUPS.ecg, period: 1000 };
  const wave = blockOf(slow, new Array(601).fill(1)); // ten minutes after the coincidence: 300 ms of drift
  assert.match(exportFhir([wave]).text, /"value":350000,"unit":"us"/);
  assert.equal(csv([wave]).rows[600]?.uncertainty_us, "350000");
  const strict = { ...CHOICE, maxUncertainty: 349_999 };
  assert.equal(exportFhir([wave], { choice: strict }).counts, { ...none, uncertain: 601 });
});

selection("rows that the device says it lost are counted, where they were asked for", () => {
  const gap = { seq: 13, epoch: 1, boot: BOOT, groupIndex: 0, ticks: TICKS + 5000, rows: 7, isProved: true };
  const lost = (choice: Partial<Choice>, change = {}) => {
    const selector = new Selector(timelineOf(stamp(TICKS, MICROS)), { ...CHOICE, ...choice });
    selector.gap({ ...gap, ...change });
    return selector.counts.lost;
  };
  assert.is(lost({}), 7);
  assert.is(lost({ from: MICROS + 5e6, to: MICROS + 6e6 }), 7);
  assert.is(lost({ from: MICROS + 6e6 }), 0);
  assert.is(lost({}, { isProved: false }), 0);
  assert.is(lost({ takesUnproved: true }, { isProved: false }), 7);
});

selection("a reading before --to is written as before it", () => {
  const timeline = timelineOf(stamp(TICKS, MICROS - 120_000 - 400)); // 400 µs before a full second
  const choice = { ...LENIENT, to: MICROS - 120_000 };
  const { rows } = csv([blockOf(GROUPS.spo2, [97])], choice, timeline);
  assert.is(rows[0]?.time, "2026-11-22T15:04:04.999+00:00");
  const { bytes } = run(
    [blockOf(GROUPS.spo2, [97])],
    (out) => new SenmlWriter(URN, SENML_JSON, out),
    choice,
    timeline,
  );
  assert.is(readSenmlJson(bytes.toString("utf8"))[0]?.t.toFixed(3), ((MICROS - 121_000) / 1e6).toFixed(3));
});

selection("what is exported of a span of time hides nothing of the whole, when both are uploaded", () => {
  const searches = (to: number | null) => {
    const blocks = [
      blockOf(GROUPS.ecg, [0, 1, 2, 3, 4, 5]),
      blockOf(GROUPS.spo2, [97, 98], { groupIndex: 1 }),
    ];
    const { text } = exportFhir(blocks, { choice: { ...CHOICE, to } });
    const entries = JSON.parse(text).entry as { fullUrl: string; resource: Json; request: Json }[];
    return new Map(
      entries.map(({ fullUrl, resource, request }) => [request.ifNoneExist, { fullUrl, resource }]),
    );
  };
  const whole = searches(null);
  for (const [search, { fullUrl, resource }] of searches(MICROS + 12_000)) {
    const same = whole.get(search);
    if (same === undefined) continue;
    assert.is(same.fullUrl, fullUrl);
    assert.equal(same.resource, resource);
  }
  // Cut at its beginning it begins elsewhere; cut at its end it says how long it is, as the guide's identifiers do.
  const cut = exportFhir([blockOf(GROUPS.ecg, [0, 1, 2, 3])], { choice: { ...CHOICE, to: MICROS + 12_000 } });
  assert.match(cut.text, /-131329-1234\.567\.\.0\.012-4\.0\.0"/);
});

selection("a coincidence that was recorded twice is one resource", () => {
  const twice = timelineOf(stamp(TICKS, MICROS), stamp(TICKS, MICROS));
  const before = blockOf(GROUPS.spo2, [97], { ticks: TICKS - 1000 });
  const { text } = exportFhir([before, blockOf(GROUPS.spo2, [97])], { timeline: twice });
  const urls = [...text.matchAll(/"fullUrl":"([^"]+)"/g)].map(([, url]) => url);
  assert.is(new Set(urls).size, urls.length);
});

// ---- Hostile

selection("an unknown code keeps its numbers, and nothing is guessed", () => {
  const channels = [{ code: 0xdeadbeef, unit: 0xfffffffe, exponent: 7 }];
  const odd = blockOf({ kind: 0, code: 0, period: 1, channels }, [8388605]);
  const made = resourcesOf(exportFhir([odd]).text).find(
    ({ valueQuantity, code }) => valueQuantity !== undefined && JSON.stringify(code).includes("3735928559"),
  )!;
  assert.equal(made.code, { coding: [{ system: "urn:iso:std:iso:11073:10101", code: "3735928559" }] });
  assert.equal(made.valueQuantity, {
    value: 83886050000000,
    system: "urn:iso:std:iso:11073:10101",
    code: "4294967294",
  });
  assert.equal((made.category as unknown[]).length, 1);
  assert.equal([...fhirIssues(made), ...brokenRules(made)], []);
  assert.is(csv([odd]).rows[0]?.value, "83886050000000");
  assert.is(senml([odd]).json.writer.unitless, 1);
});

selection("saturation in degrees is no saturation: no LOINC code, no profile of a vital sign", () => {
  const odd = blockOf({ ...GROUPS.spo2, channels: [{ code: 150456, unit: 268192, exponent: 0 }] }, [97]);
  const { text } = exportFhir([odd]);
  assert.not.match(text, /loinc|oxygensat|vital-signs/);
  assert.match(
    text,
    /"valueQuantity":\{"value":97,"unit":"C","system":"http:\/\/unitsofmeasure.org","code":"Cel"\}/,
  );
});

selection("a pressure with a part in another unit is no blood pressure", () => {
  const channels = GROUPS.bp.channels.map((channel, i) => (i === 1 ? { ...channel, unit: 262688 } : channel));
  const { text } = exportFhir([blockOf({ ...GROUPS.bp, channels }, [116, 71, 86])]);
  assert.not.match(text, /loinc|StructureDefinition\/bp/);
});

selection("a pressure without its diastolic part, or with two, claims no profile that asks for one", () => {
  const [systolic, diastolic, mean] = GROUPS.bp.channels as [Channel, Channel, Channel];
  for (const channels of [[systolic, mean], [systolic, diastolic, diastolic], [diastolic]]) {
    const odd = { ...GROUPS.bp, channels };
    const { text } = exportFhir([blockOf(odd, new Array(channels.length).fill(80))]);
    assert.match(text, /85354-9/);
    assert.not.match(text, /StructureDefinition\/bp"/);
  }
  assert.match(exportFhir([blockOf(GROUPS.bp, [116, 71, 86])]).text, /StructureDefinition\/bp"/);
});

selection("specials inside a compound and a waveform", () => {
  const bp = exportFhir([blockOf(GROUPS.bp, [116, VALUE_NAN, VALUE_NRES])]).text;
  assert.equal(
    [...bp.matchAll(/"code":"(not-a-number|error)"/g)].map(([, code]) => code),
    ["not-a-number", "error"],
  );
  const wave = blockOf(GROUPS.ecg, [1, VALUE_POSITIVE_INFINITY, VALUE_NEGATIVE_INFINITY, VALUE_NAN, -5]);
  const { text } = exportFhir([wave]);
  assert.match(text, /"data":"1 U L E -5"/);
  for (const resource of [...resourcesOf(bp), ...resourcesOf(text)])
    assert.equal([...fhirIssues(resource), ...brokenRules(resource)], []);
});

selection("a million rows pass in pieces, and a run has Provenances of a bounded length", () => {
  let held = 0;
  let most = 0;
  const group = GROUPS.spo2;
  const writer = new CsvWriter((chunk) => {
    most = Math.max(most, chunk.length);
    held += chunk.length;
  });
  const selector = new Selector(timelineOf(stamp(TICKS, MICROS)), LENIENT);
  for (let i = 0; i < 1000; i++) {
    const block = blockOf(group, new Array(1000).fill(97), { ticks: TICKS + i * 1_000_000, seq: 12 + i });
    for (const piece of selector.pieces(STREAM_ID, block)) writer.piece(piece);
  }
  writer.end();
  assert.is(writer.values, 1_000_000);
  assert.ok(most < 256 * 1024 && held > 1e8, `${most} of ${held}`);
  const many = Array.from({ length: 10 }, (_, i) =>
    blockOf(group, new Array(900).fill(97), { ticks: TICKS + i * 900_000, seq: 12 + i }),
  );
  const { text } = exportFhir(many, { choice: { ...CHOICE, maxUncertainty: 1e12 } });
  const targets = resourcesOf(text)
    .filter(({ resourceType }) => resourceType === "Provenance")
    .map(({ target }) => (target as unknown[]).length);
  assert.equal(targets, [4500, 4500]);
});

// ---- CSV

const table = suite("CSV");

table("a line for each value, to the digit, with all that is known of it", () => {
  const { rows } = csv(blocks);
  assert.is(rows.length, 3 + 1 + 1 + 3 + 16);
  assert.equal(rows[3], {
    time: "2026-11-22T15:04:05.120+00:00",
    uncertainty_us: "50000",
    boot: "4",
    ticks: "1234567",
    stream: "ab".repeat(16),
    frame: "12",
    row: "0",
    group: "3",
    code: "150364",
    name: "MDC_TEMP_BODY",
    value: "36.5",
    absent: "",
    unit: "Cel",
    unit_code: "268192",
    proved: "yes",
    flags: "",
  });
  assert.equal([rows[2]?.value, rows[2]?.absent], ["", "not-a-number"]);
  const wave = rows.slice(-16);
  assert.equal(
    wave.map(({ value }) => Number(value) * 1000),
    READINGS[6]![1],
  );
  assert.is(wave[15]?.time, "2026-11-22T15:04:05.180+00:00");
});

table("no cell begins a formula but a negative number", () => {
  for (const [text, cell] of [
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ['a"b,c', '"a""b,c"'],
    ["/min", "/min"],
  ] as const)
    assert.is(field(text), cell);
  const cells = csv(blocks).rows.flatMap((row) => Object.entries(row));
  for (const [column, cell] of cells)
    assert.not.match(String(cell), column === "value" ? /^[=+@\t\r]|^-(?!\d+(\.\d+)?$)/ : /^[=+\-@\t\r]/);
});

// ---- SenML

const senmlSuite = suite("SenML");

senmlSuite("the reader reads the RFC's examples, and resolves as it does", () => {
  const example = (name: string) => readFileSync(`shared/vectors/published/senml/${name}`, "utf8");
  for (let i = 1; i <= 7; i++) assert.ok(readSenmlJson(example(`ex${i}.json`)).length > 0, `example ${i}`);
  assert.equal(readSenmlJson(example("ex5.json")), JSON.parse(example("ex5.resolved.json")));
  const three = (records: Resolved[]) => records.map(({ v, ...rest }) => ({ ...rest, v: v?.toFixed(6) }));
  assert.equal(
    three(readSenmlCbor(publishedBytes("senml/ex3.cbor"))),
    three(readSenmlJson(example("ex3.json"))),
  );
  assert.throws(
    () => readSenmlJson('[{"n":"a","v":1,"vs":"b"}]'),
    (e: Error) => /2 values/.test(e.message),
  );
});

/** What a block says, as resolved SenML. */
const expected = (n: number, u: string, t: number, v: number) => ({ n: `${URN}${n}`, u, t, v });

senmlSuite("what is written is read back: names, units, times, and values to the digit", () => {
  const { json, cbor, text } = senml(blocks);
  const records = readSenmlJson(text);
  const t = MICROS / 1e6;
  assert.equal(records.slice(0, 4), [
    expected(150456, "/", t, 0.97),
    expected(149530, "beat/min", t, 62),
    { n: `${URN}149530`, t, vs: "not-a-number" },
    expected(150364, "Cel", t, 36.5),
  ]);
  assert.equal(
    records.slice(4).map((record) => Math.round(record.v! * 1e6)),
    READINGS[6]![1],
  );
  assert.is(records[19]?.u, "V");
  assert.is(records[19]?.t.toFixed(3), (t + 0.06).toFixed(3));
  assert.is(json.writer.unitless, 4, "mmHg and mg/dL have no unit there");
  assert.match(text, /"v":36\.5[,}]/);
  const rounded = (some: Resolved[]) => some.map((r) => ({ ...r, t: r.t.toFixed(3) }));
  assert.equal(rounded(readSenmlCbor(cbor.bytes)), rounded(records));
});

senmlSuite("digits stay: 36.50 is 36.50, and 97 % is 0.97", () => {
  const channel = { code: 150364, unit: 268192, exponent: -2 };
  const { text } = senml([blockOf({ ...GROUPS.temp, channels: [channel] }, [3650])]);
  assert.match(text, /"u":"Cel","v":36\.50\}/);
});

senmlSuite("what nobody signed for has another name", () => {
  const tail = blockOf(GROUPS.spo2, [97], { isProved: false });
  assert.is(senml([tail]).json.counts.exported, 0);
  const [record] = readSenmlJson(senml([tail], { ...CHOICE, takesUnproved: true }).text);
  assert.is(record?.n, `${URN}unproved:150456`);
});

senmlSuite("a device's name: by its EUI-64, else by its UEID", () => {
  assert.is(deviceUrn("FE-ED-AB-EE-DE-AD-77-C3", FACTS.proven.ueid), "urn:dev:mac:feedabeedead77c3:");
  assert.is(URN, `urn:dev:ueid:${Buffer.from(FACTS.proven.ueid).toString("base64url")}:`);
});

selection.run();
table.run();
senmlSuite.run();
