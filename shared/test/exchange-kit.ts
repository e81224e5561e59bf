// What the tests of others' formats share: an advisory that says as much as one can, and text bent at random.

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { isRefusal } from "../src/refusal";
import type { AdvisoryStatement } from "../src/statement";

export const D1 = "11".repeat(32);
export const CREATED = "2026-11-23T08:00:00Z";

export const FULL: AdvisoryStatement = {
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

export const encode = (value: unknown) => utf8Encode(JSON.stringify(value));

/** `read` on the text with one character exchanged, anywhere, for what JSON is made of. */
export function bend(bytes: Uint8Array, read: (bytes: Uint8Array) => unknown, numRuns: number): void {
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
