// vouch log check: everything in a log's folder recomputed (log/fsck.ts), and with a policy its signature and receipts.
//
// Keys that the policy distrusts by now count for nothing here: no receipt by a ledger's, no change of keys by an
// approver's. Under the log's own the whole log is the word of whoever has the key, but for what a ledger had before.

import { equalBytes, toBase64 } from "@vouch/shared/bytes";
import { endOf } from "@vouch/shared/distrust";
import { type Keyring, policyAt } from "@vouch/shared/keyring";
import { rootOf } from "@vouch/shared/merkle";
import type { Policy } from "@vouch/shared/policy";
import type { StatementKind } from "@vouch/shared/predicates";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { keepFraud } from "../fraudfile";
import type { Io } from "../io";
import { type Anchor, type AnchoredNote, checkNotForked, listAnchors, newestAnchored } from "../log/anchors";
import { type Checked, checkFolder } from "../log/fsck";
import { aboutKeys, checkKept, type KeyRecord, keyRecordText, ringOf } from "../log/keys";
import { receiptTime } from "../log/receipts";
import { checkLogKey, checkRecord, type ReleaseLog } from "../log/store";
import { decimal } from "../output/size";
import { type Progress, startProgress, table } from "../output/terminal";
import { type RebasedOnDemand, rebasedOnDemand } from "../rebased";
import { damaged, type TiledLog } from "../tiledlog";
import { readPolicyNow } from "./policy";

const SHOWN_FROM = 20_000n; // fewer records are checked before anybody wonders

export interface CheckedAnchor {
  readonly size: bigint;
  readonly kind: string;
  /** Unix seconds, null when there is no policy, or it names no ledger of that kind. */
  readonly time: number | null;
}

export interface CheckedLog extends Checked {
  readonly kinds: ReadonlyMap<StatementKind, number>;
  /** Whether the checkpoint's signature was verified: only a policy names the key. */
  readonly signed: boolean;
  /** Since when the policy distrusts the key that signed it; a ledger had the checkpoint before. Null when it doesn't. */
  readonly distrusted: number | null;
  readonly anchors: readonly CheckedAnchor[];
  /** Changes of keys and a closing, in words; with a policy also why one doesn't count. */
  readonly keys: readonly string[];
}

/**
 * Recomputes everything. Refuses `log-damaged`, `index-damaged`, `wrong-log-key`, `bad-signature`, `log-forked`, what a
 * receipt is refused for, and `log-distrusted`. `policy` is one of now (policy.ts).
 */
export function checkLog(
  folder: string,
  policy: Policy | null,
  progress: (done: bigint, size: bigint) => void = () => {},
): CheckedLog {
  return about(folder, () => {
    const kinds = new Map<StatementKind, number>();
    const records: KeyRecord[] = [];
    const visit = (bytes: Uint8Array, index: bigint) => {
      const statement = about(`record ${index}`, () => checkRecord(bytes));
      kinds.set(statement.kind, (kinds.get(statement.kind) ?? 0) + 1);
      records.push(...aboutKeys([{ index, bytes, statement }]));
    };
    const checked = checkFolder(folder, visit, progress);
    const { log } = checked;
    checkKept(log, records);
    const { ring, remarks } = policy === null ? { ring: null, remarks: [] } : ringOf(policy, records);
    if (ring !== null) checkLogKey(log, policyAt(ring, log.size).log);
    const keys = [...records.map(keyRecordText), ...remarks];
    const rebased = rebasedOnDemand(null); // what one anchor proves is known to the next
    const anchors = listAnchors(folder).flatMap((anchor) =>
      checkAnchor(folder, log, anchor, ring && policyAt(ring, anchor.size), rebased),
    );
    checkNewest(log, newestAnchored(folder), ring);
    const distrusted = ring && checkTrusted(ring.policy, policyAt(ring, log.size).log, log, anchors);
    return { ...checked, kinds, signed: policy !== null, distrusted, anchors, keys };
  });
}

/** A note that a ledger may have, its receipt lost or yet to come: `log add` won't go on beside one that doesn't fit. */
function checkNewest(log: TiledLog, newest: AnchoredNote | null, ring: Keyring | null): void {
  if (newest === null) return;
  const policy = ring && policyAt(ring, newest.size);
  if (policy !== null && !isSignedBy({ checkpoint: newest, note: newest.note }, policy))
    throw damaged(`the anchored checkpoint of size ${newest.size} isn't signed by the log's key`);
  checkNotForked(log, newest, policy?.log);
}

/** Since when the key is distrusted. Refuses `log-distrusted` unless a ledger had the log's checkpoint before. */
function checkTrusted(
  policy: Policy,
  key: Policy["log"],
  { size }: ReleaseLog,
  anchors: readonly CheckedAnchor[],
): number | null {
  const end = endOf(policy, key, Date.now() / 1000);
  if (end === null) return null;
  const before = anchors.filter(({ time }) => time !== null && time < end);
  if (before.some((anchor) => anchor.size === size)) return end;
  const newest = before.at(-1);
  throw new Refusal(
    "log-distrusted",
    `the policy distrusts the log's key since ${isoTime(end)}, and no ledger is known to have had this checkpoint of ${size} records before`,
    newest && { hint: `a ledger had the first ${newest.size} records at ${isoTime(newest.time!)}` },
  );
}

/** A byte that was bent in the anchored note is no second history: only the log's key can make one. */
function isSignedBy(anchor: Pick<Anchor, "checkpoint" | "note">, { log }: Policy): boolean {
  try {
    checkLogKey(anchor, log);
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
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
    const found = `the anchored checkpoint of size ${size} has another root than this log's first ${size} records`;
    if (policy !== null && !isSignedBy(anchor, policy))
      throw damaged(`${found}, and the log's key didn't sign it`);
    const kept = policy && keepFraud([anchor.note, log.note], log.hashReader, policy.log);
    const hint = kept ? kept.hint : policy === null && "--policy says whether the log's key signed that one";
    throw new Refusal("log-forked", found, { ...(hint && { hint }) });
  }
  // Its root is right; a bundle needs the whole note.
  if (policy !== null) about(`the anchor of size ${size}`, () => checkLogKey(anchor, policy.log));
  return anchor.receipts.map((receipt) => ({
    size,
    kind: receipt.kind,
    time: policy === null ? null : receiptTime(anchor, receipt, folder, policy, rebased),
  }));
}

/** Shows how far it is, once there is something to wait for. */
function withProgress<T>(io: Io, work: (progress: (done: bigint, size: bigint) => void) => T): T {
  let shown: Progress | undefined;
  try {
    return work((done, size) => {
      if (size < SHOWN_FROM) return;
      shown ??= startProgress(io, "checking", Number(size), undefined, "records");
      shown.update(Number(done));
    });
  } finally {
    shown?.end();
  }
}

const headOf = ({ checkpoint, size }: ReleaseLog) => ({
  origin: checkpoint.origin,
  size: decimal(size),
  root: toBase64(checkpoint.root),
});

export function defineCheck(log: Command, io: Io): void {
  log
    .command("check")
    .description("Recomputes the whole log from its records; with a policy also its signature and receipts.")
    .argument("<dir>", "the log")
    .option("--policy <FILE>", "names the log's key and the ledgers")
    .option("--json", "print one JSON object")
    .action((dir: string, flags: { policy?: string }) => {
      const policy = flags.policy === undefined ? null : readPolicyNow(flags.policy);
      const {
        log: found,
        waiting,
        kinds,
        signed,
        distrusted,
        anchors,
        leftovers,
        keys,
      } = withProgress(io, (progress) => checkLog(dir, policy, progress));
      if (io.json) {
        const list = anchors.map(({ size, kind, time }) => ({
          size: decimal(size),
          kind,
          time: time === null ? null : isoTime(time),
        }));
        io.stdout(
          `${JSON.stringify({ ...headOf(found), kinds: Object.fromEntries(kinds), signatureChecked: signed, distrusted: distrusted === null ? null : isoTime(distrusted), anchors: list, waiting: waiting === null ? null : decimal(waiting), leftovers, keys })}\n`,
        );
        return;
      }
      const counts = [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
      io.stdout(
        table([
          ["records", `${found.size}${counts === "" ? "" : `: ${counts}`}`],
          ["root", `${toBase64(found.checkpoint.root)}, as the records give it`],
          ...(waiting === null
            ? []
            : [
                [
                  "waiting",
                  `size ${waiting} is signed and waits for witnesses: \`vouch log add --witness-policy\` goes on`,
                ],
              ]),
          ...(leftovers === 0
            ? []
            : [
                [
                  "left over",
                  `${leftovers} files of an append that was cut short; the next one overwrites them`,
                ],
              ]),
          ["signature", signed ? `by ${found.checkpoint.origin}` : "not checked: no --policy names the key"],
          ...(distrusted === null
            ? []
            : [
                [
                  "distrusted",
                  `the log's key since ${isoTime(distrusted)}; a ledger had this checkpoint before`,
                ],
              ]),
          ...keys.map((text) => ["keys", text]),
          ...anchors.map(({ size, kind, time }) => [
            "anchor",
            `size ${size} on ${kind}, ${time === null ? "receipt not checked: no --policy names that ledger" : `recorded ${isoTime(time)}`}`,
          ]),
        ]),
      );
    });
}
