import nacl from "tweetnacl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { hsalsa20, openBox, poly1305, sealBox } from "../src/secretbox";
import { x25519, x25519Public } from "../src/x25519";
import { random } from "./random";
import { flips, hex } from "./vectors";

const box = suite("secretbox");

box("seals what NaCl seals, at every length to 300", () => {
  const bytes = random(1);
  for (let length = 0; length <= 300; length++) {
    const key = bytes(32);
    const nonce = bytes(24);
    const plain = bytes(length);
    const sealed = sealBox(key, nonce, plain);
    assert.equal(toHex(sealed), toHex(nacl.secretbox(plain, nonce, key)), `${length} bytes`);
    assert.equal(openBox(key, nonce, sealed), plain, `${length} bytes`);
  }
});

box("doesn't open a box with any bit changed", () => {
  const bytes = random(2);
  const key = bytes(32);
  const nonce = bytes(24);
  const sealed = sealBox(key, nonce, bytes(40));
  for (const [, changed] of flips(sealed)) assert.is(openBox(key, nonce, changed), null);
  for (const [, changed] of flips(nonce)) assert.is(openBox(key, changed, sealed), null);
  for (const [, changed] of flips(key)) assert.is(openBox(changed, nonce, sealed), null);
  for (let length = 0; length < sealed.length; length++)
    assert.is(openBox(key, nonce, sealed.subarray(0, length)), null, `${length} bytes`);
});

// RFC 8439 section 2.5.2, and appendix A.3 vectors 7 to 11: where a sloppy reduction shows.
const POLY1305 = [
  [
    "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
    "43727970746f6772617068696320466f72756d2052657365617263682047726f7570",
    "a8061dc1305136c6c22b8baf0c0127a9",
  ],
  ["02".padEnd(64, "0"), "ff".repeat(16), `03${"00".repeat(15)}`],
  [`02${"00".repeat(15)}${"ff".repeat(16)}`, `02${"00".repeat(15)}`, `03${"00".repeat(15)}`],
  [
    "01".padEnd(64, "0"),
    `${"ff".repeat(16)}f0${"ff".repeat(15)}11${"00".repeat(15)}`,
    `05${"00".repeat(15)}`,
  ],
  ["01".padEnd(64, "0"), `${"ff".repeat(16)}fb${"fe".repeat(15)}${"01".repeat(16)}`, "00".repeat(16)],
  ["02".padEnd(64, "0"), `fd${"ff".repeat(15)}`, `fa${"ff".repeat(15)}`],
] as const;

for (const [i, [key, message, tag]] of POLY1305.entries())
  box(`gives RFC 8439's tag ${i}`, () => assert.is(toHex(poly1305(hex(key), hex(message), 0)), tag));

box("gives the HSalsa20 of NaCl's example", () => {
  // "Cryptography in NaCl" (Bernstein 2009), section 8: the shared secret and the first key.
  const shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  assert.is(
    toHex(hsalsa20(shared, new Uint8Array(16))),
    "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389",
  );
});

// RFC 7748 section 5.2.
const X25519 = [
  [
    "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
    "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
    "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  ],
  [
    "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
    "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
    "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
  ],
] as const;

for (const [secret, point, out] of X25519)
  box(`multiplies as RFC 7748: ${out.slice(0, 8)}`, () =>
    assert.is(toHex(x25519(hex(secret), hex(point))), out),
  );

box("iterates X25519 a thousand times to RFC 7748's value", () => {
  let k = hex(`09${"00".repeat(31)}`);
  let u = k;
  for (let i = 0; i < 1000; i++) {
    const next = x25519(k, u);
    u = k;
    k = next;
  }
  assert.is(toHex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
});

box("agrees with tweetnacl on random keys and points, and on odd ones", () => {
  const bytes = random(3);
  const points = Array.from({ length: 200 }, () => bytes(32));
  for (const first of [0, 1, 2, 236, 237, 238, 255])
    points.push(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? first : i === 31 ? 127 : 255)));
  points.push(
    new Uint8Array(32),
    Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0)),
  );
  for (const point of points) {
    const secret = bytes(32);
    assert.is(toHex(x25519(secret, point)), toHex(nacl.scalarMult(secret, point)));
    assert.is(toHex(x25519Public(secret)), toHex(nacl.scalarMult.base(secret)));
  }
});

box.run();
