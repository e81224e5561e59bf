// Documents of others, before anything in them is believed: JSON as RFC 8259 has it, but with one meaning.
//
// JSON.parse keeps the last of two equal keys, so a document may say "affected" to one reader and
// "fixed" to another: repeated keys are refused, and nesting that would cost a stack. White space,
// escapes and unknown members are the writer's own business. What we use of a document is
// read through shapes (json.ts); `known` looks only at the keys it names.

import { utf8Decode } from "../bytes";
import { fields, isVisible, type Maybe, type Shape } from "../json";
import { isRefusal, quote, Refusal } from "../refusal";
import { isSemver } from "../semver";
import type { AdvisoryStatement } from "../statement";
import { formatRange, type Interval, isWithin, type Range, unite } from "../vers";

export const MAX_DOCUMENT = 16 * 1024 * 1024;
const MAX_DEPTH = 64;

/** The value of a document. Throws `too-large` or `malformed-json`. */
export function parseForeign(bytes: Uint8Array, what: string, maxBytes: number = MAX_DOCUMENT): unknown {
  if (bytes.length > maxBytes)
    throw new Refusal("too-large", `${what} is ${bytes.length} bytes, at most ${maxBytes} are accepted`);
  const text = utf8Decode(bytes);
  if (text === null) throw new Refusal("malformed-json", `${what} isn't UTF-8`);
  checkKeys(text, what); // before JSON.parse, which recurses
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Refusal("malformed-json", `${what} isn't JSON`, { cause });
  }
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];

/**
 * No object names a key twice, and none is "__proto__". Text that isn't JSON is JSON.parse's to refuse. By hand and
 * in one pass: a regular expression would begin again at each quote of a string that never ends.
 */
function checkKeys(text: string, what: string): void {
  const open: (Set<string> | null)[] = []; // null for an array
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!;
    if (c === "{" || c === "[") {
      if (open.push(c === "{" ? new Set() : null) > MAX_DEPTH)
        throw new Refusal("malformed-json", `${what} nests deeper than ${MAX_DEPTH} levels`);
    } else if (c === "}" || c === "]") open.pop();
    else if (c === '"') {
      const end = endOfString(text, at);
      if (end === null) return;
      if (isKey(text, end)) addKey(open[open.length - 1], nameOf(text.slice(at, end)), what);
      at = end - 1;
    }
  }
}

function addKey(keys: Set<string> | null | undefined, key: string, what: string): void {
  if (key === "__proto__") throw new Refusal("malformed-json", `${what} has a key ${quote(key)}`);
  if (keys?.has(key) === true)
    throw new Refusal("malformed-json", `${what} names the key ${quote(key)} twice in one object`);
  keys?.add(key);
}

/** After its closing quote; null when there is none. */
function endOfString(text: string, start: number): number | null {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at < text.length ? at + 1 : null;
}

/** Whether a colon follows. */
function isKey(text: string, from: number): boolean {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text[at]!)) at++;
  return text[at] === ":";
}

function nameOf(literal: string): string {
  try {
    return JSON.parse(literal) as string; // "a" and "\u0061" are one key
  } catch {
    return literal;
  }
}

/** An object of which only these keys are looked at. */
export const known =
  <S extends Parameters<typeof fields>[2]>(spec: S) =>
  (value: unknown, at: string) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return fields(value, at, spec);
    const given = value as Record<string, unknown>;
    const named = Object.keys(spec).filter((key) => Object.hasOwn(given, key));
    return fields(Object.fromEntries(named.map((key) => [key, given[key]])), at, spec);
  };

/** Text of any length up to `max`, whatever is in it: `oneLine` makes it fit to be shown. */
export const prose =
  (max: number): Shape<string> =>
  (value, at) => {
    if (typeof value !== "string" || value.length > max)
      throw new Refusal("malformed-json", `${at} isn't text of up to ${max} characters`);
    return value;
  };

/** Visible, on one line, at most `max` characters. */
export function oneLine(text: string, max: number): string {
  const seen = [...text.replace(/\s+/g, " ")]
    .filter((c) => isVisible(c))
    .join("")
    .trim();
  return seen.length <= max ? seen : `${seen.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

export const semver: Shape<string> = (value, at) => {
  if (typeof value === "string" && isSemver(value)) return value;
  throw new Refusal("malformed-json", `${at} is ${quote(String(value))}, expected a semantic version`);
};

const WORD = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/;
export const isWord = (text: string): boolean => WORD.test(text);

export const optional = <T>(shape: Shape<T>): Maybe<T> => ({ shape });

/** What a document says of one problem of one product, in our words. */
export interface Imported {
  id: string;
  aliases: string[];
  summary: string;
  /** SHA-256 of images affected, hex. */
  images: string[];
  affected: Interval[];
  investigated: Interval[];
  fixed: string[];
  releases: NonNullable<AdvisoryStatement["releases"]>[number][];
  cvss: string[];
  references: string[];
  /** What a person should know that the statement can't say. */
  remarks: string[];
}

export const nothingYet = (id: string, summary: string): Imported => ({
  ...{ id, summary, aliases: [], images: [], affected: [], investigated: [], fixed: [] },
  ...{ releases: [], cvss: [], references: [], remarks: [] },
});

/**
 * The statement that says the same. Throws `import-mixed` where a range is affected and another under
 * investigation, which one advisory can't say, `import-contradiction`, and `import-nothing`.
 */
export function importedStatement(from: Imported, product: string, created: string): AdvisoryStatement {
  const [affected, investigated] = [unite(from.affected), unite(from.investigated)];
  const isAffected = affected.length > 0 || from.images.length > 0;
  const range: Range = isAffected ? affected : investigated;
  if (isAffected && investigated.length > 0)
    throw new Refusal(
      "import-mixed",
      "some ranges of versions are affected and others under investigation: make two advisories of it",
    );
  const releases = saidOnce(from.releases);
  checkNamedOnce(from.affected, releases);
  if (!isAffected && range.length === 0 && !releases.some(counts)) {
    throw new Refusal(
      "import-nothing",
      `${quote(from.id)} says of no version of ${product} that it is affected`,
    );
  }
  // A release that is fixed or investigated needs saying only where the range would say otherwise.
  const needed = releases.filter(
    (r) => r.status === "affected" || r.status === "under_investigation" || isWithin(r.version, range),
  );
  return {
    kind: "advisory",
    subjects: [...new Set(from.images)].sort().map((sha256) => ({ name: "app", sha256 })),
    id: from.id,
    product,
    advisoryKind: "security",
    state: isAffected || releases.some((r) => r.status === "affected") ? "affected" : "under_investigation",
    fixedVersions: [...new Set(from.fixed)],
    summary: oneLine(from.summary, 1024),
    created,
    ...(from.aliases.length > 0 && { aliases: [...new Set(from.aliases)] }),
    ...(range.length > 0
      ? { affected: formatRange(range) }
      : from.images.length === 0 && { affected: rangeOfReleases(releases) }),
    ...(needed.length > 0 && { releases: needed }),
    ...(from.cvss.length > 0 && { cvss: [...new Set(from.cvss)].slice(0, 4) }),
    ...(from.references.length > 0 && { references: [...new Set(from.references)].slice(0, 16) }),
  };
}

type Said = Imported["releases"][number];
const counts = (r: Said) => r.status === "affected" || r.status === "under_investigation";

/** A version that is affected by name, and something else by name: variants of it, say, that a version doesn't tell apart. */
function checkNamedOnce(affected: readonly Interval[], releases: readonly Said[]): void {
  const named = new Set(
    affected.flatMap(({ from, to }) => (from !== null && from.version === to?.version ? [from.version] : [])),
  );
  const other = releases.find(({ version, status }) => status !== "affected" && named.has(version));
  if (other !== undefined)
    throw new Refusal("import-contradiction", `${other.version} is said to be affected, and ${other.status}`);
}

/** Single versions named without a range: the range is those. */
const rangeOfReleases = (releases: readonly Said[]) =>
  formatRange(
    unite(
      releases
        .filter(counts)
        .map(({ version }) => ({ from: { version, included: true }, to: { version, included: true } })),
    ),
  );

function saidOnce(releases: readonly Said[]): Said[] {
  const byVersion = new Map<string, Said>();
  for (const said of releases) {
    const before = byVersion.get(said.version);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(said))
      throw new Refusal(
        "import-contradiction",
        `${said.version} is said to be ${before.status}, and ${said.status}`,
      );
    byVersion.set(said.version, said);
  }
  return [...byVersion.values()].sort((a, b) => (a.version < b.version ? -1 : 1));
}

export const exactly = (version: string): Interval => ({
  from: { version, included: true },
  to: { version, included: true },
});

/** A document read through a shape: its refusals become `code`. */
export function readForeign<T>(bytes: Uint8Array, what: string, code: string, shape: Shape<T>): T {
  const value = parseForeign(bytes, what);
  try {
    return shape(value, what);
  } catch (error) {
    if (isRefusal(error) && error.code === "malformed-json")
      throw new Refusal(code, error.message, { cause: error });
    throw error;
  }
}
