// What both oracles miss, as small rules: a resource in, sentences out. An oracle for tests, written apart from the exporter
// and after the guide's text; units and codes are spelled out again on purpose.

type Json = { [key: string]: unknown };
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});

/** Units that FHIR's vital-signs table and the guide allow for a LOINC code. */
const UNITS: Record<string, readonly string[]> = {
  "2708-6": ["%"],
  "8867-4": ["/min"],
  "9279-1": ["/min"],
  "8310-5": ["Cel", "[degF]"],
  "8480-6": ["mm[Hg]"],
  "8462-4": ["mm[Hg]"],
  "8478-0": ["mm[Hg]"],
  "29463-7": ["kg", "g", "[lb_av]"],
  "41653-7": ["mg/dL"],
  "14743-9": ["mmol/L"],
  "11524-6": ["mV", "uV"],
};

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?(Z|[+-]\d{2}:\d{2})$/;
const DATA = /^(-?\d+(\.\d+)?|E|U|L)( (-?\d+(\.\d+)?|E|U|L))*$/;
const PHD = "http://hl7.org/fhir/uv/phd/StructureDefinition/";

export function brokenRules(resource: Json): string[] {
  const found: string[] = [];
  visit(resource, "", found);
  if (resource.resourceType === "Observation") observation(resource, found);
  return found;
}

/** Rules of any element. */
function visit(value: unknown, path: string, found: string[]): void {
  if (Array.isArray(value)) {
    if (value.length === 0) found.push(`${path}: an empty list`);
    for (const [i, item] of value.entries()) visit(item, `${path}[${i}]`, found);
    return;
  }
  if (typeof value !== "object" || value === null) {
    if (value === "" || value === null) found.push(`${path}: an empty value`);
    return;
  }
  for (const choice of ["value", "effective", "occurred"]) {
    const chosen = Object.keys(value).filter((key) => new RegExp(`^${choice}[A-Z]`).test(key));
    if (chosen.length > 1) found.push(`${path}: ${chosen.join(" and ")}, expected one ${choice}[x]`);
  }
  for (const [key, member] of Object.entries(value)) {
    if (/DateTime$|^recorded$|^when$/.test(key) && !TIME.test(String(member)))
      found.push(`${path}.${key}: ${member} is no time with a zone`);
    if (key === "data" && "origin" in value) sampled(value as Json, path, found);
    visit(member, `${path}.${key}`, found);
  }
}

function sampled({ data, dimensions }: Json, path: string, found: string[]): void {
  const text = String(data);
  if (!DATA.test(text)) found.push(`${path}.data: not numbers parted by single spaces`);
  else if (text.split(" ").length % Number(dimensions) !== 0)
    found.push(`${path}.data: not a multiple of ${dimensions} values`);
}

function observation(resource: Json, found: string[]): void {
  const profiles = list(object(resource.meta).profile).map(String);
  for (const coded of [resource, ...list(resource.component)]) units(coded, found);
  if (!profiles.some((profile) => profile.startsWith(PHD))) found.push("no profile of the guide");
  if (profiles.includes(`${PHD}PhdCoincidentTimeStampObservation`)) {
    if (object(resource.valueQuantity).code !== "us") found.push("ticks in another unit than us");
    return;
  }
  const extensions = list(resource.extension).map(({ url }) => String(url));
  const gateways = extensions.filter((url) => url.endsWith("/observation-gatewayDevice")).length;
  if (gateways !== 1) found.push(`${gateways} gateways, expected 1`);
  if (!extensions.includes(`${PHD}CoincidentTimeStampReference`)) found.push("ticks made times by nothing");
  const categories = list(resource.category).flatMap(({ coding }) => list(coding).map(({ code }) => code));
  if (!categories.includes("phd")) found.push("no category phd");
  if (!list(object(resource.code).coding).some(({ system }) => system === "urn:iso:std:iso:11073:10101"))
    found.push("no MDC code");
  if (resource.device === undefined || resource.subject === undefined) found.push("no device, or no subject");
  const isVital = profiles.some((profile) => /^http:\/\/hl7\.org\/fhir\/StructureDefinition\//.test(profile));
  if (isVital && !categories.includes("vital-signs")) found.push("a vital sign without its category");
}

function units(coded: Json, found: string[]): void {
  const quantity = object(coded.valueQuantity ?? object(coded.valueSampledData).origin);
  if (quantity.code === undefined) return;
  for (const { system, code } of list(object(coded.code).coding)) {
    if (system !== "http://loinc.org") continue;
    const allowed = UNITS[String(code)];
    if (allowed !== undefined && !allowed.includes(String(quantity.code)))
      found.push(`LOINC ${code} in ${quantity.code}, expected ${allowed.join(" or ")}`);
  }
}

/** Rules of a transaction: names are names of one thing, and lead somewhere; what is created can be found again. */
export function brokenBundle(bundle: Json): string[] {
  const entries = list(bundle.entry);
  const names = new Map<string, number>();
  for (const { fullUrl } of entries) names.set(String(fullUrl), (names.get(String(fullUrl)) ?? 0) + 1);
  const found = [...names].filter(([, count]) => count > 1).map(([name]) => `${name} names several`);
  for (const text of JSON.stringify(bundle).matchAll(/"reference":"(urn:uuid:[^"]*)"/g))
    if (!names.has(text[1]!)) found.push(`${text[1]} names nothing`);
  for (const { request, resource } of entries) {
    const { method, ifNoneExist } = object(request);
    if (method !== "POST" || !/^(entity:)?identifier=\S+\|\S+$/.test(String(ifNoneExist)))
      found.push(`${object(resource).resourceType}: a repeated upload would double it`);
  }
  return found;
}
