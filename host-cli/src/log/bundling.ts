// From a log folder, a release and what devices showed, to one bundle.
//
// It holds what verification needs and no more (shared/spec/bundle.md, "Minimal"): the newest
// anchored status for the product, every advisory that it lists or that came after it, and
// of the anchored checkpoints those that a claim rests on. The head is the smallest that
// holds every record, so that nothing waits for an anchor it doesn't need.

import type { Bundle, BundledCheckpoint, BundledDevice, LogRecord } from "@vouch/shared/bundle";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG, EVIDENCE_TAG } from "@vouch/shared/commitment";
import type { Challenge, EnrolmentFile } from "@vouch/shared/companions";
import { kidOf } from "@vouch/shared/cose";
import { parseEnvelope } from "@vouch/shared/dsse";
import { decodeEvidence } from "@vouch/shared/evidence";
import { proveConsistency, proveInclusion } from "@vouch/shared/merkle";
import { receiptEpoch } from "@vouch/shared/rebased/receipt";
import { lastEpochOf, type WalkMember, walkMember, walkUpTo } from "@vouch/shared/rebased/walkform";
import { faultRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { parseStatement, type StatusStatement } from "@vouch/shared/statement";
import { nodeCrypto } from "../crypto";
import { type Anchor, listAnchors } from "./anchors";
import { aboutKeys, aboutKeysIn, changesOf, checkKept, type KeyRecord, revocationsOf } from "./keys";
import { findRecord, findStatements, type Wanted } from "./lookup";
import { type LoggedStatement, openLog, type ReleaseLog, readStatements } from "./store";
import { readWalkFile } from "./walk";

export interface DeviceFiles {
  readonly evidence: Uint8Array;
  readonly challenge: Challenge;
  /** Opens the log's commitment to the evidence; null when the evidence was never logged. */
  readonly salt: Uint8Array | null;
}

export interface BundleParts {
  readonly logFolder: string;
  readonly release: Uint8Array;
  readonly manifest: Uint8Array;
  readonly devices: readonly DeviceFiles[];
  readonly enrolments: readonly EnrolmentFile[];
}

export interface Log extends ReleaseLog {
  readonly statements: readonly LoggedStatement[];
  readonly anchors: readonly Anchor[];
  readonly aboutKeys: readonly KeyRecord[];
}

/** With every statement that it holds: for whoever asks about most of them. */
export function readLog(logFolder: string): Log {
  const folder = openLog(logFolder);
  const statements = readStatements(folder);
  const records = aboutKeys(statements);
  checkKept(folder, records);
  return { ...folder, statements, anchors: listAnchors(logFolder), aboutKeys: records };
}

/**
 * The smallest bundle that tells what the parts tell. Refuses `wrong-statement`, `not-logged`, `not-anchored`,
 * `status-missing`, `enrolment-missing`, `challenge-not-anchored`, `walk-missing`, `epoch-missing`. Verifies no signature: `vouch verify` does.
 * `warn` is told of what the log says of the product that no anchor holds yet, and so the bundle doesn't.
 */
export function makeBundle(parts: BundleParts, warn: (text: string) => void = () => {}): Bundle {
  const statement = parseStatement(parseEnvelope(parts.release).payload);
  if (statement.kind !== "release") {
    throw new Refusal("wrong-statement", `found a statement of kind ${statement.kind}, expected a release`);
  }
  const folder = openLog(parts.logFolder);
  const log: Log = {
    ...folder,
    statements: findStatements(folder, wantedFor(parts, statement.product)),
    anchors: listAnchors(parts.logFolder),
    aboutKeys: aboutKeysIn(folder),
  };
  const release = placeOf(log, parts.release, `release ${statement.product} ${statement.version}`);
  const status = newestStatus(log, statement.product, release);
  const advisories = advisoriesBeside(log, status);
  for (const text of unanchored(log, statement.product)) warn(text);
  const devices = parts.devices.map((device) => placeDevice(log, device, parts.enrolments));

  const timed = [status.index, ...devices.flatMap((d) => d.logged?.index ?? [])].map((i) =>
    firstHolding(log, i),
  );
  const challenges = devices.map((d) => d.challenge);
  const keys = keysBeside(log, status, new Set(devices.map(({ keySha256 }) => keySha256)));
  const indices = [release, ...advisories, ...keys, ...devices.map((d) => d.commitment)];
  const head = [...timed, ...challenges, ...indices.map((i) => firstHolding(log, i))].reduce(larger);
  const checkpoints = [...new Set([...timed, ...challenges, head])].sort((a, b) =>
    a.size < b.size ? -1 : 1,
  );

  const walk = walkFor(parts.logFolder, checkpoints);
  const record = recordIn(log, head);
  return {
    release: record(release),
    manifest: parts.manifest,
    status: record(status.index),
    consistency: proveConsistency(BigInt(status.statement.logSize), head.size, log.hashReader, nodeCrypto),
    advisories: advisories.map(record),
    checkpoints: prefixesOf(log, checkpoints, head),
    devices: devices.map(
      (d): BundledDevice => ({
        evidence: d.files.evidence,
        challenge: {
          size: d.challenge.size,
          ledger: d.files.challenge.ledger,
          random: d.files.challenge.random,
        },
        enrolment: d.enrolment.statement,
        salt: d.enrolment.salt,
        commitment: record(d.commitment),
        logged: d.logged && { salt: d.logged.salt, record: record(d.logged.index) },
      }),
    ),
    ...(walk === null ? {} : { walk }),
    ...(keys.length === 0 ? {} : { keys: keys.map(record) }),
  };
}

/** All a bundle may quote: what is said of the product, and the commitments to what the devices showed. */
function wantedFor({ devices, enrolments }: BundleParts, product: string): Wanted[] {
  const sha256 = (tag: string, salt: Uint8Array, bytes: Uint8Array) =>
    toHex(commitment(tag, salt, bytes, nodeCrypto));
  return [
    { kind: "status", subject: product },
    { kind: "advisory", subject: product },
    { kind: "advisory-withdrawal", subject: product },
    ...enrolments.map(({ salt, statement }) => ({
      kind: "enrolment-commitment" as const,
      subject: sha256(ENROLMENT_TAG, salt, statement),
    })),
    ...devices.flatMap(({ salt, evidence }) =>
      salt === null
        ? []
        : [{ kind: "evidence-commitment" as const, subject: sha256(EVIDENCE_TAG, salt, evidence) }],
    ),
  ];
}

/** Records of the log with their proofs in the tree of an anchor. */
export const recordIn =
  (log: Log, head: Anchor) =>
  (index: bigint): LogRecord => ({
    index,
    statement: log.entry(index),
    proof: proveInclusion(index, head.size, log.hashReader, nodeCrypto),
  });

/** Anchors as a bundle holds them, each proved to be a prefix of the head. */
export const prefixesOf = (log: Log, anchors: readonly Anchor[], head: Anchor): BundledCheckpoint[] =>
  anchors.map((anchor) => ({
    note: anchor.note,
    consistency: proveConsistency(anchor.size, head.size, log.hashReader, nodeCrypto),
    receipts: anchor.receipts,
  }));

/** The epochs that lead to those of the receipts, or null when there are none. Refuses `walk-missing`, `epoch-missing`. */
export function walkFor(
  logFolder: string,
  checkpoints: readonly Pick<Anchor, "receipts">[],
): WalkMember | null {
  const receipts = checkpoints.flatMap((anchor) => anchor.receipts).filter(({ kind }) => kind === "rebased");
  const epochs = receipts.map(({ proof }) => receiptEpoch(proof));
  if (epochs.length === 0) return null;
  const walk = readWalkFile(logFolder);
  if (walk === null)
    throw new Refusal(
      "walk-missing",
      "the log keeps receipts of IOTA's ledger, and no walk to their epochs",
      {
        hint: "`vouch anchor` asks the ledger for it",
      },
    );
  const [last = 0n] = epochs.sort((a, b) => (a > b ? -1 : 1));
  if (last > lastEpochOf(walk))
    throw new Refusal(
      "epoch-missing",
      `a receipt is of epoch ${last}, the walk beside the log ends with the committee of ${lastEpochOf(walk)}`,
    );
  return walkMember(walkUpTo(walk, last));
}

export const larger = (a: Anchor, b: Anchor) => (a.size > b.size ? a : b);

export function placeOf(log: ReleaseLog, bytes: Uint8Array, what: string): bigint {
  const index = findRecord(log, bytes);
  if (index !== null) return index;
  throw new Refusal("not-logged", `${what} is no record of ${log.checkpoint.origin}`, {
    hint: "`vouch log add` puts it there",
  });
}

export function firstHolding({ anchors }: { readonly anchors: readonly Anchor[] }, index: bigint): Anchor {
  const anchor = anchors.find((a) => a.size > index);
  if (anchor !== undefined) return anchor;
  const newest = anchors[anchors.length - 1];
  const found =
    newest === undefined ? "no checkpoint is anchored" : `the newest anchor is of size ${newest.size}`;
  throw new Refusal("not-anchored", `record ${index} is not anchored yet: ${found}`, {
    hint: "`vouch anchor` places the log's checkpoint on a ledger",
  });
}

type Placed<S> = { readonly index: bigint; readonly statement: S };

/** The status that speaks for the most records, of those an anchored checkpoint holds. */
export function newestStatus(log: Log, product: string, release: bigint): Placed<StatusStatement> {
  let found: Placed<StatusStatement> | undefined;
  let waiting = false;
  for (const { index, statement } of log.statements) {
    if (statement.kind !== "status" || statement.product !== product) continue;
    if (!log.anchors.some((a) => a.size > index)) waiting = true;
    else if (found === undefined || statement.logSize >= found.statement.logSize)
      found = { index, statement };
  }
  if (found !== undefined && release < BigInt(found.statement.logSize)) return found;
  const hint = waiting
    ? "`vouch anchor` places the log's checkpoint on a ledger"
    : "`vouch status new`, then `vouch log add` and `vouch anchor`";
  if (found !== undefined) {
    throw new Refusal(
      "status-before-release",
      `the newest anchored status speaks for log size ${found.statement.logSize}, the release is record ${release}`,
      { hint },
    );
  }
  throw new Refusal("status-missing", `the log holds no anchored status for ${quote(product)}`, { hint });
}

/** Those the status lists, and what an anchored checkpoint holds that it could not yet know: more of them, and withdrawals. */
export function advisoriesBeside(log: Log, { statement: status }: Placed<StatusStatement>): bigint[] {
  const listed = status.advisories.map((a) => BigInt(a.index));
  const anchored = log.anchors.reduce(larger).size;
  const later = log.statements
    .filter(
      ({ statement: s }) =>
        (s.kind === "advisory" || s.kind === "advisory-withdrawal") && s.product === status.product,
    )
    .map(({ index }) => index)
    .filter((index) => index >= BigInt(status.logSize) && index < anchored);
  return [...new Set([...listed, ...later])].sort((a, b) => (a < b ? -1 : 1));
}

/** What whoever makes a bundle between `log add` and `anchor` should know: it is as if these had not been said yet. */
function unanchored(log: Log, product: string): string[] {
  const anchored = log.anchors.reduce(larger).size;
  return log.statements.flatMap(({ index, statement: s }) => {
    if (index < anchored || !("product" in s) || s.product !== product) return [];
    const left = "is logged and not anchored, so the bundle leaves it out: `vouch anchor`, then bundle again";
    if (s.kind === "advisory") return [`advisory ${quote(s.id)} (record ${index}) ${left}`];
    if (s.kind === "advisory-withdrawal")
      return [`the withdrawal of ${quote(s.id)} (record ${index}) ${left}`];
    return s.kind === "status" ? [`a newer status (record ${index}) ${left}`] : [];
  });
}

/** Every change of a key, and revocations of the devices' keys with these hashes: what the status lists, and what came after it. */
export function keysBeside(
  log: Log,
  { statement: status }: Placed<StatusStatement>,
  devices: ReadonlySet<string>,
): bigint[] {
  const own = (key: string) => devices.has(key);
  const listed = [
    ...(status.rotations ?? []),
    ...(status.revocations ?? []).filter(({ key }) => own(key)),
  ].map(({ index }) => BigInt(index));
  const anchored = log.anchors.reduce(larger).size;
  const later = [
    ...changesOf(log.aboutKeys),
    ...revocationsOf(null, log.aboutKeys).filter(({ statement }) => own(statement.keySha256)),
  ]
    .map(({ index }) => index)
    .filter((index) => index >= BigInt(status.logSize) && index < anchored);
  return [...new Set([...listed, ...later])].sort((a, b) => (a < b ? -1 : 1));
}

function placeDevice(log: Log, files: DeviceFiles, enrolments: readonly EnrolmentFile[]) {
  const { fault, sign1 } = decodeEvidence(files.evidence);
  if (fault !== 0 || sign1?.kid == null) throw faultRefusal(fault, "the evidence");
  const { kid } = sign1;
  const enrolment = enrolments.find((e) => equalBytes(enrolledKid(e), kid));
  if (enrolment === undefined) {
    throw new Refusal("enrolment-missing", `no enrolment is given for key ${toHex(kid)}`, {
      hint: "--enrolment FILE, as `vouch enrol` wrote it",
    });
  }
  const challenge = challengeAnchor(log, files.challenge);
  const opened = toHex(commitment(ENROLMENT_TAG, enrolment.salt, enrolment.statement, nodeCrypto));
  return {
    files,
    challenge,
    enrolment,
    keySha256: toHex(enrolledKeyHash(enrolment)),
    commitment: findCommitment(log, "enrolment-commitment", opened),
    logged: files.salt && { salt: files.salt, index: loggedEvidence(log, files.evidence, files.salt) },
  };
}

/** The anchor that a challenge rests on. Refuses `challenge-not-anchored`. */
export function challengeAnchor(log: Log, { checkpoint, receipt }: Challenge): Anchor {
  const challenge = log.anchors.find(
    (a) => equalBytes(a.note, checkpoint) && a.receipts.some((r) => equalBytes(r.proof, receipt)),
  );
  if (challenge !== undefined) return challenge;
  throw new Refusal(
    "challenge-not-anchored",
    "the evidence's challenge rests on a checkpoint and receipt that this log does not keep",
  );
}

function loggedEvidence(log: Log, evidence: Uint8Array, salt: Uint8Array): bigint {
  return findCommitment(
    log,
    "evidence-commitment",
    toHex(commitment(EVIDENCE_TAG, salt, evidence, nodeCrypto)),
  );
}

function findCommitment(
  log: Log,
  kind: "enrolment-commitment" | "evidence-commitment",
  sha256: string,
): bigint {
  const record = log.statements.find(({ statement: s }) => s.kind === kind && s.sha256 === sha256);
  if (record !== undefined) return record.index;
  throw new Refusal(
    "not-logged",
    `the ${kind} ${sha256.slice(0, 16)}… is no record of ${log.checkpoint.origin}`,
    {
      hint: "`vouch log add` puts the .commitment.dsse.json there",
    },
  );
}

const enrolledKid = (file: EnrolmentFile) => kidOf(enrolledKeyHash(file));

export function enrolledKeyHash(file: EnrolmentFile): Uint8Array {
  const statement = parseStatement(parseEnvelope(file.statement).payload);
  if (statement.kind !== "enrolment") {
    throw new Refusal(
      "wrong-statement",
      `found a statement of kind ${statement.kind}, expected an enrolment`,
    );
  }
  return nodeCrypto.sha256(statement.publicKey);
}
