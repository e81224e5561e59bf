// vouch log: the release log, a folder of static files that any web server can offer.
//
//   init   an empty log, its checkpoint signed
//   add    statements, in the order given; all of them or none
//   close  the statement that ends it (log-close.ts)
//   receipt   a record's place in it, for SCITT peers (log-receipt.ts)
//   check  everything recomputed from the records up: tiles, root, signature, anchors
//
// The log's key is named like the log's origin, so a reader needs one line, its
// verifier key, to know both.

import { rebasedJudge } from "@vouch/shared/anchoring";
import { equalBytes, toBase64 } from "@vouch/shared/bytes";
import { MAX_DSSE } from "@vouch/shared/dsse";
import { policyAt } from "@vouch/shared/keyring";
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
import { readInput } from "../files";
import type { Io } from "../io";
import { type Anchor, listAnchors } from "../log/anchors";
import { aboutKeys, checkKept, keyRecordText, ringOf } from "../log/keys";
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
import { defineClose } from "./log-close";
import { defineReceipt } from "./log-receipt";
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
  policy: Policy | null = null,
): Promise<{ log: ReleaseLog; records: AddedFile[] }> {
  const records = files.map((file) =>
    about(file, () => {
      const bytes = readInput(file, MAX_DSSE);
      checkRecord(bytes);
      return bytes;
    }),
  );
  const { log, records: added } = await addToLog(folder, records, signer, timeoutS, policy);
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
  /** Changes of keys and a closing, in words; with a policy also why one doesn't count. */
  readonly keys: readonly string[];
}

/** Recomputes everything. Refuses `log-damaged`, `wrong-log-key`, `bad-signature`, and what a receipt is refused for. */
export function checkLog(folder: string, policy: Policy | null): CheckedLog {
  const log = openLog(folder);
  return about(folder, () => {
    const kinds = new Map<StatementKind, number>();
    const statements = readStatements(log);
    for (const { statement, bytes, index } of statements) {
      about(`record ${index}`, () => checkRecord(bytes));
      kinds.set(statement.kind, (kinds.get(statement.kind) ?? 0) + 1);
    }
    const records = aboutKeys(statements);
    checkKept(log, records);
    const { ring, remarks } = policy === null ? { ring: null, remarks: [] } : ringOf(policy, records);
    if (ring !== null) checkLogKey(log, policyAt(ring, log.size).log);
    const keys = [...records.map(keyRecordText), ...remarks];
    const rebased = rebasedOnDemand(null); // what one anchor proves is known to the next
    const anchors = listAnchors(folder).flatMap((anchor) =>
      checkAnchor(folder, log, anchor, policy, rebased),
    );
    return { log, kinds, signed: policy !== null, anchors, keys };
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
  defineClose(log, io);
  defineReceipt(log, io);
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
  withSigner(log.command("add"))
    .description(
      "Adds signed statements to the log, all of them or none. What is there already keeps its index.",
    )
    .argument("<dir>", "the log")
    .argument("<files...>", "statements, each a .dsse.json")
    .option("--timeout <SECONDS>", "how long to wait for another writer", seconds, 30)
    .option("--policy <FILE>", "whose approvals count, for statements about keys and the log's end")
    .option("--json", "print one JSON object")
    .action(
      async (dir: string, files: string[], flags: SignerOptions & { timeout: number; policy?: string }) => {
        const policy = flags.policy === undefined ? null : readPolicy(flags.policy);
        const signer = await loadSigner(flags, io);
        const { log: grown, records } = await addFiles(dir, files, signer, flags.timeout, policy);
        if (io.json) {
          const list = records.map(({ file, index, added }) => ({ file, index: Number(index), added }));
          io.stdout(`${JSON.stringify({ ...headOf(grown), records: list })}\n`);
          return;
        }
        const rows = records.map(({ file, index, added }) => [
          `record ${index}`,
          `${file}${added ? "" : ", there already"}`,
        ]);
        io.stdout(`${table(rows)}${grown.checkpoint.origin}, size ${grown.size}\n`);
      },
    );
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
      const { log: found, kinds, signed, anchors, keys } = checked;
      if (io.json) {
        const list = anchors.map(({ size, kind, time }) => ({
          size: Number(size),
          kind,
          time: time === null ? null : isoTime(time),
        }));
        io.stdout(
          `${JSON.stringify({ ...headOf(found), kinds: Object.fromEntries(kinds), signatureChecked: signed, anchors: list, keys })}\n`,
        );
        return;
      }
      const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
      io.stdout(
        table([
          ["records", `${found.size}${counts === "" ? "" : `: ${counts}`}`],
          ["root", `${toBase64(found.checkpoint.root)}, as the records give it`],
          ["signature", signed ? `by ${found.checkpoint.origin}` : "not checked: no --policy names the key"],
          ...keys.map((text) => ["keys", text]),
          ...anchors.map(({ size, kind, time }) => [
            "anchor",
            `size ${size} on ${kind}, ${time === null ? "receipt not checked: no --policy names that ledger" : `recorded ${isoTime(time)}`}`,
          ]),
        ]),
      );
    });
}
