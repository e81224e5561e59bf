// ML-DSA-65: published vectors, and verifier keys of it.

import { createHash } from "node:crypto";
import { concatBytes, fromBase64, toBase64, toHex, utf8Encode } from "@vouch/shared/bytes";
import { mldsaPublicKey, signMldsa, verifyMldsa } from "@vouch/shared/mldsa";
import { formatMldsaKey, isMldsaLine, makeMldsaKey, parseMldsaKey } from "@vouch/shared/mldsakey";
import { parseVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { counting, publishedJson, refusal } from "./vectors";

const test = suite("ml-dsa");

const NONE = new Uint8Array(0);
const ZEROS = new Uint8Array(32); // deterministic signing is hedged signing with no randomness: FIPS 204, algorithm 2
const b64 = (text: string | undefined) => (text ? fromBase64(text)! : NONE);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly msg?: string;
  readonly ctx?: string;
  readonly result: string;
}
interface Verify {
  readonly testGroups: {
    readonly publicKey: string;
    readonly tests: (Case & { readonly sig: string })[];
  }[];
}
interface Sign {
  readonly testGroups: {
    readonly privateSeed: string;
    readonly publicKeySha256?: string;
    readonly tests: (Case & { readonly rnd?: string; readonly mu?: string; readonly sigSha256: string })[];
  }[];
}

test("judges all 210 rows of Wycheproof's verification as they say", () => {
  const judged = { valid: 0, invalid: 0 };
  for (const { publicKey, tests } of publishedJson<Verify>("wycheproof/mldsa-65-verify.json").testGroups)
    for (const { tcId, comment, msg, ctx, sig, result } of tests) {
      const good = verifyMldsa(b64(publicKey), b64(msg), b64(sig), b64(ctx));
      assert.is(good ? "valid" : "invalid", result, `${tcId} ${comment}`);
      judged[good ? "valid" : "invalid"]++;
    }
  assert.equal(judged, { valid: 79, invalid: 131 });
});

test("makes the keys and signatures of Wycheproof's signing, and refuses what isn't a seed or a context", () => {
  const seen = { signed: 0, refused: 0, inner: 0 };
  for (const { privateSeed, publicKeySha256, tests } of publishedJson<Sign>("wycheproof/mldsa-65-sign.json")
    .testGroups) {
    const seed = b64(privateSeed);
    if (publicKeySha256 !== undefined && seed.length === 32)
      assert.is(sha256(mldsaPublicKey(seed)), publicKeySha256);
    for (const { tcId, msg, ctx, rnd, result, sigSha256 } of tests) {
      const sign = () => signMldsa(seed, b64(msg), b64(ctx), rnd === undefined ? ZEROS : b64(rnd));
      if (result === "invalid") {
        assert.throws(sign, /a seed has 32 bytes|a context has 255 bytes at most/);
        seen.refused++;
      } else if (msg === undefined) {
        seen.inner++;
      } else {
        assert.is(sha256(sign()), sigSha256, String(tcId));
        seen.signed++;
      }
    }
  }
  assert.equal(seen, { signed: 84, refused: 4, inner: 17 });
});

const seed = counting(32);
const publicKey = mldsaPublicKey(seed);
const message = utf8Encode("release 2.4.1");
const context = utf8Encode("a context");

test("a signature holds in its own context, for its own message and key, and nowhere else", () => {
  const signature = signMldsa(seed, message, context, counting(32, 7));
  assert.ok(verifyMldsa(publicKey, message, signature, context));
  assert.not(verifyMldsa(publicKey, message, signature, utf8Encode("another context")));
  assert.not(verifyMldsa(publicKey, message, signature, NONE));
  assert.not(verifyMldsa(publicKey, utf8Encode("release 2.4.2"), signature, context));
  assert.not(verifyMldsa(mldsaPublicKey(counting(32, 1)), message, signature, context));
  assert.not(verifyMldsa(publicKey, message, signature, new Uint8Array(256)));
  assert.not.equal(
    toHex(signature),
    toHex(signMldsa(seed, message, context, counting(32, 8))),
    "it is hedged",
  );
  assert.throws(() => signMldsa(seed, message, context, counting(31)), /32 random bytes/);
});

const key = makeMldsaKey("acme.example/pq", publicKey);
const line = formatMldsaKey(key);
const [, id = "", typed = ""] = /^acme\.example\/pq\+([0-9a-f]{8})\+(.*)$/.exec(line) ?? [];
const retyped = (change: (bytes: Uint8Array) => Uint8Array) =>
  `acme.example/pq+${id}+${toBase64(change(fromBase64(typed)!))}`;

test("a verifier key is one line of type 0xff with an identifier, and reads back as it was", () => {
  const body = concatBytes([Uint8Array.of(0xff), utf8Encode("vouch.example/ml-dsa-65/v1"), publicKey]);
  assert.is(toHex(fromBase64(typed)!), toHex(body));
  assert.is(id, sha256(concatBytes([utf8Encode("acme.example/pq\n"), body])).slice(0, 8));
  assert.equal(parseMldsaKey(line), key);
  assert.ok(isMldsaLine(line));
  assert.not(isMldsaLine("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"));
});

test("where an Ed25519 key is expected, it is of an unknown type", () => {
  assert.throws(() => parseVkey(line), refusal("unsupported-algorithm"));
});

for (const [name, bad, code] of [
  [
    "an Ed25519 key",
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "unsupported-algorithm",
  ],
  ["another identifier", retyped((bytes) => bytes.fill(0x78, 1, 2)), "unsupported-algorithm"],
  ["a key one byte short", retyped((bytes) => bytes.slice(0, -1)), "malformed-vkey"],
  ["a key one byte long", retyped((bytes) => concatBytes([bytes, Uint8Array.of(0)])), "malformed-vkey"],
  ["another key under this id", retyped((bytes) => bytes.fill(1, 100, 101)), "malformed-vkey"],
  ["another name under this id", line.replace("pq", "pr"), "malformed-vkey"],
  ["an id in capitals", line.replace(id, id.toUpperCase().replace(/^[0-9]*$/, "ABCDEF01")), "malformed-vkey"],
  [
    "base64 that isn't canonical",
    line.replace(/.=$/, (end) => `${end === "B=" ? "C" : "B"}=`),
    "malformed-vkey",
  ],
  ["a name with a space", line.replace("acme.", "acme "), "malformed-vkey"],
  ["a line without a key", `acme.example/pq+${id}`, "malformed-vkey"],
  ["a line of 4 KiB", `${line}${"A".repeat(2000)}`, "malformed-vkey"],
] as const) {
  test(`refuses as a verifier key: ${name}`, () => {
    assert.throws(() => parseMldsaKey(bad), refusal(code));
  });
}

test.run();
