// What each record of a log tells a monitor, in the log's order.
//
//   record ─▶ a statement of ours? ─▶ who signed, and may they? ─▶ does it fit what came before? ─▶ findings
//
// What came before is kept as far as later records are measured by it: which images a version had, the highest
// security version, every advisory, and what the newest status of a product said. It grows with releases and
// advisories, never with commitments, of which a log may hold millions. Only statements that the policy's people
// may make are remembered: a stranger's release must not make the real one look like a second.
//
// Pure: it reads no clock. Whether the record is in the log at all is settled before (monitor/follow.ts).

import { equalBytes, toHex, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { type Envelope, keyidOf, pae, parseEnvelope } from "./dsse";
import { type Keyring, policyAt, refuseReplaced, sameKey } from "./keyring";
import type { Policy } from "./policy";
import { isRefusal, quote } from "./refusal";
import type { Signer } from "./signers";
import { type FleetCommitment, parseStatement, type ReleaseStatement, type Statement } from "./statement";
import { isoTime } from "./time";
import { sameVkey, type Vkey } from "./vkey";
import { judgeAdvisory, judgeStatus, judgeWithdrawal } from "./watchadvisories";
import { isApproved, isApprovedAsWritten } from "./watchapprovals";
import { closedBy, judgeKeys, rememberedRing } from "./watchkeys";
import { emptyMemory, type Memory } from "./watchmemory";

/** Who watches: what the policy can't know. */
export interface Interest {
  /** Keys of whoever runs the monitor. */
  readonly own: readonly Vkey[];
  /** SHA-256, hex, of every statement or image that the own keys signed. Null when nobody keeps such a list. */
  readonly made: ReadonlySet<string> | null;
  /** The products that are the own keys' to release; empty for all of them. */
  readonly products: readonly string[];
}

export interface Found {
  readonly code: string;
  readonly message: string;
  readonly product?: string;
  readonly version?: string;
  /** Of an advisory. */
  readonly id?: string;
}

/** One record on its way through the rules. */
export interface Watched {
  readonly index: bigint;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Its lines as written, those of distrusted keys among them. */
  readonly policy: Policy;
  /** Keys whose word on this record is nobody's, and since when. */
  readonly distrust: Policy["distrust"];
  readonly crypto: Crypto;
  readonly memory: Memory;
  /** Hex; of the first so many records of this very log. */
  rootAt(size: bigint): string;
  find(found: Found): void;
}

export interface Watch {
  readonly memory: Memory;
  record(index: bigint, bytes: Uint8Array, rootAt: (size: bigint) => Uint8Array): Found[];
}

/**
 * `policy` may be one without the keys that it distrusts by now (distrust.ts). What they signed is told, approves nothing
 * and takes nothing away, unless `thereAt` knows a moment, Unix seconds, from before; advisories and withdrawals by them
 * stand all the same: later records are measured by them, and less of them would be less to tell.
 */
export function openWatch(
  policy: Policy,
  interest: Interest,
  crypto: Crypto,
  memory: Memory = emptyMemory(),
  thereAt: (index: bigint) => number | null = () => null,
): Watch {
  const ended = policy.untrusted?.keys ?? [];
  const ends = policy.distrust.filter(({ vkey }) => ended.some((key) => sameKey(key, vkey)));
  const distrustAt = (index: bigint) => {
    if (ends.length === 0) return ends;
    const moment = thereAt(index) ?? Number.POSITIVE_INFINITY;
    return ends.filter(({ time }) => time <= moment);
  };
  let keys = keysBefore(0n);
  function keysBefore(place: bigint) {
    const ring = rememberedRing(policy, memory, crypto, place);
    const here = policyAt({ policy: ring.policy, changes: ring.changes }, place);
    const signers = signersOfPolicy(here, interest.own);
    const known = new Map(signers.map((signer) => [keyidOf(signer.vkey.publicKey, crypto), signer]));
    const records = memory.keyRecords();
    const edges = [...ring.changes.map(({ from }) => from), ...records.map((record) => record.index + 1n)];
    const until = edges.filter((edge) => edge > place).sort((a, b) => (a < b ? -1 : 1))[0] ?? MAX_PLACE;
    return { place, until, count: records.length, ring, policy: here, known, closed: closedBy(memory) };
  }
  /** The same until a change takes effect, or one more is remembered. */
  const keysAt = (place: bigint) => {
    const isSame = place >= keys.place && place < keys.until && memory.keyRecords().length === keys.count;
    if (!isSame) keys = keysBefore(place);
    return keys;
  };
  return {
    memory,
    record(index, bytes, rootAt) {
      const found: Found[] = [];
      const { ring, policy: here, known, closed } = keysAt(index);
      const distrust = distrustAt(index);
      const trusted = { ...ring, untrusted: distrust.map(({ vkey }) => vkey) };
      const w: Watched = {
        index,
        bytes,
        sha256: toHex(crypto.sha256(bytes)),
        policy: here,
        distrust,
        crypto,
        memory,
        rootAt: (size) => toHex(rootAt(size)),
        find: (one) => void found.push(one),
      };
      judgeRecord(w, known, interest, { ring: trusted, closed });
      return found;
    },
  };
}

const MAX_PLACE = 1n << 64n;
const RENEWER = "renewals"; // as in the policy's line
const OWN = "own"; // a role that no policy line gives

function signersOfPolicy(policy: Policy, own: readonly Vkey[]): Signer[] {
  const named = (role: string) => (vkey: Vkey) => ({ name: vkey.name, role, vkey });
  const all: Signer[] = [
    ...policy.approvers,
    ...policy.status.map(named("status")),
    ...policy.enrollers.map(named("enroller")),
    ...policy.renewals
      .filter(({ log }) => sameVkey(log, policy.log))
      .map(({ renewer }) => named(RENEWER)(renewer)),
  ];
  const others = own.filter((vkey) => !all.some((s) => equalBytes(s.vkey.publicKey, vkey.publicKey)));
  return [...all, ...others.map(named(OWN))];
}

/** The signatures of an envelope: by whom, as far as anybody here knows. */
export interface Signed {
  /** Whose signatures are good. */
  readonly signers: readonly Signer[];
  /** Key ids that nobody here knows. */
  readonly unknown: readonly string[];
}

function judgeRecord(
  w: Watched,
  known: ReadonlyMap<string, Signer>,
  interest: Interest,
  { ring, closed }: { readonly ring: Keyring; readonly closed: bigint | null },
): void {
  let envelope: Envelope;
  let statement: Statement;
  try {
    envelope = parseEnvelope(w.bytes);
    statement = parseStatement(envelope.payload);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const message = `the record is no statement known here: ${error.message} [${error.code}]`;
    w.find({ code: "unknown-record", message });
    return;
  }
  const about = aboutOf(statement);
  if (closed !== null && closed < w.index)
    w.find({ code: "record-after-closing", message: `record ${closed} closed this log`, ...about });
  if (!isInPlace(w, envelope, ring, about)) return;
  const signed = signaturesOf(w, envelope, known, about);
  if (signed === null) return; // whoever altered it: what it says is nobody's word
  for (const { name, vkey } of signed.signers) {
    const end = w.distrust.find((one) => sameKey(one.vkey, vkey));
    if (end === undefined) continue;
    const message = `the ${statement.kind} is signed by ${quote(name)}, whom the policy distrusts since ${isoTime(end.time)}, and nothing shows that it was there before`;
    w.find({ code: "signer-distrusted", message, ...about });
  }
  judgeOwn(w, statement, signed, interest, about);
  switch (statement.kind) {
    case "release":
      judgeRelease(w, statement, signed);
      break;
    case "advisory":
      withMakers(w, statement, signed, (byApprovers) => judgeAdvisory(w, statement, byApprovers));
      break;
    case "advisory-withdrawal":
      withMakers(w, statement, signed, (byApprovers) => judgeWithdrawal(w, statement, byApprovers));
      break;
    case "status":
      withMakers(w, statement, signed, (byApprovers) => judgeStatus(w, statement, byApprovers));
      break;
    case "enrolment":
      w.find({
        code: "private-statement",
        message: "an enrolment names a serial number and is public now: a log takes the commitment to it",
        ...about,
      });
      break;
    case "renewal-commitment":
      judgeRenewal(w, signed);
      break;
    case "enrolment-commitment":
    case "evidence-commitment":
      judgeCommitment(w, statement.kind, signed);
      break;
    case "fleet-commitment":
      tellFleetCommitment(w, statement, signed);
      break;
    case "stream-commitment":
      break; // a hash that says nothing; whoever keeps the salt knows whose
    case "rotation":
    case "revocation":
    case "closing":
      judgeKeys(w, statement, ring);
      break;
    default:
      statement satisfies never;
  }
}

/** What a finding is about, as far as its statement names it. */
export type About = Pick<Found, "product" | "version" | "id">;

function aboutOf(statement: Statement): About {
  const { product, version, id } = statement as { product?: string; version?: string; id?: string };
  return {
    ...(product !== undefined && { product }),
    ...(version !== undefined && { version }),
    ...(id !== undefined && { id }),
  };
}

/** False, and a finding, when it is signed by a key that was replaced before, or is to come. */
function isInPlace(w: Watched, envelope: Envelope, ring: Keyring, about: About): boolean {
  try {
    refuseReplaced(ring, envelope, w.index, w.crypto);
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    w.find({ code: error.code, message: error.message, ...about });
    return false;
  }
}

/** Null, and a finding, when a signature by a key known here doesn't verify. */
function signaturesOf(
  w: Watched,
  envelope: Envelope,
  known: ReadonlyMap<string, Signer>,
  about: About,
): Signed | null {
  if (envelope.signatures.length === 0) {
    w.find({ code: "unsigned", message: "nobody signed this record", ...about });
    return null;
  }
  const message = pae(envelope.payloadType, envelope.payload);
  const signers: Signer[] = [];
  const unknown: string[] = [];
  for (const { keyid, sig } of envelope.signatures) {
    const signer = known.get(keyid);
    if (signer === undefined) {
      unknown.push(keyid);
    } else if (w.crypto.verifyEd25519(signer.vkey.publicKey, message, sig)) {
      signers.push(signer);
    } else {
      const what = `the signature by ${quote(signer.name)} doesn't verify`;
      w.find({ code: "bad-signature", message: what, ...about });
      return null;
    }
  }
  return { signers, unknown };
}

/** What only the owner of a key can tell: a signature that nobody remembers making, a release that isn't theirs. */
function judgeOwn(
  w: Watched,
  statement: Statement,
  { signers }: Signed,
  { own, made, products }: Interest,
  about: About,
): void {
  const mine = signers.find(({ vkey }) => own.some((key) => equalBytes(key.publicKey, vkey.publicKey)));
  const isMade = made === null || made.has(w.sha256) || imagesOf(statement, made);
  if (mine !== undefined && !isMade) {
    const message = `your key ${quote(mine.name)} signed a statement (${statement.kind}) that isn't in your list: sha256 ${w.sha256}`;
    w.find({ code: "unmade-statement", message, ...about });
  }
  if (statement.kind !== "release") return;
  const { product, version } = statement;
  if (products.length > 0 && !products.includes(product)) return;
  if (own.length > 0 && mine === undefined) {
    const message = `release ${product} ${version} is signed by none of your keys`;
    w.find({ code: "foreign-release", message, ...about });
  }
  if (mine === undefined && !isMade) {
    const message = `release ${product} ${version} isn't in your list: sha256 ${w.sha256}`;
    w.find({ code: "unmade-release", message, ...about });
  }
}

const imagesOf = (statement: Statement, made: ReadonlySet<string>): boolean =>
  statement.kind === "release" && statement.subjects.every(({ sha256 }) => made.has(sha256));

function judgeRelease(w: Watched, statement: ReleaseStatement, { signers, unknown }: Signed): void {
  const { product, version, securityVersion, hardware } = statement;
  const about = { product, version };
  const approved = isApproved(w, product, signers, unknown, `release ${product} ${version}`, about);
  const images = statement.subjects.map(({ name, sha256 }) => `${name} ${sha256}`).sort();
  const line = { product, model: hardware.model };
  const before = w.memory.release(line, version);
  const digest = toHex(w.crypto.sha256(utf8Encode(images.join("\n"))));
  if (before !== null && before.images !== digest) {
    const message = `${product} ${version} for ${hardware.model} was released before, as record ${before.index}, with other images`;
    w.find({ code: "version-reused", message, ...about });
  }
  const highest = w.memory.securityVersion(line);
  if (highest !== null && securityVersion < highest) {
    const message = `${product} ${version} has security version ${securityVersion}, a release for ${hardware.model} had ${highest} already: an old line, or a way back`;
    w.find({ code: "security-version-down", message, ...about });
  }
  if (!approved && !isApprovedAsWritten(w, product, signers)) return;
  w.memory.keepRelease(line, version, { index: w.index, images: digest, securityVersion });
  if (!approved) return;
  const names = signers
    .map(({ name }) => name)
    .sort()
    .join(", ");
  w.find({ code: "release", message: `release ${product} ${version}, signed by ${names}`, ...about });
}

/** Statements that one status key may make, or enough approvers. */
function withMakers(
  w: Watched,
  statement: Statement & { readonly product: string },
  { signers, unknown }: Signed,
  judge: (byApprovers: boolean) => void,
): void {
  if (unknown.length === 0 && signers.length === 1 && signers[0]!.role === "status") {
    judge(false);
    return;
  }
  const what = `the ${statement.kind} for ${statement.product}`;
  if (isApproved(w, statement.product, signers, unknown, what, aboutOf(statement))) judge(true);
  else if (statement.kind === "advisory" && isApprovedAsWritten(w, statement.product, signers)) judge(false);
}

/** Anybody may commit to a fleet's evidence: no verdict rests on it, and no policy says who does. */
function tellFleetCommitment(
  w: Watched,
  { size, sha256 }: FleetCommitment,
  { signers, unknown }: Signed,
): void {
  const keys = unknown.map((id) => `key ${id.slice(0, 16)}…`);
  const by = [...signers.map(({ name }) => quote(name)), ...keys].join(", ");
  const message = `a commitment to evidence of ${size} devices, root ${sha256.slice(0, 16)}…, signed by ${by}`;
  w.find({ code: "fleet-commitment", message });
}

/** A renewal counts by a renewer that the policy names with this log. */
function judgeRenewal(w: Watched, { signers }: Signed): void {
  if (signers.some(({ role }) => role === RENEWER)) return;
  w.find({
    code: "unknown-signer",
    message: "the renewal-commitment is signed by no renewer that the policy names",
  });
}

function judgeCommitment(w: Watched, kind: string, { signers }: Signed): void {
  if (signers.some(({ role }) => role === "enroller")) return;
  w.find({ code: "unknown-signer", message: `the ${kind} is signed by no enroller of the policy` });
}
