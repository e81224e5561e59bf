// The facts behind vectors/published/fhir, as a stream would have held them, and what the exporter makes of readings.

import { GROUP_COMPOUND, GROUP_NUMERIC, GROUP_SAMPLED, type Group, VALUE_NAN } from "@vouch/shared/readings";
import type { Boot } from "@vouch/shared/streambody";
import type { ReadingBlock } from "@vouch/shared/streamcheck";
import { Timeline } from "@vouch/shared/streamtime";
import { type FhirFacts, FhirWriter } from "../src/fhir/bundle";
import { bootKey, type Choice, type Counts, Selector, type Stamp } from "../src/readings";

const fill = (length: number, byte: number) => new Uint8Array(length).fill(byte);

export const STREAM_ID = fill(16, 0xab);
export const BOOT: Boot = {
  bootcount: 4,
  bootseed: fill(16, 9),
  ticks: 0,
  evidence: fill(32, 0xe0),
  image: new Uint8Array(Buffer.from("ThFmDqqWjaPdwk2_GYtKLAEDNKBIyl0_bWoQJAHa6Pk", "base64url")),
  keyload: null,
};
/** The vectors' one moment. */
export const TICKS = 1_234_567;
export const MICROS = Date.parse("2026-11-22T15:04:05.120Z") * 1000;

const channel = (code: number, unit: number, exponent: number) => ({ code, unit, exponent });
const numeric = (...channels: Group["channels"]): Group => ({
  kind: GROUP_NUMERIC,
  code: 0,
  period: 1000,
  channels,
});

export const GROUPS = {
  spo2: numeric(channel(150456, 262688, 0)),
  pulse: numeric(channel(149530, 264864, 0)),
  temp: numeric(channel(150364, 268192, -1)),
  glucose: numeric(channel(160184, 264274, 0)),
  bp: {
    kind: GROUP_COMPOUND,
    code: 150020,
    period: 60_000,
    channels: [150021, 150022, 150023].map((code) => channel(code, 266016, 0)),
  },
  ecg: { kind: GROUP_SAMPLED, code: 0, period: 4, channels: [channel(131329, 266418, -3)] },
} satisfies Record<string, Group>;

export const READINGS: readonly (readonly [Group, readonly number[]])[] = [
  [GROUPS.spo2, [97]],
  [GROUPS.pulse, [62]],
  [GROUPS.pulse, [VALUE_NAN]],
  [GROUPS.temp, [365]],
  [GROUPS.glucose, [99]],
  [GROUPS.bp, [116, 71, 86]],
  // 5 µV a step in the vector, 1 µV here
  [GROUPS.ecg, [0, 1, 3, 8, 21, 60, 120, 180, 90, -40, -22, -3, 0, 0, 1, 2].map((step) => 5 * step)],
];

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/** The key in a did:key, after its z. */
export function keyOf(text: string): Uint8Array {
  let value = 0n;
  for (const letter of text) value = value * 58n + BigInt(BASE58.indexOf(letter));
  return new Uint8Array(Buffer.from(value.toString(16), "hex").subarray(2));
}

export const FACTS: FhirFacts = {
  proven: {
    ueid: Uint8Array.of(1, ...fill(16, 0x5e)),
    publicKey: keyOf("6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"),
    images: [{ sha256: BOOT.image!, release: "2.4.1" }],
    groups: [GROUPS.spo2],
  },
  device: {
    eui: "FE-ED-AB-EE-DE-AD-77-C3",
    name: "Finger SpO2 sensor",
    manufacturer: "Example Medical BV",
    model: "SPX-1",
    hardware: "B3",
    udi: "(01)09506000117843(11)141231(17)201231(10)1234AB(21)5678CD",
  },
  gateway: {
    eui: "EC-DE-3D-4E-58-53-2D-31",
    manufacturer: "Attest host-cli",
    model: "host-cli",
    isNtp: true,
  },
  recorder: "00112233445566aa",
  software: "0.1.0",
  patient: {
    reference: "Patient/pseudo-7f3a",
    identifier: { system: "urn:example:study:subject", value: "7f3a" },
  },
  policy: "urn:example:attest:policy:v1",
  anchorOf: () => ({
    system: "urn:iota:block",
    value: `0x${"ab".repeat(32)}`,
    display: "Anchored record on ledger",
  }),
};

export const CHOICE: Choice = {
  isStrict: true,
  takesUnproved: false,
  maxUncertainty: 1_000_000,
  from: null,
  to: null,
};

export function stamp(ticks: number, micros: number, uncertainty = 50_000): Stamp {
  return { ticks, micros, uncertainty, streamId: STREAM_ID, epoch: 1, kid: fill(8, 1), isChecked: true };
}

export function timelineOf(...stamps: Stamp[]): Timeline<Stamp> {
  const timeline = new Timeline<Stamp>();
  for (const each of stamps) timeline.add(bootKey(BOOT), each);
  return timeline;
}

export function blockOf(
  group: Group,
  values: readonly number[],
  more: Partial<ReadingBlock> = {},
): ReadingBlock {
  return {
    seq: 12,
    epoch: 1,
    boot: BOOT,
    groupIndex: 0,
    group,
    ticks: TICKS,
    rows: values.length / group.channels.length,
    values: Int32Array.from(values),
    isProved: true,
    ...more,
  };
}

export interface Exported {
  text: string;
  counts: Counts;
}

/** Blocks through selection and writer, closed by one signed frame. */
export function exportFhir(
  blocks: readonly ReadingBlock[],
  {
    facts = FACTS,
    timeline = timelineOf(stamp(TICKS, MICROS)),
    choice = CHOICE,
    isLines = false,
  }: { facts?: FhirFacts; timeline?: Timeline<Stamp>; choice?: Choice; isLines?: boolean } = {},
): Exported {
  const chunks: Uint8Array[] = [];
  const selector = new Selector(timeline, choice);
  const writer = new FhirWriter(facts, isLines, (chunk) => chunks.push(chunk));
  const closing = {
    frame: fill(140, 7),
    link: fill(32, 8),
    time: "2026-11-22T15:04:05.120+00:00",
    lastSeq: 20,
  };
  for (const block of blocks)
    for (const piece of selector.pieces(STREAM_ID, block)) writer.piece(piece, () => closing);
  writer.close(() => closing);
  writer.end();
  return { text: Buffer.concat(chunks).toString("utf8"), counts: selector.counts };
}

export type Json = Record<string, unknown>;

/** The resources of a transaction. */
export const resourcesOf = (text: string): Json[] =>
  (JSON.parse(text).entry as { resource: Json }[]).map(({ resource }) => resource);
