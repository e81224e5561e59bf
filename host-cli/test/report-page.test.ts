// A report's page for everybody who reads it, by eye, keyboard or ear; and its FHIR bundle.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { CSS } from "../src/report/style";
import { newFolder } from "./maker-kit";
import { AT, accessibilityTree, auditOf, contextWith, Fhir, lacks, recordWith } from "./report-kit";
import { vouch } from "./session";

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
