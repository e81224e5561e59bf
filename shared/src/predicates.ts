// Shapes of in-toto predicates of ours: which keys, in which order, holding what.
// Spec: spec/predicates.md. What a statement means is in statement.ts.

import { MAX_VECTOR, parseCvss } from "./cvss";
import { base64, hex, integer, list, matching, maybe, object, oneOf, type Shape, text } from "./json";
import { isRefusal, quote, Refusal } from "./refusal";
import { compareSemver, majorOf, SEMVER } from "./semver";
import { isoTime } from "./time";
import { parseRange } from "./vers";
import { formatVkey, parseVkey } from "./vkey";

const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;

const semver = matching(SEMVER, "a semantic version");
/** One word: products, models and ids also stand in policy lines and paths. */
const word = matching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/, "a word of up to 64 letters, digits, . _ : / -");
export const component = matching(/^[a-z][a-z0-9-]{0,31}$/, "a component name such as app or engine");
const mediaType = matching(/^[a-z0-9.+-]{1,64}\/[a-z0-9.+-]{1,64}$/, "a media type");
const sha256Digest = object({ sha256: hex(32) });

/** RFC 3339, UTC, whole seconds, a moment that exists: 2026-02-30 doesn't. */
const time: Shape<string> = (value, at) => {
  const stamp = matching(TIME, "a time such as 2026-01-15T09:00:00Z")(value, at);
  const seconds = Date.parse(stamp) / 1000;
  if (!Number.isFinite(seconds) || isoTime(seconds) !== stamp) {
    throw new Refusal("malformed-json", `${at} is ${quote(stamp)}, no such moment`);
  }
  return stamp;
};

const day: Shape<string> = (value, at) => {
  const date = matching(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/, "a day such as 2031-12-31")(value, at);
  time(`${date}T00:00:00Z`, at);
  return date;
};

/** Text that stays below `max` and never repeats. */
export const distinct =
  (item: Shape<string>, min: number, max: number): Shape<string[]> =>
  (value, at) => {
    const items = list(item, min, max)(value, at);
    if (new Set(items).size < items.length)
      throw new Refusal("malformed-json", `${at} names something twice`);
    return items;
  };

function sorted<T>(item: Shape<T>, max: number, keyOf: (item: T) => string): Shape<T[]> {
  return (value, at) => {
    const items = list(item, 0, max)(value, at);
    if (items.some((each, i) => i > 0 && keyOf(items[i - 1]!) >= keyOf(each))) {
      throw new Refusal("malformed-json", `${at} isn't sorted, or names something twice`);
    }
    return items;
  };
}

/** A severity as a CVSS vector, its metrics in order. */
const cvss: Shape<string> = (value, at) => {
  const vector = text(MAX_VECTOR)(value, at);
  if (within(at, () => parseCvss(vector)).vector !== vector)
    throw new Refusal("malformed-json", `${at} has its metrics out of order`);
  return vector;
};

const range: Shape<string> = (value, at) => {
  const written = text(1024)(value, at);
  within(at, () => parseRange(written));
  return written;
};

/** A Refusal of another module, as one about this place of the statement. */
function within<T>(at: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new Refusal("malformed-json", `${at}: ${cause.message}`, { cause });
  }
}

/** What VEX lets a maker say of one release; `not_affected` takes a reason. */
const saidOfRelease: Shape<ReleaseSaid> = (value, at) => {
  const said = object({
    version: semver,
    status: oneOf("affected", "fixed", "not_affected", "under_investigation"),
    justification: maybe(oneOf(...JUSTIFICATIONS)),
  })(value, at);
  if ((said.status === "not_affected") !== (said.justification !== undefined))
    throw new Refusal("malformed-json", `${at}: not_affected and a justification go together`);
  return said;
};

/** Words of OpenVEX and CSAF, as CISA's VEX working group set them. */
export const JUSTIFICATIONS = [
  "component_not_present",
  "vulnerable_code_not_present",
  "vulnerable_code_not_in_execute_path",
  "vulnerable_code_cannot_be_controlled_by_adversary",
  "inline_mitigations_already_exist",
] as const;

export interface ReleaseSaid {
  version: string;
  status: "affected" | "fixed" | "not_affected" | "under_investigation";
  justification?: (typeof JUSTIFICATIONS)[number];
}

/** Ascending, one of each major version. */
const newestOfLines: Shape<string[]> = (value, at) => {
  const versions = list(semver, 1, 64)(value, at);
  const isAscending = versions.every((v, i) => i === 0 || compareSemver(versions[i - 1]!, v) < 0);
  if (!isAscending || new Set(versions.map(majorOf)).size < versions.length)
    throw new Refusal("malformed-json", `${at} isn't ascending, one of each major version`);
  return versions;
};

/** A verifier key, as text in its one form. */
const vkey: Shape<string> = (value, at) => {
  const line = text(512)(value, at);
  if (formatVkey(within(at, () => parseVkey(line))) === line) return line;
  throw new Refusal("malformed-json", `${at} is ${quote(line)}, a verifier key in another form`);
};

/** Ascending by index, at least one: of none nothing is said. */
const records: Shape<{ index: number; digest: { sha256: string } }[]> = (value, at) => {
  const items = list(object({ index: integer(0), digest: sha256Digest }), 1, 64)(value, at);
  if (items.some((each, i) => i > 0 && items[i - 1]!.index >= each.index))
    throw new Refusal("malformed-json", `${at} isn't sorted, or names something twice`);
  return items;
};

const revoked: Shape<{ key: string; index: number; digest: { sha256: string } }[]> = (value, at) => {
  const item = object({ key: hex(32), index: integer(0), digest: sha256Digest });
  list(item, 1, 128)(value, at);
  return sorted(item, 128, ({ key }) => key)(value, at);
};

export const subjects = list(object({ name: text(128), digest: sha256Digest }), 1, 64);

export const PREDICATES = {
  release: object({
    product: word,
    version: semver,
    securityVersion: integer(1),
    floor: integer(0),
    hardware: object({ model: word, revisions: distinct(word, 1, 32) }),
    entry: object({ offset: integer(0, 0), length: integer(1, 2 ** 32 - 1) }),
    suit: object({ digest: sha256Digest }),
    changeClass: oneOf("patch", "major"),
    created: time,
    udiDi: maybe(text(64)),
    sbom: maybe(object({ digest: sha256Digest, mediaType })),
    source: maybe(object({ commit: matching(/^([0-9a-f]{40}|[0-9a-f]{64})$/, "a full commit id") })),
    supportEnds: maybe(day),
  }),
  advisory: object({
    id: word,
    product: word,
    kind: oneOf("security", "recall", "field-safety-notice"),
    state: oneOf("affected", "under_investigation"),
    fixedVersions: distinct(semver, 0, 64),
    summary: text(1024),
    created: time,
    revision: maybe(integer(2, 9999)),
    aliases: maybe(distinct(word, 1, 32)),
    affected: maybe(range),
    releases: maybe(sorted(saidOfRelease, 256, (said) => said.version)),
    cvss: maybe(distinct(cvss, 1, 4)),
    class: maybe(oneOf("regular", "out-of-cycle")),
    deadline: maybe(time),
    references: maybe(distinct(text(256), 1, 16)),
  }),
  "advisory-withdrawal": object({ id: word, product: word, reason: text(1024), created: time }),
  status: object({
    product: word,
    logSize: integer(0),
    advisories: sorted(
      object({ id: word, index: integer(0), digest: sha256Digest }),
      256,
      (a) => `${a.id} ${String(a.index).padStart(16, "0")}`, // a space comes before all that a word may hold
    ),
    withdrawn: sorted(object({ digest: sha256Digest, reason: text(256) }), 64, (w) => w.digest.sha256),
    rotations: maybe(records),
    revocations: maybe(revoked),
    created: time,
    newest: maybe(newestOfLines),
  }),
  enrolment: object({
    product: word,
    model: word,
    serial: text(64),
    ueid: hex(17),
    publicKey: base64(32),
    keyOrigin: oneOf("device", "station"),
    created: time,
  }),
  "enrolment-commitment": object({ created: time }),
  "evidence-commitment": object({ created: time }),
  rotation: object({
    role: oneOf("log", "witness", "approver", "status", "enroller"),
    log: text(128),
    from: integer(1),
    old: vkey,
    new: maybe(vkey),
    reason: text(256),
    created: time,
  }),
  revocation: object({ product: word, since: time, reason: text(256), created: time }),
  closing: object({ size: integer(0), successor: vkey, reason: text(256), created: time }),
  "fleet-commitment": object({ size: integer(1), created: time }),
  "stream-commitment": object({ created: time }),
  "renewal-commitment": object({
    digest: object({ sha512: hex(64), "sha3-256": hex(32) }),
    created: time,
  }),
};

type Predicates = typeof PREDICATES;
export type Predicate<K extends keyof Predicates> = ReturnType<Predicates[K]>;
export type StatementKind = keyof Predicates;
