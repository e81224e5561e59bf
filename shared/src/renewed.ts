// A bundle that was renewed, from the newest renewal inwards (renewal.ts says what one is):
//
//   now ──▶ renewal 2 ──▶ its time ──▶ renewal 1 ──▶ its time ──▶ bundle
//
// Each arrow is a moment up to which the bytes behind it are known to have been there, so each is judged with the keys
// that the policy trusts at that moment (distrust.ts). Of a renewal, in this order:
//
//   1. a log that the policy names for renewals signed the checkpoint, and its witnesses cosigned;
//   2. the record is a leaf of that tree;
//   3. a ledger of the policy recorded the checkpoint: that is the renewal's time, and not after the moment before it;
//   4. a renewer that the policy names for this log signed the record;
//   5. all three digests in it are those of the bytes behind the line, with the salt and what the line says.
//
// Countersignatures among the renewals (countersigned.ts) are judged in the same way, by the keys trusted at their place. They
// have no time of their own, so none moves that moment.
//
// The question itself is the bundle's: whether a status is young enough depends on --at and on nothing here.

import { CLOCK_SKEW } from "./anchoring";
import type { Question } from "./appraise";
import { equalBytes } from "./bytes";
import { checkSignature, countersignerOf, type Lines, type Seen } from "./countersigned";
import { trustedAt } from "./distrust";
import { parseEnvelope } from "./dsse";
import { checkHistory } from "./history";
import { parseNote } from "./note";
import type { Policy } from "./policy";
import { quote, Refusal } from "./refusal";
import {
  checkCommitted,
  isRenewed,
  type Layer,
  parseRenewed,
  type Renewal,
  type Renewed,
  renewalsOf,
} from "./renewal";
import { signersOf } from "./signers";
import { isoTime } from "./time";
import { Findings, type RenewalResult, type Verdict, worst } from "./verdict";

const LIMITS_RENEWED = [
  "a renewal shows that these bytes were there at its time; the log that holds it hashes with SHA-256, as every C2SP log does",
];

type Asked = Omit<Question, "handed" | "images" | "releaseOnly">;

/** A file of which the renewals are settled. */
export interface Opened {
  /** The bundle in it. */
  readonly bundle: Uint8Array;
  /** What the bundle is judged by. */
  readonly policy: Policy;
  /** When the bundle is known to have been there. */
  readonly trusted: number;
  readonly renewals: readonly RenewalResult[];
  readonly lines: Lines;
}

/** Answers a question about a file that may hold renewals; `judge` answers one about the bundle in it. */
export function appraiseRenewed(question: Question, judge: (question: Question) => Verdict): Verdict {
  const out = new Findings();
  const opened = out.attempt("renewal", () => openRenewed(question, out));
  if (opened === null) {
    const blank = judge({ ...question, bundle: new Uint8Array(0) });
    return joined({ ...blank, word: "verified", steps: [], reasons: [] }, out, []);
  }
  const { bundle, policy, lines } = opened;
  const verdict = judge({ ...question, policy, bundle, lines });
  checkOpened(opened, verdict.anchors, out);
  return joined(verdict, out, opened.renewals);
}

/** Settles the renewals of a file, if it holds any. What is wrong with one is a finding. Throws as parseRenewed. */
export function openRenewed(question: Asked, out: Findings): Opened {
  const opened: Renewed = isRenewed(question.bundle)
    ? parseRenewed(question.bundle)
    : { layers: [], bundle: question.bundle };
  let trusted = question.now;
  const renewals: RenewalResult[] = [];
  const seen: Seen[] = [];
  for (const layer of opened.layers) {
    if (layer.kind === "countersignature") {
      const one = out.attempt("countersign", () =>
        checkLine(question, layer, trusted, renewals.length === 0),
      );
      if (one === null) break; // refuted, whatever else there is: each further line costs a hash of the whole file
      seen.push(one);
      continue;
    }
    const found = out.attempt("renewal", () => checkRenewal(question, layer, trusted, out));
    if (found === null) break; // the rest would be judged by keys of a moment that nothing proves
    renewals.push(found);
    trusted = found.time;
  }
  noteDistrusted(question, trusted, out);
  const lines = { seen, renewals: renewalsOf(opened).length };
  return { bundle: opened.bundle, policy: trustedAt(question.policy, trusted), trusted, renewals, lines };
}

/** What the bundle itself must not contradict. */
export function checkOpened(
  { trusted, renewals }: Opened,
  anchors: readonly { readonly time: number | null }[],
  out: Findings,
): void {
  const last = anchors.find(({ time }) => time !== null && time > trusted + CLOCK_SKEW);
  if (last !== undefined && renewals.length > 0)
    out.failed(
      "renewal",
      "renewal-order",
      `the bundle holds a receipt of ${isoTime(last.time!)}, it was renewed at ${isoTime(trusted)}`,
    );
}

/** The weakest of the clocks that say when a renewed bundle was there, and of those in it. */
export const timeSourceWith = (
  renewals: readonly RenewalResult[],
  own: Verdict["timeSource"],
): Verdict["timeSource"] =>
  renewals.some(({ ledgers }) => ledgers.includes("directory")) ? "self-asserted" : own;

export const limitsWith = (renewals: readonly RenewalResult[]): readonly string[] =>
  renewals.length === 0 ? [] : LIMITS_RENEWED;

function joined(verdict: Verdict, out: Findings, renewals: readonly RenewalResult[]): Verdict {
  return {
    ...verdict,
    word: worst([verdict.word, ...out.reasons.map(({ word }) => word)]),
    steps: [...out.steps, ...verdict.steps],
    reasons: [...out.reasons, ...verdict.reasons],
    notes: [...new Set([...out.notes, ...verdict.notes])],
    timeSource: timeSourceWith(renewals, verdict.timeSource),
    limits: [...verdict.limits, ...limitsWith(renewals)],
    ...(renewals.length === 0 ? {} : { renewals }),
  };
}

function noteDistrusted({ policy }: Asked, trusted: number, out: Findings): void {
  for (const { vkey, time } of policy.distrust)
    if (time <= trusted) out.note(`${vkey.name} is distrusted since ${isoTime(time)}`);
}

type Of<K extends Layer["kind"]> = Extract<Layer, { readonly kind: K }>;

/** A line by a countersigner of the policy at this place must be good; one of the release waits for the release. */
function checkLine(
  question: Asked,
  { countersignature, content }: Of<"countersignature">,
  trusted: number,
  isOutermost: boolean,
): Seen {
  const by = countersignerOf(countersignature, trustedAt(question.policy, trusted), question.crypto);
  const one = { countersignature, by, behind: content.length, isOutermost };
  if (countersignature.of === "bundle") checkSignature(one, content, question.mldsa);
  return one;
}

/** `trusted`: the moment up to which this renewal is known to have been there. Refuses what is wrong with it. */
function checkRenewal(
  question: Asked,
  { renewal, content }: Of<"renewal">,
  trusted: number,
  out: Findings,
): RenewalResult {
  const policy = trustedAt(question.policy, trusted);
  const log = logOf(renewal, policy.renewals);
  const { time, origin, ledgers } = dateOf({ ...question, policy: { ...policy, log } }, renewal, out); // 1 to 3
  if (time > trusted + CLOCK_SKEW)
    throw new Refusal(
      "renewal-order",
      `a renewal of ${isoTime(time)} was itself renewed at ${isoTime(trusted)}`,
    );
  const renewers = policy.renewals.filter((r) => r.log === log || equalBytes(r.log.publicKey, log.publicKey));
  const candidates = renewers.map(({ renewer }) => ({ name: renewer.name, role: "renewals", vkey: renewer }));
  const envelope = parseEnvelope(renewal.record.statement);
  const signers = signersOf(envelope, candidates, question.crypto); // 4
  if (signers.length !== 1)
    throw new Refusal("surplus-signature", `${signers.length} keys signed the renewal, expected one`);
  checkCommitted(renewal.record.statement, renewal, content, question.crypto); // 5
  const { verdict, policy: digest, at, record } = renewal;
  const by = signers[0]!.name;
  out.established(
    "renewal",
    `of ${content.length} bytes by ${by}, ${origin}, record ${record.index}, recorded ${isoTime(time)} on ${ledgers.join(", ")}; it found ${verdict} for ${at}`,
    [
      "rule: the renewer's commitment is in the log; its SHA-256, SHA-512 and SHA3-256 are those of the bytes behind the line",
      `bytes: under policy sha256 ${digest}; judged with the keys trusted at ${isoTime(trusted)}`,
    ],
  );
  return { time, ledgers, by, log: origin, index: record.index, verdict, policy: digest, at };
}

/** Of the logs that the policy names for renewals, the one whose key is on the checkpoint. */
function logOf(renewal: Renewal, lines: Question["policy"]["renewals"]) {
  if (lines.length === 0) throw new Refusal("no-renewals", "the policy has no renewals line that stands");
  const { signatures } = parseNote(renewal.note);
  const found = lines.find(({ log }) =>
    signatures.some(({ name, keyId }) => name === log.name && equalBytes(keyId, log.keyId)),
  );
  if (found !== undefined) return found.log;
  const [first] = signatures;
  throw new Refusal(
    "unknown-log",
    `the renewal is in log ${quote(first?.name ?? "")}, the policy names ${lines.map(({ log }) => log.name).join(", ")}`,
  );
}

/** Claims 2 and 3 of a renewal's one checkpoint, by the code that settles them for bundles. */
function dateOf(question: Asked, renewal: Renewal, out: Findings) {
  const own = new Findings();
  const none = new Uint8Array(0);
  const { record, note, receipts, walk } = renewal;
  const history = checkHistory({
    ...question,
    out: own,
    budget: { left: 0 },
    keys: { ring: { policy: question.policy, changes: [] }, revocations: [], foreign: [] }, // the line names its log
    bundle: {
      release: record,
      manifest: none,
      status: record,
      consistency: [],
      advisories: [],
      checkpoints: [{ note, consistency: [], receipts }],
      devices: [],
      ...(walk === undefined ? {} : { walk }),
    },
  });
  for (const text of own.notes) out.note(text);
  const [first] = own.reasons;
  if (first !== undefined) throw new Refusal(first.code, `the renewal: ${first.message}`);
  const anchored = history?.anchored[0];
  if (anchored?.time == null) throw new Refusal("not-anchored", "the renewal has no ledger receipt");
  const ledgers = anchored.receipts.map(({ kind }) => kind);
  return { time: anchored.time, origin: anchored.checkpoint.origin, ledgers };
}
