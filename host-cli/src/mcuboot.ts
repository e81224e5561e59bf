// What must hold before a byte of an MCUboot image goes to a device.
//
// In this order:
//   1. it is an image, whole                                    image-malformed, image-truncated
//   2. it can be judged here: not encrypted or compressed,
//      signed with Ed25519                                      image-unsupported
//   3. somebody signed it                                       image-unsigned
//   4. its bytes hash to the digest it carries                  image-mismatch
//   5. the key it names is the pinned one                       image-unknown-signer
//   6. and that key's signature holds                           image-bad-signature
//   7. it isn't older than what runs, nor below the counter     rolled-back, version-unknown
//   8. it fits                                                  image-too-large
//
// The key hash in an image is no proof of anything, since nobody signs it: it only
// tells an image of another maker from a forged one. The pinned key decides. The
// boot loader checks most of this again, by a key of its own; no server tells which
// security counter a device has reached, so --min-counter is the person's word.

import { createHash } from "node:crypto";
import { concatBytes, equalBytes, fromBase64, toHex } from "@vouch/shared/bytes";
import { FAULT_NONE } from "@vouch/shared/fault";
import {
  compareVersions,
  type DigestName,
  FLAG_COMPRESSED,
  FLAG_ENCRYPTED,
  FLAG_NON_BOOTABLE,
  formatVersion,
  type McubootImage,
  type McubootVersion,
  readMcuboot,
} from "@vouch/shared/mcuboot";
import { faultRefusal, Refusal } from "@vouch/shared/refusal";
import { checkPublicKey } from "@vouch/shared/strict";
import { parseVkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";

// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) up to the key itself; nothing else is one.
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);
const PEM = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/;

/** The key a person at the bench trusts. */
export interface PinnedKey {
  /** What a message calls it: a verifier key's name, or the start of the PEM key's hash. */
  readonly name: string;
  readonly publicKey: Uint8Array;
}

export interface CheckedMcuboot {
  readonly image: McubootImage;
  readonly key: PinnedKey;
  /** Of the whole file: what a server knows an upload by. */
  readonly fileSha256: Uint8Array;
}

export function digestOf(name: DigestName, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(name).update(bytes).digest());
}

/** What KEYHASH holds for this key: the hash of its SubjectPublicKeyInfo, by the image's own hash. */
export function keyHashOf(publicKey: Uint8Array, name: DigestName): Uint8Array {
  return digestOf(name, concatBytes([SPKI_PREFIX, publicKey]));
}

/** A public key as `imgtool getpub -e pem` writes it, or a verifier key. Refuses `private-key`, `malformed-key`. */
export function readPinnedKey(text: string): PinnedKey {
  if (text.includes("PRIVATE KEY-----")) {
    throw new Refusal("private-key", "this is a private key, which stays with whoever signs", {
      hint: "`imgtool getpub -k KEY.pem -e pem` writes its public half",
    });
  }
  if (!text.includes("-----BEGIN")) {
    const { name, publicKey } = parseVkey(text.trimEnd(), nodeCrypto);
    return { name, publicKey };
  }
  const base64 = PEM.exec(text)?.[1];
  const spki = base64 === undefined ? null : fromBase64(base64.replace(/[\r\n]/g, ""));
  if (spki === null) {
    throw new Refusal("malformed-key", "it isn't one public key in PEM");
  }
  const { length } = SPKI_PREFIX;
  if (spki.length !== length + 32 || !equalBytes(spki.subarray(0, length), SPKI_PREFIX)) {
    throw new Refusal("unsupported-algorithm", "the key in this PEM file is no Ed25519 key");
  }
  const publicKey = spki.slice(length);
  const fault = checkPublicKey(publicKey);
  if (fault !== FAULT_NONE) throw faultRefusal(fault, "the pinned key");
  return { name: `key ${toHex(keyHashOf(publicKey, "sha256")).slice(0, 16)}…`, publicKey };
}

/** Checks 1 to 6. */
export function checkMcuboot(bytes: Uint8Array, key: PinnedKey): CheckedMcuboot {
  const image = readMcuboot(bytes);
  checkKind(image);
  const { digest, signature } = image;
  if (signature === null) {
    throw new Refusal("image-unsigned", "the image carries no signature", {
      hint: "`imgtool sign --key KEY.pem` adds it",
    });
  }
  const computed = digestOf(digest.name, image.body);
  if (!equalBytes(computed, digest.value)) {
    throw new Refusal(
      "image-mismatch",
      `the image hashes to ${toHex(computed)} (${digest.name}), it says ${toHex(digest.value)}`,
    );
  }
  const expected = keyHashOf(key.publicKey, digest.name);
  if (image.keyHash === null || !equalBytes(image.keyHash, expected)) {
    const named = image.keyHash === null ? "no key" : `key ${toHex(image.keyHash)}`;
    throw new Refusal(
      "image-unknown-signer",
      `the image names ${named} as its signer, expected ${toHex(expected)} (${key.name})`,
    );
  }
  if (!nodeCrypto.verifyEd25519(key.publicKey, image.isPure ? image.body : computed, signature)) {
    throw new Refusal("image-bad-signature", `the image's signature isn't by ${key.name}`);
  }
  return { image, key, fileSha256: nodeCrypto.sha256(bytes) };
}

function checkKind(image: McubootImage): void {
  if ((image.flags & FLAG_ENCRYPTED) !== 0) {
    throw unsupported("the image is encrypted: what was signed can't be seen here");
  }
  if ((image.flags & FLAG_COMPRESSED) !== 0) {
    throw unsupported("the image is compressed: the device would list it by another digest once it runs");
  }
  if ((image.flags & FLAG_NON_BOOTABLE) !== 0) {
    throw unsupported("the image is marked as one that doesn't boot");
  }
  if (image.signature === null && image.otherSignatures.length > 0) {
    throw unsupported(`the image is signed with ${image.otherSignatures.join(", ")}, known here is Ed25519`);
  }
}

const unsupported = (message: string) => new Refusal("image-unsupported", message);

/** What of a device the checks look at. */
export interface McubootTarget {
  /** Of what runs; null where nothing does, text that is no version where the device says so. */
  readonly version: McubootVersion | null;
  /** What the device calls it. */
  readonly versionText: string | null;
  /** Of the slot the image goes to; null where the device doesn't tell. */
  readonly slotBytes: number | null;
}

export interface Lenience {
  readonly allowDowngrade: boolean;
  /** The least security counter an image must carry. */
  readonly minCounter: number | null;
}

/** Check 7, as far as the file alone decides it. */
export function checkCounter({ image }: CheckedMcuboot, minCounter: number | null): void {
  if (minCounter === null || (image.securityCounter ?? -1) >= minCounter) return;
  const found = image.securityCounter === null ? "no security counter" : `counter ${image.securityCounter}`;
  throw new Refusal("rolled-back", `the image has ${found}, accepted are ${minCounter} and later`);
}

/** Checks 7 and 8. */
export function checkMcubootTarget(
  { image }: CheckedMcuboot,
  target: McubootTarget,
  { allowDowngrade }: Pick<Lenience, "allowDowngrade">,
): void {
  const hint = "--allow-downgrade installs it all the same, where the boot loader permits";
  const { version, versionText } = target;
  if (version === null && versionText !== null && !allowDowngrade) {
    throw new Refusal("version-unknown", `the device doesn't say which version it runs`, { hint });
  }
  if (version !== null && compareVersions(image.version, version) < 0 && !allowDowngrade) {
    throw new Refusal(
      "rolled-back",
      `the image is version ${formatVersion(image.version)}, the device runs ${formatVersion(version)}`,
      { hint },
    );
  }
  if (target.slotBytes !== null && image.bytes.length > target.slotBytes) {
    throw new Refusal(
      "image-too-large",
      `the image has ${image.bytes.length} bytes, the slot it goes to has ${target.slotBytes}`,
    );
  }
}
