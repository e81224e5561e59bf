// CSAF 2.0 advisories (OASIS standard), read for one product and one vulnerability.
//
//   product_tree      branches of vendor, product_name, product_version(_range): what product ids mean
//   vulnerabilities[] product_status: which ids are affected, fixed, not affected; flags say why not;
//                     scores: CVSS
//
// A document that contradicts itself is refused, by the mandatory tests of the standard's section 6.1
// that bear on what we take from it: ids that are not defined (1) or twice (2), a product in two
// groups of status that exclude each other (6), scores that their vector doesn't give (8 to 10), hashes
// that are none, a revision history that doesn't lead to the version (11 to 22, in part). The rest of
// the standard is for its own validators.

import { quote, Refusal } from "../refusal";
import { isSemver } from "../semver";
import { type Interval, isWithin, parseRange, unite } from "../vers";
import {
  type Branch,
  CSAF_DOCUMENT,
  type CsafDocument,
  type CsafProduct,
  STATUSES,
  type Status,
  type Vulnerability,
} from "./csaf-form";
import { exactly, type Imported, isWord, nothingYet, oneLine, readForeign } from "./foreign";

/** What a product id stands for. */
interface Product {
  readonly productName: string | null;
  /** The version, or a range of them; null for all. */
  readonly version: string | null;
  readonly range: string | null;
  readonly sha256: readonly string[];
}

export interface Wanted {
  /** As the document calls the product. */
  readonly productName: string;
  /** A CVE or other id, where the document has several. */
  readonly vulnerability?: string | undefined;
}

const MAX_ENTRIES = 500; // an advisory of ours holds half of that

const malformed = (message: string, hint?: string) =>
  new Refusal("malformed-csaf", message, hint === undefined ? {} : { hint });

/**
 * Throws `malformed-csaf` and as parseForeign; `csaf-draft`, `product-unknown`, `several-vulnerabilities`,
 * `vulnerability-unknown`, `version-unsupported`.
 */
export function importCsaf(bytes: Uint8Array, wanted: Wanted): Imported {
  const read = readForeign(bytes, "the CSAF document", "malformed-csaf", CSAF_DOCUMENT);
  const { tracking } = read.document;
  if (tracking.status === "draft") throw new Refusal("csaf-draft", `${quote(tracking.id)} is a draft`);
  checkHistory(read);
  const products = productsOf(read);
  const groups = groupsOf(read, products);
  for (const [i, each] of read.vulnerabilities.entries())
    checkVulnerability(each, `vulnerabilities[${i}]`, products, groups);
  const names = new Set([...products.values()].map(({ productName }) => productName));
  if (!names.has(wanted.productName)) {
    throw new Refusal("product-unknown", `the document knows no product named ${quote(wanted.productName)}`, {
      hint: `it names ${[...names]
        .map((n) => quote(n ?? "none"))
        .slice(0, 8)
        .join(", ")}; --product-name says which is meant`,
    });
  }
  return translate(
    read,
    choose(read.vulnerabilities, wanted.vulnerability),
    products,
    groups,
    wanted.productName,
  );
}

function checkHistory({ document: { tracking } }: CsafDocument): void {
  const numbers = tracking.revision_history.map(({ number }) => number);
  if (new Set(numbers).size < numbers.length) throw malformed("the revision history has a number twice");
  const dates = [...tracking.revision_history].sort((a, b) => Date.parse(a.date) - Date.parse(b.date));
  const latest = dates[dates.length - 1]!.number;
  const plain = (version: string) => version.replace(/[-+].*$/, "");
  if (plain(latest) !== plain(tracking.version))
    throw malformed(
      `tracking.version is ${quote(tracking.version)}, the newest revision is ${quote(latest)}`,
    );
}

function productsOf({ product_tree: tree }: CsafDocument): Map<string, Product> {
  const products = new Map<string, Product>();
  const add = (each: CsafProduct, about: Omit<Product, "sha256">) => {
    if (products.has(each.product_id))
      throw malformed(`product id ${quote(each.product_id)} is defined twice`);
    const hashes = each.product_identification_helper?.hashes ?? [];
    const sha256 = hashes.flatMap(({ file_hashes }) =>
      file_hashes.filter(({ algorithm }) => algorithm === "sha256").map(({ value }) => value.toLowerCase()),
    );
    products.set(each.product_id, { ...about, sha256 });
  };
  const walk = (branches: readonly Branch[], above: Omit<Product, "sha256">) => {
    for (const each of branches) {
      const here = { ...above };
      if (each.category === "product_name") here.productName = each.name;
      if (each.category === "product_version") here.version = each.name;
      if (each.category === "product_version_range") here.range = each.name;
      if (each.product !== undefined) add(each.product, here);
      if (each.branches !== undefined) walk(each.branches, here);
    }
  };
  walk(tree.branches ?? [], { productName: null, version: null, range: null });
  for (const each of tree.full_product_names ?? [])
    add(each, { productName: each.name, version: null, range: null });
  for (const { full_product_name } of tree.relationships ?? [])
    add(full_product_name, { productName: full_product_name.name, version: null, range: null });
  for (const { product_reference, relates_to_product_reference } of tree.relationships ?? [])
    for (const used of [product_reference, relates_to_product_reference])
      checkDefined(used, "relationships", products);
  return products;
}

function checkDefined(used: string, where: string, defined: { has(id: string): boolean }): void {
  if (!defined.has(used))
    throw malformed(`${where} names ${quote(used)}, which the product tree doesn't define`);
}

function groupsOf(
  { product_tree: tree }: CsafDocument,
  products: ReadonlyMap<string, Product>,
): Map<string, readonly string[]> {
  const groups = new Map<string, readonly string[]>();
  for (const { group_id, product_ids } of tree.product_groups ?? []) {
    if (groups.has(group_id)) throw malformed(`group id ${quote(group_id)} is defined twice`);
    for (const used of product_ids) checkDefined(used, `group ${quote(group_id)}`, products);
    groups.set(group_id, product_ids);
  }
  return groups;
}

/** What excludes each other: section 6.1.6 of the standard. */
const EXCLUSIVE: readonly (readonly Status[])[] = [
  ["first_affected", "known_affected", "last_affected"],
  ["known_not_affected"],
  ["first_fixed", "fixed"],
  ["under_investigation"],
];

function checkVulnerability(
  vuln: Vulnerability,
  at: string,
  products: ReadonlyMap<string, Product>,
  groups: ReadonlyMap<string, readonly string[]>,
): void {
  const status = vuln.product_status ?? {};
  const seen = new Map<string, number>();
  EXCLUSIVE.forEach((group, number) => {
    for (const used of group.flatMap((word) => status[word] ?? [])) {
      checkDefined(used, `${at}.product_status`, products);
      const before = seen.get(used);
      if (before !== undefined && before !== number)
        throw malformed(`${at} says of ${quote(used)} both ${EXCLUSIVE[before]![0]} and ${group[0]}`);
      seen.set(used, number);
    }
  });
  for (const used of status.recommended ?? []) checkDefined(used, `${at}.product_status`, products);
  for (const used of (vuln.scores ?? []).flatMap((s) => s.products))
    checkDefined(used, `${at}.scores`, products);
  for (const key of ["flags", "remediations", "threats"] as const) {
    for (const { product_ids = [], group_ids = [] } of vuln[key] ?? []) {
      for (const used of product_ids) checkDefined(used, `${at}.${key}`, products);
      for (const used of group_ids) checkDefined(used, `${at}.${key}`, groups);
    }
  }
}

const namesOf = (vuln: Vulnerability): string[] => [
  ...(vuln.cve === undefined ? [] : [vuln.cve]),
  ...(vuln.ids ?? []).map(({ text }) => text),
];

function choose(all: readonly Vulnerability[], asked: string | undefined): Vulnerability {
  const names = all
    .map((vuln) => namesOf(vuln)[0] ?? "without an id")
    .slice(0, 8)
    .join(", ");
  if (asked !== undefined) {
    const found = all.filter((vuln) => namesOf(vuln).includes(asked));
    if (found.length === 1) return found[0]!;
    throw new Refusal(
      "vulnerability-unknown",
      `${quote(asked)} stands ${found.length} times in the document, which has ${names}`,
    );
  }
  if (all.length === 1) return all[0]!;
  throw new Refusal("several-vulnerabilities", `the document has ${all.length} vulnerabilities: ${names}`, {
    hint: "--vulnerability ID says which; each is an advisory of its own",
  });
}

function translate(
  read: CsafDocument,
  vuln: Vulnerability,
  products: ReadonlyMap<string, Product>,
  groups: ReadonlyMap<string, readonly string[]>,
  productName: string,
): Imported {
  const { document } = read;
  const out = nothingYet(document.tracking.id, vuln.title ?? document.title);
  const status = vuln.product_status ?? {};
  const ours = (group: Status): [string, Product][] =>
    (status[group] ?? [])
      .map((used): [string, Product] => [used, products.get(used)!])
      .filter(([, each]) => each.productName === productName);
  const all = STATUSES.reduce((sum, group) => sum + (status[group] ?? []).length, 0);
  const about = STATUSES.reduce((sum, group) => sum + ours(group).length, 0);
  if (about > MAX_ENTRIES)
    throw new Refusal(
      "too-large",
      `${about} entries are about the product, at most ${MAX_ENTRIES} are accepted`,
    );
  if (about < all) out.remarks.push(`${all - about} entries are about other products`);

  for (const [, each] of ours("known_affected")) {
    const isImageAlone = each.sha256.length > 0 && each.version === null && each.range === null;
    if (!isImageAlone) out.affected.push(...intervalsOf(each));
    out.images.push(...each.sha256);
  }
  const within = unite(out.affected);
  for (const group of ["first_affected", "last_affected"] as const) {
    for (const [used, each] of ours(group)) {
      if (each.version === null || !isSemver(each.version) || !isWithin(each.version, within))
        throw new Refusal(
          "version-unsupported",
          `${group} names ${quote(used)}, and no range in known_affected holds it`,
        );
    }
  }
  for (const group of ["fixed", "first_fixed"] as const)
    for (const [used, each] of ours(group)) {
      const version = versionIn(used, each);
      out.fixed.push(version);
      out.releases.push({ version, status: "fixed" });
    }
  const reasons = reasonsOf(vuln, groups);
  for (const [used, each] of ours("known_not_affected")) {
    const version = versionIn(used, each);
    const justification = reasons.get(used);
    if (justification === undefined)
      throw new Refusal(
        "justification-missing",
        `the document doesn't say why ${quote(used)} isn't affected, with a flag`,
      );
    out.releases.push({ version, status: "not_affected", justification });
  }
  for (const [, each] of ours("under_investigation")) {
    if (each.version === null) out.investigated.push(...intervalsOf(each));
    else out.releases.push({ version: versionIn("", each), status: "under_investigation" });
  }
  const affectedIds = new Set(ours("known_affected").map(([used]) => used));
  for (const { products: scored, cvss_v3 } of vuln.scores ?? [])
    if (cvss_v3 !== undefined && scored.some((used) => affectedIds.has(used))) out.cvss.push(cvss_v3);
  for (const alias of namesOf(vuln)) {
    if (isWord(alias)) out.aliases.push(alias);
    else out.remarks.push(`left out: the id ${quote(alias)}, which isn't one word`);
  }
  const urls = [...(document.references ?? []), ...(vuln.references ?? [])].map(({ url }) =>
    oneLine(url, 257),
  );
  out.references.push(...urls.filter((url) => url.length > 0 && url.length <= 256));
  return out;
}

type Justification = NonNullable<Vulnerability["flags"]>[number]["label"];

/** Product id to the first flag that is about it. */
function reasonsOf(
  { flags = [] }: Vulnerability,
  groups: ReadonlyMap<string, readonly string[]>,
): Map<string, Justification> {
  const ofGroup = new Map<string, Justification>();
  const reasons = new Map<string, Justification>();
  const first = (map: Map<string, Justification>, key: string, label: Justification) => {
    if (!map.has(key)) map.set(key, label);
  };
  for (const { label, product_ids = [], group_ids = [] } of flags) {
    for (const used of product_ids) first(reasons, used, label);
    for (const group of group_ids) first(ofGroup, group, label);
  }
  for (const [group, label] of ofGroup)
    for (const used of groups.get(group) ?? []) first(reasons, used, label);
  return reasons;
}

/** A version, or an image's own: `fixed` and `not affected` are said of single releases. */
function versionIn(used: string, { version }: Product): string {
  if (version !== null && isSemver(version)) return version;
  throw new Refusal(
    "version-unsupported",
    `${quote(used)} names no semantic version, but ${quote(version ?? "none")}`,
  );
}

function intervalsOf({ version, range }: Product): Interval[] {
  if (range !== null) return [...parseRange(range)];
  if (version === null) return [{ from: null, to: null }];
  if (!isSemver(version))
    throw new Refusal("version-unsupported", `version ${quote(version)} isn't a semantic one`);
  return [exactly(version)];
}
