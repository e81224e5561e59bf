// Our advisories as documents that others read: CSAF 2.0 (profile security advisory) and OSV 1.6.
//
// Both are made from the statements alone, first form to last, so that the same statements give
// the same bytes. What such a document can't say of ours, a text in it says: the deadline, the class,
// images by digest. They are views: what is signed, and what a verdict reads, is the statement.

import { utf8Encode } from "../bytes";
import { parseCvss } from "../cvss";
import { quote, Refusal } from "../refusal";
import type { AdvisoryStatement, AdvisoryWithdrawal } from "../statement";
import { type Interval, parseRange } from "../vers";

export interface Publisher {
  readonly name: string;
  /** An address that names it: https://acme.example. */
  readonly namespace: string;
}

const CVE = /^CVE-[0-9]{4}-[0-9]{4,}$/;
const revisionOf = ({ revision }: AdvisoryStatement) => revision ?? 1;
const pretty = (value: unknown): Uint8Array => utf8Encode(`${JSON.stringify(value, null, 2)}\n`);

/** One advisory's forms, ascending by revision. Refuses `forms-differ`. */
function inOrder(forms: readonly AdvisoryStatement[]): [AdvisoryStatement, ...AdvisoryStatement[]] {
  const [first, ...rest] = [...forms].sort((a, b) => revisionOf(a) - revisionOf(b));
  if (first === undefined) throw new Refusal("forms-differ", "found no advisory to export");
  for (const form of rest)
    if (form.id !== first.id || form.product !== first.product)
      throw new Refusal(
        "forms-differ",
        `found ${quote(first.id)} and ${quote(form.id)}, expected the forms of one advisory`,
      );
  return [first, ...rest];
}

/**
 * The CSAF document of an advisory. It has a history, so every form must be there. Refuses `forms-differ`,
 * `revision-missing`.
 */
export function csafOf(given: readonly AdvisoryStatement[], publisher: Publisher): Uint8Array {
  const forms = inOrder(given);
  forms.forEach((form, i) => {
    if (revisionOf(form) !== i + 1)
      throw new Refusal(
        "revision-missing",
        `found revision ${revisionOf(form)} of ${form.id}, expected ${i + 1}: the history names each`,
      );
  });
  const [first] = forms;
  const last = forms[forms.length - 1]!;
  const tree = treeOf(last, publisher);
  return pretty({
    document: {
      category: "csaf_security_advisory",
      csaf_version: "2.0",
      lang: "en",
      notes: [{ category: "summary", text: last.summary }],
      publisher: { category: "vendor", name: publisher.name, namespace: publisher.namespace },
      ...referencesOf(last),
      title: `${last.product}: ${last.summary}`,
      tracking: {
        current_release_date: last.created,
        id: last.id,
        initial_release_date: first.created,
        revision_history: forms.map((form, i) => ({
          date: form.created,
          number: String(i + 1),
          summary: i === 0 ? "First form." : "Later form.",
        })),
        status: "final",
        version: String(forms.length),
      },
    },
    product_tree: tree.product_tree,
    vulnerabilities: [vulnerabilityOf(last, tree)],
  });
}

const isAddress = (text: string) => /^https?:\/\/[!-~]+$/.test(text);

function referencesOf({ references = [] }: AdvisoryStatement) {
  const urls = references.filter(isAddress);
  return urls.length === 0
    ? {}
    : {
        references: urls.map((url) => ({ category: "external", summary: "Reference of the advisory.", url })),
      };
}

/** Branches, and the ids of what they name by its status. */
function treeOf(s: AdvisoryStatement, publisher: Publisher) {
  const branches: object[] = [];
  const byStatus = new Map<string, string[]>();
  const reasons: { id: string; label: string }[] = [];
  const add = (status: string, category: string, name: string, more: object = {}): string => {
    const id = `CSAFPID-${String(branches.length + 1).padStart(4, "0")}`;
    branches.push({ category, name, product: { name: `${s.product} ${name}`, product_id: id, ...more } });
    byStatus.set(status, [...(byStatus.get(status) ?? []), id]);
    return id;
  };
  const open = s.state === "affected" ? "known_affected" : "under_investigation";
  if (s.affected !== undefined) add(open, "product_version_range", s.affected);
  for (const { name, sha256 } of s.subjects) {
    const file_hashes = [{ algorithm: "sha256", value: sha256 }];
    add(open, "specification", `${name} sha256:${sha256}`, {
      product_identification_helper: { hashes: [{ file_hashes, filename: name }] },
    });
  }
  const said = new Map((s.releases ?? []).map((release) => [release.version, release]));
  for (const { version, status, justification } of said.values()) {
    const group = {
      affected: "known_affected",
      fixed: "fixed",
      not_affected: "known_not_affected",
      under_investigation: "under_investigation",
    }[status];
    const id = add(group, "product_version", version);
    if (justification !== undefined) reasons.push({ id, label: justification });
  }
  for (const version of s.fixedVersions) if (!said.has(version)) add("fixed", "product_version", version);
  const product_tree = {
    branches: [
      {
        branches: [{ branches, category: "product_name", name: s.product }],
        category: "vendor",
        name: publisher.name,
      },
    ],
  };
  return { product_tree, byStatus, reasons };
}

function vulnerabilityOf(s: AdvisoryStatement, { byStatus, reasons }: ReturnType<typeof treeOf>) {
  const aliases = s.aliases ?? [];
  const cve = aliases.find((alias) => CVE.test(alias));
  const others = aliases.filter((alias) => alias !== cve);
  const affected = byStatus.get("known_affected") ?? [];
  const scores = (s.cvss ?? []).flatMap((vector) => {
    const { version, base } = parseCvss(vector);
    if (base === null) return [];
    const cvss_v3 = { version, vectorString: vector, baseScore: base.score, baseSeverity: base.severity };
    return affected.length === 0 ? [] : [{ cvss_v3, products: affected }];
  });
  const details =
    s.fixedVersions.length === 0 ? "No fixed release yet." : `Fixed in ${s.fixedVersions.join(", ")}.`;
  const labels = [...new Set(reasons.map(({ label }) => label))];
  return {
    ...(cve !== undefined && { cve }),
    ...(others.length > 0 && { ids: others.map((text) => ({ system_name: "alias", text })) }),
    ...(labels.length > 0 && {
      flags: labels.map((label) => ({
        label,
        product_ids: reasons.filter((r) => r.label === label).map(({ id }) => id),
      })),
    }),
    notes: [
      { category: "description", text: s.summary },
      ...remarksOf(s).map((text) => ({ category: "other", text, title: "vouch" })),
    ],
    product_status: Object.fromEntries([...byStatus].sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(affected.length > 0 && {
      remediations: [
        {
          category: s.fixedVersions.length === 0 ? "none_available" : "vendor_fix",
          details,
          product_ids: affected,
        },
      ],
    }),
    ...(scores.length > 0 && { scores }),
    title: s.summary,
  };
}

/** What the formats have no member for. */
function remarksOf(s: AdvisoryStatement): string[] {
  const lines = [
    s.advisoryKind === "security" ? null : `Kind: ${s.advisoryKind}.`,
    s.class === undefined ? null : `Class: ${s.class}.`,
    s.deadline === undefined ? null : `To be mended by ${s.deadline}.`,
    ...(s.cvss ?? []).map((vector) => (vector.startsWith("CVSS:4") ? `Severity: ${vector}.` : null)),
    ...(s.references ?? []).map((text) => (isAddress(text) ? null : `Reference: ${text}.`)),
  ];
  return lines.filter((line) => line !== null);
}

export interface OsvOptions {
  /** The OSV ecosystem that the product is a package of; without one the record has no package. */
  readonly ecosystem?: string | undefined;
  readonly withdrawal?: AdvisoryWithdrawal | undefined;
}

/** The OSV record of an advisory's newest form. Refuses `forms-differ`, `range-unsupported`, `under-investigation`. */
export function osvOf(
  given: readonly AdvisoryStatement[],
  { ecosystem, withdrawal }: OsvOptions,
): Uint8Array {
  const forms = inOrder(given);
  const s = forms[forms.length - 1]!;
  if (s.state === "under_investigation")
    throw new Refusal("under-investigation", `${s.id} is under investigation, which OSV has no word for`);
  const times = [...forms.map(({ created }) => created), ...(withdrawal ? [withdrawal.created] : [])].sort();
  const events = s.affected === undefined ? [] : eventsOf(s.affected);
  const versions = (s.affected === undefined ? [] : parseRange(s.affected)).flatMap(({ from, to }) =>
    from !== null && from.version === to?.version ? [from.version] : [],
  );
  const details = [s.summary, ...remarksOf(s)].join("\n\n");
  return pretty({
    schema_version: "1.6.0",
    id: s.id,
    modified: times[times.length - 1],
    published: forms[0].created,
    ...(withdrawal && { withdrawn: withdrawal.created }),
    ...(s.aliases && { aliases: s.aliases }),
    summary: s.summary,
    details,
    ...(s.cvss && {
      severity: s.cvss.map((score) => ({ type: score.startsWith("CVSS:4") ? "CVSS_V4" : "CVSS_V3", score })),
    }),
    affected: [
      {
        ...(ecosystem !== undefined && { package: { ecosystem, name: s.product } }),
        ...(events.length > 0 && { ranges: events.map((each) => ({ type: "SEMVER", events: each })) }),
        ...(versions.length > 0 && { versions }),
        database_specific: {
          vouch: {
            product: s.product,
            images: s.subjects.map(({ sha256 }) => sha256),
            releases: s.releases ?? [],
            fixed: s.fixedVersions,
          },
        },
      },
    ],
    ...(s.references?.some(isAddress) && {
      references: s.references.filter(isAddress).map((url) => ({ type: "WEB", url })),
    }),
  });
}

/** Ranges of OSV begin at a version and include it: what ours leaves out at its start it can't say. */
function eventsOf(affected: string): object[][] {
  const isSingle = ({ from, to }: Interval) => from !== null && from.version === to?.version;
  return parseRange(affected)
    .filter((interval) => !isSingle(interval))
    .map(({ from, to }) => {
      if (from !== null && !from.included)
        throw new Refusal(
          "range-unsupported",
          `OSV can't begin a range after ${from.version}, only at a version`,
        );
      return [
        { introduced: from === null ? "0" : from.version },
        ...(to === null ? [] : [to.included ? { last_affected: to.version } : { fixed: to.version }]),
      ];
    });
}
