// What real networks' nodes, coordinators and inx-poi gave (vectors/published/stardust), ready to be judged: receipts made
// of recorded proofs, the notes they are for, and the trust files of their networks.

import { nodeCrypto } from "../../host-cli/src/crypto";
import { fromHex, toHex } from "../src/bytes";
import { isRefusal } from "../src/refusal";
import { receiptFromPoi } from "../src/stardust/poi";
import { formatStardustReceipt, type StardustReceipt, verifyStardustReceipt } from "../src/stardust/proof";
import { makeTrust, rootOfTrust, type Trust } from "../src/stardust/trust";
import { publishedBytes, publishedJson } from "./vectors";

interface RecordedTrust {
  readonly networkName: string;
  readonly threshold: number;
  readonly publicKeyRanges: readonly { key: string; start: number; end: number }[];
}

// biome-ignore lint/suspicious/noExplicitAny: JSON as it was served
export type Json = any;

export const keyOf = (text: string) => fromHex(text.replace(/^0x/, ""))!;
function recordedTrust(path: string): Trust {
  const { networkName, threshold, publicKeyRanges } = publishedJson<RecordedTrust>(path);
  return makeTrust({
    network: networkName,
    threshold,
    keys: publicKeyRanges.map(({ key, start, end }) => ({ key: keyOf(key), start, end })),
  });
}

export const TRUST = recordedTrust("stardust/trust.json");
export const OTHER = recordedTrust("stardust/anchors-other-network/trust.json");
export const ROOT = rootOfTrust(TRUST, nodeCrypto);
export const ANCHORS = ["a1-alone", "a2-six-neighbours", "a3-twenty-neighbours"].map(
  (name) => `stardust/anchors/${name}`,
);
export const FOREIGN = "stardust/anchors-other-network/pow100";
export const hex = (bytes: Uint8Array) => `0x${toHex(bytes)}`;

export const poiOf = (folder: string) => publishedJson<Json>(`${folder}/poi.json`);
export const receiptOf = (folder: string, trust = TRUST) => receiptFromPoi(poiOf(folder), trust);
export const noteOf = (folder: string) => publishedBytes(`${folder}/payload.txt`);
export const verify = (receipt: StardustReceipt, note: Uint8Array, roots = [ROOT]) =>
  verifyStardustReceipt(formatStardustReceipt(receipt), note, nodeCrypto, roots);

export const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
};

/** What a milestone that is none is refused by. */
export const MALFORMED = "milestone-malformed";
