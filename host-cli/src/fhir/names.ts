// Names that the resources of a stream share: code systems, profiles, and ids that come out the same each time.

import { createHash } from "node:crypto";
import { MDC_SYSTEM } from "@vouch/shared/mdc";
import type { CodeableConcept, Identifier } from "fhir/r4";

export const CORE = "http://hl7.org/fhir/StructureDefinition";
export const PHD = "http://hl7.org/fhir/uv/phd/StructureDefinition";
export const THO = "http://terminology.hl7.org/CodeSystem";
export const LOINC = "http://loinc.org";
export const URI = "urn:ietf:rfc:3986";
/** Names of ours: what no standard has one for. */
export const OWN = "https://vouch.example/fhir";

export const mdc = (code: number, display: string, text?: string): CodeableConcept => ({
  coding: [{ system: MDC_SYSTEM, code: String(code), display }],
  ...(text === undefined ? {} : { text }),
});

/** A UUID of version 8 (RFC 9562), made of what it names: the same reading has the same one in each export. */
export function uuidOf(kind: string, name: string): string {
  const hex = createHash("sha256").update(`vouch/fhir/${kind}\n${name}`).digest("hex");
  const variant = "89ab"[Number.parseInt(hex[16]!, 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** How entries name each other: by fullUrl in a bundle, by type and id in NDJSON. */
export type Refer = (type: string, uuid: string) => string;
export const inBundle: Refer = (_, uuid) => `urn:uuid:${uuid}`;
export const inLines: Refer = (type, uuid) => `${type}/${uuid}`;

/** A search for an identifier, as conditional creates write it. */
export function searchFor(identifier: Identifier, parameter = "identifier"): string {
  const { system = "", value = "" } = identifier;
  return `${parameter}=${searchText(system)}|${searchText(value)}`;
}

/** FHIR gives four characters a meaning in searches; a backslash takes it away. */
export const searchText = (text: string): string => encodeURIComponent(text.replace(/[\\$,|]/g, "\\$&"));

/** The URI of a digest (RFC 6920). */
export const niUri = (sha256: Uint8Array): string =>
  `ni:///sha-256;${Buffer.from(sha256).toString("base64url")}`;
