// A countersignature: what an ML-DSA-65 key (FIPS 204) says beside all that Ed25519 keys have signed. One line of canonical
// JSON; format: spec/countersignature.md.
//
//   {"version":"vouch-countersignature/v1","of":"release","algorithm":"ml-dsa-65",
//    "keyid":"<hex SHA-256 of the public key>","signature":"<b64 3309>"}
//
//   of         message                                           context of FIPS 204
//   release    DSSE PAE of the release statement, as approved    vouch/countersignature/release/v1
//   bundle     all bytes behind the line's LF                    vouch/countersignature/bundle/v1
//
// It stands in front of a bundle, among renewals (renewal.ts), or alone in a file of its own: one of a release, until there is a
// bundle to put it in front of. Nothing here is verified, only read.

import { toBase64, utf8Encode } from "./bytes";
import { pae, parseEnvelope } from "./dsse";
import { base64, formatJson, hex, object, oneOf, readJson, type Shape } from "./json";
import { ML_DSA_65, MLDSA_SIGNATURE } from "./mldsakey";
import { quote, Refusal } from "./refusal";

export const COUNTERSIGNATURE_VERSION = "vouch-countersignature/v1";
export const MAX_COUNTERSIGNATURE = 8 * 1024;

/** What is countersigned: a release, wherever it is, or the bytes behind the line. */
export type Covered = "release" | "bundle";

export interface Countersignature {
  readonly of: Covered;
  readonly algorithm: string;
  readonly keyid: string;
  readonly signature: Uint8Array;
}

/** False for anything but a good signature of ML-DSA-65 in this context: mldsa.ts, which takes long to load. */
export type VerifyMldsa = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  context: Uint8Array,
) => boolean;

const version: Shape<string> = (value, at) => {
  if (value === COUNTERSIGNATURE_VERSION) return COUNTERSIGNATURE_VERSION;
  const isLater = typeof value === "string" && /^vouch-countersignature\/v[0-9]{1,6}$/.test(value);
  throw new Refusal(
    isLater ? "unsupported-version" : "malformed-json",
    `${at} is ${quote(String(value))}, this program reads ${COUNTERSIGNATURE_VERSION}`,
  );
};

const algorithm: Shape<string> = (value, at) => {
  if (value === ML_DSA_65) return ML_DSA_65;
  const isOther = typeof value === "string" && /^[a-z][a-z0-9-]{0,31}$/.test(value);
  throw new Refusal(
    isOther ? "unsupported-algorithm" : "malformed-json",
    `${at} is ${quote(String(value))}, known is ${ML_DSA_65}`,
  );
};

const SHAPE = object({
  version,
  of: oneOf("release", "bundle"),
  algorithm,
  keyid: hex(32),
  signature: base64(MLDSA_SIGNATURE),
});

const toJson = ({ of, algorithm, keyid, signature }: Countersignature) => ({
  version: COUNTERSIGNATURE_VERSION,
  of,
  algorithm,
  keyid,
  signature: toBase64(signature),
});

/**
 * Reads one line without its LF. Throws `malformed-countersignature`, `malformed-json`, `not-canonical-json`,
 * `unsupported-version`, `unsupported-algorithm`, `too-large`.
 */
export const parseCountersignature = (line: Uint8Array): Countersignature =>
  readJson(line, "the countersignature", MAX_COUNTERSIGNATURE, "malformed-countersignature", SHAPE, toJson);

/** The line, without its LF. */
export const formatCountersignature = (countersignature: Countersignature): Uint8Array =>
  formatJson(toJson(countersignature));

export const contextOf = (of: Covered): Uint8Array => utf8Encode(contextName(of));

export const contextName = (of: Covered): string => `vouch/countersignature/${of}/v1`;

/** What a countersignature of a release is over. Throws as parseEnvelope. */
export function releaseMessage(statement: Uint8Array): Uint8Array {
  const { payloadType, payload } = parseEnvelope(statement);
  return pae(payloadType, payload);
}
