// Key files of ML-DSA-65: what is refused, and what OpenSSL makes of ours and we of its (Python's cryptography brings one
// that is newer than Node's).

import { spawnSync } from "node:child_process";
import { fromBase64, toBase64, toHex, utf8Encode } from "@vouch/shared/bytes";
import { mldsaPublicKey, signMldsa, verifyMldsa } from "@vouch/shared/mldsa";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { counting, refusal } from "../../shared/test/vectors";
import { createMldsaKey, openMldsaSeed } from "../src/mldsakeys";

const test = suite("ml-dsa key files");

const WORDS = "correct horse";
const right = async () => WORDS;
const nobody = async (): Promise<string> => {
  throw new Error("a passphrase was asked for");
};
const pem = (label: string, der: string) =>
  utf8Encode(`-----BEGIN ${label}-----\n${toBase64(fromHexPairs(der))}\n-----END ${label}-----\n`);
const fromHexPairs = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const derOf = (file: string) =>
  toHex(fromBase64(file.replace(/-----.*-----/g, "").replace(/\n/g, "")) ?? new Uint8Array(0));
const fails = async (file: Uint8Array, code: string, passphrase = right) => {
  let caught: unknown;
  await openMldsaSeed(file, passphrase).catch((error) => {
    caught = error;
  });
  assert.ok(refusal(code)(caught), String(caught));
};

const plain = createMldsaKey(null);
const sealed = createMldsaKey(WORDS);
const [plainDer, sealedDer] = [derOf(plain.pem), derOf(sealed.pem)];

test("a key is its seed, in the form of RFC 9881, and opens as it was made", async () => {
  assert.match(plainDer, /^3034020100300b060960864801650304031204228020[0-9a-f]{64}$/);
  const seed = await openMldsaSeed(utf8Encode(plain.pem), nobody);
  assert.is(toHex(seed), plainDer.slice(-64));
  assert.is(toHex(mldsaPublicKey(seed)), toHex(plain.publicKey));
});

test("sealed, it opens with its passphrase and says nothing of itself without", async () => {
  const seed = await openMldsaSeed(utf8Encode(sealed.pem), right);
  assert.is(toHex(mldsaPublicKey(seed)), toHex(sealed.publicKey));
  assert.not(sealedDer.includes(toHex(seed)));
  await fails(utf8Encode(sealed.pem), "wrong-passphrase", async () => "open sesame");
});

const bend = (from: string, to: string) => {
  assert.ok(sealedDer.includes(from), from);
  return pem("ENCRYPTED PRIVATE KEY", sealedDer.replace(from, to));
};

test("a wrong passphrase is told as that, also where what comes out happens to end like a padded key", async () => {
  const quick = bend("02030927c0", "0203000001");
  // Some six of these come out padded; that none of them does happens once in a thousand runs, and harms nothing.
  for (let n = 0; n < 1800; n++) await fails(quick, "wrong-passphrase", async () => `open sesame ${n}`);
});

// No passphrase is asked for what can't be opened anyway.
for (const [name, file, code] of [
  ["nothing", utf8Encode(""), "malformed-key"],
  ["bytes", counting(64, 200), "malformed-key"],
  ["a PEM of something else", pem("CERTIFICATE", plainDer), "malformed-key"],
  ["two PEMs", utf8Encode(plain.pem + plain.pem), "malformed-key"],
  ["text in front", utf8Encode(`key\n${plain.pem}`), "malformed-key"],
  [
    "an Ed25519 key",
    pem("PRIVATE KEY", `302e020100300506032b657004220420${"07".repeat(32)}`),
    "unsupported-key",
  ],
  [
    "ML-DSA-87",
    pem("PRIVATE KEY", plainDer.replace("030412", "030413").replace("040312", "040313")),
    "unsupported-key",
  ],
  ["a seed one byte short", pem("PRIVATE KEY", plainDer.slice(0, -2)), "unsupported-key"],
  ["a seed one byte long", pem("PRIVATE KEY", `${plainDer}00`), "unsupported-key"],
  ["a sealed one cut short", pem("ENCRYPTED PRIVATE KEY", sealedDer.slice(0, -2)), "malformed-key"],
  ["a sealed one with a byte more", pem("ENCRYPTED PRIVATE KEY", `${sealedDer}00`), "malformed-key"],
  [
    "a length that promises more than there is",
    pem("ENCRYPTED PRIVATE KEY", `3082ffff${sealedDer.slice(6)}`),
    "malformed-key",
  ],
  ["an indefinite length", pem("ENCRYPTED PRIVATE KEY", `3080${sealedDer.slice(6)}`), "malformed-key"],
  ["SHA-1 as its hash", bend("2a864886f70d0209", "2a864886f70d0207"), "unsupported-key"],
  ["AES-128", bend("60864801650304012a", "608648016503040102"), "unsupported-key"],
  ["PBES1", bend("2a864886f70d01050d", "2a864886f70d010503"), "unsupported-key"],
  ["hours of iterations", bend("02030927c0", "0203ffffff"), "unsupported-key"],
  ["no iterations", bend("02030927c0", "0203000000"), "unsupported-key"],
] as [string, Uint8Array, string][]) {
  test(`refuses: ${name}`, () => fails(file, code, nobody));
}

const PEER = `
import base64, json, sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
b = base64.b64decode
given = json.load(sys.stdin)
ours = [s.load_pem_private_key(given[k].encode(), p) for k, p in (("plain", None), ("sealed", given["words"].encode()))]
MLDSA65PublicKey.from_public_bytes(b(given["publicKey"])).verify(b(given["signature"]), b(given["message"]), b(given["context"]))
theirs = MLDSA65PrivateKey.generate()
lock = lambda how: theirs.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, how).decode()
e = lambda bytes: base64.b64encode(bytes).decode()
print(json.dumps({
  "publicKeys": [e(k.public_key().public_bytes_raw()) for k in ours],
  "pems": [lock(s.NoEncryption()), lock(s.BestAvailableEncryption(given["words"].encode()))],
  "publicKey": e(theirs.public_key().public_bytes_raw()),
  "signature": e(theirs.sign(b(given["message"]), b(given["context"]))),
}))
`;
const asked = spawnSync("python3", ["-c", "import cryptography.hazmat.primitives.asymmetric.mldsa"]);
const title = "OpenSSL reads our keys and signature, and we read its";
if (asked.status !== 0)
  skip(test, title, "python3 has no cryptography with ML-DSA: pip install cryptography");
else
  test(title, async () => {
    const [message, context] = [utf8Encode("release 2.4.1"), utf8Encode("vouch/test")];
    const seed = await openMldsaSeed(utf8Encode(plain.pem), nobody);
    const signature = signMldsa(seed, message, context, counting(32));
    const input = JSON.stringify({
      ...{ plain: plain.pem, sealed: sealed.pem, words: WORDS, publicKey: toBase64(plain.publicKey) },
      ...{ message: toBase64(message), context: toBase64(context), signature: toBase64(signature) },
    });
    const { status, stdout, stderr } = spawnSync("python3", ["-c", PEER], { input, encoding: "utf8" });
    assert.is(status, 0, stderr);
    const theirs = JSON.parse(stdout);
    assert.equal(
      theirs.publicKeys,
      [plain, sealed].map(({ publicKey }) => toBase64(publicKey)),
    );
    for (const file of theirs.pems) {
      const opened = await openMldsaSeed(utf8Encode(file), right);
      assert.is(toBase64(mldsaPublicKey(opened)), theirs.publicKey);
    }
    const [key, sig] = [fromBase64(theirs.publicKey)!, fromBase64(theirs.signature)!];
    assert.ok(verifyMldsa(key, message, sig, context));
    assert.not(verifyMldsa(key, message, sig, utf8Encode("vouch/other")));
  });

test.run();
