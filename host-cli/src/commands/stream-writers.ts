// The forms that readings are exported in, behind one face: takes pieces, is ended once, says what it wrote.

import { linkOf } from "@vouch/shared/stream";
import { isoMillis, type Timeline } from "@vouch/shared/streamtime";
import { CsvWriter } from "../export/csv";
import { SENML_CBOR, SENML_JSON, SenmlWriter } from "../export/senml";
import { type Closing, type FhirFacts, FhirWriter } from "../fhir/bundle";
import type { Stamp } from "../readings";
import type { SignedFrame, Taker } from "./stream-passes";

export type Out = (bytes: Uint8Array) => void;

/** `values` and `unitless` of forms that have a line for each value; resources by type. */
export interface Told {
  readonly values?: number;
  readonly unitless?: number;
  readonly resources?: Readonly<Record<string, number>>;
}

export interface Writer extends Taker {
  end(): void;
  told(): Told;
}

export function fhirWriter(
  facts: FhirFacts,
  timeline: Timeline<Stamp>,
  maxUncertainty: number,
  isLines: boolean,
  out: Out,
): Writer {
  const writer = new FhirWriter(facts, isLines, out);
  const closing = ({ frame, seq, ticks, boot }: SignedFrame): Closing => {
    const placed = timeline.place(boot, ticks);
    const isSure = placed !== null && placed.uncertainty <= maxUncertainty;
    return { frame, lastSeq: seq, link: linkOf(frame), time: isSure ? isoMillis(placed.micros) : null };
  };
  return {
    piece: (piece, signed) => writer.piece(piece, () => closing(signed())),
    proved: (_, signed) => writer.close(() => closing(signed())),
    end: () => writer.end(),
    told: () => ({ resources: writer.written }),
  };
}

export function senmlWriter(device: string, isCbor: boolean, out: Out): Writer {
  const writer = new SenmlWriter(device, isCbor ? SENML_CBOR : SENML_JSON, out);
  return {
    piece: (piece) => writer.piece(piece),
    proved: () => {},
    end: () => writer.end(),
    told: () => ({ values: writer.values, unitless: writer.unitless }),
  };
}

export function csvWriter(out: Out): Writer {
  const writer = new CsvWriter(out);
  return {
    piece: (piece) => writer.piece(piece),
    proved: () => {},
    end: () => writer.end(),
    told: () => ({ values: writer.values }),
  };
}
