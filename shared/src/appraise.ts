// Verification, as the seven claims of DESIGN.md section 1 in their order:
//
//   1. release      the maker's approvers signed it          published.ts
//   2. log          everybody sees the same releases         published.ts
//   3. ledger       no later than these times                published.ts
//   4. advisories   none in force affects it                 published.ts
//   5. enrolment    this key is that device's                attested.ts
//   6. evidence     the device measured these bytes, then    attested.ts
//   7. measured     they are the released bytes              attested.ts
//
// The verdict is the worst finding. Claims 5 to 7 are not opened when claim 1 or 2 could
// not be established: they would rest on nothing. Pure: the time and the policy are
// arguments; nothing here reads a clock, a file or a network.

import type { OpenRebased } from "./anchoring";
import { checkDevice, labelOf, presentFile, presentMember } from "./attested";
import { parseBundle } from "./bundle";
import { toBase64 } from "./bytes";
import type { Challenge } from "./companions";
import type { Crypto } from "./crypto";
import { type Case, checkHistory, type History } from "./history";
import { checkImages, type Image } from "./measured";
import type { Policy } from "./policy";
import { checkRelease, checkStatus } from "./published";
import { appraiseRenewed } from "./renewed";
import { isoTime } from "./time";
import { type AnchorResult, type DeviceResult, Findings, type Verdict, worst } from "./verdict";

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
  /** Evidence handed over beside the bundle; judged instead of the bundle's devices. */
  readonly handed: readonly { readonly evidence: Uint8Array; readonly challenge: Challenge }[] | null;
}

/** Bytes of image and padding that one run hashes for keyed digests. */
const MAX_HASHED = 512 * 1024 * 1024;

const LIMITS_ALWAYS = [
  "inclusion in a log does not mean newest; what was logged after the status statement's size is not seen",
  "a status key alone can leave out an advisory or a withdrawal; whoever reads the whole log sees that",
  "the manifest key alone can make an image boot, but never give it a verdict",
];
const LIMITS_REBASED = [
  "the ledger's receipts show that a checkpoint was there at that time, not that it is the newest",
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
    limits: [
      ...LIMITS_ALWAYS,
      ...(bundle?.walk === undefined ? [] : LIMITS_REBASED),
      ...(question.releaseOnly ? [] : LIMITS_DEVICE),
    ],
  };
  if (bundle === null) {
    return {
      ...base,
      word: settle(out, question),
      product: null,
      version: null,
      asOf: null,
      timeSource: null,
      anchors: [],
      devices: [],
    };
  }
  const c: Case = {
    budget: { left: MAX_HASHED },
    bundle,
    policy: question.policy,
    crypto: question.crypto,
    at: question.at,
    now: question.now,
    out,
    rebased: question.rebased,
  };
  const release = checkRelease(c);
  if (release !== null) checkImages(c, release, question.images);
  const history = checkHistory(c);
  const asOf = release && history ? checkStatus(c, release, history) : null;
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
    asOf,
    timeSource: history && timeSourceOf(history),
    anchors: history === null ? [] : anchorsOf(history),
    devices,
  };
}

/** The weakest of the clocks that any time of the verdict comes from. */
function timeSourceOf({ anchored }: History): Verdict["timeSource"] {
  const kinds = anchored.flatMap(({ receipts }) => receipts.map(({ kind }) => kind));
  return kinds.length > 0 && kinds.every((kind) => kind === "rebased") ? "validators" : "self-asserted";
}

const anchorsOf = ({ anchored }: History): AnchorResult[] =>
  anchored.flatMap(({ checkpoint, receipts }) =>
    receipts.map(({ kind, time, rebased }) => ({ size: checkpoint.size, kind, time, rebased })),
  );

/**
 * A checkpoint that no claim relied on has no business in a minimal bundle. The head may also
 * be there for a record that no smaller checkpoint holds.
 */
function checkNothingUnused(c: Case, history: History): void {
  if (c.out.reasons.length > 0) return;
  const { anchored, used } = history;
  checkNothingTwice(c);
  const before = anchored[anchored.length - 2]?.checkpoint.size ?? 0n;
  const { release, status, advisories, devices } = c.bundle;
  const records = [release, status, ...advisories, ...devices.map((d) => d.commitment)];
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
