// Readings as Observations, in the three shapes that the Personal Health Device guide has for numbers:
//
//   numeric    one value of one channel             valueQuantity, or dataAbsentReason
//   compound   values that belong together          component[] of the same
//   sampled    a run of one channel's values        valueSampledData: origin 0, factor 10^exponent, data the mantissas
//
// and the Coincident Timestamp Observation, which says how ticks were made times. A group's Observation is written once
// as a template; what differs from reading to reading is filled in. A channel that we don't know, or that comes in a unit
// it never has, goes out under its MDC numbers, without LOINC code, vital-signs category or profile of its own.

import { absentReason, decimalText } from "@vouch/shared/decimal";
import { MDC_METRICS, type MdcMetric, metricOf, UCUM_SYSTEM } from "@vouch/shared/mdc";
import {
  type Channel,
  GROUP_COMPOUND,
  GROUP_SAMPLED,
  type Group,
  VALUE_NEGATIVE_INFINITY,
  VALUE_POSITIVE_INFINITY,
} from "@vouch/shared/readings";
import { isoMillis } from "@vouch/shared/streamtime";
import type { CodeableConcept, Identifier, Observation, ObservationComponent, Quantity } from "fhir/r4";
import { mdcCoding, unitCoding } from "./devices";
import { decimal, formatResource, hole, template } from "./json";
import { CORE, LOINC, mdc, OWN, PHD, THO } from "./names";

/** The identifier that conditional creates look for. */
export const READING_SYSTEM = `${PHD}/PhdBaseObservation`;

const ABSENT: Record<string, string> = {
  "not-a-number": "Not a Number (NaN)",
  "positive-infinity": "Positive Infinity (PINF)",
  "negative-infinity": "Negative Infinity (NINF)",
  error: "Error",
};

const absent = (code: string): CodeableConcept => ({
  coding: [{ system: `${THO}/data-absent-reason`, code, display: ABSENT[code]! }],
});

/** How sure a time is, in microseconds; of ours, since FHIR has no word for it. */
const uncertainty = (value: number) => ({
  url: `${OWN}/StructureDefinition/time-uncertainty`,
  valueQuantity: { value, unit: "us", system: UCUM_SYSTEM, code: "us" },
});

const CATEGORIES: Record<MdcMetric["category"], CodeableConcept> = {
  "vital-signs": {
    coding: [{ system: `${THO}/observation-category`, code: "vital-signs", display: "Vital Signs" }],
  },
  laboratory: { coding: [{ system: `${THO}/observation-category`, code: "laboratory" }] },
  procedure: { coding: [{ system: `${THO}/observation-category`, code: "procedure" }] },
};

const PHD_CATEGORY: CodeableConcept = {
  coding: [{ system: "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories", code: "phd" }],
};

const codeOf = (code: number, metric: MdcMetric | undefined): CodeableConcept => ({
  coding: [
    mdcCoding(code),
    ...(metric?.loinc ?? []).map(([loinc, display]) => ({ system: LOINC, code: loinc, display })),
  ],
  ...(metric === undefined ? {} : { text: metric.text }),
});

/** A compound is what its code says when that is a compound's, and its parts are parts of it, in units they come in. */
function compoundOf(group: Group): MdcMetric | undefined {
  const whole = MDC_METRICS.get(group.code);
  if (whole === undefined || whole.units.length > 0) return undefined;
  const isPart = ({ code, unit }: Channel) => metricOf(code, unit)?.device === whole.device;
  if (!group.channels.every(isPart)) return undefined;
  return isPair(group) ? whole : { ...whole, profile: null };
}

const SYSTOLIC = 150021;
const DIASTOLIC = 150022;

/** What the profile of a blood pressure asks for: one of each, and without both it is refused. */
function isPair({ channels }: Group): boolean {
  const codes = channels.map(({ code }) => code);
  return [SYSTOLIC, DIASTOLIC].every((code) => codes.filter((other) => other === code).length === 1);
}

export interface References {
  subject: { reference?: string; type?: string; identifier?: Identifier };
  device: string;
  gateway: string;
}

// Holes, in the order that they have in the resource.
const COINCIDENCE = 0;
const UNCERTAINTY = 1;
const IDENTIFIER = 2;
const EFFECTIVE = 3;
const VALUE = 4;

/** Everything of an Observation but its value; `shape` is the guide's name for it. */
function frame(
  shape: string,
  code: number,
  metric: MdcMetric | undefined,
  to: References,
  value: Partial<Observation>,
): Observation {
  const profiles = [`${PHD}/Phd${shape}Observation`];
  if (typeof metric?.profile === "string") profiles.push(`${CORE}/${metric.profile}`);
  return {
    resourceType: "Observation",
    meta: { profile: profiles },
    extension: [
      { url: `${CORE}/observation-gatewayDevice`, valueReference: { reference: to.gateway } },
      { url: `${PHD}/CoincidentTimeStampReference`, valueReference: { reference: hole(COINCIDENCE) } },
      uncertainty(hole<number>(UNCERTAINTY)),
    ],
    identifier: [{ system: READING_SYSTEM, value: hole(IDENTIFIER) }],
    status: "final",
    category: [...(metric === undefined ? [] : [CATEGORIES[metric.category]]), PHD_CATEGORY],
    code: codeOf(code, metric),
    subject: to.subject,
    effectiveDateTime: hole(EFFECTIVE),
    device: { reference: to.device },
    ...value,
  };
}

const quantity = (channel: Channel, value: number): Quantity => {
  const { unit, ...coded } = unitCoding(channel);
  return { value, ...(unit === undefined ? {} : { unit }), ...coded };
};

/** What is filled in; all of it JSON text but the values. */
export interface Filling {
  coincidence: string;
  uncertainty: number;
  identifier: string;
  effective: string;
  values: Int32Array;
  /** Where in `values`, and how many. */
  at: number;
  count: number;
}

/** Writes the Observations of a group: a part each for its channels, or one for all. */
export interface Writer {
  code: number;
  /** Which of a row's values it takes. */
  channel: number;
  channels: number;
  write(filling: Filling): string;
}

export function writersOf(group: Group, to: References): Writer[] {
  if (group.kind === GROUP_SAMPLED) return [sampledWriter(group, to)];
  if (group.kind === GROUP_COMPOUND) return [compoundWriter(group, to)];
  return group.channels.map((channel, i) => numericWriter(channel, i, to));
}

const fill = (pieces: readonly string[], f: Filling, value: string): string =>
  pieces[0] +
  f.coincidence +
  pieces[1] +
  f.uncertainty +
  pieces[2] +
  f.identifier +
  pieces[3] +
  f.effective +
  pieces[4] +
  value +
  (pieces[5] ?? "");

function numericWriter(channel: Channel, index: number, to: References): Writer {
  const metric = metricOf(channel.code, channel.unit);
  const make = (value: Partial<Observation>) => template(frame("Numeric", channel.code, metric, to, value));
  const present = make({ valueQuantity: quantity(channel, hole<number>(VALUE)) });
  const missing = make({ dataAbsentReason: hole<CodeableConcept>(VALUE) });
  return {
    code: channel.code,
    channel: index,
    channels: 1,
    write(f) {
      const mantissa = f.values[f.at]!;
      const reason = absentReason(mantissa);
      return reason === null
        ? fill(present, f, decimalText(mantissa, channel.exponent))
        : fill(missing, f, formatResource(absent(reason)));
    },
  };
}

function compoundWriter(group: Group, to: References): Writer {
  const metric = compoundOf(group);
  const pieces = template(
    frame("CompoundNumeric", group.code, metric, to, { component: hole<ObservationComponent[]>(VALUE) }),
  );
  const parts = group.channels.map((channel) => {
    const known = metric === undefined ? undefined : metricOf(channel.code, channel.unit);
    const { text: _, ...code } = codeOf(channel.code, known);
    const make = (value: Partial<ObservationComponent>) => template({ code, ...value });
    return {
      exponent: channel.exponent,
      present: make({ valueQuantity: quantity(channel, hole<number>(0)) }),
      missing: make({ dataAbsentReason: hole<CodeableConcept>(0) }),
    };
  });
  const part = ({ exponent, present, missing }: (typeof parts)[0], mantissa: number) => {
    const reason = absentReason(mantissa);
    return reason === null
      ? present[0] + decimalText(mantissa, exponent) + present[1]
      : missing[0] + formatResource(absent(reason)) + missing[1];
  };
  return {
    code: group.code,
    channel: 0,
    channels: parts.length,
    write: (f) => fill(pieces, f, `[${parts.map((each, i) => part(each, f.values[f.at + i]!)).join(",")}]`),
  };
}

function sampledWriter(group: Group, to: References): Writer {
  const channel = group.channels[0]!;
  const metric = metricOf(channel.code, channel.unit);
  const pieces = template(
    frame("Rtsa", channel.code, metric, to, {
      valueSampledData: {
        origin: quantity(channel, 0),
        period: group.period,
        factor: decimal(1, channel.exponent),
        dimensions: 1,
        lowerLimit: VALUE_NEGATIVE_INFINITY + 1,
        upperLimit: VALUE_POSITIVE_INFINITY - 1,
        data: hole(VALUE),
      },
    }),
  );
  return {
    code: channel.code,
    channel: 0,
    channels: 1,
    write(f) {
      const data: (number | string)[] = [];
      for (let i = 0; i < f.count; i++) data.push(sample(f.values[f.at + i]!));
      return fill(pieces, f, `"${data.join(" ")}"`);
    },
  };
}

/** Above what can be measured, below it, or no measurement. */
function sample(mantissa: number): number | string {
  const reason = absentReason(mantissa);
  if (reason === null) return mantissa;
  return reason === "positive-infinity" ? "U" : reason === "negative-infinity" ? "L" : "E";
}

export interface CoincidenceFacts {
  ticks: number;
  micros: number;
  uncertainty: number;
}

/** What the gateway's clock said while the device's ticks stood so. */
export function coincidenceObservation(
  { ticks, micros, uncertainty: off }: CoincidenceFacts,
  identifier: Identifier,
  to: Omit<References, "subject">,
): Observation {
  return {
    resourceType: "Observation",
    meta: { profile: [`${PHD}/PhdCoincidentTimeStampObservation`] },
    extension: [uncertainty(off)],
    identifier: [identifier],
    status: "final",
    code: mdc(67983, "MDC_ATTR_TIME_REL", "Relative time (tick counter)"),
    subject: { reference: to.device },
    effectiveDateTime: isoMillis(micros),
    valueQuantity: { value: decimal(ticks, 3), unit: "us", system: UCUM_SYSTEM, code: "us" },
    device: { reference: to.gateway },
  };
}
