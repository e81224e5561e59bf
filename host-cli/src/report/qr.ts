// The square that points and commits: it names the report's data by digest and says where to look for it. It proves
// nothing by itself; whoever scans it gets the data elsewhere and hashes that.
//
//   vouch:report?v=1&at=2026-11-28T09:00:00Z&sha256=<hex>&where=<text, percent-encoded>

import { encode } from "uqr";

export interface Squares {
  readonly size: number;
  /** Runs of dark squares: row, first column, how many. */
  readonly runs: readonly (readonly [row: number, column: number, count: number])[];
}

const QUIET = 4; // ISO/IEC 18004: four squares of margin

export function qrText(at: string, sha256: string, where: string): string {
  const place = where === "" ? "" : `&where=${encodeURIComponent(where)}`;
  return `vouch:report?v=1&at=${at}&sha256=${sha256}${place}`;
}

export function squaresOf(text: string): Squares {
  const { size, data } = encode(text, { ecc: "M", boostEcc: false, border: QUIET });
  const runs: [number, number, number][] = [];
  data.forEach((row, y) => {
    for (let x = 0; x < size; x++) {
      let end = x;
      while (end < size && row[end] === true) end++;
      if (end > x) runs.push([y, x, end - x]);
      x = end;
    }
  });
  return { size, runs };
}
