import { readFileSync } from "node:fs";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { checkPublicKey } from "@vouch/shared/strict";
import nacl from "tweetnacl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";

const crypto = suite("crypto");

const BOTH = [
  ["portable", portableCrypto],
  ["node", nodeCrypto],
] as const;
const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const published = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../shared/vectors/published/${path}`, import.meta.url), "utf8"));

interface Row {
  tcId: number;
  comment: string;
  flags: string[];
  msg: string;
  sig: string;
  result: "valid" | "invalid";
}
const GROUPS: { publicKey: { pk: string }; tests: Row[] }[] = published(
  "wycheproof/wycheproof.json",
).testGroups;

// Rows where the strict rules and the file differ. There is none: its keys are
// all proper, and s >= L is invalid to it as well.
const STRICTER: number[] = [];

for (const [name, { verifyEd25519 }] of BOTH)
  crypto(`${name} agrees with all 151 Wycheproof rows, 88 valid and 63 not`, () => {
    const count = { valid: 0, invalid: 0 };
    for (const { publicKey, tests } of GROUPS)
      for (const { tcId, comment, msg, sig, result } of tests) {
        const expected = result === "valid" && !STRICTER.includes(tcId);
        assert.is(verifyEd25519(hex(publicKey.pk), hex(msg), hex(sig)), expected, `${tcId} ${comment}`);
        count[result]++;
      }
    assert.equal(count, { valid: 88, invalid: 63 });
  });

crypto("the five rows that tweetnacl alone takes are among them: s + L, and s just above", () => {
  const rows = GROUPS.flatMap(({ publicKey, tests }) => tests.map((row) => ({ ...row, pk: publicKey.pk })));
  const taken = rows.filter(({ pk, msg, sig, result }) => {
    const fits = sig.length === 128 && result === "invalid";
    return fits && nacl.sign.detached.verify(hex(msg), hex(sig), hex(pk));
  });
  assert.equal(
    taken.map(({ tcId }) => tcId),
    [63, 64, 65, 66, 85],
  );
});

interface Edge {
  number: number;
  key: string;
  sig: string;
  msg: string;
  flags: string[] | null;
}
const EDGES: Edge[] = published("cctv/cctv.json");
// The file passes no judgement. A proper key, a canonical R and an equation that
// holds without multiplying by the cofactor are what is asked for here.
const BAD = ["low_order_A", "non_canonical_A", "non_canonical_R", "low_order_residue"];

crypto("both judge all 914 CCTV rows alike, and as their flags say", () => {
  let taken = 0;
  for (const { number, key, sig, msg, flags } of EDGES) {
    const expected = !(flags ?? []).some((flag) => BAD.includes(flag));
    for (const [name, { verifyEd25519 }] of BOTH)
      assert.is(verifyEd25519(hex(key), Buffer.from(msg), hex(sig)), expected, `${name}, row ${number}`);
    if (expected) taken++;
  }
  assert.is(EDGES.length, 914);
  assert.is(taken, 86);
});

crypto("the key check refuses exactly the CCTV keys that are flagged", () => {
  for (const { number, key, flags } of EDGES) {
    const bad = (flags ?? []).some((flag) => flag === "low_order_A" || flag === "non_canonical_A");
    assert.is(checkPublicKey(hex(key)) !== 0, bad, `row ${number}`);
  }
});

crypto("both answer false to odd sizes and to a key off the curve", () => {
  const pair = keyPairFromSeed(new Uint8Array(32));
  const message = new Uint8Array(3);
  const signature = signEd25519(pair.secretKey, message);
  const off = new Uint8Array(32).fill(2, 0, 1); // y = 2: x² has no root
  for (const [name, { verifyEd25519 }] of BOTH) {
    assert.is(verifyEd25519(pair.publicKey, message, signature), true, name);
    assert.is(verifyEd25519(off, message, signature), false, name);
    for (const length of [0, 31, 33, 64])
      assert.is(verifyEd25519(new Uint8Array(length), message, signature), false, name);
    for (const length of [0, 32, 63, 65])
      assert.is(verifyEd25519(pair.publicKey, message, new Uint8Array(length)), false, name);
  }
});

crypto("both hash alike, from the middle of a buffer too", () => {
  const buffer = new Uint8Array(1000).map((_, i) => i);
  for (const [start, end] of [
    [0, 0],
    [1, 2],
    [7, 71],
    [100, 1000],
  ] as const) {
    const bytes = buffer.subarray(start, end);
    assert.is(toHex(nodeCrypto.sha256(bytes)), toHex(portableCrypto.sha256(bytes)));
  }
});

crypto("keys keep apart in the cache, and more of them than it holds", () => {
  const pairs = Array.from({ length: 300 }, (_, i) =>
    keyPairFromSeed(new Uint8Array(32).fill(i & 255).fill(i >> 8, 0, 1)),
  );
  const message = new Uint8Array(9);
  const signatures = pairs.map(({ secretKey }) => signEd25519(secretKey, message));
  for (let round = 0; round < 2; round++)
    pairs.forEach(({ publicKey }, i) => {
      assert.is(nodeCrypto.verifyEd25519(publicKey, message, signatures[i]!), true, `key ${i}`);
      assert.is(nodeCrypto.verifyEd25519(publicKey, message, signatures[(i + 1) % 300]!), false, `key ${i}`);
    });
});

crypto("a key is looked up by its bytes, wherever they lie, and not by the buffer", () => {
  const [a, b] = [keyPairFromSeed(new Uint8Array(32).fill(1)), keyPairFromSeed(new Uint8Array(32).fill(2))];
  const message = new Uint8Array(4);
  const shared = new Uint8Array(100);
  const view = shared.subarray(30, 62);
  for (const { publicKey, secretKey } of [a, b, a]) {
    view.set(publicKey);
    assert.ok(equalBytes(view, publicKey));
    assert.is(nodeCrypto.verifyEd25519(view, message, signEd25519(secretKey, message)), true);
  }
});

crypto.run();
