// vouch log add: statements into the log, all of them or none, a few or millions.
//
//   FILES…            each a statement, or a folder: then its .dsse.json files, by name
//   --entries FILE    one statement a line, exactly as its file would hold it; - is stdin
//
// With --witness-policy it is published once a quorum of witnesses has cosigned it (log/cosigning.ts).
//
// Files are read when their turn comes, so that neither their number nor the length of the lines' file matters.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { toBase64 } from "@vouch/shared/bytes";
import { MAX_DSSE } from "@vouch/shared/dsse";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { about, usage } from "../exit";
import type { Io } from "../io";
import type { Cosigning } from "../log/cosigning";
import { type Added, type Incoming, type ReleaseLog, streamToLog } from "../log/store";
import { decimal } from "../output/size";
import { table } from "../output/terminal";
import { readInput, readLines } from "../readfiles";
import { loadSigner, type SignerOptions, seconds, withSigner } from "../signer";
import { cosigningFor, type Outcome, type WitnessFlags, witnessFlags } from "./log-witnesses";
import { readPolicyNow } from "./policy";

const LISTED = 1000; // more records than anybody reads one by one

interface AddFlags extends SignerOptions, WitnessFlags {
  readonly timeout: number;
  readonly policy?: string;
  readonly entries?: string;
}

function* statementsIn(files: readonly string[], entries: string | undefined): Generator<Incoming> {
  for (const file of files)
    for (const from of filesIn(file)) yield { bytes: about(from, () => readStatement(from)), from };
  if (entries === undefined) return;
  let line = 0;
  for (const bytes of about(entries, () => readLines(entries, MAX_DSSE)))
    yield { bytes, from: `${entries === "-" ? "stdin" : entries}:${++line}` };
}

function readStatement(from: string): Uint8Array {
  try {
    return readInput(from, MAX_DSSE);
  } catch (error) {
    if (!isRefusal(error) || error.code !== "too-large") throw error;
    const hint = "for a file of many statements, one a line, there is --entries FILE";
    throw new Refusal(error.code, error.message, { hint, cause: error });
  }
}

function filesIn(path: string): string[] {
  if (path === "-" || statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  const names = readdirSync(path).filter((name) => name.endsWith(".dsse.json"));
  return names.sort().map((name) => join(path, name));
}

export interface AddedFile extends Added {
  readonly file: string;
}

export interface AddedStatements {
  readonly log: ReleaseLog;
  readonly added: number;
  readonly known: number;
  /** The first of them, LISTED at most. */
  readonly records: readonly AddedFile[];
}

/** Adds statements. Refuses as checkRecord and streamToLog do; the log is then as it was. */
export async function addStatements(
  folder: string,
  statements: Iterable<Incoming>,
  signer: Parameters<typeof streamToLog>[2],
  lockTimeoutS: number,
  cosigning: Cosigning | null = null,
  policy: Policy | null = null,
): Promise<AddedStatements> {
  const records: AddedFile[] = [];
  const count = { added: 0, known: 0 };
  const log = await streamToLog(folder, statements, signer, {
    lockTimeoutS,
    cosigning,
    policy,
    told({ from }, record) {
      count[record.added ? "added" : "known"]++;
      if (records.length < LISTED) records.push({ file: from, ...record });
    },
  });
  return { log, records, ...count };
}

export function defineAdd(log: Command, io: Io): void {
  witnessFlags(withSigner(log.command("add")))
    .description(
      "Adds signed statements to the log, all of them or none. What is there already keeps its index.",
    )
    .argument("<dir>", "the log")
    .argument("[files...]", "statements, each a .dsse.json, or folders of them; none to finish what waits")
    .option("--entries <FILE>", "statements, one a line; - is stdin")
    .option("--timeout <SECONDS>", "how long to wait for another writer", seconds, 30)
    .option("--policy <FILE>", "whose approvals count, for statements about keys and the log's end")
    .option("--json", "print one JSON object")
    .action(async (dir: string, files: string[], flags: AddFlags) => {
      if (files.length === 0 && flags.entries === undefined && flags.witnessPolicy === undefined)
        throw usage("nothing to add is named", "name files or folders, or --entries FILE");
      const policy = flags.policy === undefined ? null : readPolicyNow(flags.policy);
      const outcome: Outcome = { cosigned: [], silent: [] };
      const cosigning = cosigningFor(dir, flags, outcome, io);
      try {
        const signer = await loadSigner(flags, io);
        const statements = statementsIn(files, flags.entries);
        const done = await addStatements(dir, statements, signer, flags.timeout, cosigning, policy);
        tell(done, cosigning === null ? null : outcome, io);
      } finally {
        cosigning?.close();
      }
    });
}

function tell({ log, records, added, known }: AddedStatements, witnesses: Outcome | null, io: Io): void {
  const { checkpoint, size } = log;
  if (io.json) {
    const list = records.map((record) => ({
      file: record.file,
      index: decimal(record.index),
      added: record.added,
    }));
    const head = { origin: checkpoint.origin, size: decimal(size), root: toBase64(checkpoint.root) };
    io.stdout(`${JSON.stringify({ ...head, added, known, records: list, ...witnesses })}\n`);
    return;
  }
  const rows = records.map((record) => [
    `record ${record.index}`,
    `${record.file}${record.added ? "" : ", there already"}`,
  ]);
  const more = added + known - rows.length;
  if (more > 0) rows.push([`and ${more} more`, `${added} added, ${known} there already`]);
  const by = witnesses?.cosigned.length ? `, cosigned by ${witnesses.cosigned.join(", ")}` : "";
  io.stdout(`${table(rows)}${checkpoint.origin}, size ${size}${by}\n`);
}
