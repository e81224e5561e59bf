// Verification, as the seven claims of DESIGN.md section 1 in their order:
//
//      keys         whose signatures count where             keyrecords.ts
//   1. release      the maker's approvers signed it          published.ts
//      countersign  and what else the policy wants signed    countersigned.ts
//   2. log          everybody sees the same releases         published.ts
//   3. ledger       no later than these times                published.ts
//   4. advisories   none in force affects it                 published.ts
//   5. enrolment    this key is that device's                enrolled.ts
//   6. evidence     the device measured these bytes, then    attested.ts
//   7. measured     they are the released bytes              attested.ts
//
// The verdict is the worst finding. Claims 5 to 7 are not opened when claim 1 or 2 could
// not be established: they would rest on nothing. Pure: the time and the policy are
// arguments; nothing here reads a clock, a file or a network.

import type { OpenRebased, StardustJudge } from "./anchoring";
import { checkDevice, labelOf, type Presented, presentFile, presentMember } from "./attested";
import { type Bundle, parseBundle } from "./bundle";
import { toBase64 } from "./bytes";
import type { Challenge } from "./companions";
import type { VerifyMldsa } from "./countersignature";
import { checkCountersigned, type Lines } from "./countersigned";
import type { Crypto } from "./crypto";
import { type Case, checkHistory, type History } from "./history";
import { checkKeysLogged, checkOwnListed, openKeys } from "./keyrecords";
import { checkImages, type Image } from "./measured";
import type { Policy } from "./policy";
import { checkRelease, checkStatus, type Published, type Release } from "./published";
import { appraiseRenewed } from "./renewed";
import type { ReleaseStatement } from "./statement";
import { isoTime, secondsOf } from "./time";
import {
  type AnchorResult,
  type CountersignatureResult,
  type DeviceResult,
  Findings,
  type Verdict,
  worst,
} from "./verdict";

export type { Image } from "./measured";

export interface Question {
  /** The bundle file's bytes, as received; renewed or not. */
  readonly bundle: Uint8Array;
  readonly policy: Policy;
  readonly crypto: Crypto;
  /** The moment asked about and the present, Unix seconds; `at` ≤ `now`. */
  readonly at: number;
  readonly now: number;
  /** Claims 1 to 4 only: the verdict is `verified` at best and says nothing of a device. */
  readonly releaseOnly: boolean;
  readonly images: readonly Image[];
  /** Judges receipts of IOTA's ledger; without it they are `unsupported-receipt`. */
  readonly rebased?: OpenRebased | undefined;
  /** Judges receipts of Tangles; without it they are `unsupported-receipt`. */
  readonly stardust?: StardustJudge | undefined;
  /** Verifies countersignatures; without it those by keys that the policy names are `unsupported-algorithm`. */
  readonly mldsa?: VerifyMldsa | undefined;
  /** What stood in front of the bundle; whoever asks leaves it out (renewed.ts). */
  readonly lines?: Lines | undefined;
  /** Evidence handed over beside the bundle; judged instead of the bundle's devices. */
  readonly handed: readonly { readonly evidence: Uint8Array; readonly challenge: Challenge }[] | null;
}

/** Bytes of image and padding that one run hashes for keyed digests. */
const MAX_HASHED = 512 * 1024 * 1024;

const LIMITS_ALWAYS = [
  "inclusion in a log does not mean newest; what was logged after the status statement's size is not seen",
  "a status key alone can leave out an advisory, a withdrawal or a change of keys; whoever reads the whole log sees that",
  "the manifest key alone can make an image boot, but never give it a verdict",
];
const LIMITS_NETWORK = [
  "the ledger's receipts show that a checkpoint was there at that time, not that it is the newest",
];
const LIMITS_STARDUST = [
  "a coordinator's time is the word of whoever holds its keys: enough of them can give a block any time",
];
const LIMITS_REBASED = [
  "leaked keys of an old committee could forge later epochs from that anchor; a newer anchor shortens this",
];
const LIMITS_DEVICE = [
  "a microcontroller without a hardware root of trust can lie about what it measured",
  "a second enrolment of the same device would be visible only to the enroller",
];

/**
 * Answers the question, of a bundle or of one that was renewed, by the keys that the policy trusts of what was there
 * that early (renewed.ts). Throws only on a bug: every refusal is a finding of the verdict.
 */
export const appraise = (question: Question): Verdict => appraiseRenewed(question, appraiseBundle);

/** Where something is too old for now, the verdict says for which moment the answer would be better. */
function appraiseBundle(question: Question): Verdict {
  const verdict = settleAt(question);
  if (verdict.word !== "unproven" || !verdict.reasons.every((reason) => TOO_OLD.has(reason.code)))
    return verdict;
  const moments = [verdict.asOf?.time, ...verdict.devices.map((d) => d.notAfter)];
  const moment = Math.max(...moments.map((time) => time ?? Number.NaN));
  if (!(moment < question.at) || settleAt({ ...question, at: moment }).reasons.length > 0) return verdict;
  const hint = `for a past moment: --at ${isoTime(moment)}`;
  return { ...verdict, reasons: verdict.reasons.map((reason) => ({ ...reason, hint })) };
}

const TOO_OLD: ReadonlySet<string> = new Set(["status-stale", "evidence-stale"]);

function limitsOfLedgers({ walk, checkpoints }: Bundle): string[] {
  const onTangle = checkpoints.some(({ receipts }) => receipts.some(({ kind }) => kind === "stardust"));
  return [
    ...(walk === undefined && !onTangle ? [] : LIMITS_NETWORK),
    ...(onTangle ? LIMITS_STARDUST : []),
    ...(walk === undefined ? [] : LIMITS_REBASED),
  ];
}

/** What a bundle says whichever device is asked about: claims 1 to 4, gone over once. Findings are in the case. */
export interface Grounds {
  readonly c: Case;
  readonly images: readonly Image[];
  readonly release: Release | null;
  readonly history: History | null;
  readonly published: Published | null;
  readonly countersignatures: readonly CountersignatureResult[];
  readonly limits: readonly string[];
}

/** Claims 1 to 4 of a bundle that was read. */
export function openGrounds(
  bundle: Bundle,
  question: Omit<Question, "bundle" | "handed">,
  out: Findings,
): Grounds {
  const { policy, crypto, at, now, images, rebased, stardust } = question;
  const budget = { left: MAX_HASHED };
  const plain: Omit<Case, "keys"> = { budget, bundle, policy, crypto, at, now, out, rebased, stardust };
  const c: Case = { ...plain, keys: openKeys(plain) };
  const release = checkRelease(c);
  if (release !== null) checkImages(c, release, images);
  if (release !== null) flagSupport(c, release.statement);
  const countersignatures = checkCountersigned(question, bundle, out);
  const history = checkHistory(c);
  if (history !== null) checkKeysLogged(c, history);
  const published = release && history ? checkStatus(c, release, history) : null;
  const limits = limitsOf(bundle, question.releaseOnly);
  return { c, images, release, history, published, countersignatures, limits };
}

const limitsOf = (bundle: Bundle | null, releaseOnly: boolean) => [
  ...LIMITS_ALWAYS,
  ...(bundle === null ? [] : limitsOfLedgers(bundle)),
  ...(releaseOnly ? [] : LIMITS_DEVICE),
];

/** Claims 5 to 7 of one device; null when they would rest on nothing. Findings go to `out`. */
export function judgeDevice(
  grounds: Grounds,
  device: Presented,
  label: string,
  out: Findings,
): DeviceResult | null {
  const { c, release, history, images, published } = grounds;
  if (release === null || history === null) return null;
  const own: Case = { ...c, out, budget: { left: MAX_HASHED } };
  if (published?.status && device.member !== null) checkOwnListed(own, published.status, device.member);
  return checkDevice(own, device, label, release, history, images);
}

function settleAt(question: Question): Verdict {
  const out = new Findings();
  const bundle = out.attempt("bundle", () => parseBundle(question.bundle));
  const base = {
    at: question.at,
    releaseOnly: question.releaseOnly,
    policyDigest: question.policy.digest,
    steps: out.steps,
    reasons: out.reasons,
    notes: out.notes,
    flags: out.flags,
    limits: limitsOf(bundle, question.releaseOnly),
  };
  if (bundle === null) {
    return {
      ...base,
      word: settle(out, question),
      product: null,
      version: null,
      asOf: null,
      advisories: [],
      timeSource: null,
      anchors: [],
      devices: [],
    };
  }
  const grounds = openGrounds(bundle, question, out);
  const { c, release, history, published, countersignatures } = grounds;
  const devices: DeviceResult[] = [];
  if (release !== null && history !== null) {
    const asked =
      question.handed?.map((h) => presentFile(h.evidence, h.challenge, bundle, c.crypto)) ??
      bundle.devices.map(presentMember);
    if (!question.releaseOnly) {
      for (const [i, device] of asked.entries()) {
        devices.push(checkDevice(c, device, labelOf(device, i), release, history, question.images));
      }
      if (asked.length === 0) {
        out.failed(
          "evidence",
          "evidence-missing",
          "there is no device evidence",
          "--evidence FILE, or --release-only to ask about the release alone",
        );
      }
    }
    if (question.handed === null && !question.releaseOnly) checkNothingUnused(c, history);
  }
  return {
    ...base,
    word: settle(out, question),
    product: release?.statement.product ?? null,
    version: release?.statement.version ?? null,
    asOf: published?.asOf ?? null,
    advisories: published?.advisories ?? [],
    timeSource: history && timeSourceOf(history),
    anchors: history === null ? [] : anchorsOf(history),
    devices,
    ...(countersignatures.length === 0 ? {} : { countersignatures }),
  };
}

const DAY_S = 86400;

/** Support lasts until the end of its last day, UTC. */
function flagSupport({ at, out }: Case, { version, supportEnds }: ReleaseStatement): void {
  if (supportEnds !== undefined && at >= secondsOf(`${supportEnds}T00:00:00Z`) + DAY_S)
    out.flag("END_OF_SUPPORT", `the maker's support for ${version} ended on ${supportEnds}`);
}

/** The weakest of the clocks that any time of the verdict comes from. */
export function timeSourceOf({ anchored }: History): Verdict["timeSource"] {
  const kinds = anchored.flatMap(({ receipts }) => receipts.map(({ kind }) => kind));
  const every = (...known: string[]) => kinds.length > 0 && kinds.every((kind) => known.includes(kind));
  if (every("rebased")) return "validators";
  return every("rebased", "stardust") ? "coordinator" : "self-asserted";
}

const anchorsOf = ({ anchored }: History): AnchorResult[] =>
  anchored.flatMap(({ checkpoint, receipts }) =>
    receipts.map(({ proof: _, ...receipt }) => ({ size: checkpoint.size, ...receipt })),
  );

/**
 * A checkpoint that no claim relied on has no business in a minimal bundle. The head may also
 * be there for a record that no smaller checkpoint holds.
 */
export function checkNothingUnused(c: Case, history: History): void {
  if (c.out.reasons.length > 0) return;
  const { anchored, used } = history;
  checkNothingTwice(c);
  const before = anchored[anchored.length - 2]?.checkpoint.size ?? 0n;
  const { release, status, advisories, devices, keys = [] } = c.bundle;
  const records = [release, status, ...advisories, ...keys, ...devices.map((d) => d.commitment)];
  const headHolds = records.some((record) => record.index >= before);
  const unused = anchored.find((a, i) => !used.has(a) && !(headHolds && i === anchored.length - 1));
  if (unused !== undefined) {
    c.out.failed(
      "bundle",
      "surplus-checkpoint",
      `no claim uses the checkpoint of size ${unused.checkpoint.size}`,
    );
  }
}

/** A record or a device that stands twice would count, and be counted, twice. */
function checkNothingTwice(c: Case): void {
  const { advisories, devices } = c.bundle;
  const isRepeated = (keys: readonly string[]) => new Set(keys).size !== keys.length;
  if (
    isRepeated(advisories.map((a) => String(a.index))) ||
    isRepeated(devices.map((d) => toBase64(d.evidence)))
  ) {
    c.out.failed("bundle", "surplus-member", "an advisory or a device stands in the bundle twice");
  }
}

function settle(out: Findings, question: Question) {
  const best = question.releaseOnly ? "verified" : "patched";
  return worst([best, ...out.reasons.map((reason) => reason.word)]);
}
