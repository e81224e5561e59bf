// What must hold before a byte of an upload goes to a device.
//
//   u32 length | SUIT envelope | image          written by `vouch release seal`
//
// In this order:
//   1. the file is one, with an envelope of our profile         image-malformed, image-truncated
//   2. somebody signed the manifest                             image-unsigned
//   3. that was a vendor key the person at the bench trusts     image-unknown-signer
//   4. and the signature holds                                  image-bad-signature
//   5. the image is the one the manifest describes              image-truncated, image-mismatch
//   6. it is for this device, which boots by the same key       wrong-model, wrong-revision, vendor-key-mismatch
//   7. it is not older than the device may run, or runs         rolled-back
//   8. it fits                                                  image-too-large
// The device checks 2 to 8 again, and its word counts; this is so that a wrong
// image is told from a right one before the flash is erased.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { decodeSign1, kidOf } from "@vouch/shared/cose";
import { FAULT_COSE_ALGORITHM, FAULT_NONE } from "@vouch/shared/fault";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { faultCode, faultRefusal, quote, Refusal } from "@vouch/shared/refusal";
import {
  decodeEnvelope,
  type Envelope,
  fitsRevision,
  MAX_ENVELOPE,
  type Manifest,
  splitUpload,
  verifyEnvelope,
} from "@vouch/shared/suit";
import type { Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";

export const MAX_UPLOAD = 64 * 1024 * 1024;
const LENGTH_BYTES = 4;

/** A vendor line of the policy; a key given alone speaks for any product. */
export interface Vendor {
  readonly product: string | null;
  readonly vkey: Vkey;
}

export interface CheckedUpload {
  readonly stream: Uint8Array;
  readonly manifest: Manifest;
  /** SHA-256 of the manifest bytes, as release statements and evidence name it. */
  readonly manifestDigest: Uint8Array;
  readonly vendor: Vkey;
  /** Vendor lines of this key: the products it may be a release of. */
  readonly products: readonly string[];
  readonly size: number;
}

/** Checks 1 to 5. */
export function checkUpload(stream: Uint8Array, vendors: readonly Vendor[]): CheckedUpload {
  const { envelope, image } = split(stream);
  if (envelope.auth.sign1 === null) {
    throw new Refusal("image-unsigned", "the manifest carries no signature of the vendor", {
      hint: "`vouch release seal` adds it, once enough approvers have signed",
    });
  }
  const vendor = signerOf(envelope, envelope.auth.sign1, vendors);
  const fault = verifyEnvelope(envelope, vendor.vkey.publicKey, nodeCrypto.sha256, nodeCrypto.verifyEd25519);
  if (fault !== FAULT_NONE) {
    throw new Refusal(
      "image-bad-signature",
      `the manifest's signature by ${quote(vendor.vkey.name)} doesn't hold: ${faultCode(fault)}`,
    );
  }
  const { manifest, manifestBytes } = envelope;
  if (!equalBytes(manifest.vendorId, vendorIdOf(vendor.vkey.name, nodeCrypto))) {
    throw new Refusal(
      "image-unknown-signer",
      `the manifest is for vendor ${toHex(manifest.vendorId)}, the key that signed it is ${quote(vendor.vkey.name)}`,
    );
  }
  checkImage(image, manifest);
  const sameKey = vendors.filter((other) => equalBytes(other.vkey.publicKey, vendor.vkey.publicKey));
  return {
    stream,
    manifest,
    manifestDigest: nodeCrypto.sha256(manifestBytes),
    vendor: vendor.vkey,
    products: sameKey.flatMap(({ product }) => (product === null ? [] : [product])),
    size: image.length,
  };
}

function split(stream: Uint8Array): { envelope: Envelope; image: Uint8Array } {
  const { fault, envelope: bytes, payload } = splitUpload(stream);
  if (fault !== FAULT_NONE) {
    const [a = 0, b = 0, c = 0, d = 0] = stream;
    const announced = a + 256 * (b + 256 * (c + 256 * d));
    if (announced > 0 && announced <= MAX_ENVELOPE) {
      throw new Refusal(
        "image-truncated",
        `the file has ${stream.length} bytes and ends within its manifest of ${announced}`,
      );
    }
    if (stream.length < LENGTH_BYTES)
      throw new Refusal("image-truncated", `the file has ${stream.length} bytes`);
    throw new Refusal("image-malformed", "found something else than length, manifest and image", {
      hint: "expected the .upload file that `vouch release seal` writes",
    });
  }
  const envelope = decodeEnvelope(bytes);
  if (envelope.fault !== FAULT_NONE) throw malformed(envelope.fault, "the manifest");
  return { envelope, image: payload };
}

/** An algorithm that isn't known here is unsupported; it may be fine elsewhere. The rest is wrong everywhere. */
function malformed(fault: number, what: string): Refusal {
  const refusal = faultRefusal(fault, what);
  if (fault === FAULT_COSE_ALGORITHM) return refusal;
  return new Refusal("image-malformed", `${refusal.message} (${refusal.code})`);
}

/** The vendor whose key id the signature names. The id only chooses; the key is ours. */
function signerOf(envelope: Envelope, bytes: Uint8Array, vendors: readonly Vendor[]): Vendor {
  const sign1 = decodeSign1(bytes);
  if (sign1.fault !== FAULT_NONE) throw malformed(sign1.fault, "the manifest's signature");
  const { kid } = sign1;
  const known = vendors.filter(({ vkey }) => kid !== null && equalBytes(kidOfKey(vkey.publicKey), kid));
  const named = known.find(({ vkey }) =>
    equalBytes(vendorIdOf(vkey.name, nodeCrypto), envelope.manifest.vendorId),
  );
  const vendor = named ?? known[0];
  if (vendor !== undefined) return vendor;
  const found = kid === null ? "no key" : `key ${toHex(kid)}`;
  const expected = vendors.map(({ vkey }) => `${toHex(kidOfKey(vkey.publicKey))} (${vkey.name})`).join(", ");
  throw new Refusal(
    "image-unknown-signer",
    `the manifest names ${found} as its signer, expected ${expected}`,
  );
}

function checkImage(image: Uint8Array, manifest: Manifest): void {
  if (image.length < manifest.size) {
    throw new Refusal(
      "image-truncated",
      `the image has ${image.length} bytes, its manifest says ${manifest.size}`,
    );
  }
  const digest = nodeCrypto.sha256(image);
  if (image.length > manifest.size || !equalBytes(digest, manifest.digest)) {
    throw new Refusal(
      "image-mismatch",
      `image of ${image.length} bytes hashes to ${toHex(digest)}, its manifest says ${manifest.size} bytes, ${toHex(manifest.digest)}`,
    );
  }
}

export function kidOfKey(publicKey: Uint8Array): Uint8Array {
  return kidOf(nodeCrypto.sha256(publicKey));
}

/** What of a device the checks look at. */
export interface Target {
  readonly model: string;
  /** The hardware revision. */
  readonly hwver: string;
  readonly vendorKid: Uint8Array;
  readonly vendorId: Uint8Array;
  readonly classId: Uint8Array;
  readonly floor: number;
  readonly sequence: number;
  readonly maxUpload: number;
}

/** Checks 6 to 8. */
export function checkTarget(upload: CheckedUpload, device: Target, allowDowngrade: boolean): void {
  const { manifest } = upload;
  const kid = kidOfKey(upload.vendor.publicKey);
  if (!equalBytes(device.vendorKid, kid)) {
    throw new Refusal(
      "vendor-key-mismatch",
      `the device boots images by vendor key ${toHex(device.vendorKid)}, this one is signed by ${toHex(kid)} (${upload.vendor.name})`,
    );
  }
  if (!equalBytes(manifest.vendorId, device.vendorId) || !equalBytes(manifest.classId, device.classId)) {
    throw new Refusal("wrong-model", modelsDiffer(upload, device));
  }
  if (!fitsRevision(manifest, device.hwver)) {
    const wanted = manifest.revisions.map(quote).join(", ");
    throw new Refusal(
      "wrong-revision",
      `the image is for hardware revision ${wanted}, the device is ${quote(device.hwver)}`,
    );
  }
  if (manifest.sequence < device.floor) {
    throw new Refusal(
      "rolled-back",
      `the image has security version ${manifest.sequence}, the device accepts ${device.floor} and later`,
    );
  }
  if (manifest.sequence < device.sequence && !allowDowngrade) {
    throw new Refusal(
      "rolled-back",
      `the image has security version ${manifest.sequence}, the device runs ${device.sequence}`,
      { hint: "--allow-downgrade installs it all the same, where the device's floor permits" },
    );
  }
  const room = device.maxUpload - LENGTH_BYTES - MAX_ENVELOPE; // the manifest's place is kept apart
  if (upload.size > room) {
    throw new Refusal("image-too-large", `the image has ${upload.size} bytes, the device takes ${room}`);
  }
}

function modelsDiffer(upload: CheckedUpload, device: Target): string {
  const found = `the image is for class ${toHex(upload.manifest.classId)}`;
  // A class id is a hash: of which product it is can only be tried.
  const product = upload.products.find((name) =>
    equalBytes(classIdOf(name, device.model, nodeCrypto), device.classId),
  );
  const what = product === undefined ? quote(device.model) : `${quote(device.model)} of ${quote(product)}`;
  return `${found}, the device is ${what}, class ${toHex(device.classId)}`;
}
