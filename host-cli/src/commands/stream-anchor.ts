// vouch stream anchor FILE: commits to how far a stream had come, for a log and so for the ledger.
//
//   recording ─▶ last signed frame ─▶ F.dsse.json    for `vouch log add`: a salted hash, nothing of the readings
//                                 └▶ F.head         with the salt: what `stream verify --anchor` is shown later
//
// Once the log's checkpoint is anchored, two things hold: the frames up to that head were there by then; and a
// recording that ends before it, or has another frame there, isn't the whole of it.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { SALT_LENGTH } from "@vouch/shared/commitment";
import { checkInclusion, leafHash, proveInclusion } from "@vouch/shared/merkle";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { type KnownHead, StreamChecker } from "@vouch/shared/streamcheck";
import { formatHead, headCommitment, MAX_HEAD, parseHead, type StreamHead } from "@vouch/shared/streamhead";
import type { StreamFinding } from "@vouch/shared/streamreasons";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { signStatement } from "../endorse";
import { about } from "../exit";
import type { Io } from "../io";
import { listAnchors } from "../log/anchors";
import { findStatements } from "../log/lookup";
import { openLog } from "../log/store";
import { readInput } from "../readfiles";
import { loadSigner, type SignerOptions, withSigner } from "../signer";
import { readRecording } from "../streamfile";
import { refuseRefuted } from "../streamverdict";
import { writeWhole } from "../writefiles";
import { receiptTime } from "./receipt-time";

interface Flags extends SignerOptions {
  output: string;
  dryRun?: boolean;
}

/** The last signed frame of a recording. Refuses what refutes the recording, and `stream-empty`. */
export function headOf(file: string): Omit<StreamHead, "salt"> {
  const findings: StreamFinding[] = [];
  const checker = new StreamChecker({ crypto: nodeCrypto }, { finding: (found) => findings.push(found) });
  const { head } = readRecording(file, checker).summary;
  refuseRefuted(findings);
  if (head === null) throw new Refusal("stream-empty", "the recording holds no stream");
  return { id: head.id, epoch: head.epoch, seq: head.to, link: head.link };
}

export function defineAnchor(stream: Command, io: Io): void {
  withSigner(stream.command("anchor"))
    .description("Commits to how far a stream has come: a salted hash for a log, and so for the ledger.")
    .argument("<file>", "the recording (.vstream), or - for stdin")
    .requiredOption("-o, --output <PREFIX>", "writes PREFIX.dsse.json, for the log, and PREFIX.head, to keep")
    .option("--dry-run", "say what would be committed to, and write nothing")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: Flags) => {
      const paths = { statement: `${flags.output}.dsse.json`, head: `${flags.output}.head` };
      for (const path of Object.values(paths))
        if (existsSync(path))
          throw new Refusal("exists", `${path} is there already and is never overwritten`);
      const salt = new Uint8Array(randomBytes(SALT_LENGTH));
      const head = { ...about(file, () => headOf(file)), salt };
      const told = { stream: toHex(head.id), epoch: head.epoch, seq: head.seq, link: toHex(head.link) };
      if (flags.dryRun !== true) await writeHead(head, paths, flags, io);
      if (io.json) io.stdout(`${JSON.stringify({ ...paths, ...told, written: flags.dryRun !== true })}\n`);
      else io.stdout(`stream ${told.stream}, frame ${told.seq} of epoch ${told.epoch}\n`);
      if (!io.json && !io.quiet)
        io.stderr(
          `add ${paths.statement} to the log, then anchor it; ${paths.head} shows later what it is of\n`,
        );
    });
}

/** The head first: a commitment that nobody can open says nothing. */
async function writeHead(
  head: StreamHead,
  paths: { statement: string; head: string },
  flags: Flags,
  io: Io,
): Promise<void> {
  const sha256 = toHex(headCommitment(head, nodeCrypto));
  const created = isoTime(Math.floor(Date.now() / 1000));
  const signer = await loadSigner(flags, io);
  const statement = await signStatement({ kind: "stream-commitment", sha256, created }, signer);
  writeWhole(paths.head, formatHead(head), { mode: 0o600, overwrite: false });
  writeWhole(paths.statement, statement, { overwrite: false });
}

export interface ProvedHead extends KnownHead {
  /** When a ledger had it, Unix seconds; null when that isn't proved. */
  readonly time: number | null;
  /** Why not; null when it is. */
  readonly trouble: string | null;
}

/**
 * A head, and when a log's ledger had the commitment to it. The head is held against the recording whether or not that is
 * proved: whoever shows it says that the stream had come so far.
 */
export function proveHead(path: string, logFolder: string, policy: Policy): ProvedHead {
  const head = about(path, () => parseHead(readInput(path, MAX_HEAD)));
  const known = { id: head.id, seq: head.seq, link: head.link, from: "anchor" as const };
  try {
    return { ...known, time: about(logFolder, () => timeOf(head, logFolder, policy)), trouble: null };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { ...known, time: null, trouble: `${error.message} [${error.code}]` };
  }
}

function timeOf(head: StreamHead, logFolder: string, policy: Policy): number {
  const log = openLog(logFolder);
  const subject = toHex(headCommitment(head, nodeCrypto));
  const [record] = findStatements(log, [{ kind: "stream-commitment", subject }]);
  if (record === undefined)
    throw new Refusal(
      "stream-not-logged",
      `the log holds no commitment to frame ${head.seq} under this salt`,
    );
  const holding = listAnchors(logFolder).find(({ size }) => size > record.index);
  const receipt = holding?.receipts.find(({ kind }) => policy.ledgers.some((ledger) => ledger.kind === kind));
  if (holding === undefined || receipt === undefined)
    throw new Refusal(
      "not-anchored",
      `no ledger that the policy names has the log's record ${record.index} yet`,
    );
  const proof = proveInclusion(record.index, holding.size, log.hashReader, nodeCrypto);
  const leaf = leafHash(record.bytes, nodeCrypto);
  checkInclusion(leaf, record.index, holding.size, proof, holding.checkpoint.root, nodeCrypto);
  return receiptTime(logFolder, holding.note, receipt, policy);
}
