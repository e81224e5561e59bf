// vouch inspect on what logs and ledgers give: checkpoints, proofs, receipts, walks, trust files.

import { toBase64, toHex, utf8Decode } from "@vouch/shared/bytes";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { readReceipt } from "@vouch/shared/cosereceipt";
import { parseNote } from "@vouch/shared/note";
import { parseForeignProof } from "@vouch/shared/proof";
import { readContents, readSummary } from "@vouch/shared/rebased/checkpoint";
import { committeeDigest } from "@vouch/shared/rebased/committee";
import { base58, digestOf } from "@vouch/shared/rebased/digest";
import { parseRebasedReceipt } from "@vouch/shared/rebased/receipt";
import { addressText } from "@vouch/shared/rebased/root";
import { readTransaction } from "@vouch/shared/rebased/transaction";
import { lastEpochOf, type Walk } from "@vouch/shared/rebased/walkform";
import { blockIdOf, decodeBlock } from "@vouch/shared/stardust/block";
import { decodeMilestone } from "@vouch/shared/stardust/milestone";
import { retiredPreset } from "@vouch/shared/stardust/presets";
import { parseStardustReceipt } from "@vouch/shared/stardust/receipt";
import { formatStardustRoot } from "@vouch/shared/stardust/root";
import { parseTrust, rangeText, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import { nodeCrypto } from "../crypto";
import { parseWalk } from "../log/walk";

export function checkpointFields(bytes: Uint8Array) {
  const note = parseNote(bytes);
  const { origin, size, root } = parseCheckpoint(note.text);
  return {
    origin,
    size: String(size),
    root: toBase64(root),
    signedBy: note.signatures.map((s) => `${s.name} ${toHex(s.keyId)}`),
  };
}

export function tellCheckpoint(bytes: Uint8Array) {
  return { fields: checkpointFields(bytes), notVerified: "no signature was checked" };
}

export function tellProof(bytes: Uint8Array) {
  const proof = parseForeignProof(bytes);
  return {
    fields: {
      index: String(proof.index),
      hashes: proof.hashes.length,
      checkpoint: checkpointFields(proof.checkpoint),
      ...(proof.extra === undefined
        ? {}
        : { extra: `${proof.extra.length} bytes that nothing authenticates` }),
    },
    notVerified: "neither the proof nor the checkpoint's signatures were checked",
  };
}

export function tellReceipt(bytes: Uint8Array) {
  const receipt = parseRebasedReceipt(bytes);
  const { epoch, sequence, timestampMs } = readSummary(receipt.summary);
  const { sender, payload } = readTransaction(receipt.transaction);
  return {
    fields: {
      checkpoint: sequence,
      epoch,
      time: isoTime(Number(timestampMs / 1000n)),
      transactions: readContents(receipt.contents).executed.length,
      transaction: base58(digestOf("TransactionData", receipt.transaction)),
      sender: addressText(sender),
      note: payload === null ? null : checkpointFields(payload),
    },
    notVerified: "neither the certificate nor that the transaction is in the checkpoint was checked",
  };
}

export function tellStardust(bytes: Uint8Array) {
  const receipt = parseStardustReceipt(bytes);
  const block = decodeBlock(receipt.block);
  const { id, index, timestamp, signatures } = decodeMilestone(receipt.milestone);
  return {
    fields: {
      ...trustFields(receipt.trust),
      milestone: index,
      milestoneId: `0x${toHex(id)}`,
      time: isoTime(timestamp),
      signatures: signatures.length,
      path: receipt.path.length,
      block: `0x${toHex(blockIdOf(receipt.block))}`,
      tag: printableTag(block.tag),
      note: checkpointFields(block.data),
    },
    notVerified: "neither the coordinator's signatures nor that the milestone holds the block was checked",
  };
}

const printableTag = (tag: Uint8Array) => utf8Decode(tag) ?? `0x${toHex(tag)}`;

const trustFields = (trust: Trust) => ({
  network: trust.network,
  threshold: trust.threshold,
  keys: trust.keys.map(({ key, start, end }) => `${toHex(key)} ${rangeText(start, end)}`),
  root: formatStardustRoot(rootOfTrust(trust, nodeCrypto)),
  retired: retiredPreset(trust)?.retired ?? null,
});

export function tellTrust(bytes: Uint8Array) {
  return { fields: trustFields(parseTrust(bytes)), notVerified: "whose keys these are" };
}

export const walkFields = (walk: Walk) => ({
  from: walk.start.epoch,
  to: lastEpochOf(walk),
  members: walk.start.members.length,
  root: `sha256 ${toHex(committeeDigest(walk.start, nodeCrypto))}`,
});

export function tellWalk(bytes: Uint8Array) {
  return {
    fields: walkFields(parseWalk(bytes)),
    notVerified: "no committee was checked, nor any certificate",
  };
}

export function tellCoseReceipt(bytes: Uint8Array) {
  const { issuer, size, index, hashes } = readReceipt(bytes);
  return {
    fields: { issuer, index: String(index), size: String(size), hashes: hashes.length },
    notVerified:
      "the signature over the root; `vouch verify --proof` does that, with the record and the log's key",
  };
}
