import { createHash } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { sha256, sha256Final, sha256Init, sha256Update } from "../src/sha256";
import { counting, hex } from "./vectors";

const hash = suite("sha256");

const node = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

// FIPS 180-2 appendix B, and the empty message.
for (const [message, digest] of [
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["616263", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "6162636462636465636465666465666765666768666768696768696a68696a6b696a6b6c6a6b6c6d6b6c6d6e6c6d6e6f6d6e6f706e6f7071",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
] as const)
  hash(`hashes the published message of ${message.length / 2} bytes`, () =>
    assert.is(toHex(sha256(hex(message))), digest),
  );

hash("agrees with OpenSSL at every length from 0 to 300, cut in two anywhere", () => {
  for (let length = 0; length <= 300; length++) {
    const message = counting(length, 7);
    const expected = node(message);
    assert.is(toHex(sha256(message)), expected, `length ${length}`);
    // Every split while short, and those around block borders after.
    for (let cut = 0; cut <= length; cut++) {
      if (length > 130 && cut % 64 > 2 && cut % 64 < 62 && cut % 7 !== 0) continue;
      const s = sha256Init();
      sha256Update(s, message, 0, cut);
      sha256Update(s, message, cut, length);
      assert.is(toHex(sha256Final(s)), expected, `length ${length}, cut at ${cut}`);
    }
  }
});

hash("agrees when fed a byte at a time, and from the middle of a buffer", () => {
  const message = counting(500);
  const s = sha256Init();
  for (let i = 100; i < 400; i++) sha256Update(s, message, i, i + 1);
  assert.is(toHex(sha256Final(s)), node(message.subarray(100, 400)));
});

hash("agrees on a megabyte, and on random content", () => {
  const message = new Uint8Array(1 << 20);
  let x = 1;
  for (let i = 0; i < message.length; i++) {
    x = (x * 48271) % 2147483647;
    message[i] = x;
  }
  assert.is(toHex(sha256(message)), node(message));
});

hash("two hashes at once don't disturb each other", () => {
  const a = sha256Init();
  const b = sha256Init();
  const [one, two] = [counting(100), counting(100, 50)];
  for (let i = 0; i < 100; i += 10) {
    sha256Update(a, one, i, i + 10);
    sha256Update(b, two, i, i + 10);
  }
  assert.is(toHex(sha256Final(a)), node(one));
  assert.is(toHex(sha256Final(b)), node(two));
});

hash("the length field is right beyond 2^32 bits and at 2^53 - 1 bytes", () => {
  // Nobody hashes this much in a test: the state is set as if all but the tail had been fed, and OpenSSL's
  // padding is what the block must end in.
  for (const length of [2 ** 29 - 1, 2 ** 29, 2 ** 32 + 5, 2 ** 53 - 1]) {
    const s = sha256Init();
    s.length = length;
    sha256Final(s);
    const bits = toHex(s.block.subarray(56));
    assert.is(bits, (BigInt(length) * 8n).toString(16).padStart(16, "0"), String(length));
  }
});

hash.run();
