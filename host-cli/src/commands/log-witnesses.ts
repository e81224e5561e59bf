// A log's witnesses at the command line: who is asked while it grows, and the files for those that no network reaches.
//
//   log add --witness-policy P     asks over HTTP those that have an address (witnesses.ts)
//   log request LOG -o ASK         what a witness has to see: `vouch witness cosign ASK` reads it
//   log cosign LOG LINES…          takes what it gave, and publishes once the quorum is met
//
// Request and cosign are about the checkpoint that waits (log/pending.ts). A published one changes no more:
// a ledger may hold it, as it is, to the byte.

import { parseSize } from "@vouch/shared/checkpoint";
import { proveConsistency } from "@vouch/shared/merkle";
import { parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { cosignatureIn, formatAddCheckpoint, MAX_ANSWER, parseAnswer } from "@vouch/shared/witness";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { withLock } from "../lock";
import { type Cosigning, cosignAndPublish, type Silent } from "../log/cosigning";
import { policyNow } from "../log/keys";
import { readPending } from "../log/pending";
import { checkLogKey, openLog } from "../log/store";
import { decimal } from "../output/size";
import { readInput } from "../readfiles";
import { seconds } from "../signer";
import { writeOutput } from "../writefiles";
import { readPolicyNow } from "./policy";
import { checkNotFuture, cosigningOverHttp } from "./witnesses";

export interface WitnessFlags {
  witnessPolicy?: string;
  witnessTimeout: number;
}

export interface Outcome {
  cosigned: readonly string[];
  silent: readonly Silent[];
}

export const witnessFlags = (command: Command): Command =>
  command
    .option("--witness-policy <FILE>", "publish only what the witness quorum of this policy has cosigned")
    .option("--witness-timeout <SECONDS>", "how long a witness may take for an answer", seconds, 10);

const nowSeconds = () => Math.floor(Date.now() / 1000);

/** How the flags say that witnesses are asked; null when nobody is. Refuses `wrong-log-key` for another log's policy. */
export function cosigningFor(dir: string, flags: WitnessFlags, outcome: Outcome, io: Io) {
  if (flags.witnessPolicy === undefined) return null;
  const policy = readPolicyNow(flags.witnessPolicy);
  about(dir, () => {
    const log = openLog(dir);
    checkLogKey(log, policyNow(log, policy).log);
  });
  const tell: Cosigning["tell"] = (cosigned, silent) => {
    Object.assign(outcome, { cosigned, silent });
    if (io.quiet) return;
    for (const { name, code, message } of silent) io.stderr(`witness ${name}: ${message} [${code}]\n`);
  };
  return cosigningOverHttp(policy, { timeoutMs: flags.witnessTimeout * 1000, now: nowSeconds, tell });
}

function size(text: string): bigint {
  const value = parseSize(text);
  if (value === null) throw usage(`found ${text.slice(0, 20)}, expected a size`);
  return value;
}

export function defineRequest(log: Command, io: Io): void {
  log
    .command("request")
    .description("Writes what a witness has to see before it cosigns: the checkpoint, and that it only grew.")
    .argument("<dir>", "the log")
    .option(
      "--from <SIZE>",
      "the size that the witness has cosigned last (default: that of the published log)",
      size,
    )
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .action((dir: string, { from, output }: { from?: bigint; output?: string }) => {
      const log = openLog(dir);
      const pending = readPending(log);
      const wanted = pending ?? log;
      const oldSize = from ?? (pending === null ? 0n : log.size);
      if (oldSize > wanted.size)
        throw new Refusal(
          "old-size-beyond",
          `the old size is ${oldSize}, the log has ${wanted.size} records`,
        );
      const proof = proveConsistency(oldSize, wanted.size, wanted.hashReader, nodeCrypto);
      writeOutput(
        io,
        output,
        Buffer.from(formatAddCheckpoint({ oldSize, proof, note: wanted.note })).toString(),
      );
      if (io.quiet || output === undefined || output === "-") return;
      const what = pending === null ? "published" : "waiting for witnesses";
      io.stderr(`size ${wanted.size}, ${what}; for a witness that has cosigned size ${oldSize}\n`);
    });
}

export function defineCosign(log: Command, io: Io): void {
  log
    .command("cosign")
    .description(
      "Adds cosignatures from files to the checkpoint that waits, and publishes it once they suffice.",
    )
    .argument("<dir>", "the log")
    .argument("<files...>", "signature lines, as `vouch witness cosign` wrote them")
    .requiredOption("--witness-policy <FILE>", "the policy that names the witnesses and their quorum")
    .option("--timeout <SECONDS>", "how long to wait for another writer", seconds, 30)
    .option("--json", "print one JSON object")
    .action(async (dir: string, files: string[], flags: { witnessPolicy: string; timeout: number }) => {
      const policy = readPolicyNow(flags.witnessPolicy);
      const { published, cosigned } = await cosignFromFiles(dir, files, policy, flags.timeout);
      const { origin, size } = published.checkpoint;
      if (io.json) io.stdout(`${JSON.stringify({ origin, size: decimal(size), cosigned })}\n`);
      else io.stdout(`${origin}, size ${size}, cosigned by ${cosigned.join(", ")}\n`);
    });
}

/** Refuses `nothing-pending`, `quorum-missing` (what the files gave is kept), and what is wrong with a file. */
export async function cosignFromFiles(
  dir: string,
  files: readonly string[],
  policy: Policy,
  timeoutS: number,
) {
  openLog(dir);
  return withLock(dir, timeoutS * 1000, async () => {
    const log = openLog(dir);
    about(dir, () => checkLogKey(log, policyNow(log, policy).log));
    const pending = readPending(log);
    if (pending === null)
      throw new Refusal("nothing-pending", `no checkpoint of ${dir} waits for witnesses`, {
        hint: "a published one changes no more: cosignatures that come late are for the next",
      });
    const { text } = parseNote(pending.note);
    const now = policyNow(pending, policy);
    checkLogKey(pending, now.log);
    const lines = new Map(
      files.map((file) => about(file, () => lineIn(readInput(file, MAX_ANSWER), text, now))),
    );
    let cosigned: readonly string[] = [];
    const published = await cosignAndPublish(log, pending, {
      policy,
      compare: async () => {},
      gather: async (_log, have) => ({
        lines,
        silent: now.witnesses
          .filter(({ name }) => !have.has(name) && !lines.has(name))
          .map(({ name }) => ({ name, code: "not-given", message: "no file is by it" })),
      }),
      tell: (names) => {
        cosigned = names;
      },
    });
    return { published, cosigned };
  });
}

/** The line of whichever witness of the policy wrote the file. */
function lineIn(bytes: Uint8Array, text: string, policy: Policy): [string, string] {
  const lines = parseAnswer(bytes);
  for (const { name, vkey } of policy.witnesses) {
    try {
      const { line, time } = cosignatureIn(lines, text, vkey, nodeCrypto);
      checkNotFuture(time, nowSeconds());
      return [name, line];
    } catch (error) {
      if (!isRefusal(error) || error.code !== "cosignature-missing") throw error;
    }
  }
  throw new Refusal("unknown-cosigner", "no line is by a witness that the policy names");
}
