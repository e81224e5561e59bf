// The words that every form of a report uses for the same thing: HTML, PDF and CSV differ in shape alone. A report speaks
// of evidence; whether a device or its maker complies with anything is for its reader to say.

import type { Missing } from "@vouch/shared/metrics";
import { gapsOf, type Report } from "@vouch/shared/report";
import type { ReportRelease, ReportRow } from "@vouch/shared/reportrows";
import type { Word } from "@vouch/shared/verdict";
import { printable } from "../exit";

const DAY = 86400;
const LONGEST = 400;

export const WORDS: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched"];

export const MEANING: Readonly<Record<Word, string>> = {
  refuted: "a signature, digest, nonce or proof is wrong",
  recalled: "the evidence is genuine, and the maker recalled or withdrew the release",
  vulnerable: "the evidence is genuine, and an advisory in force affects the release",
  unproven: "something is missing, stale or unknown: nothing can be said",
  patched: "the device measured an approved release that no advisory in force affects",
  verified: "the release is approved and logged; says nothing of a device",
};

export const MISSING: Readonly<Record<Missing, string>> = {
  "advisory-time-unknown": "no ledger timed the advisory",
  "no-fix-named": "the advisory names no release that mends it",
  "fix-not-in-results": "the release that mends it is not among the results",
  "fix-time-unknown": "no ledger timed the release that mends it",
  "evidence-time-unknown": "no ledger bounds the evidence of the mended release from above",
  "evidence-order-unknown": "nothing proves the evidence of the mended release to be the later",
};

export const TIME_SOURCES: Readonly<Record<string, string>> = {
  "self-asserted": "self-asserted: the keeper of a folder ledger says so; recorded locally, not public",
  coordinator: "coordinator: milestones of a Tangle whose keys the policy names",
  validators: "validators: a quorum of the ledger's validators signed it",
};

export const SIGN_OFF = [
  ["Prepared by", "this report was made from the results named under scope"],
  ["Reviewed by", "the exceptions and limits were read, and each exception has an owner"],
  ["Approved by", "the report is filed as evidence at the time stated"],
] as const;

/** Text from outside: nothing invisible in it, and cut where nobody reads on. The JSON has all of it. */
export function shown(text: string, longest = LONGEST): string {
  // A pair of surrogates may be cut in two: the last character goes.
  const cut = text.length > longest ? `${[...text.slice(0, longest)].slice(0, -1).join("")}…` : text;
  return printable(cut);
}

export const nameOf = ({ product, release }: { product: string | null; release: string | null }) =>
  product === null ? "unknown release" : `${product} ${release ?? ""}`.trim();

/** Finds the release that a row names. */
export function releaseFinder({ releases }: Report): (row: ReportRow) => ReportRelease | undefined {
  const key = (of: { product: string | null; release: string | null }) =>
    JSON.stringify([of.product, of.release]);
  const found = new Map(releases.map((release) => [key(release), release]));
  return (row) => found.get(key(row));
}

/** What a person calls the device. */
export const deviceOf = (row: Pick<ReportRow, "serial" | "kid" | "device">) =>
  row.serial ?? row.kid ?? row.device;

export function daysOf(seconds: number): string {
  const days = seconds / DAY;
  const text = Number.isInteger(days) ? String(days) : days.toFixed(1);
  return `${text} ${text === "1" ? "day" : "days"}`;
}

export const shareOf = (part: number, whole: number) =>
  whole === 0 ? "none" : `${((100 * part) / whole).toFixed(1)} %`;

export function bracketOf({ notBefore, notAfter }: Pick<ReportRow, "notBefore" | "notAfter">): string {
  if (notBefore === null && notAfter === null) return "no time is proved";
  return `${notBefore ?? "no lower bound"} to ${notAfter ?? "no upper bound"}`;
}

export const reasonOf = (row: ReportRow): string => {
  const first = row.reasons.find(({ word }) => word === row.word) ?? row.reasons[0];
  return first === undefined ? "" : `${shown(first.message)} [${shown(first.code)}]`;
};

/** What a row measured, digests cut: measuredImages has them whole. */
export const measuredOf = (row: ReportRow): string =>
  row.components.map(({ name, digest }) => `${name} ${digest.slice(0, 16)}…`).join(", ") || "not proved";

/** Each image that was measured: component, digest, on how many devices, of which releases. Ascending. */
export function measuredImages(report: Report): [string, string, number, string][] {
  const found = new Map<string, { name: string; digest: string; count: number; releases: Set<string> }>();
  for (const row of report.rows) {
    for (const { name, digest } of row.components) {
      const key = JSON.stringify([name, digest]);
      const image = found.get(key) ?? { name, digest, count: 0, releases: new Set() };
      image.count++;
      if (row.word !== "refuted") image.releases.add(nameOf(row));
      found.set(key, image);
    }
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { name, digest, count, releases }]) => [
      name,
      digest,
      count,
      [...releases].sort().join(", ") || "none that it proves",
    ]);
}

/** Which devices those are of which a report says something about all: empty when no audit left any out. */
function whichOf(report: Report): string {
  if (report.trouble.length > 0) return " that could be read";
  return gapsOf(report).length > 0 ? " among these results" : "";
}

/** What stands in place of exceptions where there are none. */
export const noneOf = (report: Report): string => `None: every device${whichOf(report)} is patched.`;

/** The sentence that a report begins with. */
export function answerOf(report: Report): string {
  const { devices, words, at } = report;
  const read = whichOf(report);
  const bad = devices - (words.patched ?? 0);
  if (devices === 0) return "No device evidence was found.";
  if (bad > 0)
    return `${bad} of ${devices} device${devices === 1 ? "" : "s"}${read} ${bad === 1 ? "is" : "are"} not shown to be patched as of ${at}.`;
  return devices === 1
    ? `The one device${read} is patched as of ${at}.`
    : `All ${devices} devices${read} are patched as of ${at}.`;
}

/** What was counted: audits count records. Empty where each device has one. */
export function collapsedOf({ rows }: Report): string {
  const records = rows.reduce((sum, row) => sum + row.records, 0);
  if (records === rows.length) return "";
  return `${records} records of audits stand behind these ${rows.length} rows: of each device the one that counts is shown.`;
}

/** The advisories that count against a device, what mends each, and by when. */
export function fixesOf(row: ReportRow, release: ReportRelease | undefined): string {
  return row.advisories
    .map((id) => {
      const advisory = release?.advisories.find((a) => a.id === id);
      if (advisory === undefined) return id;
      const fix = advisory.fixIn === null ? "no fix named" : `fixed in ${advisory.fixIn}`;
      const due =
        advisory.deadline === null
          ? ""
          : `, ${advisory.overdue ? "overdue since" : "due"} ${advisory.deadline}`;
      return `${id}: ${fix}${due}`;
    })
    .join("; ");
}

const timeOr = (seconds: number | null, missing: string | null) =>
  seconds === null ? MISSING[missing as Missing] : daysOf(seconds);

/** Advisory, what it affects, what mends that, when each was recorded, and how long that took. */
export const offeredRows = ({ metrics }: Report): string[][] =>
  metrics.offered.map((o) => [
    o.advisory,
    `${o.product} ${o.affected}`,
    o.fix ?? "none named",
    o.identified ?? "not known",
    o.available ?? "not known",
    timeOr(o.seconds, o.missing),
  ]);

const MAX_OPEN = 200;

/** Installations still open, as many as a page for people holds, and how the table of them is called. */
export function openRows({ metrics }: Report): { title: string; rows: string[][] } {
  const open = metrics.installed.filter((one) => one.open).slice(0, MAX_OPEN);
  const more = metrics.open > open.length ? ` of ${metrics.open}; the JSON has all` : "";
  const rows = open.map((one) => [
    one.device,
    one.advisory,
    `${one.product} ${one.from}`,
    one.available ?? "not known",
    timeOr(one.seconds, one.missing),
  ]);
  return { title: `Installations still open (${open.length}${more})`, rows };
}

/** How the three measures came out, as sentences. */
export function measureLines({ metrics }: Report): [string, string][] {
  const { patched, offeredSpread, installedSpread, open, missing } = metrics;
  const spread = (s: typeof offeredSpread) =>
    s === null
      ? "not known for any"
      : `median ${daysOf(s.median)}, 90th percentile ${daysOf(s.p90)}, from ${daysOf(s.least)} to ${daysOf(s.most)}, over ${s.count}`;
  const unknown = Object.entries(missing).map(
    ([code, count]) => `${count} × ${MISSING[code as Missing] ?? code}`,
  );
  return [
    [
      "Devices patched",
      `${patched.patched} of ${patched.devices} (${shareOf(patched.patched, patched.devices)})`,
    ],
    ["From advisory recorded to patch available", spread(offeredSpread)],
    ["From patch available to installed in the field", `${spread(installedSpread)}; ${open} still open`],
    ["Not known", unknown.length === 0 ? "nothing" : unknown.join("; ")],
  ];
}

/** How to come to the same report without believing it: what to do, and what to type or to compare for it. */
export interface Step {
  readonly text: string;
  readonly lines: readonly string[];
}

/** A file's name as a shell takes it. */
const typed = (name: string) =>
  /^[A-Za-z0-9._/][A-Za-z0-9._/-]*$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;

/** What results came from that have no file's name. */
export const DATABASE = "PostgreSQL"; // an address may say more than a report's readers should know
export const STDIN = "stdin";
const NO_FILES: readonly string[] = [DATABASE, STDIN];

/** What a report was made with, beside its data. */
export interface Made {
  /** Of the report's JSON. */
  readonly sha256: string;
  /** Where the data is kept, for whoever scans the code; may be empty. */
  readonly where: string;
  /** What the file of the policy is called that the report quotes. */
  readonly policyName: string | null;
}

export function verifySteps(report: Report, { sha256, where, policyName }: Made): Step[] {
  const policy = policyName === null ? "POLICY" : typed(policyName);
  const files = report.sources.filter(({ name }) => !NO_FILES.includes(name));
  const results =
    files.length < report.sources.length ? "RESULTS" : files.map(({ name }) => typed(name)).join(" ");
  const alone = "node vouch-verify.cjs";
  const made = `${alone} report ${results}${policyName === null ? "" : ` --policy ${policy}`} --at ${report.at}`;
  const sums = [
    ...files.map(({ name, sha256: digest }) => [digest, name]),
    ...(policyName === null ? [] : report.policies.map((digest) => [digest, policyName])),
  ];
  return [
    {
      text: `The files that this report rests on have these digests, as sha256sum -c reads them.${files.length < report.sources.length ? " What came from a database or a pipe is under scope, and RESULTS stands for it below." : ""}`,
      lines: sums.map(([digest, name]) => `${digest}  ${name}`),
    },
    {
      text: "Judge the evidence again, offline: vouch-verify.cjs is one file that needs Node 20.12 and nothing else (vouch verifier writes it). The verdicts must be those shown here; evidence that no log holds is proved only for the moment of its audit. Of several result files, each is judged at the time of its last line. An audit that was asked with --at prints its result file again to the byte, with --json and EVIDENCE named as it was then.",
      lines: [`${alone} audit EVIDENCE --policy ${policy} --at ${report.at}`],
    },
    {
      text: `Make this report again, from the result files: the same bytes. The SHA-256 of its data must be ${sha256}, to which the square code commits.`,
      lines: [
        `${made}${where === "" ? "" : ` --where ${typed(where)}`} -o again.html`,
        `${made} --json | sha256sum`,
      ],
    },
    {
      text: "One device alone, by serial number or key: its line and its release's context, audited as above. Each row here names both by SHA-256 (in JSON and CSV). The evidence stays with its owner, since it holds serial numbers.",
      lines: [`${alone} fleet pick EVIDENCE --device ID -o one.jsonl`],
    },
    {
      text: "A release can be checked without any of this: its statement is a DSSE envelope with Ed25519 signatures, its image is named by SHA-256.",
      lines: [],
    },
  ];
}
