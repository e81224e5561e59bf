// Records of a log that are about keys, or that close it, kept once more beside it:
//
//   LOG/keys/<index>.dsse.json
//
// so that nobody who appends has to read a whole log for them. They are written before the
// checkpoint that makes them records: one at or beyond the log's size was left by an append
// that was cut short, and counts for nothing. `log check` compares them with the records.
//
// Such a record takes effect for everybody who reads the log and never leaves it, so it
// enters only by the word of the approvers of a policy (shared/src/keyring.ts).

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { MAX_DSSE, parseEnvelope } from "@vouch/shared/dsse";
import {
  type ClosingStatement,
  isKeyStatement,
  KEY_STATEMENTS,
  type KeyStatement,
} from "@vouch/shared/keychange";
import {
  changeOf,
  type KeyChange,
  type Keyring,
  openRing,
  policyAt,
  refuseReplaced,
  requireKeyApproval,
  sameKey,
  withRotation,
} from "@vouch/shared/keyring";
import { type HashReader, rootOf } from "@vouch/shared/merkle";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { parseStatement, type Statement } from "@vouch/shared/statement";
import { parseVkey, sameVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { readStored } from "../readfiles";
import { damaged, makeFolders, type TiledLog } from "../tiledlog";
import { writeWhole } from "../writefiles";
import { ABOUT_KEYS, findStatements } from "./lookup";

export interface KeyRecord {
  readonly index: bigint;
  readonly bytes: Uint8Array;
  readonly statement: KeyStatement;
}

const NAME = /^(0|[1-9][0-9]{0,18})\.dsse\.json$/;

const folderOf = (logFolder: string) => join(logFolder, "keys");
const pathOf = (logFolder: string, index: bigint) => join(folderOf(logFolder), `${index}.dsse.json`);

function keptIndices(logFolder: string): bigint[] {
  const folder = folderOf(logFolder);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(BigInt)
    .sort((a, b) => (a < b ? -1 : 1));
}

/** The log's records about keys, ascending by index. Refuses `log-damaged` when one isn't the record it is kept for. */
export function keptKeyRecords(log: TiledLog): KeyRecord[] {
  return keptIndices(log.folder)
    .filter((index) => index < log.size)
    .map((index) => {
      const path = pathOf(log.folder, index);
      return about(path, () => {
        const bytes = readStored(path, MAX_DSSE);
        if (!equalBytes(bytes, log.entry(index)))
          throw damaged(`record ${index} is another than is kept here`);
        const [record] = keyRecordsOf([{ index, bytes }]);
        if (record === undefined) throw damaged(`record ${index} is not about keys`);
        return record;
      });
    });
}

/** Those of some records that are about keys, or close the log. Refuses as parsing does. */
export const keyRecordsOf = (records: readonly { index: bigint; bytes: Uint8Array }[]): KeyRecord[] =>
  aboutKeys(
    records.map((record) => ({ ...record, statement: parseStatement(parseEnvelope(record.bytes).payload) })),
  );

/** The same of statements that are read already. */
export const aboutKeys = (
  records: readonly { index: bigint; bytes: Uint8Array; statement: Statement }[],
): KeyRecord[] =>
  records.flatMap(({ statement, ...record }) =>
    isKeyStatement(statement) ? [{ ...record, statement }] : [],
  );

/** One of them in a line. */
export function keyRecordText({ index, statement }: KeyRecord): string {
  const name = (text: string) => parseVkey(text, nodeCrypto).name;
  switch (statement.kind) {
    case "rotation": {
      const fate = statement.new === undefined ? "retired" : `replaced by ${name(statement.new)}`;
      return `record ${index}: ${statement.role} ${name(statement.old)} is ${fate} from size ${statement.from} on`;
    }
    case "revocation":
      return `record ${index}: device key ${statement.keySha256.slice(0, 16)}… of ${statement.product} is revoked as of ${statement.since}`;
    case "closing":
      return `record ${index}: closed, ${name(statement.successor)} goes on`;
    default:
      return statement satisfies never;
  }
}

/** Keeps what is about to be appended. The caller holds the log's lock; what an earlier append left goes. */
export function keepKeyRecords(log: TiledLog, records: readonly KeyRecord[]): void {
  for (const index of keptIndices(log.folder))
    if (index >= log.size) rmSync(pathOf(log.folder, index), { force: true });
  if (records.length > 0) makeFolders(folderOf(log.folder));
  for (const { index, bytes } of records) writeWhole(pathOf(log.folder, index), bytes);
}

/** Refuses `log-damaged` unless exactly the records about keys are kept. `records` are all there are in the log. */
export function checkKept(log: TiledLog, records: readonly KeyRecord[]): void {
  const kept = keptKeyRecords(log).map(({ index }) => index);
  const lost = records.find(({ index }) => !kept.includes(index));
  if (lost !== undefined)
    throw damaged(`record ${lost.index} is about keys, and not kept in ${log.folder}/keys`);
}

/**
 * The same as keptKeyRecords for whoever speaks for the log, once the log's index knows of no other. Refuses
 * `log-damaged` when one isn't kept.
 */
export function aboutKeysIn(log: TiledLog, every = false): KeyRecord[] {
  const wanted = KEY_STATEMENTS.map((kind) => ({ kind, subject: ABOUT_KEYS }));
  checkKept(log, aboutKeys(findStatements(log, wanted, every)));
  return keptKeyRecords(log);
}

/** What the rotations change as far as their form tells: of two for one key the earlier counts. */
export function changesOf(records: readonly KeyRecord[]): KeyChange[] {
  const changes: KeyChange[] = [];
  for (const { index, statement } of records) {
    if (statement.kind !== "rotation") continue;
    const change = changeOf(index, statement, nodeCrypto);
    if (change.from > index && !changes.some(({ old }) => sameKey(old, change.old))) changes.push(change);
  }
  return changes;
}

/** The policy's keys as the records leave them, those that count; what is said of the others. */
export function ringOf(policy: Policy, records: readonly KeyRecord[]): { ring: Keyring; remarks: string[] } {
  const remarks: string[] = [];
  let ring = openRing(policy);
  for (const record of records) {
    try {
      ring = admitted(ring, record);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      remarks.push(`record ${record.index} doesn't count: ${error.message} [${error.code}]`);
    }
  }
  return { ring, remarks };
}

/** The policy with the keys that a log's records leave it at a size. */
export const policyOf = (log: TiledLog, policy: Policy, size: bigint): Policy =>
  policyAt(ringOf(policy, keptKeyRecords(log)).ring, size);

/** The same after the log's newest record. */
export const policyNow = (log: TiledLog, policy: Policy): Policy => policyOf(log, policy, log.size);

/** The ring with one record more. Refuses as keyring.ts does. */
function admitted(ring: Keyring, { index, bytes, statement }: KeyRecord): Keyring {
  const placed = { index, statement: bytes };
  if (statement.kind === "rotation") return withRotation(ring, placed, statement, nodeCrypto);
  requireKeyApproval(ring, placed, nodeCrypto);
  return ring;
}

/** Which of the revocations count: all without a policy. */
export function revocationsOf(ring: Keyring | null, records: readonly KeyRecord[]) {
  return records.flatMap(({ index, bytes, statement }) => {
    if (statement.kind !== "revocation") return [];
    try {
      if (ring !== null) requireKeyApproval(ring, { index, statement: bytes }, nodeCrypto);
      return [{ index, bytes, statement }];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return [];
    }
  });
}

/** Whose checkpoints of that size are the log's, when a rotation says; null when its key was never changed. */
export function logKeyAt(records: readonly KeyRecord[], size: bigint): Vkey | null {
  const changes = changesOf(records).filter(({ role }) => role === "log");
  const [first] = changes;
  if (first === undefined) return null;
  const past = changes.filter(({ from }) => from <= size);
  return past.reduce((key, { successor }) => successor ?? key, first.old);
}

/** The closing of the log, or null while it is open. */
export function closingOf(records: readonly KeyRecord[]): ClosingStatement | null {
  const [closing] = records.flatMap(({ statement }) => (statement.kind === "closing" ? [statement] : []));
  return closing ?? null;
}

/** Refuses `log-closed`. */
export function checkOpen(log: TiledLog, kept: readonly KeyRecord[]): void {
  const closing = closingOf(kept);
  if (closing === null) return;
  const { name } = parseVkey(closing.successor, nodeCrypto);
  throw new Refusal(
    "log-closed",
    `${log.checkpoint.origin} was closed with record ${closing.size}: ${quote(closing.reason)}`,
    { hint: `its successor is ${name}: add the record there` },
  );
}

/** Refuses `wrong-log-key` unless this key is to sign a checkpoint of that size. */
export function checkWriter(records: readonly KeyRecord[], size: bigint, key: Vkey): void {
  const expected = logKeyAt(records, size);
  if (expected === null || sameVkey(expected, key)) return;
  const { name } = expected;
  throw new Refusal(
    "wrong-log-key",
    `a checkpoint of size ${size} is for another key of ${quote(name)}, since the log's key was changed`,
    { hint: "sign with the key that the rotation names for this size; `vouch inspect` shows it" },
  );
}

type Placed = { readonly index: bigint; readonly bytes: Uint8Array };

/** Refuses `key-replaced` and `key-early` for a record that is signed by a key out of its place. */
export function checkPlaces(records: readonly KeyRecord[], fresh: readonly Placed[]): void {
  const changes = changesOf(records);
  if (changes.length === 0) return;
  for (const { index, bytes } of fresh)
    about(`record ${index}`, () => refuseReplaced({ changes }, parseEnvelope(bytes), index, nodeCrypto));
}

/** Refuses `not-in-bulk` for a record about keys, or one that closes the log. */
export function refuseInBulk(statement: Statement, few: number): void {
  if (!isKeyStatement(statement)) return;
  const found = `a ${statement.kind} is judged with all that is added beside it, and that is more than ${few} records`;
  throw new Refusal("not-in-bulk", found, { hint: "add it by itself, with --policy FILE" });
}

export interface Appended {
  readonly log: TiledLog;
  readonly kept: readonly KeyRecord[];
  readonly fresh: readonly Placed[];
  /** Hashes of the log with what is appended. */
  readonly reader: HashReader;
  readonly policy: Policy | null;
}

/**
 * Which of the fresh records are about keys, when each may enter. Refuses `key-replaced` and `key-early` for any
 * record signed by a key out of its place, `policy-needed`, `closing-misplaced`, and what keyring.ts refuses.
 */
export function admitKeyRecords({ log, kept, fresh, reader, policy }: Appended): KeyRecord[] {
  const added = keyRecordsOf(fresh);
  checkPlaces([...kept, ...added], fresh);
  if (added.length === 0) return added;
  if (policy === null) {
    const found = `record ${added[0]?.index} would change keys for everybody, or close the log`;
    throw new Refusal("policy-needed", found, { hint: "--policy FILE names the approvers it takes" });
  }
  if (policy.log.name !== log.checkpoint.origin) {
    const found = `the policy's log is ${quote(policy.log.name)}, this one is ${quote(log.checkpoint.origin)}`;
    throw new Refusal("wrong-log-key", found);
  }
  const last = log.size + BigInt(fresh.length) - 1n;
  added.reduce((ring, record) => {
    if (record.statement.kind === "closing") checkClosing(log, record, record.statement, last, reader);
    return about(`record ${record.index}`, () => admitted(ring, record));
  }, ringOf(policy, kept).ring);
  return added;
}

/** A closing speaks for this very log, of the size at which it becomes the last record. */
function checkClosing(
  log: TiledLog,
  { index }: KeyRecord,
  closing: ClosingStatement,
  last: bigint,
  reader: HashReader,
): void {
  const { origin } = log.checkpoint;
  const speaksFor = `${closing.origin}, size ${closing.size}`;
  if (closing.origin !== origin || BigInt(closing.size) !== index || index !== last) {
    throw new Refusal(
      "closing-misplaced",
      `the closing speaks for ${quote(speaksFor)}, it would be record ${index} of ${last + 1n} of ${origin}`,
      { hint: "a closing is the last record: make it again with `vouch log close`" },
    );
  }
  const root = toHex(rootOf(index, reader, nodeCrypto));
  if (root !== closing.rootSha256)
    throw new Refusal(
      "closing-misplaced",
      `the closing speaks for root ${closing.rootSha256}, the log's is ${root}`,
    );
}
