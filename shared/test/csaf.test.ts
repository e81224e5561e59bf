// CSAF: what is read of a document, and every fault that must not pass. What we write is judged by the CSAF validator
// of the German BSI's Secvisogram, and read back by ourselves.

import * as mandatory from "@secvisogram/csaf-validator-lib/mandatoryTests.js";
import { csaf_2_0_strict } from "@secvisogram/csaf-validator-lib/schemaTests.js";
import validate from "@secvisogram/csaf-validator-lib/validate.js";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { importCsaf } from "../src/exchange/csaf";
import { csafOf, osvOf } from "../src/exchange/export";
import { importedStatement } from "../src/exchange/foreign";
import { importOsv } from "../src/exchange/osv";
import { type AdvisoryStatement, formatStatement } from "../src/statement";
import { bend, CREATED, D1, encode, FULL } from "./exchange-kit";
import { refusal } from "./vectors";

const PUBLISHER = { name: "Acme Medical", namespace: "https://acme.example" };
const parsed = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

/** What lies at this path. */
const node = (document: unknown, ...path: readonly (string | number)[]) =>
  path.reduce((at, key) => (at as Record<string | number, unknown>)[key], document) as Record<
    string,
    unknown
  >;
const items = (document: unknown, ...path: readonly (string | number)[]) =>
  node(document, ...path) as unknown as Record<string, unknown>[];

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
