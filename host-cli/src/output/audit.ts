// An audit for people: what is not patched first and why, then versions by advisory, then how sure it is.

import type { AuditContext, AuditRecord, AuditSummary } from "@vouch/shared/auditline";
import { printable } from "../exit";
import type { Io } from "../io";
import { paint, table } from "./terminal";

type Outdated = Extract<AuditSummary, { outdated: unknown }>["outdated"][number];

export function auditText(
  summary: AuditSummary,
  exceptions: readonly AuditRecord[],
  contexts: readonly AuditContext[],
  io: Io,
): string {
  const patched = summary.words["patched"] ?? 0;
  const bad = summary.records - patched;
  const unread = summary.trouble.filter(({ file }) => file !== "").length;
  const isUnsettled = summary.trouble.some(({ code }) => code === "too-many-contexts");
  const isLate = summary.trouble.some(({ code }) => code === "revocation-late");
  const isTroubled = summary.trouble.length > 0;
  const outdated = "outdated" in summary ? summary.outdated : [];
  const untold = bad - outdated.reduce((sum, { records }) => sum + records, 0) - exceptions.length;
  const answer =
    summary.records === 0
      ? "no device evidence was found,"
      : bad === 0
        ? `${summary.records === 1 ? "" : "all "}${recordsOf(summary.records)}${unread > 0 ? " that could be read" : ""} patched${isUnsettled ? ", some perhaps by an outdated context," : ""}${isLate ? ", some perhaps with a revoked key," : ""}`
        : `${bad} of ${recordsOf(summary.records)} not patched`;
  const parts = [`${answer} as of ${summary.at}\n`];
  if (exceptions.length > 0) parts.push(`\n${table([HEAD, ...exceptions.map(exceptionRow)])}`);
  if (untold > 0) parts.push(`and ${untold} more; --json lists all\n`);
  if (outdated.length > 0) parts.push(`\n${table(outdated.map(outdatedRow))}`);
  if (summary.releases.length > 0) parts.push(`\n${releaseTable(summary)}`);
  const flags = Object.entries(summary.flags).map(([flag, count]) => `${flag} ${count}`);
  const notes = [
    ...(flags.length === 0 ? [] : [["flags", flags.join(", ")]]),
    ...statusNotes(contexts),
    ...[...new Set(contexts.flatMap(({ limits }) => limits))].map((limit) => ["limit", limit]),
    ...(unread === 0 ? [] : [["unread", `${unread} of the files: their devices are missing here`]]),
    ["policy", `sha256:${summary.policy}`],
    ...(summary.reused === 0
      ? []
      : [["store", `${summary.reused} of ${recordsOf(summary.records)} known from the store`]]),
  ];
  parts.push(`\n${table(notes)}`);
  // "patched" as the last word would be the answer for all of them.
  if (summary.word !== null && (summary.word !== "patched" || !isTroubled))
    parts.push(`${paint(io, "stdout", summary.word === "patched" ? "green" : "red", summary.word)}\n`);
  return parts.join("");
}

/** Evidence is counted, and a device may have several pieces of it. */
const recordsOf = (count: number) => `${count} ${count === 1 ? "record" : "records"}`;

const outdatedRow = (found: Outdated): string[] => [
  found.word,
  recordsOf(found.records),
  `${printable(found.message)} [${found.code}]`,
];

const HEAD = ["verdict", "device", "key", "release", "why"];

function exceptionRow(record: AuditRecord): string[] {
  const reason = record.reasons.find(({ word }) => word === record.word);
  const name = record.kid === null && record.serial === null ? record.device : (record.serial ?? "?");
  return [
    record.word,
    name,
    record.kid ?? "-",
    nameOf(record),
    reason === undefined ? "" : `${shortDigests(reason.message)} [${reason.code}]`,
  ];
}

/** A table has no room for whole digests; --json has them. */
const shortDigests = (text: string) => text.replace(/\b([0-9a-f]{16})[0-9a-f]{48}\b/g, "$1…");

const nameOf = ({ product, release }: { product: string | null; release: string | null }) =>
  product === null ? "?" : `${product} ${release}`;

function releaseTable(summary: AuditSummary): string {
  const words = Object.keys(summary.words);
  const rows = summary.releases.map((release) => {
    const advisories = Object.entries(release.advisories).map(([id, count]) => `${id} (${count})`);
    const counts = words.map((word) => String(release.words[word] ?? "-"));
    const none = release.product === null ? "not known" : "none in force";
    return [nameOf(release), ...counts, advisories.join(", ") || none];
  });
  return table([["release", ...words, "advisories"], ...rows]);
}

/** From how far the word of the maker comes; contexts that don't agree are worth a remark. */
function statusNotes(contexts: readonly AuditContext[]): string[][] {
  const sizes = [...new Set(contexts.flatMap(({ asOf }) => (asOf === null ? [] : [asOf.logSize])))];
  const sources = [...new Set(contexts.flatMap(({ timeSource }) => timeSource ?? []))];
  sizes.sort((a, b) => a - b);
  return [
    ...(sizes.length === 0 ? [] : [["advisories", `as of log size ${sizes.join(" and ")}`]]),
    ...(sizes.length > 1
      ? [["note", "the contexts' statuses differ: a newer one may know more of the older one's release"]]
      : []),
    ...(sources.length === 0 ? [] : [["note", `time-source: ${sources.map(printable).join(", ")}`]]),
  ];
}
