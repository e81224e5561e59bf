import { createHash } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { sha2Final, sha2Update } from "../src/sha2";
import { sha512, sha512Init } from "../src/sha512";
import { random } from "./random";
import { counting, hex } from "./vectors";

const hash = suite("sha512");

const NOTHING = new Uint8Array(0);
const node = (bytes: Uint8Array) => createHash("sha512").update(bytes).digest("hex");
const next = random(512);

// FIPS 180-2 appendix C, and the empty message.
for (const [message, digest] of [
  [
    "",
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
  ],
  [
    "616263",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  ],
] as const)
  hash(`hashes the published message of ${message.length / 2} bytes`, () =>
    assert.is(toHex(sha512(hex(message), NOTHING, NOTHING)), digest),
  );

hash("agrees with OpenSSL at every length from 0 to 300, in one piece and in three", () => {
  for (let length = 0; length <= 300; length++) {
    const message = length % 2 === 0 ? counting(length) : next(length);
    assert.is(toHex(sha512(message, NOTHING, NOTHING)), node(message), `length ${length}`);
    for (let cut = 0; cut <= length; cut += 1 + (length >> 4)) {
      const rest = Math.floor((length + cut) / 2);
      const made = sha512(message.subarray(0, cut), message.subarray(cut, rest), message.subarray(rest));
      assert.is(toHex(made), node(message), `length ${length}, cut at ${cut} and ${rest}`);
    }
  }
});

hash("agrees when all bits are set, and on a megabyte fed in odd pieces", () => {
  assert.is(
    toHex(sha512(new Uint8Array(111).fill(255), NOTHING, NOTHING)),
    node(new Uint8Array(111).fill(255)),
  );
  const message = next(1 << 20);
  const s = sha512Init();
  for (let at = 0; at < message.length; at += 1001)
    sha2Update(s, message, at, Math.min(at + 1001, message.length));
  assert.is(toHex(sha2Final(s)), node(message));
});

hash.run();
