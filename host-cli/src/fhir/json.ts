// JSON as FHIR wants its decimals: with the digits they came with. JSON.stringify writes 2.0 as 2 and has no way round.
//
//   formatResource({ value: decimal(20, -1) })   {"value":2.0}
//   template({ id: hole(0), value: hole(1) })    ["{\"id\":", ",\"value\":", "}"]   a hole takes JSON text
//
// Of 172,800 readings all but a few words are the same, so a resource is written once with holes, and then filled.
//
// decimal() and hole() say that they are what the resource's type wants there, number or string, so that resources are
// checked against @types/fhir; only the two functions below may look into one.

import { decimalText } from "@vouch/shared/decimal";

class Raw {
  constructor(readonly text: string) {}
}

class Hole {
  constructor(readonly place: number) {}
}

/** mantissa × 10^exponent, to the digit. */
export const decimal = (mantissa: number, exponent: number): number =>
  new Raw(decimalText(mantissa, exponent)) as unknown as number;

/** Where a template takes the JSON text with this number. */
export const hole = <T = string>(place: number): T => new Hole(place) as T;

/** JSON of a resource, keys in their order, what is undefined left out. */
export function formatResource(value: unknown): string {
  return write(value, () => {
    throw new Error("a hole in what isn't a template");
  });
}

/** The pieces around the holes, which stand in the order of their numbers, each once. */
export function template(value: unknown): readonly string[] {
  let next = 0;
  const text = write(value, (place) => {
    if (place !== next++) throw new Error(`hole ${place} where ${next - 1} was expected`);
    return "\0"; // JSON text has none: it writes \u0000
  });
  return text.split("\0");
}

function write(value: unknown, fill: (place: number) => string): string {
  if (value instanceof Raw) return value.text;
  if (value instanceof Hole) return fill(value.place);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, fill)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${write(member, fill)}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw new Error(`${value} isn't a whole number: decimal() says its digits`);
  return JSON.stringify(value);
}
