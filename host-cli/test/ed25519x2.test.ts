// The tables against published vectors, node:crypto, and the equation worked out in whole numbers.

import { sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { checkPublicKey, checkSignature } from "@vouch/shared/strict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { random } from "../../shared/test/random";
import { bulkCrypto, isGood } from "../src/bulkcrypto";
import { nodeCrypto } from "../src/crypto";
import {
  BASE,
  decompress,
  inverse,
  littleEndian,
  mod,
  negative,
  ORDER,
  type Point,
  sum,
} from "../src/ed25519big";
import { type FixedKey, openFixedKey } from "../src/ed25519fixed";
import { freshKeyPair } from "../src/keys";

const x2 = suite("ed25519x2");

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const published = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../shared/vectors/published/${path}`, import.meta.url), "utf8"));

interface Row {
  readonly key: string;
  readonly message: Uint8Array;
  readonly sig: string;
}
const CCTV: Row[] = published("cctv/cctv.json").map((row: { key: string; msg: string; sig: string }) => ({
  ...row,
  message: Buffer.from(row.msg),
}));
const GROUPS: { publicKey: { pk: string }; tests: { msg: string; sig: string }[] }[] = published(
  "wycheproof/wycheproof.json",
).testGroups;
/** Tables take a while: the groups of one row are left out. */
const WYCHEPROOF: Row[] = GROUPS.filter(({ tests }) => tests.length > 1).flatMap(({ publicKey, tests }) =>
  tests.map(({ msg, sig }) => ({ key: publicKey.pk, message: hex(msg), sig })),
);

for (const [name, rows, good, bad] of [
  ["CCTV, of low order and off by a torsion among them", CCTV, 86, 302],
  ["Wycheproof", WYCHEPROOF, 18, 33],
] as const)
  x2(`the tables alone say what node:crypto says of each proper key and signature of ${name}`, () => {
    const tables = new Map<string, FixedKey>();
    const count = { good: 0, bad: 0 };
    for (const { key, message, sig } of rows) {
      const [publicKey, signature] = [hex(key), hex(sig)];
      if (checkPublicKey(publicKey) !== 0 || checkSignature(signature) !== 0) continue;
      const opened = tables.get(key) ?? openFixedKey(publicKey);
      if (opened === null) throw new Error(`${key} is no point`);
      tables.set(key, opened);
      const expected = nodeCrypto.verifyEd25519(publicKey, message, signature);
      assert.is(isGood(opened, publicKey, message, signature), expected, `${key} ${sig}`);
      count[expected ? "good" : "bad"]++;
    }
    assert.equal(count, { good, bad });
  });

/** n times the point, bit by bit. */
function times(n: bigint, point: Point): Point {
  let out: Point = { x: 0n, y: 1n, z: 1n, t: 0n };
  for (let bit = 255n; bit >= 0n; bit--) {
    out = sum(out, out);
    if (((n >> bit) & 1n) === 1n) out = sum(out, point);
  }
  return out;
}

const bytesOf = (n: bigint, size: number) =>
  new Uint8Array(Buffer.from(n.toString(16).padStart(2 * size, "0"), "hex").reverse());

function encoded({ x, y, z }: Point): Uint8Array {
  const own = inverse(z);
  const out = bytesOf(mod(y * own), 32);
  out[31] = out[31]! | (Number(mod(x * own) & 1n) << 7);
  return out;
}

x2("[s]B - [h]A is what whole numbers make of it, at the ends of digits, windows and orders", () => {
  const { publicKey } = freshKeyPair();
  const key = openFixedKey(publicKey);
  const point = decompress(publicKey);
  if (key === null || point === null) throw new Error("no point");
  const next = random(7);
  const digits = (digit: bigint) =>
    Array.from({ length: 36 }, (_, i) => digit << BigInt(7 * i)).reduce((a, b) => a + b) % ORDER;
  const numbers = [
    0n,
    1n,
    63n,
    64n,
    65n,
    127n,
    128n,
    ORDER - 1n,
    ORDER - 64n,
    2n ** 252n - 1n,
    2n ** 252n,
  ].concat(
    [1n, 63n, 64n, 65n, 127n].map(digits),
    Array.from({ length: 8 }, () => littleEndian(next(32)) % ORDER),
  );
  numbers.forEach((s, i) => {
    const h = numbers[(7 * i + 3) % numbers.length]!;
    const r = encoded(sum(times(s, BASE), times(h, negative(point))));
    const sBytes = bytesOf(s, 32);
    // The digest is a number of 64 bytes: any that leaves h when divided by the order.
    const digest = bytesOf(h + ORDER * (littleEndian(next(32)) >> 8n), 64);
    assert.is(key.isGood(r, sBytes, digest), true, `${s} ${h}`);
    for (let bit = 0; bit < 256; bit += 5) {
      const bent = r.slice();
      bent[bit >> 3] = bent[bit >> 3]! ^ (1 << (bit & 7));
      assert.is(key.isGood(bent, sBytes, digest), false, `${s} ${h}, bit ${bit}`);
    }
  });
});

const KEY = freshKeyPair();
const MESSAGES = Array.from({ length: 1300 }, (_, i) => random(i + 1)(1 + (i % 300)));
const SIGNATURES = MESSAGES.map((message) => new Uint8Array(sign(null, message, KEY.privateKey)));

x2("thousands by one key, others in between, a bent one after each: as node:crypto says", () => {
  let asked = 0;
  const { verifyEd25519 } = bulkCrypto((publicKey) => {
    const tables = openFixedKey(publicKey);
    if (tables === null) return null;
    return {
      isGood(...given) {
        asked++;
        return tables.isGood(...given);
      },
    };
  });
  const other = freshKeyPair();
  MESSAGES.forEach((message, i) => {
    const signature = SIGNATURES[i]!;
    assert.is(verifyEd25519(KEY.publicKey, message, signature), true, `message ${i}`);
    if (i % 8 > 0) return;
    const bent = signature.slice();
    bent[i % 64] = bent[i % 64]! ^ 1;
    assert.is(verifyEd25519(KEY.publicKey, message, bent), false, `message ${i}, bent`);
    assert.is(verifyEd25519(KEY.publicKey, message.slice(1), signature), false, `message ${i}, cut`);
    assert.is(verifyEd25519(other.publicKey, message, signature), false, `message ${i}, another's`);
  });
  assert.ok(asked > 200, `the tables were asked ${asked} times`);
});

for (const [name, answer] of [
  ["take everything", true],
  ["refuse everything", false],
] as const)
  x2(`tables that ${name} are given up before they are believed`, () => {
    let asked = 0;
    const { verifyEd25519 } = bulkCrypto(() => ({
      isGood() {
        asked++;
        return answer;
      },
    }));
    MESSAGES.forEach((message, i) => {
      assert.is(verifyEd25519(KEY.publicKey, message, SIGNATURES[i]!), true, `message ${i}`);
    });
    const [first, second] = MESSAGES;
    assert.is(verifyEd25519(KEY.publicKey, first!, SIGNATURES[1]!), false);
    assert.is(verifyEd25519(KEY.publicKey, second!, SIGNATURES[0]!), false);
    assert.ok(asked > 0 && asked <= 2, `asked ${asked} times`);
  });

x2("what is no key and no signature is refused as ever, and opens no tables", () => {
  const { verifyEd25519 } = bulkCrypto();
  const [message, signature] = [MESSAGES[0]!, SIGNATURES[0]!];
  for (const length of [0, 31, 33])
    assert.is(verifyEd25519(new Uint8Array(length), message, signature), false);
  for (const length of [0, 63, 65])
    assert.is(verifyEd25519(KEY.publicKey, message, new Uint8Array(length)), false);
  assert.is(openFixedKey(new Uint8Array(32).fill(2, 0, 1)), null); // y = 2: x² has no root
  assert.is(openFixedKey(new Uint8Array(32).fill(0xff)), null); // y above p
});

x2.run();
