// A release is drafted, and approved by one person after the other. Sealing it is in seal.test.ts.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { keyidOf, openEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { parseStatement, type ReleaseStatement } from "@vouch/shared/statement";
import { decodeEnvelope } from "@vouch/shared/suit";
import { makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newRelease, signRelease } from "../src/commands/release";
import { nodeCrypto } from "../src/crypto";
import { NOON, refuses, withCut } from "./maker-kit";
import { APP, at, ENGINE, folder, people, slowly, vendor, wanted, withImages } from "./release-kit";

const release = suite("release");
withImages(release);

/** A bill of materials of the app, with these changes to its firmware. */
const bom = (changes: object = {}, specVersion = "1.6") =>
  JSON.stringify({
    bomFormat: "CycloneDX",
    specVersion,
    metadata: {
      component: {
        type: "firmware",
        name: "pump",
        version: "2.4.1",
        hashes: [{ alg: "SHA-256", content: toHex(nodeCrypto.sha256(APP)) }],
        properties: [
          { name: "vouch:support-level", value: "maintained" },
          { name: "vouch:end-of-support", value: "2031-12-31" },
        ],
        ...changes,
      },
    },
  });

for (const [name, code, text] of [
  [
    "is about another image",
    "sbom-image-mismatch",
    bom({ hashes: [{ alg: "SHA-256", content: "ab".repeat(32) }] }),
  ],
  ["is about another version", "sbom-version", bom({ version: "2.4.0" })],
  ["holds no firmware", "sbom-no-firmware", bom({ type: "application" })],
  ["doesn't tell support", "sbom-support", bom({ properties: [] })],
  ["is of a version not known", "unsupported-version", bom({}, "1.4")],
  ["has a hash that is none", "malformed-cyclonedx", bom({ hashes: [{ alg: "SHA-256", content: "ab" }] })],
] as const)
  release(`new refuses a bill of materials that ${name}`, async () => {
    writeFileSync(at("other.json"), text);
    await refuses(code, () => newRelease(wanted({ sbom: { path: at("other.json") } }), NOON));
  });

release("new takes a bill of materials without support, when that is meant, and others as they are", () => {
  writeFileSync(at("silent.json"), bom({ properties: [] }));
  const { statement } = newRelease(wanted({ sbom: { path: at("silent.json"), withoutSupport: true } }), NOON);
  assert.is(statement.sbom?.mediaType, "application/vnd.cyclonedx+json");
});

release("new checks a CycloneDX document whatever type it was said to have", async () => {
  writeFileSync(at("other.json"), bom({ hashes: [{ alg: "SHA-256", content: "ab".repeat(32) }] }));
  for (const mediaType of ["application/json", "application/spdx+json", "application/vnd.cyclonedx+json"])
    await refuses("sbom-image-mismatch", () =>
      newRelease(wanted({ sbom: { path: at("other.json"), mediaType } }), NOON),
    );
});

release("new states what it was told, of which the manifest says the same, unsigned", () => {
  writeFileSync(at("sbom.json"), bom());
  const { statement } = newRelease(
    wanted({
      udiDi: "09506000117843",
      sbom: { path: at("sbom.json") },
      sourceCommit: "ab".repeat(20),
      supportEnds: "2031-12-31",
      changeClass: "major",
    }),
    NOON,
  );
  const envelope = parseEnvelope(readFileSync(at("pump.dsse.json")));
  assert.equal(envelope.signatures, []);
  assert.equal(parseStatement(envelope.payload), statement);
  const suit = decodeEnvelope(readFileSync(at("pump.suit")));
  assert.is(suit.auth.sign1, null);
  const appDigest = toHex(nodeCrypto.sha256(APP));
  const expected: ReleaseStatement = {
    kind: "release",
    subjects: [
      { name: "app", sha256: appDigest },
      { name: "engine", sha256: toHex(nodeCrypto.sha256(ENGINE)) },
    ],
    product: "pump",
    version: "2.4.1",
    securityVersion: 7,
    floor: 5,
    hardware: { model: "PUMP400", revisions: ["A", "B"] },
    entry: { offset: 0, length: 5000 },
    suitDigest: toHex(nodeCrypto.sha256(suit.manifestBytes)),
    changeClass: "major",
    created: "2026-01-15T12:00:00Z",
    udiDi: "09506000117843",
    sbom: {
      sha256: toHex(nodeCrypto.sha256(readFileSync(at("sbom.json")))),
      mediaType: "application/vnd.cyclonedx+json",
    },
    sourceCommit: "ab".repeat(20),
    supportEnds: "2031-12-31",
  };
  assert.equal(statement, expected);
  const { manifest } = suit;
  assert.equal(
    [manifest.sequence, manifest.floor, manifest.size, toHex(manifest.digest)],
    [7, 5, 5000, appDigest],
  );
  assert.is(toHex(manifest.vendorId), toHex(vendorIdOf("acme-vendor", nodeCrypto)));
  assert.is(toHex(manifest.classId), toHex(classIdOf("pump", "PUMP400", nodeCrypto)));
});

for (const [name, code, changes] of [
  ["a version that isn't semantic", "malformed-statement", { version: "2.4" }],
  ["a version with leading zeros", "malformed-statement", { version: "2.04.1" }],
  ["a floor above the security version", "malformed-statement", { floor: 8 }],
  ["security version 0", "malformed-statement", { securityVersion: 0, floor: 0 }],
  ["a product of two words", "malformed-statement", { product: "infusion pump" }],
  ["a model with a line feed", "malformed-name", { model: "" }],
  ["a revision twice", "malformed-statement", { revisions: ["A", "A"] }],
  ["no revision", "malformed-statement", { revisions: [] }],
  ["more revisions than a manifest holds", "manifest-limits", { revisions: [..."ABCDEFGHI"] }],
  ["a short commit id", "malformed-statement", { sourceCommit: "abcdef1" }],
  ["a support end that is no day", "malformed-statement", { supportEnds: "2031-02-30" }],
  ["a GTIN with a wrong check digit", "udi-check-digit", { udiDi: "09506000117844" }],
  ["a UDI with a serial number", "udi-personal", { udiDi: "(01)09506000117843(21)SN1042" }],
  ["a UDI that is none", "malformed-udi", { udiDi: "pump" }],
  ["a cosigner's key as vendor", "wrong-key-type", { vendor: makeVkey("w", 4, vendor.publicKey) }],
] as const) {
  release(`new refuses ${name}, and writes nothing`, async () => {
    const before = readdirSync(folder);
    await refuses(code, () => newRelease(wanted(changes), NOON));
    assert.equal(readdirSync(folder), before);
  });
}

release(
  "new refuses a missing app, a component twice, an empty image and an SBOM it can't name",
  async () => {
    const app = { name: "app", path: at("pump.bin") };
    await refuses("no-app", () => newRelease(wanted({ components: [{ ...app, name: "engine" }] }), NOON));
    await refuses("malformed-statement", () => newRelease(wanted({ components: [app, app] }), NOON));
    await refuses("not-found", () =>
      newRelease(wanted({ components: [{ ...app, path: at("nothing") }] }), NOON),
    );
    writeFileSync(at("empty"), "");
    await refuses("malformed-statement", () =>
      newRelease(wanted({ components: [{ ...app, path: at("empty") }] }), NOON),
    );
    await refuses("sbom-type", () => newRelease(wanted({ sbom: { path: at("pump.bin") } }), NOON));
    assert.not(existsSync(at("pump.dsse.json")));
  },
);

release("a draft is never written over; one cut short is finished by the next attempt", async () => {
  for (let cut = 0; ; cut++) {
    for (const file of readdirSync(folder))
      if (file.startsWith("pump.") && file !== "pump.bin") rmSync(at(file));
    const { finished } = await withCut(cut, true, () => newRelease(wanted(), NOON));
    if (finished) break;
    if (!existsSync(at("pump.dsse.json"))) newRelease(wanted(), NOON);
    parseEnvelope(readFileSync(at("pump.dsse.json")));
    assert.is(decodeEnvelope(readFileSync(at("pump.suit"))).fault, 0);
  }
  await refuses("exists", () => newRelease(wanted(), NOON));
  rmSync(at("pump.dsse.json"));
  await refuses("exists", () => newRelease(wanted({ securityVersion: 8 }), NOON)); // another manifest lies there
});

release("each approver signs in place, once", async () => {
  newRelease(wanted(), NOON);
  const file = at("pump.dsse.json");
  const { payload } = parseEnvelope(readFileSync(file));
  const components = [{ name: "engine", path: at("engine.bin") }];
  const first = await signRelease(file, components, people.alice[0]);
  assert.equal([first.keyid, first.signatures], [keyidOf(people.alice[0].publicKey, nodeCrypto), 1]);
  await signRelease(file, [], people.bob[0]);
  const envelope = parseEnvelope(readFileSync(file));
  assert.is(toHex(envelope.payload), toHex(payload));
  assert.is(openEnvelope(envelope, [people.alice[0], people.bob[0]], nodeCrypto).length, 2);
  const before = readFileSync(file);
  await refuses("already-signed", () => signRelease(file, [], people.alice[0]));
  await refuses("image-mismatch", () =>
    signRelease(file, [{ name: "app", path: at("engine.bin") }], people.carol[0]),
  );
  await refuses("component-unnamed", () =>
    signRelease(file, [{ name: "boot", path: at("pump.bin") }], people.carol[0]),
  );
  assert.equal(readFileSync(file), before);
});

release("an approval that came in while another was being given isn't lost", async () => {
  newRelease(wanted(), NOON);
  const file = at("pump.dsse.json");
  const { signatures } = await signRelease(
    file,
    [],
    slowly(() => signRelease(file, [], people.bob[0])),
  );
  assert.is(signatures, 2);
  const envelope = parseEnvelope(readFileSync(file));
  assert.is(openEnvelope(envelope, [people.alice[0], people.bob[0]], nodeCrypto).length, 2);
  const twice = slowly(() => signRelease(file, [], people.carol[0]), people.carol[0]);
  await refuses("already-signed", () => signRelease(file, [], twice));
});

release("approvers who sign at the same moment all get in", async () => {
  newRelease(wanted(), NOON);
  const file = at("pump.dsse.json");
  const all = Object.values(people).map(([signer]) => signer);
  const slow = all.map((signer, i) =>
    slowly(() => new Promise((resolve) => setTimeout(resolve, 5 + (i % 2))), signer),
  );
  await Promise.all(slow.map((signer) => signRelease(file, [], signer)));
  assert.is(openEnvelope(parseEnvelope(readFileSync(file)), all, nodeCrypto).length, 4);
  assert.equal(
    readdirSync(folder).filter((name) => name.endsWith(".lock")),
    [],
  );
});

release("a file that says something else by the time it was signed is left alone", async () => {
  newRelease(wanted(), NOON);
  const file = at("pump.dsse.json");
  newRelease(wanted({ version: "2.4.2", output: at("other") }), NOON);
  const other = readFileSync(at("other.dsse.json"));
  const slow = slowly(async () => writeFileSync(file, other));
  await refuses("changed-meanwhile", () => signRelease(file, [], slow));
  assert.equal(readFileSync(file), other);
});

release.run();
