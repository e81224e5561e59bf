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
import { openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
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
  extendedReader,
  initTiledLog,
  openTiledLog,
  type Publish,
  planAppend,
  publishStaged,
  scanEntries,
  stageAppend,
  type TiledLog,
} from "../tiledlog";
import { checkNotForked, newestAnchored } from "./anchors";
import { type Added, appendMany, BATCH, type Incoming } from "./bulk";
import { type Cosigning, cosignAndPublish } from "./cosigning";
import {
  admitKeyRecords,
  checkOpen,
  checkPlaces,
  checkWriter,
  type KeyRecord,
  keepKeyRecords,
  keptKeyRecords,
  keyRecordsOf,
  logKeyAt,
  refuseInBulk,
} from "./keys";
import { dropAhead, extendIndex, findRecord, keyOf, type LoggedStatement } from "./lookup";
import { dropPending, keepPending, readPending } from "./pending";

export type { TiledLog as ReleaseLog } from "../tiledlog";
export type { Added, Incoming } from "./bulk";
export type { LoggedStatement } from "./lookup";

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

/**
 * Adds records; the ones already there keep their index. All or none. With `cosigning`, published once the
 * witness quorum is met: until then the checkpoint is pending (pending.ts), and the next call finishes it before
 * anything else. Refuses what checkRecord does, `wrong-log-key`, `locked`, `log-forked`, `log-pending`,
 * `quorum-missing`, `status-other-log`, `status-overreach`, `status-root-mismatch`, `log-closed`, and what keys.ts refuses
 * of records about keys, which take a policy.
 */
export async function addToLog(
  folder: string,
  records: readonly Uint8Array[],
  signer: Signer,
  lockTimeoutS: number = LOCK_TIMEOUT_S,
  cosigning: Cosigning | null = null,
  policy: Policy | null = null,
): Promise<{ log: TiledLog; records: Added[] }> {
  const incoming = records.map((bytes, i) => ({ bytes, from: `record ${i} of ${records.length}` }));
  const added: Added[] = [];
  const log = await streamToLog(folder, incoming, signer, {
    lockTimeoutS,
    cosigning,
    policy,
    told: (_, record) => added.push(record),
  });
  return { log, records: added };
}

export interface StreamOptions {
  readonly lockTimeoutS?: number;
  readonly cosigning?: Cosigning | null;
  /** Whose approvals count, for records about keys. */
  readonly policy?: Policy | null;
  readonly told: (incoming: Incoming, added: Added) => void;
}

/** How a checkpoint is signed for, and how it is published. */
interface Publishing {
  readonly sign: Publish;
  readonly commit: (note: Uint8Array) => Promise<TiledLog>;
}

function publishing(log: TiledLog, signer: Signer, cosigning: Cosigning | null): Publishing {
  const sign = publishWith(signer);
  if (cosigning === null) return { sign, commit: async (note) => publishStaged(log, note) };
  return {
    sign: async (text) => {
      await cosigning.compare(log); // a fork is better known before it is signed
      return sign(text);
    },
    commit: (note) => cosignAndPublish(log, keepPending(log, note), cosigning),
  };
}

/** Adds records of any number as they come, in memory that doesn't grow with them. As addToLog, all or none. */
export async function streamToLog(
  folder: string,
  records: Iterable<Incoming> | AsyncIterable<Incoming>,
  signer: Signer,
  options: StreamOptions,
): Promise<TiledLog> {
  const { lockTimeoutS = LOCK_TIMEOUT_S, cosigning = null, policy = null } = options;
  openLog(folder); // no lock is left in a folder that is no log
  return withLock(folder, lockTimeoutS * 1000, async () => {
    const before = openLog(folder);
    const key = logKeyOf(signer);
    checkNotForked(before, newestAnchored(folder), logKeyAt(keptKeyRecords(before), before.size) ?? key);
    dropAhead(before);
    const log = await finishPending(before, cosigning, key);
    const kept = keptKeyRecords(log);
    // What was pending is added by this call as well: nobody was told so before.
    const isNew = ({ index }: Added) => index >= before.size && index < log.size;
    const told: StreamOptions["told"] = (incoming, record) =>
      options.told(incoming, isNew(record) ? { ...record, added: true } : record);
    const batches = inBatches(records);
    const first = await batches.next();
    const growing = { log, kept, key, policy, publish: publishing(log, signer, cosigning), told };
    if (first.done || first.value.length <= FEW) return addFew(growing, first.value ?? []);
    return addMany(growing, first.value, batches);
  });
}

/**
 * What was signed before comes first: a witness that has cosigned it will cosign nothing else of its size. Only for the
 * log's key as the log and what waits leave it: a change that isn't in either comes after.
 */
async function finishPending(log: TiledLog, cosigning: Cosigning | null, key: Vkey): Promise<TiledLog> {
  const pending = readPending(log);
  if (pending === null) {
    dropPending(log); // published, and cut short before this
    return log;
  }
  if (cosigning === null)
    throw new Refusal(
      "log-pending",
      `a checkpoint of size ${pending.size} is signed and waits for witnesses, nothing can be added before it`,
      { hint: `\`vouch log add ${log.folder} --witness-policy POLICY\` asks them again` },
    );
  const known = keptKeyRecords(pending);
  checkLogKey(log, logKeyAt(known, log.size) ?? key);
  checkLogKey(pending, logKeyAt(known, pending.size) ?? key);
  await cosigning.compare(pending);
  const after = await cosignAndPublish(log, pending, cosigning);
  extendIndex(after);
  return after;
}

/** Few enough to have all of them signed for before anything is written. */
const FEW = 256;

/** The first batch ends the stream when it is of FEW or less. */
async function* inBatches(records: Iterable<Incoming> | AsyncIterable<Incoming>): AsyncGenerator<Incoming[]> {
  let batch: Incoming[] = [];
  for await (const incoming of records) {
    batch.push(incoming);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** A log that is about to grow, its writer's key, and what it knows of keys. */
interface Growing {
  readonly log: TiledLog;
  readonly kept: readonly KeyRecord[];
  readonly key: Vkey;
  readonly policy: Policy | null;
  readonly publish: Publishing;
  readonly told: StreamOptions["told"];
}

async function addFew(
  { log, kept, key, policy, publish, told }: Growing,
  records: readonly Incoming[],
): Promise<TiledLog> {
  const fresh: Incoming[] = [];
  const added = records.map(({ bytes, from }): Added => {
    const known = findRecord(log, bytes);
    if (known !== null) return { index: known, added: false };
    const twin = fresh.findIndex((other) => Buffer.compare(other.bytes, bytes) === 0);
    if (twin >= 0) return { index: log.size + BigInt(twin), added: false };
    return { index: log.size + BigInt(fresh.push({ bytes, from }) - 1), added: true };
  });
  let after = log;
  const bytes = fresh.map((record) => record.bytes);
  const plan = fresh.length === 0 ? null : planAppend(log, bytes);
  const statements = fresh.map((record) => about(record.from, () => checkRecord(record.bytes)));
  const placed = bytes.map((record, i) => ({ index: log.size + BigInt(i), bytes: record }));
  checkLogKey(log, logKeyAt([...kept, ...keyRecordsOf(placed)], log.size) ?? key);
  if (plan !== null) {
    checkOpen(log, kept);
    const reader = extendedReader(log, bytes);
    for (const [i, { from }] of fresh.entries()) {
      const statement = statements[i] as Statement;
      if (statement.kind === "status")
        about(from, () => checkStatusPlace(log, statement, log.size + BigInt(i), reader));
    }
    const keys = admitKeyRecords({ log, kept, fresh: placed, reader, policy });
    checkWriter([...kept, ...keys], log.size + BigInt(fresh.length), key);
    const note = await publish.sign(plan.checkpointText);
    keepKeyRecords(log, keys);
    stageAppend(log, plan);
    after = await publish.commit(note);
    extendIndex(after);
  }
  for (const [i, record] of records.entries()) told(record, added[i] as Added);
  return after;
}

/** As addFew, but for records about keys: what those do to the ones beside them is judged with all of them at hand. */
async function addMany(
  { log, kept, key, publish, told }: Growing,
  first: readonly Incoming[],
  others: AsyncIterable<readonly Incoming[]>,
): Promise<TiledLog> {
  checkLogKey(log, logKeyAt(kept, log.size) ?? key);
  return appendMany({
    log,
    batches: (async function* () {
      yield first;
      yield* others;
    })(),
    admit(record, place, reader) {
      checkOpen(log, kept);
      const statement = checkRecord(record);
      refuseInBulk(statement, FEW);
      checkPlaces(kept, [{ index: place, bytes: record }]);
      if (statement.kind === "status") checkStatusPlace(log, statement, place, reader());
      const indexed = keyOf(statement);
      return indexed === null ? [] : [indexed];
    },
    async sign(text) {
      checkWriter(kept, parseCheckpoint(text).size, key);
      return publish.sign(text);
    },
    commit(note) {
      keepKeyRecords(log, []); // what an append that was cut short has left would stand for other records
      return publish.commit(note);
    },
    told,
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
export function checkLogKey(log: Pick<TiledLog, "checkpoint" | "note">, key: Vkey): void {
  if (log.checkpoint.origin !== key.name) {
    throw new Refusal(
      "wrong-log-key",
      `the log is ${quote(log.checkpoint.origin)}, the key is ${quote(key.name)}`,
      { hint: "a log's checkpoints are signed with the key that `vouch log init` made it with" },
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
