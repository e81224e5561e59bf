// OpenVEX 0.2.0 documents (github.com/openvex/spec): what is said of one vulnerability in one product.
//
// A later statement about the same product takes an earlier one's place: the same purl to the letter, and where it names
// an image or components in it, those. Another maker's product, or another variant, may have the same name and version: what
// is said of it stands beside. Of a purl name and version are read; `affected` must say what to do, `not_affected` why.

import { integer, list, matching, oneOf, type Shape } from "../json";
import { JUSTIFICATIONS } from "../predicates";
import { quote, Refusal } from "../refusal";
import { isSemver } from "../semver";
import { exactly, type Imported, isWord, known, nothingYet, optional, prose, readForeign } from "./foreign";
import { parsePurl } from "./purl";

const name = prose(4096);
const timestamp = matching(
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/,
  "a time with its zone",
);

const product = known({
  "@id": optional(name),
  identifiers: optional(known({ purl: optional(name) })),
  hashes: optional(known({ "sha-256": optional(matching(/^[0-9a-f]{64}$/, "a SHA-256 in hex")) })),
  subcomponents: optional(
    list(known({ "@id": optional(name), identifiers: optional(known({ purl: optional(name) })) }), 0, 1000),
  ),
});

const statement = known({
  vulnerability: known({ name, description: optional(name), aliases: optional(list(name, 0, 100)) }),
  timestamp: optional(timestamp),
  products: list(product, 1, 10_000),
  status: oneOf("not_affected", "affected", "fixed", "under_investigation"),
  justification: optional(oneOf(...JUSTIFICATIONS)),
  impact_statement: optional(name),
  action_statement: optional(name),
});

const DOCUMENT = known({
  "@context": oneOf("https://openvex.dev/ns/v0.2.0"),
  "@id": name,
  author: name,
  timestamp,
  version: integer(1),
  statements: list(statement, 1, 10_000) as Shape<ReturnType<typeof statement>[]>,
});
type Said = ReturnType<typeof statement>;

/** What is said last of one product. */
interface About {
  readonly said: Said;
  readonly purl: string;
  readonly version: string | null;
  readonly sha256: string | undefined;
  /** Of which components of it, as JSON. */
  readonly parts: string | undefined;
}

const MAX_ENTRIES = 500; // an advisory of ours holds half of that

const refuse = (code: string, message: string, hint?: string) =>
  new Refusal(code, message, hint === undefined ? {} : { hint });

/**
 * Throws `malformed-openvex` and as parseForeign; `several-vulnerabilities`, `vulnerability-unknown`,
 * `product-unknown`, `version-unsupported`, `justification-missing`.
 */
export function importOpenVex(
  bytes: Uint8Array,
  { productName, vulnerability }: { productName: string; vulnerability?: string | undefined },
): Imported {
  const read = readForeign(bytes, "the OpenVEX document", "malformed-openvex", DOCUMENT);
  const when = (said: Said) => Date.parse(said.timestamp ?? read.timestamp);
  for (const [i, said] of read.statements.entries()) checkWhole(said, `statements[${i}]`);
  const names = [...new Set(read.statements.map((said) => said.vulnerability.name))];
  if (vulnerability === undefined && names.length > 1)
    throw refuse(
      "several-vulnerabilities",
      `the document has ${names.length} vulnerabilities: ${names.slice(0, 8).map(quote).join(", ")}`,
      "--vulnerability ID says which; each is an advisory of its own",
    );
  const wanted = vulnerability ?? names[0]!;
  const about = read.statements.filter(
    ({ vulnerability: v }) => v.name === wanted || v.aliases?.includes(wanted) === true,
  );
  if (about.length === 0)
    throw refuse("vulnerability-unknown", `the document says nothing of ${quote(wanted)}`);
  const ordered = [...about].sort((a, b) => when(a) - when(b)); // stable: of equal times the later in the text
  const { name: id, description, aliases = [] } = about[0]!.vulnerability;
  const out = nothingYet(id, description ?? id);
  let latest: About[] = [];
  for (const said of ordered)
    for (const each of said.products) {
      const text = each.identifiers?.purl ?? each["@id"] ?? "";
      const purl = parsePurl(text);
      if (purl?.name !== productName) continue;
      const sha256 = each.hashes?.["sha-256"];
      const parts = each.subcomponents && JSON.stringify(each.subcomponents);
      const isSame = (one: About) =>
        one.purl === text &&
        (sha256 === undefined || one.sha256 === sha256) &&
        (parts === undefined || one.parts === parts);
      const { version } = purl;
      latest = [...latest.filter((one) => !isSame(one)), { said, purl: text, version, sha256, parts }];
      if (latest.length > MAX_ENTRIES)
        throw refuse(
          "too-large",
          `the document speaks of more than ${MAX_ENTRIES} of the product's versions`,
        );
    }
  if (latest.length === 0)
    throw refuse(
      "product-unknown",
      `no purl in the document is of ${quote(productName)}`,
      "--product-name says which is meant",
    );
  for (const each of latest) take(out, each);
  for (const alias of [id, ...aliases]) if (isWord(alias)) out.aliases.push(alias);
  return out;
}

function checkWhole({ status, action_statement, justification, impact_statement }: Said, at: string): void {
  if (status === "affected" && action_statement === undefined)
    throw refuse("malformed-openvex", `${at} says affected and not what to do: action_statement is missing`);
  if (status === "not_affected" && justification === undefined && impact_statement === undefined)
    throw refuse("malformed-openvex", `${at} says not_affected and not why`);
  if (status !== "not_affected" && justification !== undefined)
    throw refuse("malformed-openvex", `${at} gives a justification for being ${status}`);
}

function take(out: Imported, { said, version, sha256 }: About): void {
  if (version !== null && !isSemver(version))
    throw refuse("version-unsupported", `version ${quote(version)} isn't a semantic one`);
  switch (said.status) {
    case "affected":
      out.affected.push(version === null ? { from: null, to: null } : exactly(version));
      if (sha256 !== undefined) out.images.push(sha256);
      return;
    case "under_investigation":
      if (version === null) out.investigated.push({ from: null, to: null });
      else out.releases.push({ version, status: "under_investigation" });
      return;
    case "fixed":
      if (version === null) throw refuse("version-unsupported", "all versions are said to be fixed");
      out.fixed.push(version);
      out.releases.push({ version, status: "fixed" });
      return;
    case "not_affected":
      if (version === null) throw refuse("version-unsupported", "no version is said to be affected");
      if (said.justification === undefined)
        throw refuse(
          "justification-missing",
          `of ${version} only an impact statement says why it isn't affected, expected a justification`,
        );
      out.releases.push({ version, status: "not_affected", justification: said.justification });
      return;
    default:
      said.status satisfies never;
  }
}
