// Receipts of Tangles that are bent, cut or made up: every one is refused, and what it is called is said. Blocks,
// milestones and paths are those of a real network.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { concatBytes, toBase64, utf8Encode } from "../src/bytes";
import { decodeBlock } from "../src/stardust/block";
import { decodeMilestone } from "../src/stardust/milestone";
import { receiptFromPoi } from "../src/stardust/poi";
import {
  formatStardustReceipt,
  parseStardustReceipt,
  type StardustReceipt,
  verifyStardustReceipt,
} from "../src/stardust/proof";
import { someId } from "./stardust-kit";
import {
  ANCHORS,
  codeOf,
  type Json,
  MALFORMED,
  noteOf,
  poiOf,
  ROOT,
  receiptOf,
  TRUST,
  verify,
} from "./stardust-recorded";
import { flips, refusal } from "./vectors";

const stardust = suite("stardust, bent");

// Which field of the milestone a byte belongs to, and what bending it may be called.
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

stardust.run();
