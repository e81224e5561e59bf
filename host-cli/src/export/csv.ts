// Readings as CSV (RFC 4180), a line for each value: for spreadsheets and statistics, and as evidence with all that is known.
//
//   time                2026-11-22T15:04:05.120+00:00, empty where nobody can say
//   uncertainty_us      how far off it may be
//   boot, ticks         what the device itself said of the time
//   stream, frame, row  where the value stands in the recording
//   group, code, name   what was measured: MDC's number, and its name where we know it
//   value               to the digit; empty where there is none, and `absent` says why
//   unit, unit_code     UCUM where we know it, MDC's number
//   proved              yes: a signed frame binds it. no: nobody signed for it (only with --unproved)
//   flags               no-time, uncertain-time, unnamed-recorder (its time is the word of one that nobody named), unproved
//
// Nothing here is text of others, and yet a cell that would begin a formula gets an apostrophe in front. A negative number begins with a
// minus and is left alone: it computes nothing.

import { toHex } from "@vouch/shared/bytes";
import { absentReason, decimalText } from "@vouch/shared/decimal";
import { MDC_METRICS, MDC_UNITS } from "@vouch/shared/mdc";
import { isoMillis } from "@vouch/shared/streamtime";
import { Chunks } from "../chunks";
import type { Piece } from "../readings";

export const CSV_COLUMNS = [
  "time",
  "uncertainty_us",
  "boot",
  "ticks",
  "stream",
  "frame",
  "row",
  "group",
  "code",
  "name",
  "value",
  "absent",
  "unit",
  "unit_code",
  "proved",
  "flags",
] as const;

export class CsvWriter {
  values = 0;
  private readonly text: Chunks;

  constructor(out: (chunk: Uint8Array) => void) {
    this.text = new Chunks(out);
    this.text.put(`${CSV_COLUMNS.join(",")}\r\n`);
  }

  piece({ streamId, block, row, rows, ticks, placed, flags }: Piece): void {
    const { group, groupIndex, boot, seq, values, isProved } = block;
    const width = group.channels.length;
    const stream = toHex(streamId);
    for (let r = 0; r < rows; r++) {
      const after = r * group.period;
      const time = placed === null ? "," : `${isoMillis(placed.micros + after * 1000)},${placed.uncertainty}`;
      const where = `${boot.bootcount},${ticks + after},${stream},${seq},${row + r},${groupIndex}`;
      group.channels.forEach(({ code, unit, exponent }, i) => {
        const mantissa = values[(row + r) * width + i]!;
        const reason = absentReason(mantissa);
        const value = reason === null ? `${decimalText(mantissa, exponent)},` : `,${reason}`;
        const named = `${code},${field(MDC_METRICS.get(code)?.name ?? "")}`;
        const units = `${field(MDC_UNITS.get(unit)?.ucum ?? "")},${unit}`;
        this.text.put(
          `${time},${where},${named},${value},${units},${isProved ? "yes" : "no"},${flags.join(" ")}\r\n`,
        );
      });
      this.values += width;
    }
  }

  end(): void {
    this.text.flush();
  }
}

/** A cell of text. */
export function field(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
