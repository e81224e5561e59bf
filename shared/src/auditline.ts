// The lines that an audit prints, a store keeps and a report reads: one context line for each
// release, one record line for each piece of evidence, one summary. Spec: spec/audit-record.md.
//
// Canonical JSON, keys in the order below. A store finds the place of a record's `key`, `at` and
// `word` without reading the rest: all before them has one length for one program.

import { formatJson, hex, integer, list, object, readJson, type Shape, text } from "./json";
import { quote, Refusal } from "./refusal";
import type { Word } from "./verdict";

export const CONTEXT_VERSION = "vouch-audit-context/v1";
export const RECORD_VERSION = "vouch-audit-record/v1";
export const SUMMARY_VERSION = "vouch-audit-summary/v1";
/** A summary of which a part was counted otherwise than its records say. */
export const OUTDATED_VERSION = "vouch-audit-summary/v2";
/** The longest line; messages quote hostile text, but cut it. */
export const MAX_AUDIT_LINE = 1024 * 1024;

export type AuditContext = ReturnType<typeof contextShape>;
export type AuditRecord = ReturnType<typeof recordShape>;
export type AuditSummary = ReturnType<typeof summaryShape> | ReturnType<typeof outdatedShape>;
export type AuditLine =
  | ({ readonly kind: "context" } & AuditContext)
  | ({ readonly kind: "record" } & AuditRecord)
  | ({ readonly kind: "summary" } & AuditSummary);

/** Anything: hostile text stays text, printed by whoever shows it with its own care. */
const any: Shape<string> = (value, at) => {
  if (typeof value === "string") return value;
  throw new Refusal("malformed-json", `${at} isn't text`);
};
const orNull =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === null ? null : shape(value, at);
const yes: Shape<boolean> = (value, at) => {
  if (typeof value === "boolean") return value;
  throw new Refusal("malformed-json", `${at} isn't true or false`);
};
const WORDS: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched", "verified"];
const word: Shape<Word> = (value, at) => {
  if (WORDS.includes(value as Word)) return value as Word;
  throw new Refusal("malformed-json", `${at} is no verdict`);
};
const tally =
  (max: number): Shape<Readonly<Record<string, number>>> =>
  (value, at) => {
    const given = object({ entries: list(integer(0), 0, max) });
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Refusal("malformed-json", `${at} isn't an object`);
    given({ entries: Object.values(value) }, at);
    return value as Record<string, number>;
  };

const is =
  <const V extends string>(version: V): Shape<V> =>
  (value, at) => {
    if (value === version) return version;
    throw new Refusal("malformed-json", `${at} is ${quote(String(value))}, expected ${version}`);
  };

const asOf = orNull(object({ logSize: integer(0), time: orNull(any) }));
const finding = { code: any, word, claim: any };

const contextShape = object({
  version: is(CONTEXT_VERSION),
  context: hex(32),
  word,
  product: orNull(any),
  release: orNull(any),
  recorded: orNull(any),
  supportEnds: orNull(any),
  udiDi: orNull(any),
  approvers: list(any, 0, 64),
  log: orNull(any),
  size: orNull(any),
  asOf,
  timeSource: orNull(any),
  reasons: list(object({ ...finding, message: any }), 0, 4096),
  advisories: list(
    object({
      id: any,
      revision: integer(0),
      aliases: list(any, 0, 256),
      kind: any,
      effect: any,
      cvss: list(any, 0, 64),
      class: orNull(any),
      created: any,
      deadline: orNull(any),
      overdue: yes,
      fixIn: orNull(any),
      recorded: orNull(any),
    }),
    0,
    256,
  ),
  flags: list(any, 0, 1024),
  limits: list(any, 0, 64),
});

const recordShape = object({
  version: is(RECORD_VERSION),
  key: hex(32),
  input: hex(32),
  context: orNull(hex(32)),
  policy: hex(32),
  tool: text(64),
  at: text(40),
  word,
  product: orNull(any),
  release: orNull(any),
  device: any,
  kid: orNull(any),
  serial: orNull(any),
  ueid: orNull(any),
  reasons: list(object({ ...finding, of: any, message: any }), 0, 4096),
  advisories: list(any, 0, 256),
  flags: list(any, 0, 1024),
  asOf,
  timeSource: orNull(any),
  notBefore: orNull(any),
  notAfter: orNull(any),
  enroller: orNull(any),
  enrolled: orNull(any),
  components: list(object({ name: any, digest: hex(32) }), 0, 8),
  dbgstat: orNull(integer(0)),
});

const counted = {
  at: text(40),
  policy: hex(32),
  tool: text(64),
  records: integer(0),
  reused: integer(0),
  words: tally(8),
  releases: list(
    object({ product: orNull(any), release: orNull(any), words: tally(8), advisories: tally(4096) }),
    0,
    4096,
  ),
  flags: tally(16),
  trouble: list(object({ file: any, code: any, message: any }), 0, 4096),
  word: orNull(word),
  exit: integer(0, 255),
};

const summaryShape = object({ version: is(SUMMARY_VERSION), ...counted });

const outdatedShape = object({
  version: is(OUTDATED_VERSION),
  ...counted,
  outdated: list(
    object({
      code: any,
      product: any,
      release: any,
      context: hex(32),
      size: integer(0),
      from: integer(0),
      to: integer(0),
      word,
      records: integer(1),
      message: any,
      hint: any,
    }),
    1,
    4096,
  ),
});

/** The one form of a line, without its LF. */
export const formatAuditLine = (line: AuditContext | AuditRecord | AuditSummary): string =>
  JSON.stringify(line);

/** Reads a line of any of the three kinds. Throws `malformed-audit-line`, `unsupported-version`, `too-large`, and as parseJson. */
export function parseAuditLine(bytes: Uint8Array): AuditLine {
  const shape: Shape<AuditLine> = (value, at) => {
    const version = (value as { version?: unknown } | null)?.version;
    if (version === CONTEXT_VERSION) return { kind: "context", ...contextShape(value, at) };
    if (version === RECORD_VERSION) return { kind: "record", ...recordShape(value, at) };
    if (version === SUMMARY_VERSION) return { kind: "summary", ...summaryShape(value, at) };
    if (version === OUTDATED_VERSION) return { kind: "summary", ...outdatedShape(value, at) };
    if (typeof version === "string" && /^vouch-audit-[a-z]+\/v[0-9]{1,6}$/.test(version))
      throw new Refusal("unsupported-version", `${at} is of version ${quote(version)}, not known here`);
    throw new Refusal("malformed-json", `${at} is no line of an audit`);
  };
  return readJson(
    bytes,
    "the line",
    MAX_AUDIT_LINE,
    "malformed-audit-line",
    shape,
    ({ kind: _, ...line }) => line,
  );
}

/** What a record begins with, up to the digits of its key. */
export const BEFORE_KEY = JSON.stringify({ version: RECORD_VERSION, key: "" }).slice(0, -2);

/** The place of the moment's first digit in a record of this program that names a context, and of the verdict after it. */
export function placesOf(tool: string): { readonly at: number; readonly word: number } {
  const digest = "0".repeat(64);
  const line = { version: RECORD_VERSION, key: digest, input: digest, context: digest, policy: digest, tool };
  const at = JSON.stringify({ ...line, at: "" }).length - 2;
  return { at, word: at + '2026-01-01T00:00:00Z","word":"'.length };
}

export const auditLineBytes = (line: AuditContext | AuditRecord | AuditSummary): Uint8Array =>
  formatJson(line);
