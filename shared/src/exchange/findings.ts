// Which components of a bill of material are affected by which OSV records.
//
//   npm     pkg:npm/%40scope/name@1.2.3      ecosystem npm, package @scope/name
//   Debian  pkg:deb/debian/libc6@2.36-9?upstream=glibc      ecosystem Debian:12 …, package glibc
//
// Records of Debian, Ubuntu, Alpine and Wolfi name source packages: one that a purl names as `upstream` is looked for,
// too. Where names don't tell capitals apart, they aren't told apart here: a purl has them small, a record as published.
//
// A component is told by its purl. What can't be decided is a finding, never nothing: a component without a purl
// or without a version, a record for its package whose ranges can't be ordered here.

import type { Bom, Component } from "./cyclonedx";
import { type OsvAffected, type OsvRecord, osvAffects } from "./osv";
import { type Purl, parsePurl } from "./purl";

export interface SbomFinding {
  readonly component: Component;
  /** The record's id; null where the component itself is the trouble. */
  readonly osv: string | null;
  readonly verdict: "affected" | "unknown";
  readonly why: string;
}

/** purl type, or type and namespace, to the name of the ecosystem in OSV, up to its ":". */
const ECOSYSTEMS: { readonly [type: string]: string } = {
  "apk/alpine": "Alpine",
  "apk/wolfi": "Wolfi",
  cargo: "crates.io",
  composer: "Packagist",
  conan: "ConanCenter",
  cran: "CRAN",
  "deb/debian": "Debian",
  "deb/ubuntu": "Ubuntu",
  gem: "RubyGems",
  golang: "Go",
  hackage: "Hackage",
  hex: "Hex",
  maven: "Maven",
  npm: "npm",
  nuget: "NuGet",
  pub: "Pub",
  pypi: "PyPI",
  swift: "SwiftURL",
};

/** The package's name as OSV writes it. */
function packageName({ type, namespace, name }: Purl): string {
  if (type === "pypi") return name.toLowerCase().replace(/[-_.]+/g, "-");
  if (namespace === null || type === "deb" || type === "apk") return name;
  return type === "maven" ? `${namespace}:${name}` : `${namespace}/${name}`;
}

function ecosystemOf({ type, namespace }: Purl): string | null {
  const known = [`${type}/${namespace}`, type].find((key) => Object.hasOwn(ECOSYSTEMS, key));
  return known === undefined ? null : ECOSYSTEMS[known]!;
}

/** Ecosystems where a name in other capitals is the same package, or is written small in a purl. */
const CASELESS: ReadonlySet<string> = new Set(["Go", "Hex", "NuGet", "Packagist", "Pub", "SwiftURL"]);

const keyFor = (ecosystem: string, name: string) =>
  `${ecosystem} ${CASELESS.has(ecosystem) ? name.toLowerCase() : name}`;

const keyOf = (purl: Purl) => keyFor(ecosystemOf(purl) ?? purl.type, packageName(purl));

/** Under which keys records of a component are found. */
function keysOf(purl: Purl): string[] {
  const { type, upstream } = purl;
  if (upstream === null || upstream === purl.name || (type !== "deb" && type !== "apk")) return [keyOf(purl)];
  return [keyOf(purl), keyOf({ ...purl, name: upstream })];
}

/** Under which key a record's package is found; null where it names none that we know to match. */
function keyOfRecord({ package: named }: OsvAffected): string | null {
  if (named === undefined) return null;
  const purl = named.purl === undefined ? null : parsePurl(named.purl);
  if (purl !== null) return keyOf(purl);
  const ecosystem = named.ecosystem.replace(/:.*$/, "");
  const name = ecosystem === "PyPI" ? named.name.toLowerCase().replace(/[-_.]+/g, "-") : named.name;
  return keyFor(ecosystem, name);
}

/** Findings in the order of the components, then of the records. The subject itself is not looked for. */
export function findingsIn(bom: Bom, records: readonly OsvRecord[]): SbomFinding[] {
  const byKey = new Map<string, { id: string; each: OsvAffected }[]>();
  const byName = new Map<string, string[]>();
  const push = <T>(map: Map<string, T[]>, key: string, value: T) => {
    const held = map.get(key);
    if (held === undefined) map.set(key, [value]);
    else held.push(value);
  };
  for (const { id, withdrawn, affected = [] } of records) {
    if (withdrawn !== undefined) continue;
    for (const each of affected) {
      const key = keyOfRecord(each);
      if (key !== null) push(byKey, key, { id, each });
      if (each.package !== undefined) push(byName, each.package.name.toLowerCase(), id);
    }
  }
  return bom.components.flatMap((component) => {
    const purl = component.purl === null ? null : parsePurl(component.purl);
    if (purl === null || ecosystemOf(purl) === null) {
      const alike = [...new Set(byName.get(component.name.toLowerCase()) ?? [])];
      const why = purl === null ? "it has no purl" : `no ecosystem of OSV is known for pkg:${purl.type}`;
      if (alike.length === 0) return [finding(component, null, "unknown", why)];
      return alike.map((id) =>
        finding(component, id, "unknown", `${why}, and a package of that name is affected`),
      );
    }
    const records = keysOf(purl).flatMap((key) => byKey.get(key) ?? []);
    return findingsFor(component, purl, records);
  });
}

const finding = (component: Component, osv: string | null, verdict: SbomFinding["verdict"], why: string) => ({
  ...{ component, osv, verdict, why },
});

function findingsFor(
  component: Component,
  purl: Purl,
  records: readonly { id: string; each: OsvAffected }[],
): SbomFinding[] {
  const version = purl.version ?? component.version;
  if (version === null || version === "") {
    if (records.length === 0) return [];
    return records.map(({ id }) => finding(component, id, "unknown", "it has no version"));
  }
  if (component.version !== null && purl.version !== null && component.version !== purl.version)
    return [
      finding(
        component,
        null,
        "unknown",
        `its version is ${component.version}, its purl says ${purl.version}`,
      ),
    ];
  const plain = purl.type === "golang" ? version.replace(/^v/, "") : version;
  return records.flatMap(({ id, each }) => {
    const verdict = osvAffects(each, plain);
    if (verdict === "not-affected") return [];
    const why =
      verdict === "affected" ? `${plain} is affected` : `whether ${plain} is affected can't be decided here`;
    return [finding(component, id, verdict, why)];
  });
}
