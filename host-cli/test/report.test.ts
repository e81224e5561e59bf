// Reports over a real fleet's audit, and over lines that are as hostile as the format lets them be.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isoTime } from "@vouch/shared/time";
import jsQR from "jsqr";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { squaresOf } from "../src/report/qr";
import { newFolder } from "./maker-kit";
import { auditOf, contextWith, Fhir, lacks, recordWith } from "./report-kit";
import { vouch } from "./session";

const folder = newFolder("report");
const at = (name: string) => join(folder, name);
const read = (name: string) => readFileSync(at(name), "utf8");

/** Runs the built command; it must end with `status`. */
function run(status: number, ...args: string[]) {
  const ended = vouch(folder, args);
  assert.is(ended.status, status, `${args.join(" ")}\n${ended.stderr}`);
  return ended;
}

const report = suite("vouch report");

report.before(() => {
  run(0, "demo", "--fleet", "fleet", "--quiet");
  const audit = run(20, "audit", "fleet", "--policy", "fleet/policy", "--json");
  writeFileSync(at("results.jsonl"), audit.stdout);
  run(
    0,
    ..."report results.jsonl -o report.html --csv report.csv --pdf report.pdf --fhir fhir.json".split(" "),
  );
  writeFileSync(at("report.json"), run(0, "report", "results.jsonl", "--json").stdout);
});

report.after(() => rmSync(folder, { recursive: true, force: true }));

report("200 devices, the 13 that aren't patched first", () => {
  const data = JSON.parse(read("report.json"));
  assert.is(data.devices, 200);
  assert.equal(data.metrics.patched, { devices: 200, patched: 187 });
  assert.is(
    data.rows.findIndex(({ word }: { word: string }) => word === "patched"),
    13,
  );
  assert.match(read("report.html"), "13 of 200 devices are not shown to be patched");
  assert.is(read("report.csv").trim().split("\r\n").length, 201);
});

report("the same results give the same bytes, in every form", () => {
  const again = "report results.jsonl -o 2.html --csv 2.csv --pdf 2.pdf --fhir 2.json".split(" ");
  run(0, ...again);
  for (const [first, second] of [
    ["report.html", "2.html"],
    ["report.csv", "2.csv"],
    ["report.pdf", "2.pdf"],
    ["fhir.json", "2.json"],
  ] as const)
    assert.ok(readFileSync(at(first)).equals(readFileSync(at(second))), second);
});

report("files with serial numbers in them are for their owner only", () => {
  for (const name of ["report.html", "report.csv", "report.pdf", "fhir.json"])
    assert.is(statSync(at(name)).mode & 0o077, 0, name);
});

report("a store is read like a file of results", () => {
  run(20, ..."audit fleet --policy fleet/policy --store store --quiet".split(" "));
  const { rows } = JSON.parse(run(0, "report", "store", "--json").stdout);
  assert.is(rows.filter(({ word }: { word: string }) => word === "patched").length, 187);
});

report("a report of a later moment calls nothing patched that was last judged before", () => {
  const judged = Date.parse(JSON.parse(read("report.json")).at) / 1000;
  const inYears = isoTime(judged + 1000 * 86400);
  const later = run(0, "report", "results.jsonl", "--at", inYears, "--json").stdout;
  assert.equal(JSON.parse(later).metrics.patched, { devices: 200, patched: 0 });
});

report("the square code holds the digest of the JSON, and where it is kept", () => {
  run(0, "report", "results.jsonl", "--where", "shelf 4 & <b>", "-o", "where.html");
  const svg = /<svg viewBox="0 0 (\d+) \1"[^>]*>.*?<path d="([^"]+)"/s.exec(read("where.html"));
  const text = scan(Number(svg?.[1]), svg?.[2] ?? "");
  const sha256 = createHash("sha256").update(read("report.json")).digest("hex");
  const { at: when } = JSON.parse(read("report.json"));
  assert.is(text, `vouch:report?v=1&at=${when}&sha256=${sha256}&where=shelf%204%20%26%20%3Cb%3E`);
  assert.match(read("report.html"), sha256);
});

report(
  "what the report says to type makes the same report again, and its list of digests is one for sha256sum",
  () => {
    cpSync(at("fleet/policy"), at("my policy"));
    const made = [
      "report",
      "results.jsonl",
      "--policy",
      "my policy",
      "--where",
      "it's here",
      "-o",
      "said.html",
    ];
    run(0, ...made);
    const html = read("said.html").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
    const [, sums = ""] = /<pre>((?:[0-9a-f]{64} {2}[^\n<]+\n?)+)<\/pre>/.exec(html) ?? [];
    assert.equal(
      sums.split("\n"),
      ["results.jsonl", "my policy"].map(
        (name) =>
          `${createHash("sha256")
            .update(readFileSync(at(name)))
            .digest("hex")}  ${name}`,
      ),
    );
    const typed = [...html.matchAll(/^(?:<pre>)?.*node vouch-verify\.cjs (report [^\n<|]*)/gm)].map(
      ([, line = ""]) => line,
    );
    assert.is(typed.length, 2);
    const alone = `${process.execPath} ${resolve("host-cli/dist/vouch-verify.cjs")}`;
    const [again, json] = typed.map((line) =>
      spawnSync("sh", ["-c", `${alone} ${line}`], { cwd: folder, encoding: "utf8" }),
    );
    assert.is(again!.status, 0, again!.stderr);
    assert.is(read("again.html"), read("said.html"));
    assert.match(html, createHash("sha256").update(json!.stdout).digest("hex"));
  },
);

/** Draws the path in pixels and reads it with another's decoder. */
function scan(size: number, path: string): string | undefined {
  const scale = 4;
  const side = size * scale;
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  for (const [, x, y, count] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g))
    for (let row = Number(y) * scale; row < (Number(y) + 1) * scale; row++)
      for (let column = Number(x) * scale; column < (Number(x) + Number(count)) * scale; column++)
        pixels.fill(0, (row * side + column) * 4, (row * side + column) * 4 + 3);
  return jsQR(pixels, side, side)?.data;
}

report("every length of what a code may hold is readable", () => {
  for (const length of [0, 1, 90, 300]) {
    const text = `vouch:report?v=1&where=${"x".repeat(length)}`;
    const { size, runs } = squaresOf(text);
    assert.is(scan(size, runs.map(([y, x, n]) => `M${x} ${y}h${n}v1h-${n}z`).join("")), text);
  }
});

report("a policy other than the one that judged is refused", () => {
  writeFileSync(at("other.policy"), `${read("fleet/policy")}# another\n`);
  assert.match(run(1, "report", "results.jsonl", "--policy", "other.policy").stderr, /\[other-policy\]/);
  run(0, "report", "results.jsonl", "--policy", "fleet/policy", "-o", "with.html");
  assert.match(read("with.html"), "max-age status");
});

const LINE = auditOf([contextWith()], [recordWith("1")]);
for (const [name, content, code] of [
  ["no results at all", "", "evidence-missing"],
  ["a line that is no JSON", "{}\nhello\n", "malformed"],
  ["a line of a later version", '{"version":"vouch-audit-record/v2"}\n', "unsupported-version"],
  ["spaces between", LINE.replace('","word"', '", "word"'), "not-canonical-json"],
  ["a line too long", `${"x".repeat(2 * 1024 * 1024)}\n`, "too-large"],
  ["a last line that was cut", LINE.slice(0, -20), "malformed"],
] as const) {
  report(`refuses ${name}, and writes nothing`, () => {
    writeFileSync(at("odd.jsonl"), content);
    const { stdout, stderr } = run(1, "report", "odd.jsonl", "-o", "odd.html");
    assert.match(stderr, new RegExp(`\\[${code}`));
    assert.is(stdout, "");
    assert.throws(
      () => statSync(at("odd.html")),
      (error: Error) => error.message.includes("ENOENT"),
    );
  });
}

report("of a store the last line may be cut", () => {
  mkdirSync(at("cut"));
  writeFileSync(at("cut/audit.jsonl"), LINE.slice(0, -20));
  const { notes, devices } = JSON.parse(run(0, "report", "cut", "--json").stdout);
  assert.is(devices, 1);
  assert.match(notes.join(), "cut short");
});

report("all are patched only as far as the audit could read", () => {
  const trouble = '"trouble":[{"file":"ward.jsonl","code":"unknown-input","message":"found no fleet file"}]';
  writeFileSync(at("unread.jsonl"), LINE.replace('"trouble":[]', trouble));
  const { stdout } = run(0, "report", "unread.jsonl");
  assert.match(stdout, "The one device that could be read is patched");
  assert.match(stdout, "Note: </strong>files could not be read");
});

report("all are patched only among the lines that are left, and who makes the report is told", () => {
  const [context, record, summary] = LINE.split("\n") as [string, string, string];
  const two = record.replace(/"key":"[0-9a-f]{4}/, '"key":"0000');
  assert.match(summary, '"records":1');
  for (const [lines, note] of [
    [[context, record], "an audit has no summary"],
    [
      [context, record, summary.replace('"records":1', '"records":2')],
      "an audit counted 2 records, and 1 are here",
    ],
    [[context, record, two, summary], "an audit counted 1 records, and 2 are here"],
  ] as const) {
    writeFileSync(at("part.jsonl"), `${lines.join("\n")}\n`);
    const { stdout, stderr } = run(0, "report", "part.jsonl");
    assert.match(stdout, /(The one device|All 2 devices) among these results (is|are) patched/);
    assert.match(stdout, "None: every device among these results is patched.");
    assert.match(stderr, `vouch: ${note}`);
  }
});
report.run();

const HOSTILE = [
  "<script>alert(1)</script>",
  `"'><img src=x onerror=alert(1)>`,
  "=HYPERLINK(1)",
  "\u202e\u0000\u001b[31m",
  "</td></table>&amp;",
  "(\\) Tj ET",
  "日本",
  `${"long ".repeat(400)}end`,
  "\uff1dHYPERLINK(1)",
];
const hostile = suite("hostile lines");
const outside = newFolder("hostile");
hostile.after(() => rmSync(outside, { recursive: true, force: true }));

/** Every text that a line may hold, hostile: the forms made from it. */
function hostileReport(text: string) {
  const finding = { code: text, word: "vulnerable", claim: text, of: text, message: text } as const;
  const advisory = {
    id: text,
    revision: 1,
    aliases: [text],
    kind: text,
    effect: "affected",
    cvss: [text],
    class: text,
    created: text,
    deadline: text,
    overdue: true,
    fixIn: text,
    recorded: text,
  };
  const context = contextWith({
    product: text,
    release: text,
    recorded: text,
    supportEnds: text,
    udiDi: text,
    approvers: [text],
    log: text,
    size: text,
    asOf: { logSize: 1, time: text },
    timeSource: text,
    advisories: [advisory],
    flags: [text],
    limits: [text],
  });
  const record = recordWith("h", {
    word: "vulnerable",
    product: text,
    release: text,
    device: text,
    kid: text,
    serial: text,
    ueid: text,
    reasons: [finding],
    advisories: [text],
    flags: [text],
    timeSource: text,
    enroller: text,
    enrolled: text,
    components: [{ name: text, digest: "0".repeat(64) }],
  });
  const results = join(outside, "results.jsonl");
  writeFileSync(results, auditOf([context], [record, recordWith("forged", { kid: null, device: text })]));
  const args = `report results.jsonl -o r.html --csv r.csv --pdf r.pdf --fhir r.json`.split(" ");
  for (const name of ["r.html", "r.csv", "r.pdf", "r.json"]) rmSync(join(outside, name), { force: true }); // of the text before
  const ended = vouch(outside, [...args, "--where", "<b>"]);
  assert.is(ended.status, 0, ended.stderr);
  return {
    html: readFileSync(join(outside, "r.html"), "utf8"),
    csv: readFileSync(join(outside, "r.csv"), "utf8"),
    pdf: readFileSync(join(outside, "r.pdf")),
    fhir: JSON.parse(readFileSync(join(outside, "r.json"), "utf8")),
  };
}

let made: [string, ReturnType<typeof hostileReport>][] = [];
hostile.before(() => {
  made = HOSTILE.map((text) => [text, hostileReport(text)]);
});

hostile("no text of others becomes a tag, an attribute or a script of the page", () => {
  const known = tagsOf(made[6]![1].html); // of a text without anything that HTML reads
  for (const [text, { html }] of made) {
    assert.equal(tagsOf(html), known, text);
    assert.not.match(html.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  }
});

/** Names of all tags and their attributes, in order; throws where tags don't close as they open. */
function tagsOf(html: string): string[] {
  const open: string[] = [];
  const found: string[] = [];
  for (const [, close, name = "", rest = ""] of html.matchAll(
    /<(\/?)([a-zA-Z!][a-z0-9A-Z]*)((?:[^>"]|"[^"]*")*)>/g,
  )) {
    if (close === "/") assert.is(open.pop(), name);
    else if (!["meta", "!DOCTYPE"].includes(name)) open.push(name);
    found.push(`${name}${[...rest.matchAll(/ ([a-z-]+)="/gi)].map(([, key]) => ` ${key}`).join("")}`);
  }
  assert.equal(open, []);
  return found;
}

hostile("no cell begins a formula", () => {
  for (const [text, { csv }] of made)
    for (const cell of csv.split(/[,\r\n]+/))
      assert.not.match(cell, /^"?[=+\-@\uff1d\uff0b\uff0d\uff20]/, text);
});

hostile("FHIR holds no empty text, nothing invisible, and only ids that FHIR takes", () => {
  for (const [, { fhir }] of made) {
    const visit = (value: unknown): void => {
      if (typeof value === "string")
        assert.match(value, /^[^\s\p{Cc}\p{Cf}]([^\p{Cc}\p{Cf}]*[^\s\p{Cc}\p{Cf}])?$/u);
      else if (typeof value === "object" && value !== null) Object.values(value).forEach(visit);
    };
    visit(fhir);
    for (const { resource } of fhir.entry) assert.match(resource.id, /^[A-Za-z0-9.-]{1,64}$/);
    assert.ok(new Fhir().validate(fhir, { errorOnUnexpected: true }).valid);
  }
});

const noQpdf = lacks("qpdf", "--version");
const soundPdf = "qpdf finds no fault with the PDF";
if (noQpdf !== undefined) skip(hostile, soundPdf, noQpdf);
else
  hostile(soundPdf, () => {
    for (const [text, { pdf }] of made) {
      writeFileSync(join(outside, "q.pdf"), pdf);
      const { status, stderr } = spawnSync("qpdf", ["--check", join(outside, "q.pdf")], { encoding: "utf8" });
      assert.is(status, 0, `${text}: ${stderr}`);
    }
  });

const noPdftotext = lacks("pdftotext", "-v");
const readable = "pdftotext reads from the PDF what was to be said, and hostile text as text";
if (noPdftotext !== undefined) skip(hostile, readable, noPdftotext);
else
  hostile(readable, () => {
    writeFileSync(join(outside, "t.pdf"), made.find(([text]) => text === "(\\) Tj ET")?.[1].pdf ?? "");
    const { stdout } = spawnSync("pdftotext", ["-layout", join(outside, "t.pdf"), "-"], { encoding: "utf8" });
    for (const expected of [
      "Firmware evidence report",
      "(\\) Tj ET",
      "How to verify this again",
      "EVIDENCE named as it was then.", // the end of the longest sentence
      "Signature",
    ])
      assert.match(stdout, expected);
  });
hostile.run();
