// Claims 1 and 4: what the maker says, and of what.
//
//   1. release     t of n approvers signed the statement, and the maker's key sealed the
//                  manifest it names by digest;
//   4. advisories  a status statement in the log, young enough, lists every advisory in
//                  force; each of those is here, and none affects it (advised.ts).
//
// No step reads a field that an earlier step has not vouched for. A step that can't be
// settled is recorded and the next one goes on, because a known advisory must still be
// told when a receipt is missing: the worst finding decides (verdict.ts).

import { isAfter, isRecordedByT, judgeAdvisories, type OpenedAdvisory } from "./advised";
import { contradiction } from "./agreement";
import { CLOCK_SKEW } from "./anchoring";
import type { LogRecord } from "./bundle";
import { equalBytes, fromHex, toHex } from "./bytes";
import type { Checkpoint } from "./checkpoint";
import { decodeSign1, kidOf } from "./cose";
import type { Crypto } from "./crypto";
import { parseEnvelope } from "./dsse";
import { type Case, checkLogged, firstHolding, type History, horizonOf, timedBy } from "./history";
import { checkKeysListed } from "./keyrecords";
import { policyAt, refuseReplaced } from "./keyring";
import { checkConsistency } from "./merkle";
import { faultRefusal, quote, Refusal } from "./refusal";
import { compareSemver, majorOf } from "./semver";
import { requireApproval, signersOf } from "./signers";
import {
  type AdvisoryStatement,
  type AdvisoryWithdrawal,
  parseStatement,
  type ReleaseStatement,
  type Statement,
  type StatusStatement,
} from "./statement";
import { decodeEnvelope, type Manifest, verifyEnvelope } from "./suit";
import { ageText, isoTime, secondsOf } from "./time";
import type { AdvisoryResult } from "./verdict";
import type { Vkey } from "./vkey";

export interface Release {
  readonly statement: ReleaseStatement;
  readonly vendor: Vkey;
  readonly manifest: Manifest;
  readonly manifestDigest: Uint8Array;
  /** Name and role of each approver who signed. */
  readonly approvedBy: readonly string[];
}

/** Claim 1. Returns null when the release could not be established. */
export function checkRelease(c: Case): Release | null {
  return c.out.attempt("release", () => {
    const { index } = c.bundle.release;
    const envelope = parseEnvelope(c.bundle.release.statement);
    const policy = policyAt(c.keys.ring, index);
    refuseReplaced(c.keys.ring, envelope, index, c.crypto);
    const signers = signersOf(envelope, policy.approvers, c.crypto);
    const statement = parseStatement(envelope.payload);
    if (statement.kind !== "release")
      throw new Refusal("wrong-statement", `the release record is a statement of kind ${statement.kind}`);
    const rule = requireApproval(signers, statement.product, policy);
    const approvedBy = signers.map((s) => `${s.name} (${s.role})`);
    const release = { ...checkManifest(c, statement), approvedBy };
    c.out.established(
      "release",
      `${statement.product} ${statement.version}, approved by ${approvedBy.join(", ")}`,
      [
        `rule: ${rule.threshold} distinct approvers for ${statement.product}, roles ${rule.roles.join(", ") || "any"}`,
        `bytes: DSSE PAE over ${envelope.payload.length} bytes of ${envelope.payloadType}, sha256 of the envelope ${hex(c, c.bundle.release.statement)}`,
        `manifest: SUIT envelope of ${c.bundle.manifest.length} bytes sealed by ${release.vendor.name}, digest ${toHex(release.manifestDigest)}`,
      ],
    );
    return release;
  });
}

const hex = (c: Case, bytes: Uint8Array) => toHex(c.crypto.sha256(bytes));

/** The sealed manifest is the one that the approvers named, and says what they said. */
function checkManifest(c: Case, statement: ReleaseStatement): Omit<Release, "approvedBy"> {
  const vendor = c.policy.vendors.find((v) => v.product === statement.product)?.vkey;
  if (vendor === undefined)
    throw new Refusal("no-vendor", `the policy has no vendor line for ${quote(statement.product)}`);
  const decoded = decodeEnvelope(c.bundle.manifest);
  if (decoded.fault !== 0) throw faultRefusal(decoded.fault, "the manifest");
  const { manifest } = decoded;
  const manifestDigest = c.crypto.sha256(decoded.manifestBytes);
  if (toHex(manifestDigest) !== statement.suitDigest) {
    throw new Refusal(
      "manifest-mismatch",
      `the manifest hashes to ${toHex(manifestDigest)}, the release names ${statement.suitDigest}`,
    );
  }
  checkSealer(decoded.auth.sign1, vendor, c.crypto);
  const fault = verifyEnvelope(decoded, vendor.publicKey, c.crypto.sha256, c.crypto.verifyEd25519);
  if (fault !== 0) throw faultRefusal(fault, "the manifest's seal");
  const wrong = contradiction(statement, manifest, vendor.name, c.crypto);
  if (wrong !== null) {
    throw new Refusal(
      "manifest-contradicts-release",
      `the manifest's ${wrong} is not the one that the release states`,
    );
  }
  return { statement, vendor, manifest, manifestDigest };
}

/** A seal by a key that the policy does not name is not wrong, only unknown. */
function checkSealer(sign1: Uint8Array | null, vendor: Vkey, crypto: Crypto): void {
  const kid = sign1 === null ? null : decodeSign1(sign1).kid;
  const known = kidOf(crypto.sha256(vendor.publicKey));
  if (kid !== null && !equalBytes(kid, known)) {
    throw new Refusal(
      "unknown-vendor-key",
      `the manifest is sealed by key ${toHex(kid)}, the policy's vendor key is ${toHex(known)}`,
    );
  }
}

export interface StatusView {
  readonly logSize: number;
  readonly time: number | null;
}

export interface Published {
  readonly asOf: StatusView | null;
  /** Null when the status couldn't be opened. */
  readonly status: StatusStatement | null;
  /** Those in force that count against the release. */
  readonly advisories: readonly AdvisoryResult[];
}

/** Claim 4. `release` null: the status is still read, so that its size can be quoted. */
export function checkStatus(c: Case, release: Release, history: History): Published {
  const before = c.out.reasons.length;
  const status = c.out.attempt("advisories", () => openStatus(c, release, history));
  const opened = c.bundle.advisories.flatMap(
    (record) => c.out.attempt("advisories", () => openAdvisory(c, record, release, history)) ?? [],
  );
  const advisories = judgeAdvisories(c, opened, release.statement);
  if (status === null) return { status, advisories, asOf: null };
  const { statement } = status;
  checkKeysListed(c, statement);
  for (const listed of statement.advisories) {
    const here = c.bundle.advisories.some(
      (a) => a.index === BigInt(listed.index) && hex(c, a.statement) === listed.sha256,
    );
    if (!here)
      c.out.failed(
        "advisories",
        "advisory-missing",
        `the status lists ${quote(listed.id)} as record ${listed.index}, the bundle does not hold it`,
      );
  }
  const withdrawn = statement.withdrawn.find((w) =>
    release.statement.subjects.some((s) => s.sha256 === w.sha256),
  );
  if (withdrawn !== undefined && !isAfter(c, status.time, statement.created))
    c.out.failed(
      "advisories",
      "release-withdrawn",
      `the maker withdrew image ${withdrawn.sha256.slice(0, 16)}…: ${quote(withdrawn.reason)}`,
    );
  if (c.out.reasons.length === before) {
    const { length } = statement.advisories;
    c.out.established(
      "advisories",
      `${length === 0 ? "none in force" : `of ${length} in force, none counts against it`} for ${statement.product} ${release.statement.version} as of log size ${statement.logSize}`,
      [
        `rule: a status statement no older than ${c.policy.maxAge.status} s at ${isoTime(c.at)}; every advisory it lists is in the bundle`,
        `bytes: record ${c.bundle.status.index}, sha256 ${hex(c, c.bundle.status.statement)}`,
      ],
    );
  }
  flagNewer(c, statement, release);
  return { status: statement, advisories, asOf: { logSize: statement.logSize, time: status.time } };
}

function openStatus(
  c: Case,
  release: Release,
  history: History,
): { statement: StatusStatement; time: number | null } {
  const record = c.bundle.status;
  const { statement } = openMakers(c, record, "status");
  if (statement.product !== release.statement.product) {
    throw new Refusal(
      "wrong-product",
      `the status is for ${quote(statement.product)}, the release for ${quote(release.statement.product)}`,
    );
  }
  checkLogged(c, record, history.head);
  checkSpokenFor(c, statement, history.head);
  if (BigInt(statement.logSize) > record.index) {
    throw new Refusal(
      "status-overreach",
      `the status speaks for log size ${statement.logSize} but is record ${record.index}`,
    );
  }
  if (c.bundle.release.index >= BigInt(statement.logSize)) {
    c.out.failed(
      "advisories",
      "status-before-release",
      `the status speaks for log size ${statement.logSize}, the release is record ${c.bundle.release.index}: nothing was said of it yet`,
    );
  }
  const { time } = timedBy(history, record);
  if (time !== null) checkStatusAge(c, statement, time);
  return { statement, time };
}

/** The tree that the status names is this log's: another log's status says nothing here. */
function checkSpokenFor(c: Case, statement: StatusStatement, head: Checkpoint): void {
  if (statement.origin !== head.origin) {
    throw new Refusal(
      "status-other-log",
      `the status speaks for ${quote(statement.origin)}, this log is ${quote(head.origin)}`,
    );
  }
  checkConsistency(
    BigInt(statement.logSize),
    fromHex(statement.rootSha256)!,
    head.size,
    head.root,
    [...c.bundle.consistency],
    c.crypto,
  );
}

/**
 * The receipt bounds the status from above only: whoever assembles a bundle may leave
 * out an earlier anchor, which would make an old status look young. So its own signed
 * date counts too, where it is the older of the two.
 */
function checkStatusAge(c: Case, statement: StatusStatement, time: number): void {
  const created = secondsOf(statement.created);
  const oldest = Math.min(time, created);
  if (created > time + CLOCK_SKEW) {
    c.out.failed(
      "advisories",
      "status-from-future",
      `the status is dated ${statement.created}, but was recorded at ${isoTime(time)}`,
    );
  }
  if (c.policy.maxAge.status === null) {
    c.out.failed("advisories", "no-max-age", "the policy sets no max-age for a status");
  } else if (time > horizonOf(c)) {
    c.out.failed(
      "advisories",
      "status-after-t",
      `the status was recorded at ${isoTime(time)}, the question is about ${isoTime(c.at)}`,
    );
  } else if (c.at - oldest > c.policy.maxAge.status) {
    c.out.failed(
      "advisories",
      "status-stale",
      `the status is of ${isoTime(oldest)}, older than ${ageText(c.policy.maxAge.status)} at ${isoTime(c.at)}`,
    );
  }
}

/** A statement of one of these kinds, signed by one status key of its place in the log or by enough approvers of it. */
function openMakers<K extends MakersStatement["kind"]>(c: Case, record: LogRecord, ...kinds: readonly K[]) {
  const envelope = parseEnvelope(record.statement);
  const policy = policyAt(c.keys.ring, record.index);
  refuseReplaced(c.keys.ring, envelope, record.index, c.crypto);
  const statusKeys = policy.status.map((vkey) => ({ name: vkey.name, role: "status", vkey }));
  const signers = signersOf(envelope, [...statusKeys, ...policy.approvers], c.crypto);
  const statement = parseStatement(envelope.payload);
  if (!isOfKind(statement, kinds))
    throw new Refusal("wrong-statement", `a ${kinds[0]} record is a statement of kind ${statement.kind}`);
  const made: MakersStatement = statement;
  const byStatusKey = signers.length === 1 && statusKeys.includes(signers[0]!);
  if (!byStatusKey) requireApproval(signers, made.product, policy);
  return { statement, byApprovers: !byStatusKey };
}

type MakersStatement = StatusStatement | AdvisoryStatement | AdvisoryWithdrawal;

const isOfKind = <K extends MakersStatement["kind"]>(
  statement: Statement,
  kinds: readonly K[],
): statement is Extract<MakersStatement, { kind: K }> =>
  (kinds as readonly string[]).includes(statement.kind);

/** A record that states an advisory, or takes one back. */
function openAdvisory(c: Case, record: LogRecord, release: Release, history: History): OpenedAdvisory {
  const { statement, byApprovers } = openMakers(c, record, "advisory", "advisory-withdrawal");
  if (statement.product !== release.statement.product)
    throw new Refusal(
      "surplus-advisory",
      `advisory ${quote(statement.id)} is for ${quote(statement.product)}`,
    );
  checkLogged(c, record, history.head);
  const recorded = firstHolding(history, record).time;
  const mayTakeBack = byApprovers && isRecordedByT(c, recorded);
  return {
    statement,
    index: record.index,
    sha256: hex(c, record.statement),
    recorded,
    byApprovers,
    mayTakeBack,
  };
}

/** What the status says is newest in this release's line: a remark, no verdict. */
function flagNewer(c: Case, status: StatusStatement, { statement: { version } }: Release): void {
  const newer = status.newest?.find((v) => majorOf(v) === majorOf(version) && compareSemver(v, version) > 0);
  if (newer !== undefined) c.out.flag("NOT_LATEST", `the newest release of this line is ${newer}`);
}
