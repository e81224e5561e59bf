// How long the offline check of a private Tangle's receipt takes, by the recorded anchors of a real network:
//
//   receipt of a Tangle   form, block, path and two signatures / node:crypto's bare verify of the two     goal <= 2
//
// Both verify with node:crypto, so what is measured is all the rest: JSON, base64, BLAKE2b.

import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { cpu, loadModules } from "./bench-load.mjs";

const VECTORS = new URL("../shared/vectors/published/stardust/", import.meta.url);
const ANCHORS = ["a1-alone", "a2-six-neighbours", "a3-twenty-neighbours"];
const TIMES = 100; // in a round, of each anchor

const read = (path) => readFileSync(new URL(path, VECTORS));
const json = (path) => JSON.parse(read(path));
const bytesOf = (hex) => new Uint8Array(Buffer.from(hex.slice(2), "hex"));

function repeated(work) {
  return () =>
    cpu(() => {
      for (let i = 0; i < TIMES; i++) work();
    });
}

export async function benchStardust(folder, { rounds, result }, count) {
  const v = await loadModules(
    folder,
    "stardust",
    `export { formatStardustReceipt, verifyStardustReceipt } from "@vouch/shared/stardust/proof";
     export { receiptFromPoi } from "@vouch/shared/stardust/poi";
     export { decodeMilestone } from "@vouch/shared/stardust/milestone";
     export { makeTrust, rootOfTrust } from "@vouch/shared/stardust/trust";
     export { nodeCrypto } from "./host-cli/src/crypto";`,
  );
  const { networkName, threshold, publicKeyRanges } = json("trust.json");
  const keys = publicKeyRanges.map(({ key, start, end }) => ({ key: bytesOf(key), start, end }));
  const trust = v.makeTrust({ network: networkName, threshold, keys });
  const root = v.rootOfTrust(trust, v.nodeCrypto);
  const anchors = ANCHORS.map((name) => {
    const receipt = v.receiptFromPoi(json(`anchors/${name}/poi.json`), trust);
    const { id, signatures } = v.decodeMilestone(receipt.milestone);
    const signed = signatures.map(({ key, signature }) => ({
      key: createPublicKey({
        key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(key).toString("base64url") },
        format: "jwk",
      }),
      signature,
    }));
    const note = new Uint8Array(read(`anchors/${name}/payload.txt`));
    return { file: v.formatStardustReceipt(receipt), note, id, signed };
  });
  const bare = repeated(() => {
    for (const { id, signed } of anchors)
      for (const { key, signature } of signed)
        if (!verify(null, id, key, signature)) throw new Error("a recorded signature doesn't verify");
  });
  const ours = repeated(() => {
    for (const { file, note } of anchors) v.verifyStardustReceipt(file, note, v.nodeCrypto, [root]);
  });
  const proofs = TIMES * anchors.length;
  return {
    results: [
      result("receipt of a Tangle", rounds(count, [bare, ours]), {
        ratio: (row) => row[1] / row[0],
        ours: (row) => (1e6 * row[1]) / proofs,
        peer: (row) => (1e6 * row[0]) / proofs,
        unit: "µs",
        against: "node:crypto's two bare verifications",
        goal: { most: 2 },
      }),
    ],
    skipped: [],
  };
}
