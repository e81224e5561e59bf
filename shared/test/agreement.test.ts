import { contradiction } from "@vouch/shared/agreement";
import { portableCrypto } from "@vouch/shared/crypto";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import type { ReleaseStatement } from "@vouch/shared/statement";
import type { Manifest } from "@vouch/shared/suit";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const agreement = suite("agreement");

const statement: ReleaseStatement = {
  kind: "release",
  subjects: [
    { name: "app", sha256: "11".repeat(32) },
    { name: "engine", sha256: "22".repeat(32) },
  ],
  product: "pump",
  version: "2.4.1",
  securityVersion: 7,
  floor: 5,
  hardware: { model: "PUMP400", revisions: ["A", "B"] },
  entry: { offset: 0, length: 5000 },
  suitDigest: "33".repeat(32),
  changeClass: "patch",
  created: "2026-01-15T12:00:00Z",
};
const manifest: Manifest = {
  sequence: 7,
  vendorId: vendorIdOf("acme-vendor", portableCrypto),
  classId: classIdOf("pump", "PUMP400", portableCrypto),
  digest: new Uint8Array(32).fill(0x11),
  size: 5000,
  floor: 5,
  version: "2.4.1",
  revisions: ["A", "B"],
};

agreement("a manifest made from the statement agrees with it", () => {
  assert.is(contradiction(statement, manifest, "acme-vendor", portableCrypto), null);
});

const changes: [string, Partial<Manifest>][] = [
  ["image digest", { digest: new Uint8Array(32).fill(0x22) }],
  ["image size", { size: 5001 }],
  ["security version", { sequence: 6 }],
  ["floor", { floor: 0 }],
  ["version", { version: "" }],
  ["vendor id", { vendorId: vendorIdOf("other", portableCrypto) }],
  ["hardware revisions", { revisions: ["A"] }],
  ["hardware revisions", { revisions: ["A", "B", "C"] }],
  ["hardware revisions", { revisions: [] }],
  ["hardware revisions", { revisions: ["A,B"] }],
  ["hardware revisions", { revisions: ["B", "A"] }],
  ["class id", { classId: classIdOf("pump", "PUMP401", portableCrypto) }],
];
for (const [what, change] of changes) {
  agreement(`another ${what} is told by name`, () => {
    assert.is(contradiction(statement, { ...manifest, ...change }, "acme-vendor", portableCrypto), what);
  });
}

agreement("every field of a manifest is compared", () => {
  const compared = changes.flatMap(([, change]) => Object.keys(change));
  assert.equal([...new Set(compared)].sort(), Object.keys(manifest).sort());
});

agreement("a statement without an app component agrees with nothing", () => {
  const subjects = statement.subjects.slice(1);
  const found = contradiction({ ...statement, subjects }, manifest, "acme-vendor", portableCrypto);
  assert.is(found, "image digest");
});

agreement.run();
