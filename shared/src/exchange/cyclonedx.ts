// CycloneDX bills of material, JSON, 1.5 to 1.7: read strictly, for what a release and a search for
// vulnerabilities need of them.
//
//   metadata.component       what the document is about: the firmware, or a device that holds it
//   components[]             what it is made of, nested to any depth
//     purl, version          how a vulnerability is found
//     hashes                 of the firmware: SHA-256 of the image
//     properties             vouch:support-level  maintained | unmaintained | abandoned | unknown
//                            vouch:end-of-support 2031-12-31
//   dependencies[]           by bom-ref
//
// Keys that a version doesn't know are refused where the schema refuses them: at the top, in metadata and in
// components. Every bom-ref is one thing, every dependency leads to one. What lies deeper (licences,
// evidence, pedigree) is for the schema's own validators.

import { list, matching, oneOf, type Shape } from "../json";
import { quote, Refusal } from "../refusal";
import { known, optional, prose, readForeign } from "./foreign";
import { parsePurl } from "./purl";

const name = prose(4096);
const MAX_COMPONENTS = 100_000;

const words = (text: string): readonly string[] => text.split(" ");

// From the schemas of 1.5, and what each later one adds.
const ROOT = words(
  "$schema bomFormat specVersion serialNumber version metadata components services externalReferences dependencies compositions vulnerabilities annotations formulation properties signature",
);
const ROOT_SINCE = { "1.6": words("declarations definitions"), "1.7": words("citations") };
const METADATA = words(
  "timestamp lifecycles tools authors component manufacture supplier licenses properties",
);
const METADATA_SINCE = { "1.6": words("manufacturer"), "1.7": words("distributionConstraints") };
const COMPONENT = words(
  "type mime-type bom-ref supplier author publisher group name version description scope hashes licenses copyright cpe purl swid modified pedigree externalReferences components evidence releaseNotes modelCard data properties signature",
);
const COMPONENT_SINCE = {
  "1.6": words("manufacturer authors omniborId swhid cryptoProperties tags"),
  "1.7": words("versionRange isExternal patentAssertions"),
};
const TYPES = words(
  "application framework library container platform operating-system device device-driver firmware file machine-learning-model data",
);
const TYPES_SINCE = { "1.6": words("cryptographic-asset"), "1.7": [] };

const VERSIONS = ["1.5", "1.6", "1.7"] as const;
type SpecVersion = (typeof VERSIONS)[number];
type Since = Readonly<Record<"1.6" | "1.7", readonly string[]>>;

function upTo(version: SpecVersion, first: readonly string[], since: Since): readonly string[] {
  if (version === "1.5") return first;
  return version === "1.6" ? [...first, ...since["1.6"]] : [...first, ...since["1.6"], ...since["1.7"]];
}

const HASH_DIGITS: { readonly [algorithm: string]: number } = {
  MD5: 32,
  "SHA-1": 40,
  "SHA-256": 64,
  "SHA-384": 96,
  "SHA-512": 128,
  "SHA3-256": 64,
  "SHA3-384": 96,
  "SHA3-512": 128,
  "BLAKE2b-256": 64,
  "BLAKE2b-384": 96,
  "BLAKE2b-512": 128,
  BLAKE3: 64,
  "Streebog-256": 64,
  "Streebog-512": 128,
};

const hash: Shape<{ alg: string; content: string }> = (value, at) => {
  const read = known({
    alg: oneOf(...Object.keys(HASH_DIGITS)),
    content: matching(/^[0-9a-fA-F]+$/, "a hash in hex"),
  })(value, at);
  const digits = HASH_DIGITS[read.alg]!;
  if (read.content.length !== digits)
    throw malformed(`${at} is a ${read.alg} of ${read.content.length} hex digits, expected ${digits}`);
  return { ...read, content: read.content.toLowerCase() };
};

const malformed = (message: string) => new Refusal("malformed-json", message);

const LEVELS = ["maintained", "unmaintained", "abandoned", "unknown"] as const;
const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;

export interface Component {
  readonly type: string;
  readonly name: string;
  readonly group: string | null;
  readonly version: string | null;
  readonly purl: string | null;
  readonly bomRef: string | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
  readonly supportLevel: (typeof LEVELS)[number] | null;
  /** YYYY-MM-DD. */
  readonly endOfSupport: string | null;
}

export interface Bom {
  readonly specVersion: SpecVersion;
  /** What the document is about; null when it doesn't say. */
  readonly subject: Component | null;
  /** All others, parents before children. */
  readonly components: readonly Component[];
}

const property = known({ name, value: optional(name) });

function onlyKeys(value: unknown, allowed: readonly string[], at: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return; // the shape says so
  const odd = Object.keys(value).find((key) => !allowed.includes(key));
  if (odd !== undefined) throw malformed(`${at} has an unknown key ${quote(odd)}`);
}

/** Reads a document. Throws `malformed-cyclonedx` and as parseForeign; `unsupported-version`. */
export function parseCycloneDx(bytes: Uint8Array): Bom {
  return readForeign(bytes, "the CycloneDX document", "malformed-cyclonedx", readBom);
}

const readBom: Shape<Bom> = (value, at) => {
  const head = known({ bomFormat: oneOf("CycloneDX"), specVersion: prose(16) })(value, at);
  const specVersion = VERSIONS.find((version) => version === head.specVersion);
  if (specVersion === undefined)
    throw new Refusal(
      "unsupported-version",
      `${at} is of version ${quote(head.specVersion)}, known are ${VERSIONS.join(", ")}`,
    );
  onlyKeys(value, upTo(specVersion, ROOT, ROOT_SINCE), at);
  const components: Component[] = [];
  const reading = { specVersion, components };
  const body = known({
    serialNumber: optional(
      matching(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, "urn:uuid: and a UUID"),
    ),
    version: optional(wholeFrom1),
    metadata: optional(metadataOf(reading)),
    components: optional(componentsOf(reading)),
    services: optional(list(known({ "bom-ref": optional(reference) }), 0, MAX_COMPONENTS)),
    dependencies: optional(list(dependency, 0, MAX_COMPONENTS)),
  })(value, at);
  const subject = body.metadata?.component ?? null;
  checkReferences(
    [...(subject === null ? [] : [subject]), ...components],
    body.services ?? [],
    body.dependencies ?? [],
    at,
  );
  return { specVersion, subject, components };
};

const wholeFrom1: Shape<number> = (value, at) => {
  if (!Number.isSafeInteger(value) || (value as number) < 1)
    throw malformed(`${at} isn't a whole number from 1`);
  return value as number;
};

const reference: Shape<string> = (value, at) => {
  const text = name(value, at);
  if (text === "") throw malformed(`${at} is empty`);
  return text;
};

const dependency = known({
  ref: reference,
  dependsOn: optional(list(reference, 0, MAX_COMPONENTS)),
  provides: optional(list(reference, 0, MAX_COMPONENTS)),
});

interface Reading {
  readonly specVersion: SpecVersion;
  readonly components: Component[];
}

const metadataOf =
  (reading: Reading): Shape<{ component?: Component }> =>
  (value, at) => {
    onlyKeys(value, upTo(reading.specVersion, METADATA, METADATA_SINCE), at);
    return known({ component: optional(componentOf(reading)) })(value, at);
  };

const componentsOf =
  (reading: Reading): Shape<null> =>
  (value, at) => {
    const each = componentOf(reading);
    list(
      (item, here) => {
        const index = reading.components.length;
        reading.components.push(PLACE); // so that a parent stands before its children
        reading.components[index] = each(item, here);
        return null;
      },
      0,
      MAX_COMPONENTS,
    )(value, at);
    return null;
  };

const PLACE: Component = {
  ...{ type: "", name: "", group: null, version: null, purl: null, bomRef: null },
  ...{ sha256: null, supportLevel: null, endOfSupport: null },
};

const componentOf =
  (reading: Reading): Shape<Component> =>
  (value, at) => {
    onlyKeys(value, upTo(reading.specVersion, COMPONENT, COMPONENT_SINCE), at);
    const read = known({
      type: oneOf(...upTo(reading.specVersion, TYPES, TYPES_SINCE)),
      name,
      group: optional(name),
      version: optional(name),
      purl: optional(purl),
      "bom-ref": optional(reference),
      hashes: optional(list(hash, 0, 64)),
      properties: optional(list(property, 0, 10_000)),
      components: optional(componentsOf(reading)),
    })(value, at);
    const sha256 = (read.hashes ?? []).filter(({ alg }) => alg === "SHA-256").map(({ content }) => content);
    if (sha256.length > 1) throw malformed(`${at}.hashes has ${sha256.length} of SHA-256`);
    return {
      type: read.type,
      name: read.name,
      group: read.group ?? null,
      version: read.version ?? null,
      purl: read.purl ?? null,
      bomRef: read["bom-ref"] ?? null,
      sha256: sha256[0] ?? null,
      ...supportOf(read.properties ?? [], at),
    };
  };

const purl: Shape<string> = (value, at) => {
  const text = name(value, at);
  if (parsePurl(text) === null) throw malformed(`${at} is ${quote(text)}, no package URL`);
  return text;
};

function supportOf(properties: readonly { name: string; value?: string }[], at: string) {
  const said = (wanted: string): string | null => {
    const found = properties.filter((each) => each.name === wanted);
    if (found.length > 1) throw malformed(`${at} says ${wanted} ${found.length} times`);
    return found[0]?.value ?? null;
  };
  const level = said("vouch:support-level");
  const supportLevel = level === null ? null : LEVELS.find((known) => known === level);
  if (supportLevel === undefined)
    throw malformed(`${at} has the support level ${quote(level!)}, expected ${LEVELS.join(", ")}`);
  const endOfSupport = said("vouch:end-of-support");
  if (endOfSupport !== null && !isDay(endOfSupport))
    throw malformed(`${at} has the end of support ${quote(endOfSupport)}, expected a day such as 2031-12-31`);
  return { supportLevel, endOfSupport };
}

function isDay(text: string): boolean {
  const time = DAY.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return Number.isFinite(time) && new Date(time).toISOString().startsWith(text);
}

function checkReferences(
  components: readonly Component[],
  services: readonly { "bom-ref"?: string }[],
  dependencies: readonly { ref: string; dependsOn?: readonly string[]; provides?: readonly string[] }[],
  at: string,
): void {
  const refs = [
    ...components.map(({ bomRef }) => bomRef),
    ...services.map((service) => service["bom-ref"] ?? null),
  ];
  const defined = new Set<string>();
  for (const ref of refs) {
    if (ref === null) continue;
    if (defined.has(ref)) throw malformed(`${at} has two things by the bom-ref ${quote(ref)}`);
    defined.add(ref);
  }
  const seen = new Set<string>();
  for (const { ref, dependsOn = [], provides = [] } of dependencies) {
    if (seen.has(ref)) throw malformed(`${at}.dependencies speaks of ${quote(ref)} twice`);
    seen.add(ref);
    for (const used of [ref, ...dependsOn, ...provides])
      if (!defined.has(used))
        throw malformed(`${at}.dependencies names ${quote(used)}, which nothing in it is`);
    if (new Set(dependsOn).size < dependsOn.length)
      throw malformed(`${at}.dependencies names one of ${quote(ref)} twice`);
  }
}

/** The firmware that the document describes: its subject, or one inside. */
export function firmwareOf({ subject, components }: Bom): Component[] {
  return [...(subject === null ? [] : [subject]), ...components].filter(({ type }) => type === "firmware");
}

/**
 * That the document is about this image: a firmware component has its SHA-256. Throws `sbom-no-firmware`,
 * `sbom-image-mismatch`.
 */
export function checkImageInBom(bom: Bom, imageSha256: string): Component {
  const firmware = firmwareOf(bom);
  if (firmware.length === 0)
    throw new Refusal("sbom-no-firmware", "the CycloneDX document holds no component of type firmware");
  const found = firmware.find(({ sha256 }) => sha256 === imageSha256);
  if (found !== undefined) return found;
  const said = firmware
    .map(({ name, sha256 }) => `${quote(name)} ${sha256 ?? "without a SHA-256"}`)
    .slice(0, 4);
  throw new Refusal(
    "sbom-image-mismatch",
    `the image hashes to ${imageSha256}, the CycloneDX document says ${said.join(", ")}`,
  );
}

/** Components of which it isn't said how well and how long they are supported. */
export const withoutSupport = (bom: Bom): readonly Component[] =>
  [...(bom.subject === null ? [] : [bom.subject]), ...bom.components].filter(
    ({ supportLevel, endOfSupport }) => supportLevel === null || endOfSupport === null,
  );
