// A report's devices as CSV (RFC 4180): one row each, worst first. For spreadsheets: a cell that would begin a formula
// gets an apostrophe in front, since serial numbers and messages are other people's text. Some read the full-width
// forms of = + - @ as these.

import type { Report } from "@vouch/shared/report";
import type { ReportRelease, ReportRow } from "@vouch/shared/reportrows";
import { releaseFinder, shown } from "./wording";

type Read = (row: ReportRow, release: ReportRelease | undefined) => string | null;

const COLUMNS: readonly (readonly [string, Read])[] = [
  ["verdict", (row) => row.word],
  ["codes", (row) => row.reasons.map(({ code }) => code).join(" ")],
  ["why", (row) => row.reasons[0]?.message ?? ""],
  ["product", (row) => row.product],
  ["udi_di", (_, release) => release?.udiDi ?? null],
  ["release", (row) => row.release],
  ["serial", (row) => row.serial],
  ["ueid", (row) => row.ueid],
  ["key", (row) => row.kid],
  ["label", (row) => row.device],
  ["digests", (row) => row.components.map(({ name, digest }) => `${name}=${digest}`).join(" ")],
  ["advisories", (row) => row.advisories.join(" ")],
  ["flags", (row) => row.flags.join(" ")],
  ["not_before", (row) => row.notBefore],
  ["not_after", (row) => row.notAfter],
  ["time_source", (row) => row.timeSource],
  ["judged_at", (row) => row.judged],
  ["enroller", (row) => row.enroller],
  ["enrolled", (row) => row.enrolled],
  ["support_ends", (_, release) => release?.supportEnds ?? null],
  ["evidence_sha256", (row) => row.input],
  ["context_sha256", (row) => row.context],
  ["records", (row) => String(row.records)],
];

export function reportCsv(report: Report): string {
  const releaseOf = releaseFinder(report);
  const rows = report.rows.map((row) => {
    const release = releaseOf(row);
    return COLUMNS.map(([, read]) => field(read(row, release) ?? "")).join(",");
  });
  return [COLUMNS.map(([name]) => name).join(","), ...rows, ""].join("\r\n");
}

function field(value: string): string {
  const safe = shown(value);
  const plain = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/.test(safe) ? `'${safe}` : safe;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
