// The host's faster openBox is the reference's, box by box.

import { concatBytes, fromHex, toHex } from "@vouch/shared/bytes";
import { openBox, poly1305, sealBox } from "@vouch/shared/secretbox";
import { isPoly1305, openBoxFast } from "@vouch/shared/secretboxopen";
import fc from "fast-check";
import nacl from "tweetnacl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const fast = suite("secretboxopen");

const hexOf = (bytes: Uint8Array | null) => (bytes === null ? null : toHex(bytes));

fast("opens what was sealed, at every length up to 300, and what tweetnacl sealed", () => {
  for (let length = 0; length <= 300; length++) {
    const key = Uint8Array.from({ length: 32 }, (_, i) => (i * 7 + length) & 255);
    const nonce = Uint8Array.from({ length: 24 }, (_, i) => (i * 11 + length) & 255);
    const plain = Uint8Array.from({ length }, (_, i) => (i * i + length) & 255);
    const box = sealBox(key, nonce, plain);
    assert.is(hexOf(openBoxFast(key, nonce, box)), toHex(plain), `length ${length}`);
    assert.is(toHex(nacl.secretbox(plain, nonce, key)), toHex(box));
    box[length % box.length]! ^= 1 << (length % 8);
    assert.is(openBoxFast(key, nonce, box), null, `bent, length ${length}`);
  }
});

fast("says what the reference says of any box", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(
    fc.property(
      bytes(32),
      bytes(24),
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(),
      (key, nonce, plain, at) => {
        const box = sealBox(key, nonce, plain);
        assert.is(hexOf(openBoxFast(key, nonce, box)), hexOf(openBox(key, nonce, box)));
        box[at % box.length]! ^= 0x80;
        assert.is(hexOf(openBoxFast(key, nonce, box)), hexOf(openBox(key, nonce, box)));
        const short = box.subarray(0, at % 16);
        assert.is(openBoxFast(key, nonce, short), null);
      },
    ),
    { numRuns: 2000 },
  );
});

fast("Poly1305 is the reference's where carries run through every limb", () => {
  const runs = fc.array(fc.constantFrom(0, 1, 2, 3, 4, 5, 0xfb, 0xfe, 0xff), { minLength: 1, maxLength: 8 });
  const filled = (length: number) =>
    runs.map((run) => Uint8Array.from({ length }, (_, i) => run[i % run.length]!));
  fc.assert(
    fc.property(filled(32), fc.nat(70).chain(filled), (key, message) => {
      const tag = poly1305(key, message, 0);
      assert.ok(isPoly1305(key, concatBytes([tag, message])));
      tag[15]! ^= 0x80;
      assert.not.ok(isPoly1305(key, concatBytes([tag, message])));
    }),
    { numRuns: 5000 },
  );
  // r = 2, s = 0, message 2^130 - 5 less what the block's top bit adds: p itself, which is 0 (RFC 8439, A.3 vector 7 and on).
  for (const [r, blocks, tag] of [
    ["02", ["ff".repeat(16)], `03${"00".repeat(15)}`],
    ["01", ["ff".repeat(16), `f0${"ff".repeat(15)}`, `11${"00".repeat(15)}`], `05${"00".repeat(15)}`],
    ["01", ["ff".repeat(16), `fb${"fe".repeat(15)}`, "01".repeat(16)], "00".repeat(16)],
    ["02", [`fd${"ff".repeat(15)}`], `fa${"ff".repeat(15)}`],
  ] as const) {
    const key = fromHex(`${r}${"00".repeat(31)}`)!;
    assert.ok(isPoly1305(key, fromHex(tag + blocks.join(""))!), blocks.join());
  }
});

fast("every bit of a tag counts", () => {
  const key = new Uint8Array(32).fill(3);
  const nonce = new Uint8Array(24).fill(4);
  const box = sealBox(key, nonce, new Uint8Array(40).fill(255));
  for (let bit = 0; bit < 128; bit++) {
    const bent = box.slice();
    bent[bit >> 3]! ^= 1 << (bit & 7);
    assert.is(openBoxFast(key, nonce, bent), null, `bit ${bit}`);
  }
});

fast.run();
