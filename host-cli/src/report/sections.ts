// The sections of a report, in their order: text and tables for each.

import type { Report } from "@vouch/shared/report";
import type { ReportRelease, ReportRow } from "@vouch/shared/reportrows";
import { installChart, trendChart, versionChart } from "./charts";
import { facts, grid, mono, verdict } from "./elements";
import { block, el, Markup, text } from "./markup";
import {
  bracketOf,
  collapsedOf,
  deviceOf,
  fixesOf,
  type Made,
  MEANING,
  measuredImages,
  measuredOf,
  measureLines,
  nameOf,
  noneOf,
  offeredRows,
  openRows,
  reasonOf,
  releaseFinder,
  SIGN_OFF,
  type Step,
  shareOf,
  TIME_SOURCES,
  verifySteps,
  WORDS,
} from "./wording";

export function scope(report: Report): Markup[] {
  const policies = report.policies.map((policy) => `sha256 ${policy}`).join(", ");
  return [
    el(
      "p",
      {},
      "Question: which of these devices ran, at the time stated, a release that its maker approved and that no advisory in force affects?",
    ),
    facts([
      ["As of", report.at],
      ["Devices", report.devices],
      ["Policy", policies === "" ? "none" : mono(policies)],
      ["Judged by", report.tools.join(", ")],
    ]),
    grid(
      "The results that this report was made from",
      ["File", ["Lines", "n"], "SHA-256"],
      report.sources.map(({ name, lines, sha256 }) => [name, lines, sha256]),
      ["", "n", "mono"],
    ),
    ...(report.trouble.length === 0
      ? []
      : [
          grid(
            "Files that could not be read: their devices are missing here",
            ["File", "Why", "Code"],
            report.trouble.map(({ file, message, code }) => [file, message, code]),
          ),
        ]),
  ];
}

export function verdicts(report: Report): Markup[] {
  return [
    grid(
      "Devices by verdict, worst first",
      ["Verdict", ["Devices", "n"], ["Share", "n"], "Meaning"],
      WORDS.map((word) => [
        verdict(word),
        report.words[word] ?? 0,
        shareOf(report.words[word] ?? 0, report.devices),
        MEANING[word],
      ]),
    ),
    trendChart(report),
    ...(report.trend.length > 1
      ? [
          grid(
            "Audits over time",
            ["As of", ["Records", "n"], ["Patched", "n"], ["Share", "n"]],
            report.trend.map(({ at, records, patched }) => [at, records, patched, shareOf(patched, records)]),
          ),
        ]
      : []),
    versionChart(report),
  ];
}

export function exceptions(report: Report): Markup[] {
  const rows = report.rows.filter(({ word }) => word !== "patched");
  if (rows.length === 0) return [el("p", {}, noneOf(report))];
  const releaseOf = releaseFinder(report);
  return [
    grid(
      `Devices that are not shown to be patched, worst first (${rows.length})`,
      ["Device", "Verdict", "Release", "Why", "Advisories and fix", "Measured between"],
      rows.map((row) => [
        deviceOf(row),
        verdict(row.word),
        nameOf(row),
        why(row),
        fixesOf(row, releaseOf(row)),
        bracketOf(row),
      ]),
      ["name", "", "name", "why", "", "when"],
    ),
  ];
}

function why(row: ReportRow): Markup {
  const others = row.reasons.length - 1;
  return el("span", {}, new Markup(text(reasonOf(row))), others > 0 ? `, and ${others} more` : "");
}

export function releases(report: Report): Markup[] {
  const known = report.releases.filter(({ product }) => product !== null);
  const unknown = report.releases.length - known.length;
  return [
    el(
      "p",
      {},
      "A release counts when enough approvers of the policy signed its statement, the statement is in the maker's log, and a ledger timed a checkpoint of that log.",
    ),
    ...known.map((release) => releaseFacts(release)),
    ...(unknown > 0 ? [el("p", {}, "Evidence that names no known release is listed under exceptions.")] : []),
  ];
}

function releaseFacts(release: ReportRelease): Markup {
  const words = WORDS.filter((word) => release.words[word] !== undefined);
  const advisories = release.advisories.map((a) =>
    [
      `${a.id} revision ${a.revision}`,
      ...a.aliases,
      a.kind,
      a.effect,
      a.fixIn === null ? "no fix named" : `fixed in ${a.fixIn}`,
      `recorded ${a.recorded ?? "at no proved time"}`,
      a.deadline === null ? "no deadline" : `deadline ${a.deadline}${a.overdue ? " (overdue)" : ""}`,
    ].join(", "),
  );
  return el(
    "div",
    {},
    el("h3", {}, nameOf(release)),
    facts([
      ["Devices", `${release.devices}: ${words.map((w) => `${release.words[w]} ${w}`).join(", ")}`],
      ["Approved by", release.approvers.join(", ") || "nobody that the policy names"],
      ["In the log", release.log === null ? "not shown" : `${release.log}, up to size ${release.size}`],
      ["On a ledger since", release.recorded ?? "not shown"],
      [
        "Advisories as of",
        release.asOf === null
          ? "no status shown"
          : `log size ${release.asOf.logSize}, ${release.asOf.time ?? "at no proved time"}`,
      ],
      [
        "Advisories that count",
        advisories.length === 0 ? "none" : [el("ul", {}, ...advisories.map((a) => el("li", {}, a)))],
      ],
      ["Support ends", release.supportEnds ?? "not stated"],
      ["UDI-DI", release.udiDi ?? "not stated"],
    ]),
  );
}

export function devices(report: Report): Markup[] {
  const collapsed = collapsedOf(report);
  return [
    el(
      "p",
      {},
      "From left to right: the device, the key that signed its evidence, who tied that key to it and when a ledger first had the commitment to that, what it measured, the release of that digest, and when; last, how many records of audits the row was chosen from.",
    ),
    ...(collapsed === "" ? [] : [el("p", {}, collapsed)]),
    grid(
      `All devices (${report.rows.length})`,
      [
        "Device",
        "Verdict",
        "Key",
        "Enrolled by",
        "Measured (SHA-256)",
        "Release",
        "Measured between",
        "Judged at",
        ["Records", "n"],
      ],
      report.rows.map((row) => [
        deviceOf(row),
        verdict(row.word),
        row.kid ?? "not proved",
        row.enroller === null ? "not proved" : `${row.enroller}, ${row.enrolled ?? "at no proved time"}`,
        measuredOf(row),
        nameOf(row),
        bracketOf(row),
        row.judged,
        row.records,
      ]),
      ["name", "", "mono", "when", "mono", "name", "when", "name", "n"],
    ),
    grid(
      "Images that were measured",
      ["Component", "SHA-256", ["Devices", "n"], "Release"],
      measuredImages(report),
      ["", "mono", "n", ""],
    ),
  ];
}

export function times(report: Report): Markup[] {
  const sources = new Map<string, number>();
  for (const { timeSource } of report.rows) {
    const name = timeSource ?? "none";
    sources.set(name, (sources.get(name) ?? 0) + 1);
  }
  return [
    el(
      "p",
      {},
      "No clock of a device counts. Evidence answers a nonce made from a checkpoint that a ledger had timed (not before), and a later timed checkpoint holds a commitment to it (not after). Where the second is missing there is no upper bound.",
    ),
    grid(
      "Who vouches for the times",
      ["Source", ["Devices", "n"]],
      [...sources]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, count]) => [
          TIME_SOURCES[name] ?? (name === "none" ? "no ledger time is proved" : name),
          count,
        ]),
    ),
    grid(
      "Whose word each time is",
      ["Time", "Source"],
      [
        ["not before, not after, enrolled, recorded", "the ledger named above"],
        ["status, advisories as of", "the ledger named above, for the checkpoint that holds the status"],
        ["deadline, support ends, an advisory's creation", "the maker's own word, signed"],
        ["as of, judged at", "whoever ran the audit; every other time was compared with it"],
      ],
    ),
  ];
}

export function measures(report: Report): Markup[] {
  const [offered, open] = [offeredRows(report), openRows(report)];
  return [
    facts(measureLines(report)),
    installChart(report),
    ...(offered.length === 0
      ? [el("p", {}, "No advisory affects any release among the results.")]
      : [
          grid(
            "From advisory recorded to patch available, by advisory and release affected",
            ["Advisory", "Affects", "Mended in", "Advisory recorded", "Patch recorded", ["Time", "n"]],
            offered,
          ),
        ]),
    ...(open.rows.length === 0
      ? []
      : [
          grid(
            open.title,
            ["Device key", "Advisory", "Runs", "Patch available", ["Open for", "n"]],
            open.rows,
            ["mono", "", "", "", "n"],
          ),
        ]),
  ];
}

export function again({ report, ...made }: { readonly report: Report } & Made): Markup[] {
  const typed = ({ text, lines }: Step) =>
    el("li", {}, text, ...(lines.length === 0 ? [] : [el("pre", {}, block(lines.join("\n")))]));
  return [
    el("ol", {}, ...verifySteps(report, made).map(typed)),
    ...(report.policyText === null
      ? []
      : [
          el("h3", {}, "The policy, as it was"),
          el("pre", { tabindex: "0", role: "region", "aria-label": "Policy" }, block(report.policyText)),
        ]),
  ];
}

export const signOff = (): Markup[] => [
  grid(
    "Signatures, and what each of them means",
    ["Role", "Meaning", "Name", "Signature", "Date"],
    SIGN_OFF.map(([role, meaning]) => [role, meaning, "", "", ""]),
    [],
    { class: "sign" },
  ),
];
