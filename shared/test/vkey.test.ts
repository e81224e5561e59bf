import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toBase64, toHex } from "../src/bytes";
import { formatVkey, keyIdOf, makeVkey, parseVkey, sameVkey } from "../src/vkey";
import { testKey } from "./keys";
import { publishedBytes, refusal } from "./vectors";

const vkeys = suite("vkey");

const EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const [NAME, ID, KEY] = EXAMPLE.split("+") as [string, string, string];

vkeys("reads the example of the specification, and prints it again", () => {
  const vkey = parseVkey(EXAMPLE);
  assert.is(vkey.name, "example.com/foo");
  assert.is(vkey.type, 1);
  assert.is(toHex(vkey.keyId), "530d903a");
  assert.is(formatVkey(vkey), EXAMPLE);
});

vkeys("reads the worked keys of both types", () => {
  const lines = Buffer.from(publishedBytes("worked/vkeys")).toString().trim().split("\n");
  assert.equal(
    lines.map((line) => parseVkey(line).type),
    [1, 4],
  );
  for (const line of lines) assert.is(formatVkey(parseVkey(line)), line);
  assert.is(toHex(parseVkey(lines[0]!).publicKey), toHex(publishedBytes("worked/log.pub.raw")));
});

vkeys("the key part may hold plus signs of its own", () => {
  let found = 0;
  for (let i = 0; i < 40; i++) {
    const line = formatVkey(testKey(`plus-${i}`).vkey);
    if (line.split("+").length > 3) found++;
    assert.is(formatVkey(parseVkey(line)), line);
  }
  assert.ok(found > 0, "no key with a plus among 40");
});

const withKey = (name: string, bytes: number[]) => {
  const key = Uint8Array.from(bytes);
  return `${name}+${toHex(keyIdOf(name, key[0]!, key.subarray(1)))}+${toBase64(key)}`;
};
const good = [...testKey("some").vkey.publicKey];
const small = [1, ...new Array<number>(31).fill(0)]; // y = 1, the neutral element
const beyond = [0xee, ...new Array<number>(30).fill(0xff), 0x7f]; // y = p + 1

for (const [name, text, code] of [
  ["nothing", "", "malformed-vkey"],
  ["two parts", `${NAME}+${ID}`, "malformed-vkey"],
  ["another id", `${NAME}+530d903b+${KEY}`, "malformed-vkey"],
  ["another name", `example.com/fop+${ID}+${KEY}`, "malformed-vkey"],
  ["an upper-case id", `${NAME}+530D903A+${KEY}`, "malformed-vkey"],
  ["a short id", `${NAME}+530d90+${KEY}`, "malformed-vkey"],
  ["no key", `${NAME}+${ID}+`, "malformed-vkey"],
  ["base64 without its last character", EXAMPLE.slice(0, -1), "malformed-vkey"],
  ["base64 for URLs", withKey("a", [1, ...good]).replace(/\+(?=[^+]*$)/, "+-"), "malformed-vkey"],
  ["a line break at the end", `${EXAMPLE}\n`, "malformed-vkey"],
  ["no name", withKey("", [1, ...good]), "malformed-vkey"],
  ["a space in the name", withKey("a b", [1, ...good]), "malformed-vkey"],
  ["a no-break space in the name", withKey("a\u00a0b", [1, ...good]), "malformed-vkey"],
  ["a bidi mark in the name", withKey("a\u202eb", [1, ...good]), "malformed-vkey"],
  ["600 characters", `${"a".repeat(600)}+${ID}+${KEY}`, "malformed-vkey"],
  ["type 2, ECDSA", withKey("a", [2, ...good]), "unsupported-algorithm"],
  ["type 6, ML-DSA-44", withKey("a", [6, ...good]), "unsupported-algorithm"],
  ["a key of 31 bytes", withKey("a", [1, ...good.slice(1)]), "key-length"],
  ["a key of 33 bytes", withKey("a", [1, 0, ...good]), "key-length"],
  ["a key of small order", withKey("a", [1, ...small]), "key-small-order"],
  ["a key that isn't canonical", withKey("a", [4, ...beyond]), "key-not-canonical"],
] as const)
  vkeys(`refuses: ${name}`, () => assert.throws(() => parseVkey(text), refusal(code)));

vkeys("printing and reading are inverse", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[!-*,-~é√]{1,20}$/),
      fc.constantFrom(1 as const, 4 as const),
      (name, type) => {
        const vkey = makeVkey(name, type, Uint8Array.from(good));
        assert.ok(sameVkey(parseVkey(formatVkey(vkey)), vkey));
      },
    ),
  );
});

vkeys("sameVkey looks at name, type and key", () => {
  const { vkey } = testKey("a");
  assert.ok(sameVkey(vkey, makeVkey("a", 1, vkey.publicKey)));
  assert.not(sameVkey(vkey, makeVkey("b", 1, vkey.publicKey)));
  assert.not(sameVkey(vkey, makeVkey("a", 4, vkey.publicKey)));
  assert.not(sameVkey(vkey, makeVkey("a", 1, testKey("b").vkey.publicKey)));
});

vkeys.run();
