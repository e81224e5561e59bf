import { createHash, randomBytes } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeHasher4 } from "../src/sha256x4";

const x4 = suite("sha256x4");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const sha256 = (...parts: Uint8Array[]) =>
  hex(parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest());

x4(
  "nodes are SHA-256(01 ‖ left ‖ right), for any number of pairs, the row above over the row itself too",
  () => {
    const hasher = makeHasher4(1 << 20);
    assert.ok(hasher !== null);
    const { memory, free, nodes } = hasher;
    for (let pairs = 1; pairs <= 133; pairs++) {
      const row = randomBytes(64 * pairs);
      const expected = Array.from({ length: pairs }, (_, i) =>
        sha256(Uint8Array.of(1), row.subarray(64 * i, 64 * i + 64)),
      ).join("");
      for (const to of [free, free + 64 * 133]) {
        memory.set(row, free);
        nodes(free, to, pairs);
        assert.is(hex(memory.subarray(to, to + 32 * pairs)), expected, `${pairs} pairs`);
      }
    }
  },
);

x4("messages of any length, padded, hash as node:crypto says", () => {
  const hasher = makeHasher4(1 << 20);
  assert.ok(hasher !== null);
  const { memory, free, padded } = hasher;
  for (let length = 0; length <= 300; length++) {
    const stride = 64 * Math.ceil((length + 9) / 64);
    const count = 1 + (length % 7);
    const messages = Array.from({ length: count }, () => randomBytes(length));
    const to = free + count * stride + 3 * stride;
    messages.forEach((message, i) => {
      const slot = memory.subarray(free + i * stride, free + (i + 1) * stride).fill(0);
      slot.set(message);
      slot[length] = 0x80;
      new DataView(slot.buffer, slot.byteOffset).setUint32(stride - 4, 8 * length);
    });
    padded(free, to, count, stride);
    assert.is(
      hex(memory.subarray(to, to + 32 * count)),
      messages.map((message) => sha256(message)).join(""),
      `${length} bytes`,
    );
  }
});

x4.run();
