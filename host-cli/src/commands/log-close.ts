// vouch log close: drafts the statement that ends a log and names its successor.
//
// Approvers sign it with `vouch key sign`; `vouch log add --policy` then puts it where it
// says, as the last record. A log grown meanwhile takes a new draft.

import { toHex } from "@vouch/shared/bytes";
import type { ClosingStatement } from "@vouch/shared/keychange";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import type { Io } from "../io";
import { checkOpen, keptKeyRecords } from "../log/keys";
import { openLog } from "../log/store";
import { readVkey } from "../vkeyfile";
import { draftTime, withDraft, writeKeyDraft } from "./key";

/** The statement for the log as it is. `now` is its `created`. Refuses `log-closed`. */
export function newClosing(folder: string, successor: Vkey, reason: string, now: number): ClosingStatement {
  const log = openLog(folder);
  checkOpen(log, keptKeyRecords(log));
  return {
    kind: "closing",
    origin: log.checkpoint.origin,
    rootSha256: toHex(log.checkpoint.root),
    size: Number(log.size),
    successor: formatVkey(successor),
    reason,
    created: isoTime(now),
  };
}

interface Flags {
  successor: string;
  reason: string;
  created?: string;
  output: string;
}

export function defineClose(log: Command, io: Io): void {
  withDraft(
    log
      .command("close")
      .description("Drafts the last record of a log, which names the log that goes on in its place.")
      .argument("<dir>", "the log to end")
      .requiredOption("--successor <VKEY>", "the verifier key of the next log, or its .vkey file"),
  ).action((dir: string, flags: Flags) => {
    const statement = newClosing(dir, readVkey(flags.successor), flags.reason, draftTime(flags.created));
    writeKeyDraft(flags.output, statement, io);
  });
}
