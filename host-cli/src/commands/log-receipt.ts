// vouch log receipt: a record's place in the log as a COSE receipt, RFC 9942, for SCITT peers.
//
// The log's key signs it, over the root alone: without that key there is the checkpoint and a
// tlog-proof, which any reader of the log can put together.

import { draftReceipt, formatReceipt } from "@vouch/shared/cosereceipt";
import { MAX_DSSE } from "@vouch/shared/dsse";
import { proveInclusion } from "@vouch/shared/merkle";
import { Refusal } from "@vouch/shared/refusal";
import { KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import type { Io } from "../io";
import { findRecord } from "../log/lookup";
import { checkLogKey, openLog } from "../log/store";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { writeWhole } from "../writefiles";

export interface Receipt {
  readonly bytes: Uint8Array;
  readonly index: bigint;
  readonly size: bigint;
  readonly origin: string;
}

/** The receipt for a record of the log as it is. Refuses `not-logged`, `wrong-log-key`, `receipt-empty-path`. */
export async function makeReceipt(folder: string, record: Uint8Array, signer: Signer): Promise<Receipt> {
  const log = openLog(folder);
  const key = makeVkey(signer.name, KEY_ED25519, signer.publicKey, nodeCrypto);
  checkLogKey(log, key);
  const { size } = log;
  const { origin, root } = log.checkpoint;
  const index = findRecord(log, record);
  if (index === null)
    throw new Refusal("not-logged", `it is no record of ${origin}`, {
      hint: "`vouch log add` puts it there",
    });
  const hashes = proveInclusion(index, size, log.hashReader, nodeCrypto);
  const draft = draftReceipt(root, key, nodeCrypto);
  formatReceipt(draft, { size, index, hashes }, new Uint8Array(64)); // refuses before anybody is asked to sign
  const signature = await signer.sign(draft.message);
  return { bytes: formatReceipt(draft, { size, index, hashes }, signature), index, size, origin };
}

interface Flags extends SignerOptions {
  output: string;
}

export function defineReceipt(log: Command, io: Io): void {
  withSigner(log.command("receipt"))
    .description("Writes a COSE receipt (RFC 9942) of a record, signed by the log's key, for SCITT peers.")
    .argument("<dir>", "the log")
    .argument("<file>", "the record, as it was added")
    .requiredOption("-o, --output <FILE>", "the receipt, application/scitt-receipt+cose")
    .option("--json", "print one JSON object")
    .action(async (dir: string, file: string, flags: Flags) => {
      const made = await makeReceipt(dir, readInput(file, MAX_DSSE), await loadSigner(flags, io));
      writeWhole(flags.output, made.bytes, { overwrite: "same" });
      const { origin, index, size, bytes } = made;
      const told = {
        receipt: flags.output,
        origin,
        index: Number(index),
        size: Number(size),
        bytes: bytes.length,
      };
      if (io.json) io.stdout(`${JSON.stringify(told)}\n`);
      else io.stdout(`record ${index} of ${size}, ${origin}\n${flags.output}\n`);
    });
}
