// Hashes what is in flash, a page at a time: the plain SHA-256 that a release names, and the
// keyed one, SHA-256(nonce || whole region), that nobody can have computed before the challenge.
//
//   region   |<--- plain bytes --->| FF FF …                |
//   keyed    |<--------- nonce, then all of it ----------->|
//
// For the engine both cover the whole region; for an application the plain digest covers the
// image. One page is read once and feeds both. Where the board hashes flash natively a step is
// a whole digest; what it can't do, as a keyed digest on Espruino, is left to the pages.
// Memory: two hash states and a page of MAX_READ bytes.

import { type Sha256, sha256Final, sha256Init, sha256Update } from "@vouch/shared/sha256";
import type { Port } from "./port";
import { MAX_READ } from "./port";

export interface Measurement {
  port: Port;
  nonce: Uint8Array;
  address: number;
  regionLength: number;
  plainLength: number;
  done: number;
  /** Digests the board was asked for so far: the plain one, then the keyed. */
  asked: number;
  plain: Sha256;
  keyed: Sha256;
  digest: Uint8Array | null;
  keyedDigest: Uint8Array | null;
}

const NO_PREFIX = new Uint8Array(0);

export function startMeasurement(
  port: Port,
  nonce: Uint8Array,
  address: number,
  regionLength: number,
  plainLength: number,
): Measurement {
  const keyed = sha256Init();
  sha256Update(keyed, nonce, 0, nonce.length);
  return {
    port,
    nonce,
    address,
    regionLength,
    plainLength,
    done: 0,
    asked: 0,
    plain: sha256Init(),
    keyed,
    digest: null,
    keyedDigest: null,
  };
}

function stepPage(m: Measurement): boolean {
  const page = m.port.readFlash(m.address + m.done, Math.min(MAX_READ, m.regionLength - m.done));
  if (m.keyedDigest === null) sha256Update(m.keyed, page, 0, page.length);
  if (m.digest === null && m.done < m.plainLength) {
    sha256Update(m.plain, page, 0, Math.min(page.length, m.plainLength - m.done));
  }
  m.done += page.length;
  if (m.done < m.regionLength) return false;
  if (m.digest === null) m.digest = sha256Final(m.plain);
  if (m.keyedDigest === null) m.keyedDigest = sha256Final(m.keyed);
  return true;
}

/** One step of work; true when both digests are there. */
export function stepMeasurement(m: Measurement): boolean {
  const native = m.port.hashFlash;
  if (native === null || m.asked === 2) return stepPage(m);
  m.asked++;
  if (m.asked === 1) {
    m.digest = native(NO_PREFIX, m.address, m.plainLength);
    return false;
  }
  m.keyedDigest = native(m.nonce, m.address, m.regionLength);
  if (m.digest === null || m.keyedDigest === null) return false;
  m.done = m.regionLength;
  return true;
}

/** SHA-256 of a run of flash, all at once: for the check before an image boots. */
export function hashFlash(port: Port, address: number, length: number): Uint8Array {
  const native = port.hashFlash === null ? null : port.hashFlash(NO_PREFIX, address, length);
  if (native !== null) return native;
  const hash = sha256Init();
  for (let at = 0; at < length; at += MAX_READ) {
    const page = port.readFlash(address + at, Math.min(MAX_READ, length - at));
    sha256Update(hash, page, 0, page.length);
  }
  return sha256Final(hash);
}
