// The members of a CSAF 2.0 document that we look at, and what each must be: csaf.ts compares them.

import { parseCvss } from "../cvss";
import { list, matching, oneOf, type Shape } from "../json";
import { JUSTIFICATIONS } from "../predicates";
import { quote, Refusal } from "../refusal";
import { known, optional, prose } from "./foreign";

const id = prose(1024);
const ids = list(id, 1, 10_000);
const maybeIds = optional(ids);
const name = prose(4096);

const HASH_LENGTHS: { readonly [algorithm: string]: number } = {
  md5: 32,
  sha1: 40,
  sha256: 64,
  sha384: 96,
  sha512: 128,
};

const fileHash: Shape<{ algorithm: string; value: string }> = (value, at) => {
  const hash = known({ algorithm: prose(64), value: matching(/^[0-9a-fA-F]{32,}$/, "a hash in hex") })(
    value,
    at,
  );
  const length = Object.hasOwn(HASH_LENGTHS, hash.algorithm) ? HASH_LENGTHS[hash.algorithm] : undefined;
  if (length !== undefined && hash.value.length !== length)
    throw new Refusal(
      "malformed-json",
      `${at} is a ${hash.algorithm} of ${hash.value.length} hex digits, expected ${length}`,
    );
  return hash;
};

const product = known({
  product_id: id,
  name,
  product_identification_helper: optional(
    known({ hashes: optional(list(known({ filename: name, file_hashes: list(fileHash, 1, 64) }), 1, 1000)) }),
  ),
});

export interface Branch {
  category: string;
  name: string;
  branches?: Branch[];
  product?: ReturnType<typeof product>;
}

// A shape for itself: it is only called once the constant is there.
const branch: Shape<Branch> = (value, at) =>
  known({
    category: prose(64),
    name,
    branches: optional(list(branch, 1, 10_000)),
    product: optional(product),
  })(value, at);

const CVSS3: Shape<string> = (value, at) => {
  const given = known({
    version: oneOf("3.0", "3.1"),
    vectorString: prose(256),
    baseScore: score,
    baseSeverity: prose(16),
  })(value, at);
  const { version, vector, base } = parseCvss(given.vectorString);
  if (version !== given.version || base === null)
    throw new Refusal(
      "malformed-json",
      `${at}.version is ${quote(given.version)}, its vector is of ${version}`,
    );
  if (base.score !== given.baseScore || base.severity !== given.baseSeverity) {
    throw new Refusal(
      "malformed-json",
      `${at} says ${given.baseScore} ${quote(given.baseSeverity)}, its vector gives ${base.score} ${base.severity}`,
    );
  }
  return vector;
};

const score: Shape<number> = (value, at) => {
  if (typeof value !== "number" || !(value >= 0 && value <= 10))
    throw new Refusal("malformed-json", `${at} isn't a score from 0 to 10`);
  return value;
};

export const STATUSES = [
  "first_affected",
  "first_fixed",
  "fixed",
  "known_affected",
  "known_not_affected",
  "last_affected",
  "recommended",
  "under_investigation",
] as const;
export type Status = (typeof STATUSES)[number];

const reference = known({ url: prose(20_000), category: optional(oneOf("external", "self")) });
const note = known({ category: prose(64), text: prose(100_000) });

const vulnerability = known({
  cve: optional(matching(/^CVE-[0-9]{4}-[0-9]{4,}$/, "a CVE id")),
  ids: optional(list(known({ system_name: name, text: name }), 1, 100)),
  title: optional(name),
  notes: optional(list(note, 1, 1000)),
  product_status: optional(
    known(
      Object.fromEntries(STATUSES.map((status) => [status, maybeIds])) as Record<Status, typeof maybeIds>,
    ),
  ),
  scores: optional(list(known({ products: ids, cvss_v3: optional(CVSS3) }), 1, 1000)),
  flags: optional(
    list(known({ label: oneOf(...JUSTIFICATIONS), product_ids: maybeIds, group_ids: maybeIds }), 1, 1000),
  ),
  remediations: optional(list(known({ product_ids: maybeIds, group_ids: maybeIds }), 1, 1000)),
  threats: optional(list(known({ product_ids: maybeIds, group_ids: maybeIds }), 1, 1000)),
  references: optional(list(reference, 1, 1000)),
});
export type Vulnerability = ReturnType<typeof vulnerability>;

const timestamp = matching(
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/,
  "a time with its zone",
);
const versionOf = matching(
  /^((0|[1-9][0-9]*)|\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?)$/,
  "a whole number or semantic version",
);

export type CsafProduct = ReturnType<typeof product>;

export const CSAF_DOCUMENT = known({
  document: known({
    category: prose(256),
    csaf_version: oneOf("2.0"),
    title: name,
    publisher: known({ category: prose(64), name, namespace: prose(2048) }),
    tracking: known({
      id: matching(/^\S(.*\S)?$/, "an id"),
      status: oneOf("draft", "interim", "final"),
      version: versionOf,
      initial_release_date: timestamp,
      current_release_date: timestamp,
      revision_history: list(known({ number: versionOf, date: timestamp }), 1, 10_000),
    }),
    references: optional(list(reference, 1, 1000)),
  }),
  product_tree: known({
    branches: optional(list(branch, 1, 10_000)),
    full_product_names: optional(list(product, 1, 10_000)),
    relationships: optional(
      list(
        known({ full_product_name: product, product_reference: id, relates_to_product_reference: id }),
        1,
        10_000,
      ),
    ),
    product_groups: optional(list(known({ group_id: id, product_ids: ids }), 1, 10_000)),
  }),
  vulnerabilities: list(vulnerability, 1, 10_000),
});
export type CsafDocument = ReturnType<typeof CSAF_DOCUMENT>;
