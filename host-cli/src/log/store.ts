// The maker's release log: a C2SP tiled log (tiledlog.ts) whose records are the
// exact bytes of DSSE envelopes with statements of ours, and whose checkpoint
// carries one signature by the log's key, named like the log's origin.
//
// What enters stays for ever and is public, so it is looked at first: it must
// parse, somebody must have signed it, and it must not be an enrolment, which
// names a serial number; the salted commitment to it is for the log. A status
// must speak for this very log, of a size it had: any other proves nothing, and
// would stand there for ever. Nothing is signed for a log that was put back to
// an earlier state than one that is anchored: its next checkpoint would be a fork.

import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { parseEnvelope } from "@vouch/shared/dsse";
import { type HashReader, rootOf } from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { quote, Refusal } from "@vouch/shared/refusal";
import { parseStatement, type Statement, type StatusStatement } from "@vouch/shared/statement";
import { KEY_ED25519, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { withLock } from "../lock";
import type { Signer } from "../signer";
import {
  commitAppend,
  extendedReader,
  initTiledLog,
  openTiledLog,
  type Publish,
  planAppend,
  scanEntries,
  type TiledLog,
} from "../tiledlog";
import { checkNotForked, newestAnchored } from "./anchors";
import {
  admitKeyRecords,
  checkOpen,
  checkWriter,
  keepKeyRecords,
  keptKeyRecords,
  keyRecordsOf,
  logKeyAt,
} from "./keys";

export type { TiledLog as ReleaseLog } from "../tiledlog";

const LOCK_TIMEOUT_S = 30;

/** Opens a release log for reading. Refuses `not-a-log`, `log-damaged`; verifies no signature. */
export function openLog(folder: string): TiledLog {
  return openTiledLog(folder);
}

/** Makes an empty log with a signed checkpoint of size 0. Refuses `exists`, `origin-mismatch`. */
export async function initLog(folder: string, origin: string | undefined, signer: Signer): Promise<TiledLog> {
  if (origin !== undefined && origin !== signer.name) {
    throw new Refusal(
      "origin-mismatch",
      `the origin is ${quote(origin)}, the log's key is named ${quote(signer.name)}`,
      {
        hint: `readers take the origin for the key's name: \`vouch keygen ${origin}\` makes one that fits`,
      },
    );
  }
  return initTiledLog(folder, signer.name, publishWith(signer));
}

export interface Added {
  readonly index: bigint;
  /** False when these bytes were a record already. */
  readonly added: boolean;
}

/**
 * Adds records; the ones already there keep their index. All or none. Refuses what checkRecord does,
 * `wrong-log-key`, `locked`, `log-forked`, `status-other-log`, `status-overreach`, `status-root-mismatch`, `log-closed`,
 * and what keys.ts refuses of records about keys, which take a policy.
 */
export async function addToLog(
  folder: string,
  records: readonly Uint8Array[],
  signer: Signer,
  lockTimeoutS: number = LOCK_TIMEOUT_S,
  policy: Policy | null = null,
): Promise<{ log: TiledLog; records: Added[] }> {
  openLog(folder); // no lock is left in a folder that is no log
  return withLock(folder, lockTimeoutS * 1000, async () => {
    const log = openLog(folder);
    const kept = keptKeyRecords(log);
    const key = logKeyOf(signer);
    checkNotForked(log, newestAnchored(folder));
    const fresh: Uint8Array[] = [];
    const added = records.map((record): Added => {
      const known = log.findLeaf(record);
      if (known !== null) return { index: known, added: false };
      const twin = fresh.findIndex((other) => Buffer.compare(other, record) === 0);
      if (twin >= 0) return { index: log.size + BigInt(twin), added: false };
      return { index: log.size + BigInt(fresh.push(record) - 1), added: true };
    });
    const plan = fresh.length === 0 ? null : planAppend(log, fresh);
    const placed = fresh.map((bytes, i) => ({ index: log.size + BigInt(i), bytes }));
    checkLogKey(log, logKeyAt([...kept, ...keyRecordsOf(placed)], log.size) ?? key);
    if (plan === null) return { log, records: added };
    checkOpen(log, kept);
    const reader = extendedReader(log, fresh);
    for (const [i, record] of fresh.entries()) {
      const statement = checkRecord(record);
      if (statement.kind === "status") checkStatusPlace(log, statement, log.size + BigInt(i), reader);
    }
    const keys = admitKeyRecords({ log, kept, fresh: placed, reader, policy });
    checkWriter([...kept, ...keys], log.size + BigInt(fresh.length), key);
    const note = await publishWith(signer)(plan.checkpointText);
    keepKeyRecords(log, keys);
    return { log: commitAppend(log, plan, note), records: added };
  });
}

/** What a status speaks for must be this log as it is where the status will stand. */
function checkStatusPlace(log: TiledLog, status: StatusStatement, place: bigint, reader: HashReader): void {
  const { origin } = log.checkpoint;
  if (status.origin !== origin) {
    throw new Refusal(
      "status-other-log",
      `the status speaks for ${quote(status.origin)}, this log is ${quote(origin)}`,
    );
  }
  if (BigInt(status.logSize) > place) {
    throw new Refusal(
      "status-overreach",
      `the status speaks for log size ${status.logSize}, it would be record ${place}`,
    );
  }
  const root = toHex(rootOf(BigInt(status.logSize), reader, nodeCrypto));
  if (root !== status.rootSha256) {
    throw new Refusal(
      "status-root-mismatch",
      `the status speaks for the root ${status.rootSha256}, this log's at size ${status.logSize} is ${root}`,
      { hint: "it was made for another state of this log: make it again with `vouch status new`" },
    );
  }
}

/** What may be a record. Refuses as parsing does, `unsigned`, `private-statement`. */
export function checkRecord(record: Uint8Array): Statement {
  if (Buffer.from(record.subarray(0, ENROLMENT_FILE.length)).toString("latin1") === ENROLMENT_FILE)
    throw privateStatement();
  const envelope = parseEnvelope(record);
  const statement = parseStatement(envelope.payload);
  if (envelope.signatures.length === 0) throw new Refusal("unsigned", "nobody signed this statement");
  if (statement.kind === "enrolment") throw privateStatement();
  return statement;
}

const ENROLMENT_FILE = `{"version":"vouch-enrolment/`; // of any version, though it is no statement by itself

const privateStatement = () =>
  new Refusal("private-statement", "an enrolment names a serial number and never enters a log", {
    hint: "the .commitment.dsse.json written beside it is for the log",
  });

export interface LoggedStatement {
  readonly index: bigint;
  readonly bytes: Uint8Array;
  readonly statement: Statement;
}

/** Every record with its statement, once all of them hash to the checkpoint's root. Signatures are not looked at. */
export function readStatements(log: TiledLog): LoggedStatement[] {
  const read: LoggedStatement[] = [];
  scanEntries(log, (bytes, index) => {
    read.push({
      index,
      bytes,
      statement: about(`record ${index}`, () => parseStatement(parseEnvelope(bytes).payload)),
    });
  });
  return read;
}

/** Refuses `wrong-log-key` or `bad-signature` unless this key signed the log's checkpoint. */
export function checkLogKey(log: TiledLog, key: Vkey): void {
  if (log.checkpoint.origin !== key.name) {
    throw new Refusal(
      "wrong-log-key",
      `the log is ${quote(log.checkpoint.origin)}, the key is ${quote(key.name)}`,
    );
  }
  try {
    openCheckpoint(log.note, key, nodeCrypto);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "unknown-log") throw error;
    throw new Refusal(
      "wrong-log-key",
      `the checkpoint of ${quote(key.name)} is signed by another key of that name`,
    );
  }
}

const logKeyOf = (signer: Signer) => makeVkey(signer.name, KEY_ED25519, signer.publicKey, nodeCrypto);

const publishWith =
  (signer: Signer): Publish =>
  async (text) => {
    const signature = await signer.sign(utf8Encode(text));
    return formatNote(text, [signatureLine(signer.name, logKeyOf(signer).keyId, signature)]);
  };
