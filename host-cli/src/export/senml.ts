// Readings as SenML (RFC 8428), JSON or CBOR, for what collects sensors' data.
//
//   [{"bn":"urn:dev:ueid:AQ…:","bt":1795359845.120,"n":"150456","u":"/","v":0.97},
//    {"n":"149530","u":"beat/min","v":62}, …]
//
//   bn   the device: urn:dev:ueid (RFC 9711) or urn:dev:mac (RFC 9039), in the first record
//   bt   the time of a frame's first row, in seconds; t counts from it
//   n    MDC's number of what was measured; "unproved:" in front where nobody signed for the reading, or nobody who was
//        named for its time
//   u    a unit of the registry. What the registry has none for (mmHg, mg/dL) stays behind and is counted: a number
//        without its unit would be somebody's guess
//   v    to the digit; where there is none, vs says why
//
// Units of ours become the registry's by a power of ten alone, so no digit is lost: 97 % is 0.97, 36.5 Cel stays.
// CBOR is the streaming form, SenSML: an array of unknown length. Its numbers are integers and decimal fractions (tag 4).

import { absentReason, decimalText } from "@vouch/shared/decimal";
import { MDC_UNITS } from "@vouch/shared/mdc";
import type { Channel } from "@vouch/shared/readings";
import type { Piece } from "../readings";

/** The device's URN, with the colon that parts it from a name. */
export const deviceUrn = (eui: string | undefined, ueid: Uint8Array): string =>
  eui === undefined
    ? `urn:dev:ueid:${Buffer.from(ueid).toString("base64url")}:`
    : `urn:dev:mac:${eui.replaceAll("-", "").toLowerCase()}:`;

const CHUNK = 128 * 1024;

interface Value {
  mantissa: number;
  exponent: number;
}

interface Rec {
  bn?: string;
  bt?: Value;
  n: string;
  t?: Value;
  u?: string;
  v?: Value;
  vs?: string;
}

/** Writes one record after another; what is around and between them. */
interface Form {
  begin: Uint8Array;
  end: Uint8Array;
  write(record: Rec, isFirst: boolean): Uint8Array;
}

export class SenmlWriter {
  values = 0;
  /** Values whose unit SenML has no name for. */
  unitless = 0;
  private parts: Uint8Array[];
  private size = 0;
  private isFirst = true;
  private base = "";

  constructor(
    private readonly device: string,
    private readonly form: Form,
    private readonly out: (chunk: Uint8Array) => void,
  ) {
    this.parts = [form.begin];
  }

  piece({ block, row, rows, placed, flags }: Piece): void {
    if (placed === null) throw new Error("a reading without time would be read as taken now");
    const { group, values } = block;
    const width = group.channels.length;
    const start = millisOf(placed.micros);
    for (let r = 0; r < rows; r++) {
      const after = r * group.period;
      group.channels.forEach((channel, i) => {
        const record = recordOf(channel, values[(row + r) * width + i]!, flags);
        if (record === null) {
          this.unitless++;
          return;
        }
        this.values++;
        this.add(this.based(record, start, after));
      });
    }
  }

  /** Whole numbers of milliseconds, so that a base time and what is added give the time to the digit. */
  private based(record: Rec, start: number, after: number): Rec {
    const bn = this.isFirst ? { bn: this.device } : {};
    const millis = start + after;
    const second = Math.floor(millis / 1000) * 1000;
    const base =
      this.base === "" || Math.abs(second - Number(this.base)) > 60_000 ? second : Number(this.base);
    const bt = String(base) === this.base ? {} : { bt: { mantissa: base / 1000, exponent: 0 } };
    this.base = String(base);
    const t = millis === base ? {} : { t: { mantissa: millis - base, exponent: -3 } };
    const { n, ...rest } = record;
    return { ...bn, ...bt, n, ...t, ...rest };
  }

  end(): void {
    this.parts.push(this.form.end);
    this.flush();
  }

  private add(record: Rec): void {
    const bytes = this.form.write(record, this.isFirst);
    this.isFirst = false;
    this.parts.push(bytes);
    this.size += bytes.length;
    if (this.size >= CHUNK) this.flush();
  }

  private flush(): void {
    this.out(Buffer.concat(this.parts));
    this.parts = [];
    this.size = 0;
  }
}

/** Cut, as in the other forms. */
const millisOf = (micros: number): number => Math.floor(micros / 1000);

/** Of a piece, that nobody who is to be believed signed for what a record says. */
const MARKED = ["unproved", "unnamed-recorder"];

/** Null for a unit that the registry doesn't have. */
function recordOf({ code, unit, exponent }: Channel, mantissa: number, flags: readonly string[]): Rec | null {
  const known = MDC_UNITS.get(unit)?.senml ?? null;
  if (known === null) return null;
  const [u, power] = known;
  const n = `${MARKED.some((flag) => flags.includes(flag)) ? "unproved:" : ""}${code}`;
  const reason = absentReason(mantissa);
  return reason === null ? { n, u, v: { mantissa, exponent: exponent + power } } : { n, vs: reason };
}

// ---- JSON

const text = (value: string): Uint8Array => Buffer.from(value);

export const SENML_JSON: Form = {
  begin: text("["),
  end: text("]\n"),
  write(record, isFirst) {
    const members = Object.entries(record).map(([key, value]: [string, string | Value]) => {
      const json =
        typeof value === "string" ? JSON.stringify(value) : decimalText(value.mantissa, value.exponent);
      return `"${key}":${json}`;
    });
    return text(`${isFirst ? "" : ",\n"}{${members.join(",")}}`);
  },
};

// ---- CBOR: an array of unknown length, in it maps with the labels of RFC 8428 table 4

const LABELS: Record<keyof Rec, number> = { bn: -2, bt: -3, n: 0, u: 1, v: 2, vs: 3, t: 6 };

export const SENML_CBOR: Form = {
  begin: Uint8Array.of(0x9f),
  end: Uint8Array.of(0xff),
  write(record) {
    const members = Object.entries(record) as [keyof Rec, string | Value][];
    const out = head(5, members.length);
    for (const [key, value] of members) {
      out.push(...integer(LABELS[key]));
      if (typeof value === "string") {
        const bytes = text(value);
        out.push(...head(3, bytes.length), ...bytes);
      } else if (value.exponent === 0) out.push(...integer(value.mantissa));
      else out.push(0xc4, 0x82, ...integer(value.exponent), ...integer(value.mantissa));
    }
    return Uint8Array.from(out);
  },
};

const integer = (value: number): number[] => (value < 0 ? head(1, -1 - value) : head(0, value));

/** A head with its number in the shortest form. */
function head(major: number, n: number): number[] {
  const first = major << 5;
  if (n < 24) return [first | n];
  if (n < 0x100) return [first | 24, n];
  if (n < 0x10000) return [first | 25, n >> 8, n & 255];
  const low = [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  if (n < 0x100000000) return [first | 26, ...low];
  const high = Math.floor(n / 0x100000000);
  const rest = n % 0x100000000;
  return [
    first | 27,
    ...[high >>> 24, (high >>> 16) & 255, (high >>> 8) & 255, high & 255],
    ...[Math.floor(rest / 0x1000000), (rest >>> 16) & 255, (rest >>> 8) & 255, rest & 255],
  ];
}
