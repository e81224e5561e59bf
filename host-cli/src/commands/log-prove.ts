// vouch log prove: that a record is in the log, or that an earlier log is its beginning, as a file of C2SP's form.
//
// The log is a folder or an address. What comes out was verified against the checkpoint it ends with; whose word
// that checkpoint is, a policy says.

import { parseSize } from "@vouch/shared/checkpoint";
import { formatConsistency } from "@vouch/shared/consistency";
import { MAX_NOTE } from "@vouch/shared/note";
import { formatProof } from "@vouch/shared/proof";
import { quote } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { usage } from "../exit";
import { isAddress } from "../http";
import type { Io } from "../io";
import { policyOf } from "../log/keys";
import { type LogReader, openLogReader } from "../log/remote";
import { checkLogKey, openLog } from "../log/store";
import { decimal } from "../output/size";
import { readInput } from "../readfiles";
import { seconds } from "../signer";
import { writeOutput } from "../writefiles";
import { readPolicyNow, refuseDistrusted } from "./policy";

interface ProveFlags {
  readonly consistency?: bigint;
  readonly checkpoint?: string;
  readonly policy?: string;
  readonly cache?: string;
  readonly timeout: number;
  readonly output?: string;
}

/** Flags of every verb that reads a log which may be far away. */
export const withReading = (command: Command): Command =>
  command
    .option("--cache <DIR>", "keep verified tiles here for the next time")
    .option("--timeout <SECONDS>", "how long one file of the log may take, retries included", seconds, 60);

/**
 * Refuses `wrong-log-key`, `bad-signature`, `log-distrusted` unless the policy's log signed the checkpoint. An address shows
 * no records about keys, so there the key is the policy's own.
 */
export function checkSignedFor(where: string, reader: LogReader, policyFile: string): void {
  const policy = readPolicyNow(policyFile);
  const { log } = isAddress(where) ? policy : policyOf(openLog(where), policy, reader.size);
  checkLogKey(reader, log);
  refuseDistrusted(policy, log);
}

export function recordIndex(text: string): bigint {
  const index = parseSize(text);
  if (index === null) throw usage(`found ${quote(text)}, expected a number`);
  return index;
}

export function defineProve(log: Command, io: Io): void {
  withReading(log.command("prove"))
    .description("Proves that a record is in the log, or that an earlier log is its beginning.")
    .argument("<log>", "the log: a folder or an http(s) address")
    .argument("[index]", "the record's index", recordIndex)
    .option("--consistency <SIZE>", "prove that the log of this size is the beginning", recordIndex)
    .option("--checkpoint <FILE>", "prove for this checkpoint of the log; the newest unless named")
    .option("--policy <FILE>", "names the log's key, which must have signed the checkpoint")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was proved as one JSON object; needs --output")
    .action((where: string, index: bigint | undefined, flags: ProveFlags) => prove(where, index, flags, io));
}

async function prove(where: string, index: bigint | undefined, flags: ProveFlags, io: Io): Promise<void> {
  const { consistency: from } = flags;
  if ((index === undefined) === (from === undefined))
    throw usage("expected either the index of a record or --consistency SIZE");
  if (io.json && (flags.output === undefined || flags.output === "-"))
    throw usage("--json needs --output FILE");
  const newest = await openLogReader(where, { cache: flags.cache, timeoutMs: flags.timeout * 1000 });
  try {
    const reader =
      flags.checkpoint === undefined ? newest : await newest.at(readInput(flags.checkpoint, MAX_NOTE));
    if (flags.policy !== undefined) checkSignedFor(where, reader, flags.policy);
    const file =
      index === undefined ? await consistencyOf(reader, from as bigint) : await proofOf(reader, index);
    writeOutput(io, flags.output, new TextDecoder().decode(file));
    if (!io.json) return;
    const about = index === undefined ? { consistency: decimal(from as bigint) } : { index: decimal(index) };
    io.stdout(`${JSON.stringify({ file: flags.output, size: decimal(reader.size), ...about })}\n`);
  } finally {
    newest.close();
  }
}

const proofOf = async (reader: LogReader, index: bigint) =>
  formatProof({ index, hashes: await reader.proveInclusion(index), checkpoint: reader.note });

const consistencyOf = async (reader: LogReader, old: bigint) =>
  formatConsistency({ old, hashes: await reader.proveConsistency(old), checkpoint: reader.note });
