// MCUboot images for tests, signed by keys of the tests: as imgtool lays them out.

import { createHash } from "node:crypto";
import { formatVersion, type McubootVersion, parseVersion } from "@vouch/shared/mcuboot";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { keyHashOf, type PinnedKey } from "../src/mcuboot";
import { hash } from "./sim-kit";

export const maker = keyPairFromSeed(hash("mcuboot maker"));
export const KEY: PinnedKey = { name: "the maker", publicKey: maker.publicKey };

const SPKI = "302a300506032b6570032100";

/** The public key as `imgtool getpub -e pem` writes it. */
export function pemOf(publicKey: Uint8Array): string {
  const base64 = Buffer.concat([Buffer.from(SPKI, "hex"), publicKey]).toString("base64");
  return `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`;
}

export interface ImageParts {
  version?: string;
  payload?: Uint8Array;
  counter?: number;
  pure?: boolean;
  flags?: number;
  signer?: typeof maker;
  unsigned?: boolean;
}

const u16 = (value: number) => Buffer.from([value & 0xff, value >> 8]);
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const record = (type: number, value: Uint8Array) => Buffer.concat([u16(type), u16(value.length), value]);
const area = (magic: number, records: Buffer[]) => {
  const inside = Buffer.concat(records);
  return Buffer.concat([u16(magic), u16(inside.length + 4), inside]);
};

/** A signed image, unless ordered otherwise. */
export function makeMcuboot(parts: ImageParts = {}): Uint8Array {
  const { payload = hash("payload"), counter, pure = false, signer = maker } = parts;
  const version = parseVersion(parts.version ?? "1.0.0") as McubootVersion;
  const guarded = counter === undefined ? Buffer.alloc(0) : area(0x6908, [record(0x50, u32(counter))]);
  const header = Buffer.concat([
    u32(0x96f3b83d),
    u32(0),
    u16(32),
    u16(guarded.length),
    u32(payload.length),
    u32(parts.flags ?? 0),
    Buffer.from([version.major, version.minor]),
    u16(version.revision),
    u32(version.build),
    u32(0),
  ]);
  const body = Buffer.concat([header, payload, guarded]);
  const name = pure ? "sha512" : "sha256";
  const digest = createHash(name).update(body).digest();
  const signature = signEd25519(signer.secretKey, pure ? body : digest);
  const signed = [
    ...(pure ? [record(0x25, Uint8Array.of(1))] : []),
    record(0x01, keyHashOf(signer.publicKey, name)),
    record(0x24, signature),
  ];
  const records = [record(pure ? 0x12 : 0x10, digest), ...(parts.unsigned === true ? [] : signed)];
  return new Uint8Array(Buffer.concat([body, area(0x6907, records)]));
}

/** As servers report a version: the build number behind a dot. */
export const reported = (version: McubootVersion) => formatVersion(version).replace("+", ".");
