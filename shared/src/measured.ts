// Claim 7: measured bytes are released bytes. Nobody says so; it is computed.
//
// The plain digest settles it for the image. The challenge-keyed one covers the whole
// region, erased flash behind the image included, and could not be known before the
// challenge; only somebody who holds the image can recompute it.

import { equalBytes, toHex } from "./bytes";
import type { Claims, Component } from "./evidence";
import type { Case } from "./history";
import type { Release } from "./published";
import { quote, Refusal } from "./refusal";
import type { DeviceResult } from "./verdict";

/** The longest region whose keyed digest is recomputed: bounds the time a hostile length could cost. */
const MAX_REGION = 128 * 1024 * 1024;

/** An image file at hand, hashed by whoever can read files. */
export interface Image {
  readonly component: string;
  readonly size: number;
  readonly sha256: Uint8Array;
  /** SHA-256(nonce ‖ image ‖ 0xFF up to regionLength). Called with regionLength ≥ size only. */
  keyed(nonce: Uint8Array, regionLength: number): Uint8Array;
}

/** Measured bytes are released bytes. */
export function checkMeasured(
  c: Case,
  claims: Claims,
  release: Release,
  images: readonly Image[],
): DeviceResult["components"] {
  const { subjects } = release.statement;
  const before = c.out.reasons.length;
  const results = claims.components.map((measured) => {
    const digest = toHex(measured.digest);
    const subject = subjects.find((s) => s.name === measured.name);
    const image = images.find((i) => i.component === measured.name);
    let keyedDigestChecked = false;
    if (subject === undefined) {
      c.out.failed(
        "measured",
        "component-unnamed",
        `the device measured ${quote(measured.name)}, which the release does not name`,
      );
    } else if (subject.sha256 !== digest) {
      c.out.failed(
        "measured",
        "measurement-mismatch",
        `${measured.name} measures ${digest}, the release names ${subject.sha256}`,
      );
    } else if (image === undefined) {
      checkImageNeeded(c, measured.name);
    } else if (toHex(image.sha256) !== digest) {
      // Refuted already, as the file it is. Its keyed digest would only seem to accuse the device.
    } else {
      keyedDigestChecked =
        c.out.attempt("measured", () => checkKeyed(c, claims.nonce, measured, image)) !== null;
    }
    return { name: measured.name, digest, regionLength: measured.regionLength, keyedDigestChecked };
  });
  for (const { name } of subjects) {
    if (!claims.components.some((m) => m.name === name)) {
      c.out.failed(
        "measured",
        "component-not-measured",
        `the release names ${quote(name)}, the device did not measure it`,
      );
    }
  }
  if (c.out.reasons.length === before) c.out.establishedAs("measured", () => measuredWords(results));
  return results;
}

function measuredWords(results: DeviceResult["components"]) {
  const list = results.map(
    (r) => `${r.name} ${r.digest.slice(0, 16)}…${r.keyedDigestChecked ? "" : " (keyed digest not checked)"}`,
  );
  return {
    text: `${list.join(", ")}, as the release says`,
    explain: results.map(
      (r) =>
        `bytes: ${r.name} sha256 ${r.digest}, region of ${r.regionLength} bytes${r.keyedDigestChecked ? ", keyed digest recomputed from image and erased flash" : ""}`,
    ),
  };
}

function checkImageNeeded(c: Case, name: string): void {
  if (c.policy.requireImage) {
    c.out.failed(
      "measured",
      "image-required",
      `the policy asks for the image of ${name}`,
      `add --image ${name}=FILE`,
    );
  } else {
    c.out.note(`keyed digest of ${name} not checked: no image given [keyed-digest-not-checked]`);
  }
}

function checkKeyed(c: Case, nonce: Uint8Array, measured: Component, image: Image): true {
  if (measured.regionLength > MAX_REGION) {
    throw new Refusal(
      "too-large",
      `${measured.name} is measured over ${measured.regionLength} bytes, at most ${MAX_REGION} are recomputed`,
    );
  }
  c.budget.left -= measured.regionLength;
  if (c.budget.left < 0)
    throw new Refusal("too-large", "the devices measured more than is recomputed in one run");
  if (image.size > measured.regionLength) {
    throw new Refusal(
      "keyed-digest-mismatch",
      `${measured.name} is measured over ${measured.regionLength} bytes, the image has ${image.size}`,
    );
  }
  if (!equalBytes(image.keyed(nonce, measured.regionLength), measured.keyedDigest)) {
    throw new Refusal(
      "keyed-digest-mismatch",
      `the keyed digest of ${measured.name} is not that of the image followed by erased flash`,
    );
  }
  return true;
}

/** Image files against the release's own digests, with or without a device. */
export function checkImages(c: Case, release: Release, images: readonly Image[]): void {
  for (const image of images) {
    c.out.attempt("image", () => {
      const subject = release.statement.subjects.find((s) => s.name === image.component);
      if (subject === undefined)
        throw new Refusal("component-unnamed", `the release names no component ${quote(image.component)}`);
      const actual = toHex(image.sha256);
      if (actual !== subject.sha256) {
        throw new Refusal(
          "image-mismatch",
          `${image.component} image hashes to ${actual}, the release says ${subject.sha256}`,
          { hint: "this is about the file given, not about what a device measured" },
        );
      }
      c.out.established("image", `${image.component} sha256 ${actual.slice(0, 16)}…, as the statement says`, [
        `bytes: ${image.size} bytes, sha256 ${actual}`,
      ]);
    });
  }
}
