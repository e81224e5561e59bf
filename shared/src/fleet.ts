// A fleet's devices, each judged as `vouch verify` judges the one of a bundle: the same code, the same
// word, the same reasons. What is shared is settled once:
//
//   context   claims 1 to 4 of a release        openContext: signatures of the maker, log, ledger
//     │
//     ├─ device   claims 5 to 7                 auditDevice: signatures of enroller and device
//     ├─ device
//
// A context is a bundle; the only claim on it that isn't asked here is that it is minimal, since it
// serves many devices (for the devices inside a bundle of their own it is asked: auditBundle).
//
// **Which result may stand for another moment.** Below claim 4 nothing reads T but three comparisons
// (enrolled.ts, attested.ts): a receipt's time with T (and with the 300 s that clocks may run ahead when T is now), T with
// a receipt's time plus the policy's max-age, and, for evidence that no log holds, whether T is now. All
// those times are of receipts in the context. So for one context, policy, program and device the outcome is
// a function of: the findings about the release at T, the keys that the policy distrusts by then, all those comparisons,
// whether T is now, and the devices' keys that other contexts of the input show to be revoked. `moment` is
// a digest of exactly that; a key made of it names the outcome, and a result kept under the key may be used at any
// T that gives the same one. An advisory, a deadline, a status that ages, an end of support change the findings and
// so the key. Reasons whose text quotes T are the exception: TIMED.

import { revisionOf } from "./advisories";
import { checkNothingUnused, type Grounds, judgeDevice, openGrounds, timeSourceOf } from "./appraise";
import { labelOf, type Presented, presentFile, presentMember } from "./attested";
import {
  type AuditContext,
  type AuditRecord,
  CONTEXT_VERSION,
  formatAuditLine,
  RECORD_VERSION,
} from "./auditline";
import { type Bundle, parseBundle } from "./bundle";
import { concatBytes, toHex, utf8Encode } from "./bytes";
import { type Challenge, formatChallenge } from "./companions";
import { parseEnvelope } from "./dsse";
import { advisoryJson, timeOrNull } from "./ear";
import { contextOf, formatDevice, parseDevice } from "./fleetform";
import { firstHolding, horizonOf } from "./history";
import type { Revocation } from "./keyrecords";
import type { Image } from "./measured";
import { isProved, UNLISTED } from "./outdated";
import { isRefusal } from "./refusal";
import { checkOpened, limitsWith, openRenewed, timeSourceWith } from "./renewed";
import { parseStatement, type Statement } from "./statement";
import { type DeviceResult, Findings, type Reason, type Verdict, type Word, worst } from "./verdict";

export interface AuditQuestion extends Omit<Parameters<typeof openGrounds>[1], "releaseOnly" | "images"> {
  /** By digest: an image counts for every release that names it. */
  readonly images: readonly Image[];
  /** Which program judges: "vouch 0.1.0". */
  readonly tool: string;
  /** What other contexts of the same input show of devices' keys. */
  readonly revoked?: readonly RevokedKey[] | undefined;
  /** Nobody wants to see the lines of devices that are patched and have no flag of their own: they are not made. */
  readonly brief?: boolean;
}

/** A device's key that counts for nothing since some time: approvers signed that, and a log holds it. */
export interface RevokedKey {
  /** The log's origin. */
  readonly log: string;
  readonly revocation: Revocation;
}

export interface Context {
  readonly digest: string;
  readonly bundle: Bundle;
  readonly grounds: Grounds;
  readonly timeSource: Verdict["timeSource"];
  /** What T means for devices of this context; see above. */
  readonly moment: string;
}

/** One judged device: its line, and what a summary counts. */
export interface Row {
  /** Line and key are empty where the question is brief and the device is plainly patched. */
  readonly line: string;
  readonly key: string;
  readonly word: Word;
  /** The context's digest. */
  readonly context: string | null;
}

const hash = ({ crypto }: AuditQuestion, text: string) => toHex(crypto.sha256(utf8Encode(text)));

/** Reads a bundle and settles what it says of the release. Throws as parseBundle; findings are in the grounds. */
export function openContext(bytes: Uint8Array, question: AuditQuestion): Context {
  const out = new Findings();
  const opened = openRenewed({ ...question, bundle: bytes }, out);
  const { policy, renewals } = opened;
  const bundle = parseBundle(opened.bundle);
  const settled = openGrounds(
    bundle,
    { ...question, policy, lines: opened.lines, images: [], releaseOnly: false },
    out,
  );
  const anchors = settled.history?.anchored.flatMap(({ receipts }) => receipts) ?? [];
  checkOpened(opened, anchors, out);
  const revoked = revokedBeside(settled, question);
  const grounds = withRevoked({ ...settled, limits: [...settled.limits, ...limitsWith(renewals)] }, revoked);
  const named = imagesFor(grounds, question.images);
  const context = {
    digest: toHex(question.crypto.sha256(bytes)),
    bundle,
    grounds: { ...grounds, images: named },
    timeSource: timeSourceWith(renewals, grounds.history && timeSourceOf(grounds.history)),
  };
  return { ...context, moment: momentOf(context.grounds, question, revoked) };
}

/** What a context shows of devices' keys, for those of other contexts too: nothing, where it isn't proved itself. */
export function revokedIn({ grounds: { c, history } }: Context): RevokedKey[] {
  if (history === null || !isProved(c.out.reasons)) return [];
  return c.keys.revocations.map((revocation) => ({ log: history.head.origin, revocation }));
}

/** Of what other contexts show, what is of this one's log and new to it. */
function revokedBeside({ c, history }: Grounds, { revoked = [] }: AuditQuestion): Revocation[] {
  const known = new Set(c.keys.revocations.map(({ record }) => record.index));
  return revoked
    .filter(({ log, revocation }) => log === history?.head.origin && !known.has(revocation.record.index))
    .map(({ revocation }) => revocation);
}

function withRevoked(grounds: Grounds, revoked: readonly Revocation[]): Grounds {
  const { c } = grounds;
  const revocations = [...c.keys.revocations, ...revoked];
  return { ...grounds, c: { ...c, keys: { ...c.keys, revocations } } };
}

/** The images given that this release names, each as the component that it names. */
function imagesFor({ release }: Grounds, images: readonly Image[]): Image[] {
  const subjects = release?.statement.subjects ?? [];
  return subjects.flatMap(({ name, sha256 }) => {
    const image = images.find((i) => toHex(i.sha256) === sha256);
    return image === undefined ? [] : [{ ...image, component: name }];
  });
}

function momentOf(grounds: Grounds, question: AuditQuestion, revoked: readonly Revocation[]): string {
  const { c, history, published, images } = grounds;
  const times = history?.anchored.flatMap(({ receipts }) => receipts.map(({ time }) => time)) ?? [];
  const { at, now, policy } = question;
  const limit = policy.maxAge.evidence;
  return hash(
    question,
    JSON.stringify([
      at === now,
      c.out.reasons.map(({ code, message }) => [code, message]),
      published?.advisories.map(advisoryJson) ?? null,
      c.out.flags.map(({ code, message }) => [code, message]),
      times.map((t) => (t === null ? null : [t > horizonOf(c), limit !== null && at - t > limit])),
      images.map(({ component, sha256 }) => [component, toHex(sha256)]),
      (c.policy.untrusted?.keys ?? []).map(({ publicKey }) => toHex(publicKey)),
      ...revoked.map(({ record, statement }) => [String(record.index), statement]), // most often none
    ]),
  );
}

/** The name of a device's outcome. `input` is a digest, hex; `context` null when none is known. */
export function keyOfRecord(context: Context | null, input: string, question: AuditQuestion): string {
  return hash(question, textOfKey(context, input, question));
}

/** What is hashed to that name, for who hashes a million of them. */
export function textOfKey(context: Context | null, input: string, question: AuditQuestion): string {
  const { tool, policy } = question;
  const [digest, moment] = context === null ? ["", ""] : [context.digest, context.moment];
  return `vouch/audit-key/v1\n${tool}\n${policy.digest}\n${digest}\n${input}\n${moment}`;
}

/** Codes whose messages quote T: such a result is judged again at another T. */
export const TIMED: ReadonlySet<string> = new Set([
  "enrolment-after-t",
  "evidence-after-t",
  "evidence-stale",
]);

/** A line or item of a fleet file. `place` names it where it names no key. Never throws for what it holds. */
export function auditDevice(
  bytes: Uint8Array,
  context: Context | null,
  place: string,
  question: AuditQuestion,
): Row {
  const out = new Findings(false);
  const input = () => toHex(question.crypto.sha256(bytes));
  const device = out.attempt("bundle", () => parseDevice(bytes));
  const presented = device && presentMember(device);
  const label = presented === null ? place : placed(presented, place);
  const asked = context === null ? missing(contextOf(bytes), out) : context;
  const result = presented && asked && judgeDevice(asked.grounds, presented, label, out);
  return rowOf(asked, input, label, out.reasons, out, result, question);
}

function missing(named: string | null, out: Findings): null {
  if (out.reasons.length === 0)
    out.failed(
      "bundle",
      "context-missing",
      `the device is to be judged by release context ${named ?? "unknown"}, which was not given before it`,
      "give the bundle with that digest first, or collect the fleet again",
    );
  return null;
}

const placed = (device: Presented, place: string) => {
  const label = labelOf(device, 0);
  return label === "device-1" ? place : label;
};

/** The devices inside a bundle, in order. The bundle must be minimal, as for `vouch verify`. */
export function auditBundle(context: Context, place: string, question: AuditQuestion): Row[] {
  const { bundle, grounds, digest } = context;
  const judged = bundle.devices.map((device, i) => {
    const out = new Findings(false);
    const presented = presentMember(device);
    const label = placed(presented, `${place}#${i + 1}`);
    const input = () => toHex(question.crypto.sha256(formatDevice({ context: digest, ...device })));
    return { out, label, input, result: judgeDevice(grounds, presented, label, out) };
  });
  if (grounds.history !== null && judged.every(({ out }) => out.reasons.length === 0))
    checkNothingUnused(grounds.c, grounds.history);
  return judged.map(({ out, label, input, result }) =>
    rowOf(context, input, label, out.reasons, out, result, question),
  );
}

/**
 * Evidence from a file, its challenge beside it, as `vouch verify --evidence` judges it. `context` is null when no bundle
 * is of the release that it says the device runs: what others say of theirs is nothing about this device.
 */
export function auditFile(
  context: Context | null,
  evidence: Uint8Array,
  challenge: Challenge,
  place: string,
  question: AuditQuestion,
): Row {
  const out = new Findings(false);
  const presented = presentFile(evidence, challenge, context?.bundle ?? { devices: [] }, question.crypto);
  const label = placed(presented, place);
  const input = () => {
    const both = [evidence, formatChallenge(challenge)].map(question.crypto.sha256);
    return toHex(question.crypto.sha256(concatBytes(both)));
  };
  if (context === null)
    out.failed(
      "bundle",
      "context-missing",
      "no bundle that was given is of the release that the evidence says the device runs, nor knows its key",
    );
  const result = context && judgeDevice(context.grounds, presented, label, out);
  return rowOf(context, input, label, out.reasons, out, result, question);
}

/** A row about something that could not even be opened: a bundle that is none. */
export function auditUnreadable(
  bytes: Uint8Array,
  place: string,
  refused: () => never,
  question: AuditQuestion,
): Row {
  const out = new Findings(false);
  out.attempt("bundle", refused);
  return rowOf(null, () => toHex(question.crypto.sha256(bytes)), place, out.reasons, out, null, question);
}

function rowOf(
  context: Context | null,
  inputOf: () => string,
  label: string,
  found: readonly Reason[],
  out: Findings,
  result: DeviceResult | null,
  question: AuditQuestion,
): Row {
  const grounds = context?.grounds;
  const about = grounds?.c.out.reasons ?? [];
  const word = worst(["patched", ...[...about, ...found].map((reason) => reason.word)]);
  const digest = context?.digest ?? null;
  if (question.brief === true && word === "patched" && out.flags.length === 0)
    return { line: "", key: "", word, context: digest };
  const input = inputOf();
  const key = keyOfRecord(context, input, question);
  const finding = (of: string) => (r: Reason) => ({
    code: r.code,
    word: r.word,
    claim: r.claim as string,
    of,
    message: r.message,
  });
  const record: AuditRecord = {
    version: RECORD_VERSION,
    key,
    input,
    context: digest,
    policy: question.policy.digest,
    tool: question.tool,
    at: timeOrNull(question.at) as string,
    word,
    product: grounds?.release?.statement.product ?? null,
    release: grounds?.release?.statement.version ?? null,
    device: label,
    kid: result?.kid || null,
    serial: result?.serial ?? null,
    ueid: result?.ueid ?? null,
    reasons: [...about.map(finding("release")), ...found.map(finding("device"))],
    advisories: grounds?.published?.advisories.map(({ id }) => id) ?? [],
    flags: [...(grounds?.c.out.flags ?? []), ...out.flags].map(({ code }) => code as string),
    asOf: asOf(grounds),
    timeSource: context?.timeSource ?? null,
    notBefore: timeOrNull(result?.notBefore ?? null),
    notAfter: timeOrNull(result?.notAfter ?? null),
    enroller: result?.enroller ?? null,
    enrolled: timeOrNull(result?.enrolled ?? null),
    components: result?.components.map(({ name, digest }) => ({ name, digest })) ?? [],
    dbgstat: result?.dbgstat ?? null,
  };
  return { line: formatAuditLine(record), key, word, context: digest };
}

const asOf = (grounds: Grounds | undefined) => {
  const status = grounds?.published?.asOf;
  return status == null ? null : { logSize: status.logSize, time: timeOrNull(status.time) };
};

/** What a context says of its release, as a line. After auditBundle it holds what that found, too. */
export function contextLine({ digest, bundle, grounds, timeSource }: Context): AuditContext {
  const { c, release, history, published, limits } = grounds;
  const recorded = release && history ? firstHolding(history, bundle.release).time : null;
  return {
    version: CONTEXT_VERSION,
    context: digest,
    word: worst(["verified", ...c.out.reasons.map((reason) => reason.word)]),
    product: release?.statement.product ?? null,
    release: release?.statement.version ?? null,
    recorded: timeOrNull(recorded),
    supportEnds: release?.statement.supportEnds ?? null,
    udiDi: release?.statement.udiDi ?? null,
    approvers: [...(release?.approvedBy ?? [])],
    log: history?.head.origin ?? null,
    size: history === null ? null : String(history.head.size),
    asOf: asOf(grounds),
    timeSource,
    reasons: c.out.reasons.map(({ code, word, claim, message }) => ({ code, word, claim, message })),
    advisories: published?.advisories.map(advisoryInContext) ?? [],
    flags: [...c.out.flags.map(({ code }): string => code), ...(hasUnlisted(grounds) ? [UNLISTED] : [])],
    limits: [...limits],
  };
}

/** Whether an advisory counts that the status knew of and doesn't list: outdated.ts. */
function hasUnlisted({ c, published }: Grounds): boolean {
  const status = published?.status ?? null;
  if (published === null || status === null || published.advisories.length === 0) return false;
  const settled = c.bundle.advisories.flatMap(({ index, statement }) => {
    const isListed = status.advisories.some((listed) => BigInt(listed.index) === index);
    if (!isListed && index < BigInt(status.logSize)) return [];
    const said = statementOf(statement);
    return said?.kind === "advisory" ? [`${said.id} ${revisionOf(said)}`] : [];
  });
  return published.advisories.some(({ id, revision }) => !settled.includes(`${id} ${revision}`));
}

/** Null for what claim 4 refused: nothing of it counts. */
function statementOf(record: Uint8Array): Statement | null {
  try {
    return parseStatement(parseEnvelope(record).payload);
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

function advisoryInContext(advisory: Parameters<typeof advisoryJson>[0]) {
  const { id, revision, aliases, kind, effect, cvss, created, deadline, overdue, fixIn, recorded } =
    advisoryJson(advisory);
  return {
    id,
    revision,
    aliases: [...aliases],
    kind: kind as string,
    effect: effect as string,
    cvss: [...cvss],
    class: advisory.class as string | null,
    created,
    deadline,
    overdue,
    fixIn,
    recorded,
  };
}
