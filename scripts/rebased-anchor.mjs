// Makes shared/src/rebased/anchors.ts, the committees that policies of public networks begin with.
//
//   node scripts/rebased-anchor.mjs            writes it; shared/test/rebased-vectors.test.ts compares it with the source
//
// Source: shared/vectors/published/rebased/mainnet-committee-514.txt, lines of key in hex and stake. It is
// the committee that the closing checkpoint of epoch 513 names, digest CnigGx98Y78vkq3ihfPCNBmQmVXbuXBKgD2TCnQFd1bH,
// as iotaledger/ts-packages (Apache-2.0) holds it in its fixtures.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const TARGET = new URL("shared/src/rebased/anchors.ts", ROOT);

/** BCS of a committee: u64 epoch, vector of (vector<u8> key, u64 stake). */
function encode(epoch, lines) {
  const u64 = (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  const members = lines.map((line) => {
    const [key, stake] = line.split(" ");
    return Buffer.concat([Buffer.from([96]), Buffer.from(key, "hex"), u64(stake)]);
  });
  return Buffer.concat([u64(epoch), Buffer.from([members.length]), ...members]);
}

export function anchorModule() {
  const file = new URL("shared/vectors/published/rebased/mainnet-committee-514.txt", ROOT);
  const committee = encode(514, readFileSync(file, "utf8").trim().split("\n")).toString("base64");
  const lines = committee.match(/.{1,100}/g).map((line) => `      "${line}"`);
  return `// Made by scripts/rebased-anchor.mjs, which says where it is from: committees to begin with.

export interface Anchor {
  readonly network: string;
  /** The first 4 bytes of the genesis checkpoint's digest, in hex, as nodes tell it. */
  readonly chain: string;
  /** When the committee was seen. */
  readonly captured: string;
  /** BCS (committee.ts), in base64. */
  readonly committee: string;
}

export const ANCHORS: readonly Anchor[] = [
  {
    network: "mainnet",
    chain: "6364aad5",
    captured: "2026-10-01",
    committee:
${lines.join(" +\n")},
  },
];
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TARGET, anchorModule());
