import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import type { CborMap, CborValue } from "../src/cbor";
import { CBOR_STRICT, cborMap, decodeCbor, encodeCbor, mapGet } from "../src/cbor";
import { decodeSign1, encodeSign1, kidOf, sigStructure } from "../src/cose";
import { faultCode } from "../src/refusal";
import { sha256 } from "../src/sha256";
import { keyPairFromSeed, signEd25519, verifyEd25519 } from "../src/sign";
import type { Manifest } from "../src/suit";
import {
  decodeEnvelope,
  encodeEnvelope,
  encodeManifest,
  encodeUpload,
  fitsRevision,
  MAX_ENVELOPE,
  splitUpload,
  verifyEnvelope,
} from "../src/suit";
import { counting, flips, hex, publishedBytes, publishedJson } from "./vectors";

const suit = suite("suit");

const pair = keyPairFromSeed(counting(32));
const kid = kidOf(sha256(pair.publicKey));
const sign = (message: Uint8Array) => signEd25519(pair.secretKey, message);
const codeOf = ({ fault }: { fault: number }) => (fault === 0 ? "taken" : faultCode(fault));
const verdictOn = (bytes: Uint8Array, key = pair.publicKey) =>
  codeOf({ fault: verifyEnvelope(decodeEnvelope(bytes), key, sha256, verifyEd25519) });

const MANIFEST: Manifest = {
  sequence: 3,
  vendorId: counting(16, 1),
  classId: counting(16, 2),
  digest: counting(32, 3),
  size: 4096,
  floor: 2,
  version: "1.4.2",
  revisions: [],
};
const SIGNED = encodeEnvelope(encodeManifest(MANIFEST), sha256, kid, sign);
const UNSIGNED = encodeEnvelope(encodeManifest(MANIFEST), sha256, kid, null);

suit("a manifest comes back as it went in, signed or not", () => {
  for (const manifest of [
    MANIFEST,
    { ...MANIFEST, sequence: 0, size: 1, floor: 0, version: "" },
    { ...MANIFEST, sequence: 2 ** 40 },
  ])
    for (const signer of [sign, null]) {
      const bytes = encodeEnvelope(encodeManifest(manifest), sha256, kid, signer);
      const envelope = decodeEnvelope(bytes);
      assert.is(envelope.fault, 0);
      assert.equal(envelope.manifest, manifest);
      assert.is(toHex(envelope.manifestBytes), toHex(encodeManifest(manifest)));
      assert.is(envelope.auth.sign1 === null, signer === null);
      assert.is(verdictOn(bytes), signer === null ? "suit-unsigned" : "taken");
    }
});

suit("fits a slot's header with room to spare", () => assert.ok(SIGNED.length < 300, `${SIGNED.length}`));

suit("refuses a bit changed in any byte of the signed envelope", () => {
  for (const [at, bad] of flips(SIGNED)) assert.is.not(verdictOn(bad), "taken", `byte ${at}`);
});

suit(
  "refuses a bit changed in any byte of the unsigned envelope, before the missing signature is named",
  () => {
    for (const [at, bad] of flips(UNSIGNED)) {
      const envelope = decodeEnvelope(bad);
      const same =
        envelope.fault === 0 &&
        toHex(sha256(encodeCbor(envelope.manifestBytes))) === toHex(envelope.auth.digest);
      assert.not(same, `byte ${at}`);
    }
  },
);

suit("refuses every length but its own", () => {
  for (let end = 0; end < SIGNED.length; end++)
    assert.is(codeOf(decodeEnvelope(SIGNED.subarray(0, end))), "cbor-truncated");
  const longer = new Uint8Array(SIGNED.length + 1);
  longer.set(SIGNED);
  assert.is(codeOf(decodeEnvelope(longer)), "cbor-trailing");
});

suit("refuses an envelope longer than a slot's header before looking into it", () => {
  assert.is(codeOf(decodeEnvelope(new Uint8Array(MAX_ENVELOPE + 1))), "suit-too-large");
  assert.is(codeOf(decodeEnvelope(new Uint8Array(MAX_ENVELOPE))), "cbor-trailing");
});

suit("another vendor's key is named as the wrong signer", () => {
  const other = keyPairFromSeed(counting(32, 9));
  assert.is(verdictOn(SIGNED, other.publicKey), "suit-wrong-signer");
  // Signed by the other, under our kid.
  const forged = encodeEnvelope(encodeManifest(MANIFEST), sha256, kid, (m) =>
    signEd25519(other.secretKey, m),
  );
  assert.is(verdictOn(forged), "bad-signature");
});

suit("a signature for another manifest doesn't fit", () => {
  const other = encodeManifest({ ...MANIFEST, sequence: 4 });
  const { auth } = decodeEnvelope(SIGNED);
  const moved = (digestOf: Uint8Array) =>
    enveloped([encodeCbor([-16, sha256(encodeCbor(digestOf))]), auth.sign1], other);
  assert.is(verdictOn(moved(encodeManifest(MANIFEST))), "suit-digest-mismatch");
  assert.is(verdictOn(moved(other)), "bad-signature");
});

// ---- One flaw a row

function enveloped(
  authentication: CborValue,
  manifestBytes: CborValue,
  more: [CborValue, CborValue][] = [],
): Uint8Array {
  const map = cborMap([[2, encodeCbor(authentication)], [3, manifestBytes], ...more]);
  return encodeCbor({ tag: 107, value: map });
}
suit("the revisions an image is for come back, and a manifest that names none is for any", () => {
  const decoded = (revisions: string[]) =>
    decodeEnvelope(encodeEnvelope(encodeManifest({ ...MANIFEST, revisions }), sha256, kid, sign));
  const eight = ["A", "B", "C", "D", "E", "rev. 3é", "7", "x".repeat(40)];
  assert.equal(decoded(eight).manifest.revisions, eight);
  assert.equal(encodeManifest({ ...MANIFEST, revisions: ["B"] }).length - encodeManifest(MANIFEST).length, 8);
  assert.ok(fitsRevision(decoded(["A", "B"]).manifest, "B"));
  assert.not.ok(fitsRevision(decoded(["A", "B"]).manifest, "C"));
  assert.ok(fitsRevision(MANIFEST, "C"));
  for (const wrong of [[...eight, "I"], [""], ["A\n"], ["\u001b[2J"], ["\u0085"], ["x".repeat(41)]])
    assert.is(codeOf(decoded(wrong)), "suit-unsupported", JSON.stringify(wrong));
});

const BYTES = encodeManifest(MANIFEST);
const DIGEST = encodeCbor([-16, sha256(encodeCbor(BYTES))]);

for (const [name, bytes, code] of [
  [
    "no tag",
    encodeCbor(
      cborMap([
        [2, encodeCbor([DIGEST])],
        [3, BYTES],
      ]),
    ),
    "suit-malformed",
  ],
  ["the tag of a manifest", encodeCbor({ tag: 1070, value: cborMap([]) }), "suit-malformed"],
  ["no manifest", encodeCbor({ tag: 107, value: cborMap([[2, encodeCbor([DIGEST])]]) }), "suit-malformed"],
  ["no authentication", encodeCbor({ tag: 107, value: cborMap([[3, BYTES]]) }), "suit-malformed"],
  [
    "a manifest outside its byte string",
    enveloped([DIGEST], decodeCbor(BYTES, CBOR_STRICT).value),
    "suit-malformed",
  ],
  ["an authentication that isn't a list", enveloped(DIGEST, BYTES), "suit-malformed"],
  ["an empty authentication", enveloped([], BYTES), "suit-unsupported"],
  ["a SHA-384 digest", enveloped([encodeCbor([-43, counting(48)])], BYTES), "suit-unsupported"],
  ["a digest of 31 bytes", enveloped([encodeCbor([-16, counting(31)])], BYTES), "suit-unsupported"],
  ["two signatures", enveloped([DIGEST, DIGEST, DIGEST], BYTES), "suit-unsupported"],
  ["a signature of null", enveloped([DIGEST, null], BYTES), "suit-unsupported"],
  ["a payload inside", enveloped([DIGEST], BYTES, [["#app", counting(9)]]), "suit-unsupported"],
  ["severed text", enveloped([DIGEST], BYTES, [[23, hex("a0")]]), "suit-unsupported"],
] as const)
  suit(`refuses an envelope with ${name}`, () => assert.is(codeOf(decodeEnvelope(bytes)), code));

/** The manifest with one of its members changed; undefined takes it out. */
function changed(key: number, value: CborValue | undefined): Uint8Array {
  const map = decodeCbor(BYTES, CBOR_STRICT).value as CborMap;
  const pairs = map.keys
    .map((k, i): [CborValue, CborValue] => [k, map.values[i]!])
    .filter(([k]) => k !== key);
  return encodeCbor(cborMap(value === undefined ? pairs : [...pairs, [key, value]]));
}
const parameters = (change: [CborValue, CborValue][] = [], drop = 0): CborMap =>
  cborMap(
    [
      [1, MANIFEST.vendorId],
      [2, MANIFEST.classId],
      [3, encodeCbor([-16, MANIFEST.digest])],
      [14, MANIFEST.size],
      ...change,
    ].filter(([key], i, all) => key !== drop && all.findLastIndex(([k]) => k === key) === i) as [
      CborValue,
      CborValue,
    ][],
  );
const shared = (sequence: CborValue, components: CborValue = [[hex("00")]]) =>
  changed(
    3,
    encodeCbor(
      cborMap([
        [2, components],
        [4, encodeCbor(sequence)],
      ]),
    ),
  );
const usual = (map: CborMap): CborValue => [20, map, 1, 15, 2, 15];

suit("the flawed manifests below differ in their flaw alone", () => {
  assert.is(toHex(shared(usual(parameters()))), toHex(BYTES));
  assert.is(toHex(changed(1, 1)), toHex(BYTES));
});
for (const [name, bytes] of [
  ["version 2", changed(1, 2)],
  ["no version", changed(1, undefined)],
  ["a floor of 0", changed(-65537, 0)],
  ["a floor above its own sequence number", changed(-65537, 4)],
  ["a negative floor", changed(-65537, -1)],
  ["a floor in text", changed(-65537, "2")],
  ["another private member", changed(-65538, 2)],
  ["no sequence number", changed(2, undefined)],
  ["a negative sequence number", changed(2, -1)],
  ["a reference URI", changed(4, "https://vouch.example/")],
  ["no validation", changed(7, undefined)],
  ["a load step", changed(8, hex("80"))],
  ["another invocation", changed(9, encodeCbor([23, 15]))],
  ["a payload fetch", changed(20, hex("80"))],
  ["no common part", changed(3, undefined)],
  ["two components", shared(usual(parameters()), [[hex("00")], [hex("01")]])],
  ["a component of another name", shared(usual(parameters()), [[hex("01")]])],
  ["no vendor check", shared([20, parameters(), 2, 15])],
  ["no shared sequence", shared([])],
  ["no vendor id", shared(usual(parameters([], 1)))],
  ["no class id", shared(usual(parameters([], 2)))],
  ["no image digest", shared(usual(parameters([], 3)))],
  ["no image size", shared(usual(parameters([], 14)))],
  ["an empty image", shared(usual(parameters([[14, 0]])))],
  ["a vendor id of 15 bytes", shared(usual(parameters([[1, counting(15)]])))],
  ["an image digest of SHA-512", shared(usual(parameters([[3, encodeCbor([-44, counting(64)])]])))],
  ["a slot", shared(usual(parameters([[5, 1]])))],
  ["a device id", shared(usual(parameters([[24, counting(16)]])))],
] as const)
  suit(`leaves out manifests with ${name}`, () =>
    assert.is(codeOf(decodeEnvelope(enveloped([DIGEST], bytes))), "suit-unsupported"),
  );

const headed = (
  header: CborMap,
  payload: Uint8Array | null = null,
  unprotectedMap = cborMap([]),
): Uint8Array => {
  const signature = sign(sigStructure(encodeCbor(header), hex(""), DIGEST));
  if (unprotectedMap.keys.length === 0)
    return enveloped([DIGEST, encodeSign1(header, payload, signature)], BYTES);
  const sign1 = encodeCbor({ tag: 18, value: [encodeCbor(header), unprotectedMap, payload, signature] });
  return enveloped([DIGEST, sign1], BYTES);
};
for (const [name, bytes, code] of [
  [
    "the usual header",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
      ]),
    ),
    "taken",
  ],
  ["no kid", headed(cborMap([[1, -8]])), "suit-wrong-signer"],
  ["its kid unprotected", headed(cborMap([[1, -8]]), null, cborMap([[4, kid]])), "suit-wrong-signer"],
  [
    "another kid",
    headed(
      cborMap([
        [1, -8],
        [4, counting(8)],
      ]),
    ),
    "suit-wrong-signer",
  ],
  [
    "a typ",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
        [16, 263],
      ]),
    ),
    "cose-header",
  ],
  [
    "an unprotected header",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
      ]),
      null,
      cborMap([[99, 0]]),
    ),
    "cose-header",
  ],
  [
    "its payload attached",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
      ]),
      DIGEST,
    ),
    "suit-unsupported",
  ],
  [
    "ES256",
    headed(
      cborMap([
        [1, -7],
        [4, kid],
      ]),
    ),
    "cose-unsupported-algorithm",
  ],
  ["bytes that aren't COSE", enveloped([DIGEST, hex("00")], BYTES), "cose-malformed"],
] as const)
  suit(`a signature with ${name}: ${code}`, () => assert.is(verdictOn(bytes), code));

// ---- Published

interface Example {
  file: string;
  envelope_hex: string;
  envelope_signed_hex: string;
}
const EXAMPLES = publishedJson<{ cases: Example[] }>("suit-wg/examples.json").cases;
// What each of the others has that one component checked before boot does not need.
const LEFT_OUT: Record<string, string> = {
  example1: "fetches its payload",
  example2: "fetches it and has severed text",
  example3: "chooses between two slots",
  example4: "loads and decompresses",
  example5: "has two components",
};

suit("the draft has 6 examples, of which the one-component profile leaves out 5", () =>
  assert.equal(
    EXAMPLES.map(({ file }) => file),
    ["example0", ...Object.keys(LEFT_OUT)],
  ),
);

for (const { file, envelope_hex, envelope_signed_hex } of EXAMPLES)
  for (const [form, text] of [
    ["unsigned", envelope_hex],
    ["signed", envelope_signed_hex],
  ] as const) {
    suit(`${form} ${file} is CBOR in one encoding, and its digest is that of its manifest`, () => {
      const { fault, value } = decodeCbor(hex(text), CBOR_STRICT);
      assert.is(fault, 0);
      assert.is(toHex(encodeCbor(value!)), text);
      const envelope = (value as { value: CborValue }).value as CborMap;
      const authentication = decodeCbor(mapGet(envelope, 2) as Uint8Array, CBOR_STRICT).value as Uint8Array[];
      const manifest = mapGet(envelope, 3) as Uint8Array;
      assert.is(toHex(authentication[0]!), toHex(encodeCbor([-16, sha256(encodeCbor(manifest))])));
      assert.is(authentication.length, form === "signed" ? 2 : 1);
    });

    const why = LEFT_OUT[file];
    if (why === undefined)
      suit(`${form} ${file} is of our shape, and written again to the byte`, () => {
        const envelope = decodeEnvelope(hex(text));
        assert.is(envelope.fault, 0);
        assert.is(toHex(encodeManifest(envelope.manifest)), toHex(envelope.manifestBytes));
        assert.is(toHex(encodeEnvelope(envelope.manifestBytes, sha256, kid, null)), envelope_hex);
        // The draft signs with ES256, which no device here has.
        assert.is(verdictOn(hex(text)), form === "signed" ? "cose-unsupported-algorithm" : "suit-unsigned");
      });
    else
      suit(`${form} ${file}, which ${why}, is left out by name`, () =>
        assert.is(codeOf(decodeEnvelope(hex(text))), "suit-unsupported"),
      );
  }

suit("the worked envelope is of our shape and verifies; only its signature has no kid", () => {
  const bytes = publishedBytes("worked/release.suit");
  const key = publishedBytes("worked/maker.pub.raw");
  const envelope = decodeEnvelope(bytes);
  assert.is(envelope.fault, 0);
  assert.is(envelope.manifest.sequence, 3);
  assert.is(envelope.manifest.size, 4096);
  assert.is(toHex(envelope.manifest.digest), toHex(sha256(new Uint8Array(4096).fill(0x41))));
  assert.is(toHex(encodeManifest(envelope.manifest)), toHex(envelope.manifestBytes));

  const sign1 = decodeSign1(envelope.auth.sign1!);
  const digest = encodeCbor([-16, envelope.auth.digest]);
  assert.ok(verifyEd25519(key, sigStructure(sign1.protectedBytes, hex(""), digest), sign1.signature));
  const authentication = [digest, encodeSign1(sign1.protectedMap, null, sign1.signature)];
  assert.is(toHex(enveloped(authentication, envelope.manifestBytes)), toHex(bytes));
  assert.is(verdictOn(bytes, key), "suit-wrong-signer");
});

// ---- Uploads

suit("an upload comes apart into envelope and payload, an empty one included", () => {
  for (const payload of [counting(0), counting(1), counting(5000)]) {
    const upload = encodeUpload(SIGNED, payload);
    assert.is(
      toHex(upload.subarray(0, 4)),
      toHex(new Uint8Array([SIGNED.length & 255, SIGNED.length >> 8, 0, 0])),
    );
    const { fault, envelope, payload: back } = splitUpload(upload);
    assert.is(fault, 0);
    assert.is(toHex(envelope), toHex(SIGNED));
    assert.is(toHex(back), toHex(payload));
  }
});

for (const [name, bytes] of [
  ["no length", hex("010000")],
  ["length 0", hex("00000000ff")],
  ["length 1021", encodeCbor(new Uint8Array(2000)).fill(0).fill(0xfd, 0, 1).fill(3, 1, 2)],
  ["length 2^32 - 1", hex("ffffffff00")],
  ["an envelope cut short", hex("0300000001 02")],
] as const)
  suit(`refuses an upload with ${name}`, () => assert.is(codeOf(splitUpload(bytes)), "suit-upload"));

suit("takes an envelope of 1020 bytes and writes none longer", () => {
  assert.is(codeOf(splitUpload(encodeUpload(new Uint8Array(1020), hex("00")))), "taken");
  assert.throws(
    () => encodeUpload(new Uint8Array(1021), hex("00")),
    (error: unknown) => error instanceof Error && error.name === "Error",
  );
});

suit.run();
