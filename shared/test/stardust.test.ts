// Receipts of Tangles: what a real network's node, coordinator and inx-poi gave (vectors/published/stardust), what
// becomes of each when a field is bent, and @iota/iota.js, which lays out the same bytes by other means.

import {
  type IBlock,
  type IMilestonePayload,
  milestoneIdFromMilestonePayload,
  serializeBlock,
  serializeMilestonePayload,
  TransactionHelper,
} from "@iota/iota.js";
import { WriteStream } from "@iota/util.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { concatBytes, equalBytes, fromHex, toBase64, toHex, utf8Encode } from "../src/bytes";
import { type Crypto, portableCrypto } from "../src/crypto";
import { isRefusal } from "../src/refusal";
import { blockIdOf, decodeBlock, encodeBlock, type TaggedBlock } from "../src/stardust/block";
import { foldPath, inclusionPath, inclusionRoot } from "../src/stardust/inclusion";
import { compareBytes } from "../src/stardust/layout";
import { decodeMilestone, encodeEssence, encodeMilestone, milestoneIdOf } from "../src/stardust/milestone";
import { receiptFromPoi } from "../src/stardust/poi";
import { PRESETS, retiredPreset } from "../src/stardust/presets";
import {
  formatStardustReceipt,
  parseStardustReceipt,
  type StardustReceipt,
  verifyStardustReceipt,
} from "../src/stardust/proof";
import { formatStardustRoot, parseStardustRoot } from "../src/stardust/root";
import {
  formatTrust,
  makeTrust,
  parseTrust,
  rootOfTrust,
  type Trust,
  trustDigest,
} from "../src/stardust/trust";
import { random } from "./random";
import { anchorOnTangle, makeTangle, someId } from "./stardust-kit";
import { flips, publishedBytes, publishedJson, refusal } from "./vectors";

const stardust = suite("stardust");

interface RecordedTrust {
  readonly networkName: string;
  readonly threshold: number;
  readonly publicKeyRanges: readonly { key: string; start: number; end: number }[];
}

// biome-ignore lint/suspicious/noExplicitAny: JSON as it was served
type Json = any;

const keyOf = (text: string) => fromHex(text.replace(/^0x/, ""))!;
function recordedTrust(path: string): Trust {
  const { networkName, threshold, publicKeyRanges } = publishedJson<RecordedTrust>(path);
  return makeTrust({
    network: networkName,
    threshold,
    keys: publicKeyRanges.map(({ key, start, end }) => ({ key: keyOf(key), start, end })),
  });
}

const TRUST = recordedTrust("stardust/trust.json");
const OTHER = recordedTrust("stardust/anchors-other-network/trust.json");
const ROOT = rootOfTrust(TRUST, nodeCrypto);
const ANCHORS = ["a1-alone", "a2-six-neighbours", "a3-twenty-neighbours"].map(
  (name) => `stardust/anchors/${name}`,
);
const FOREIGN = "stardust/anchors-other-network/pow100";
const hex = (bytes: Uint8Array) => `0x${toHex(bytes)}`;

const poiOf = (folder: string) => publishedJson<Json>(`${folder}/poi.json`);
const receiptOf = (folder: string, trust = TRUST) => receiptFromPoi(poiOf(folder), trust);
const noteOf = (folder: string) => publishedBytes(`${folder}/payload.txt`);
const verify = (receipt: StardustReceipt, note: Uint8Array, roots = [ROOT]) =>
  verifyStardustReceipt(formatStardustReceipt(receipt), note, nodeCrypto, roots);

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
};

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

// Which field of the milestone a byte belongs to, and what bending it may be called.
const MALFORMED = "milestone-malformed";
const SIGNED = "milestone-signature";
const FIELDS: readonly [name: string, bytes: number, codes: readonly string[]][] = [
  ["type", 4, [MALFORMED]],
  ["index", 4, [SIGNED]],
  ["timestamp", 4, [SIGNED]],
  ["protocol version", 1, ["stardust-unsupported"]],
  ["previous milestone", 32, [SIGNED]],
  ["count of parents", 1, [MALFORMED]],
  ["parents", 64, [SIGNED, MALFORMED]],
  ["inclusion root", 32, ["block-not-included"]],
  ["applied root", 32, [SIGNED]],
  ["length of metadata", 2, [MALFORMED, "stardust-unsupported"]],
  ["count of options", 1, [MALFORMED, "stardust-unsupported"]],
  ["count of signatures", 1, [MALFORMED]],
  ["kind of a signature", 1, ["stardust-unsupported"]],
  ["first key", 32, ["milestone-signer-unknown", "milestone-signers-unsorted"]],
  ["first signature", 64, [SIGNED]],
  ["kind of the second", 1, ["stardust-unsupported"]],
  ["second key", 32, ["milestone-signer-unknown", "milestone-signers-unsorted"]],
  ["second signature", 64, [SIGNED]],
];

stardust("every byte of a milestone bent: refused, and called by its field", () => {
  const receipt = receiptOf(ANCHORS[0]!);
  const fields = FIELDS.flatMap(([name, bytes, codes]) =>
    Array.from({ length: bytes }, () => ({ name, codes })),
  );
  assert.is(fields.length, receipt.milestone.length);
  for (const [at, milestone] of flips(receipt.milestone)) {
    const { name, codes } = fields[at]!;
    const code = codeOf(() => verify({ ...receipt, milestone }, noteOf(ANCHORS[0]!)));
    assert.ok(codes.includes(code), `${name}, byte ${at}: ${code}`);
  }
});

stardust("every byte of a block bent: refused, and called by its field", () => {
  for (const folder of ANCHORS) {
    const receipt = receiptOf(folder);
    const { block } = receipt;
    const payload = 2 + 32 * block[1]!;
    const data = payload + 4 + 4 + 1 + 10 + 4;
    for (const [at, bent] of flips(block)) {
      const code = codeOf(() => verify({ ...receipt, block: bent }, noteOf(folder)));
      const expected =
        at === 0
          ? ["stardust-unsupported"]
          : at === 1
            ? ["block-malformed", "stardust-unsupported"]
            : at < payload
              ? ["block-not-included", "block-malformed"]
              : at < payload + 4
                ? ["block-malformed"]
                : at < payload + 8
                  ? ["stardust-unsupported"]
                  : at === payload + 8
                    ? ["block-malformed"]
                    : at < payload + 19
                      ? ["block-not-included"]
                      : at < data
                        ? ["block-malformed"]
                        : at < block.length - 8
                          ? ["note-mismatch"]
                          : ["block-not-included"];
      assert.ok(expected.includes(code), `byte ${at}: ${code}, expected ${expected}`);
    }
  }
});

stardust("every byte of a path bent, every step dropped, doubled or turned: refused", () => {
  const folder = ANCHORS[2]!;
  const receipt = receiptOf(folder);
  const refused = (path: StardustReceipt["path"], what: string) =>
    assert.is(
      codeOf(() => verify({ ...receipt, path }, noteOf(folder))),
      "block-not-included",
      what,
    );
  receipt.path.forEach((step, i) => {
    const replaced = (...steps: StardustReceipt["path"]) => [
      ...receipt.path.slice(0, i),
      ...steps,
      ...receipt.path.slice(i + 1),
    ];
    for (const [at, hash] of flips(step.hash)) refused(replaced({ ...step, hash }), `step ${i}, byte ${at}`);
    refused(replaced(), `step ${i} dropped`);
    refused(replaced(step, step), `step ${i} doubled`);
    refused(replaced({ ...step, side: step.side === "left" ? "right" : "left" }), `step ${i} turned`);
  });
  refused([...receipt.path].reverse(), "reversed");
});

stardust("every byte of a receipt file bent, and the file cut at every length: refused", () => {
  const file = formatStardustReceipt(receiptOf(ANCHORS[1]!));
  const note = noteOf(ANCHORS[1]!);
  const codes = new Set<string>();
  for (const [, bent] of flips(file))
    codes.add(codeOf(() => verifyStardustReceipt(bent, note, nodeCrypto, [ROOT])));
  for (let length = 0; length < file.length; length++)
    codes.add(codeOf(() => verifyStardustReceipt(file.slice(0, length), note, nodeCrypto, [ROOT])));
  assert.not(codes.has("none"), [...codes].join());
  for (const code of ["malformed-receipt", "malformed-json", "ledger-not-trusted", "note-mismatch"])
    assert.ok(codes.has(code), code);
});

stardust("blocks and milestones cut at every length, or with a byte behind, are refused as malformed", () => {
  for (const folder of ANCHORS) {
    const { block, milestone } = receiptOf(folder);
    for (let length = 0; length < block.length; length++)
      assert.throws(() => decodeBlock(block.slice(0, length)), refusal("block-malformed"));
    for (let length = 0; length < milestone.length; length++)
      assert.throws(() => decodeMilestone(milestone.slice(0, length)), refusal(MALFORMED));
    const more = new Uint8Array(1);
    assert.throws(() => decodeBlock(concatBytes([block, more])), refusal("block-malformed"));
    assert.throws(() => decodeMilestone(concatBytes([milestone, more])), refusal(MALFORMED));
  }
});

stardust("hostile receipts: other members, orders, spaces, sides and sizes", () => {
  const receipt = receiptOf(ANCHORS[0]!);
  const json = JSON.parse(new TextDecoder().decode(formatStardustReceipt(receipt)));
  const { version, ...rest } = json;
  const step = { left: toBase64(someId("x")) };
  const tries: readonly [file: Json | string, code: string][] = [
    [{ ...json, more: 1 }, "malformed-receipt"],
    [{ ...rest, version }, "not-canonical-json"],
    [JSON.stringify(json, null, 1), "not-canonical-json"],
    [{ ...json, version: "vouch-stardust-receipt/v2" }, "malformed-receipt"],
    [{ ...json, path: [{}] }, "malformed-receipt"],
    [{ ...json, path: [{ ...step, right: step.left }] }, "malformed-receipt"],
    [{ ...json, path: [{ middle: step.left }] }, "malformed-receipt"],
    [{ ...json, path: [{ left: toBase64(new Uint8Array(31)) }] }, "malformed-receipt"],
    [{ ...json, path: new Array(65).fill(step) }, "malformed-receipt"],
    [{ ...json, path: step }, "malformed-receipt"],
    [{ ...json, block: "" }, "malformed-receipt"],
    [{ ...json, milestone: `${json.milestone}=` }, "malformed-receipt"],
    [{ ...json, block: toBase64(new Uint8Array(32769)) }, "malformed-receipt"],
    [{ ...json, trust: { ...json.trust, threshold: 0 } }, "malformed-receipt"],
    [{ ...json, trust: { ...json.trust, threshold: 3 } }, "malformed-trust"],
    [{ ...json, trust: { ...json.trust, keys: [...json.trust.keys].reverse() } }, "malformed-trust"],
    [{ ...json, trust: { ...json.trust, network: "x\u202e" } }, "malformed-receipt"],
    ["[".repeat(100_000), "malformed-json"],
    [`{"version":${"[".repeat(500)}${"]".repeat(500)}}`, "malformed-json"],
    [" ".repeat(128 * 1024 + 1), "too-large"],
    ["null", "malformed-receipt"],
    ["", "malformed-json"],
    ["\u0000", "malformed-json"],
  ];
  for (const [file, code] of tries) {
    const text = typeof file === "string" ? file : JSON.stringify(file);
    assert.is(
      codeOf(() => parseStardustReceipt(utf8Encode(text))),
      code,
      text.slice(0, 80),
    );
  }
});

stardust("hostile proofs of a node: forms, numbers and trees that inx-poi never gives", () => {
  const poi = poiOf(ANCHORS[0]!);
  const at = (path: string, value: unknown): Json => {
    const copy = structuredClone(poi);
    const keys = path.split(".");
    const last = keys.pop()!;
    const holder = keys.reduce((node, key) => node[key], copy);
    if (value === undefined) delete holder[last];
    else holder[last] = value;
    return copy;
  };
  const { h } = poi.proof.l;
  const { value } = poi.proof.r;
  let deep: Json = { value };
  for (let i = 0; i < 65; i++) deep = { l: { h }, r: deep };
  let endless: Json = { value };
  for (let i = 0; i < 100_000; i++) endless = { l: { h }, r: endless };
  const tries: readonly [what: string, poi: Json, code: string][] = [
    ["nothing", undefined, "malformed-poi"],
    ["text", "proof", "malformed-poi"],
    ["no block", at("block", undefined), "malformed-poi"],
    ["short hex", at("milestone.inclusionMerkleRoot", h.slice(0, -2)), "malformed-poi"],
    ["odd hex", at("milestone.inclusionMerkleRoot", h.slice(0, -1)), "malformed-poi"],
    ["hex without 0x", at("milestone.inclusionMerkleRoot", h.slice(2)), "malformed-poi"],
    ["0X", at("milestone.inclusionMerkleRoot", h.replace("0x", "0X")), "malformed-poi"],
    ["a nonce as a number", at("block.nonce", 0), "malformed-poi"],
    ["a nonce of 65 bits", at("block.nonce", String(2n ** 64n)), "malformed-poi"],
    ["a nonce with a zero in front", at("block.nonce", "00"), "malformed-poi"],
    ["an index with a fraction", at("milestone.index", 1.5), "malformed-poi"],
    ["an index of 33 bits", at("milestone.index", 2 ** 32), "malformed-poi"],
    ["another protocol", at("milestone.protocolVersion", 3), "malformed-poi"],
    ["another payload", at("block.payload.type", 6), "malformed-poi"],
    ["nine parents", at("block.parents", new Array(9).fill(h)), "malformed-poi"],
    ["one parent twice", at("block.parents", [h, h]), "block-malformed"],
    ["a milestone with one parent twice", at("milestone.parents", [h, h]), MALFORMED],
    ["an unknown option", at("milestone.options", [{ type: 2 }]), "malformed-poi"],
    ["two values", at("proof.l", { value }), "malformed-poi"],
    ["two siblings", at("proof.r", { h }), "malformed-poi"],
    ["no right side", at("proof.r", undefined), "malformed-poi"],
    ["a node of both kinds", at("proof.r", { value, l: { h } }), "malformed-poi"],
    ["a sibling with more", at("proof.l", { h, value }), "malformed-poi"],
    ["65 levels", at("proof", deep), "malformed-poi"],
    ["100,000 levels", { ...poi, proof: endless }, "malformed-poi"],
    ["the whole tree as a leaf", at("proof", { value }), "none"], // form is right; the path isn't
  ];
  for (const [what, bent, code] of tries)
    assert.is(
      codeOf(() => receiptFromPoi(bent, TRUST)),
      code,
      what,
    );
  const short = receiptFromPoi(at("proof", { value }), TRUST);
  assert.throws(() => verify(short, noteOf(ANCHORS[0]!)), refusal("block-not-included"));
});

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

stardust("trust files have one form, and say what no coordinator could mean", () => {
  const file = formatTrust(TRUST);
  assert.equal(parseTrust(file), TRUST);
  assert.is(toHex(trustDigest(TRUST, nodeCrypto)), toHex(nodeCrypto.sha256(file)));
  for (let length = 0; length < file.length; length++)
    assert.not.equal(
      codeOf(() => parseTrust(file.slice(0, length))),
      "none",
    );
  const json = JSON.parse(new TextDecoder().decode(file));
  const [key, second] = json.keys;
  const tries: readonly [change: Json, code: string][] = [
    [{ keys: [key, key] }, "malformed-trust"],
    [{ keys: [second, key] }, "malformed-trust"],
    [{ keys: [] }, "malformed-trust"],
    [{ keys: [{ ...key, start: 5, end: 4 }, second] }, "malformed-trust"],
    [{ keys: [{ ...key, end: 2 ** 32 }, second] }, "malformed-trust"],
    [{ keys: [{ ...key, start: -1 }, second] }, "malformed-trust"],
    [{ keys: [{ ...key, more: 1 }, second] }, "malformed-trust"],
    [{ keys: [{ ...key, key: toBase64(new Uint8Array(33)) }, second] }, "malformed-trust"],
    [{ threshold: 3 }, "malformed-trust"],
    [{ threshold: 0 }, "malformed-trust"],
    [{ threshold: "2" }, "malformed-trust"],
    [{ network: "" }, "malformed-trust"],
    [{ network: "a b" }, "malformed-trust"],
    [{ network: "a@b" }, "malformed-trust"],
    [{ network: "a".repeat(65) }, "malformed-trust"],
    [{ retired: "2025-05-05" }, "malformed-trust"],
  ];
  for (const [change, code] of tries)
    assert.is(
      codeOf(() => parseTrust(utf8Encode(JSON.stringify({ ...json, ...change })))),
      code,
      JSON.stringify(change),
    );
  assert.throws(
    () => parseTrust(utf8Encode(`${new TextDecoder().decode(file)}\n`)),
    refusal("not-canonical-json"),
  );
});

stardust("roots have one form", () => {
  const text = formatStardustRoot(ROOT);
  assert.is(text, `fwproof-ci@${toHex(ROOT.digest)}`);
  assert.equal(parseStardustRoot(text), ROOT);
  const digest = toHex(ROOT.digest);
  for (const bent of [
    "",
    "x",
    `@${digest}`,
    `x@${digest.slice(1)}`,
    `x@${digest}0`,
    `x@${digest.toUpperCase()}`,
    `x@y@${digest}`,
    `-x@${digest}`,
    `x@${digest} `,
  ])
    assert.throws(() => parseStardustRoot(bent), refusal("malformed-root"), bent);
});

stardust("presets: ten keys, seven must sign; whoever trusts one of the keys is told it is retired", () => {
  assert.equal(
    PRESETS.map(({ trust }) => [trust.network, trust.threshold, trust.keys.length]),
    [
      ["iota-mainnet", 7, 10],
      ["shimmer", 7, 10],
    ],
  );
  for (const preset of PRESETS) {
    assert.equal(parseTrust(formatTrust(preset.trust)), preset.trust);
    assert.is(retiredPreset(preset.trust), preset);
    const disguised = makeTrust({
      network: "hospital-tangle",
      threshold: 1,
      keys: [...TRUST.keys, { ...preset.trust.keys[9]!, start: 7 }],
    });
    assert.is(retiredPreset(disguised), preset);
  }
  assert.is(retiredPreset(TRUST), null);
});

stardust("a milestone signed by keys of a retired network says so, under any name", () => {
  // Signatures of a real network's keys can't be made here: a Crypto that takes all of them stands in for it.
  const believing: Crypto = { ...nodeCrypto, verifyEd25519: () => true };
  const { trust } = PRESETS[0]!;
  const tangle = makeTangle("x", 7, 7);
  const receipt = anchorOnTangle(tangle, utf8Encode("n"), { time: 5, signers: [0, 1, 2, 3, 4, 5, 6] });
  const { signatures } = decodeMilestone(receipt.milestone);
  const essence = receipt.milestone.slice(4, -(1 + 97 * signatures.length));
  const signed = trust.keys.slice(0, 7).map(({ key }, i) => ({ ...signatures[i]!, key }));
  const proof = verifyStardustReceipt(
    formatStardustReceipt({ ...receipt, trust, milestone: encodeMilestone(essence, signed) }),
    utf8Encode("n"),
    believing,
    [rootOfTrust(trust, nodeCrypto)],
  );
  assert.match(proof.retired ?? "", /May 2025/);
  assert.is(proof.signers, 7);
});

// The other implementation of these layouts.
const next = random(2310);
const below = (max: number) => (next(1)[0]! * 256 + next(1)[0]!) % max;
const someIds = (max: number) => Array.from({ length: 1 + below(max) }, () => next(32)).sort(compareBytes);

function written(write: (stream: WriteStream) => void): Uint8Array {
  const stream = new WriteStream();
  write(stream);
  return stream.finalBytes();
}

const blockJson = ({ parents, tag, data, nonce }: TaggedBlock): IBlock => ({
  protocolVersion: 2,
  parents: parents.map(hex),
  payload: { type: 5, tag: hex(tag), data: hex(data) },
  nonce: String(nonce),
});

stardust("iota.js: 200 blocks, their bytes and ids", () => {
  for (let i = 0; i < 200; i++) {
    const block: TaggedBlock = {
      parents: someIds(8),
      tag: next(below(64)), // 64 bytes it refuses, a node doesn't
      data: next(1 + below(2000)),
      nonce: BigInt(`0x${toHex(next(8))}`),
    };
    const bytes = encodeBlock(block);
    assert.equal(decodeBlock(bytes), block);
    assert.equal(
      bytes,
      written((stream) => serializeBlock(stream, blockJson(block))),
    );
    assert.is(hex(blockIdOf(bytes)), TransactionHelper.calculateBlockId(blockJson(block)));
  }
});

stardust("iota.js: 200 milestones with metadata and options, their bytes and ids", () => {
  for (let i = 0; i < 200; i++) {
    const json = milestoneOf(i);
    const { milestone } = receiptFromPoi({ ...poiOf(ANCHORS[0]!), milestone: json }, TRUST);
    assert.equal(
      milestone,
      written((stream) => serializeMilestonePayload(stream, json)),
    );
    const read = decodeMilestone(milestone);
    assert.is(hex(read.id), milestoneIdFromMilestonePayload(json));
    assert.is(read.index, json.index);
    assert.is(read.timestamp, json.timestamp);
    assert.is(hex(read.inclusionRoot), json.inclusionMerkleRoot);
    assert.is(read.signatures.length, json.signatures.length);
  }
});

function milestoneOf(i: number): IMilestonePayload {
  const u64 = () => String(BigInt(`0x${toHex(next(8))}`));
  const migration = {
    type: 0,
    migratedAt: below(65536),
    final: i % 3 === 0,
    funds: Array.from({ length: 1 + below(4) }, () => ({
      tailTransactionHash: hex(next(49)),
      address: { type: 0, pubKeyHash: hex(next(32)) },
      deposit: u64(),
    })),
    transaction: {
      type: 4,
      input: { type: 1, milestoneId: hex(next(32)) },
      output: { type: 2, amount: u64() },
    },
  };
  const parameters = {
    type: 1,
    targetMilestoneIndex: below(65536),
    protocolVersion: below(256),
    params: hex(next(below(300))),
  };
  const options = [...(i % 2 === 0 ? [migration] : []), ...(i % 5 < 2 ? [parameters] : [])];
  return {
    type: 7,
    index: below(65536) * 65536 + below(65536),
    timestamp: below(65536) * 65536 + below(65536),
    protocolVersion: 2,
    previousMilestoneId: hex(next(32)),
    parents: someIds(8).map(hex),
    inclusionMerkleRoot: hex(next(32)),
    appliedMerkleRoot: hex(next(32)),
    ...(i % 4 === 0 ? { metadata: hex(next(1 + below(400))) } : {}),
    ...(options.length === 0 ? {} : { options }),
    signatures: someIds(7).map((key) => ({ type: 0, publicKey: hex(key), signature: hex(next(64)) })),
  } as IMilestonePayload;
}

stardust("options out of order, twice, or of a kind to come are refused", () => {
  const parameters = concatBytes([new Uint8Array([1]), new Uint8Array(5), new Uint8Array([2, 0, 9, 9])]);
  const migration = concatBytes([
    new Uint8Array([0, 0, 0, 0, 0, 1, 0, 0]),
    new Uint8Array([46, 0, 0, 0]),
    new Uint8Array(46),
  ]);
  const code = (...options: Uint8Array[]) => {
    const essence = encodeEssence({
      index: 1,
      timestamp: 2,
      previous: someId("p"),
      parents: [someId("q")],
      inclusionRoot: someId("i"),
      appliedRoot: someId("a"),
      metadata: new Uint8Array(3),
      options,
    });
    const bytes = encodeMilestone(essence, []);
    const found = codeOf(() => decodeMilestone(bytes));
    if (found === "none") assert.ok(equalBytes(decodeMilestone(bytes).id, milestoneIdOf(essence)));
    return found;
  };
  assert.is(code(), "none");
  assert.is(code(migration, parameters), "none");
  assert.is(code(parameters, migration), MALFORMED);
  assert.is(code(parameters, parameters), MALFORMED);
  assert.is(code(new Uint8Array([2])), "stardust-unsupported");
  assert.is(code(migration.with(5, 2)), MALFORMED); // neither true nor false
  assert.is(code(migration.with(8, 45)), MALFORMED);
});

stardust("a full block of a real network, 32768 bytes, is a block; one byte more isn't", () => {
  const parents = [someId("p")];
  const tag = utf8Encode("vouch/v1");
  const data = new Uint8Array(32768 - 2 - 32 - 4 - 4 - 1 - tag.length - 4 - 8);
  const block = encodeBlock({ parents, tag, data, nonce: 0n });
  assert.is(block.length, 32768);
  assert.throws(
    () => encodeBlock({ parents, tag, data: new Uint8Array(data.length + 1), nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.is(encodeBlock({ parents, tag: new Uint8Array(64), data: new Uint8Array(), nonce: 0n })[46], 0);
  assert.throws(
    () => encodeBlock({ parents, tag: new Uint8Array(65), data, nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.throws(
    () => encodeBlock({ parents, tag: new Uint8Array(300), data, nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.throws(
    () => encodeBlock({ parents: new Array(257).fill(parents[0]), tag, data, nonce: 0n }),
    refusal("block-malformed"),
  );
});

stardust.run();
