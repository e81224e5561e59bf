// MCUboot images: a header, the payload, and records behind it that say what the
// payload is. MCUboot, docs/design.md and boot/bootutil/include/bootutil/image.h.
//
//   header     u32 magic 96f3b83d | u32 load address | u16 header size | u16 protected size
//              u32 image size | u32 flags | version: u8 u8 u16 u32 | u32 0     32 bytes, then padding
//   payload    image size bytes, behind header size bytes
//   protected  u16 magic 6908 | u16 size of this area | records     only if its size isn't 0
//   records    u16 magic 6907 | u16 size of this area | records
//   record     u16 type | u16 length | value                        all numbers little endian
//
//   |<──────────────── body ───────────────────>|
//   | header | padding | payload | protected    | records |  end of the file
//                                                 digest, key hash, signature of the body
//
// The digest is over the body; a signature is over the digest, or over the body
// itself where a record SIG_PURE says so. What stands in the last area is therefore
// signed by nobody: it can only name a digest, a key and a signature, which are then
// checked. A counter or a dependency there would be anybody's word and is refused.
//
// Strict where MCUboot passes over what it doesn't need: areas that fill exactly the
// length they announce, one digest, no record twice that counts once, nothing behind
// the last record. Lengths are checked against the bytes that are there before they
// are used, and nothing is copied. What is signed by whom is not settled here.

import { Refusal } from "./refusal";

export const MCUBOOT_MAGIC = 0x96f3b83d;
const MAGIC_RECORDS = 0x6907;
const MAGIC_PROTECTED = 0x6908;

export const HEADER_BYTES = 32;
const AREA_BYTES = 4;
const RECORD_BYTES = 4;
const MAX_RECORDS = 64; // imgtool writes three to ten

export const FLAG_ENCRYPTED = 0x04 | 0x08;
export const FLAG_NON_BOOTABLE = 0x10;
export const FLAG_COMPRESSED = 0x200 | 0x400;

export const TLV_KEYHASH = 0x01;
export const TLV_PUBKEY = 0x02;
export const TLV_SHA256 = 0x10;
export const TLV_SHA384 = 0x11;
export const TLV_SHA512 = 0x12;
export const TLV_ED25519 = 0x24;
export const TLV_SIG_PURE = 0x25;
export const TLV_DEPENDENCY = 0x40;
export const TLV_SEC_CNT = 0x50;

/** Every type with a name; the rest is a vendor's (xxA0 to xxFE) or from a later MCUboot. */
const NAMES: { readonly [type: number]: string } = {
  [TLV_KEYHASH]: "KEYHASH",
  [TLV_PUBKEY]: "PUBKEY",
  [TLV_SHA256]: "SHA256",
  [TLV_SHA384]: "SHA384",
  [TLV_SHA512]: "SHA512",
  32: "RSA2048_PSS",
  33: "ECDSA224",
  34: "ECDSA_SIG",
  35: "RSA3072_PSS",
  [TLV_ED25519]: "ED25519",
  [TLV_SIG_PURE]: "SIG_PURE",
  48: "ENC_RSA2048",
  49: "ENC_KW",
  50: "ENC_EC256",
  51: "ENC_X25519",
  52: "ENC_X25519_SHA512",
  [TLV_DEPENDENCY]: "DEPENDENCY",
  [TLV_SEC_CNT]: "SEC_CNT",
  96: "BOOT_RECORD",
  112: "DECOMP_SIZE",
  113: "DECOMP_SHA",
  114: "DECOMP_SIGNATURE",
  115: "COMP_DEC_SIZE",
  116: "UUID_VID",
  117: "UUID_CID",
};

const FLAG_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [0x04, "encrypted-aes128"],
  [0x08, "encrypted-aes256"],
  [FLAG_NON_BOOTABLE, "non-bootable"],
  [0x20, "ram-load"],
  [0x100, "rom-fixed"],
  [0x200, "lzma1"],
  [0x400, "lzma2"],
  [0x800, "arm-thumb"],
];

const DIGESTS: { readonly [type: number]: { readonly name: DigestName; readonly length: number } } = {
  [TLV_SHA256]: { name: "sha256", length: 32 },
  [TLV_SHA384]: { name: "sha384", length: 48 },
  [TLV_SHA512]: { name: "sha512", length: 64 },
};

/** Signatures of kinds that aren't checked here. */
const OTHER_SIGNATURES: ReadonlySet<number> = new Set([32, 33, 34, 35]);

/** What a record of this type must be: its length, and the area it belongs in. Each may be there once. */
const SINGLE: { readonly [type: number]: { readonly length?: number; readonly isProtected: boolean } } = {
  [TLV_KEYHASH]: { isProtected: false },
  [TLV_PUBKEY]: { isProtected: false },
  [TLV_SHA256]: { length: 32, isProtected: false },
  [TLV_SHA384]: { length: 48, isProtected: false },
  [TLV_SHA512]: { length: 64, isProtected: false },
  [TLV_ED25519]: { length: 64, isProtected: false },
  [TLV_SIG_PURE]: { length: 1, isProtected: false },
  [TLV_SEC_CNT]: { length: 4, isProtected: true },
};
const DEPENDENCY_BYTES = 12;

export type DigestName = "sha256" | "sha384" | "sha512";

export interface McubootVersion {
  readonly major: number;
  readonly minor: number;
  readonly revision: number;
  readonly build: number;
}

export interface McubootRecord {
  readonly type: number;
  /** MCUboot's name for it; null for a vendor's or a later one. */
  readonly name: string | null;
  readonly isProtected: boolean;
  /** Where it begins, from the start of the file. */
  readonly offset: number;
  readonly value: Uint8Array;
}

export interface McubootDependency {
  readonly image: number;
  readonly atLeast: McubootVersion;
}

/** Every array is a view of the bytes that were read. */
export interface McubootImage {
  readonly bytes: Uint8Array;
  readonly loadAddress: number;
  readonly headerSize: number;
  readonly payloadSize: number;
  readonly flags: number;
  readonly version: McubootVersion;
  readonly records: readonly McubootRecord[];
  /** Header, payload and protected records: what is hashed and signed. */
  readonly body: Uint8Array;
  /** As a record says. */
  readonly digest: { readonly name: DigestName; readonly value: Uint8Array };
  readonly keyHash: Uint8Array | null;
  readonly signature: Uint8Array | null;
  /** The signature is over the body, not over its digest. */
  readonly isPure: boolean;
  /** Signatures that are no Ed25519, by name. */
  readonly otherSignatures: readonly string[];
  readonly securityCounter: number | null;
  readonly dependencies: readonly McubootDependency[];
}

/** True for bytes that begin as an MCUboot image does. */
export function isMcuboot(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && u32(bytes, 0) === MCUBOOT_MAGIC;
}

/** Reads an image nobody has verified yet. Throws `image-truncated` or `image-malformed`. */
export function readMcuboot(bytes: Uint8Array): McubootImage {
  if (!isMcuboot(bytes)) throw malformed("it doesn't begin with MCUboot's magic 3db8f396");
  need(bytes, HEADER_BYTES, "the header");
  const headerSize = u16(bytes, 8);
  const protectedSize = u16(bytes, 10);
  const payloadSize = u32(bytes, 12);
  if (headerSize < HEADER_BYTES) throw malformed(`the header says it has ${headerSize} bytes, at least 32`);
  if (payloadSize === 0) throw malformed("the header says there is no payload");
  const payloadEnd = headerSize + payloadSize; // below 2^33: exact
  need(bytes, payloadEnd, "the payload");
  const records: McubootRecord[] = [];
  let at = payloadEnd;
  if (protectedSize > 0) {
    at = readArea(bytes, at, MAGIC_PROTECTED, records);
    if (at !== payloadEnd + protectedSize) {
      throw malformed(
        `the header announces ${protectedSize} protected bytes, their area has ${at - payloadEnd}`,
      );
    }
  }
  const bodyEnd = at;
  at = readArea(bytes, at, MAGIC_RECORDS, records);
  if (at !== bytes.length) {
    throw malformed(
      `${bytes.length - at} bytes follow the last record`,
      "an image that imgtool padded to its slot (--pad) is for a programmer, not for an upload",
    );
  }
  return {
    bytes,
    loadAddress: u32(bytes, 4),
    headerSize,
    payloadSize,
    flags: u32(bytes, 16),
    version: versionAt(bytes, 20),
    records,
    body: bytes.subarray(0, bodyEnd),
    ...claimsOf(records),
  };
}

/** The records of one area; the offset behind it. */
function readArea(bytes: Uint8Array, start: number, magic: number, into: McubootRecord[]): number {
  const isProtected = magic === MAGIC_PROTECTED;
  const what = isProtected ? "the protected records" : "the records";
  need(bytes, start + AREA_BYTES, what);
  if (u16(bytes, start) !== magic) {
    throw malformed(`at ${start} found ${hex16(u16(bytes, start))}, expected ${hex16(magic)} before ${what}`);
  }
  const size = u16(bytes, start + 2);
  if (size < AREA_BYTES) throw malformed(`${what} say they take ${size} bytes, at least ${AREA_BYTES}`);
  const end = start + size;
  need(bytes, end, what);
  let at = start + AREA_BYTES;
  while (at < end) {
    if (end - at < RECORD_BYTES) throw malformed(`${end - at} bytes are left over in ${what}`);
    const length = u16(bytes, at + 2);
    const offset = at + RECORD_BYTES;
    if (length > end - offset) {
      throw malformed(`the record at ${at} says ${length} bytes, ${what} have ${end - offset} left`);
    }
    if (into.length >= MAX_RECORDS) throw malformed(`it has more than ${MAX_RECORDS} records`);
    const type = u16(bytes, at);
    const value = bytes.subarray(offset, offset + length);
    into.push({ type, name: NAMES[type] ?? null, isProtected, offset: at, value });
    at = offset + length;
  }
  return end;
}

type Claims = Pick<
  McubootImage,
  "digest" | "keyHash" | "signature" | "isPure" | "otherSignatures" | "securityCounter" | "dependencies"
>;

/** What the records say, when each is where and as long as it must be. */
function claimsOf(records: readonly McubootRecord[]): Claims {
  const found = new Map<number, Uint8Array>();
  const dependencies: McubootDependency[] = [];
  for (const record of records) {
    const { type, value, isProtected } = record;
    if (type === TLV_DEPENDENCY) dependencies.push(dependencyOf(record));
    const rule = SINGLE[type];
    if (rule === undefined) continue;
    if (isProtected !== rule.isProtected) throw misplaced(record);
    if (found.has(type)) throw malformed(`${record.name} is there twice`);
    if (rule.length !== undefined && value.length !== rule.length) throw sized(record, rule.length);
    found.set(type, value);
  }
  const digests = [...found.keys()].filter((type) => DIGESTS[type] !== undefined);
  const [type = 0] = digests;
  const digest = DIGESTS[type];
  const value = found.get(type);
  if (digests.length !== 1 || digest === undefined || value === undefined) {
    throw malformed(`it has ${digests.length} digests, expected one`);
  }
  const keyHash = found.get(TLV_KEYHASH) ?? null;
  if (keyHash !== null && keyHash.length !== digest.length) {
    throw malformed(`KEYHASH has ${keyHash.length} bytes, beside a digest of ${digest.length}`);
  }
  const pure = found.get(TLV_SIG_PURE);
  if (pure !== undefined && pure[0] !== 1) throw malformed(`SIG_PURE is ${pure[0]}, expected 1`);
  const counter = found.get(TLV_SEC_CNT);
  return {
    digest: { name: digest.name, value },
    keyHash,
    signature: found.get(TLV_ED25519) ?? null,
    isPure: pure !== undefined,
    otherSignatures: records.filter((r) => OTHER_SIGNATURES.has(r.type)).map((r) => r.name ?? ""),
    securityCounter: counter === undefined ? null : u32(counter, 0),
    dependencies,
  };
}

function dependencyOf(record: McubootRecord): McubootDependency {
  if (!record.isProtected) throw misplaced(record);
  if (record.value.length !== DEPENDENCY_BYTES) throw sized(record, DEPENDENCY_BYTES);
  return { image: record.value[0] ?? 0, atLeast: versionAt(record.value, 4) };
}

function versionAt(bytes: Uint8Array, at: number): McubootVersion {
  return {
    major: bytes[at] ?? 0,
    minor: bytes[at + 1] ?? 0,
    revision: u16(bytes, at + 2),
    build: u32(bytes, at + 4),
  };
}

/** As imgtool takes it: 1.2.3+4, and 1.2.3 where the build number is 0. */
export function formatVersion({ major, minor, revision, build }: McubootVersion): string {
  return `${major}.${minor}.${revision}${build === 0 ? "" : `+${build}`}`;
}

/** A version as servers report it (1.2.3.4) or imgtool takes it (1.2.3+4); null for anything else. */
export function parseVersion(text: string): McubootVersion | null {
  const numbers = /^(\d{1,3})\.(\d{1,3})\.(\d{1,5})(?:[.+](\d{1,10}))?$/.exec(text)?.slice(1, 5);
  if (numbers === undefined) return null;
  const [major = 0, minor = 0, revision = 0, build = 0] = numbers.map((digits) => Number(digits ?? 0));
  return major > 0xff || minor > 0xff || revision > 0xffff || build > 0xffffffff
    ? null
    : { major, minor, revision, build };
}

/** Below 0 when `a` is the older, 0 when they are the same, build number included. */
export function compareVersions(a: McubootVersion, b: McubootVersion): number {
  return a.major - b.major || a.minor - b.minor || a.revision - b.revision || a.build - b.build;
}

/** The flags by name; a bit without one as its number. */
export function flagNames(flags: number): string[] {
  const known = FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const rest = FLAG_NAMES.reduce((left, [bit]) => left & ~bit, flags) >>> 0;
  return rest === 0 ? known : [...known, `0x${rest.toString(16)}`];
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
}

function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) + 65536 * u16(bytes, at + 2);
}

const hex16 = (value: number) => `0x${value.toString(16).padStart(4, "0")}`;

function need(bytes: Uint8Array, end: number, what: string): void {
  if (bytes.length >= end) return;
  throw new Refusal("image-truncated", `the file has ${bytes.length} bytes, ${what} would end at ${end}`);
}

function malformed(message: string, hint?: string): Refusal {
  return new Refusal("image-malformed", message, hint === undefined ? {} : { hint });
}

const misplaced = ({ name, isProtected }: McubootRecord) =>
  malformed(`${name} is ${isProtected ? "among" : "not among"} the protected records`);

const sized = ({ name, value }: McubootRecord, length: number) =>
  malformed(`${name} has ${value.length} bytes, expected ${length}`);
