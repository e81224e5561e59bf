// Bills of material: what is read, what is refused beside the published schemas, and what is found in them.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { checkImageInBom, parseCycloneDx, withoutSupport } from "../src/exchange/cyclonedx";
import { findingsIn } from "../src/exchange/findings";
import { parseOsv } from "../src/exchange/osv";
import { publishedJson, refusal } from "./vectors";

const D1 = "11".repeat(32);
type Node = Record<string, unknown>;
type Bom = { metadata: { component: Node } & Node; components: Node[]; dependencies: Node[] } & Node;

const SUPPORT = [
  { name: "vouch:support-level", value: "maintained" },
  { name: "vouch:end-of-support", value: "2031-12-31" },
];

/** A whole document of the version. */
const bomOf = (specVersion: string): Bom => ({
  $schema: `http://cyclonedx.org/schema/bom-${specVersion}.schema.json`,
  bomFormat: "CycloneDX",
  specVersion,
  serialNumber: "urn:uuid:93e090bb-4419-8829-a067-04429691bbbe",
  version: 1,
  metadata: {
    timestamp: "2026-11-23T08:00:00Z",
    component: {
      type: "firmware",
      "bom-ref": "pump",
      name: "pump-400",
      version: "2.4.1",
      hashes: [{ alg: "SHA-256", content: D1 }],
      properties: SUPPORT,
    },
  },
  components: [
    {
      type: "library",
      "bom-ref": "nacl",
      name: "tweetnacl",
      version: "1.0.3",
      purl: "pkg:npm/tweetnacl@1.0.3",
      properties: SUPPORT,
      components: [{ type: "file", "bom-ref": "inner", name: "nacl-fast.js", properties: SUPPORT }],
    },
    {
      type: "library",
      "bom-ref": "rtos",
      name: "freertos",
      version: "11.1.0",
      purl: "pkg:generic/freertos@11.1.0",
      properties: SUPPORT,
    },
  ],
  dependencies: [{ ref: "pump", dependsOn: ["nacl", "rtos"] }, { ref: "nacl" }],
});

const BASE = "http://cyclonedx.org/schema/";
const ajv = new Ajv({ strict: false, validateFormats: false });
for (const name of ["spdx", "jsf-0.82", "cryptography-defs", "bom-1.5", "bom-1.6", "bom-1.7"]) {
  const { $id: _id, ...schema } = publishedJson<Node>(`cyclonedx/${name}.SNAPSHOT.schema.json`);
  ajv.addSchema(schema, `${BASE}${name}.SNAPSHOT.schema.json`); // by the name that the others call it
}
const isValid = (document: Node): boolean =>
  ajv.validate(`${BASE}bom-${document["specVersion"]}.SNAPSHOT.schema.json`, document) === true;

const encode = (value: unknown) => utf8Encode(JSON.stringify(value));
const cyclonedx = suite("CycloneDX");

for (const specVersion of ["1.5", "1.6", "1.7"]) {
  cyclonedx(`a document of ${specVersion} is read, parents before children`, () => {
    const document = bomOf(specVersion);
    assert.ok(isValid(document), JSON.stringify(ajv.errors));
    const bom = parseCycloneDx(encode(document));
    assert.is(bom.specVersion, specVersion);
    assert.equal(
      bom.components.map(({ name }) => name),
      ["tweetnacl", "nacl-fast.js", "freertos"],
    );
    assert.is(checkImageInBom(bom, D1).version, "2.4.1");
    assert.equal(withoutSupport(bom), []);
  });
}

// Each planted in a whole document; most the schema refuses too, the rest is between members.
for (const [name, bySchema, plant, specVersion = "1.6"] of [
  ["another format", true, (b) => ({ ...b, bomFormat: "SPDX" })],
  ["an unknown key at the top", true, (b) => ({ ...b, extra: 1 })],
  ["an unknown key in metadata", true, (b) => ({ ...b, metadata: { ...b.metadata, extra: 1 } })],
  ["an unknown key in a component", true, (b) => void Object.assign(b.components[0]!, { extra: 1 })],
  ["a key of 1.7 in 1.6", true, (b) => void Object.assign(b.components[0]!, { isExternal: true })],
  ["a key of 1.6 in 1.5", true, (b) => void Object.assign(b.components[0]!, { authors: [] }), "1.5"],
  ["a type of component that isn't one", true, (b) => void Object.assign(b.components[0]!, { type: "blob" })],
  ["a component without a name", true, (b) => void delete b.components[0]!["name"]],
  [
    "a hash that isn't hex",
    true,
    (b) => void Object.assign(b.components[0]!, { hashes: [{ alg: "SHA-256", content: "xyz" }] }),
  ],
  [
    "an algorithm not known",
    true,
    (b) => void Object.assign(b.components[0]!, { hashes: [{ alg: "CRC32", content: D1 }] }),
  ],
  [
    "a SHA-256 of a SHA-1's length",
    false,
    (b) => void Object.assign(b.components[0]!, { hashes: [{ alg: "SHA-256", content: D1.slice(0, 40) }] }),
  ],
  ["a serial number that isn't one", true, (b) => ({ ...b, serialNumber: "1" })],
  ["version 0", true, (b) => ({ ...b, version: 0 })],
  ["a bom-ref twice", false, (b) => void Object.assign(b.components[0]!, { "bom-ref": "rtos" })],
  ["a bom-ref of the subject's", false, (b) => void Object.assign(b.components[0]!, { "bom-ref": "pump" })],
  ["a dependency on nothing", false, (b) => void b.dependencies.push({ ref: "rtos", dependsOn: ["gone"] })],
  [
    "dependencies of one thing twice",
    false,
    (b) => void b.dependencies.push({ ref: "nacl", dependsOn: ["rtos"] }),
  ],
  [
    "one dependency twice",
    true,
    (b) => void Object.assign(b.dependencies[0]!, { dependsOn: ["nacl", "nacl"] }),
  ],
  ["a purl that isn't one", false, (b) => void Object.assign(b.components[0]!, { purl: "npm/x" })],
  [
    "a support level that isn't one",
    false,
    (b) =>
      void Object.assign(b.components[0]!, { properties: [{ name: "vouch:support-level", value: "good" }] }),
  ],
  [
    "an end of support that doesn't exist",
    false,
    (b) =>
      void Object.assign(b.components[0]!, {
        properties: [{ name: "vouch:end-of-support", value: "2031-02-30" }],
      }),
  ],
  [
    "a support level twice",
    false,
    (b) => void Object.assign(b.components[0]!, { properties: [SUPPORT[0], SUPPORT[0]] }),
  ],
  ["components that are no list", true, (b) => ({ ...b, components: {} })],
] as readonly [string, boolean, (bom: Bom) => unknown, string?][])
  cyclonedx(`refuses: ${name}`, () => {
    const document = bomOf(specVersion);
    const planted = (plant(document) ?? document) as Node;
    assert.throws(() => parseCycloneDx(encode(planted)), refusal("malformed-cyclonedx"));
    assert.is(isValid(planted), !bySchema);
  });

cyclonedx("a version not known is said so, and a hostile nesting refused", () => {
  assert.throws(
    () => parseCycloneDx(encode({ ...bomOf("1.6"), specVersion: "1.4" })),
    refusal("unsupported-version"),
  );
  let deep: Node = { type: "file", name: "x" };
  for (let i = 0; i < 100; i++) deep = { type: "file", name: "x", components: [deep] };
  assert.throws(
    () => parseCycloneDx(encode({ ...bomOf("1.6"), components: [deep] })),
    refusal("malformed-json"),
  );
});

cyclonedx("the image is found in a device's firmware too, and missed by name", () => {
  const document = bomOf("1.6");
  document.components.push(document.metadata.component);
  document.metadata.component = { type: "device", "bom-ref": "d", name: "pump" };
  const bom = parseCycloneDx(encode(document));
  assert.is(checkImageInBom(bom, D1).name, "pump-400");
  assert.throws(() => checkImageInBom(bom, "22".repeat(32)), refusal("sbom-image-mismatch"));
  document.components.pop();
  document.dependencies = [];
  assert.throws(() => checkImageInBom(parseCycloneDx(encode(document)), D1), refusal("sbom-no-firmware"));
});

cyclonedx("our own is made of the lock alone, valid, and holds what the program loads", () => {
  const make = () => spawnSync(process.execPath, ["scripts/sbom.mjs"], { encoding: "utf8" });
  const { stdout, status } = make();
  assert.is(status, 0);
  assert.is(make().stdout, stdout);
  const document = JSON.parse(stdout) as Bom;
  assert.ok(isValid(document), JSON.stringify(ajv.errors));
  const names = parseCycloneDx(utf8Encode(stdout)).components.map(({ group, name }) =>
    group === null ? name : `${group}/${name}`,
  );
  for (const workspace of ["shared", "host-cli"]) {
    const { dependencies } = JSON.parse(readFileSync(`${workspace}/package.json`, "utf8")) as {
      dependencies: Record<string, string>;
    };
    for (const wanted of Object.keys(dependencies))
      if (!wanted.startsWith("@vouch/")) assert.ok(names.includes(wanted), wanted);
  }
  for (const tool of ["typescript", "uvu", "ajv", "@secvisogram/csaf-validator-lib"])
    assert.not.ok(names.includes(tool), tool);
  assert.ok(document.components.every((c) => (c["hashes"] as unknown[] | undefined)?.length === 1));
});
cyclonedx.run();

const findings = suite("findings");

const record = (id: string, named: object | undefined, more: object = {}) =>
  parseOsv(
    encode({
      id,
      modified: "2026-11-23T08:00:00Z",
      affected: [
        {
          ...(named && { package: named }),
          ranges: [{ type: "SEMVER", events: [{ introduced: "0" }, { fixed: "1.0.4" }] }],
          ...more,
        },
      ],
    }),
  );
const NPM = { ecosystem: "npm", name: "tweetnacl" };

function found(records: ReturnType<typeof record>[], change: (bom: Bom) => void = () => {}) {
  const document = bomOf("1.6");
  document.components = [document.components[0]!];
  delete document.components[0]!["components"];
  document.dependencies = [];
  change(document);
  return findingsIn(parseCycloneDx(encode(document)), records).map(({ osv, verdict }) => `${osv} ${verdict}`);
}
const first = (change: Node) => (b: Bom) => void Object.assign(b.components[0]!, change);

for (const [name, expected, records, change] of [
  ["affected by its range", ["A affected"], [record("A", NPM)]],
  [
    "affected by a record that names it by purl",
    ["A affected"],
    [record("A", { ecosystem: "x", name: "y", purl: "pkg:npm/tweetnacl" })],
  ],
  ["mended", [], [record("A", NPM)], first({ version: "1.0.4", purl: "pkg:npm/tweetnacl@1.0.4" })],
  ["another package", [], [record("A", { ecosystem: "npm", name: "nacl" })]],
  ["the same name elsewhere", [], [record("A", { ecosystem: "PyPI", name: "tweetnacl" })]],
  ["a record without a package", [], [record("A", undefined)]],
  [
    "an order only the ecosystem knows",
    ["A unknown"],
    [record("A", NPM, { ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "x" }] }] })],
  ],
  ["no purl", ["null unknown"], [], first({ purl: undefined })],
  ["no purl, and its name is affected", ["A unknown"], [record("A", NPM)], first({ purl: undefined })],
  ["a purl of no ecosystem", ["null unknown"], [], first({ purl: "pkg:generic/tweetnacl@1.0.3" })],
  ["no version", ["A unknown"], [record("A", NPM)], first({ purl: "pkg:npm/tweetnacl", version: undefined })],
  ["two versions", ["null unknown"], [record("A", NPM)], first({ version: "1.0.4" })],
  [
    "a scope",
    ["A affected"],
    [record("A", { ecosystem: "npm", name: "@s/x" })],
    first({ purl: "pkg:npm/%40s/x@1.0.3" }),
  ],
  [
    "a Maven group",
    ["A affected"],
    [record("A", { ecosystem: "Maven", name: "org.x:y" })],
    first({ purl: "pkg:maven/org.x/y@1.0.3" }),
  ],
  [
    "a Python name in another spelling",
    ["A affected"],
    [record("A", { ecosystem: "PyPI", name: "My_Pkg" })],
    first({ purl: "pkg:pypi/my.pkg@1.0.3" }),
  ],
  [
    "a Go version",
    ["A affected"],
    [record("A", { ecosystem: "Go", name: "x.org/y" })],
    first({ version: "v1.0.3", purl: "pkg:golang/x.org/y@v1.0.3" }),
  ],
  [
    "a Go module that its purl writes small",
    ["A affected"],
    [record("A", { ecosystem: "Go", name: "github.com/BurntSushi/toml" })],
    first({ purl: "pkg:golang/github.com/burntsushi/toml@1.0.3" }),
  ],
  [
    "npm, where capitals make another package",
    [],
    [record("A", { ecosystem: "npm", name: "JSONStream" })],
    first({ purl: "pkg:npm/jsonstream@1.0.3" }),
  ],
  [
    "Debian, by the source that a purl names",
    ["A unknown"],
    [
      record(
        "A",
        { ecosystem: "Debian:12", name: "openssl" },
        { ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }] }] },
      ),
    ],
    first({
      version: "3.0.15-1",
      purl: "pkg:deb/debian/libssl3@3.0.15-1?arch=arm64&upstream=openssl%403.0.15-1&distro=debian-12",
    }),
  ],
  [
    "Debian, by release",
    ["A unknown"],
    [
      record(
        "A",
        { ecosystem: "Debian:12", name: "zlib" },
        { ranges: [{ type: "ECOSYSTEM", events: [{ introduced: "0" }] }] },
      ),
    ],
    first({ version: "1.2.13", purl: "pkg:deb/debian/zlib@1.2.13" }),
  ],
] as readonly [string, string[], ReturnType<typeof record>[], ((bom: Bom) => void)?][])
  findings(`${name}: ${expected.join() || "nothing"}`, () =>
    assert.equal(found([...records], change), expected),
  );

findings("a withdrawn record affects nothing", () => {
  assert.equal(found([{ ...record("A", NPM), withdrawn: "2026-11-24T00:00:00Z" }]), []);
});
findings.run();
