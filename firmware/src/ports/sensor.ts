// Sensors as a board gives them: what it can sample, and rows from its own FIFOs. The names here are the board's, so
// the build leaves them as they are (scripts/shorten.mjs). What the fields mean is in shared/src/readings.ts.
//
// A board samples by a timer of its own, whatever the agent is at (a signature takes seconds), and keeps as many
// rows of a group as its FIFO holds. When it is full the oldest row goes, and is counted.

export interface SensorChannel {
  code: number;
  unit: number;
  exponent: number;
}

export interface SensorGroup {
  kind: number;
  code: number;
  /** Milliseconds from row to row, 1 and up. */
  period: number;
  channels: SensorChannel[];
}

export interface SensorRows {
  /** Of the first row, or, when there is none, of the next one to come: milliseconds since start. Never wraps. */
  ticks: number;
  /** Rows that the FIFO lost just before the first of these. */
  lost: number;
  /** Rows one after another, each of as many numbers as the group has channels. */
  values: Int32Array;
}

export interface Sensor {
  /** At most eight; the same as long as the engine image is. */
  groups: () => SensorGroup[];
  /**
   * Samples the groups whose bits are set, and no others: from now on and with empty FIFOs where they weren't
   * sampled before. What a group that is sampled no more has in its FIFO stays there to be read.
   */
  sample: (mask: number) => void;
  /** Takes the oldest rows of a group, at most `max`. */
  read: (group: number, max: number) => SensorRows;
}
