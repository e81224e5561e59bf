import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { keyPairFromSeed, signEd25519, verifyEd25519 } from "../src/sign";
import { counting, flips, hex } from "./vectors";

const sign = suite("sign");

// RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature.
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
] as const;

for (const [seed, publicKey, message, signature] of RFC8032)
  sign(`makes and takes RFC 8032's signature over a message of ${message.length / 2} bytes`, () => {
    const pair = keyPairFromSeed(hex(seed));
    assert.is(toHex(pair.publicKey), publicKey);
    assert.is(toHex(pair.secretKey), seed + publicKey);
    assert.is(toHex(signEd25519(pair.secretKey, hex(message))), signature);
    assert.ok(verifyEd25519(hex(publicKey), hex(message), hex(signature)));
  });

sign("refuses a bit changed in any byte of key, message or signature", () => {
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

sign("answers false, without throwing, to sizes tweetnacl would throw at", () => {
  const pair = keyPairFromSeed(counting(32));
  const signature = signEd25519(pair.secretKey, counting(3));
  for (const length of [0, 31, 33]) assert.is(verifyEd25519(counting(length), counting(3), signature), false);
  for (const length of [0, 63, 65])
    assert.is(verifyEd25519(pair.publicKey, counting(3), counting(length)), false);
});

sign.run();
