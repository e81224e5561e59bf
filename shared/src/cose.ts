// COSE_Sign1, RFC 9052 section 4.2, with Ed25519. [device]
//
//   d2                    tag 18
//   84                    array(4)
//      bstr               protected header, a map in its own encoding: 1 alg, 4 kid, 16 typ
//      a0                 unprotected header
//      bstr / f6          payload, or nil when it travels elsewhere
//      58 40 …            signature over the Sig_structure
//
//   Sig_structure = 84 6a "Signature1" ‖ bstr protected ‖ bstr external_aad ‖ bstr payload
//
// Algorithm: -8 (EdDSA) is written, -8 and -19 (Ed25519, RFC 9864) are read;
// peers don't know -19 yet. Another algorithm is unsupported, not a wrong
// signature. alg, kid and typ count only where they are protected. A verifier
// takes its key from policy: kid says which one is meant and proves nothing.

import { copyBytes } from "./bytes";
import type { CborMap, CborValue } from "./cbor";
import { CBOR_STRICT, decodeCbor, encodeCbor, isBytes, isMap, isTag, mapGet } from "./cbor";
import { FAULT_COSE_ALGORITHM, FAULT_COSE_CRITICAL, FAULT_COSE_HEADER, FAULT_COSE_MALFORMED } from "./fault";

export const COSE_ALG_EDDSA = -8;
export const COSE_ALG_ED25519 = -19;
export const COSE_ALG = 1;
export const COSE_CRIT = 2;
export const COSE_KID = 4;
export const COSE_TYP = 16;

const TAG_SIGN1 = 18;
const KID_LENGTH = 8;

/** A decoded COSE_Sign1; only `fault` means anything unless it is 0. Nothing is verified yet. */
export interface Sign1 {
  fault: number;
  protectedBytes: Uint8Array;
  protectedMap: CborMap;
  unprotectedMap: CborMap;
  alg: number;
  /** Protected kid and typ; a typ that is text is null here and left in the map. */
  kid: Uint8Array | null;
  typ: number | null;
  payload: Uint8Array | null;
  signature: Uint8Array;
}

/** The name a key goes by here: the first 8 bytes of its SHA-256. */
export function kidOf(sha256OfKey: Uint8Array): Uint8Array {
  return copyBytes(sha256OfKey, 0, KID_LENGTH);
}

// array(4), text(10) "Signature1"
const CONTEXT = [0x84, 0x6a, 0x53, 0x69, 0x67, 0x6e, 0x61, 0x74, 0x75, 0x72, 0x65, 0x31];

function headSize(n: number): number {
  return n < 24 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
}

// Writes a byte string and says where it ends.
function putBytes(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const size = headSize(bytes.length);
  out[at] = 0x40 | (size === 1 ? bytes.length : size === 2 ? 24 : size === 3 ? 25 : 26);
  let rest = bytes.length;
  for (let i = size - 1; i > 0; i--) {
    out[at + i] = rest & 255;
    rest >>>= 8;
  }
  out.set(bytes, at + size);
  return at + size + bytes.length;
}

/** The bytes that are signed, in one allocation: nearly all of them are payload, and a fleet has many. */
export function sigStructure(
  protectedBytes: Uint8Array,
  externalAad: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  let length = CONTEXT.length;
  const parts = [protectedBytes, externalAad, payload];
  for (let i = 0; i < 3; i++) length += headSize(parts[i]!.length) + parts[i]!.length;
  const out = new Uint8Array(length);
  for (let i = 0; i < CONTEXT.length; i++) out[i] = CONTEXT[i]!;
  let at = CONTEXT.length;
  for (let i = 0; i < 3; i++) at = putBytes(out, at, parts[i]!);
  return out;
}

/** A COSE_Sign1 with an empty unprotected header; payload null when detached. */
export function encodeSign1(
  protectedMap: CborMap,
  payload: Uint8Array | null,
  signature: Uint8Array,
): Uint8Array {
  const unprotectedMap: CborMap = { keys: [], values: [] };
  return encodeCbor({
    tag: TAG_SIGN1,
    value: [encodeCbor(protectedMap), unprotectedMap, payload, signature],
  });
}

function decodeProtected(bytes: Uint8Array): CborMap | null {
  if (bytes.length === 0) return { keys: [], values: [] }; // how an empty map is written, RFC 9052 section 3
  const decoded = decodeCbor(bytes, CBOR_STRICT);
  return decoded.fault === 0 && isMap(decoded.value) ? decoded.value : null;
}

// Fills alg, kid and typ, or returns why the headers can't be relied on.
function readHeaders(out: Sign1): number {
  const keys = out.unprotectedMap.keys;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (typeof key !== "number" && typeof key !== "string") return FAULT_COSE_HEADER;
    // alg and crit must be protected, and no label may stand in both (section 3).
    if (key === COSE_ALG || key === COSE_CRIT || mapGet(out.protectedMap, key) !== undefined)
      return FAULT_COSE_HEADER;
  }
  if (mapGet(out.protectedMap, COSE_CRIT) !== undefined) return FAULT_COSE_CRITICAL;
  const alg = mapGet(out.protectedMap, COSE_ALG);
  if (alg === undefined) return FAULT_COSE_HEADER;
  if (alg !== COSE_ALG_EDDSA && alg !== COSE_ALG_ED25519) return FAULT_COSE_ALGORITHM;
  out.alg = alg;
  const kid = mapGet(out.protectedMap, COSE_KID);
  if (kid !== undefined) {
    if (!isBytes(kid)) return FAULT_COSE_HEADER;
    out.kid = kid;
  }
  const typ = mapGet(out.protectedMap, COSE_TYP);
  if (typeof typ === "number") out.typ = typ;
  else if (typ !== undefined && typeof typ !== "string") return FAULT_COSE_HEADER;
  return 0;
}

/** Takes a tagged COSE_Sign1 apart. Byte strings are views of `bytes`. */
export function decodeSign1(bytes: Uint8Array): Sign1 {
  const none = new Uint8Array(0);
  const out: Sign1 = {
    fault: FAULT_COSE_MALFORMED,
    protectedBytes: none,
    protectedMap: { keys: [], values: [] },
    unprotectedMap: { keys: [], values: [] },
    alg: 0,
    kid: null,
    typ: null,
    payload: null,
    signature: none,
  };
  const decoded = decodeCbor(bytes, CBOR_STRICT);
  if (decoded.fault !== 0) {
    out.fault = decoded.fault;
    return out;
  }
  const value: CborValue = decoded.value;
  if (!isTag(value) || value.tag !== TAG_SIGN1) return out;
  const parts = value.value;
  if (!Array.isArray(parts) || parts.length !== 4) return out;
  const protectedBytes = parts[0];
  const unprotectedMap = parts[1];
  const payload = parts[2];
  const signature = parts[3];
  if (!isBytes(protectedBytes) || !isMap(unprotectedMap) || !isBytes(signature)) return out;
  if (payload !== null && !isBytes(payload)) return out;
  const protectedMap = decodeProtected(protectedBytes);
  if (protectedMap === null) return out;
  out.protectedBytes = protectedBytes;
  out.protectedMap = protectedMap;
  out.unprotectedMap = unprotectedMap;
  out.payload = payload;
  out.signature = signature;
  out.fault = readHeaders(out);
  return out;
}
