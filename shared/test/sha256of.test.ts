import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, toHex } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { sha256Of } from "../src/sha256of";
import { random } from "./random";

const hashed = suite("SHA-256 of parts");

hashed("parts hash as they do in one piece, whether or not they find room together", () => {
  const next = random(11);
  for (const lengths of [
    [],
    [0],
    [1, 32, 700],
    [4095],
    [4096],
    [4097],
    [1, 4095],
    [2, 4095],
    [4096, 1],
    [9000, 3],
  ]) {
    const parts = lengths.map(next);
    assert.is(
      toHex(sha256Of(parts, portableCrypto)),
      toHex(portableCrypto.sha256(concatBytes(parts))),
      `parts of ${lengths.join(", ")} bytes`,
    );
  }
});

hashed("a digest stays what it is when the next one is made", () => {
  const first = sha256Of([Uint8Array.of(1)], portableCrypto);
  const before = toHex(first);
  sha256Of([Uint8Array.of(2)], portableCrypto);
  assert.is(toHex(first), before);
});

hashed.run();
