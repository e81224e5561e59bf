// Reports over a real fleet's audit, and over lines that are as hostile as the format lets them be.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import jsQR from "jsqr";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { squaresOf } from "../src/report/qr";
import { CSS } from "../src/report/style";
import { newFolder } from "./maker-kit";
import { AT, accessibilityTree, auditOf, contextWith, lacks, recordWith } from "./report-kit";
import { vouch } from "./session";

const { Fhir } = createRequire(import.meta.url)("fhir") as {
  Fhir: new () => {
    validate(
      resource: object,
      options: object,
    ): {
      valid: boolean;
      messages: { severity: string; location: string; message: string }[];
    };
  };
};

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
  const later = run(0, "report", "results.jsonl", "--at", "2030-01-01T00:00:00Z", "--json").stdout;
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
    for (const cell of csv.split(/[,\r\n]+/)) assert.not.match(cell, /^"?[=+\-@]/, text);
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
    writeFileSync(join(outside, "t.pdf"), hostileReport("(\\) Tj ET").pdf);
    const { stdout } = spawnSync("pdftotext", ["-layout", join(outside, "t.pdf"), "-"], { encoding: "utf8" });
    for (const expected of [
      "Firmware evidence report",
      "(\\) Tj ET",
      "How to verify this again",
      "Signature",
    ])
      assert.match(stdout, expected);
  });
hostile.run();

const page = suite("the page, for everybody");
const both = newFolder("page");
page.after(() => rmSync(both, { recursive: true, force: true }));
const sample = [
  recordWith("1"),
  recordWith("2", { word: "vulnerable" }),
  recordWith("3", { word: "unproven", notBefore: null, notAfter: null }),
];
writeFileSync(join(both, "results.jsonl"), auditOf([contextWith()], sample));
assert.is(vouch(both, ["report", "results.jsonl", "-o", "r.html", "--fhir", "r.json"]).status, 0);
const html = readFileSync(join(both, "r.html"), "utf8");

page("fetches nothing and runs nothing", () => {
  assert.match(html, "default-src 'none'");
  assert.not.match(html, /<script|<link|<img|<iframe|@import|url\(|\son[a-z]+=/);
  assert.equal([...html.matchAll(/(?:href|src)="([^"#][^"]*)"/g)], []);
});

page("has a language, one title, landmarks, and headings that skip no level", () => {
  assert.match(html, '<html lang="en">');
  for (const tag of ["title", "header", "nav", "main", "footer", "h1"])
    assert.is(html.match(new RegExp(`<${tag}[ >]`, "g"))?.length, tag === "title" ? 1 + figures() : 1, tag);
  let level = 0;
  for (const [, digit] of html.matchAll(/<h([1-6])/g)) {
    assert.ok(Number(digit) <= level + 1);
    level = Number(digit);
  }
});
const figures = () => html.match(/<svg /g)?.length ?? 0;

page("every table has a caption, every header cell a scope, every figure a title and a description", () => {
  const tables = html.match(/<table.*?<\/table>/gs) ?? [];
  assert.ok(tables.length >= 7);
  for (const table of tables) assert.match(table, /<caption>[^<]+<\/caption>/);
  for (const [cell] of html.matchAll(/<th[ >][^>]*>?/g)) assert.match(cell, /scope="(col|row)"/);
  assert.is(figures(), 4);
  for (const [, labels = ""] of html.matchAll(/<svg [^>]*aria-labelledby="([^"]+)"/g))
    for (const id of labels.split(" ")) assert.match(html, new RegExp(`<(title|desc) id="${id}">[^<]+<`));
});

page("no id is given twice, and every link leads somewhere", () => {
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  assert.is(new Set(ids).size, ids.length);
  for (const [, id] of html.matchAll(/href="#([^"]+)"/g)) assert.ok(ids.includes(id), id);
});

page("no colour of text has less than 4.5:1 on the backgrounds there are", () => {
  const light = (hex: string) => {
    const [r = 0, g = 0, b = 0] = (hex.match(/../g) ?? []).map((pair) => {
      const value = Number.parseInt(pair, 16) / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const colours = Object.fromEntries(
    [...CSS.matchAll(/--([a-z]+):#([0-9a-f]{6})/g)].map(([, n, c]) => [n, c]),
  );
  for (const name of ["ink", "soft", "refuted", "recalled", "vulnerable", "unproven", "patched"])
    for (const behind of ["ffffff", colours["head"] as string]) {
      const ratio = (light(behind) + 0.05) / (light(colours[name] as string) + 0.05);
      assert.ok(ratio >= 4.5, `${name} on ${behind}: ${ratio}`);
    }
});

page("speaks of evidence, never of compliance", () => {
  assert.not.match(html, /complian|certif|\bsafe\b|guarantee/i);
});

const noChromium = lacks("chromium", "--version");
const told = "a browser tells a screen reader landmarks, headings, tables and what the figures show";
if (noChromium !== undefined) skip(page, told, noChromium);
else
  page(told, async () => {
    const nodes = await accessibilityTree(join(both, "r.html"));
    const named = (role: string) => nodes.filter((n) => n.role === role).map(({ name }) => name);
    for (const role of ["banner", "navigation", "main", "contentinfo"])
      assert.is(named(role).length, 1, role);
    assert.equal(named("navigation"), ["Sections"]);
    assert.is(nodes.filter(({ role, level }) => role === "heading" && level === 2).length, 10);
    assert.ok(named("table").every((name) => name !== ""));
    assert.ok(named("columnheader").length > 20);
    assert.ok(named("rowheader").includes("SN-2"));
    const images = [...named("image"), ...named("img")];
    assert.is(images.length, 4);
    assert.ok(images.every((name) => name.length > 10));
  });

page("the FHIR bundle has each kind of resource, all of whose references lead to another", () => {
  const bundle = JSON.parse(readFileSync(join(both, "r.json"), "utf8"));
  const { valid, messages } = new Fhir().validate(bundle, { errorOnUnexpected: true });
  assert.ok(valid, JSON.stringify(messages.filter(({ severity }) => severity === "error")));
  const ids = bundle.entry.map(({ resource }: Entry) => `${resource.resourceType}/${resource.id}`);
  assert.is(new Set(ids).size, ids.length);
  const count = (type: string) => ids.filter((id: string) => id.startsWith(`${type}/`)).length;
  assert.equal(["Device", "Observation", "Provenance", "AuditEvent"].map(count), [4, 3, 3, 2]);
  for (const [, to] of JSON.stringify(bundle).matchAll(/"reference":"([^"]+)"/g))
    assert.ok(ids.includes(to), to);
});

interface Entry {
  readonly resource: { readonly resourceType: string; readonly id: string } & Record<string, unknown>;
}

page("FHIR: what isn't proved has no value, and says so", () => {
  const bundle = JSON.parse(readFileSync(join(both, "r.json"), "utf8"));
  const observations = bundle.entry
    .map(({ resource }: Entry) => resource)
    .filter(({ resourceType }: Entry["resource"]) => resourceType === "Observation");
  const seen = observations.map((o: Record<string, unknown>) => [
    o["valueString"] ?? null,
    o["dataAbsentReason"] !== undefined,
    o["effectivePeriod"] !== undefined,
  ]);
  assert.equal(seen, [
    ["2.4.1", false, true],
    [null, true, false],
    ["2.4.1", false, true],
  ]);
});

for (const [name, change] of [
  ["a status that isn't one", (o: Entry["resource"]) => ({ ...o, status: "patched" })],
  ["no code", ({ code: _, ...o }: Entry["resource"]) => o],
  ["an unknown element", (o: Entry["resource"]) => ({ ...o, firmware: "2.4.1" })],
] as const) {
  page(`FHIR: the validator would notice ${name}`, () => {
    const bundle = JSON.parse(readFileSync(join(both, "r.json"), "utf8"));
    const entry = bundle.entry.find(({ resource }: Entry) => resource.resourceType === "Observation");
    entry.resource = change(entry.resource);
    assert.not.ok(new Fhir().validate(bundle, { errorOnUnexpected: true }).valid);
  });
}

page("everything is as of the results' own time", () => {
  assert.match(html, AT);
});
page.run();
