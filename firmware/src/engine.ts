// The engine block: what the maker built into the engine image, in the last 512 bytes of its
// region and therefore measured with it. No command changes it.
//
//   u16 length, little endian | CBOR map | FF …
//     1 vendor public key   2 vendor id   3 class id   4 hardware model   5 hardware version
//     6 engine name         7 engine version           8 length of the agent bundle
//
// A device whose block can't be read answers, but trusts no manifest.

import { CBOR_STRICT, decodeCbor, mapGet } from "@vouch/shared/cbor";
import { kidOf } from "@vouch/shared/cose";
import { FAULT_NONE } from "@vouch/shared/fault";
import { sha256 } from "@vouch/shared/sha256";
import { checkPublicKey } from "@vouch/shared/strict";
import { bytesIn, mapOf, textIn } from "./body";
import type { Port } from "./port";

export const ENGINE_BLOCK_BYTES = 512;
const TEXT_MAX = 40; // identify carries four of them in one frame

export interface Engine {
  vendorKey: Uint8Array;
  vendorKid: Uint8Array;
  vendorId: Uint8Array;
  classId: Uint8Array;
  model: string;
  hardwareVersion: string;
  name: string;
  version: string;
}

/** What the block says, or null when it isn't a whole and strict one. */
export function readEngine(port: Port): Engine | null {
  const region = port.layout.engine;
  const block = port.readFlash(region.address + region.length - ENGINE_BLOCK_BYTES, ENGINE_BLOCK_BYTES);
  const length = (block[0] as number) + (block[1] as number) * 256;
  if (length > ENGINE_BLOCK_BYTES - 2) return null;
  const decoded = decodeCbor(block.subarray(2, 2 + length), CBOR_STRICT);
  const map = mapOf(decoded.value);
  if (decoded.fault !== FAULT_NONE || map === null) return null;
  const vendorKey = bytesIn(map, 1, 32, 32);
  const vendorId = bytesIn(map, 2, 16, 16);
  const classId = bytesIn(map, 3, 16, 16);
  const model = textIn(map, 4, TEXT_MAX);
  const hardwareVersion = textIn(map, 5, TEXT_MAX);
  const name = textIn(map, 6, TEXT_MAX);
  const version = textIn(map, 7, TEXT_MAX);
  if (vendorKey === null || vendorId === null || classId === null) return null;
  if (model === null || hardwareVersion === null || name === null || version === null) return null;
  if (typeof mapGet(map, 8) !== "number" || checkPublicKey(vendorKey) !== FAULT_NONE) return null;
  return {
    vendorKey,
    vendorKid: kidOf(sha256(vendorKey)),
    vendorId,
    classId,
    model,
    hardwareVersion,
    name,
    version,
  };
}
