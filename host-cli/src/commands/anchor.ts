// vouch anchor: a log's current checkpoint on a ledger, and the receipt beside the log.
//
// The receipt passes the offline verifier before anything is said to have worked.
// Anchoring one checkpoint twice gives its first receipt again. The directory
// ledger is a folder of ours: no fee, no network, hence no question asked.

import { join } from "node:path";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { openDirectoryLedger } from "../ledger/directory";
import { type Ledger, recordNote } from "../ledger/ledger";
import { checkNotForked, newestAnchored, storeAnchor } from "../log/anchors";
import { openLog } from "../log/store";
import { loadSigner, type Signer, type SignerOptions, seconds } from "../signer";

export interface AnchoredCheckpoint {
  readonly size: bigint;
  /** Unix seconds, as the receipt proves it. */
  readonly time: number;
  readonly fresh: boolean;
  readonly receiptPath: string;
}

/** Anchors the log's current checkpoint. Refuses as the ledger does, `log-forked`, `anchor-conflict`, `receipt-conflict`. */
export async function anchorLog(
  logFolder: string,
  ledger: Ledger,
  signer: Signer,
  now: number,
): Promise<AnchoredCheckpoint> {
  const anchored = newestAnchored(logFolder);
  const log = openLog(logFolder);
  const { note, size } = log;
  about(logFolder, () => checkNotForked(log, anchored));
  const { time, receipt, fresh } = await recordNote(ledger, note, signer, now);
  storeAnchor(logFolder, note, ledger.kind, receipt);
  return {
    size,
    time,
    fresh,
    receiptPath: join(logFolder, "anchors", String(size), `${ledger.kind}.tlog-proof`),
  };
}

/** The ledger that `KIND:WHERE` names. Refuses `usage` for a kind this version doesn't know. */
export function openLedger(where: string, signer: Signer, lockTimeoutS?: number): Ledger {
  const match = /^directory:(.+)$/s.exec(where);
  if (match === null) throw usage("--ledger: expected directory:PATH, the one kind of ledger known here");
  return openDirectoryLedger(match[1] as string, signer, lockTimeoutS);
}

interface Flags {
  ledger: string;
  ledgerKey?: string;
  signerCmd?: string;
  passphraseFile?: string;
  signerTimeout?: number;
  timeout: number;
  dryRun?: boolean;
}

export function define(program: Command, io: Io): void {
  program
    .command("anchor")
    .description("Places a log's current checkpoint on a ledger and keeps the receipt beside the log.")
    .argument("<logdir>", "the log")
    .requiredOption("--ledger <KIND:WHERE>", "directory:PATH")
    .option("--ledger-key <FILE>", "the key that the directory ledger is kept with")
    .option("--signer-cmd <CMD>", "an outside program instead of --ledger-key")
    .option("--passphrase-file <FILE>", "read the key's passphrase from FILE, - is stdin")
    .option("--signer-timeout <SECONDS>", "how long the outside program may take", seconds, 120)
    .option("--timeout <SECONDS>", "how long to wait for another writer of the ledger", seconds, 30)
    .option("--dry-run", "say what would be anchored, and stop")
    .option("--json", "print one JSON object")
    .action(async (logFolder: string, flags: Flags) => {
      const { checkpoint, size } = openLog(logFolder);
      const { origin } = checkpoint;
      if (!io.quiet && !io.json) io.stderr(`anchoring ${origin}, size ${size}, on ${flags.ledger}\n`);
      if (flags.dryRun) {
        if (io.json) io.stdout(`${JSON.stringify({ dryRun: true, origin, size: Number(size) })}\n`);
        return;
      }
      const { ledgerKey, ...rest } = flags;
      const options: SignerOptions = { ...rest, key: ledgerKey };
      if (ledgerKey === undefined && flags.signerCmd === undefined)
        throw usage("expected --ledger-key FILE or --signer-cmd CMD");
      const signer = await loadSigner(options, io);
      const ledger = openLedger(flags.ledger, signer, flags.timeout);
      report(await anchorLog(logFolder, ledger, signer, Math.floor(Date.now() / 1000)), ledger, io);
    });
}

function report(anchored: AnchoredCheckpoint, ledger: Ledger, io: Io): void {
  const { size, time, fresh, receiptPath } = anchored;
  if (io.json) {
    io.stdout(
      `${JSON.stringify({ ledger: ledger.kind, public: ledger.isPublic, size: Number(size), time: isoTime(time), fresh, receipt: receiptPath })}\n`,
    );
    return;
  }
  io.stdout(
    `size ${size} ${fresh ? "recorded" : "was recorded already,"} at ${isoTime(time)} (${ledger.worth})\n${receiptPath}\n`,
  );
}
