// The small JSON files that travel beside evidence and enrolments:
//
//   x.challenge  {"version":"vouch-challenge/v1","checkpoint":"<b64 note>","ledger":"directory",
//                 "receipt":"<b64>","random":"<b64 32>"}
//   x.enrolment  {"version":"vouch-enrolment/v1","salt":"<b64 16>","statement":"<b64 DSSE>"}
//   x.salt       {"version":"vouch-evidence-salt/v1","salt":"<b64 16>","evidenceSha256":"<hex>"}
//
// The challenge goes with the evidence, so that an auditor recomputes the nonce years
// later; enrolment and salts go to the device's owner and nowhere else. Canonical JSON.

import { fromBase64, toBase64 } from "./bytes";
import { formatJson, parseJson } from "./json";
import { quote, Refusal } from "./refusal";

export const MAX_COMPANION = 128 * 1024;
/** A challenge holds a ledger's receipt, which may be MAX_RECEIPT of bundle.ts, in base64. */
export const MAX_CHALLENGE = 1536 * 1024;

export interface Challenge {
  /** The checkpoint note, byte for byte as anchored. */
  readonly checkpoint: Uint8Array;
  /** The kind of ledger, and the very receipt that dates the nonce. */
  readonly ledger: string;
  readonly receipt: Uint8Array;
  readonly random: Uint8Array;
}

export interface EnrolmentFile {
  readonly salt: Uint8Array;
  readonly statement: Uint8Array;
}

export interface EvidenceSalt {
  readonly salt: Uint8Array;
  readonly evidenceSha256: string;
}

/** The text fields of a companion file whose keys are exactly `version` and `keys`. */
function fieldsOf(
  file: Uint8Array,
  what: string,
  version: string,
  keys: readonly string[],
  maxBytes = MAX_COMPANION,
): Record<string, string> {
  const json = parseJson(file, what, maxBytes);
  const found =
    typeof json === "object" && json !== null && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : {};
  if (Object.keys(found).join() !== ["version", ...keys].join())
    throw malformed(what, `expected the keys version, ${keys.join(", ")}`);
  if (Object.values(found).some((value) => typeof value !== "string"))
    throw malformed(what, "a field is not text");
  if (found["version"] !== version) {
    const known = `${version.slice(0, -1)}`;
    const code = String(found["version"]).startsWith(known) ? "unsupported-version" : `malformed-${what}`;
    throw new Refusal(code, `${what} is ${quote(String(found["version"]))}, expected ${version}`);
  }
  return found as Record<string, string>;
}

const malformed = (what: string, message: string) => new Refusal(`malformed-${what}`, `${what}: ${message}`);

function bytesOf(what: string, name: string, text: string, length?: number): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes === null) throw malformed(what, `${name} is not canonical base64`);
  if (length !== undefined && bytes.length !== length)
    throw malformed(what, `${name} has ${bytes.length} bytes, expected ${length}`);
  return bytes;
}

export function parseChallenge(file: Uint8Array): Challenge {
  const keys = ["checkpoint", "ledger", "receipt", "random"];
  const json = fieldsOf(file, "challenge", "vouch-challenge/v1", keys, MAX_CHALLENGE);
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(json["ledger"]!))
    throw malformed("challenge", "ledger is no kind of ledger");
  return {
    checkpoint: bytesOf("challenge", "checkpoint", json["checkpoint"]!),
    ledger: json["ledger"]!,
    receipt: bytesOf("challenge", "receipt", json["receipt"]!),
    random: bytesOf("challenge", "random", json["random"]!, 32),
  };
}

export function formatChallenge(challenge: Challenge): Uint8Array {
  return formatJson({
    version: "vouch-challenge/v1",
    checkpoint: toBase64(challenge.checkpoint),
    ledger: challenge.ledger,
    receipt: toBase64(challenge.receipt),
    random: toBase64(challenge.random),
  });
}

export function parseEnrolmentFile(file: Uint8Array): EnrolmentFile {
  const json = fieldsOf(file, "enrolment", "vouch-enrolment/v1", ["salt", "statement"]);
  return {
    salt: bytesOf("enrolment", "salt", json["salt"]!, 16),
    statement: bytesOf("enrolment", "statement", json["statement"]!),
  };
}

export function formatEnrolmentFile(enrolment: EnrolmentFile): Uint8Array {
  return formatJson({
    version: "vouch-enrolment/v1",
    salt: toBase64(enrolment.salt),
    statement: toBase64(enrolment.statement),
  });
}

export function parseEvidenceSalt(file: Uint8Array): EvidenceSalt {
  const json = fieldsOf(file, "salt", "vouch-evidence-salt/v1", ["salt", "evidenceSha256"]);
  if (!/^[0-9a-f]{64}$/.test(json["evidenceSha256"]!))
    throw malformed("salt", "evidenceSha256 is not 64 hex digits");
  return { salt: bytesOf("salt", "salt", json["salt"]!, 16), evidenceSha256: json["evidenceSha256"]! };
}

export function formatEvidenceSalt(salt: EvidenceSalt): Uint8Array {
  return formatJson({
    version: "vouch-evidence-salt/v1",
    salt: toBase64(salt.salt),
    evidenceSha256: salt.evidenceSha256,
  });
}
