// Advisories and what takes them back, as statements: their members, read and printed.
//
//   advisory             subject: images affected, then vers:semver, SHA-256 of the range if there is one
//   advisory-withdrawal  subject: the advisories' records, by SHA-256 of their envelopes
//
// Everything from `revision` on may be absent; the first form of the statement is one without
// all of it. What an advisory means for a release is in advisories.ts.

import { toHex, utf8Encode } from "./bytes";
import { text } from "./json";
import { component, distinct, PREDICATES, type Predicate, type ReleaseSaid } from "./predicates";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import type { Subject } from "./statement";

export interface AdvisoryStatement {
  readonly kind: "advisory";
  /** The images affected; may be none where `affected` names versions. */
  readonly subjects: readonly Subject[];
  readonly id: string;
  readonly product: string;
  readonly advisoryKind: "security" | "recall" | "field-safety-notice";
  readonly state: "affected" | "under_investigation";
  readonly fixedVersions: readonly string[];
  readonly summary: string;
  readonly created: string;
  /** From 2 on: it takes the place of earlier ones of its id. */
  readonly revision?: number;
  /** CVE and other names. */
  readonly aliases?: readonly string[];
  /** Releases by version: vers.ts. */
  readonly affected?: string;
  /** What holds for single releases, whatever the range says. Ascending by text. */
  readonly releases?: readonly Readonly<ReleaseSaid>[];
  readonly cvss?: readonly string[];
  readonly class?: "regular" | "out-of-cycle";
  /** By when devices must be mended. */
  readonly deadline?: string;
  readonly references?: readonly string[];
}

export interface AdvisoryWithdrawal {
  readonly kind: "advisory-withdrawal";
  /** SHA-256 of the advisories' envelopes, ascending. */
  readonly records: readonly string[];
  readonly id: string;
  readonly product: string;
  readonly reason: string;
  readonly created: string;
}

/** Throws `malformed-json`. `at` is where the statement stands. */
export function readAdvisory(list: readonly Subject[], predicate: unknown, at: string): AdvisoryStatement {
  const { kind: advisoryKind, ...rest } = PREDICATES.advisory(predicate, `${at}.predicate`);
  const images = rest.affected === undefined ? list : withoutRange(list, rest.affected, `${at}.subject`);
  for (const { name } of images) component(name, `${at}.subject`);
  const named = images.map((s) => `${s.name} ${s.sha256}`);
  distinct(text(128), 0, 64)(named, `${at}.subject`);
  return { kind: "advisory", subjects: images, advisoryKind, ...rest };
}

/** Throws `malformed-json`. */
export function readWithdrawal(list: readonly Subject[], predicate: unknown, at: string): AdvisoryWithdrawal {
  const claims = PREDICATES["advisory-withdrawal"](predicate, `${at}.predicate`);
  const records = list.map(({ sha256: record }) => record);
  const isSorted = records.every((record, i) => i === 0 || records[i - 1]! < record);
  if (!isSorted || list.some(({ name }) => name !== "advisory"))
    throw new Refusal("malformed-json", `${at}.subject isn't ascending digests, each named "advisory"`);
  return { kind: "advisory-withdrawal", records, ...claims };
}

// A statement of in-toto has subjects that are digests, so a range of versions has one too: of its text.
const RANGE_SUBJECT = "vers:semver";
const rangeSubject = (affected: string): Subject => ({
  name: RANGE_SUBJECT,
  sha256: toHex(sha256(utf8Encode(affected))),
});

/** The images, once the last subject is seen to be the range. */
function withoutRange(list: readonly Subject[], affected: string, at: string): readonly Subject[] {
  const [last] = list.slice(-1);
  const wanted = rangeSubject(affected);
  if (last?.name !== wanted.name || last.sha256 !== wanted.sha256) {
    throw new Refusal(
      "malformed-json",
      `${at} doesn't end with ${quote(RANGE_SUBJECT)} and the SHA-256 of the range`,
    );
  }
  return list.slice(0, -1);
}

interface Parts<P> {
  readonly subjects: readonly Subject[];
  readonly predicate: P;
}

// Keys in the order of PREDICATES: it is the order in which they are printed.
export function advisoryParts(s: AdvisoryStatement): Parts<object> {
  const { id, product, advisoryKind: kind, state, fixedVersions, summary, created } = s;
  const { revision, aliases, affected, releases, cvss, class: urgency, deadline, references } = s;
  return {
    subjects: [...s.subjects, ...(affected === undefined ? [] : [rangeSubject(affected)])],
    predicate: {
      ...{ id, product, kind, state, fixedVersions, summary, created },
      ...(revision !== undefined && { revision }),
      ...(aliases && { aliases }),
      ...(affected !== undefined && { affected }),
      ...(releases && { releases: releases.map(saidJson) }),
      ...(cvss && { cvss }),
      ...(urgency !== undefined && { class: urgency }),
      ...(deadline !== undefined && { deadline }),
      ...(references && { references }),
    },
  };
}

const saidJson = ({ version, status, justification }: ReleaseSaid) => ({
  version,
  status,
  ...(justification !== undefined && { justification }),
});

export function withdrawalParts(s: AdvisoryWithdrawal): Parts<Predicate<"advisory-withdrawal">> {
  const { id, product, reason, created } = s;
  const subjects = s.records.map((record) => ({ name: "advisory", sha256: record }));
  return { subjects, predicate: { id, product, reason, created } };
}
