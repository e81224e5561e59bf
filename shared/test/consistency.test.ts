import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toBase64, utf8Encode } from "../src/bytes";
import { formatConsistency, MAX_CONSISTENCY, parseConsistency } from "../src/consistency";
import { isRefusal } from "../src/refusal";

const consistency = suite("consistency");
const HASH = new Uint8Array(32).fill(7);
const LINE = toBase64(HASH);
const NOTE = "log.example\n9\nx\n\n— log.example AAAA\n";
const refusal = (code: string) => (error: unknown) => isRefusal(error) && error.code === code;

consistency("what is formatted reads back as it was", () => {
  for (const count of [0, 1, 63])
    for (const old of [0n, 5n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
      const file = { old, hashes: Array.from({ length: count }, () => HASH), checkpoint: utf8Encode(NOTE) };
      assert.equal(parseConsistency(formatConsistency(file)), file);
    }
});

for (const [name, text] of [
  ["nothing", ""],
  ["no empty line", `old 5\n${LINE}\n`],
  ["no size", `old\n${LINE}\n\n${NOTE}`],
  ["size with a leading zero", `old 05\n${LINE}\n\n${NOTE}`],
  ["size past 2^63 - 1", `old 9223372036854775808\n${LINE}\n\n${NOTE}`],
  ["negative size", `old -1\n\n${NOTE}`],
  ["two spaces", `old  5\n${LINE}\n\n${NOTE}`],
  ["carriage return", `old 5\r\n${LINE}\n\n${NOTE}`],
  ["another word", `new 5\n${LINE}\n\n${NOTE}`],
  ["a hash that is too short", `old 5\n${LINE.slice(0, 40)}\n\n${NOTE}`],
  ["a hash with stray bits", `old 5\n${LINE.replace(/.=$/, "d=")}\n\n${NOTE}`],
  ["64 hashes", `old 5\n${`${LINE}\n`.repeat(64)}\n${NOTE}`],
] as const)
  consistency(`refuses: ${name}`, () => {
    assert.throws(() => parseConsistency(utf8Encode(text)), refusal("malformed-proof"));
  });

consistency("refuses: more bytes than any proof has, and what isn't UTF-8", () => {
  assert.throws(() => parseConsistency(new Uint8Array(MAX_CONSISTENCY + 1)), refusal("too-large"));
  assert.throws(() => parseConsistency(Uint8Array.of(255, 10, 10)), refusal("malformed-proof"));
});

consistency.run();
