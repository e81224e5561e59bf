// The device key, its enrolment, and the device's own number. One record holds all of it, so a
// cut leaves either no key or a whole one:
//
//   [1, origin, ueid, secret key (64 bytes) | null, enrolment digest | null, clears]
//
// The key is made from the hardware generator, or, on a board that has none, from the seed the
// enrolment station sends; identify says which. Who talked to such a board first knows its key, so
// until it is enrolled another seed makes another. The ueid (RFC 9711 section 4.2.1.1) is 01 and 16 random
// bytes, made at the first start, or from that seed; never from a serial number. It outlives a
// clear; key and enrolment don't.
//
// The 64-byte secret is stored because deriving it from the seed costs as much as a signature.

import { concatBytes, copyBytes, utf8Encode } from "@vouch/shared/bytes";
import { CBOR_STRICT, type CborValue, decodeCbor, encodeCbor, isBytes } from "@vouch/shared/cbor";
import { kidOf } from "@vouch/shared/cose";
import { keyPairFromSeed } from "@vouch/shared/ed25519";
import { sha256 } from "@vouch/shared/sha256";
import type { Port } from "./port";
import { loadRecord, RECORD_IDENTITY, replaceRecord, type Store, saveRecord } from "./store";

export const ORIGIN_NONE = 0;
export const ORIGIN_DEVICE = 1;
export const ORIGIN_STATION = 2;

export interface Identity {
  store: Store;
  origin: number;
  ueid: Uint8Array | null;
  secretKey: Uint8Array | null;
  publicKey: Uint8Array | null;
  /** SHA-256 of the enrolment statement, once enrolled. */
  enrolment: Uint8Array | null;
  /** How often the maker had the key cleared. */
  clears: number;
}

const RANDOM_UEID = 0x01;

function tagged(tag: string, bytes: Uint8Array): Uint8Array {
  return sha256(concatBytes([utf8Encode(`vouch/${tag}\n`), bytes]));
}

function ueidFrom(bytes: Uint8Array): Uint8Array {
  return concatBytes([new Uint8Array([RANDOM_UEID]), copyBytes(bytes, 0, 16)]);
}

function encodeIdentity(id: Identity): Uint8Array {
  const list: CborValue[] = [1, id.origin, id.ueid, id.secretKey, id.enrolment, id.clears];
  return encodeCbor(list);
}

function bytesOrNull(value: CborValue | undefined): Uint8Array | null {
  return isBytes(value) ? value : null;
}

function setSecret(id: Identity, secretKey: Uint8Array | null): void {
  id.secretKey = secretKey;
  id.publicKey = secretKey === null ? null : copyBytes(secretKey, 32, 64);
}

/** The stored identity. At the first start it gets its ueid, where the board has randomness. */
export function openIdentity(store: Store): Identity {
  const id: Identity = {
    store,
    origin: ORIGIN_NONE,
    ueid: null,
    secretKey: null,
    publicKey: null,
    enrolment: null,
    clears: 0,
  };
  const bytes = loadRecord(store, RECORD_IDENTITY);
  const list = bytes === null ? null : decodeCbor(bytes, CBOR_STRICT).value;
  if (Array.isArray(list) && list.length === 6 && list[0] === 1) {
    id.origin = list[1] as number;
    id.ueid = bytesOrNull(list[2]);
    setSecret(id, bytesOrNull(list[3]));
    id.enrolment = bytesOrNull(list[4]);
    id.clears = list[5] as number;
  }
  const random = store.port.random;
  if (id.ueid === null && random !== null) {
    id.ueid = ueidFrom(random(16));
    saveRecord(store, RECORD_IDENTITY, encodeIdentity(id));
  }
  return id;
}

/** The first 8 bytes of the key's hash: how evidence names it. */
export function keyKid(id: Identity): Uint8Array {
  return kidOf(sha256(id.publicKey as Uint8Array));
}

/** Whether a key is to be made: there is none, or a seed comes for one that a seed made. */
export function needsKey(id: Identity, seed: Uint8Array | null): boolean {
  return id.secretKey === null || (seed !== null && id.origin === ORIGIN_STATION);
}

/** Makes and stores the key. The caller has seen to it that there is randomness or a seed. */
export function makeKey(id: Identity, seed: Uint8Array | null): number {
  const random = id.store.port.random;
  const own = random !== null ? random(32) : null;
  const source = own !== null ? own : (seed as Uint8Array);
  id.origin = own !== null ? ORIGIN_DEVICE : ORIGIN_STATION;
  // A number from a seed that counts no longer goes with it, unless it was enrolled once.
  if (id.ueid === null || (own === null && id.clears === 0)) id.ueid = ueidFrom(tagged("ueid", source));
  setSecret(id, keyPairFromSeed(source).secretKey);
  return replaceRecord(id.store, RECORD_IDENTITY, encodeIdentity(id));
}

/** Marks the device enrolled. */
export function setEnrolled(id: Identity, digest: Uint8Array): number {
  id.enrolment = copyBytes(digest, 0, digest.length);
  return saveRecord(id.store, RECORD_IDENTITY, encodeIdentity(id));
}

/** Removes key and enrolment, the old secret from flash too. */
export function clearIdentity(id: Identity): number {
  id.origin = ORIGIN_NONE;
  setSecret(id, null);
  id.enrolment = null;
  id.clears++;
  return replaceRecord(id.store, RECORD_IDENTITY, encodeIdentity(id));
}

/**
 * 16 bytes that differ at each start (RFC 9711 section 4.2.12). Without randomness they come
 * from the secret key and the count of starts, which nobody else can tell from random.
 */
export function bootSeed(port: Port, id: Identity, starts: number): Uint8Array {
  if (port.random !== null) return port.random(16);
  const secret = id.secretKey === null ? new Uint8Array(0) : id.secretKey;
  return copyBytes(tagged("bootseed", concatBytes([utf8Encode(`${starts}\n`), secret])), 0, 16);
}
