// What a person says on the command line of who measured, who carried and whom it is about. Said in FHIR as given; nothing
// of it is proved, and what isn't said isn't made up.
//
//   --device eui=FE-ED-AB-EE-DE-AD-77-C3 --device manufacturer="Example Medical BV"
//   --patient Patient/7f3a, --patient-identifier urn:oid:1.2.3|7f3a

import { quote } from "@vouch/shared/refusal";
import { parseUdi } from "@vouch/shared/udi";
import { usage } from "../exit";
import type { PatientGiven } from "../fhir/bundle";
import type { Named } from "../fhir/devices";

const DEVICE_KEYS = ["eui", "name", "manufacturer", "model", "serial", "hardware", "udi"] as const;
const GATEWAY_KEYS = ["eui", "name", "manufacturer", "model", "clock"] as const;

/** FHIR's string: something to see, nothing invisible, no space at either end. */
const TEXT = /^[^\s\p{Cc}\p{Cf}](?:[^\p{Cc}\p{Cf}]{0,254}[^\s\p{Cc}\p{Cf}])?$/u;

function pairsOf(given: readonly string[], flag: string, keys: readonly string[]): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const text of given) {
    const at = text.indexOf("=");
    const key = text.slice(0, at);
    const value = text.slice(at + 1);
    if (at < 1 || !keys.includes(key))
      throw usage(`${flag}: found ${quote(text)}, expected KEY=VALUE with one of ${keys.join(", ")}`);
    if (pairs.has(key)) throw usage(`${flag} ${key} is given twice`);
    if (!TEXT.test(value)) throw usage(`${flag} ${key}: found ${quote(value)}, expected text on one line`);
    pairs.set(key, value);
  }
  return pairs;
}

/** FE-ED-AB-EE-DE-AD-77-C3, however its bytes are parted. */
function euiOf(text: string | undefined, flag: string): string | undefined {
  if (text === undefined) return undefined;
  const digits = text.replace(/[-:]/g, "").toUpperCase();
  if (!/^[0-9A-F]{16}$/.test(digits))
    throw usage(`${flag} eui: found ${quote(text)}, expected an EUI-64 of 16 hex digits`);
  return digits.match(/../g)!.join("-");
}

export function deviceGiven(given: readonly string[]): Named {
  const pairs = pairsOf(given, "--device", DEVICE_KEYS);
  const udi = pairs.get("udi");
  if (udi !== undefined) parseUdi(udi);
  return { ...Object.fromEntries(pairs), eui: euiOf(pairs.get("eui"), "--device") };
}

export function gatewayGiven(given: readonly string[]): Named {
  const pairs = pairsOf(given, "--gateway", GATEWAY_KEYS);
  const clock = pairs.get("clock");
  if (clock !== undefined && clock !== "ntp")
    throw usage(`--gateway clock: found ${quote(clock)}, expected ntp, or nothing`);
  pairs.delete("clock");
  return {
    ...Object.fromEntries(pairs),
    eui: euiOf(pairs.get("eui"), "--gateway"),
    isNtp: clock === "ntp",
  };
}

const REFERENCE = /^(https?:\/\/[^\s|\\"<>^`{}]{1,400}\/)?Patient\/[A-Za-z0-9.-]{1,64}$/;
const SYSTEM = /^[a-z][a-z0-9+.-]*:[^\s|\\"<>^`{}\p{Cc}\p{Cf}]{1,400}$/u;

export function patientGiven(reference: string | undefined, identifier: string | undefined): PatientGiven {
  if (reference === undefined && identifier === undefined)
    throw usage(
      "--fhir needs --patient or --patient-identifier: whose readings they are is not in the stream",
    );
  if (reference !== undefined && !REFERENCE.test(reference))
    throw usage(`--patient: found ${quote(reference)}, expected Patient/ID`);
  if (identifier === undefined) return { reference: reference ?? null, identifier: null };
  const at = identifier.indexOf("|");
  const system = identifier.slice(0, Math.max(0, at));
  const value = identifier.slice(at + 1);
  if (!SYSTEM.test(system) || !TEXT.test(value) || value.includes("|"))
    throw usage(
      `--patient-identifier: found ${quote(identifier)}, expected SYSTEM|VALUE with a URI as system`,
    );
  return { reference: reference ?? null, identifier: { system, value } };
}
