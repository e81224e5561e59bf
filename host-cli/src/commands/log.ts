// vouch log: the release log, a folder of static files that any web server can offer.
//
//   init   an empty log, its checkpoint signed
//   add    statements, in the order given; all of them or none
//   check  everything recomputed from the records up: tiles, root, signature, anchors
//   prove  a record's place, or an earlier log as the beginning of this one (log-prove.ts)
//   request, cosign   what witnesses without an address take and give (log-witnesses.ts)
//
// The log's key is named like the log's origin, so a reader needs one line, its
// verifier key, to know both.

import { rebasedJudge } from "@vouch/shared/anchoring";
import { equalBytes, toBase64 } from "@vouch/shared/bytes";
import { MAX_DSSE } from "@vouch/shared/dsse";
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
import { about, usage } from "../exit";
import { readInput } from "../files";
import type { Io } from "../io";
import { type Anchor, listAnchors } from "../log/anchors";
import type { Cosigning } from "../log/cosigning";
import {
  type Added,
  addToLog,
  checkLogKey,
  checkRecord,
  initLog,
  openLog,
  type ReleaseLog,
  readStatements,
} from "../log/store";
import { readWalkFile } from "../log/walk";
import { table } from "../output/terminal";
import { type RebasedOnDemand, rebasedOnDemand } from "../rebased";
import { loadSigner, type Signer, type SignerOptions, seconds, withSigner } from "../signer";
import { damaged } from "../tiledlog";
import { defineProve } from "./log-prove";
import {
  cosigningFor,
  defineCosign,
  defineRequest,
  type Outcome,
  type WitnessFlags,
  witnessFlags,
} from "./log-witnesses";
import { readPolicy } from "./policy";

export interface AddedFile extends Added {
  readonly file: string;
}

/** Adds statement files. Refuses as checkRecord and addToLog do; the log is then as it was. */
export async function addFiles(
  folder: string,
  files: readonly string[],
  signer: Signer,
  timeoutS?: number,
  cosigning: Cosigning | null = null,
): Promise<{ log: ReleaseLog; records: AddedFile[] }> {
  const records = files.map((file) =>
    about(file, () => {
      const bytes = readInput(file, MAX_DSSE);
      checkRecord(bytes);
      return bytes;
    }),
  );
  const { log, records: added } = await addToLog(folder, records, signer, timeoutS, cosigning);
  return { log, records: added.map((record, i) => ({ ...record, file: files[i] as string })) };
}

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
  defineRequest(log, io);
  defineCosign(log, io);
}

const headOf = ({ checkpoint, size }: ReleaseLog) => ({
  origin: checkpoint.origin,
  size: Number(size),
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

function defineAdd(log: Command, io: Io): void {
  witnessFlags(withSigner(log.command("add")))
    .description(
      "Adds signed statements to the log, all of them or none. What is there already keeps its index.",
    )
    .argument("<dir>", "the log")
    .argument("[files...]", "statements, each a .dsse.json; none to finish what waits for witnesses")
    .option("--timeout <SECONDS>", "how long to wait for another writer", seconds, 30)
    .option("--json", "print one JSON object")
    .action(async (dir: string, files: string[], flags: AddFlags) => {
      if (files.length === 0 && flags.witnessPolicy === undefined)
        throw usage("expected statements to add, or --witness-policy to finish what waits");
      const outcome: Outcome = { cosigned: [], silent: [] };
      const cosigning = cosigningFor(dir, flags, outcome, io);
      const signer = await loadSigner(flags, io);
      const { log: grown, records } = await addFiles(dir, files, signer, flags.timeout, cosigning).finally(
        () => cosigning?.close(),
      );
      if (io.json) {
        const list = records.map(({ file, index, added }) => ({ file, index: Number(index), added }));
        const witnesses = cosigning === null ? {} : outcome;
        io.stdout(`${JSON.stringify({ ...headOf(grown), records: list, ...witnesses })}\n`);
        return;
      }
      const rows = records.map(({ file, index, added }) => [
        `record ${index}`,
        `${file}${added ? "" : ", there already"}`,
      ]);
      const by = outcome.cosigned.length === 0 ? "" : `, cosigned by ${outcome.cosigned.join(", ")}`;
      io.stdout(`${table(rows)}${grown.checkpoint.origin}, size ${grown.size}${by}\n`);
    });
}

type AddFlags = SignerOptions & WitnessFlags & { timeout: number };

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
          size: Number(size),
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
