// Ticks made times: on the line between two coincidences, less sure outside, and never right by silence.

import { absentReason, decimalText } from "@vouch/shared/decimal";
import { MDC_DEVICES, MDC_METRICS, MDC_UNITS, metricOf } from "@vouch/shared/mdc";
import { DRIFT_PPM, isoMillis, Timeline } from "@vouch/shared/streamtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const T0 = Date.parse("2026-11-22T15:00:00Z") * 1000;
const HOUR = 3_600_000;
const at = (ticks: number, micros: number, uncertainty = 1000) => ({ ticks, micros, uncertainty });
const timeline = (...points: ReturnType<typeof at>[]) => {
  const made = new Timeline();
  for (const point of points) made.add("a", point);
  return made;
};

const time = suite("times of ticks");

time("between two coincidences it is the line through both, as sure as the less sure", () => {
  // the device's clock is 100 millionths slow
  const t = timeline(at(0, T0, 2000), at(HOUR, T0 + HOUR * 1000 + 360_000, 5000));
  assert.equal(t.place("a", HOUR / 2), {
    micros: T0 + (HOUR / 2) * 1000 + 180_000,
    uncertainty: 5000,
    point: 0,
  });
  assert.is(t.place("a", HOUR / 2 + 1)?.point, 1);
  assert.is(t.jumps(), 0);
});

time("outside a tick is a millisecond, and each second costs its drift", () => {
  const t = timeline(at(HOUR, T0));
  const drift = (10_000 * 1000 * DRIFT_PPM) / 1e6;
  assert.equal(t.place("a", HOUR + 10_000), { micros: T0 + 10_000_000, uncertainty: 1000 + drift, point: 0 });
  assert.equal(t.place("a", HOUR - 10_000), { micros: T0 - 10_000_000, uncertainty: 1000 + drift, point: 0 });
});

time("a boot without coincidence has no time, whatever another boot has", () => {
  assert.is(timeline(at(0, T0)).place("b", 0), null);
  assert.is(new Timeline().has("a"), false);
});

time("a recorder's clock that was set makes all of the boot as unsure as it was set by", () => {
  const back = timeline(at(0, T0), at(60_000, T0 + 60_000_000), at(120_000, T0 + 120_000_000 - 3600e6));
  assert.is(back.jumps(), 1);
  for (const ticks of [0, 30_000, 60_000, 90_000, 120_000, 500_000])
    assert.ok(back.place("a", ticks)!.uncertainty > 3599e6, String(ticks));
});

time("a vague coincidence between two that disagree hides nothing, and nothing is counted twice", () => {
  const times = timeline(at(0, T0), at(10_000, T0 + 12_000_000, 5e6), at(20_000, T0 + 30_000_000)); // set forward by 10 s
  assert.is(times.jumps(), 1);
  for (const ticks of [0, 20_000, 60_000])
    assert.ok(times.place("a", ticks)!.uncertainty > 9.9e6, String(ticks));
  const once = timeline(at(0, T0), at(1000, T0 + 3_000_000, 9000), at(2000, T0 + 4_000_000, 9000));
  assert.is(once.jumps(), 1);
  assert.is(once.place("a", 2000)?.uncertainty, 9000 + 2_000_000 - 9000 - 1000 - 500);
  const steady = timeline(at(0, T0), at(10_000, T0 + 10_003_000, 5e6), at(20_000, T0 + 20_000_000));
  assert.is(steady.jumps(), 0);
  assert.is(steady.place("a", 20_000)?.uncertainty, 1000);
});

time("of a boot that one list knows, the other's word doesn't count", () => {
  const named = timeline(at(0, T0));
  const others = timeline(at(0, T0 + 60e6), at(2000, T0 + 62e6));
  others.add("b", at(0, T0 + 5e6));
  const both = others.under(named);
  assert.is(both.place("a", 2000)?.micros, T0 + 2e6);
  assert.is(both.place("b", 0)?.micros, T0 + 5e6);
});

time("a time is cut to the millisecond: what was taken before a moment isn't written as taken at it", () => {
  assert.is(isoMillis(T0 - 1), "2026-11-22T14:59:59.999+00:00");
  assert.is(isoMillis(T0), "2026-11-22T15:00:00.000+00:00");
});

time("clocks that differ by no more than they may are no jump", () => {
  const t = timeline(at(0, T0), at(60_000, T0 + 60_000_000 + 2000 + 30_000));
  assert.is(t.jumps(), 0);
  assert.is(timeline(at(0, T0), at(60_000, T0 + 60_000_000 + 2000 + 30_001)).jumps(), 1);
});

time("coincidences out of order are put in order, and two at one moment that disagree are a jump", () => {
  const t = timeline(at(2000, T0 + 2_000_000), at(1000, T0 + 1_000_000), at(3000, T0 + 3_000_000));
  assert.is(t.jumps(), 0);
  assert.equal(t.place("a", 1500), { micros: T0 + 1_500_000, uncertainty: 1000, point: 0 });
  assert.is(timeline(at(5, T0), at(5, T0 + 1e6)).jumps(), 1);
});

time("no time comes out of what is past all calendars", () => {
  const t = timeline(at(0, T0));
  assert.is(t.place("a", 2 ** 48 - 1), null);
  assert.is(timeline(at(2 ** 40, 5)).place("a", 0), null);
  assert.is(timeline(at(0, Number.MAX_SAFE_INTEGER)).place("a", 1), null);
  assert.ok(isoMillis(t.place("a", 1)!.micros).endsWith("+00:00"));
});

time("a million coincidences are thinned, and times stay", () => {
  const t = new Timeline();
  for (let i = 0; i < 1_000_000; i++) t.add("a", at(i * 10, T0 + i * 10_000));
  assert.is(t.place("a", 5_000_005)?.micros, T0 + 5_000_005_000);
  assert.is(t.jumps(), 0);
});

time("decimals keep their digits", () => {
  for (const [mantissa, exponent, text] of [
    [20, -1, "2.0"],
    [-5, -3, "-0.005"],
    [0, -2, "0.00"],
    [0, 3, "0"],
    [-12, 2, "-1200"],
    [8388605, -8, "0.08388605"],
    [365, -1, "36.5"],
  ] as const)
    assert.is(decimalText(mantissa, exponent), text);
  assert.is(absentReason(8388605), null);
  assert.is(absentReason(-8388605), null);
  assert.is(absentReason(8388608), "error");
});

time("each code of the table has its partition, units of the table and a device of the table", () => {
  for (const [code, { units, device, name }] of MDC_METRICS) {
    assert.is(code >> 16, 2, name);
    for (const unit of units) assert.ok(MDC_UNITS.has(unit), name);
    assert.ok(MDC_DEVICES.has(device), name);
  }
  for (const unit of MDC_UNITS.keys()) assert.is(unit >> 16, 4);
  assert.is(metricOf(150456, 268192), undefined, "no saturation in degrees");
  assert.equal(metricOf(160184, 266866)?.loinc[0]?.[0], "14743-9");
});

time.run();
