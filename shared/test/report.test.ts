// What a report takes from the lines of audits: which evidence of a device counts, what of it holds at T, what it means
// for the measures.

import type { AuditContext, AuditRecord, AuditSummary } from "@vouch/shared/auditline";
import {
  CONTEXT_VERSION,
  formatAuditLine,
  parseAuditLine,
  RECORD_VERSION,
  SUMMARY_VERSION,
} from "@vouch/shared/auditline";
import { utf8Encode } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import { Gathering, type Report } from "@vouch/shared/report";
import { suite } from "uvu";
import * as assert from "uvu/assert";

type Line = AuditContext | AuditRecord | AuditSummary;

const hex = (n: number) => n.toString(16).padStart(64, "0");
const day = (n: number) => `2026-01-${String(n).padStart(2, "0")}T00:00:00Z`;
const POLICY = hex(7);
const TOOL = "vouch 0.1.0";

const context = (id: number, release: string, more: Partial<AuditContext> = {}): AuditContext => ({
  version: CONTEXT_VERSION,
  context: hex(id),
  word: "verified",
  product: "pump",
  release,
  recorded: day(1),
  supportEnds: null,
  udiDi: null,
  approvers: [],
  log: "log.example",
  size: "9",
  asOf: { logSize: 9, time: day(2) },
  timeSource: "self-asserted",
  reasons: [],
  advisories: [],
  flags: [],
  limits: [],
  ...more,
});

const advisory = (id: string, fixIn: string | null, recorded: string | null) => ({
  id,
  revision: 1,
  aliases: [],
  kind: "security",
  effect: "affected",
  cvss: [],
  class: null,
  created: day(1),
  deadline: null,
  overdue: false,
  fixIn,
  recorded,
});

let inputs = 100;
const record = (at: string, word: AuditRecord["word"], more: Partial<AuditRecord> = {}): AuditRecord => ({
  version: RECORD_VERSION,
  key: hex(inputs++),
  input: hex(inputs++),
  context: hex(1),
  policy: POLICY,
  tool: TOOL,
  at,
  word,
  product: "pump",
  release: "1.0",
  device: "k1",
  kid: "k1",
  serial: "SN-1",
  ueid: null,
  reasons:
    word === "patched"
      ? []
      : [{ code: CODES[word] ?? "", word, claim: "evidence", of: "device", message: word }],
  advisories: [],
  flags: [],
  asOf: { logSize: 9, time: day(2) },
  timeSource: "self-asserted",
  notBefore: day(2),
  notAfter: day(3),
  enroller: "e",
  enrolled: day(1),
  components: [{ name: "app", digest: hex(5) }],
  dbgstat: 2,
  ...more,
});
const CODES: Record<string, string> = {
  refuted: "measurement-mismatch",
  recalled: "advisory-recall",
  vulnerable: "advisory-in-force",
  unproven: "evidence-stale",
};

const summary = (at: string, records: number, patched: number): AuditSummary => ({
  version: SUMMARY_VERSION,
  at,
  policy: POLICY,
  tool: TOOL,
  records,
  reused: 0,
  words: { patched },
  releases: [],
  flags: {},
  trouble: [],
  word: "patched",
  exit: 0,
});

/** Through the text of the lines, as a command reads them; one file an argument. */
function reportOf(at: string, ...files: readonly (readonly Line[])[]): Report {
  const gathering = new Gathering();
  files.forEach((lines, i) => {
    for (const line of lines) gathering.line(parseAuditLine(utf8Encode(formatAuditLine(line))));
    gathering.source({ name: `${i}`, sha256: hex(i), lines: lines.length }, true);
  });
  return gathering.report(at);
}

const words = (report: Report) => report.rows.map(({ kid, word }) => `${kid} ${word}`).join(", ");
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (isRefusal(error)) return error.code;
    throw error;
  }
  return "";
};

const reports = suite("report");

reports(
  "a device patched at T is patched in the report of T, and unproven in that of any later moment",
  () => {
    const audit = [context(1, "1.0"), record(day(5), "patched"), summary(day(5), 1, 1)];
    assert.is(words(reportOf(day(5), audit)), "k1 patched");
    const later = reportOf(day(6), audit);
    assert.is(words(later), "k1 unproven");
    assert.is(later.rows[0]?.reasons[0]?.code, "judged-earlier");
    assert.is(later.word, "unproven");
    assert.equal(later.metrics.patched, { devices: 1, patched: 0 });
  },
);

reports("what is worse than patched stays so at a later moment", () => {
  for (const word of ["refuted", "recalled", "vulnerable", "unproven"] as const) {
    const audit = [context(1, "1.0"), record(day(5), word), summary(day(5), 1, 0)];
    assert.is(words(reportOf(day(6), audit)), `k1 ${word}`);
  }
});

reports("audits later than T are left out, and said to be", () => {
  const early = [context(1, "1.0"), record(day(5), "patched"), summary(day(5), 1, 1)];
  const late = [context(1, "1.0"), record(day(6), "vulnerable"), summary(day(6), 1, 0)];
  const report = reportOf(day(5), early, late);
  assert.is(words(report), "k1 patched");
  assert.equal(report.notes, [`audits later than ${day(5)}, which are left out: 1`]);
  assert.is(
    codeOf(() => reportOf(day(4), early, late)),
    "evidence-missing",
  );
});

for (const [name, first, second, expected] of [
  ["the later evidence counts, here the better", ["vulnerable", 2, 3], ["patched", 4, 5], "patched"],
  ["the later evidence counts, here the worse", ["patched", 2, 3], ["vulnerable", 4, 5], "vulnerable"],
  [
    "the later evidence counts, also where it proves nothing",
    ["patched", 2, 3],
    ["unproven", 4, 5],
    "unproven",
  ],
  ["overlapping brackets: the worse counts", ["vulnerable", 2, 5], ["patched", 4, 5], "vulnerable"],
  ["no upper bound: the worse counts", ["vulnerable", 2, null], ["patched", 4, 5], "vulnerable"],
  ["no times at all: the worse counts", ["refuted", null, null], ["patched", 4, 5], "refuted"],
  [
    "unproven evidence without times hides no patched one",
    ["unproven", null, null],
    ["patched", 4, 5],
    "patched",
  ],
  ["the same bracket: the worse counts", ["patched", 2, 3], ["unproven", 2, 3], "unproven"],
] as const) {
  reports(`two pieces of evidence of one device: ${name}`, () => {
    const one = ([word, from, to]: readonly [AuditRecord["word"], number | null, number | null]) =>
      record(day(9), word, {
        notBefore: from === null ? null : day(from),
        notAfter: to === null ? null : day(to),
      });
    for (const pair of [
      [first, second],
      [second, first],
    ] as const)
      assert.is(
        words(reportOf(day(9), [context(1, "1.0"), one(pair[0]), one(pair[1]), summary(day(9), 2, 1)])),
        `k1 ${expected}`,
      );
  });
}

const release = (code: string, word: AuditRecord["word"]) => ({
  reasons: [{ code, word, claim: "advisories", of: "release", message: word }],
});
const collectedAgain = (more: Partial<AuditRecord> = {}) =>
  record(day(9), "patched", { context: hex(2), asOf: { logSize: 12, time: day(8) }, ...more });
for (const [name, earlier, later, expected] of [
  ["a status was stale", record(day(8), "unproven", release("status-stale", "unproven")), {}, "patched"],
  [
    "an advisory is withdrawn",
    record(day(8), "vulnerable", release("advisory-in-force", "vulnerable")),
    {},
    "patched",
  ],
  [
    "an advisory that the later status is too old to know",
    record(day(8), "vulnerable", release("advisory-in-force", "vulnerable")),
    { asOf: { logSize: 8, time: day(8) } },
    "vulnerable",
  ],
  [
    "an advisory, of a status that the later context doesn't have",
    record(day(8), "vulnerable", release("advisory-in-force", "vulnerable")),
    { asOf: null },
    "vulnerable",
  ],
  ["the evidence itself is in doubt", record(day(8), "refuted"), {}, "refuted"],
  [
    "at the same moment",
    record(day(9), "vulnerable", release("advisory-in-force", "vulnerable")),
    {},
    "vulnerable",
  ],
  [
    "of another release",
    record(day(8), "vulnerable", { release: "0.9", ...release("advisory-in-force", "vulnerable") }),
    {},
    "vulnerable",
  ],
  [
    "of other bytes",
    record(day(8), "vulnerable", {
      components: [{ name: "app", digest: hex(6) }],
      ...release("advisory-in-force", "vulnerable"),
    }),
    {},
    "vulnerable",
  ],
] as const) {
  reports(`evidence that was judged, collected again, and judged: ${name}`, () => {
    const first = [context(1, "1.0"), earlier, summary(earlier.at, 1, 0)];
    const second = [context(2, "1.0"), collectedAgain(later), summary(day(9), 1, 1)];
    for (const files of [
      [first, second],
      [second, first],
    ])
      assert.is(words(reportOf(day(9), ...files)), `k1 ${expected}`);
  });
}

reports("evidence that proves no key is a row of its own, and no word on a device", () => {
  const forged = record(day(9), "refuted", { kid: null, serial: null, device: "k1" });
  const report = reportOf(day(9), [
    context(1, "1.0"),
    record(day(9), "patched"),
    forged,
    summary(day(9), 2, 1),
  ]);
  assert.is(words(report), "null refuted, k1 patched");
});

reports("the same results in another order of files give the same rows, trend and measures", () => {
  const files = [
    [context(1, "1.0"), record(day(5), "patched"), summary(day(5), 1, 1)],
    [context(2, "1.1"), record(day(6), "vulnerable", { context: hex(2), kid: "k2" }), summary(day(6), 1, 0)],
    [context(1, "1.0"), record(day(7), "refuted", { kid: "k3" }), summary(day(7), 1, 0)],
  ];
  const without = ({ sources: _, ...report }: Report) => JSON.stringify(report);
  assert.is(without(reportOf(day(7), ...files)), without(reportOf(day(7), ...files.reverse())));
});

reports(
  "a store with an audit that was cut short: its records count, and the report says that some may be missing",
  () => {
    const store = [
      context(1, "1.0"),
      record(day(5), "vulnerable", { kid: "k1" }),
      context(1, "1.0"), // another audit, all of which came from the store
      summary(day(6), 1, 0),
    ];
    assert.is(words(reportOf(day(6), store)), "k1 vulnerable");
    const early = reportOf(day(5), store);
    assert.is(words(early), "k1 vulnerable");
    assert.ok(early.notes.some((note) => note.includes("cut short")));
  },
);

reports("a line that was taken out of an audit is missed", () => {
  const audit = [context(1, "1.0"), record(day(5), "vulnerable"), record(day(5), "patched", { kid: "k2" })];
  assert.equal(reportOf(day(5), [...audit, summary(day(5), 2, 1)]).notes, []);
  const [first, , last] = audit as [AuditContext, AuditRecord, AuditRecord];
  const { notes } = reportOf(day(5), [first, last, summary(day(5), 2, 1)]);
  assert.equal(notes, ["an audit counted 2 records, and 1 are here: lines were lost or added"]);
});

reports("files that the audit could not read are told beside the answer", () => {
  const audit = [context(1, "1.0"), record(day(5), "patched")];
  const trouble = [{ file: "ward.jsonl", code: "unknown-input", message: "found no fleet file" }];
  const report = reportOf(day(5), [...audit, { ...summary(day(5), 1, 1), trouble }]);
  assert.equal(report.trouble, trouble);
  assert.match(report.notes.join(), /^files could not be read: their devices are missing here/);
  assert.equal(reportOf(day(5), [...audit, summary(day(5), 1, 1)]).notes, []);
});

const against = (id: number, size: number, more: Partial<AuditContext> = {}) =>
  context(id, "1.0", {
    word: "vulnerable",
    asOf: { logSize: size, time: day(3) },
    reasons: [{ code: "advisory-in-force", word: "vulnerable", claim: "advisories", message: "flaw" }],
    advisories: [advisory("A", "1.1", day(2))],
    ...more,
  });
const unsound = { code: "checkpoint-missing", word: "unproven" as const, claim: "log", message: "" };

for (const [name, newer, expected] of [
  ["a newer context with an advisory", against(2, 12), "k1 vulnerable"],
  ["one as of the same log size", against(2, 9), "k1 vulnerable"],
  ["an older one", against(2, 8), "k1 patched"],
  ["another release's", { ...against(2, 12), release: "1.1" }, "k1 patched"],
  ["another log's", against(2, 12, { log: "other.example" }), "k1 patched"],
  ["one without a status", against(2, 12, { asOf: null }), "k1 patched"],
  ["one that isn't sound", against(2, 12, { reasons: [...against(2, 12).reasons, unsound] }), "k1 patched"],
  ["one whose status doesn't list it", against(2, 12, { flags: ["UNLISTED_ADVISORY"] }), "k1 patched"],
  [
    "one that is too old for a verdict",
    against(2, 12, { reasons: [...against(2, 12).reasons, { ...unsound, code: "status-stale" }] }),
    "k1 vulnerable",
  ],
] as const) {
  reports(`a device that an audit called patched, beside ${name}`, () => {
    const audit = [context(1, "1.0"), record(day(5), "patched"), newer, summary(day(5), 1, 1)];
    const report = reportOf(day(5), audit);
    assert.is(words(report), expected);
    if (expected === "k1 patched") return;
    assert.is(report.word, "vulnerable");
    assert.equal(report.metrics.patched, { devices: 1, patched: 0 });
    assert.equal([report.metrics.open, report.rows[0]?.advisories], [1, ["A"]]);
    assert.is(report.rows[0]?.reasons[0]?.code, "context-outdated");
    assert.equal(
      [report.releases[0]?.words, report.releases[0]?.contexts],
      [{ vulnerable: 1 }, [hex(1), hex(2)]],
    );
    assert.match(
      report.notes.join(),
      "older context, and that count as what the newest one of their release says: 1",
    );
  });
}

reports("a newer context counts whichever of the files holds it, and stays bad at a later moment", () => {
  const ward = [context(1, "1.0"), record(day(5), "patched"), summary(day(5), 1, 1)];
  const other = [
    against(2, 12),
    record(day(5), "vulnerable", { context: hex(2), kid: "k2" }),
    summary(day(5), 1, 0),
  ];
  for (const files of [
    [ward, other],
    [other, ward],
  ])
    assert.is(words(reportOf(day(5), ...files)), "k1 vulnerable, k2 vulnerable");
  assert.is(words(reportOf(day(6), ward, other)), "k1 vulnerable, k2 vulnerable");
});

reports("a row says how many records of its device it was chosen from", () => {
  const six = Array.from({ length: 6 }, () => record(day(5), "patched"));
  const one = record(day(5), "patched", { kid: "k2" });
  const { devices, rows } = reportOf(day(5), [context(1, "1.0"), ...six, one, summary(day(5), 7, 7)]);
  assert.is(devices, 2);
  assert.equal(
    rows.map(({ kid, records }) => [kid, records]),
    [
      ["k1", 6],
      ["k2", 1],
    ],
  );
});

reports("the silence of an older status clears no release; a later one's does", () => {
  const flaw = advisory("A", "1.1", day(4));
  const old = context(1, "1.0", { asOf: { logSize: 3, time: day(2) } });
  const affected = context(2, "1.0", {
    word: "vulnerable",
    asOf: { logSize: 9, time: day(5) },
    advisories: [flaw],
    reasons: [{ code: "advisory-in-force", word: "vulnerable", claim: "advisories", message: "" }],
  });
  const before = context(3, "1.1", { recorded: day(6), asOf: { logSize: 3, time: day(2) } });
  const mended = context(4, "1.1", { recorded: day(6), asOf: { logSize: 9, time: day(7) } });
  const seen = [
    record(day(9), "vulnerable", { context: hex(2), notBefore: day(4), notAfter: day(5) }),
    record(day(9), "patched", { context: hex(4), release: "1.1", notBefore: day(7), notAfter: day(8) }),
  ];
  const audit = (last: AuditContext) => [old, affected, last, ...seen, summary(day(9), 2, 1)];
  const { metrics } = reportOf(day(9), audit(mended));
  assert.is(metrics.offered[0]?.seconds, 2 * 86400); // recorded on day 6, the advisory on day 4
  assert.equal([metrics.installed[0]?.seconds, metrics.open], [2 * 86400, 0]); // not after day 8
  assert.is(reportOf(day(9), audit(before)).metrics.open, 1);
});

reports("evidence that a later audit refutes is no sighting any more", () => {
  const flaw = advisory("A", "1.1", day(4));
  const affected = context(2, "1.0", { advisories: [flaw], asOf: { logSize: 9, time: day(5) } });
  const mended = context(4, "1.1", { recorded: day(6) });
  const first = record(day(9), "vulnerable", { context: hex(2), notBefore: day(4), notAfter: day(5) });
  const second = record(day(9), "patched", {
    context: hex(4),
    release: "1.1",
    notBefore: day(7),
    notAfter: day(8),
  });
  const audit = [affected, mended, first, second, summary(day(9), 2, 1)];
  assert.is(reportOf(day(9), audit).metrics.open, 0);
  const reasons = [
    { code: "key-revoked", word: "refuted" as const, claim: "enrolment", of: "device", message: "" },
  ];
  const later = [{ ...second, at: day(10), word: "refuted" as const, reasons }, summary(day(10), 1, 0)];
  assert.is(reportOf(day(10), audit, later).metrics.open, 1);
});

for (const [name, change] of [
  ["a month of its own", { at: "2026-13-01T00:00:00Z" }],
  ["a day that isn't", { at: "2026-02-30T00:00:00Z" }],
  ["another zone", { at: "2026-01-05T00:00:00+01:00" }],
  ["a bracket that is text", { notBefore: "~" }],
] as const) {
  reports(`refuses a record with ${name} for a time`, () => {
    assert.is(
      codeOf(() => reportOf(day(9), [record(day(9), "patched", change)])),
      "malformed-audit-line",
    );
  });
}

reports.run();
