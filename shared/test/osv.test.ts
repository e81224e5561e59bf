// OSV: what is read of a record, which versions it affects, and every fault that must not pass.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { osvOf } from "../src/exchange/export";
import { importedStatement } from "../src/exchange/foreign";
import { importOsv, osvAffects, parseOsv } from "../src/exchange/osv";
import { bend, CREATED, encode, FULL } from "./exchange-kit";
import { refusal } from "./vectors";

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
