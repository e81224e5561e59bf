// Documents of others: what is read of them, and every fault that must not pass. What we write is judged by
// the CSAF validator of the German BSI's Secvisogram, and read back by ourselves.

import * as mandatory from "@secvisogram/csaf-validator-lib/mandatoryTests.js";
import { csaf_2_0_strict } from "@secvisogram/csaf-validator-lib/schemaTests.js";
import validate from "@secvisogram/csaf-validator-lib/validate.js";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { importCsaf } from "../src/exchange/csaf";
import { csafOf, osvOf } from "../src/exchange/export";
import { importedStatement, parseForeign } from "../src/exchange/foreign";
import { importOpenVex } from "../src/exchange/openvex";
import { importOsv, osvAffects, parseOsv } from "../src/exchange/osv";
import { parsePurl } from "../src/exchange/purl";
import { isRefusal } from "../src/refusal";
import { type AdvisoryStatement, formatStatement } from "../src/statement";
import { refusal } from "./vectors";

const D1 = "11".repeat(32);
const CREATED = "2026-11-23T08:00:00Z";
const PUBLISHER = { name: "Acme Medical", namespace: "https://acme.example" };

const FULL: AdvisoryStatement = {
  kind: "advisory",
  subjects: [{ name: "app", sha256: D1 }],
  id: "ACME-2026-2",
  product: "pump-400",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: ["1.9.7", "2.4.0"],
  summary: "a crafted frame overruns the parser",
  created: CREATED,
  aliases: ["CVE-2026-1234", "GHSA-aaaa-bbbb-cccc"],
  affected: "vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<2.4.0",
  releases: [{ version: "2.3.9", status: "not_affected", justification: "inline_mitigations_already_exist" }],
  cvss: ["CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"],
  references: ["https://acme.example/advisories/2"],
};

const encode = (value: unknown) => utf8Encode(JSON.stringify(value));
const parsed = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

/** What lies at this path. */
const node = (document: unknown, ...path: readonly (string | number)[]) =>
  path.reduce((at, key) => (at as Record<string | number, unknown>)[key], document) as Record<
    string,
    unknown
  >;
const items = (document: unknown, ...path: readonly (string | number)[]) =>
  node(document, ...path) as unknown as Record<string, unknown>[];

const json = suite("foreign JSON");

for (const [name, text] of [
  ["a key twice", `{"a":1,"a":2}`],
  ["a key twice, once escaped", `{"a":1,"\\u0061":2}`],
  ["a key twice, deep down", `[{"x":{"a":[1,{"b":1}],"c":2,"a":3}}]`],
  ["a key twice with space before the colon", `{"a" :1,"a"\n:2}`],
  ["__proto__", `{"__proto__":1}`],
  ["70 levels", `${"[".repeat(70)}${"]".repeat(70)}`],
  ["a million levels", "[".repeat(1_000_000)],
  ["a string of a million escapes that never ends", `{"a":"${'\\"'.repeat(1_000_000)}`],
  ["a million quotes", '"'.repeat(1_000_001)],
  ["no JSON", "{"],
  ["nothing", ""],
  ["a comma at the end", "[1,]"],
] as const)
  json(`refuses: ${name}`, () =>
    assert.throws(() => parseForeign(utf8Encode(text), "x"), refusal("malformed-json")),
  );

json("takes white space, escapes, and equal keys of different objects and as values", () => {
  const text = ` { "a" : [ {"k":"a"} , {"k":"\\"a\\":"} ] , "b" : "{\\"a\\":1" } `;
  assert.equal(parseForeign(utf8Encode(text), "x"), JSON.parse(text));
  assert.throws(() => parseForeign(new Uint8Array([0x22, 0xff, 0x22]), "x"), refusal("malformed-json"));
  assert.throws(() => parseForeign(new Uint8Array(9), "x", 8), refusal("too-large"));
});
json.run();

const csaf = suite("CSAF");
const CSAF = csafOf([FULL], PUBLISHER);
const importIt = (bytes: Uint8Array) =>
  importedStatement(importCsaf(bytes, { productName: "pump-400" }), "pump-400", CREATED);

const failures = async (document: unknown) => {
  const { tests } = await validate([csaf_2_0_strict, ...Object.values(mandatory)], document);
  return tests
    .filter(({ isValid }) => !isValid)
    .map(({ name, errors }) => `${name} ${JSON.stringify(errors)}`);
};

csaf("what we write passes the strict schema and the mandatory tests, and reads back as it was", async () => {
  assert.equal(await failures(parsed(CSAF)), []);
  assert.equal(importIt(CSAF), FULL);
});

// Faults that the validator finds too, where it looks at all; each must be found by us.
const VULN = "vulnerabilities";
const STATUS = [VULN, 0, "product_status"] as const;
const TRACKING = ["document", "tracking"] as const;
const branches = (d: unknown) => items(d, "product_tree", "branches", 0, "branches", 0, "branches");
const branch = (d: unknown, category: string) => branches(d).find((b) => b["category"] === category)!;
const set = (at: Record<string, unknown>, key: string, value: unknown) => {
  at[key] = value;
};
type Plant = (document: unknown) => void;

for (const [name, code, byValidator, plant] of [
  [
    "an id that the tree doesn't define",
    "malformed-csaf",
    true,
    (d) => items(d, ...STATUS, "fixed").push("CSAFPID-9999" as never),
  ],
  [
    "a product both affected and fixed",
    "malformed-csaf",
    true,
    (d) => items(d, ...STATUS, "fixed").push(items(d, ...STATUS, "known_affected")[0]!),
  ],
  ["no tracking id", "malformed-csaf", true, (d) => set(node(d, ...TRACKING), "id", undefined)],
  [
    "a SHA-256 cut short",
    "malformed-csaf",
    false,
    (d) => {
      const helper = node(branch(d, "specification"), "product", "product_identification_helper");
      set(node(helper, "hashes", 0, "file_hashes", 0), "value", D1.slice(0, 40));
    },
  ],
  [
    "a score that the vector doesn't give",
    "malformed-csaf",
    true,
    (d) => set(node(d, VULN, 0, "scores", 0, "cvss_v3"), "baseScore", 4.2),
  ],
  [
    "a severity that the score doesn't have",
    "malformed-csaf",
    true,
    (d) => set(node(d, VULN, 0, "scores", 0, "cvss_v3"), "baseSeverity", "LOW"),
  ],
  [
    "an id defined twice",
    "malformed-csaf",
    true,
    (d) => set(node(branches(d)[1], "product"), "product_id", "CSAFPID-0001"),
  ],
  [
    "a version that the history doesn't reach",
    "malformed-csaf",
    true,
    (d) => set(node(d, ...TRACKING), "version", "2"),
  ],
  ["a draft", "csaf-draft", false, (d) => set(node(d, ...TRACKING), "status", "draft")],
  ["CSAF 2.1", "malformed-csaf", true, (d) => set(node(d, "document"), "csaf_version", "2.1")],
  [
    "not affected for no reason",
    "justification-missing",
    false,
    (d) => set(node(d, VULN, 0), "flags", undefined),
  ],
  [
    "a range in another scheme",
    "malformed-range",
    false,
    (d) => set(branch(d, "product_version_range"), "name", "vers:npm/<2.0.0"),
  ],
  [
    "a version that isn't semantic",
    "version-unsupported",
    false,
    (d) => set(branch(d, "product_version"), "name", "2.4"),
  ],
  [
    "another product",
    "product-unknown",
    false,
    (d) => set(node(d, "product_tree", "branches", 0, "branches", 0), "name", "pump-500"),
  ],
  [
    "two vulnerabilities",
    "several-vulnerabilities",
    false,
    (d) => items(d, VULN).push({ cve: "CVE-2026-9999" }),
  ],
] as readonly [string, string, boolean, Plant][]) {
  csaf(`refuses: ${name}`, async () => {
    const document = parsed(CSAF);
    plant(document);
    assert.throws(() => importIt(encode(document)), refusal(code));
    if (byValidator) assert.ok((await failures(document)).length > 0, "the validator finds it too");
  });
}

csaf("what is said of a component of our product is said of the product's version", () => {
  const document = parsed(CSAF);
  set(node(document, "product_tree"), "full_product_names", [{ product_id: "LIB", name: "libx 1" }]);
  set(node(document, "product_tree"), "relationships", [
    {
      category: "default_component_of",
      product_reference: "LIB",
      relates_to_product_reference: "CSAFPID-0001",
      full_product_name: { product_id: "LIB-IN-PUMP", name: "libx 1 in pump-400" },
    },
  ]);
  set(node(document, ...STATUS), "known_affected", ["LIB-IN-PUMP"]);
  assert.is(importIt(encode(document)).affected, FULL.affected);
});

csaf(
  "one version that is affected with a component and not with another is a contradiction, and not unaffected",
  () => {
    const document = parsed(CSAF);
    const used = node(branch(document, "product_version"), "product")["product_id"];
    const within = (id: string) => ({
      category: "default_component_of",
      product_reference: "LIB",
      relates_to_product_reference: used,
      full_product_name: { product_id: id, name: `${id} in pump-400` },
    });
    set(node(document, "product_tree"), "full_product_names", [{ product_id: "LIB", name: "libx 1" }]);
    set(node(document, "product_tree"), "relationships", [within("OLD-LIB"), within("NEW-LIB")]);
    const flags = [{ label: "vulnerable_code_not_present", product_ids: ["NEW-LIB"] }];
    set(node(document, VULN, 0), "flags", flags);
    set(node(document, ...STATUS), "known_affected", ["OLD-LIB"]);
    set(node(document, VULN, 0), "product_status", {
      known_affected: ["OLD-LIB"],
      known_not_affected: ["NEW-LIB"],
    });
    assert.throws(() => importIt(encode(document)), refusal("import-contradiction"));
  },
);

csaf("later forms give a history; one that is missing is asked for", async () => {
  const later = { ...FULL, revision: 2, created: "2026-11-24T08:00:00Z" };
  const document = parsed(csafOf([later, FULL], PUBLISHER));
  assert.equal(await failures(document), []);
  assert.is(node(document, ...TRACKING)["version"], "2");
  assert.throws(() => csafOf([later], PUBLISHER), refusal("revision-missing"));
  assert.throws(() => csafOf([FULL, { ...FULL, id: "B-1" }], PUBLISHER), refusal("forms-differ"));
});

const statement: fc.Arbitrary<AdvisoryStatement> = fc
  .record(
    {
      affected: fc.constantFrom(
        "vers:semver/*",
        "vers:semver/<2.4.1",
        "vers:semver/>=1.0.0|<1.9.7|>=2.0.0|<=2.3.9",
        "vers:semver/2.0.0",
      ),
      aliases: fc.constantFrom(["CVE-2026-1234"], ["CVE-2026-1234", "X-1"], ["X-1", "X-2"]),
      cvss: fc.constantFrom(FULL.cvss!, ["CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", ...FULL.cvss!]),
      subjects: fc.constantFrom(
        FULL.subjects,
        [{ name: "app", sha256: "22".repeat(32) }, ...FULL.subjects].reverse(),
      ),
      references: fc.constant(["https://acme.example/a"]),
      summary: fc.constantFrom("x", "Ein Fehler größer als “klein”, 漢字"),
    },
    { requiredKeys: ["affected"], noNullPrototype: true },
  )
  .map((more) => {
    const { aliases: _a, cvss: _c, references: _r, releases: _s, affected: _v, ...base } = FULL;
    return {
      ...base,
      subjects: [],
      fixedVersions: more.affected === "vers:semver/*" ? [] : ["9.0.0"],
      ...more,
    };
  });

csaf("whatever an advisory says, its document is valid and says the same to us", async () => {
  await fc.assert(
    fc.asyncProperty(statement, async (made) => {
      formatStatement(made);
      const bytes = csafOf([made], PUBLISHER);
      assert.equal(await failures(parsed(bytes)), []);
      assert.equal(importIt(bytes), made);
      assert.equal(importedStatement(importOsv(osvOf([made], {}), "pump-400"), "pump-400", CREATED), made);
    }),
    { numRuns: 20 },
  );
});

csaf("a document bent anywhere is read or refused, never a crash", () => {
  bend(CSAF, importIt, 1500);
});
csaf.run();

/** `read` on the text with one character exchanged, anywhere, for what JSON is made of. */
function bend(bytes: Uint8Array, read: (bytes: Uint8Array) => unknown, numRuns: number): void {
  const text = new TextDecoder().decode(bytes);
  const piece = fc.constantFrom('"', "{", "[", "0", "null", ":", "x", "\u0000", "");
  fc.assert(
    fc.property(fc.nat(text.length - 1), piece, (at, put) => {
      try {
        read(utf8Encode(text.slice(0, at) + put + text.slice(at + 1)));
      } catch (error) {
        assert.ok(isRefusal(error), `${error}`);
      }
    }),
    { numRuns },
  );
}

const osv = suite("OSV");

const RECORD = {
  schema_version: "1.6.0",
  id: "ACME-2026-2",
  modified: CREATED,
  aliases: ["CVE-2026-1234"],
  summary: "overrun",
  severity: [{ type: "CVSS_V3", score: FULL.cvss![0] }],
  affected: [
    {
      package: { ecosystem: "npm", name: "pump-400" },
      ranges: [
        {
          type: "SEMVER",
          events: [{ introduced: "0" }, { fixed: "1.9.7" }, { introduced: "2.0.0" }, { fixed: "2.4.0" }],
        },
      ],
    },
  ],
};
const bent = (change: object) => encode({ ...RECORD, ...change });
const affecting = (change: object) => bent({ affected: [{ ...RECORD.affected[0], ...change }] });
const ranged = (...events: object[]) => affecting({ ranges: [{ type: "SEMVER", events }] });

osv("a record is read for its package", () => {
  const read = importedStatement(importOsv(encode(RECORD), "pump-400"), "pump-400", CREATED);
  assert.is(read.affected, "vers:semver/<1.9.7|>=2.0.0|<2.4.0");
  assert.equal(read.fixedVersions, ["1.9.7", "2.4.0"]);
  assert.equal(read.cvss, FULL.cvss);
  const last = importedStatement(
    importOsv(ranged({ introduced: "1.0.0" }, { last_affected: "1.5.0" }), "pump-400"),
    "p",
    CREATED,
  );
  assert.is(last.affected, "vers:semver/>=1.0.0|<=1.5.0");
  const listed = importedStatement(
    importOsv(affecting({ ranges: [], versions: ["1.0.0", "2.0.0"] }), "pump-400"),
    "p",
    CREATED,
  );
  assert.is(listed.affected, "vers:semver/1.0.0|2.0.0");
});

for (const [name, code, bytes] of [
  ["no id", "malformed-osv", bent({ id: undefined })],
  ["a date without a time", "malformed-osv", bent({ modified: "2026-11-23" })],
  ["a range that never begins", "malformed-osv", ranged({ fixed: "1.0.0" })],
  ["a range that begins twice", "malformed-osv", ranged({ introduced: "0" }, { introduced: "1.0.0" })],
  ["an end before the beginning", "malformed-osv", ranged({ introduced: "2.0.0" }, { fixed: "1.0.0" })],
  ["two ends", "malformed-osv", ranged({ introduced: "0" }, { fixed: "1.0.0" }, { fixed: "2.0.0" })],
  [
    "fixed and last_affected in one range",
    "malformed-osv",
    ranged({ introduced: "0" }, { fixed: "1.0.0" }, { introduced: "2.0.0" }, { last_affected: "3.0.0" }),
  ],
  ["an event that says two things", "malformed-osv", ranged({ introduced: "0", fixed: "1.0.0" })],
  ["an event that says nothing", "malformed-osv", ranged({})],
  ["a version that isn't semantic in a SEMVER range", "malformed-osv", ranged({ introduced: "1.0" })],
  [
    "a severity of another version",
    "malformed-osv",
    bent({ severity: [{ type: "CVSS_V4", score: FULL.cvss![0] }] }),
  ],
  ["a vector cut short", "malformed-cvss", bent({ severity: [{ type: "CVSS_V3", score: "CVSS:3.1/AV:N" }] })],
  ["withdrawn", "osv-withdrawn", bent({ withdrawn: CREATED })],
  [
    "another package",
    "product-unknown",
    bent({ affected: [{ package: { ecosystem: "npm", name: "other" } }] }),
  ],
  [
    "a range that only its ecosystem orders",
    "range-unsupported",
    affecting({ ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }] }] }),
  ],
  [
    "a listed version that isn't semantic",
    "version-unsupported",
    affecting({ ranges: [], versions: ["1.0"] }),
  ],
] as const)
  osv(`refuses: ${name}`, () =>
    assert.throws(() => importedStatement(importOsv(bytes, "pump-400"), "pump-400", CREATED), refusal(code)),
  );

for (const [name, ecosystem, change, version, expected] of [
  ["inside", "npm", {}, "2.1.0", "affected"],
  ["a pre-release of what mends it", "npm", {}, "2.4.0-rc.1", "affected"],
  ["mended", "npm", {}, "2.4.0", "not-affected"],
  ["between two ranges", "npm", {}, "1.9.7", "not-affected"],
  ["not a semantic version", "npm", {}, "2.1", "unknown"],
  ["not a semantic version, but listed", "npm", { versions: ["2.1"] }, "2.1", "affected"],
  ["semantic, listed beside the range", "npm", { versions: ["3.0.0"] }, "3.0.0", "affected"],
  ["a list alone, not in it", "npm", { ranges: [], versions: ["3.0.0"] }, "3.0.1", "not-affected"],
  ["the package as such", "npm", { ranges: [] }, "3.0.1", "affected"],
  [
    "a range of commits alone",
    "npm",
    { ranges: [{ type: "GIT", events: [{ introduced: "0" }] }] },
    "3.0.0",
    "unknown",
  ],
  [
    "an ecosystem's range, of semantic versions",
    "crates.io",
    { ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }, { fixed: "2.0.0" }] }] },
    "2.0.0",
    "not-affected",
  ],
  [
    "an ecosystem's range, of an order of its own",
    "Debian:12",
    { ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }, { fixed: "2.0.0" }] }] },
    "2.0.0",
    "unknown",
  ],
] as const)
  osv(`affects: ${name}: ${expected}`, () => {
    const each = { ...RECORD.affected[0], package: { ecosystem, name: "pump-400" }, ...change };
    const [read] = parseOsv(bent({ affected: [each] })).affected!;
    assert.is(osvAffects(read!, version), expected);
  });
osv("a record bent anywhere is read or refused, never a crash", () => {
  const whole = osvOf([FULL], { ecosystem: "npm" });
  bend(whole, (bytes) => importedStatement(importOsv(bytes, "pump-400"), "pump-400", CREATED), 1500);
});
osv.run();

const vex = suite("OpenVEX");

const VEX = {
  "@context": "https://openvex.dev/ns/v0.2.0",
  "@id": "https://acme.example/vex/1",
  author: "Acme",
  timestamp: CREATED,
  version: 1,
  statements: [
    {
      vulnerability: { name: "CVE-2026-1234", description: "overrun", aliases: ["X-1"] },
      products: [
        { "@id": "pkg:generic/pump-400@2.3.9", hashes: { "sha-256": D1 } },
        { "@id": "pkg:generic/other@1.0.0" },
      ],
      status: "affected",
      action_statement: "update",
    },
    {
      vulnerability: { name: "CVE-2026-1234" },
      products: [{ "@id": "x", identifiers: { purl: "pkg:generic/pump-400@2.4.0?arch=arm" } }],
      status: "fixed",
    },
    {
      vulnerability: { name: "CVE-2026-1234" },
      products: [{ "@id": "pkg:generic/pump-400@1.9.7" }],
      status: "not_affected",
      justification: "vulnerable_code_not_present",
    },
  ],
};
const readVex = (document: unknown, vulnerability?: string) =>
  importedStatement(
    importOpenVex(encode(document), { productName: "pump-400", vulnerability }),
    "pump-400",
    CREATED,
  );
const vexWith = (i: number, change: object) => ({
  ...VEX,
  statements: VEX.statements.map((said, at) => (at === i ? { ...said, ...change } : said)),
});

vex("a document is read for its product, and a later statement takes an earlier one's place", () => {
  const read = readVex(VEX);
  assert.is(read.affected, "vers:semver/2.3.9");
  assert.equal(read.subjects, [{ name: "app", sha256: D1 }]);
  assert.equal(read.aliases, ["CVE-2026-1234", "X-1"]);
  assert.equal(read.fixedVersions, ["2.4.0"]);
  const later = {
    ...VEX.statements[0]!,
    status: "under_investigation",
    action_statement: undefined,
    timestamp: "2026-11-25T00:00:00Z",
  };
  const both = readVex({ ...VEX, statements: [later, ...VEX.statements] });
  assert.is(both.state, "under_investigation");
  assert.is(both.affected, "vers:semver/2.3.9");
  const ofAllImages = { ...VEX.statements[2]!, products: [{ "@id": "pkg:generic/pump-400@2.3.9" }] };
  const none = { ...VEX, statements: [VEX.statements[0]!, ofAllImages] };
  assert.throws(() => readVex(none), refusal("import-nothing"), "of the version, whatever its images were");
});

for (const [name, code, document] of [
  ["another context", "malformed-openvex", { ...VEX, "@context": "https://openvex.dev/ns/v9" }],
  ["affected, and not what to do", "malformed-openvex", vexWith(0, { action_statement: undefined })],
  ["not affected, and not why", "malformed-openvex", vexWith(2, { justification: undefined })],
  [
    "a justification for being fixed",
    "malformed-openvex",
    vexWith(1, { justification: "component_not_present" }),
  ],
  ["a justification that isn't one", "malformed-openvex", vexWith(2, { justification: "trust_me" })],
  ["a status that isn't one", "malformed-openvex", vexWith(0, { status: "fine" })],
  [
    "an impact statement alone",
    "justification-missing",
    vexWith(2, { justification: undefined, impact_statement: "none" }),
  ],
  [
    "several vulnerabilities",
    "several-vulnerabilities",
    vexWith(2, { vulnerability: { name: "CVE-2026-9" } }),
  ],
  [
    "a version that isn't semantic",
    "version-unsupported",
    vexWith(1, { products: [{ "@id": "pkg:generic/pump-400@2.4" }] }),
  ],
  [
    "nothing of the product",
    "product-unknown",
    {
      ...VEX,
      statements: VEX.statements.map((s) => ({ ...s, products: [{ "@id": "pkg:generic/other@1.0.0" }] })),
    },
  ],
  ["nothing affected", "import-nothing", { ...VEX, statements: VEX.statements.slice(1) }],
  [
    "not affected, said of another product of that name and version",
    "import-contradiction",
    vexWith(2, { products: [{ "@id": "pkg:generic/another-maker/pump-400@2.3.9" }] }),
  ],
  [
    "not affected, said of another image of that version",
    "import-contradiction",
    vexWith(2, {
      products: [{ "@id": "pkg:generic/pump-400@2.3.9", hashes: { "sha-256": "22".repeat(32) } }],
    }),
  ],
  [
    "not affected, said of another component of that version",
    "import-contradiction",
    vexWith(2, {
      products: [{ "@id": "pkg:generic/pump-400@2.3.9", subcomponents: [{ "@id": "pkg:generic/libx@2" }] }],
    }),
  ],
  [
    "under investigation, said of another variant of that version",
    "import-contradiction",
    vexWith(2, {
      status: "under_investigation",
      justification: undefined,
      products: [{ "@id": "pkg:generic/pump-400@2.3.9?arch=arm" }],
    }),
  ],
] as const)
  vex(`refuses: ${name}`, () => assert.throws(() => readVex(document), refusal(code)));

vex("a package URL is taken apart, or is none", () => {
  assert.equal(parsePurl("pkg:npm/%40scope/name@1.2.3"), {
    type: "npm",
    namespace: "@scope",
    name: "name",
    version: "1.2.3",
  });
  assert.equal(parsePurl("pkg:npm/@scope/name"), {
    type: "npm",
    namespace: "@scope",
    name: "name",
    version: null,
  });
  assert.equal(parsePurl("pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=arm#x"), {
    type: "deb",
    namespace: "debian",
    name: "libc6",
    version: "2.36-9+deb12u4",
  });
  for (const none of [
    "",
    "pkg:",
    "pkg:npm",
    "pkg:npm/",
    "npm/x@1",
    "pkg:n pm/x",
    "pkg:npm/%ff",
    "pkg:npm/x@",
  ])
    assert.is(parsePurl(none), null, none);
});
vex("a document bent anywhere is read or refused, never a crash", () => {
  bend(
    encode(VEX),
    (bytes) => importedStatement(importOpenVex(bytes, { productName: "pump-400" }), "p", CREATED),
    1500,
  );
});
vex.run();
