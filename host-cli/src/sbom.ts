// A bill of materials as a file: what it is, and what a release asks of it before it names its digest.

import { toHex } from "@vouch/shared/bytes";
import { checkImageInBom, parseCycloneDx, withoutSupport } from "@vouch/shared/exchange/cyclonedx";
import { quote, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { readInput } from "./readfiles";

const MAX_SBOM = 64 * 1024 * 1024;
const CYCLONEDX_JSON = "application/vnd.cyclonedx+json";

const MEDIA_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^\s*\{[\s\S]*"bomFormat"\s*:\s*"CycloneDX"/, CYCLONEDX_JSON],
  [/^\s*\{[\s\S]*"(spdxVersion"|@context"\s*:\s*"https:\/\/spdx\.org\/)/, "application/spdx+json"],
  [/^\s*<[\s\S]*xmlns="http:\/\/cyclonedx\.org\/schema\/bom\//, "application/vnd.cyclonedx+xml"],
];

export interface SbomFile {
  readonly path: string;
  readonly mediaType?: string | undefined;
  /** Take one that doesn't tell support for each component. */
  readonly withoutSupport?: boolean | undefined;
}

/** What a release says of its bill of materials. */
export interface NamedSbom {
  readonly sha256: string;
  readonly mediaType: string;
}

/**
 * Its digest and media type. One in CycloneDX JSON, by its text or by the type given, must be about this image and version, and tell support for
 * each component; others are named as they are. Refuses `sbom-type`, `sbom-no-firmware`, `sbom-image-mismatch`,
 * `sbom-version`, `sbom-support`, and as parseCycloneDx.
 */
export function sbomOf(file: SbomFile, version: string, imageSha256: string): NamedSbom {
  const bytes = readInput(file.path, MAX_SBOM);
  const head = Buffer.from(bytes.subarray(0, 64 * 1024)).toString("utf8");
  const shown = MEDIA_TYPES.find(([pattern]) => pattern.test(head))?.[1];
  const found = file.mediaType ?? shown;
  if (found === undefined) {
    throw new Refusal(
      "sbom-type",
      `${file.path} is neither CycloneDX nor SPDX as far as its first 64 KiB show`,
      { hint: "--sbom-type TYPE says what it is" },
    );
  }
  // What it is said to be doesn't keep what it is from being checked.
  if (found === CYCLONEDX_JSON || shown === CYCLONEDX_JSON)
    about(file.path, () => checkAbout(bytes, file, version, imageSha256));
  return { sha256: toHex(nodeCrypto.sha256(bytes)), mediaType: found };
}

function checkAbout(bytes: Uint8Array, file: SbomFile, version: string, imageSha256: string): void {
  const bom = parseCycloneDx(bytes);
  const firmware = checkImageInBom(bom, imageSha256);
  if (firmware.version !== version) {
    throw new Refusal(
      "sbom-version",
      `the firmware is version ${quote(firmware.version ?? "none")} there, the release is ${version}`,
    );
  }
  const silent = withoutSupport(bom);
  if (silent.length > 0 && file.withoutSupport !== true) {
    const names = silent.slice(0, 4).map(({ name }) => quote(name));
    throw new Refusal(
      "sbom-support",
      `of ${silent.length} components it doesn't tell support and its end: ${names.join(", ")}${silent.length > 4 ? ", …" : ""}`,
      {
        hint: "properties vouch:support-level and vouch:end-of-support, or --sbom-without-support",
      },
    );
  }
}

/** A CycloneDX document in a file. Refuses as parseCycloneDx. */
export const readBom = (path: string) => about(path, () => parseCycloneDx(readInput(path, MAX_SBOM)));
