// COSE receipts: the worked one and RFC 9942's example, ours at every place of every small
// tree, each flaw by name, and other implementations' opinion of both.

import { createPublicKey } from "node:crypto";
import { Sign1 as Peer } from "@auth0/cose";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, equalBytes, toHex, utf8Encode } from "../src/bytes";
import { type CborValue, cborMap, decodeCbor, encodeCbor, isMap, isTag } from "../src/cbor";
import { kidOf, sigStructure } from "../src/cose";
import { draftReceipt, formatReceipt, isCoseReceipt, openCoseReceipt, readReceipt } from "../src/cosereceipt";
import { leafHash, memoryReader, proveInclusion, rootFromInclusion, rootOf } from "../src/merkle";
import { isRefusal } from "../src/refusal";
import { testCrypto as crypto, testKey } from "./keys";
import { flips, hex, publishedBytes, publishedJson, refusal } from "./vectors";

const receipts = suite("cosereceipt");

const log = testKey("fwlog.example");
const RECORDS = Array.from({ length: 20 }, (_, i) => utf8Encode(`record ${i}`));
const READER = memoryReader(
  RECORDS.map((record) => leafHash(record, crypto)),
  crypto,
);

function receiptOf(index: number, size: number): Uint8Array {
  const hashes = proveInclusion(BigInt(index), BigInt(size), READER, crypto);
  const draft = draftReceipt(rootOf(BigInt(size), READER, crypto), log.vkey, crypto);
  return formatReceipt(draft, { size: BigInt(size), index: BigInt(index), hashes }, log.sign(draft.message));
}

receipts("the worked receipt opens, and is byte for byte what ours would be but for its issuer", () => {
  const bytes = publishedBytes("worked/release.receipt.cbor");
  const publicKey = publishedBytes("worked/log.pub.raw");
  const opened = openCoseReceipt(bytes, publishedBytes("worked/release.dsse.json"), { publicKey }, crypto);
  assert.is(opened.index, 2n);
  assert.is(opened.size, 5n);
  assert.is(opened.issuer, "https://example.org/firmware-log");
  assert.ok(equalBytes(opened.root, publishedBytes("worked/release.receipt.root")));
  const vkey = { ...log.vkey, name: "https://example.org/firmware-log", publicKey };
  const draft = draftReceipt(opened.root, vkey, crypto);
  assert.is(toHex(formatReceipt(draft, opened, bytes.slice(-64))), toHex(bytes));
});

receipts(
  "RFC 9942's example folds to the root that its consistency proof gives; its ES256 is not for us",
  () => {
    const example = publishedJson<Record<string, string>>("cose-receipts/cose-receipts.json");
    const bytes = hex(example["inclusion_cbor_hex"]!);
    assert.ok(isCoseReceipt(bytes));
    assert.throws(() => readReceipt(bytes), refusal("cose-unsupported-algorithm"));
    // With -8 in place of -7 (one byte of the protected header) the rest is read as it stands.
    const at = Buffer.from(bytes).indexOf(Buffer.from("0126", "hex"));
    const read = readReceipt(bytes.map((byte, i) => (i === at + 1 ? 0x27 : byte)));
    assert.equal([read.size, read.index, read.issuer], [5n, 3n, "https://transparency-service.example.com"]);
    const leaf = hex(example["leaf_hash_hex"]!);
    const root = rootFromInclusion(leaf, read.index, read.size, [...read.hashes], crypto);
    const [h2, h3, h01, h4] = consistencyPath(hex(example["consistency_cbor_hex"]!));
    const node = (a: Uint8Array, b: Uint8Array) => crypto.sha256(concatBytes([Uint8Array.of(1), a, b]));
    assert.is(toHex(root), toHex(node(node(h01!, node(h2!, h3!)), h4!)));
  },
);

function consistencyPath(bytes: Uint8Array): Uint8Array[] {
  const { value } = decodeCbor(bytes, 1);
  const parts = isTag(value!) ? (value.value as CborValue[]) : [];
  const proofs = isMap(parts[1]) ? parts[1].values[0] : undefined;
  const proof = isMap(proofs) ? (proofs.values[0] as Uint8Array[])[0] : undefined;
  return ((decodeCbor(proof!, 1).value as CborValue[])[2] as Uint8Array[]) ?? [];
}

receipts("each record of each tree to 20 has a receipt of its own, but for a tree of one", () => {
  for (let size = 2; size <= 20; size++)
    for (let index = 0; index < size; index++) {
      const bytes = receiptOf(index, size);
      const opened = openCoseReceipt(bytes, RECORDS[index]!, log.vkey, crypto);
      assert.equal(
        [opened.size, opened.index, opened.issuer],
        [BigInt(size), BigInt(index), "fwlog.example"],
      );
      const other = RECORDS[(index + 1) % size]!;
      assert.throws(() => openCoseReceipt(bytes, other, log.vkey, crypto), refusal("bad-signature"));
    }
  assert.throws(() => receiptOf(0, 1), refusal("receipt-empty-path"));
});

receipts("no bit of a receipt can change what it proves", () => {
  const bytes = receiptOf(9, 20);
  const original = openCoseReceipt(bytes, RECORDS[9]!, log.vkey, crypto);
  let sizes = 0;
  for (let bit = 0; bit < 8; bit++)
    for (let at = 0; at < bytes.length; at++) {
      const bent = bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte));
      try {
        const opened = openCoseReceipt(bent, RECORDS[9]!, log.vkey, crypto);
        // Size and index are not signed: what is left of them is what folds to the same root.
        assert.is(toHex(opened.root), toHex(original.root), `byte ${at}`);
        sizes++;
      } catch (error) {
        assert.ok(isRefusal(error), `byte ${at}: ${error}`);
      }
    }
  assert.ok(sizes < 16, `${sizes} changes passed`);
});

const KID = kidOf(crypto.sha256(log.vkey.publicKey));
const ROOT = rootOf(20n, READER, crypto);
const PATH = proveInclusion(9n, 20n, READER, crypto);

/** A receipt signed for real, of these parts. */
function signed(header: [CborValue, CborValue][], unprotected: CborValue, payload: Uint8Array | null = null) {
  const protectedBytes = encodeCbor(cborMap(header));
  const signature = log.sign(sigStructure(protectedBytes, new Uint8Array(0), ROOT));
  return encodeCbor({ tag: 18, value: [protectedBytes, unprotected, payload, signature] });
}
const HEADER: [CborValue, CborValue][] = [
  [1, -8],
  [4, KID],
  [395, 1],
];
const proofs = (...list: CborValue[]) => cborMap([[396, cborMap([[-1, list]])]]);
const PROOF = encodeCbor([20, 9, PATH]);

receipts("takes -19, no kid, another kid, no issuer, and labels beside the proof", () => {
  for (const [header, unprotected] of [
    [HEADER, proofs(PROOF)],
    [
      [
        [1, -19],
        [395, 1],
      ],
      proofs(PROOF),
    ],
    [
      [
        [1, -8],
        [4, hex("0102")],
        [395, 1],
      ],
      proofs(PROOF),
    ],
    [
      [
        [1, -8],
        [2, [395]],
        [395, 1],
      ],
      proofs(PROOF),
    ],
    [
      HEADER,
      cborMap([
        [33, hex("00")],
        [396, cborMap([[-1, [PROOF]]])],
      ]),
    ],
  ] as [[CborValue, CborValue][], CborValue][])
    assert.is(openCoseReceipt(signed(header, unprotected), RECORDS[9]!, log.vkey, crypto).issuer, null);
});

for (const [name, code, bytes] of [
  [
    "another algorithm",
    "cose-unsupported-algorithm",
    signed(
      [
        [1, -7],
        [395, 1],
      ],
      proofs(PROOF),
    ),
  ],
  [
    "an unknown critical header",
    "cose-unsupported-critical",
    signed(
      [
        [1, -8],
        [2, [77]],
        [395, 1],
      ],
      proofs(PROOF),
    ),
  ],
  [
    "another data structure",
    "unsupported-structure",
    signed(
      [
        [1, -8],
        [395, 2],
      ],
      proofs(PROOF),
    ),
  ],
  ["none named", "unsupported-structure", signed([[1, -8]], proofs(PROOF))],
  ["a payload", "malformed-cose-receipt", signed(HEADER, proofs(PROOF), ROOT)],
  ["no proof", "malformed-cose-receipt", signed(HEADER, proofs())],
  ["two proofs", "malformed-cose-receipt", signed(HEADER, proofs(PROOF, PROOF))],
  [
    "a consistency proof",
    "malformed-cose-receipt",
    signed(HEADER, cborMap([[396, cborMap([[-2, [PROOF]]])]])),
  ],
  ["an empty path", "malformed-cose-receipt", signed(HEADER, proofs(encodeCbor([1, 0, []])))],
  [
    "65 hashes",
    "malformed-cose-receipt",
    signed(HEADER, proofs(encodeCbor([20, 9, Array.from({ length: 65 }, () => ROOT)]))),
  ],
  [
    "a hash of 31 bytes",
    "malformed-cose-receipt",
    signed(HEADER, proofs(encodeCbor([20, 9, [ROOT.slice(1)]]))),
  ],
  ["a negative size", "malformed-cose-receipt", signed(HEADER, proofs(encodeCbor([-20, 9, PATH])))],
  ["an index beyond the tree", "malformed-proof", signed(HEADER, proofs(encodeCbor([20, 20, PATH])))],
  ["a path of another length", "malformed-proof", signed(HEADER, proofs(encodeCbor([20, 9, PATH.slice(1)])))],
  ["another index", "bad-signature", signed(HEADER, proofs(encodeCbor([20, 8, PATH])))],
  ["16 KiB and a byte", "too-large", new Uint8Array(16 * 1024 + 1)],
  ["no COSE", "malformed-cose-receipt", utf8Encode("c2sp.org/tlog-proof@v1\n")],
  ["nothing", "malformed-cose-receipt", new Uint8Array(0)],
] as const)
  receipts(`refuses: ${name}`, () => {
    assert.throws(() => openCoseReceipt(bytes, RECORDS[9]!, log.vkey, crypto), refusal(code));
  });

receipts("evidence is no receipt", () => {
  assert.not(isCoseReceipt(publishedBytes("worked/evidence.eat.cbor")));
});

receipts("@auth0/cose verifies our receipt with its root as payload, and refuses a bit changed", async () => {
  const x = Buffer.from(log.vkey.publicKey).toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const peerTakes = async (bytes: Uint8Array, root: Uint8Array) => {
    try {
      const decoded = Peer.decode(bytes);
      const attached = new Peer(
        decoded.protectedHeaders,
        decoded.unprotectedHeaders,
        root,
        decoded.signature,
      );
      await attached.verify(key);
      return true;
    } catch {
      return false;
    }
  };
  const bytes = receiptOf(9, 20);
  assert.is(await peerTakes(bytes, ROOT), true);
  assert.is(await peerTakes(bytes, rootOf(19n, READER, crypto)), false);
  for (const [at, bent] of flips(bytes))
    if (at >= bytes.length - 64) assert.is(await peerTakes(bent, ROOT), false, `byte ${at}`);
});

receipts.run();
