// OpenVEX: what is read of a document, and every fault that must not pass; and package URLs, by which it names products.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { importedStatement } from "../src/exchange/foreign";
import { importOpenVex } from "../src/exchange/openvex";
import { parsePurl } from "../src/exchange/purl";
import { bend, CREATED, D1, encode } from "./exchange-kit";
import { refusal } from "./vectors";

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
    upstream: null,
  });
  assert.equal(parsePurl("pkg:npm/@scope/name"), {
    type: "npm",
    namespace: "@scope",
    name: "name",
    version: null,
    upstream: null,
  });
  assert.equal(parsePurl("pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=arm#x"), {
    type: "deb",
    namespace: "debian",
    name: "libc6",
    version: "2.36-9+deb12u4",
    upstream: null,
  });
  for (const [qualifiers, upstream] of [
    ["?arch=arm64&upstream=gcc-12%4012.2.0-14&distro=debian-12", "gcc-12"],
    ["?upstream=glibc#upstream=x", "glibc"],
    ["?notupstream=glibc", null],
    ["#?upstream=glibc", null],
    ["?upstream=%ff", null],
  ] as const)
    assert.is(parsePurl(`pkg:deb/debian/libc6@2.36${qualifiers}`)?.upstream, upstream, qualifiers);
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
