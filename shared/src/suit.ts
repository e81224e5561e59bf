// The manifest a device checks before it boots an image. [device]
//
// A SUIT envelope (draft-ietf-suit-manifest-34) of one fixed shape, that of its
// example 0: one component, its SHA-256 and size, for one vendor and class.
//
//   d8 6b a2                                  tag 107, map
//    02 bstr [ bstr [-16, digest],            2 authentication: SHA-256 of the manifest in its bstr,
//              bstr COSE_Sign1 ]                and the signature {1: -8, 4: kid}, payload nil
//    03 bstr a5 01 01  02 sequence            3 manifest: version 1, sequence = rollback counter
//        03 bstr {2: [[h'00']],                 3 common: the component
//                 4: bstr [20, {1: vendor, 2: class, 3: bstr [-16, digest], 14: size}, 1, 15, 2, 15]}
//        07 bstr [3, 15]                        7 validate: image match
//        09 bstr [23, 2]                        9 invoke
//        [-65537 floor, -65538 version,         ours: rollback floor, release version,
//         -65539 [+ revision]]                  the hardware revisions it is for
//
// What is signed is the bstr content [-16, digest], as the draft says. The
// unsigned form, which approvers see, has the digest alone. Decoding reads the
// values out and compares with what encoding them gives: whatever else the
// draft allows is `unsupported`, and no manifest has two spellings.
//
//   upload: u32 little endian length of envelope ‖ envelope ‖ payload

import { concatBytes, equalBytes, utf8Encode } from "./bytes";
import type { CborMap, CborValue } from "./cbor";
import { CBOR_STRICT, cborMap, decodeCbor, encodeCbor, isBytes, isMap, isTag, mapGet } from "./cbor";
import { COSE_ALG, COSE_ALG_EDDSA, COSE_KID, decodeSign1, encodeSign1, kidOf, sigStructure } from "./cose";
import {
  FAULT_COSE_HEADER,
  FAULT_SIGNATURE_WRONG,
  FAULT_SUIT_DIGEST,
  FAULT_SUIT_MALFORMED,
  FAULT_SUIT_SIGNER,
  FAULT_SUIT_TOO_LARGE,
  FAULT_SUIT_UNSIGNED,
  FAULT_SUIT_UNSUPPORTED,
  FAULT_SUIT_UPLOAD,
} from "./fault";

/** With its 4-byte length, what fits the 1 KiB header of a slot. */
export const MAX_ENVELOPE = 1020;

const TAG_ENVELOPE = 107;
const SHA256 = -16; // COSE algorithm number
const FLOOR = -65537; // SUIT has no rollback floor; a private manifest key carries it
const VERSION = -65538; // SUIT keeps versions in severable text, which a device drops
const VERSION_MAX = 64;
const REVISIONS = -65539; // SUIT could give each revision a class id; one release is for several
const REVISIONS_MAX = 8;
const REVISION_BYTES = 40; // as the engine block's

export interface Manifest {
  sequence: number;
  vendorId: Uint8Array;
  classId: Uint8Array;
  /** SHA-256 of the image. */
  digest: Uint8Array;
  /** Length of the image. */
  size: number;
  /** What the device's rollback floor rises to when this image is confirmed; 0 leaves it. */
  floor: number;
  /** The release's version, for people; nothing is decided by it. "" when the manifest has none. */
  version: string;
  /** The hardware revisions it runs on, as devices name theirs; none for any. */
  revisions: string[];
}

/** A decoded envelope; only `fault` means anything unless it is 0. Nothing is verified yet. */
export interface Envelope {
  fault: number;
  /** The content of the bstr under key 3; a release statement names its SHA-256. */
  manifestBytes: Uint8Array;
  manifest: Manifest;
  auth: { digest: Uint8Array; sign1: Uint8Array | null };
}

type Hash = (bytes: Uint8Array) => Uint8Array;
type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

/** The manifest bytes: what stands in the bstr under envelope key 3. */
export function encodeManifest(m: Manifest): Uint8Array {
  const parameters = cborMap([
    [1, m.vendorId],
    [2, m.classId],
    [3, encodeCbor([SHA256, m.digest])],
    [14, m.size],
  ]);
  const common = cborMap([
    [2, [[new Uint8Array(1)]]],
    [4, encodeCbor([20, parameters, 1, 15, 2, 15])],
  ]);
  const manifest = cborMap([
    [1, 1],
    [2, m.sequence],
    [3, encodeCbor(common)],
    [7, encodeCbor([3, 15])],
    [9, encodeCbor([23, 2])],
  ]);
  if (m.floor > 0) {
    manifest.keys.push(FLOOR);
    manifest.values.push(m.floor);
  }
  if (m.version !== "") {
    manifest.keys.push(VERSION);
    manifest.values.push(m.version);
  }
  if (m.revisions.length > 0) {
    manifest.keys.push(REVISIONS);
    manifest.values.push(m.revisions);
  }
  return encodeCbor(manifest);
}

/** The envelope of a manifest; unsigned when `sign` is null, and then `kid` isn't looked at. */
export function encodeEnvelope(
  manifestBytes: Uint8Array,
  sha256: Hash,
  kid: Uint8Array,
  sign: Hash | null,
): Uint8Array {
  const digest = encodeCbor([SHA256, sha256(encodeCbor(manifestBytes))]);
  const authentication: CborValue[] = [digest];
  if (sign !== null) {
    const header = cborMap([
      [COSE_ALG, COSE_ALG_EDDSA],
      [COSE_KID, kid],
    ]);
    const signature = sign(sigStructure(encodeCbor(header), new Uint8Array(0), digest));
    authentication.push(encodeSign1(header, null, signature));
  }
  const envelope = cborMap([
    [2, encodeCbor(authentication)],
    [3, manifestBytes],
  ]);
  return encodeCbor({ tag: TAG_ENVELOPE, value: envelope });
}

// CBOR inside a byte string; undefined for anything else.
function inside(value: CborValue | undefined): CborValue | undefined {
  if (!isBytes(value)) return undefined;
  const decoded = decodeCbor(value, CBOR_STRICT);
  return decoded.fault === 0 ? decoded.value : undefined;
}

function insideMap(value: CborValue | undefined): CborMap | null {
  const map = inside(value);
  return isMap(map) ? map : null;
}

function isSized(value: CborValue | undefined, length: number): value is Uint8Array {
  return isBytes(value) && value.length === length;
}

// The digest of a bstr-wrapped [-16, digest], or null.
function digestInside(value: CborValue | undefined): Uint8Array | null {
  const pair = inside(value);
  if (!Array.isArray(pair) || pair.length !== 2 || pair[0] !== SHA256) return null;
  const digest = pair[1];
  return isSized(digest, 32) ? digest : null;
}

// The characters of a semantic version: nothing a terminal could take for a command.
function isVersion(value: CborValue): value is string {
  if (typeof value !== "string" || value.length < 1 || value.length > VERSION_MAX) return false;
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    const isDigit = c >= 0x30 && c <= 0x39;
    const isLetter = (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);
    if (!isDigit && !isLetter && c !== 0x2b && c !== 0x2d && c !== 0x2e) return false; // + - .
  }
  return true;
}

function isRevision(value: CborValue | undefined): value is string {
  if (typeof value !== "string" || value === "" || utf8Encode(value).length > REVISION_BYTES) return false;
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
  }
  return true;
}

// The revisions named; an empty list where the manifest names none, null where it does so wrongly.
function readRevisions(value: CborValue | undefined): string[] | null {
  const revisions: string[] = [];
  if (value === undefined) return revisions;
  if (!Array.isArray(value) || value.length < 1 || value.length > REVISIONS_MAX) return null;
  for (let i = 0; i < value.length; i++) {
    const revision = value[i];
    if (!isRevision(revision)) return null;
    revisions.push(revision);
  }
  return revisions;
}

/** Whether an image of this manifest is for a device of this hardware revision. */
export function fitsRevision(manifest: Manifest, revision: string): boolean {
  const revisions = manifest.revisions;
  for (let i = 0; i < revisions.length; i++) if (revisions[i] === revision) return true;
  return revisions.length === 0;
}

// The values of a manifest; null where the one-component profile has no place for it.
function readManifest(map: CborMap): Manifest | null {
  const sequence = mapGet(map, 2);
  const common = insideMap(mapGet(map, 3));
  const shared = inside(common === null ? undefined : mapGet(common, 4));
  const parameters = Array.isArray(shared) ? shared[1] : undefined;
  if (typeof sequence !== "number" || sequence < 0 || !isMap(parameters)) return null;
  const vendorId = mapGet(parameters, 1);
  const classId = mapGet(parameters, 2);
  const digest = digestInside(mapGet(parameters, 3));
  const size = mapGet(parameters, 14);
  if (!isSized(vendorId, 16) || !isSized(classId, 16) || digest === null) return null;
  if (typeof size !== "number" || size < 1) return null;
  const floor = mapGet(map, FLOOR);
  if (floor !== undefined && typeof floor !== "number") return null;
  // A floor above the image's own number would lock out the very image that sets it.
  if (floor !== undefined && (floor < 1 || floor > sequence)) return null;
  const version = mapGet(map, VERSION);
  if (version !== undefined && !isVersion(version)) return null;
  const revisions = readRevisions(mapGet(map, REVISIONS));
  if (revisions === null) return null;
  return {
    sequence,
    vendorId,
    classId,
    digest,
    size,
    floor: floor === undefined ? 0 : floor,
    version: version === undefined ? "" : version,
    revisions,
  };
}

/** Takes an envelope apart. Byte strings are views of `bytes`. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const none = new Uint8Array(0);
  const out: Envelope = {
    fault: FAULT_SUIT_MALFORMED,
    manifestBytes: none,
    manifest: {
      sequence: 0,
      vendorId: none,
      classId: none,
      digest: none,
      size: 0,
      floor: 0,
      version: "",
      revisions: [],
    },
    auth: { digest: none, sign1: null },
  };
  if (bytes.length > MAX_ENVELOPE) {
    out.fault = FAULT_SUIT_TOO_LARGE;
    return out;
  }
  const decoded = decodeCbor(bytes, CBOR_STRICT);
  if (decoded.fault !== 0) {
    out.fault = decoded.fault;
    return out;
  }
  const tag = decoded.value;
  if (!isTag(tag) || tag.tag !== TAG_ENVELOPE || !isMap(tag.value)) return out;
  const authentication = inside(mapGet(tag.value, 2));
  const manifestBytes = mapGet(tag.value, 3);
  const map = insideMap(manifestBytes);
  if (!Array.isArray(authentication) || !isBytes(manifestBytes) || map === null) return out;

  out.fault = FAULT_SUIT_UNSUPPORTED; // from here on it is SUIT, perhaps not ours
  const digest = digestInside(authentication[0]);
  const sign1 = authentication[1]; // undefined when unsigned; nil is no other way to say so
  const manifest = readManifest(map);
  if (tag.value.keys.length !== 2 || authentication.length > 2 || digest === null || manifest === null)
    return out;
  if (sign1 !== undefined && !isBytes(sign1)) return out;
  if (!equalBytes(encodeManifest(manifest), manifestBytes)) return out;
  out.manifestBytes = manifestBytes;
  out.manifest = manifest;
  out.auth.digest = digest;
  out.auth.sign1 = sign1 ?? null;
  out.fault = 0;
  return out;
}

/** 0 when the holder of `vendorKey` signed this manifest; else the first fault, cheapest checks first. */
export function verifyEnvelope(
  envelope: Envelope,
  vendorKey: Uint8Array,
  sha256: Hash,
  verify: Verify,
): number {
  if (envelope.fault !== 0) return envelope.fault;
  if (!equalBytes(sha256(encodeCbor(envelope.manifestBytes)), envelope.auth.digest)) return FAULT_SUIT_DIGEST;
  if (envelope.auth.sign1 === null) return FAULT_SUIT_UNSIGNED;
  const sign1 = decodeSign1(envelope.auth.sign1);
  if (sign1.fault !== 0) return sign1.fault;
  if (sign1.payload !== null) return FAULT_SUIT_UNSUPPORTED;
  if (sign1.kid === null || !equalBytes(sign1.kid, kidOf(sha256(vendorKey)))) return FAULT_SUIT_SIGNER;
  if (sign1.protectedMap.keys.length !== 2 || sign1.unprotectedMap.keys.length !== 0)
    return FAULT_COSE_HEADER;
  const digest = encodeCbor([SHA256, envelope.auth.digest]);
  const message = sigStructure(sign1.protectedBytes, new Uint8Array(0), digest);
  return verify(vendorKey, message, sign1.signature) ? 0 : FAULT_SIGNATURE_WRONG;
}

/** What travels to the device. The caller made the envelope, so one too long is a bug. */
export function encodeUpload(envelope: Uint8Array, payload: Uint8Array): Uint8Array {
  const n = envelope.length;
  if (n > MAX_ENVELOPE) throw new Error(`envelope of ${n} bytes doesn't fit a slot header`);
  return concatBytes([new Uint8Array([n & 255, n >> 8, 0, 0]), envelope, payload]);
}

/** Envelope and payload of an upload, as views of it; neither is looked into. */
export function splitUpload(bytes: Uint8Array): { fault: number; envelope: Uint8Array; payload: Uint8Array } {
  const n = bytes.length < 4 ? 0 : bytes[0]! + 256 * bytes[1]! + 65536 * bytes[2]! + 16777216 * bytes[3]!;
  if (n < 1 || n > MAX_ENVELOPE || 4 + n > bytes.length)
    return { fault: FAULT_SUIT_UPLOAD, envelope: bytes.subarray(0, 0), payload: bytes.subarray(0, 0) };
  return { fault: 0, envelope: bytes.subarray(4, 4 + n), payload: bytes.subarray(4 + n) };
}
