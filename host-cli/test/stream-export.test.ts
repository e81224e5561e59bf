// `vouch stream export` over recordings in files: what comes out is what two validators take, and what was read; what is refuted
// or changed leaves nothing behind.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { formatReader } from "@vouch/shared/readerkey";
import { streamMessage } from "@vouch/shared/stream";
import { StreamChecker } from "@vouch/shared/streamcheck";
import { parseFrame } from "@vouch/shared/streamread";
import { encodeFrameItem, encodeVstreamHead } from "@vouch/shared/vstream";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceKey, StreamMaker } from "../../shared/test/stream-kit";
import { refusal } from "../../shared/test/vectors";
import { anchorsOf, defineExport } from "../src/commands/stream-export";
import { ExportFacts } from "../src/commands/stream-facts";
import { defineGrant } from "../src/commands/stream-grant";
import { exportAgain } from "../src/commands/stream-passes";
import { nodeCrypto } from "../src/crypto";
import { EXIT, statusOf } from "../src/exit";
import { createKey } from "../src/keys";
import type { Piece } from "../src/readings";
import { readRecording } from "../src/streamfile";
import { CHOICE, type Json, keyOf, resourcesOf } from "./fhir-kit";
import { fhirIssues, medplumIssues } from "./fhir-oracles";
import { brokenBundle, brokenRules } from "./fhir-rules";
import { type MemoryIo, memoryIo } from "./memory-io";
import { readSenmlCbor, readSenmlJson } from "./senml-reader";
import { DEVICE_VKEY, RECORDER, RECORDER_VKEY, Recording } from "./stream-sample";

const folder = mkdtempSync(join(tmpdir(), "vouch-export-"));
const at = (name: string) => join(folder, name);

async function run(...args: string[]): Promise<MemoryIo> {
  const io = memoryIo();
  const program = new Command("vouch").exitOverride().configureOutput({ writeErr: () => {} });
  program.hook("preAction", (_, action) => {
    io.json = action.optsWithGlobals().json === true;
  });
  defineExport(program, io);
  await program.parseAsync(["export", ...args], { from: "user" });
  return io;
}

/** The Refusal that ends it. */
async function refused(code: string, ...args: string[]): Promise<Error> {
  try {
    await run(...args);
  } catch (error) {
    assert.ok(refusal(code)(error as Error), String(error));
    return error as Error;
  }
  throw new Error(`exported, expected ${code}`);
}

const PATIENT = ["--patient", "Patient/7f3a"];
const KEYS = ["--device-key", DEVICE_VKEY, "--recorder-key", RECORDER_VKEY];

const write = (name: string, bytes: Uint8Array) => {
  writeFileSync(at(name), bytes);
  return at(name);
};

let good = "";
let files: string[] = [];

const exports = suite("stream export");

exports.before(() => {
  good = write("good.vstream", new Recording().seconds(60).timed().seconds(60).timed().closed());
});
exports.before.each(() => {
  files = readdirSync(folder);
});
exports.after(() => rmSync(folder, { recursive: true, force: true }));

exports("a transaction that both oracles and our rules take, whole, for its owner alone", async () => {
  const io = await run(good, "--fhir", ...PATIENT, ...KEYS, "-o", at("out.json"));
  assert.is(io.exitCode, EXIT.done, io.err());
  assert.is(io.out(), "");
  assert.match(io.err(), /^vouch: 120 readings exported$/m);
  assert.is(statSync(at("out.json")).mode & 0o777, 0o600);
  const text = readFileSync(at("out.json"), "utf8");
  const bundle = JSON.parse(text) as Json;
  assert.equal(brokenBundle(bundle), []);
  const resources = resourcesOf(text);
  assert.equal(Object.keys(count(resources)), ["Device", "DeviceMetric", "Observation", "Provenance"]);
  assert.is(count(resources).Observation, 2 * 120 + 2);
  for (const resource of resources) assert.equal(brokenRules(resource), []);
  assert.equal(fhirIssues(bundle), []);
  for (const resource of [...resources.slice(0, 20), ...resources.slice(-4)])
    assert.equal(medplumIssues(resource), []);
});

const count = (resources: readonly Json[]) => {
  const counts: Record<string, number> = {};
  for (const { resourceType } of resources)
    counts[String(resourceType)] = (counts[String(resourceType)] ?? 0) + 1;
  return counts;
};

exports(
  "each proved reading is the target of one Provenance, signed by the frame that binds it",
  async () => {
    const { out } = await run(good, "--fhir", ...PATIENT, ...KEYS);
    const { entry } = JSON.parse(out()) as { entry: { fullUrl: string; resource: Json }[] };
    const readings = entry.filter(({ resource }) =>
      JSON.stringify(resource.identifier ?? "").includes("PhdBaseObservation"),
    );
    const targets = entry.flatMap(({ resource }) =>
      resource.resourceType === "Provenance" ? (resource.target as { reference: string }[]) : [],
    );
    assert.equal(
      targets.map(({ reference }) => reference).sort(),
      readings.map(({ fullUrl }) => fullUrl).sort(),
    );
    const [provenance] = entry.filter(({ resource }) => resource.resourceType === "Provenance");
    const { data } = (provenance!.resource.signature as { data: string }[])[0]!;
    const frame = Buffer.from(data, "base64");
    assert.ok(readFileSync(good).includes(frame), "the frame is the recording's");
    assert.is(frame[1], 4, "a checkpoint");
    // From the export alone: the key of the Device, over the frame in the Provenance.
    const did = /"did:key:z([1-9A-Za-z]+)"/.exec(out())?.[1] ?? "";
    const { unsigned, signature } = parseFrame(frame);
    assert.ok(nodeCrypto.verifyEd25519(keyOf(did), streamMessage(unsigned), signature!));
  },
);

exports("the same recording gives the same bytes", async () => {
  const first = await run(good, "--fhir", "--ndjson", ...PATIENT, ...KEYS);
  assert.is((await run(good, "--fhir", "--ndjson", ...PATIENT, ...KEYS)).out(), first.out());
});

exports("CSV and SenML have the same values", async () => {
  const csv = (await run(good, "--csv", ...KEYS)).out().trimEnd().split("\r\n").slice(1);
  assert.is(csv.length, 240);
  const senml = readSenmlJson((await run(good, "--senml", ...KEYS)).out());
  const cbor = readSenmlCbor((await run(good, "--senml", "--cbor", ...KEYS, "-o", "-")).outBytes());
  assert.is(cbor.length, 240);
  csv.forEach((line, i) => {
    const cells = line.split(",");
    const ratio = cells[8] === "150456" ? 100 : 1;
    assert.ok(Math.abs(Number(cells[10]) - (senml[i]!.v ?? 0) * ratio) < 1e-9, line);
    assert.is(new Date(senml[i]!.t * 1000).toISOString().slice(0, -1), cells[0]!.slice(0, -6));
    assert.ok(Math.abs(cbor[i]!.t - senml[i]!.t) < 1e-6);
  });
});

exports("what is refuted is not exported in any form, and nothing is left behind", async () => {
  const bytes = readFileSync(good);
  for (const [name, bent] of [
    ["bent", Buffer.from(bytes.map((byte, i) => (i === 600 ? byte ^ 1 : byte)))],
    ["cut", Buffer.concat([bytes.subarray(0, 400), bytes.subarray(500)])],
  ] as const) {
    const file = write(`${name}.vstream`, bent);
    files = readdirSync(folder);
    for (const form of [["--fhir", ...PATIENT], ["--csv"], ["--senml"]]) {
      const error = await refused("stream-refuted", file, ...form, ...KEYS, "-o", at("never"));
      assert.is(statusOf(error), EXIT.refuted);
    }
    assert.equal(readdirSync(folder), files);
  }
});

exports("another device's key, a recorder nobody named, and a stream without end", async () => {
  await refused("stream-refuted", good, "--csv", "--device-key", RECORDER_VKEY);
  const error = await refused("no-readings", good, "--fhir", ...PATIENT, "--device-key", DEVICE_VKEY);
  assert.match((error as { hint?: string }).hint ?? "", /--recorder-key/);
  const untimed = (await run(good, "--csv", "--device-key", DEVICE_VKEY)).out();
  assert.match(untimed, /^,,7,5000,/m);
  const open = write("open.vstream", new Recording().seconds(85).timed().bytes());
  const io = await run(open, "--fhir", ...PATIENT, ...KEYS);
  assert.is(io.exitCode, EXIT.done);
  assert.is(count(resourcesOf(io.out())).Observation, 161);
  assert.match(
    (await run(open, "--csv", ...KEYS)).err(),
    /^vouch: 5 left out, bound by no signed frame \[unproved\]$/m,
  );
});

exports("the unsigned tail goes out with --unproved, marked, and never as FHIR", async () => {
  const open = at("open.vstream");
  const { out } = await run(open, "--csv", "--unproved", ...KEYS);
  assert.is(out().match(/,no,unproved\r$/gm)?.length, 10);
  const senml = readSenmlJson((await run(open, "--senml", "--unproved", ...KEYS)).out());
  assert.is(senml.filter(({ n }) => n.includes(":unproved:")).length, 10);
  await refused("usage", open, "--fhir", "--unproved", ...PATIENT, ...KEYS);
});

exports("what somebody wrote between a named recorder's times moves no reading, marked or not", async () => {
  const liar = deviceKey(55);
  const late = { by: liar, uncertainty: 1 };
  const moved = () => new Recording().timed().seconds(20).timed(3600e6, late).seconds(20).timed();
  const file = write("moved.vstream", moved().closed());
  const right = write("right.vstream", new Recording().timed().seconds(40).timed().closed());
  const lines = async (path: string, ...more: string[]) => (await run(path, "--csv", ...KEYS, ...more)).out();
  const times = (text: string) => text.split("\r\n").map((line) => line.split(",", 4).join());
  assert.equal(times(await lines(file, "--unproved")), times(await lines(right)));
  assert.not.match(await lines(file, "--unproved"), /unnamed-recorder/);
  // Where nobody else timed them, they are marked, in each form.
  const alone = write("alone.vstream", new Recording().timed(0, late).seconds(20).closed());
  assert.is((await lines(alone, "--unproved")).match(/,yes,unnamed-recorder\r$/gm)?.length, 40);
  const senml = readSenmlJson((await run(alone, "--senml", "--unproved", ...KEYS)).out());
  assert.ok(senml.length === 40 && senml.every(({ n }) => n.includes(":unproved:")));
});

exports("what nobody asked about is said, and how much of it wasn't opened", async () => {
  const owner = createKey(null, "x25519");
  writeFileSync(at("first.key"), owner.pem, { mode: 0o600 });
  const recording = new Recording(owner.publicKey).timed().seconds(80);
  recording.maker.keyload([createKey(null, "x25519").publicKey]);
  const file = write("revoked.vstream", recording.seconds(80).timed().closed());
  const { err } = await run(file, "--csv", ...KEYS, "--reader-key", at("first.key"));
  assert.match(err(), /^vouch: 80 readings exported, 160 values$/m);
  assert.match(err(), /^vouch: not judged: 8 masked frames weren't opened$/m);
  assert.match(err(), /^vouch: not judged: what software took the readings: --policy and --bundle tell$/m);
  assert.not.match(err(), /whose key/);
  assert.match((await run(good, "--csv")).err(), /^vouch: not judged: whose key it is: --policy .* tell$/m);
});

exports("rows that the device lost are told", async () => {
  const recording = new Recording().timed().seconds(10);
  recording.maker.gap(3);
  const file = write("lost.vstream", recording.seconds(10).timed().closed());
  const { err } = await run(file, "--csv", ...KEYS);
  assert.match(err(), /^vouch: 3 missing, which the device says it lost \[lost\]$/m);
});

exports("a ledger's head is of what it leads back to, and no more", () => {
  const id = new Uint8Array(16).fill(7);
  const segment = (kind: string, seq: number, linked: number, to: number) => ({
    boot: { note: { id, kind, seq, linked } },
    frames: [{ from: seq, to }],
  });
  // The resume goes on from frame 40, which the device had on record; that it signed 48, too, it had forgotten.
  const segments = [segment("announce", 0, 0, 48), segment("resume", 128, 40, 200)];
  const anchorOf = anchorsOf({ anchors: [{ id, seq: 200, time: 1 }], segments } as never);
  const known = [40, 48, 128, 200, 201].filter((seq) => anchorOf(id, seq) !== null);
  assert.equal(known, [40, 128, 200]);
  const both = { anchors: [200, 48].map((seq) => ({ id, seq, time: seq })), segments };
  assert.match(anchorsOf(both as never)(id, 48)!.value, /\/48$/);
});

exports("readings of a boot that nobody timed are no Observations; those of the next are", async () => {
  const recording = new Recording().seconds(80);
  recording.maker.resume();
  const file = write("boots.vstream", recording.seconds(40).seconds(40).timed().closed());
  const io = await run(file, "--fhir", ...PATIENT, ...KEYS);
  assert.match(io.err(), /^vouch: 80 left out, of a boot that no named recorder timed: .* \[timeless\]$/m);
  const boots = resourcesOf(io.out()).flatMap(({ identifier, resourceType }) =>
    resourceType === "Observation"
      ? ((identifier as { value: string }[])[0]!.value.match(/-(\d+)\.0\.[01]$/)?.[1] ?? [])
      : [],
  );
  assert.equal([...new Set(boots)], ["8"]);
  assert.is(boots.length, 160);
});

exports("masked readings need their reader's key: without it there is nothing to export", async () => {
  const clinic = createKey(null, "x25519");
  writeFileSync(at("clinic.key"), clinic.pem, { mode: 0o600 });
  const file = write("masked.vstream", new Recording(clinic.publicKey).seconds(80).timed().closed());
  const error = await refused("no-readings", file, "--csv", ...KEYS);
  assert.match(error.message, /masked frames were not opened/);
  assert.match((error as { hint?: string }).hint ?? "", /^--reader-key opens them/);
  const opened = await run(file, "--fhir", ...PATIENT, ...KEYS, "--reader-key", at("clinic.key"));
  assert.is(count(resourcesOf(opened.out())).Observation, 161);
  writeFileSync(at("other.key"), createKey(null, "x25519").pem, { mode: 0o600 });
  await refused("no-readings", file, "--csv", ...KEYS, "--reader-key", at("other.key"));
});

exports("who was granted frames exports exactly their readings", async () => {
  const owner = createKey(null, "x25519");
  const clinic = createKey(null, "x25519");
  writeFileSync(at("owner.key"), owner.pem, { mode: 0o600 });
  writeFileSync(at("granted.key"), clinic.pem, { mode: 0o600 });
  const file = write("shared.vstream", new Recording(owner.publicKey).seconds(160).timed().closed());
  const reader = formatReader({ name: "clinic", publicKey: clinic.publicKey });
  const program = new Command("vouch");
  defineGrant(program, memoryIo());
  const given = [
    "--to",
    reader,
    "--frames",
    "3-5",
    "--reader-key",
    at("owner.key"),
    "-o",
    at("clinic.grant"),
  ];
  await program.parseAsync(["grant", file, ...given], { from: "user" });
  const keys = ["--reader-key", at("granted.key"), "--grant", at("clinic.grant")];
  const lines = (await run(file, "--csv", ...KEYS, ...keys)).out().trimEnd().split("\r\n").slice(1);
  assert.equal([...new Set(lines.map((line) => line.split(",")[5]))], ["3", "4", "5"]);
  assert.is(lines.length, 60);
});

exports("a file that is another one the second time is told, and what was appended isn't waited for", () => {
  const recording = new Recording().seconds(80).timed();
  const first = write("first.vstream", recording.bytes());
  const facts = new ExportFacts();
  const check = { crypto: nodeCrypto, recorders: [RECORDER.publicKey] };
  const { summary } = readRecording(first, new StreamChecker(check, facts.events));
  const rowsOf = (path: string) => {
    let rows = 0;
    const taker = { piece: () => rows++, proved: () => {} };
    exportAgain(path, check, { head: summary.head, ids: facts.ids }, facts.named, CHOICE, taker);
    return rows;
  };
  assert.is(rowsOf(first), 80);
  assert.is(rowsOf(write("longer.vstream", recording.seconds(80).closed())), 80);
  const other = write("other.vstream", new Recording().seconds(79).seconds(81).timed().closed());
  for (const path of [other, write("none.vstream", encodeVstreamHead())])
    assert.throws(() => rowsOf(path), refusal("recording-changed"));
});

exports("a stream by another key, put in front or behind between two readings, leaves nothing", () => {
  const make = () => new Recording().seconds(20).timed();
  const facts = new ExportFacts();
  const check = { crypto: nodeCrypto, recorders: [RECORDER.publicKey] };
  const own = make().closed();
  const { summary } = readRecording(write("own.vstream", own), new StreamChecker(check, facts.events));
  const maker = new StreamMaker({ device: deviceKey(99), epoch: 0 });
  maker.announce();
  maker.data(3);
  maker.close();
  const foreign = maker.frames.map(encodeFrameItem);
  const body = own.subarray(encodeVstreamHead().length);
  const seen: number[] = [];
  const taker = { piece: ({ block }: Piece) => void seen.push(block.seq), proved: () => {} };
  const again = (bytes: Uint8Array[]) =>
    exportAgain(
      write("bent.vstream", concatBytes([encodeVstreamHead(), ...bytes])),
      check,
      { head: summary.head, ids: facts.ids },
      facts.named,
      { ...CHOICE, isStrict: false, takesUnproved: true },
      taker,
    );
  assert.throws(() => again([...foreign, body]), refusal("recording-changed"));
  assert.equal(seen, []);
  const whole = again([body]).counts.exported;
  assert.is(again([body, ...foreign]).counts.exported, whole);
});

exports("SenML has no time that would be read as counted from now", async () => {
  const file = write("never-set.vstream", new Recording().seconds(20).timed(0, { started: 60e6 }).closed());
  await refused("no-readings", file, "--senml", ...KEYS);
  assert.match((await run(file, "--csv", ...KEYS)).out(), /1970-01-01T/);
});

exports("from and to are the recording's own time", async () => {
  const args = ["--from", "2026-11-22T15:00:10Z", "--to", "2026-11-22T15:00:20Z"];
  const lines = (await run(good, "--csv", ...args, ...KEYS)).out().trimEnd().split("\r\n").slice(1);
  assert.is(lines.length, 20);
  assert.ok(lines.every((line) => /^2026-11-22T15:00:1\d\./.test(line)));
  await refused("no-readings", good, "--csv", ...KEYS, "--to", "2026-01-01T00:00:00Z");
});

exports("a clock that was set leaves no clinical reading, and is told", async () => {
  const file = write("set.vstream", new Recording().seconds(80).timed().seconds(80).timed(-3600e6).closed());
  const error = await refused("no-readings", file, "--fhir", ...PATIENT, ...KEYS);
  assert.match(error.message, /160 left out, whose time is less sure than --max-uncertainty \[uncertain\]/);
  const io = await run(file, "--csv", ...KEYS);
  assert.match(io.err(), /1 times a clock was set between two coincidences \[stream-clock-jump\]/);
  assert.is(io.exitCode, EXIT.unproven);
});

exports("--json tells what was written, and needs a file", async () => {
  const io = await run(
    good,
    "--fhir",
    ...PATIENT,
    ...KEYS,
    "-o",
    at("j.json"),
    "--json",
    "--max-uncertainty",
    "2s",
  );
  assert.equal(JSON.parse(io.out()), {
    form: "fhir",
    file: at("j.json"),
    verdict: "verified",
    counts: { exported: 120, unproved: 0, timeless: 0, uncertain: 0, outside: 0, repeated: 0, lost: 0 },
    resources: { Device: 2, DeviceMetric: 3, Observation: 242, Provenance: 2 },
  });
  await refused("usage", good, "--csv", "--json");
});

const MISTAKES: readonly (readonly [string, readonly string[]])[] = [
  ["no form", []],
  ["two forms", ["--csv", "--senml"]],
  ["FHIR about nobody", ["--fhir"]],
  ["a patient in a table", ["--csv", "--patient", "Patient/1"]],
  ["a patient that is none", ["--fhir", "--patient", "Person/1"]],
  ["a patient with a search in it", ["--fhir", "--patient", "Patient/1?x=y"]],
  ["an identifier without system", ["--fhir", "--patient-identifier", "7f3a"]],
  ["an identifier with two bars", ["--fhir", "--patient-identifier", "urn:a|b|c"]],
  ["NDJSON of a table", ["--csv", "--ndjson"]],
  ["CBOR of FHIR", ["--fhir", ...PATIENT, "--cbor"]],
  ["a fact of no kind", ["--fhir", ...PATIENT, "--device", "colour=red"]],
  ["an EUI-64 that is too short", ["--fhir", ...PATIENT, "--device", "eui=FE-ED"]],
  ["a fact twice", ["--fhir", ...PATIENT, "--device", "model=A", "--device", "model=B"]],
  ["a fact with a line break", ["--fhir", ...PATIENT, "--gateway", "name=a\nb"]],
  ["a clock of no kind", ["--fhir", ...PATIENT, "--gateway", "clock=sundial"]],
  ["a range that ends first", ["--csv", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"]],
];

for (const [name, args] of MISTAKES)
  exports(`refuses: ${name}`, async () => {
    await refused("usage", good, ...args);
  });

exports("what a person says of device, gateway and patient is said as given", async () => {
  const { out } = await run(
    ...[good, "--fhir", "--patient-identifier", "urn:example:study|7f,3a", ...KEYS],
    ...["--device", "eui=feedabeedead77c3", "--device", "manufacturer=Example BV", "--device", "model=SPX-1"],
    ...["--device", "serial=S=1", "--gateway", "name=Ward 3", "--gateway", "clock=ntp"],
  );
  const [phd, phg, , , , reading] = resourcesOf(out());
  assert.equal([phd!.manufacturer, phd!.modelNumber, phd!.serialNumber], ["Example BV", "SPX-1", "S=1"]);
  assert.match(JSON.stringify(phd), /"FE-ED-AB-EE-DE-AD-77-C3".*532224/);
  assert.match(JSON.stringify(phg), /"Ward 3".*532226/);
  assert.ok(existsSync(good) && reading !== undefined);
  assert.match(
    out(),
    /"subject":\{"type":"Patient","identifier":\{"system":"urn:example:study","value":"7f,3a"\}\}/,
  );
  assert.match(out(), /FEEDABEEDEAD77C3-7f%5C%2C3a-urn%3Aexample%3Astudy-149530-5\.000-7\.0\.0"/);
});

exports.run();
