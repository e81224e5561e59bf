// Whom a receipt of a Tangle is believed by: trust files and the roots that name them, presets, and what is said of
// networks that are no more.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { toBase64, toHex, utf8Encode } from "../src/bytes";
import type { Crypto } from "../src/crypto";
import { decodeMilestone, encodeMilestone } from "../src/stardust/milestone";
import { PRESETS, retiredPreset } from "../src/stardust/presets";
import { formatStardustReceipt, verifyStardustReceipt } from "../src/stardust/proof";
import { formatStardustRoot, parseStardustRoot } from "../src/stardust/root";
import { formatTrust, makeTrust, parseTrust, rootOfTrust, trustDigest } from "../src/stardust/trust";
import { anchorOnTangle, makeTangle } from "./stardust-kit";
import { codeOf, type Json, ROOT, TRUST } from "./stardust-recorded";
import { refusal } from "./vectors";

const stardust = suite("stardust trust");

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

stardust.run();
