import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Encode } from "../src/bytes";
import {
  addSignature,
  type Envelope,
  formatEnvelope,
  IN_TOTO,
  keyidOf,
  MAX_DSSE,
  openEnvelope,
  pae,
  parseEnvelope,
} from "../src/dsse";
import { isRefusal } from "../src/refusal";
import { parseStatement } from "../src/statement";
import { testCrypto, testKey } from "./keys";
import { flips, publishedBytes, refusal } from "./vectors";

const dsse = suite("dsse");

dsse("the pre-authentication encoding is the specification's", () => {
  assert.is(
    Buffer.from(pae("http://example.com/HelloWorld", utf8Encode("hello world"))).toString(),
    "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
  );
  assert.is(Buffer.from(pae("é", new Uint8Array(0))).toString(), "DSSEv1 2 é 0 "); // bytes, not characters
});

const WORKED = publishedBytes("worked/release.dsse.json");
const maker = { name: "maker", publicKey: publishedBytes("worked/maker.pub.raw") };
const quality = { name: "quality", publicKey: publishedBytes("worked/quality.pub.raw") };

dsse("the worked release opens for its two signers, and prints again", () => {
  const envelope = parseEnvelope(WORKED);
  assert.is(toHex(formatEnvelope(envelope)), toHex(WORKED));
  assert.equal(
    openEnvelope(envelope, [quality, maker], testCrypto, 2)
      .map((s) => s.name)
      .sort(),
    ["maker", "quality"],
  );
  assert.throws(() => openEnvelope(envelope, [maker], testCrypto), refusal("unknown-signer"));
});

dsse("its statement is of another project's predicate: refused as unsupported, not as wrong", () => {
  assert.throws(() => parseStatement(parseEnvelope(WORKED).payload), refusal("unsupported-statement"));
});

dsse("no byte of it can change", () => {
  for (const [at, bent] of flips(WORKED))
    assert.throws(
      () => openEnvelope(parseEnvelope(bent), [maker, quality], testCrypto),
      isRefusal,
      `byte ${at}`,
    );
});

const alice = testKey("alice");
const bob = testKey("bob");
const people = [alice, bob].map(({ vkey }) => ({ name: vkey.name, publicKey: vkey.publicKey }));
const DRAFT: Envelope = { payloadType: IN_TOTO, payload: utf8Encode("{}"), signatures: [] };
const signedBy = (envelope: Envelope, { vkey, sign }: typeof alice) =>
  addSignature(envelope, vkey.publicKey, sign(pae(envelope.payloadType, envelope.payload)), testCrypto);
const BOTH = signedBy(signedBy(DRAFT, alice), bob);

dsse("signing in any order gives the same bytes", () => {
  const other = signedBy(signedBy(DRAFT, bob), alice);
  assert.is(toHex(formatEnvelope(BOTH)), toHex(formatEnvelope(other)));
  assert.equal(parseEnvelope(formatEnvelope(BOTH)), BOTH);
});

dsse("a second signature by one key is refused", () => {
  assert.throws(() => signedBy(BOTH, alice), refusal("already-signed"));
});

dsse("a 17th signature is refused", () => {
  let envelope = DRAFT;
  for (let i = 0; i < 16; i++) envelope = signedBy(envelope, testKey(`signer ${i}`.replace(" ", "-")));
  assert.is(parseEnvelope(formatEnvelope(envelope)).signatures.length, 16);
  assert.throws(() => signedBy(envelope, alice), refusal("malformed-dsse"));
});

dsse("a threshold is met exactly", () => {
  assert.is(openEnvelope(BOTH, people, testCrypto, 2).length, 2);
  assert.throws(() => openEnvelope(BOTH, people, testCrypto, 3), refusal("approvals-missing"));
  assert.throws(() => openEnvelope(BOTH, people, testCrypto, 1), refusal("surplus-signature"));
});

dsse("a draft parses, and opens for nobody", () => {
  assert.equal(parseEnvelope(formatEnvelope(DRAFT)), DRAFT);
  assert.throws(() => openEnvelope(DRAFT, people, testCrypto), refusal("unsigned"));
});

const [first, second] = BOTH.signatures as [Envelope["signatures"][0], Envelope["signatures"][0]];

for (const [name, envelope, code] of [
  [
    "signatures of the two exchanged",
    {
      signatures: [
        { ...first, sig: second.sig },
        { ...second, sig: first.sig },
      ],
    },
    "bad-signature",
  ],
  [
    "the key id of a stranger",
    { signatures: [{ ...first, keyid: keyidOf(testKey("carol").vkey.publicKey, testCrypto) }] },
    "unknown-signer",
  ],
  ["one key twice", { signatures: [first, first] }, "surplus-signature"],
  ["another payload", { payload: utf8Encode("[]") }, "bad-signature"],
  ["another payload type", { payloadType: "text/plain" }, "bad-signature"],
] as const)
  dsse(`opens for nobody with: ${name}`, () => {
    assert.throws(() => openEnvelope({ ...BOTH, ...envelope }, people, testCrypto), refusal(code));
  });

const text = (envelope: Envelope) => Buffer.from(formatEnvelope(envelope)).toString();
const TEXT = text(BOTH);
const json = JSON.parse(TEXT) as {
  payload: string;
  payloadType: string;
  signatures: { keyid: string; sig: string }[];
};
const reworded = (change: object) => JSON.stringify({ ...json, ...change });
const [one, two] = json.signatures as [{ keyid: string; sig: string }, { keyid: string; sig: string }];

for (const [name, input, code] of [
  ["spaces", JSON.stringify(json, null, 1), "not-canonical-json"],
  ["a newline at the end", `${TEXT}\n`, "not-canonical-json"],
  [
    "keys in another order",
    JSON.stringify({ payloadType: IN_TOTO, payload: json.payload, signatures: json.signatures }),
    "not-canonical-json",
  ],
  ["sig before keyid", reworded({ signatures: [{ sig: one.sig, keyid: one.keyid }] }), "not-canonical-json"],
  ["an unknown key", reworded({ extra: 1 }), "malformed-dsse"],
  ["a certificate beside a signature", reworded({ signatures: [{ ...one, cert: "" }] }), "malformed-dsse"],
  ["no signatures key", JSON.stringify({ payload: json.payload, payloadType: IN_TOTO }), "malformed-dsse"],
  ["signatures in another order", reworded({ signatures: [two, one] }), "malformed-dsse"],
  ["one keyid twice", reworded({ signatures: [one, one] }), "malformed-dsse"],
  [
    "17 signatures",
    reworded({
      signatures: Array.from({ length: 17 }, (_, i) => ({ ...one, keyid: i.toString(16).padStart(64, "0") })),
    }),
    "malformed-dsse",
  ],
  [
    "an upper-case keyid",
    reworded({ signatures: [{ ...one, keyid: one.keyid.toUpperCase() }] }),
    "malformed-dsse",
  ],
  ["a short keyid", reworded({ signatures: [{ ...one, keyid: one.keyid.slice(2) }] }), "malformed-dsse"],
  [
    "a signature of 63 bytes",
    reworded({ signatures: [{ ...one, sig: Buffer.alloc(63).toString("base64") }] }),
    "malformed-dsse",
  ],
  ["base64 for URLs", reworded({ payload: "_-8=" }), "malformed-dsse"],
  ["base64 with stray bits", reworded({ payload: "e31=" }), "malformed-dsse"],
  ["an empty payload", reworded({ payload: "" }), "malformed-dsse"],
  ["another payload type", reworded({ payloadType: "application/json" }), "unsupported-statement"],
  ["an array", "[]", "malformed-dsse"],
  ["a byte more than a log entry holds", " ".repeat(MAX_DSSE + 1), "too-large"],
] as const)
  dsse(`refuses: ${name}`, () => assert.throws(() => parseEnvelope(utf8Encode(input)), refusal(code)));

dsse("printing and reading are inverse", () => {
  const hexId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
  const signature = fc.record(
    { keyid: hexId, sig: fc.uint8Array({ minLength: 64, maxLength: 64 }) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 100 }),
      fc.uniqueArray(signature, { maxLength: 16, selector: (s) => s.keyid }),
      (payload, list) => {
        const signatures = list.sort((a, b) => (a.keyid < b.keyid ? -1 : 1));
        const envelope = { payloadType: IN_TOTO, payload, signatures };
        assert.equal(parseEnvelope(formatEnvelope(envelope)), envelope);
      },
    ),
  );
});

dsse.run();
