// CVSS vectors, as an advisory's severity: FIRST's v3.0, v3.1 and v4.0, read strictly.
//
//   CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H                      9.8 critical
//   CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N   read, not scored
//
// Every base metric stands, none twice; of the others only what the version knows. Version 4.0
// fixes the order of metrics. 3.x takes any, and `vector` has them in the order that its specification
// prefers: one severity, one text. Scores are base scores of 3.x, by section 7.1 of its
// specification; version 4.0 has no formula but a table of 270 numbers, which is left to others.

import { quote, Refusal } from "./refusal";

export interface Cvss {
  readonly version: "3.0" | "3.1" | "4.0";
  /** Metrics in the order of the specification. */
  readonly vector: string;
  /** Base score and its word; null for 4.0. */
  readonly base: { readonly score: number; readonly severity: CvssSeverity } | null;
}

export type CvssSeverity = "NONE" | "LOW" | "MEDIUM" | "HIGH" | "CRITICAL";

/** A metric's values; a base metric has no "not defined". */
type Metrics = readonly (readonly [name: string, values: string, isBase: boolean])[];

const V3: Metrics = [
  ["AV", "N A L P", true],
  ["AC", "L H", true],
  ["PR", "N L H", true],
  ["UI", "N R", true],
  ["S", "U C", true],
  ["C", "H L N", true],
  ["I", "H L N", true],
  ["A", "H L N", true],
  ["E", "X H F P U", false],
  ["RL", "X U W T O", false],
  ["RC", "X C R U", false],
  ["CR", "X H M L", false],
  ["IR", "X H M L", false],
  ["AR", "X H M L", false],
  ["MAV", "X N A L P", false],
  ["MAC", "X L H", false],
  ["MPR", "X N L H", false],
  ["MUI", "X N R", false],
  ["MS", "X U C", false],
  ["MC", "X H L N", false],
  ["MI", "X H L N", false],
  ["MA", "X H L N", false],
];

const V4: Metrics = [
  ["AV", "N A L P", true],
  ["AC", "L H", true],
  ["AT", "N P", true],
  ["PR", "N L H", true],
  ["UI", "N P A", true],
  ["VC", "H L N", true],
  ["VI", "H L N", true],
  ["VA", "H L N", true],
  ["SC", "H L N", true],
  ["SI", "H L N", true],
  ["SA", "H L N", true],
  ["E", "X A P U", false],
  ["CR", "X H M L", false],
  ["IR", "X H M L", false],
  ["AR", "X H M L", false],
  ["MAV", "X N A L P", false],
  ["MAC", "X L H", false],
  ["MAT", "X N P", false],
  ["MPR", "X N L H", false],
  ["MUI", "X N P A", false],
  ["MVC", "X H L N", false],
  ["MVI", "X H L N", false],
  ["MVA", "X H L N", false],
  ["MSC", "X H L N", false],
  ["MSI", "X S H L N", false],
  ["MSA", "X S H L N", false],
  ["S", "X N P", false],
  ["AU", "X N Y", false],
  ["R", "X A U I", false],
  ["V", "X D C", false],
  ["RE", "X L M H", false],
  ["U", "X Clear Green Amber Red", false],
];

const VERSIONS: { readonly [prefix: string]: readonly [Cvss["version"], Metrics] } = {
  "CVSS:3.0": ["3.0", V3],
  "CVSS:3.1": ["3.1", V3],
  "CVSS:4.0": ["4.0", V4],
};

export const MAX_VECTOR = 256;

const malformed = (text: string, why: string) =>
  new Refusal("malformed-cvss", `CVSS vector ${quote(text)}: ${why}`);

/** Reads a vector. Throws `malformed-cvss`. */
export function parseCvss(text: string): Cvss {
  if (text.length > MAX_VECTOR) throw malformed(text, `longer than ${MAX_VECTOR} characters`);
  const [prefix = "", ...pairs] = text.split("/");
  const known = Object.hasOwn(VERSIONS, prefix) ? VERSIONS[prefix] : undefined;
  if (known === undefined) throw malformed(text, "expected it to begin with CVSS:3.0, CVSS:3.1 or CVSS:4.0");
  const [version, metrics] = known;
  const given = new Map<string, string>();
  let next = 0;
  for (const pair of pairs) {
    const [name = "", value = "", surplus] = pair.split(":");
    const at = metrics.findIndex(([known]) => known === name);
    if (at < 0) throw malformed(text, `${version} has no metric ${quote(name)}`);
    if (given.has(name)) throw malformed(text, `${name} stands twice`);
    if (at < next && version === "4.0") throw malformed(text, `${name} stands out of order`);
    if (surplus !== undefined || !metrics[at]![1].split(" ").includes(value))
      throw malformed(text, `${quote(pair)}: expected ${name} to be one of ${metrics[at]![1]}`);
    given.set(name, value);
    next = at + 1;
  }
  const missing = metrics.find(([name, , isBase]) => isBase && !given.has(name));
  if (missing !== undefined) throw malformed(text, `${missing[0]} is missing`);
  const ordered = metrics.flatMap(([name]) => (given.has(name) ? `/${name}:${given.get(name)}` : []));
  const vector = `${prefix}${ordered.join("")}`;
  if (version === "4.0") return { version, vector, base: null };
  const score = baseScore(given, version);
  return { version, vector, base: { score, severity: severityOf(score) } };
}

const WEIGHT: { readonly [metric: string]: { readonly [value: string]: number } } = {
  AV: { N: 0.85, A: 0.62, L: 0.55, P: 0.2 },
  AC: { L: 0.77, H: 0.44 },
  UI: { N: 0.85, R: 0.62 },
  C: { H: 0.56, L: 0.22, N: 0 },
};
const PRIVILEGES = { U: { N: 0.85, L: 0.62, H: 0.27 }, C: { N: 0.85, L: 0.68, H: 0.5 } };

function baseScore(given: ReadonlyMap<string, string>, version: "3.0" | "3.1"): number {
  const weight = (metric: string, like = metric) => WEIGHT[like]![given.get(metric)!]!;
  const changed = given.get("S") === "C";
  const privileges = PRIVILEGES[changed ? "C" : "U"][given.get("PR") as "N" | "L" | "H"];
  const iss = 1 - (1 - weight("C")) * (1 - weight("I", "C")) * (1 - weight("A", "C"));
  const impact = changed ? 7.52 * (iss - 0.029) - 3.25 * (iss - 0.02) ** 15 : 6.42 * iss;
  if (impact <= 0) return 0;
  const exploitability = 8.22 * weight("AV") * weight("AC") * privileges * weight("UI");
  const sum = Math.min(changed ? 1.08 * (impact + exploitability) : impact + exploitability, 10);
  return version === "3.0" ? Math.ceil(sum * 10) / 10 : roundUp(sum);
}

/** To the next tenth, in whole numbers (3.1, appendix A): 4.000000000000001 must not become 4.1. */
function roundUp(value: number): number {
  const whole = Math.round(value * 100_000);
  return whole % 10_000 === 0 ? whole / 100_000 : (Math.floor(whole / 10_000) + 1) / 10;
}

export function severityOf(score: number): CvssSeverity {
  if (score === 0) return "NONE";
  if (score < 4) return "LOW";
  if (score < 7) return "MEDIUM";
  return score < 9 ? "HIGH" : "CRITICAL";
}
