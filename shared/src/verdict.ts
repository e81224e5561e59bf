// What a verifier concludes, and how sure it may sound.
//
// Verdict words, worst first (DESIGN.md, "Verdicts"):
//
//   refuted     a signature, digest, nonce or proof is wrong            exit 20
//   recalled    genuine, but the maker recalled or withdrew it          exit 23
//   vulnerable  genuine, but an advisory in force affects it            exit 22
//   unproven    something is missing, stale or unknown: can't say       exit 21
//   patched     all seven claims hold                                   exit 0
//   verified    claims 1 to 4 hold; asked for by --release-only         exit 0
//
// Every finding that is not "fine" has a stable reason code. Whether a code refutes
// or merely leaves something unproven is decided by the one table below, so that text,
// JSON and exit status cannot disagree. A code that the table does not know refutes:
// a parser that says no must never be read as "nothing wrong found".

import type { JudgedReceipt } from "./anchoring";
import { isRefusal, type Refusal } from "./refusal";
import type { StardustProof } from "./stardust/proof";

export type Word = "refuted" | "recalled" | "vulnerable" | "unproven" | "patched" | "verified";

const WORST_FIRST: readonly Word[] = ["refuted", "recalled", "vulnerable", "unproven", "patched", "verified"];

export const EXIT_STATUS: Readonly<Record<Word, number>> = {
  verified: 0,
  patched: 0,
  refuted: 20,
  unproven: 21,
  vulnerable: 22,
  recalled: 23,
};

/** Codes that say "can't tell" instead of "wrong": something is missing, old, or not known to the policy. */
const UNPROVEN: ReadonlySet<string> = new Set([
  "advisory-missing",
  "advisory-under-investigation",
  "approvals-missing",
  "bcs-unsupported",
  "challenge-missing",
  "challenge-not-anchored",
  "commitment-not-logged",
  "component-not-measured",
  "component-unnamed",
  "context-missing",
  "cose-unsupported-algorithm",
  "cose-unsupported-critical",
  "cosignature-from-future",
  "cosignature-missing",
  "countersignature-missing",
  "device-key-revoked",
  "enrolment-after-t",
  "enrolment-missing",
  "epoch-before-root",
  "epoch-missing",
  "evidence-after-t",
  "evidence-missing",
  "evidence-stale",
  "evidence-unsupported-profile",
  "evidence-unsupported-type",
  "foreign-sender",
  "image-not-confirmed",
  "image-required",
  "key-early",
  "key-replaced",
  "ledger-not-public",
  "ledger-not-trusted",
  "log-distrusted",
  "no-approval-rule",
  "no-ledger",
  "no-max-age",
  "no-renewals",
  "no-vendor",
  "not-anchored",
  "quorum-missing",
  "receipt-from-future",
  "revocation-missing",
  "role-missing",
  "rotation-conflict",
  "rotation-key-reuse",
  "rotation-missing",
  "rotation-unknown-key",
  "stardust-unsupported",
  "status-after-t",
  "status-before-release",
  "status-from-future",
  "status-missing",
  "status-stale",
  "suit-unsupported",
  "surplus-signature",
  "too-large",
  "transaction-failed",
  "unknown-cosigner",
  "unknown-log",
  "unknown-signer",
  "unknown-vendor-key",
  "unsigned",
  "unsupported-algorithm",
  "unsupported-receipt",
  "unsupported-statement",
  "unsupported-structure",
  "unsupported-version",
  "untrusted-signature",
  "walk-missing",
]);

const RECALLED: ReadonlySet<string> = new Set(["advisory-recall", "release-withdrawn"]);
const VULNERABLE: ReadonlySet<string> = new Set(["advisory-in-force"]);

/** What a reason code means for the verdict. Unknown codes refute. */
export function wordOf(code: string): Word {
  if (RECALLED.has(code)) return "recalled";
  if (VULNERABLE.has(code)) return "vulnerable";
  return UNPROVEN.has(code) ? "unproven" : "refuted";
}

export function worst(words: readonly Word[]): Word {
  for (const word of WORST_FIRST) if (words.includes(word)) return word;
  return "unproven";
}

/** The seven claims of DESIGN.md, by the name that each printed line starts with. */
export type Claim =
  | "renewal"
  | "bundle"
  | "keys"
  | "release"
  | "countersign"
  | "image"
  | "log"
  | "ledger"
  | "advisories"
  | "enrolment"
  | "evidence"
  | "measured";

/** One line of the argument: what was established, or why it was not. */
export interface Step {
  readonly claim: Claim;
  readonly holds: boolean;
  /** One line for a person. */
  readonly text: string;
  /** The rule applied and the bytes it was applied to, for --explain. */
  readonly explain: readonly string[];
}

export interface Reason {
  readonly claim: Claim;
  /** Which device it is about, by the label of its result; null when it is about the release. */
  readonly device: string | null;
  readonly code: string;
  readonly word: Word;
  readonly message: string;
  readonly hint?: string;
}

/** What one device's evidence showed. Times are Unix seconds, null when nothing proves them. */
export interface DeviceResult {
  /** Its key id, or its place in the bundle when no key could be told. Reasons about it carry the same. */
  readonly label: string;
  readonly kid: string;
  readonly serial: string | null;
  readonly ueid: string | null;
  readonly nonce: Uint8Array | null;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  /** Who tied the key to the device, and when a ledger first had the commitment to that. */
  readonly enroller: string | null;
  readonly enrolled: number | null;
  readonly components: readonly {
    name: string;
    digest: string;
    regionLength: number;
    keyedDigestChecked: boolean;
  }[];
  readonly dbgstat: number | null;
}

/** What a reader should know beside the verdict; none of them changes its word. */
export type FlagCode = "END_OF_SUPPORT" | "DEBUG_OPEN" | "NOT_LATEST" | "OVERDUE";

export interface Flag {
  readonly code: FlagCode;
  /** The label of the device it is about; null when it is about the release. */
  readonly device: string | null;
  readonly message: string;
}

/** An advisory in force that affects the release, or may: it is here even where the policy allows under investigation. */
export interface AdvisoryResult {
  readonly id: string;
  readonly revision: number;
  readonly aliases: readonly string[];
  readonly kind: "security" | "recall" | "field-safety-notice";
  readonly effect: "affected" | "under_investigation";
  /** CVSS vectors. */
  readonly cvss: readonly string[];
  readonly class: "regular" | "out-of-cycle" | null;
  /** By when it was to be mended, and whether T is later. */
  readonly deadline: string | null;
  readonly overdue: boolean;
  /** The nearest later version that mends it; null when there is none. */
  readonly fixIn: string | null;
  /** When the maker wrote it, and when a ledger first had it. */
  readonly created: string;
  readonly recorded: number | null;
}

/** A ledger's receipt for a checkpoint, and what it proved; null when it proved nothing. */
export interface AnchorResult {
  readonly size: bigint;
  readonly kind: string;
  readonly time: number | null;
  readonly rebased: JudgedReceipt | null;
  readonly stardust: StardustProof | null;
}

/** A renewal that holds, and what its maker said of the bundle then. */
export interface RenewalResult {
  /** When a ledger recorded it, Unix seconds. */
  readonly time: number;
  /** The kinds of ledger that recorded it. */
  readonly ledgers: readonly string[];
  readonly by: string;
  readonly log: string;
  readonly index: bigint;
  readonly verdict: Word;
  /** SHA-256 of the policy, hex; and the moment that was asked about. */
  readonly policy: string;
  readonly at: string;
}

/** A countersignature by a key that the policy names, and that verifies. */
export interface CountersignatureResult {
  readonly of: "release" | "bundle";
  /** As the policy calls the key. */
  readonly by: string;
  readonly algorithm: string;
  readonly keyid: string;
}

export interface Verdict {
  readonly word: Word;
  readonly at: number;
  readonly releaseOnly: boolean;
  readonly product: string | null;
  readonly version: string | null;
  readonly policyDigest: string;
  /** The status statement quoted: the log size it speaks for, and when it was anchored. */
  readonly asOf: { readonly logSize: number; readonly time: number | null } | null;
  readonly timeSource: "self-asserted" | "coordinator" | "validators" | null;
  /** Every receipt of the bundle, in order of its checkpoints. */
  readonly anchors: readonly AnchorResult[];
  readonly steps: readonly Step[];
  readonly reasons: readonly Reason[];
  /** Advisories that count against the release, ascending by their place in the log. */
  readonly advisories: readonly AdvisoryResult[];
  readonly flags: readonly Flag[];
  readonly notes: readonly string[];
  readonly limits: readonly string[];
  readonly devices: readonly DeviceResult[];
  /** Newest first; absent where the bundle was never renewed. */
  readonly renewals?: readonly RenewalResult[];
  /** In the file's order; absent where none counts. */
  readonly countersignatures?: readonly CountersignatureResult[];
}

/** Collects what each claim showed; the verdict is the worst of it. */
export class Findings {
  readonly steps: Step[] = [];
  readonly reasons: Reason[] = [];
  readonly notes: string[] = [];
  readonly flags: Flag[] = [];
  /** Set while a device is gone over: its reasons are told apart from the release's. */
  device: string | null = null;

  /** `isTold`: somebody will read the steps. Of a fleet's devices nobody does: only reasons and flags are kept of them. */
  constructor(private readonly isTold = true) {}

  established(claim: Claim, text: string, explain: readonly string[] = []): void {
    this.establishedAs(claim, () => ({ text, explain }));
  }

  /** The same, with words that are only made where somebody will read them. */
  establishedAs(claim: Claim, words: () => Pick<Step, "text" | "explain">): void {
    if (this.isTold) this.steps.push({ claim, holds: true, ...words() });
  }

  /** Records why a claim does not hold; the argument goes on. */
  failed(claim: Claim, code: string, message: string, hint?: string): void {
    const word = wordOf(code);
    if (this.isTold) this.steps.push({ claim, holds: false, text: `${message} [${code}]`, explain: [] });
    this.reasons.push({
      claim,
      device: this.device,
      code,
      word,
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  /** Something a reader must know that does not change the verdict. */
  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }

  /** The same, with a stable code. */
  flag(code: FlagCode, message: string): void {
    this.flags.push({ code, device: this.device, message });
  }

  /** Runs one claim; a Refusal ends that claim. Returns null then. Anything else is a bug and passes through. */
  attempt<T>(claim: Claim, check: () => T): T | null {
    try {
      return check();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const refusal = error as Refusal;
      this.failed(claim, refusal.code, refusal.message, refusal.hint);
      return null;
    }
  }
}
