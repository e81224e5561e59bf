import { createHash } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { classIdOf, vendorIdOf } from "../src/ids";
import { refusal } from "./vectors";

const ids = suite("ids");

const first16 = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 32);

ids("are the first 16 bytes of SHA-256 over tag and names", () => {
  assert.is(toHex(vendorIdOf("acme.example/fw", portableCrypto)), first16("vouch/vendor\nacme.example/fw"));
  assert.is(toHex(classIdOf("pump", "PUMP400", portableCrypto)), first16("vouch/class\npump\nPUMP400"));
});

ids("differ between vendor and class, and between names that join alike", () => {
  const seen = [
    vendorIdOf("a", portableCrypto),
    classIdOf("a", "bc", portableCrypto),
    classIdOf("ab", "c", portableCrypto),
    classIdOf("c", "ab", portableCrypto),
  ].map(toHex);
  assert.is(new Set(seen).size, seen.length);
});

for (const [name, make] of [
  ["an empty vendor name", () => vendorIdOf("", portableCrypto)],
  ["a line feed in a product", () => classIdOf("a\nb", "c", portableCrypto)],
  ["a line feed in a model", () => classIdOf("a", "b\nc", portableCrypto)],
  ["an empty model", () => classIdOf("a", "", portableCrypto)],
] as const)
  ids(`refuses ${name}`, () => assert.throws(make, refusal("malformed-name")));

ids.run();
