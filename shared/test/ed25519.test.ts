import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { keyPairFromSeed, signEd25519, verifyEd25519 } from "../src/ed25519";
import * as reference from "../src/sign";
import { random } from "./random";
import { counting, flips, hex, publishedJson } from "./vectors";

const ed25519 = suite("ed25519");

// RFC 8032 section 7.1, tests 1 to 3 and SHA(abc): seed, public key, message, signature.
const RFC8032 = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  [
    "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
] as const;

for (const [seed, publicKey, message, signature] of RFC8032)
  ed25519(`makes and takes RFC 8032's signature over a message of ${message.length / 2} bytes`, () => {
    const pair = keyPairFromSeed(hex(seed));
    assert.is(toHex(pair.publicKey), publicKey);
    assert.is(toHex(pair.secretKey), seed + publicKey);
    assert.is(toHex(signEd25519(pair.secretKey, hex(message))), signature);
    assert.ok(verifyEd25519(hex(publicKey), hex(message), hex(signature)));
  });

ed25519("signs 10,000 messages with 10,000 keys as tweetnacl does, 0 to 1023 bytes", () => {
  const next = random(8032);
  for (let i = 0; i < 10_000; i++) {
    // A key costs tweetnacl as much as a signature: only one key in fifty is derived by it as well.
    const seed = next(32);
    const pair = keyPairFromSeed(seed);
    if (i % 50 === 0)
      assert.is(toHex(pair.secretKey), toHex(reference.keyPairFromSeed(seed).secretKey), `key ${i}`);
    const length = i < 1024 ? i : next(1)[0]!;
    const message = next(length);
    const signature = reference.signEd25519(pair.secretKey, message);
    assert.is(toHex(signEd25519(pair.secretKey, message)), toHex(signature), `signature ${i}`);
    if (i % 20 === 0) assert.ok(verifyEd25519(pair.publicKey, message, signature), `signature ${i}`);
  }
});

ed25519("leaves what it is handed as it was, and hands out buffers of its own", () => {
  const { secretKey } = keyPairFromSeed(counting(32));
  const before = toHex(secretKey);
  const message = counting(5);
  const signature = signEd25519(secretKey, message);
  const same = signEd25519(secretKey, message);
  same.fill(0);
  assert.is(toHex(signature), toHex(reference.signEd25519(secretKey, message)));
  assert.is(toHex(secretKey), before);
  assert.is(toHex(message), "0001020304");
});

ed25519("refuses a bit changed in any byte of key, message or signature", () => {
  const pair = keyPairFromSeed(counting(32));
  const message = counting(9);
  const signature = signEd25519(pair.secretKey, message);
  assert.ok(verifyEd25519(pair.publicKey, message, signature));
  for (const [at, bad] of flips(pair.publicKey))
    assert.not(verifyEd25519(bad, message, signature), `key ${at}`);
  for (const [at, bad] of flips(message))
    assert.not(verifyEd25519(pair.publicKey, bad, signature), `message ${at}`);
  for (const [at, bad] of flips(signature))
    assert.not(verifyEd25519(pair.publicKey, message, bad), `signature ${at}`);
});

ed25519("answers false, without throwing, to odd sizes", () => {
  const pair = keyPairFromSeed(counting(32));
  const signature = signEd25519(pair.secretKey, counting(3));
  for (const length of [0, 31, 33]) assert.is(verifyEd25519(counting(length), counting(3), signature), false);
  for (const length of [0, 63, 65])
    assert.is(verifyEd25519(pair.publicKey, counting(3), counting(length)), false);
});

interface Wycheproof {
  testGroups: {
    publicKey: { pk: string };
    tests: { tcId: number; msg: string; sig: string; result: string }[];
  }[];
}

ed25519("judges all 151 Wycheproof rows as the file and sign.ts do", () => {
  let rows = 0;
  for (const { publicKey, tests } of publishedJson<Wycheproof>("wycheproof/wycheproof.json").testGroups)
    for (const { tcId, msg, sig, result } of tests) {
      const judged = verifyEd25519(hex(publicKey.pk), hex(msg), hex(sig));
      assert.is(judged, result === "valid", `${tcId}`);
      assert.is(judged, reference.verifyEd25519(hex(publicKey.pk), hex(msg), hex(sig)), `${tcId}`);
      rows++;
    }
  assert.is(rows, 151);
});

ed25519("judges all 914 CCTV rows as sign.ts does", () => {
  const rows = publishedJson<{ number: number; key: string; sig: string; msg: string }[]>("cctv/cctv.json");
  let taken = 0;
  for (const { number, key, sig, msg } of rows) {
    const judged = verifyEd25519(hex(key), Buffer.from(msg), hex(sig));
    assert.is(judged, reference.verifyEd25519(hex(key), Buffer.from(msg), hex(sig)), `row ${number}`);
    if (judged) taken++;
  }
  assert.is(rows.length, 914);
  assert.is(taken, 86);
});

ed25519.run();
