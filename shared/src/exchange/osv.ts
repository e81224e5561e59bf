// OSV records (Open Source Vulnerability format, ossf.github.io/osv-schema 1.x): read, written, and asked
// whether a version is affected.
//
//   affected[].ranges[]    type and events, ascending: introduced, then fixed (before it) or last_affected (up to it)
//   affected[].versions[]  single versions, by text
//
// A version is affected where it is listed, or lies between events. Only ranges of type SEMVER can be
// ordered here: for ECOSYSTEM and GIT what isn't listed can't be decided, and that is said, never passed over.

import { parseCvss } from "../cvss";
import { list, matching, oneOf, type Shape } from "../json";
import { isRefusal, quote, Refusal } from "../refusal";
import { compareSemver, isSemver } from "../semver";
import { type Interval, isWithin, unite } from "../vers";
import {
  exactly,
  type Imported,
  isWord,
  known,
  nothingYet,
  oneLine,
  optional,
  prose,
  readForeign,
} from "./foreign";

const name = prose(1024);
const KINDS = ["introduced", "fixed", "last_affected", "limit"] as const;

interface Event {
  readonly kind: (typeof KINDS)[number];
  readonly version: string;
}

const event: Shape<Event> = (value, at) => {
  const given = known({
    introduced: optional(name),
    fixed: optional(name),
    last_affected: optional(name),
    limit: optional(name),
  })(value, at);
  const said = KINDS.filter((kind) => given[kind] !== undefined);
  if (said.length !== 1)
    throw new Refusal(
      "malformed-json",
      `${at} says ${said.join(" and ") || "nothing"}, expected one of ${KINDS.join(", ")}`,
    );
  return { kind: said[0]!, version: given[said[0]!]! };
};

const range: Shape<OsvRange> = (value, at) => {
  const read = known({ type: oneOf("SEMVER", "ECOSYSTEM", "GIT"), events: list(event, 1, 10_000) })(
    value,
    at,
  );
  const kinds = new Set(read.events.map(({ kind }) => kind));
  if (!kinds.has("introduced")) throw new Refusal("malformed-json", `${at} has no introduced event`);
  if (kinds.has("fixed") && kinds.has("last_affected"))
    throw new Refusal("malformed-json", `${at} has both fixed and last_affected events`);
  return read.type === "SEMVER" ? { ...read, intervals: intervalsOf(read.events, at) } : read;
};

export interface OsvRange {
  readonly type: "SEMVER" | "ECOSYSTEM" | "GIT";
  readonly events: readonly Event[];
  /** For SEMVER. */
  readonly intervals?: readonly Interval[];
}

/** Events in order of their versions; what begins and never ends has no end. */
function intervalsOf(events: readonly Event[], at: string): Interval[] {
  for (const { kind, version } of events) {
    if (kind === "limit")
      throw new Refusal("malformed-json", `${at} has a limit, which only GIT ranges have`);
    if (!isSemver(version) && !(kind === "introduced" && version === "0"))
      throw new Refusal("malformed-json", `${at} has ${quote(version)}, expected a semantic version`);
  }
  const order = (a: Event, b: Event) => {
    if (a.version === "0" || b.version === "0") return Number(b.version === "0") - Number(a.version === "0");
    return compareSemver(a.version, b.version) || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind);
  };
  const intervals: Interval[] = [];
  let open: Interval["from"] | undefined;
  for (const { kind, version } of [...events].sort(order)) {
    if (kind === "introduced") {
      if (open !== undefined)
        throw new Refusal("malformed-json", `${at} begins again at ${version} before it ended`);
      open = version === "0" ? null : { version, included: true };
    } else if (open === undefined) {
      throw new Refusal("malformed-json", `${at} ends at ${version} and doesn't begin before`);
    } else {
      intervals.push({ from: open, to: { version, included: kind === "last_affected" } });
      open = undefined;
    }
  }
  if (open !== undefined) intervals.push({ from: open, to: null });
  return intervals;
}

const severity: Shape<string | null> = (value, at) => {
  const { type, score } = known({ type: prose(32), score: prose(256) })(value, at);
  if (type !== "CVSS_V3" && type !== "CVSS_V4") return null;
  const { version, vector } = parseCvss(score);
  if (version.startsWith("3") !== (type === "CVSS_V3"))
    throw new Refusal("malformed-json", `${at} is of type ${type} and holds a vector of version ${version}`);
  return vector;
};

const SAID = known({
  version: prose(64),
  status: oneOf("affected", "fixed", "not_affected", "under_investigation"),
  justification: optional(prose(64)),
});

const affected = known({
  package: optional(known({ ecosystem: prose(128), name, purl: optional(name) })),
  ranges: optional(list(range, 0, 1000)),
  versions: optional(list(name, 0, 100_000)),
  severity: optional(list(severity, 0, 16)),
  database_specific: optional(
    known({
      vouch: optional(
        known({
          product: name,
          images: list(matching(/^[0-9a-f]{64}$/, "a SHA-256 in hex"), 0, 64),
          releases: list(SAID, 0, 256),
          fixed: list(prose(64), 0, 64),
        }),
      ),
    }),
  ),
});
export type OsvAffected = ReturnType<typeof affected>;

const timestamp = matching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/, "a time in UTC");

const RECORD = known({
  id: matching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/, "an id"),
  modified: timestamp,
  published: optional(timestamp),
  withdrawn: optional(timestamp),
  aliases: optional(list(name, 0, 1000)),
  summary: optional(prose(4096)),
  details: optional(prose(1024 * 1024)),
  severity: optional(list(severity, 0, 16)),
  affected: optional(list(affected, 0, 10_000)),
  references: optional(list(known({ type: prose(32), url: prose(20_000) }), 0, 1000)),
});
export type OsvRecord = ReturnType<typeof RECORD>;

/** Throws `malformed-osv` and as parseForeign. */
export const parseOsv = (bytes: Uint8Array): OsvRecord =>
  readForeign(bytes, "the OSV record", "malformed-osv", RECORD);

/**
 * What an OSV record says of a product. Throws as parseOsv, `osv-withdrawn`, `product-unknown`, `range-unsupported`,
 * `version-unsupported`.
 */
export function importOsv(bytes: Uint8Array, productName: string): Imported {
  const read = parseOsv(bytes);
  if (read.withdrawn !== undefined)
    throw new Refusal("osv-withdrawn", `${read.id} was withdrawn on ${read.withdrawn}`, {
      hint: "`vouch advisory withdraw` takes an advisory back",
    });
  const isOurs = (each: OsvAffected) =>
    (each.package?.name ?? each.database_specific?.vouch?.product) === productName;
  const ours = (read.affected ?? []).filter(isOurs);
  if (ours.length === 0) {
    const names = (read.affected ?? []).map((each) => quote(each.package?.name ?? "none"));
    throw new Refusal("product-unknown", `${read.id} affects no package named ${quote(productName)}`, {
      hint: `it names ${[...new Set(names)].slice(0, 8).join(", ")}; --product-name says which is meant`,
    });
  }
  const out = nothingYet(read.id, read.summary ?? read.details ?? read.id);
  for (const each of ours) readAffected(each, out);
  out.cvss.push(
    ...[...(read.severity ?? []), ...ours.flatMap((each) => each.severity ?? [])].flatMap((v) => v ?? []),
  );
  for (const alias of read.aliases ?? []) {
    if (isWord(alias)) out.aliases.push(alias);
    else out.remarks.push(`left out: the id ${quote(alias)}, which isn't one word`);
  }
  const urls = (read.references ?? []).map(({ url }) => oneLine(url, 257));
  out.references.push(...urls.filter((url) => url.length > 0 && url.length <= 256));
  return out;
}

const MAX_OURS = 500; // an advisory of ours holds half of that

function readAffected(each: OsvAffected, out: Imported): void {
  for (const { type, events, intervals } of each.ranges ?? []) {
    if (intervals === undefined) {
      if ((each.versions ?? []).length > 0) continue; // listed one by one
      throw new Refusal(
        "range-unsupported",
        `a range of type ${type} can't be ordered here, expected SEMVER`,
      );
    }
    out.affected.push(...intervals);
    // What a range ends before mends it, unless the record says more exactly what does.
    if (each.database_specific?.vouch === undefined)
      out.fixed.push(...events.filter(({ kind }) => kind === "fixed").map(({ version }) => version));
  }
  const versions = each.versions ?? [];
  if (versions.length > MAX_OURS || out.affected.length > MAX_OURS)
    throw new Refusal("too-large", `the product has more than ${MAX_OURS} versions or ranges in the record`);
  const whole = unite(out.affected);
  for (const version of versions) {
    if (!isSemver(version))
      throw new Refusal("version-unsupported", `version ${quote(version)} isn't a semantic one`);
    if (!isWithin(version, whole)) out.affected.push(exactly(version));
  }
  const { images = [], releases = [], fixed = [] } = each.database_specific?.vouch ?? {};
  if (versions.length + (each.ranges ?? []).length + images.length + releases.length === 0)
    out.affected.push({ from: null, to: null }); // the package as such
  out.images.push(...images);
  out.fixed.push(...fixed);
  out.releases.push(...(releases as Imported["releases"]));
}

/** Ecosystems whose versions are semantic ones, so that their own ranges can be ordered here. */
const SEMANTIC: ReadonlySet<string> = new Set([
  "npm",
  "crates.io",
  "Go",
  "Hex",
  "Pub",
  "SwiftURL",
  "GitHub Actions",
]);

/**
 * Whether the record affects this version. `unknown` where that can't be decided here: a version that isn't a
 * semantic one and isn't listed, or a range whose order only its ecosystem knows.
 */
export function osvAffects(each: OsvAffected, version: string): "affected" | "not-affected" | "unknown" {
  const { ranges = [], versions = [] } = each;
  if (versions.includes(version)) return "affected";
  if (ranges.length === 0 && versions.length === 0) return "affected"; // the package as such
  const decided = ranges.map((given) => orderedIntervals(given, each.package?.ecosystem));
  if (!isSemver(version)) return "unknown";
  if (decided.some((intervals) => intervals !== null && isWithin(version, intervals))) return "affected";
  // Ranges of commits say the same as those of versions beside them; alone they can't be read here.
  const isOpen = ranges.some(
    ({ type }, i) => decided[i] === null && (type === "ECOSYSTEM" || decided.every((d) => d === null)),
  );
  return isOpen ? "unknown" : "not-affected";
}

function orderedIntervals({ intervals, type, events }: OsvRange, ecosystem = ""): readonly Interval[] | null {
  if (intervals !== undefined) return intervals;
  if (type !== "ECOSYSTEM" || !SEMANTIC.has(ecosystem)) return null;
  try {
    return intervalsOf(events, "the range");
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}
