// Sensors of a simulated device: an oximeter, a thermometer and one lead of an ECG, on somebody who sits still.
//
//   group 0   SpO2, pulse rate     once a second; no numbers while the finger is out, some seconds every few minutes
//   group 1   body temperature     every five seconds, hundredths of a degree
//   group 2   ECG lead I           250 a second, in steps of 5 µV
//
// A value follows from the seed and the number of its row, so two runs sample the same, whatever the clock does.
// So does the FIFO: what it holds and what it has lost is how much time has passed, and needs no memory. It keeps the
// newest rows, as many as below.
//
// Codes of ISO/IEEE 11073-10101, partition × 65536 + term.

import { GROUP_NUMERIC, GROUP_SAMPLED, type Group, VALUE_NAN } from "@vouch/shared/readings";

/** The port's `sensor` (firmware/src/ports/sensor.ts). */
export interface SimSensors {
  groups(): Group[];
  sample(mask: number): void;
  read(group: number, max: number): { ticks: number; lost: number; values: Int32Array };
}

const SPO2 = 150456;
const PULSE = 149530;
const TEMPERATURE = 150364;
const ECG_LEAD_I = 131329;
const PERCENT = 262688;
const PER_MINUTE = 264864;
const CELSIUS = 268192;
const MILLIVOLT = 266418;

const THERMOMETER = 1;
const ECG = 2;

export const SENSOR_GROUPS: Group[] = [
  {
    kind: GROUP_NUMERIC,
    code: 0,
    period: 1000,
    channels: [
      { code: SPO2, unit: PERCENT, exponent: 0 },
      { code: PULSE, unit: PER_MINUTE, exponent: 0 },
    ],
  },
  {
    kind: GROUP_NUMERIC,
    code: 0,
    period: 5000,
    channels: [{ code: TEMPERATURE, unit: CELSIUS, exponent: -2 }],
  },
  {
    kind: GROUP_SAMPLED,
    code: 0,
    period: 4,
    channels: [{ code: ECG_LEAD_I, unit: MILLIVOLT, exponent: -3 }],
  },
];

/** Rows that a group's FIFO holds. */
export const FIFO_ROWS = [16, 16, 1024];

/** 0 to 1, the same for the same numbers. */
function noise(seed: number, kind: number, row: number): number {
  let x = (seed ^ Math.imul(row + 1, 0x9e3779b1) ^ Math.imul(kind + 1, 0x85ebca6b)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return ((x ^ (x >>> 16)) >>> 0) / 0x100000000;
}

// Breathing moves the heart's rate: beats a second, and their sum from 0 to t.
const BEATS = 1.2;
const SWAY = 0.07;
const BREATH = (2 * Math.PI) / 4.2;
const rateAt = (t: number) => BEATS + SWAY * Math.sin(BREATH * t);
const beatsUntil = (t: number) => BEATS * t + (SWAY / BREATH) * (1 - Math.cos(BREATH * t));

const OUT_EVERY = 180;
const OUT_FOR = 6;

/** Whether the finger is out of the clip in this second. */
function isOut(seed: number, second: number): boolean {
  const begin = 20 + Math.floor(noise(seed, 3, Math.floor(second / OUT_EVERY)) * (OUT_EVERY - 20 - OUT_FOR));
  const at = second % OUT_EVERY;
  return at >= begin && at < begin + OUT_FOR;
}

// P, Q, R, S and T: where in a beat, how wide, and how many µV.
const WAVES = [
  [0.18, 0.025, 90],
  [0.265, 0.008, -70],
  [0.28, 0.009, 850],
  [0.3, 0.009, -160],
  [0.52, 0.05, 220],
] as const;

function ecgAt(seed: number, row: number): number {
  const t = row / 250;
  const phase = beatsUntil(t) % 1;
  let microvolts = 25 * Math.sin(BREATH * t) + 12 * (noise(seed, 2, row) - 0.5);
  for (const [at, width, height] of WAVES)
    microvolts += height * Math.exp(-(((phase - at) / width) ** 2) / 2);
  return 5 * Math.round(microvolts / 5);
}

/** A row of a group, as mantissas. */
export function valuesAt(seed: number, group: number, row: number): number[] {
  if (group === ECG) return [ecgAt(seed, row)];
  if (group === THERMOMETER)
    return [3680 + Math.round(15 * Math.sin(row / 90) + 4 * (noise(seed, 1, row) - 0.5))];
  if (isOut(seed, row)) return [VALUE_NAN, VALUE_NAN];
  return [97 + Math.round(1.4 * (noise(seed, 0, row) - 0.5)), Math.round(60 * rateAt(row))];
}

interface Fifo {
  /** Ticks of row 0, and after which nothing is sampled. */
  begin: number;
  end: number;
  /** The next row to be read. */
  next: number;
}

/** `millis` is the device's clock: whole milliseconds since its start. */
export function makeSensors(millis: () => number, seed = 1): SimSensors {
  const fifos: Fifo[] = SENSOR_GROUPS.map(() => ({ begin: 0, end: -1, next: 0 }));
  let sampled = 0;
  const rowsBy = (fifo: Fifo, period: number, now: number) =>
    Math.floor((Math.min(now, fifo.end) - fifo.begin) / period) + 1;
  return {
    groups: () => SENSOR_GROUPS,
    sample(mask) {
      const now = millis();
      for (const [group, fifo] of fifos.entries()) {
        const [was, is] = [sampled, mask].map((bits) => (bits >> group) & 1);
        if (is === 1 && was === 0)
          Object.assign(fifo, { begin: now, end: Number.POSITIVE_INFINITY, next: 0 });
        if (is === 0 && was === 1) fifo.end = now;
      }
      sampled = mask;
    },
    read(group, max) {
      const fifo = fifos[group]!;
      const { period, channels } = SENSOR_GROUPS[group]!;
      const end = Math.max(0, rowsBy(fifo, period, millis()));
      const first = Math.max(fifo.next, end - FIFO_ROWS[group]!);
      const rows = Math.max(0, Math.min(max, end - first));
      const values = new Int32Array(rows * channels.length);
      for (let row = 0; row < rows; row++)
        values.set(valuesAt(seed, group, first + row), row * channels.length);
      const lost = first - fifo.next;
      fifo.next = first + rows;
      return { ticks: fifo.begin + first * period, lost, values };
    },
  };
}
