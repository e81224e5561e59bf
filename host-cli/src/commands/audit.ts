// vouch audit FILES… --policy P: is the fleet patched? Each device is judged as `vouch verify` judges one
// (shared/src/fleet.ts); reading, threads, stores and counting are host-cli/src/audit.

import { availableParallelism } from "node:os";
import type { AuditRecord, AuditSummary } from "@vouch/shared/auditline";
import { OUTDATED_STEP } from "@vouch/shared/outdated";
import { parsePolicy } from "@vouch/shared/policy";
import type { Command } from "commander";
import { findInputs, type Trouble } from "../audit/inputs";
import { makeJudge, type Setup } from "../audit/judge";
import { localPool, threadPool } from "../audit/pool";
import { findRevoked } from "../audit/revoked";
import { type Outcome, runAudit } from "../audit/run";
import { openStore } from "../audit/store";
import { nodeCrypto } from "../crypto";
import { about, printable, usage } from "../exit";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { auditText } from "../output/audit";
import { nextStep } from "../output/nextstep";
import { startProgress } from "../output/terminal";
import { readInput } from "../readfiles";
import { ALONE } from "../version";

const MAX_POLICY = 256 * 1024;
const MAX_JOBS = 64;
/** Below this many devices threads take longer to start than they save. */
const THREADS_FROM = 1024;
/** Bytes that hold more devices than that: threads start at once, and judging leaves no garbage in the main one. */
const LARGE = 16 * 1024 * 1024;

export interface AuditOptions {
  readonly policy: string;
  readonly at?: string;
  readonly image?: readonly string[];
  readonly jobs?: string;
  readonly store?: string;
  readonly fresh?: boolean;
}

/** Reads and judges all of it. `now` is Unix seconds. Throws for trouble with anything but the files audited. */
export async function auditFiles(
  files: readonly string[],
  options: AuditOptions,
  now: number,
  io: Io,
): Promise<Outcome> {
  const stdin = [...files, options.policy, ...(options.image ?? [])].filter((path) => path === "-");
  if (stdin.length > 1) throw usage("only one input can come from stdin");
  const at = options.at === undefined ? now : parseMoment(options.at, "--at");
  if (at > now) throw usage(`--at ${options.at} is in the future`, "leave --at out to ask about now");
  if (options.fresh === true && options.store === undefined)
    throw usage("--fresh is about a store, and none is named");
  const jobs = jobsOf(options.jobs);
  const policy = readInput(options.policy, MAX_POLICY);
  about(options.policy, () => parsePolicy(policy, nodeCrypto));
  const brief = !io.json && options.store === undefined;
  const troubles: Trouble[] = [];
  const inputs = findInputs(files, (trouble) => troubles.push(trouble));
  const asked: Setup = { policy, at, now, images: [], brief };
  const revoked = findRevoked(inputs.streams, makeJudge(asked).question);
  const setup: Setup = { ...asked, images: options.image ?? [], revoked };
  const judge = makeJudge(setup);
  const store =
    options.store === undefined
      ? null
      : await openStore(options.store, io.env, (remark) => remind(io, remark));
  const isLarge = store === null && inputs.bytes >= LARGE;
  const pool = jobs === 1 ? localPool(judge) : threadPool(judge, setup, jobs, isLarge ? 0 : THREADS_FROM);
  const progress = startProgress(io, "auditing", inputs.bytes, undefined, "records");
  try {
    return await runAudit(
      {
        judge,
        pool,
        store,
        fresh: options.fresh === true,
        inFlight: jobs === 1 ? 0 : 2 * jobs,
        print: io.json ? (line) => io.stdout(`${line}\n`) : null,
        progress: (bytes, records) => progress.update(bytes, records),
      },
      inputs,
      troubles,
    );
  } finally {
    progress.end();
    await pool.close();
    await store?.close();
  }
}

function jobsOf(text: string | undefined): number {
  if (ALONE) return 1;
  if (text === undefined) return Math.min(availableParallelism(), MAX_JOBS);
  const jobs = /^[1-9][0-9]?$/.test(text) ? Number(text) : 0;
  if (jobs < 1 || jobs > MAX_JOBS) throw usage(`--jobs takes a number from 1 to ${MAX_JOBS}`);
  return jobs;
}

function remind(io: Io, remark: string): void {
  if (!io.quiet && !io.json) io.stderr(`vouch: ${printable(remark)}\n`);
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

/** What helps where no device is patched and all for one reason: that is the files' or the policy's doing, not theirs. */
function stepForAll(exceptions: readonly AuditRecord[], summary: AuditSummary): string | undefined {
  const { records, words } = summary;
  if ("outdated" in summary) return OUTDATED_STEP;
  const [first, ...others] = exceptions.map(
    ({ word, reasons }) => reasons.find((r) => r.word === word)?.code,
  );
  if (first === undefined || records < 2 || (words["patched"] ?? 0) > 0) return undefined;
  return others.every((code) => code === first) ? nextStep(first) : undefined;
}

export function define(program: Command, io: Io): void {
  const audit = program
    .command("audit")
    .description("Settles which devices of a fleet are patched, and why the others are not.")
    .argument("<files...>", "bundles, fleet files, evidence (.eat), folders of them; - for stdin")
    .requiredOption("--policy <FILE>", "whom to trust: keys, thresholds, ages")
    .option("--at <TIME>", "answer for this moment (2026-01-15T09:00:00Z) instead of now")
    .option(
      "--image <FILE>",
      "an image to recompute keyed digests from, for releases that name it (repeatable)",
      collect,
    );
  if (!ALONE)
    audit
      .option("--jobs <N>", "threads that judge; as many as there are processors unless said")
      .option("--store <DIR|URL>", "keep results in a folder or postgres://…, and judge only what is new")
      .option("--fresh", "judge everything again, whatever the store holds");
  audit
    .option("--json", "print one line of JSON for each release and each record, and a summary")
    .action(async (files: string[], options: AuditOptions) => {
      const now = Math.floor(Date.now() / 1000);
      const { summary, exceptions, contexts } = await auditFiles(files, options, now, io);
      if (!io.json) io.stdout(auditText(summary, exceptions, contexts, io));
      for (const { file, code, message } of summary.trouble)
        io.stderr(`${printable(`vouch: ${file === "" ? "audit" : file}: ${message} [${code}]`)}\n`);
      if (summary.records === 0 && summary.trouble.length === 0)
        io.stderr(
          "vouch: audit: no device evidence was found [evidence-missing]\n" +
            "vouch: hint: in a folder, .vouch.json, .jsonl, .fleet, .cborseq and .eat are looked at, and no other names\n",
        );
      const step = io.json ? undefined : stepForAll(exceptions, summary);
      if (step !== undefined) io.stderr(`vouch: hint: ${step}\n`);
      io.exitCode = summary.exit;
    });
}
