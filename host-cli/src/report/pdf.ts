// A report on paper: the tables and sentences of the HTML, A4 landscape, in the order of its sections. The figures and
// an outline for screen readers are the HTML's alone.

import type { Report } from "@vouch/shared/report";
import type { Page } from "./html";
import { A4_LANDSCAPE, type Font, PdfWriter, widthOf, winAnsi, wrap } from "./pdfwriter";
import { qrText, squaresOf } from "./qr";
import {
  answerOf,
  bracketOf,
  collapsedOf,
  deviceOf,
  fixesOf,
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
  shareOf,
  shown,
  TIME_SOURCES,
  verifySteps,
  WORDS,
} from "./wording";

const MARGIN = 40;
const WIDTH = A4_LANDSCAPE.width - 2 * MARGIN;
const BOTTOM = 46;
const LEADING = 1.3;
const GAP = 6;
const SIGN_OFF_HEIGHT = 170; // heading, head and three rows of three lines: nobody signs half a table
const LONGEST = 20_000; // what stands outside of tables is ours, or is typed: a command that is cut is another one

type Column = readonly [head: string, share: number, font?: Font];

/** Lays things out from the top of a page to its bottom, page after page. */
class Flow {
  readonly pdf = new PdfWriter();
  private y = 0;

  constructor() {
    this.turn();
  }

  private turn(): void {
    this.pdf.addPage();
    this.y = A4_LANDSCAPE.height - MARGIN;
  }

  private room(height: number): void {
    if (this.y - height < BOTTOM) this.turn();
  }

  /** What comes next stands on one page, where it is no higher than this. */
  together(height: number): void {
    this.room(height);
  }

  skip(height: number): void {
    this.y -= height;
  }

  heading(text: string, size = 13): void {
    this.room(size * 4);
    this.y -= size * 1.8;
    this.pdf.text(MARGIN, this.y, "bold", size, winAnsi(text));
    this.y -= size * 0.5;
  }

  paragraph(text: string, width = WIDTH, size = 9): void {
    for (const line of wrap(shown(text, LONGEST), "text", size, width)) {
      this.room(size * LEADING);
      this.y -= size * LEADING;
      this.pdf.text(MARGIN, this.y, "text", size, line);
    }
    this.y -= 2;
  }

  /** What is typed, or compared to the letter. */
  typed(text: string, size = 8): void {
    for (const line of wrap(shown(text, LONGEST), "mono", size, WIDTH - 14)) {
      this.room(size * LEADING);
      this.y -= size * LEADING;
      this.pdf.text(MARGIN + 14, this.y, "mono", size, line);
    }
    this.y -= 2;
  }

  /** The head is repeated on each page; a row has at `least` so many lines. Rows stay whole, but for one that is longer than a page. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[], size = 7.5, least = 1): void {
    this.y -= 4;
    this.room(size * 6);
    this.head(columns, size);
    const step = size * LEADING;
    for (const row of rows) {
      const cells = columns.map(([, share, font = "text"], i) =>
        wrap(shown(row[i] ?? ""), font, size, share * WIDTH - GAP),
      );
      const height = Math.max(least, ...cells.map((lines) => lines.length));
      if (this.y - height * step < BOTTOM) {
        this.turn();
        this.head(columns, size);
      }
      for (let n = 0; n < height; n++) {
        if (this.y - step < BOTTOM) {
          this.turn();
          this.head(columns, size);
        }
        this.y -= step;
        let x = MARGIN;
        columns.forEach(([, share, font = "text"], i) => {
          this.pdf.text(x, this.y, font, size, cells[i]?.[n] ?? "");
          x += share * WIDTH;
        });
      }
      this.y -= 2.5;
      this.pdf.rule(MARGIN, this.y, WIDTH);
    }
  }

  private head(columns: readonly Column[], size: number): void {
    const step = size * LEADING;
    const names = columns.map(([name, share]) => wrap(name, "bold", size, share * WIDTH - GAP));
    const height = Math.max(...names.map((lines) => lines.length));
    this.pdf.fill(MARGIN - 2, this.y - height * step - 4, WIDTH + 4, height * step + 4, 0.92);
    for (let n = 0; n < height; n++) {
      this.y -= step;
      let x = MARGIN;
      columns.forEach(([, share], i) => {
        this.pdf.text(x, this.y, "bold", size, names[i]?.[n] ?? "");
        x += share * WIDTH;
      });
    }
    this.y -= 4;
  }

  /** Dark squares, `side` wide in all, in the upper right corner of the page. */
  code(text: string, side: number): void {
    const { size, runs } = squaresOf(text);
    const unit = side / size;
    const [left, top] = [A4_LANDSCAPE.width - MARGIN - side, A4_LANDSCAPE.height - MARGIN + 10];
    for (const [row, column, count] of runs)
      this.pdf.fill(left + column * unit, top - (row + 1) * unit, count * unit, unit, 0);
  }

  end(title: string, foot: string): Uint8Array {
    const count = this.pdf.pageCount;
    for (let i = 0; i < count; i++) {
      const page = `${i + 1} of ${count}`;
      this.pdf.text(MARGIN, 26, "text", 7, winAnsi(foot), i);
      const x = A4_LANDSCAPE.width - MARGIN - widthOf(page, "text", 7);
      this.pdf.text(x, 26, "text", 7, page, i);
    }
    return this.pdf.bytes(title);
  }
}

export function reportPdf({ report, ...made }: Page): Uint8Array {
  const { sha256, where } = made;
  const flow = new Flow();
  const side = 110;
  flow.code(qrText(report.at, sha256, where), side);
  flow.heading("Firmware evidence report", 19);
  const narrow = WIDTH - side - 20;
  flow.paragraph(`${answerOf(report)} Worst verdict: ${report.word ?? "none"}.`, narrow, 11);
  flow.paragraph(
    "Patched means: the device measured a release that its maker approved, and no advisory in force affects it. This is evidence, and no statement about conformity.",
    narrow,
  );
  for (const note of report.notes) flow.paragraph(`Note: ${note}`, narrow);
  flow.skip(30);
  scope(flow, report);
  verdicts(flow, report);
  exceptions(flow, report);
  releases(flow, report);
  devices(flow, report);
  times(flow, report);
  measures(flow, report);
  flow.heading("Limits");
  for (const limit of report.limits) flow.paragraph(`• ${limit}`);
  flow.heading("How to verify this again");
  verifySteps(report, made).forEach(({ text, lines }, i) => {
    flow.paragraph(`${i + 1}. ${text}`);
    for (const line of lines) flow.typed(line);
  });
  if (report.policyText !== null) {
    flow.heading("The policy, as it was");
    for (const line of report.policyText.replace(/\n$/, "").split("\n")) flow.typed(line);
  }
  flow.together(SIGN_OFF_HEIGHT);
  flow.heading("Sign-off");
  flow.table(
    [
      ["Role", 0.12],
      ["Meaning", 0.4],
      ["Name", 0.16],
      ["Signature", 0.2],
      ["Date", 0.12],
    ],
    SIGN_OFF.map(([role, meaning]) => [role, meaning, "", "", ""]),
    8,
    3, // room to write in
  );
  return flow.end(`Firmware evidence report, ${report.at}`, `Data of this report: sha256 ${sha256}`);
}

function measures(flow: Flow, report: Report): void {
  flow.heading("Measures");
  flow.table(
    [
      ["Measure", 0.3],
      ["Result", 0.7],
    ],
    measureLines(report),
  );
  const [offered, open] = [offeredRows(report), openRows(report)];
  if (offered.length > 0) {
    flow.heading("From advisory recorded to patch available", 10);
    flow.table(
      [
        ["Advisory", 0.16],
        ["Affects", 0.2],
        ["Mended in", 0.12],
        ["Advisory recorded", 0.16],
        ["Patch recorded", 0.16],
        ["Time", 0.2],
      ],
      offered,
    );
  }
  if (open.rows.length > 0) {
    flow.heading(open.title, 10);
    flow.table(
      [
        ["Device key", 0.16, "mono"],
        ["Advisory", 0.2],
        ["Runs", 0.2],
        ["Patch available", 0.2],
        ["Open for", 0.24],
      ],
      open.rows,
    );
  }
}

function scope(flow: Flow, report: Report): void {
  flow.heading("Scope and question");
  flow.paragraph(
    "Which of these devices ran, at the time stated, a release that its maker approved and that no advisory in force affects?",
  );
  flow.paragraph(`Policy: sha256 ${report.policies.join(", ")}. Judged by ${report.tools.join(", ")}.`);
  flow.table(
    [
      ["File", 0.3],
      ["Lines", 0.1],
      ["SHA-256", 0.6, "mono"],
    ],
    report.sources.map(({ name, lines, sha256 }) => [name, String(lines), sha256]),
  );
  if (report.trouble.length === 0) return;
  flow.paragraph("Files that could not be read: their devices are missing here.");
  flow.table(
    [
      ["File", 0.3],
      ["Why", 0.7],
    ],
    report.trouble.map(({ file, message, code }) => [file, `${message} [${code}]`]),
  );
}

function verdicts(flow: Flow, report: Report): void {
  flow.heading("Verdicts");
  flow.table(
    [
      ["Verdict", 0.12, "bold"],
      ["Devices", 0.1],
      ["Share", 0.1],
      ["Meaning", 0.68],
    ],
    WORDS.map((word) => [
      word,
      String(report.words[word] ?? 0),
      shareOf(report.words[word] ?? 0, report.devices),
      MEANING[word],
    ]),
  );
}

function exceptions(flow: Flow, report: Report): void {
  const rows = report.rows.filter(({ word }) => word !== "patched");
  flow.heading(`Exceptions (${rows.length})`);
  if (rows.length === 0) {
    flow.paragraph(noneOf(report));
    return;
  }
  const releaseOf = releaseFinder(report);
  flow.table(
    [
      ["Device", 0.13],
      ["Verdict", 0.08, "bold"],
      ["Release", 0.13],
      ["Why", 0.4],
      ["Advisories and fix", 0.13],
      ["Measured between", 0.13],
    ],
    rows.map((row) => [
      deviceOf(row),
      row.word,
      nameOf(row),
      reasonOf(row),
      fixesOf(row, releaseOf(row)),
      bracketOf(row),
    ]),
  );
}

function releases(flow: Flow, report: Report): void {
  flow.heading("Releases, and who signed them");
  flow.table(
    [
      ["Release", 0.14],
      ["Devices", 0.07],
      ["Approved by", 0.24],
      ["Log, size", 0.18],
      ["On a ledger since", 0.13],
      ["Advisories as of log size", 0.1],
      ["Advisories that count", 0.14],
    ],
    report.releases
      .filter(({ product }) => product !== null)
      .map((release) => [
        nameOf(release),
        String(release.devices),
        release.approvers.join(", ") || "nobody that the policy names",
        release.log === null ? "not shown" : `${release.log}, ${release.size}`,
        release.recorded ?? "not shown",
        release.asOf === null ? "no status shown" : String(release.asOf.logSize),
        release.advisories.map(({ id }) => id).join(", ") || "none",
      ]),
  );
}

function devices(flow: Flow, report: Report): void {
  flow.heading(`Devices, and what their verdicts rest on (${report.rows.length})`);
  const collapsed = collapsedOf(report);
  if (collapsed !== "") flow.paragraph(collapsed);
  flow.table(
    [
      ["Device", 0.11],
      ["Verdict", 0.08, "bold"],
      ["Key", 0.1, "mono"],
      ["Enrolled by", 0.2],
      ["Measured (SHA-256)", 0.21, "mono"],
      ["Release", 0.1],
      ["Measured between", 0.14],
      ["Records", 0.06],
    ],
    report.rows.map((row) => [
      deviceOf(row),
      row.word,
      row.kid ?? "not proved",
      row.enroller === null ? "not proved" : `${row.enroller}, ${row.enrolled ?? "at no proved time"}`,
      measuredOf(row),
      nameOf(row),
      bracketOf(row),
      String(row.records),
    ]),
    6.5,
  );
  flow.heading("Images that were measured");
  flow.table(
    [
      ["Component", 0.12],
      ["SHA-256", 0.46, "mono"],
      ["Devices", 0.08],
      ["Release", 0.34],
    ],
    measuredImages(report).map(([name, digest, count, of]) => [name, digest, String(count), of]),
  );
}

function times(flow: Flow, report: Report): void {
  flow.heading("Times and their sources");
  flow.paragraph(
    "No clock of a device counts. Evidence answers a nonce made from a checkpoint that a ledger had timed (not before), and a later timed checkpoint holds a commitment to it (not after). Deadlines and ends of support are the maker's own word, signed.",
  );
  for (const source of [...new Set(report.rows.map(({ timeSource }) => timeSource))].sort())
    flow.paragraph(`• ${source === null ? "no ledger time is proved" : (TIME_SOURCES[source] ?? source)}`);
}
