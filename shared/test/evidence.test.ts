import { createPublicKey } from "node:crypto";
import { Sign1 as Peer } from "@auth0/cose";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto"; // hundreds of forgeries: tweetnacl would take its time
import { toHex, utf8Encode } from "../src/bytes";
import type { CborMap, CborValue } from "../src/cbor";
import { CBOR_STRICT, cborMap, decodeCbor, encodeCbor, isMap } from "../src/cbor";
import { encodeSign1, kidOf, sigStructure } from "../src/cose";
import type { Claims } from "../src/evidence";
import {
  challengeNonce,
  decodeClaims,
  decodeEvidence,
  EVIDENCE_PROFILE,
  encodeClaims,
  encodeEvidence,
  enrolNonce,
  evidenceMessage,
} from "../src/evidence";
import { faultCode } from "../src/refusal";
import { sha256 } from "../src/sha256";
import { keyPairFromSeed, signEd25519 } from "../src/sign";
import { counting, flips, hex, publishedBytes } from "./vectors";

const evidence = suite("evidence");

const pair = keyPairFromSeed(counting(32));
const kid = kidOf(sha256(pair.publicKey));
const sign = (message: Uint8Array) => signEd25519(pair.secretKey, message);
const codeOf = ({ fault }: { fault: number }) => (fault === 0 ? "taken" : faultCode(fault));

const ueid = counting(17);
ueid[0] = 1;
const CLAIMS: Claims = {
  nonce: counting(32, 100),
  ueid,
  hwmodel: utf8Encode("PUMP400"),
  hwversion: "B",
  uptime: 86400,
  dbgstat: 2,
  bootcount: 17,
  bootseed: counting(16, 50),
  components: [
    {
      name: "engine",
      version: "2.7.0",
      digest: counting(32, 1),
      keyedDigest: counting(32, 2),
      regionLength: 65536,
    },
    {
      name: "app",
      version: "1.4.2",
      digest: counting(32, 3),
      keyedDigest: counting(32, 4),
      regionLength: 262144,
    },
  ],
  vendorKid: counting(8, 200),
  floor: 2,
  sequence: 3,
  confirmed: true,
  manifestDigest: counting(32, 5),
};
const EVIDENCE = encodeEvidence(encodeClaims(CLAIMS), kid, sign);

function verifies(bytes: Uint8Array): boolean {
  const { fault, sign1 } = decodeEvidence(bytes);
  return fault === 0 && nodeCrypto.verifyEd25519(pair.publicKey, evidenceMessage(sign1), sign1.signature);
}

evidence("claims come back as they went in, with and without a manifest digest", () => {
  for (const manifestDigest of [CLAIMS.manifestDigest, null]) {
    const claims = { ...CLAIMS, manifestDigest };
    const bytes = encodeClaims(claims);
    assert.equal(decodeClaims(bytes), { fault: 0, claims });
    assert.is(toHex(encodeClaims(decodeClaims(bytes).claims!)), toHex(bytes));
  }
});

evidence("the labels are those of RFC 9711, in order, then the private ones", () => {
  const { value } = decodeCbor(encodeClaims(CLAIMS), CBOR_STRICT);
  assert.ok(isMap(value!));
  assert.equal(
    value.keys,
    [10, 256, 259, 260, 261, 263, 265, 267, 268, 273, -65537, -65538, -65539, -65540, -65541, -65542],
  );
});

evidence("the header is exactly alg, kid and typ, all protected", () => {
  const { sign1 } = decodeEvidence(EVIDENCE);
  assert.equal(
    sign1.protectedMap,
    cborMap([
      [1, -8],
      [4, kid],
      [16, 263],
    ]),
  );
  assert.equal(sign1.unprotectedMap, cborMap([]));
  assert.is(toHex(EVIDENCE.subarray(0, 2)), "d284");
});

evidence("verifies, and refuses a bit changed in any byte", () => {
  assert.ok(verifies(EVIDENCE));
  for (const [at, bad] of flips(EVIDENCE)) assert.not(verifies(bad), `byte ${at}`);
});

evidence("is refused at every length but its own", () => {
  for (let end = 0; end < EVIDENCE.length; end++)
    assert.is(codeOf(decodeEvidence(EVIDENCE.subarray(0, end))), "cbor-truncated");
  const longer = new Uint8Array(EVIDENCE.length + 1);
  longer.set(EVIDENCE);
  assert.is(codeOf(decodeEvidence(longer)), "cbor-trailing");
});

// ---- One flaw a row

const CLAIM_MAP = decodeCbor(encodeClaims(CLAIMS), CBOR_STRICT).value as CborMap;
const without = (label: number): CborMap =>
  cborMap(
    CLAIM_MAP.keys
      .map((key, i): [CborValue, CborValue] => [key, CLAIM_MAP.values[i]!])
      .filter(([key]) => key !== label),
  );
function having(label: number, value: CborValue): Uint8Array {
  const map = without(label);
  return encodeCbor({ keys: [...map.keys, label], values: [...map.values, value] });
}

for (const label of [10, 256, 259, 260, 261, 263, 267, 268, 273, -65537, -65538, -65539, -65540, -65541])
  evidence(`refuses claims without ${label}`, () =>
    assert.is(codeOf(decodeClaims(encodeCbor(without(label)))), "evidence-claim-missing"),
  );

const component = (map: CborMap): CborValue => [295, encodeCbor(map)];
const GOOD = cborMap([
  [1, ["app", ["1.4.2", 16384]]],
  [2, [1, counting(32)]],
]);
const KEYED: CborValue = [65536, counting(32)];
const measured = (...measurements: CborValue[]): [number, CborValue] => [273, measurements];

for (const [name, label, value] of [
  ["a nonce of 7 bytes", 10, counting(7)],
  ["a nonce of 65 bytes", 10, counting(65)],
  ["two nonces", 10, [counting(32), counting(32)]],
  ["a ueid that isn't RAND", 256, counting(17, 2)],
  ["a ueid of 16 bytes", 256, counting(16, 1)],
  ["an empty hwmodel", 259, hex("")],
  ["a hwmodel in text", 259, "PUMP400"],
  ["a hwversion outside its array", 260, "B"],
  ["a hwversion with a scheme", 260, ["B", 1]],
  ["a hwversion in bytes", 260, [hex("42")]],
  ["an empty hwversion", 260, [""]],
  ["a hwversion of 65 letters", 260, ["x".repeat(65)]],
  ["a negative uptime", 261, -1],
  ["dbgstat 5", 263, 5],
  ["dbgstat as a boolean", 263, true],
  ["a bootcount in text", 267, "17"],
  ["a bootseed of 32 bytes", 268, counting(32)],
  ["a vendor kid of 4 bytes", -65538, counting(4)],
  ["a negative floor", -65539, -1],
  ["a sequence of null", -65540, null],
  ["confirmed as 1", -65541, 1],
  ["a manifest digest of 31 bytes", -65542, counting(31)],
  ["a manifest digest of null", -65542, null],
  ["no component", ...measured()],
  ["one component with two keyed digests", ...measured(component(GOOD))],
  ["two components of one name", ...measured(component(GOOD), component(GOOD))],
  ["measurements that aren't a list", 273, encodeCbor(GOOD)],
  ["three keyed digests for two components", -65537, [KEYED, KEYED, KEYED]],
  ["a keyed digest of 20 bytes", -65537, [KEYED, [65536, counting(20)]]],
  ["a keyed digest without its length", -65537, [KEYED, [counting(32)]]],
  ["a negative region length", -65537, [KEYED, [-1, counting(32)]]],
] as [string, number, CborValue][])
  evidence(`refuses ${name}`, () =>
    assert.is(codeOf(decodeClaims(having(label, value))), "evidence-malformed"),
  );

for (const [name, one] of [
  ["of another content format", [258, encodeCbor(GOOD)]],
  ["outside its byte string", [295, GOOD]],
  ["that isn't CBOR", [295, hex("a1")]],
  ["with bytes after it", [295, hex("a000")]],
  [
    "with authorities",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [2, GOOD.values[1]!],
        [3, [counting(8)]],
      ]),
    ),
  ],
  [
    "with flags",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [2, GOOD.values[1]!],
        [4, counting(8)],
      ]),
    ),
  ],
  ["without a digest", component(cborMap([[1, GOOD.values[0]!]]))],
  [
    "with a raw measurement",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [5, counting(8)],
      ]),
    ),
  ],
  [
    "with SHA-384",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [2, [7, counting(48)]],
      ]),
    ),
  ],
  [
    "with the algorithm in text",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [2, ["sha-256", counting(32)]],
      ]),
    ),
  ],
  [
    "with a digest of 31 bytes",
    component(
      cborMap([
        [1, GOOD.values[0]!],
        [2, [1, counting(31)]],
      ]),
    ),
  ],
  [
    "with an empty name",
    component(
      cborMap([
        [1, ["", ["1", 16384]]],
        [2, GOOD.values[1]!],
      ]),
    ),
  ],
  [
    "with a name of 65 letters",
    component(
      cborMap([
        [1, ["x".repeat(65), ["1", 16384]]],
        [2, GOOD.values[1]!],
      ]),
    ),
  ],
  [
    "without a version",
    component(
      cborMap([
        [1, ["app"]],
        [2, GOOD.values[1]!],
      ]),
    ),
  ],
  [
    "with a version outside its array",
    component(
      cborMap([
        [1, ["app", "1"]],
        [2, GOOD.values[1]!],
      ]),
    ),
  ],
  [
    "with another version scheme",
    component(
      cborMap([
        [1, ["app", ["1", 1]]],
        [2, GOOD.values[1]!],
      ]),
    ),
  ],
] as [string, CborValue][])
  evidence(`refuses a component ${name}`, () => {
    const measurements = (CLAIM_MAP.values[CLAIM_MAP.keys.indexOf(273)] as CborValue[])[0]!;
    assert.is(codeOf(decodeClaims(having(273, [measurements, component(GOOD)]))), "taken");
    assert.is(codeOf(decodeClaims(having(273, [measurements, one]))), "evidence-malformed");
  });

evidence("refuses five components", () => {
  const one = CLAIMS.components[0]!;
  const components = ["a", "b", "c", "d", "e"].map((name) => ({ ...one, name }));
  assert.is(codeOf(decodeClaims(encodeClaims({ ...CLAIMS, components: components.slice(0, 4) }))), "taken");
  assert.is(codeOf(decodeClaims(encodeClaims({ ...CLAIMS, components }))), "evidence-malformed");
});

evidence("names a claim or a profile it doesn't know", () => {
  assert.is(codeOf(decodeClaims(having(270, "pump-fw"))), "evidence-claim-unknown");
  assert.is(codeOf(decodeClaims(having(-70000, 0))), "evidence-claim-unknown");
  assert.is(
    codeOf(decodeClaims(having(265, EVIDENCE_PROFILE.replace("#1", "#2")))),
    "evidence-unsupported-profile",
  );
  assert.is(codeOf(decodeClaims(encodeCbor(without(265)))), "evidence-unsupported-profile");
  assert.is(codeOf(decodeClaims(hex("00"))), "evidence-malformed");
  assert.is(codeOf(decodeClaims(hex("a2010001 00"))), "cbor-duplicate-key");
});

function headed(header: CborMap, payload: Uint8Array | null = encodeClaims(CLAIMS)): Uint8Array {
  const message = sigStructure(encodeCbor(header), hex(""), payload ?? hex(""));
  return encodeSign1(header, payload, sign(message));
}
for (const [name, bytes, code] of [
  [
    "no typ",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
      ]),
    ),
    "evidence-unsupported-type",
  ],
  [
    "typ of a JSON token",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
        [16, 264],
      ]),
    ),
    "evidence-unsupported-type",
  ],
  [
    "typ in text",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
        [16, "application/eat+cwt"],
      ]),
    ),
    "evidence-unsupported-type",
  ],
  [
    "no kid",
    headed(
      cborMap([
        [1, -8],
        [16, 263],
      ]),
    ),
    "evidence-header",
  ],
  [
    "a kid of 32 bytes",
    headed(
      cborMap([
        [1, -8],
        [4, counting(32)],
        [16, 263],
      ]),
    ),
    "evidence-header",
  ],
  [
    "another protected header",
    headed(
      cborMap([
        [1, -8],
        [3, 0],
        [4, kid],
        [16, 263],
      ]),
    ),
    "evidence-header",
  ],
  [
    "no payload",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
        [16, 263],
      ]),
      null,
    ),
    "evidence-malformed",
  ],
  [
    "claims that aren't CBOR",
    headed(
      cborMap([
        [1, -8],
        [4, kid],
        [16, 263],
      ]),
      hex("a1"),
    ),
    "cbor-truncated",
  ],
  [
    "ES256",
    headed(
      cborMap([
        [1, -7],
        [4, kid],
        [16, 263],
      ]),
    ),
    "cose-unsupported-algorithm",
  ],
] as const)
  evidence(`refuses evidence with ${name}`, () => assert.is(codeOf(decodeEvidence(bytes)), code));

evidence("refuses anything unprotected", () => {
  const { sign1 } = decodeEvidence(EVIDENCE);
  const bytes = encodeCbor({
    tag: 18,
    value: [sign1.protectedBytes, cborMap([[99, 0]]), sign1.payload, sign1.signature],
  });
  assert.is(codeOf(decodeEvidence(bytes)), "evidence-header");
});

evidence("refuses the worked example, of another profile and with its kid unprotected", () => {
  assert.is(codeOf(decodeEvidence(publishedBytes("worked/evidence.eat.cbor"))), "evidence-header");
  assert.is(
    codeOf(decodeClaims(publishedBytes("worked/evidence.claims.cbor"))),
    "evidence-unsupported-profile",
  );
});

// ---- Nonces

evidence("nonces hash a tag, what dates them, and the random bytes", () => {
  const node = (...pieces: Uint8Array[]) => toHex(sha256(Buffer.concat(pieces)));
  const [note, receipt, random] = [utf8Encode("log\n1\nroot\n"), utf8Encode("receipt"), counting(32)];
  const challenge = challengeNonce(sha256, note, receipt, random);
  assert.is(
    toHex(challenge),
    node(utf8Encode("vouch/challenge/v1\n"), sha256(note), sha256(receipt), random),
  );
  assert.is(toHex(enrolNonce(sha256, random)), node(utf8Encode("vouch/enrol/v1\n"), random));
});

// ---- Another implementation

evidence("@auth0/cose verifies our evidence, and refuses it with a bit changed", async () => {
  const x = Buffer.from(pair.publicKey).toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const peerTakes = async (bytes: Uint8Array) => {
    try {
      await Peer.decode(bytes).verify(key);
      return true;
    } catch {
      return false;
    }
  };
  assert.is(await peerTakes(EVIDENCE), true);
  assert.is(toHex(Peer.decode(EVIDENCE).payload), toHex(encodeClaims(CLAIMS)));
  // Payload and signature; flips in the framing are for decoders, and theirs forgives some.
  const signedFrom = EVIDENCE.length - 64 - 2 - encodeClaims(CLAIMS).length;
  for (const [at, bad] of flips(EVIDENCE)) {
    const framing = at >= EVIDENCE.length - 66 && at < EVIDENCE.length - 64;
    if (at >= signedFrom && !framing) assert.is(await peerTakes(bad), false, `byte ${at}`);
  }
});

evidence.run();
