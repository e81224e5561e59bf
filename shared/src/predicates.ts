// Shapes of in-toto predicates of ours: which keys, in which order, holding what.
// Spec: spec/predicates.md. What a statement means is in statement.ts.

import { base64, hex, integer, list, matching, maybe, object, oneOf, type Shape, text } from "./json";
import { quote, Refusal } from "./refusal";
import { isoTime } from "./time";

// SemVer 2.0.0: no leading zeros in numbers, at least one character in every part.
const NUMBER = "(0|[1-9][0-9]*)";
const PRERELEASE_PART = "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)";
const SEMVER = new RegExp(
  `^(?=.{1,64}$)${NUMBER}\\.${NUMBER}\\.${NUMBER}(-${PRERELEASE_PART}(\\.${PRERELEASE_PART})*)?(\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$`,
);
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
  }),
  status: object({
    product: word,
    logSize: integer(0),
    advisories: sorted(object({ id: word, index: integer(0), digest: sha256Digest }), 256, (a) => a.id),
    withdrawn: sorted(object({ digest: sha256Digest, reason: text(256) }), 64, (w) => w.digest.sha256),
    created: time,
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
  "renewal-commitment": object({
    digest: object({ sha512: hex(64), "sha3-256": hex(32) }),
    created: time,
  }),
};

type Predicates = typeof PREDICATES;
export type Predicate<K extends keyof Predicates> = ReturnType<Predicates[K]>;
export type StatementKind = keyof Predicates;
