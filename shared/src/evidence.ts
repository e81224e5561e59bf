// Evidence: what a device says of itself, over a nonce, signed. [device]
//
// An Entity Attestation Token (RFC 9711) in a COSE_Sign1 with protected header
// {1 alg: -8, 4 kid: 8 bytes, 16 typ: 263 application/eat+cwt} and nothing
// unprotected. The claims are one CBOR map, exactly these, in this order:
//
//       10 nonce 8..64 bytes      256 ueid: 01 ‖ 16 random bytes
//      259 hwmodel, bytes         260 hwversion [text]
//      261 uptime, seconds        263 dbgstat: 0 enabled (an open REPL) .. 4
//      265 profile                267 bootcount     268 bootseed, 16 bytes
//      273 measurements [[295, measured component]…], 1 to 4
//             {1: [name, [version, 16384 semver]], 2: [1 sha-256, digest]}
//   -65537 [[region length, keyed digest]…], same order as 273
//   -65538 kid of the maker's manifest key the device boots by
//   -65539 rollback floor   -65540 sequence number running   -65541 confirmed
//   -65542 SHA-256 of the manifest of the image running; left out when it has none
//
// digest is SHA-256 of the image (component "app") or of the whole region
// (component "engine"), and is what a release names. keyed digest is SHA-256 of
// nonce ‖ whole region, padding included: it can't be computed beforehand, and
// whoever holds the image checks it by padding with ff to the region length.
// RFC 9711's constrained-device profile wants ES256, so ours has its own name.

import { concatBytes, utf8Encode } from "./bytes";
import type { CborMap, CborValue } from "./cbor";
import { CBOR_STRICT, cborMap, decodeCbor, encodeCbor, isBytes, isMap, mapGet } from "./cbor";
import type { Sign1 } from "./cose";
import { COSE_ALG, COSE_ALG_EDDSA, COSE_KID, COSE_TYP, decodeSign1, encodeSign1, sigStructure } from "./cose";
import {
  FAULT_EVIDENCE_HEADER,
  FAULT_EVIDENCE_MALFORMED,
  FAULT_EVIDENCE_MISSING,
  FAULT_EVIDENCE_PROFILE,
  FAULT_EVIDENCE_TYPE,
  FAULT_EVIDENCE_UNKNOWN,
} from "./fault";

export const EVIDENCE_PROFILE = "tag:vouch.example,2026:evidence#1";

const TYP_EAT_CWT = 263;
const MEASURED_COMPONENT = 295; // CoAP content format, application/measured-component+cbor
const SEMVER = 16384; // version scheme of CoSWID, RFC 9393
const SHA256 = 1; // Named Information Hash Algorithm registry
const TEXT_MAX = 64;
const COMPONENTS_MAX = 4;

const NONCE = 10;
const UEID = 256;
const HWMODEL = 259;
const HWVERSION = 260;
const UPTIME = 261;
const DBGSTAT = 263;
const PROFILE = 265;
const BOOTCOUNT = 267;
const BOOTSEED = 268;
const MEASUREMENTS = 273;
const KEYED = -65537;
const VENDOR_KID = -65538;
const FLOOR = -65539;
const SEQUENCE = -65540;
const CONFIRMED = -65541;
const MANIFEST_DIGEST = -65542;

export interface Component {
  name: string;
  version: string;
  digest: Uint8Array;
  keyedDigest: Uint8Array;
  /** Bytes of flash hashed into keyedDigest. */
  regionLength: number;
}

export interface Claims {
  nonce: Uint8Array;
  ueid: Uint8Array;
  hwmodel: Uint8Array;
  hwversion: string;
  /** Seconds since boot. */
  uptime: number;
  dbgstat: number;
  bootcount: number;
  bootseed: Uint8Array;
  components: Component[];
  vendorKid: Uint8Array;
  floor: number;
  sequence: number;
  confirmed: boolean;
  manifestDigest: Uint8Array | null;
}

type Hash = (bytes: Uint8Array) => Uint8Array;

/** The claims as a device signs them. */
export function encodeClaims(c: Claims): Uint8Array {
  const measurements: CborValue[] = [];
  const keyed: CborValue[] = [];
  for (let i = 0; i < c.components.length; i++) {
    const component = c.components[i]!;
    const measured = cborMap([
      [1, [component.name, [component.version, SEMVER]]],
      [2, [SHA256, component.digest]],
    ]);
    measurements.push([MEASURED_COMPONENT, encodeCbor(measured)]);
    keyed.push([component.regionLength, component.keyedDigest]);
  }
  const map = cborMap([
    [NONCE, c.nonce],
    [UEID, c.ueid],
    [HWMODEL, c.hwmodel],
    [HWVERSION, [c.hwversion]],
    [UPTIME, c.uptime],
    [DBGSTAT, c.dbgstat],
    [PROFILE, EVIDENCE_PROFILE],
    [BOOTCOUNT, c.bootcount],
    [BOOTSEED, c.bootseed],
    [MEASUREMENTS, measurements],
    [KEYED, keyed],
    [VENDOR_KID, c.vendorKid],
    [FLOOR, c.floor],
    [SEQUENCE, c.sequence],
    [CONFIRMED, c.confirmed],
  ]);
  if (c.manifestDigest !== null) {
    map.keys.push(MANIFEST_DIGEST);
    map.values.push(c.manifestDigest);
  }
  return encodeCbor(map);
}

/** Signed evidence: `sign` gets the Sig_structure and returns the 64-byte signature. */
export function encodeEvidence(claimsBytes: Uint8Array, kid: Uint8Array, sign: Hash): Uint8Array {
  const header = cborMap([
    [COSE_ALG, COSE_ALG_EDDSA],
    [COSE_KID, kid],
    [COSE_TYP, TYP_EAT_CWT],
  ]);
  const signature = sign(sigStructure(encodeCbor(header), new Uint8Array(0), claimsBytes));
  return encodeSign1(header, claimsBytes, signature);
}

function isSized(value: CborValue | undefined, least: number, most: number): value is Uint8Array {
  return isBytes(value) && value.length >= least && value.length <= most;
}

function isCount(value: CborValue | undefined): value is number {
  return typeof value === "number" && value >= 0;
}

function isShortText(value: CborValue | undefined): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= TEXT_MAX;
}

function isPair(value: CborValue | undefined): value is CborValue[] {
  return Array.isArray(value) && value.length === 2;
}

// One measured component with its keyed twin, or null. Keys 3 (authorities) and
// 4 (flags) change what a component means, so nothing but 1 and 2 is read.
function decodeComponent(measurement: CborValue, keyed: CborValue): Component | null {
  if (!isPair(measurement) || !isPair(keyed)) return null;
  const bytes = measurement[1];
  const regionLength = keyed[0];
  const keyedDigest = keyed[1];
  if (measurement[0] !== MEASURED_COMPONENT || !isBytes(bytes)) return null;
  if (!isCount(regionLength) || !isSized(keyedDigest, 32, 32)) return null;
  const map = decodeCbor(bytes, CBOR_STRICT).value;
  if (!isMap(map) || map.keys.length !== 2) return null;
  const id = mapGet(map, 1);
  const measured = mapGet(map, 2);
  if (!isPair(id) || !isPair(measured)) return null;
  const name = id[0];
  const version = id[1];
  const digest = measured[1];
  if (!isShortText(name) || !isPair(version) || measured[0] !== SHA256 || !isSized(digest, 32, 32))
    return null;
  const text = version[0];
  if (!isShortText(text) || version[1] !== SEMVER) return null;
  return { name, version: text, digest, keyedDigest, regionLength };
}

function decodeComponents(
  measurements: CborValue | undefined,
  keyed: CborValue | undefined,
): Component[] | null {
  if (!Array.isArray(measurements) || !Array.isArray(keyed)) return null;
  const count = measurements.length;
  if (count < 1 || count > COMPONENTS_MAX || keyed.length !== count) return null;
  const out: Component[] = [];
  for (let i = 0; i < count; i++) {
    const component = decodeComponent(measurements[i]!, keyed[i]!);
    if (component === null) return null;
    // A name twice would let one digest stand in for the other.
    for (let k = 0; k < i; k++) if (out[k]!.name === component.name) return null;
    out.push(component);
  }
  return out;
}

// In the order of their encodings, which is that of a map decoded strictly.
const REQUIRED = [
  NONCE,
  UEID,
  HWMODEL,
  HWVERSION,
  UPTIME,
  DBGSTAT,
  PROFILE,
  BOOTCOUNT,
  BOOTSEED,
  MEASUREMENTS,
  KEYED,
  VENDOR_KID,
  FLOOR,
  SEQUENCE,
  CONFIRMED,
];

// The profile is asked first: what another profile requires isn't known here.
function checkLabels(map: CborMap): number {
  const keys = map.keys;
  if (mapGet(map, PROFILE) !== EVIDENCE_PROFILE) return FAULT_EVIDENCE_PROFILE;
  for (let i = 0; i < REQUIRED.length; i++)
    if (keys[i] !== REQUIRED[i] && mapGet(map, REQUIRED[i]!) === undefined) return FAULT_EVIDENCE_MISSING;
  const optional = keys[REQUIRED.length] === MANIFEST_DIGEST ? 1 : 0;
  return keys.length === REQUIRED.length + optional ? 0 : FAULT_EVIDENCE_UNKNOWN;
}

// checkLabels has passed: the values stand in the order of REQUIRED, and one more may follow.
function readClaims(values: CborValue[]): Claims | null {
  const nonce = values[0];
  const ueid = values[1];
  const hwmodel = values[2];
  const hwversion = values[3];
  const uptime = values[4];
  const dbgstat = values[5];
  const bootcount = values[7];
  const bootseed = values[8];
  const vendorKid = values[11];
  const floor = values[12];
  const sequence = values[13];
  const confirmed = values[14];
  const manifest = values[15];
  if (!isSized(nonce, 8, 64) || !isSized(ueid, 17, 17) || ueid[0] !== 1) return null;
  if (!isSized(hwmodel, 1, TEXT_MAX) || !Array.isArray(hwversion) || hwversion.length !== 1) return null;
  const hwversionText = hwversion[0];
  if (!isShortText(hwversionText) || !isCount(uptime) || !isCount(dbgstat) || dbgstat > 4) return null;
  if (!isCount(bootcount) || !isSized(bootseed, 16, 16) || !isSized(vendorKid, 8, 8)) return null;
  if (!isCount(floor) || !isCount(sequence) || typeof confirmed !== "boolean") return null;
  if (manifest !== undefined && !isSized(manifest, 32, 32)) return null;
  const components = decodeComponents(values[9], values[10]);
  if (components === null) return null;
  const manifestDigest = manifest === undefined ? null : manifest;
  return {
    nonce,
    ueid,
    hwmodel,
    hwversion: hwversionText,
    uptime,
    dbgstat,
    bootcount,
    bootseed,
    components,
    vendorKid,
    floor,
    sequence,
    confirmed,
    manifestDigest,
  };
}

/** The claims of our profile, or null and the fault. Byte strings are views of `bytes`. */
export function decodeClaims(bytes: Uint8Array): { fault: number; claims: Claims | null } {
  const decoded = decodeCbor(bytes, CBOR_STRICT);
  if (decoded.fault !== 0) return { fault: decoded.fault, claims: null };
  if (!isMap(decoded.value)) return { fault: FAULT_EVIDENCE_MALFORMED, claims: null };
  const fault = checkLabels(decoded.value);
  if (fault !== 0) return { fault, claims: null };
  const claims = readClaims(decoded.value.values);
  return { fault: claims === null ? FAULT_EVIDENCE_MALFORMED : 0, claims };
}

/** Takes evidence apart, without verifying its signature: the key comes from the enrolment, not from here. */
export function decodeEvidence(bytes: Uint8Array): { fault: number; sign1: Sign1; claims: Claims | null } {
  const sign1 = decodeSign1(bytes);
  if (sign1.fault !== 0) return { fault: sign1.fault, sign1, claims: null };
  if (sign1.typ !== TYP_EAT_CWT) return { fault: FAULT_EVIDENCE_TYPE, sign1, claims: null };
  if (
    sign1.kid === null ||
    sign1.kid.length !== 8 ||
    sign1.protectedMap.keys.length !== 3 ||
    sign1.unprotectedMap.keys.length !== 0
  )
    return { fault: FAULT_EVIDENCE_HEADER, sign1, claims: null };
  if (sign1.payload === null) return { fault: FAULT_EVIDENCE_MALFORMED, sign1, claims: null };
  const decoded = decodeClaims(sign1.payload);
  return { fault: decoded.fault, sign1, claims: decoded.claims };
}

/** The bytes an evidence signature covers. */
export function evidenceMessage(sign1: Sign1): Uint8Array {
  return sigStructure(sign1.protectedBytes, new Uint8Array(0), sign1.payload ?? new Uint8Array(0));
}

/** The nonce of an attestation: not before the checkpoint, and unpredictable by the random bytes. */
export function challengeNonce(
  sha256: Hash,
  checkpointNote: Uint8Array,
  receipt: Uint8Array,
  random32: Uint8Array,
): Uint8Array {
  return nonceAt(sha256, challengeBase(sha256, checkpointNote, receipt), random32);
}

/** What the challenges of one receipt have in common. */
export function challengeBase(sha256: Hash, checkpointNote: Uint8Array, receipt: Uint8Array): Uint8Array {
  return concatBytes([utf8Encode("vouch/challenge/v1\n"), sha256(checkpointNote), sha256(receipt)]);
}

/** The nonce of one of them. */
export function nonceAt(sha256: Hash, base: Uint8Array, random32: Uint8Array): Uint8Array {
  return sha256(concatBytes([base, random32]));
}

/** The nonce of an enrolment, which no checkpoint dates. */
export function enrolNonce(sha256: Hash, random32: Uint8Array): Uint8Array {
  return sha256(concatBytes([utf8Encode("vouch/enrol/v1\n"), random32]));
}
