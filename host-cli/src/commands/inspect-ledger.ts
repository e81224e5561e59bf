// vouch inspect on what logs and ledgers give: checkpoints, proofs, receipts, walks, trust files.

import { toBase64, toHex, utf8Decode } from "@vouch/shared/bytes";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseConsistency } from "@vouch/shared/consistency";
import { readReceipt } from "@vouch/shared/cosereceipt";
import { parseFraud } from "@vouch/shared/fraud";
import { parseNote, parseSignatureLine } from "@vouch/shared/note";
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
import { parseAnswer } from "@vouch/shared/witness";
import { nodeCrypto } from "../crypto";
import { parseDraft as parseRebasedDraft } from "../ledger/draft";
import { parseDraft as parseStardustDraft } from "../ledger/stardust-draft";
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

export function tellConsistency(bytes: Uint8Array) {
  const { old, hashes, checkpoint } = parseConsistency(bytes);
  return {
    fields: { old: String(old), hashes: hashes.length, checkpoint: checkpointFields(checkpoint) },
    notVerified: "neither the proof nor the checkpoint's signatures were checked",
  };
}

/** What a witness answers: lines for a note that it doesn't repeat. */
export function tellCosignatures(bytes: Uint8Array) {
  const lines = parseAnswer(bytes).map((line) => parseSignatureLine(line));
  return {
    fields: { signedBy: lines.map(({ name, keyId }) => `${name} ${toHex(keyId)}`) },
    notVerified:
      "no signature was checked, nor of which checkpoint they are; `vouch log witnesses` does that",
  };
}

export function tellFraud(bytes: Uint8Array) {
  const { kind, first, second, proof } = parseFraud(bytes);
  return {
    fields: {
      kind,
      first: checkpointFields(first),
      second: checkpointFields(second),
      hashes: proof.length,
    },
    notVerified: "nothing is proved before `vouch verify --fraud` says so, with the log's key",
  };
}

export function tellRebasedDraft(bytes: Uint8Array) {
  const { chain, note, transaction, sender, signatures } = parseRebasedDraft(bytes);
  return {
    fields: {
      chain,
      transaction: base58(digestOf("TransactionData", transaction)),
      sender: addressText(readTransaction(transaction).sender),
      threshold: sender.threshold,
      signers: sender.keys.map(
        (key, i) => `${toHex(key)} ${signatures[i] == null ? "is to sign" : "signed"}`,
      ),
      note: checkpointFields(note),
    },
    notVerified: "the note's signatures were not checked, nor whether a ledger has it; the signers' were",
  };
}

export function tellStardustDraft(bytes: Uint8Array) {
  const { network, tag, note, tries } = parseStardustDraft(bytes);
  return {
    fields: { network, tag: printableTag(tag), tries: tries.length, note: checkpointFields(note) },
    notVerified: "the note's signatures were not checked, nor whether a Tangle has a block of these",
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
