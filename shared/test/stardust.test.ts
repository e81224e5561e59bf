// Receipts of Tangles: what becomes of those of real networks, of inx-poi's own verdicts on spoiled proofs, and of
// milestones by keys of our choosing. stardust-bent.test.ts bends receipts byte by byte.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { fromHex, toHex, utf8Encode } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { blockIdOf, decodeBlock } from "../src/stardust/block";
import { foldPath, inclusionPath, inclusionRoot } from "../src/stardust/inclusion";
import { decodeMilestone } from "../src/stardust/milestone";
import { receiptFromPoi } from "../src/stardust/poi";
import {
  formatStardustReceipt,
  parseStardustReceipt,
  type StardustReceipt,
  verifyStardustReceipt,
} from "../src/stardust/proof";
import { makeTrust, rootOfTrust, type Trust } from "../src/stardust/trust";
import { anchorOnTangle, makeTangle, someId } from "./stardust-kit";
import {
  ANCHORS,
  codeOf,
  FOREIGN,
  hex,
  type Json,
  keyOf,
  noteOf,
  OTHER,
  ROOT,
  receiptOf,
  TRUST,
  verify,
} from "./stardust-recorded";
import { publishedBytes, publishedJson, refusal } from "./vectors";

const stardust = suite("stardust");

stardust("TIP-4: the root over seven blocks, and each one's path to it", () => {
  const ids = [
    "52fdfc072182654f163f5f0f9a621d729566c74d10037c4d7bbb0407d1e2c649",
    "81855ad8681d0d86d1e91e00167939cb6694d2c422acd208a0072939487f6999",
    "eb9d18a44784045d87f3c67cf22746e995af5a25367951baa2ff6cd471c483f1",
    "5fb90badb37c5821b6d95526a41a9504680b4e7c8b763a1b1d49d4955c848621",
    "6325253fec738dd7a9e28bf921119c160f0702448615bbda08313f6a8eb668d2",
    "0bf5059875921e668a5bdf2c7fc4844592d2572bcd0668d2d6c52f5054e2d083",
    "6bf84c7174cb7476364cc3dbd968b0f7172ed85794bb358b0c3b525da1786f9f",
  ].map((id) => fromHex(id)!);
  const root = inclusionRoot(ids);
  assert.is(toHex(root), "bf67ce7ba23e8c0951b5abaec4f5524360d2c26d971ff226d3359fa70cdb0beb");
  ids.forEach((id, place) => {
    assert.equal(foldPath(id, inclusionPath(ids, place)), root);
  });
  assert.is(
    toHex(inclusionRoot([])),
    "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8", // BLAKE2b-256 of nothing
  );
});

stardust("paths of every place in trees of up to 33 blocks lead to the root, and to it alone", () => {
  for (let count = 1; count <= 33; count++) {
    const ids = Array.from({ length: count }, (_, i) => someId(`${count}/${i}`));
    const root = inclusionRoot(ids);
    ids.forEach((id, place) => {
      const path = inclusionPath(ids, place);
      assert.equal(foldPath(id, path), root);
      assert.not.equal(foldPath(ids[(place + 1) % count]!, path), count === 1 ? null : root);
    });
  }
});

for (const folder of ANCHORS)
  stardust(`${folder} verifies: block, path, milestone and both signatures`, () => {
    const anchor = publishedJson<Json>(`${folder}/anchor.json`);
    const receipt = receiptOf(folder);
    assert.equal(receipt.block, publishedBytes(`${folder}/block.bin`));
    assert.equal(receipt.milestone, publishedBytes(`${folder}/milestone.bin`));
    const proof = verify(receipt, noteOf(folder));
    assert.equal(proof, {
      time: anchor.milestoneTimestamp,
      index: anchor.milestoneIndex,
      milestoneId: keyOf(anchor.milestoneId),
      blockId: keyOf(anchor.blockId),
      network: "fwproof-ci",
      signers: 2,
      threshold: 2,
      tag: utf8Encode("fwproof/v1"),
      trustDigest: ROOT.digest,
      retired: null,
    });
    assert.is(receipt.path.length, anchor.pathDepth);
    const file = formatStardustReceipt(receipt);
    assert.equal(verifyStardustReceipt(file, noteOf(folder), portableCrypto), proof);
    assert.equal(parseStardustReceipt(file), receipt);
  });

stardust(
  "the anchor of a network with the same name and other keys is refused, whoever's keys it brings",
  () => {
    const note = noteOf(FOREIGN);
    assert.is(OTHER.network, TRUST.network);
    assert.is(verify(receiptOf(FOREIGN, OTHER), note, [rootOfTrust(OTHER, nodeCrypto)]).signers, 2);
    assert.throws(() => verify(receiptOf(FOREIGN, OTHER), note), refusal("ledger-not-trusted"));
    assert.throws(() => verify(receiptOf(FOREIGN, TRUST), note), refusal("milestone-signer-unknown"));
    const merged = makeTrust({ ...TRUST, keys: [...TRUST.keys, ...OTHER.keys] });
    assert.throws(() => verify(receiptOf(FOREIGN, merged), note), refusal("ledger-not-trusted"));
  },
);

stardust("the same digest under another name in the policy is refused", () => {
  const renamed = { ...ROOT, network: "hospital-tangle" };
  assert.throws(
    () => verify(receiptOf(ANCHORS[0]!), noteOf(ANCHORS[0]!), [renamed]),
    refusal("ledger-not-trusted"),
  );
  assert.throws(() => verify(receiptOf(ANCHORS[0]!), noteOf(ANCHORS[0]!), []), refusal("ledger-not-trusted"));
});

// What the plugin said of each stands in the recording; five of these it called valid.
const judged: readonly [recording: string, plugin: boolean, ours: string][] = [
  ["good", true, "none"],
  ["uppercase-hex", true, "none"],
  ["unknown-field", true, "malformed-poi"],
  ["same-signature-twice", true, "milestone-signer-repeated"],
  ["second-signature-twice", true, "milestone-signer-repeated"],
  ["swapped-signatures", true, "milestone-signers-unsorted"],
  ["three-signatures", true, "milestone-signer-repeated"],
  ["one-signature", false, "milestone-threshold"],
  ["foreign-extra-signature", false, "milestone-signers-unsorted"],
  ["foreign-network", false, "milestone-signer-unknown"],
  ["tampered-data", false, "poi-leaf-mismatch"],
  ["tampered-leaf", false, "poi-leaf-mismatch"],
  ["tampered-merkle-root", false, "block-not-included"],
  ["tampered-path", false, "block-not-included"],
  ["tampered-signature", false, "milestone-signature"],
  ["tampered-timestamp", false, "milestone-signature"],
];
for (const [name, plugin, ours] of judged)
  stardust(
    `recorded proof ${name}: the plugin said ${plugin}, here ${ours === "none" ? "it holds" : ours}`,
    () => {
      const { request, response } = publishedJson<Json>(`stardust/exchanges/poi-validate-${name}.json`);
      assert.is(response.body.json.valid, plugin);
      const poi = request.body.json;
      assert.is(
        codeOf(() =>
          verify(receiptFromPoi(poi, TRUST), fromHex(poi.block.payload.data.slice(2).toLowerCase())!),
        ),
        ours,
      );
    },
  );

stardust("proofs of another network's recording, and one kept by hand, verify under their own keys", () => {
  const own = publishedJson<Json>("stardust/trust-own-private-net.json");
  const trust = makeTrust({
    network: own.networkName,
    threshold: own.milestonePublicKeyCount,
    keys: own.publicKeyRanges.map((range: Json) => ({ ...range, key: keyOf(range.key) })),
  });
  for (const name of ["poi-deep", "poi-own-private-net"]) {
    const poi = publishedJson<Json>(`stardust/${name}.json`);
    const data = keyOf(poi.block.payload.data);
    assert.is(verify(receiptFromPoi(poi, trust), data, [rootOfTrust(trust, nodeCrypto)]).signers, 2);
  }
});

stardust("Chronicle's form for a milestone that referenced one block alone", () => {
  const tangle = makeTangle("lone");
  const note = utf8Encode("note");
  const receipt = anchorOnTangle(tangle, note, { time: 1000, neighbours: 0, place: 0 });
  const poi = poiJson(receipt, { l: { value: hex(blockIdOf(receipt.block)) } });
  assert.equal(receiptFromPoi(poi, tangle.trust), receipt);
  assert.is(verify(receipt, note, [rootOfTrust(tangle.trust, nodeCrypto)]).time, 1000);
});

/** The JSON that a node gives for what the kit made. */
function poiJson(receipt: StardustReceipt, proof: unknown): Json {
  const { parents, tag, data, nonce } = decodeBlock(receipt.block);
  return {
    milestone: milestoneJson(receipt.milestone),
    block: {
      protocolVersion: 2,
      parents: parents.map(hex),
      payload: { type: 5, tag: hex(tag), data: hex(data) },
      nonce: String(nonce),
    },
    proof,
  };
}

/** Only for milestones without metadata and options, with one parent. */
function milestoneJson(bytes: Uint8Array): Json {
  const view = Buffer.from(bytes);
  const { index, timestamp, signatures } = decodeMilestone(bytes);
  const at = (start: number) => hex(bytes.slice(start, start + 32));
  return {
    type: 7,
    index,
    timestamp,
    protocolVersion: view[12],
    previousMilestoneId: at(13),
    parents: [at(46)],
    inclusionMerkleRoot: at(78),
    appliedMerkleRoot: at(110),
    signatures: signatures.map(({ key, signature }) => ({
      type: 0,
      publicKey: hex(key),
      signature: hex(signature),
    })),
  };
}

stardust("keys count in their ranges alone, and the threshold counts keys", () => {
  const tangle = makeTangle("ranges", 4, 2);
  const note = utf8Encode("note");
  const [a, b, c] = tangle.trust.keys;
  const code = (keys: Trust["keys"], signers: number[], threshold = 2) => {
    const trust = makeTrust({ ...tangle.trust, threshold, keys });
    const receipt = anchorOnTangle({ ...tangle, trust }, note, { time: 1, index: 100, signers });
    return codeOf(() => verify(receipt, note, [rootOfTrust(trust, nodeCrypto)]));
  };
  const entries = tangle.trust.keys;
  assert.is(code(entries, [0, 1]), "none");
  assert.is(code(entries, [0, 1, 2, 3]), "none");
  assert.is(code(entries, [0]), "milestone-threshold");
  assert.is(code(entries, []), "milestone-threshold");
  assert.is(code(entries, [1, 0]), "milestone-signers-unsorted");
  assert.is(code(entries, [0, 0]), "milestone-signer-repeated");
  assert.is(code(entries, [0, 1, 0]), "milestone-signer-repeated");
  assert.is(code([a!, b!], [0, 1, 2]), "milestone-signer-unknown"); // a third that nobody trusts spoils the two
  for (const [start, end, expected] of [
    [100, 100, "none"],
    [0, 100, "none"],
    [100, 0, "none"],
    [101, 0, "milestone-signer-unknown"],
    [0, 99, "milestone-signer-unknown"],
  ] as const)
    assert.is(code([{ ...a!, start, end }, b!, c!], [0, 1]), expected, `${start} to ${end}`);
});

stardust.run();
