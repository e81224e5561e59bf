// Decimals as a device gives them, mantissa × 10^exponent, to the digit: 20 × 10^-1 is 2.0 and not 2, because the
// digits say how well it was measured. JavaScript's numbers would lose that, and JSON.stringify with them.

import {
  VALUE_NAN,
  VALUE_NEGATIVE_INFINITY,
  VALUE_NRES,
  VALUE_POSITIVE_INFINITY,
  VALUE_RESERVED,
} from "./readings";

/** 365, -1: "36.5". Digits without exponent, as FHIR, SenML, CSV and people read them. */
export function decimalText(mantissa: number, exponent: number): string {
  if (exponent === 0 || (mantissa === 0 && exponent > 0)) return String(mantissa);
  if (exponent > 0) return mantissa + "0".repeat(exponent);
  const sign = mantissa < 0 ? "-" : "";
  const digits = String(Math.abs(mantissa)).padStart(1 - exponent, "0");
  return `${sign}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
}

/** Why a mantissa is no number, in the words of FHIR's data-absent-reason; null when it is one. */
export type AbsentReason = "not-a-number" | "positive-infinity" | "negative-infinity" | "error";

export function absentReason(mantissa: number): AbsentReason | null {
  if (mantissa < VALUE_POSITIVE_INFINITY && mantissa > VALUE_NEGATIVE_INFINITY) return null;
  switch (mantissa) {
    case VALUE_NAN:
      return "not-a-number";
    case VALUE_POSITIVE_INFINITY:
      return "positive-infinity";
    case VALUE_NEGATIVE_INFINITY:
      return "negative-infinity";
    case VALUE_RESERVED:
    case VALUE_NRES:
      return "error";
    default:
      return "error"; // past 24 bits: no reading has it, and nothing else may be made of it
  }
}
