// vouch log: the release log, a folder of static files that any web server can offer.
//
//   init   an empty log, its checkpoint signed
//   add    statements, in the order given; all of them or none
//   check  everything recomputed from the records up: tiles, root, signature, anchors
//   prove  a record's place, or an earlier log as the beginning of this one (log-prove.ts)
//
// The log's key is named like the log's origin, so a reader needs one line, its
// verifier key, to know both.

import { rebasedJudge } from "@vouch/shared/anchoring";
import { equalBytes, toBase64 } from "@vouch/shared/bytes";
import { rootOf } from "@vouch/shared/merkle";
import type { Policy } from "@vouch/shared/policy";
import { rebasedLines } from "@vouch/shared/policy";
import type { StatementKind } from "@vouch/shared/predicates";
import { walkMember } from "@vouch/shared/rebased/walkform";
import { ledgerFor, verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import type { Io } from "../io";
import { type Anchor, listAnchors } from "../log/anchors";
import { checkLogKey, checkRecord, initLog, openLog, type ReleaseLog, readStatements } from "../log/store";
import { readWalkFile } from "../log/walk";
import { decimal } from "../output/size";
import { table } from "../output/terminal";
import { type RebasedOnDemand, rebasedOnDemand } from "../rebased";
import { loadSigner, type SignerOptions, withSigner } from "../signer";
import { damaged } from "../tiledlog";
import { defineAdd } from "./log-add";
import { defineProve } from "./log-prove";
import { readPolicy } from "./policy";

export interface CheckedAnchor {
  readonly size: bigint;
  readonly kind: string;
  /** Unix seconds, null when there is no policy, or it names no ledger of that kind. */
  readonly time: number | null;
}

export interface CheckedLog {
  readonly log: ReleaseLog;
  readonly kinds: ReadonlyMap<StatementKind, number>;
  /** Whether the checkpoint's signature was verified: only a policy names the key. */
  readonly signed: boolean;
  readonly anchors: readonly CheckedAnchor[];
}

/** Recomputes everything. Refuses `log-damaged`, `wrong-log-key`, `bad-signature`, and what a receipt is refused for. */
export function checkLog(folder: string, policy: Policy | null): CheckedLog {
  const log = openLog(folder);
  return about(folder, () => {
    if (policy !== null) checkLogKey(log, policy.log);
    const kinds = new Map<StatementKind, number>();
    for (const { statement, bytes, index } of readStatements(log)) {
      about(`record ${index}`, () => checkRecord(bytes));
      kinds.set(statement.kind, (kinds.get(statement.kind) ?? 0) + 1);
    }
    const rebased = rebasedOnDemand(null); // what one anchor proves is known to the next
    const anchors = listAnchors(folder).flatMap((anchor) =>
      checkAnchor(folder, log, anchor, policy, rebased),
    );
    return { log, kinds, signed: policy !== null, anchors };
  });
}

function checkAnchor(
  folder: string,
  log: ReleaseLog,
  anchor: Anchor,
  policy: Policy | null,
  rebased: RebasedOnDemand,
): CheckedAnchor[] {
  const { size, checkpoint } = anchor;
  if (checkpoint.origin !== log.checkpoint.origin || size > log.size) {
    throw damaged(`the anchor of size ${size} is not a checkpoint of this log of ${log.size} records`);
  }
  if (!equalBytes(rootOf(size, log.hashReader, nodeCrypto), checkpoint.root)) {
    throw new Refusal(
      "log-forked",
      `the anchored checkpoint of size ${size} has another root than this log's first ${size} records`,
    );
  }
  const walk = anchor.receipts.some(({ kind }) => kind === "rebased") ? readWalkFile(folder) : null;
  return anchor.receipts.map(({ kind, proof }) => {
    if (kind === "rebased" && walk !== null && policy !== null && rebasedLines(policy.ledgers).length > 0) {
      const judge = rebasedJudge({
        policy,
        crypto: nodeCrypto,
        rebased: rebased.open,
        walk: walkMember(walk),
      });
      return { size, kind, time: judge(proof, anchor.note).time };
    }
    const named = policy?.ledgers.flatMap((l) => (l.kind === "directory" ? [l.root] : [])) ?? [];
    const ledger = kind === "directory" ? ledgerFor(proof, named) : undefined;
    if (ledger === undefined) return { size, kind, time: null };
    return { size, kind, time: verifyDirectoryReceipt(proof, anchor.note, ledger, nodeCrypto).time };
  });
}

export function define(program: Command, io: Io): void {
  const log = program.command("log").description("Keeps the release log: a folder of static files.");
  defineInit(log, io);
  defineAdd(log, io);
  defineCheck(log, io);
  defineProve(log, io);
}

export const headOf = ({ checkpoint, size }: ReleaseLog) => ({
  origin: checkpoint.origin,
  size: decimal(size),
  root: toBase64(checkpoint.root),
});

function defineInit(log: Command, io: Io): void {
  withSigner(log.command("init"))
    .description("Makes an empty log with a signed checkpoint.")
    .argument("<dir>", "the folder; made if missing")
    .option("--origin <NAME>", "refuse unless this is the key's name, which becomes the log's")
    .option("--json", "print one JSON object")
    .action(async (dir: string, flags: SignerOptions & { origin?: string }) => {
      const made = await initLog(dir, flags.origin, await loadSigner(flags, io));
      io.stdout(io.json ? `${JSON.stringify(headOf(made))}\n` : `${made.checkpoint.origin}, size 0\n`);
    });
}

function defineCheck(log: Command, io: Io): void {
  log
    .command("check")
    .description("Recomputes the whole log from its records; with a policy also its signature and receipts.")
    .argument("<dir>", "the log")
    .option("--policy <FILE>", "names the log's key and the ledgers")
    .option("--json", "print one JSON object")
    .action((dir: string, flags: { policy?: string }) => {
      const checked = checkLog(dir, flags.policy === undefined ? null : readPolicy(flags.policy));
      const { log: found, kinds, signed, anchors } = checked;
      if (io.json) {
        const list = anchors.map(({ size, kind, time }) => ({
          size: decimal(size),
          kind,
          time: time === null ? null : isoTime(time),
        }));
        io.stdout(
          `${JSON.stringify({ ...headOf(found), kinds: Object.fromEntries(kinds), signatureChecked: signed, anchors: list })}\n`,
        );
        return;
      }
      const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
      io.stdout(
        table([
          ["records", `${found.size}${counts === "" ? "" : `: ${counts}`}`],
          ["root", `${toBase64(found.checkpoint.root)}, as the records give it`],
          ["signature", signed ? `by ${found.checkpoint.origin}` : "not checked: no --policy names the key"],
          ...anchors.map(({ size, kind, time }) => [
            "anchor",
            `size ${size} on ${kind}, ${time === null ? "receipt not checked: no --policy names that ledger" : `recorded ${isoTime(time)}`}`,
          ]),
        ]),
      );
    });
}
