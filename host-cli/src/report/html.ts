// A report as one file for a browser: nothing is fetched, nothing runs, and a policy in its head forbids both.
//
//   header   question, answer, the square code
//   nav      the sections
//   main     scope, verdicts, exceptions, releases, devices, times, measures, limits, how to verify again, sign-off
//   footer   the digest of the data
//
// The same report gives the same bytes.

import type { Report } from "@vouch/shared/report";
import { verdict } from "./elements";
import { el, type Markup, NEWLINE, style } from "./markup";
import { qrText, squaresOf } from "./qr";
import * as sections from "./sections";
import { CSS } from "./style";
import { answerOf, type Made } from "./wording";

const SECTIONS = [
  ["scope", "Scope and question"],
  ["verdicts", "Verdicts"],
  ["exceptions", "Exceptions"],
  ["releases", "Releases, and who signed them"],
  ["devices", "Devices, and what their verdicts rest on"],
  ["times", "Times and their sources"],
  ["measures", "Measures"],
  ["limits", "Limits"],
  ["again", "How to verify this again"],
  ["signoff", "Sign-off"],
] as const;

export interface Page extends Made {
  readonly report: Report;
}

export function reportHtml(page: Page): string {
  const { report } = page;
  const title = `Firmware evidence report, ${report.at}`;
  const bodies: Record<string, Markup[]> = {
    scope: sections.scope(report),
    verdicts: sections.verdicts(report),
    exceptions: sections.exceptions(report),
    releases: sections.releases(report),
    devices: sections.devices(report),
    times: sections.times(report),
    measures: sections.measures(report),
    limits: [el("ul", {}, ...report.limits.map((limit) => el("li", {}, limit)))],
    again: sections.again(page),
    signoff: sections.signOff(),
  };
  const head = el(
    "head",
    {},
    el("meta", { charset: "utf-8" }),
    el("meta", {
      "http-equiv": "Content-Security-Policy",
      content: "default-src 'none'; style-src 'unsafe-inline'",
    }),
    el("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    el("title", {}, title),
    style(CSS),
  );
  const main = SECTIONS.map(([id, name]) =>
    el("section", { id, "aria-labelledby": `${id}-h` }, el("h2", { id: `${id}-h` }, name), bodies[id] ?? []),
  );
  const body = el(
    "body",
    {},
    el("a", { class: "skip", href: "#main" }, "Skip to the report"),
    header(page),
    el("main", { id: "main" }, contents(), ...main),
    el(
      "footer",
      {},
      el("p", {}, `Data of this report (JSON): sha256 `, el("span", { class: "mono" }, page.sha256)),
      el("p", {}, `Made by ${report.tools.join(", ")}. Evidence, and no statement about conformity.`),
    ),
  );
  return `<!DOCTYPE html>\n${el("html", { lang: "en" }, head, NEWLINE, body).source}\n`;
}

function header({ report, sha256, where }: Page): Markup {
  return el(
    "header",
    {},
    el(
      "div",
      {},
      el("h1", {}, "Firmware evidence report"),
      el("p", { class: "answer" }, answerOf(report), " Worst verdict: ", verdict(report.word)),
      el(
        "p",
        {},
        "Patched means: the device measured a release that its maker approved, and no advisory in force affects it.",
      ),
      ...report.notes.map((note) => el("p", {}, el("strong", {}, "Note: "), note)),
    ),
    qr(qrText(report.at, sha256, where), where),
  );
}

function qr(content: string, where: string): Markup {
  const { size, runs } = squaresOf(content);
  const path = runs.map(([row, column, count]) => `M${column} ${row}h${count}v1h-${count}z`).join("");
  return el(
    "svg",
    {
      viewBox: `0 0 ${size} ${size}`,
      role: "img",
      "aria-labelledby": "qr-t qr-d",
      "shape-rendering": "crispEdges",
    },
    el("title", { id: "qr-t" }, "Code with the digest of this report's data"),
    el(
      "desc",
      { id: "qr-d" },
      `Commits to the data${where === "" ? "" : `, kept at ${where}`}; proves nothing by itself.`,
    ),
    el("rect", { width: size, height: size, fill: "#fff" }),
    el("path", { d: path, fill: "#000" }),
  );
}

const contents = () =>
  el(
    "nav",
    { "aria-label": "Sections" },
    el("ul", {}, ...SECTIONS.map(([id, name]) => el("li", {}, el("a", { href: `#${id}` }, name)))),
  );
