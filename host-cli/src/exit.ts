// Outcome to exit status, and error to the lines a person reads.
//
//    0  done, verified, patched
//    1  trouble: usage, I/O, device or ledger unreachable, a crash
//   20  refuted: a signature, digest, nonce or proof is wrong
//   21  unproven: missing, pending, stale or unknown: can't say
//   22  vulnerable: an advisory in force affects it
//   23  recalled
//
// Verdicts start at 20 because Node itself exits 1 to 13 when things break:
// no accident looks like a verdict. A Refusal is trouble unless its code is in
// REFUTED_CODES or UNPROVEN_CODES below. Those are plain tables, not
// registries: each command is a bundle of its own and main is another, so a
// code added at run time in one would be unknown in the other.
//
//   vouch: pump.vouch.json: image hashes to 9f2c66…, manifest says 41d0aa… [image-mismatch]
//   vouch: hint: the bundle may be for another release

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { STREAM_REASONS } from "@vouch/shared/streamreasons";

export const EXIT = { done: 0, trouble: 1, refuted: 20, unproven: 21, vulnerable: 22, recalled: 23 } as const;

/** Refusals that say a signature, digest, nonce, proof or image is wrong, whichever command met them. */
export const REFUTED_CODES: ReadonlySet<string> = new Set<string>([
  "anchor-conflict",
  "bad-signature",
  "bundle-refuted",
  "bcs-malformed",
  "block-malformed",
  "block-not-included",
  "certificate-bitmap",
  "certificate-epoch",
  "certificate-quorum",
  "certificate-signature",
  "commitment-mismatch",
  "committee-malformed",
  "consistency-mismatch",
  "contents-mismatch",
  "effects-mismatch",
  "empty-root",
  "enrol-other-key",
  "evidence-bad-signature",
  "evidence-other-key",
  "grant-box",
  "image-bad-signature",
  "image-malformed",
  "image-mismatch",
  "image-too-large",
  "image-truncated",
  "image-unknown-signer",
  "image-unsigned",
  "inclusion-mismatch",
  "log-damaged",
  "log-forked",
  "malformed-receipt",
  "malformed-walk",
  "manifest-contradicts-release",
  "manifest-mismatch",
  "milestone-malformed",
  "milestone-signature",
  "milestone-signer-repeated",
  "milestone-signer-unknown",
  "milestone-signers-unsorted",
  "milestone-threshold",
  "nonce-mismatch",
  "not-closing",
  "note-mismatch",
  "other-commitment",
  "receipt-not-canonical",
  "receipt-signatures",
  "rolled-back",
  "rotation-other-log",
  "rotation-overreach",
  "salt-mismatch",
  "same-size-other-root",
  "sbom-image-mismatch",
  "sender-signature",
  "signature-length",
  "signature-range",
  "status-other-log",
  "status-overreach",
  "status-root-mismatch",
  "stream-refuted",
  "suit-class-mismatch",
  "suit-digest-mismatch",
  "suit-image-mismatch",
  "suit-image-size",
  "suit-malformed",
  "suit-revision-mismatch",
  "suit-rollback",
  "suit-too-large",
  "suit-unsigned",
  "suit-upload",
  "suit-vendor-mismatch",
  "suit-wrong-signer",
  "transaction-missing",
  "ueid-mismatch",
  "vendor-key-mismatch",
  "verify-mismatch",
  "wrong-model",
  "wrong-revision",
  "wrong-vendor-key",
]);

/** Refusals that say something needed for an answer is missing, pending, stale or unknown. */
export const UNPROVEN_CODES: ReadonlySet<string> = new Set<string>([
  "approvals-missing",
  "bcs-unsupported",
  "commitment-not-logged",
  "cose-unsupported-algorithm",
  "epoch-before-root",
  "epoch-missing",
  "foreign-sender",
  "key-early",
  "key-replaced",
  "ledger-not-trusted",
  "log-distrusted",
  "not-anchored",
  "role-missing",
  "stardust-unsupported",
  "status-before-release",
  "status-missing",
  "transaction-failed",
  "unknown-log",
  "unknown-signer",
  "untrusted-signature",
  "walk-missing",
]);

const streamReason = (code: string) =>
  Object.hasOwn(STREAM_REASONS, code) ? STREAM_REASONS[code as keyof typeof STREAM_REASONS] : undefined;

export function statusOf(error: unknown): number {
  if (!isRefusal(error)) return EXIT.trouble;
  const ofStream = /^(v?stream|coincidence)-/.test(error.code) ? streamReason(error.code) : undefined;
  if (REFUTED_CODES.has(error.code) || ofStream === "refuted") return EXIT.refuted;
  if (ofStream === "unproven") return EXIT.unproven;
  return UNPROVEN_CODES.has(error.code) ? EXIT.unproven : EXIT.trouble;
}

/** A mistake in how the command was called: status 1, code `usage`. */
export function usage(message: string, hint?: string): Refusal {
  return new Refusal("usage", message, hint === undefined ? {} : { hint });
}

// A symbol from the registry, for the same reason as above: the bundle that sets it isn't the one that reads it.
const SUBJECT = Symbol.for("vouch.subject");

/** Runs `work`; an error out of it says it was about `subject` (a file, a port). The innermost subject wins. */
export function about<T>(subject: string, work: () => T): T {
  try {
    const result = work();
    return result instanceof Promise ? (result.catch((e) => rethrow(subject, e)) as T) : result;
  } catch (error) {
    return rethrow(subject, error);
  }
}

/** What an error is about, as far as anything said so. */
export const subjectOf = (error: unknown): string | null =>
  error instanceof Error && SUBJECT in error ? String(error[SUBJECT]) : null;

function rethrow(subject: string, error: unknown): never {
  if (error instanceof Error && !(SUBJECT in error)) {
    Object.defineProperty(error, SUBJECT, { value: subject, configurable: true });
  }
  throw error;
}

/** The lines for stderr, without the last newline. Safe for a terminal whatever the error quotes. */
export function describe(error: unknown, debug: boolean): string {
  const parts: unknown[] = ["vouch"];
  if (error instanceof Error && SUBJECT in error) parts.push(error[SUBJECT]);
  const lines: string[] = [];
  if (isRefusal(error)) {
    lines.push(`${[...parts, error.message].join(": ")} [${error.code}]`);
    if (error.hint !== undefined) lines.push(`vouch: hint: ${error.hint}`);
  } else if (isSystemError(error)) {
    lines.push(`${[...parts, error.message].join(": ")} [${error.code.toLowerCase()}]`);
  } else {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    lines.push(`${[...parts, "a bug in vouch", text].join(": ")} [internal]`);
    if (!debug) lines.push("vouch: hint: --debug shows where");
  }
  const safe = lines.map(printable);
  if (debug && error instanceof Error) safe.push(...stackOf(error));
  return safe.join("\n");
}

/** Text with every control and direction character escaped, so that it can't move a terminal's cursor. */
export function printable(text: string): string {
  if (/^[ -~\u2026]*$/.test(text)) return text; // most of it; the properties below are slow to make a regex of
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

interface SystemError extends Error {
  code: string;
}

/** Node's own errors about files, pipes and sockets carry an errno name: trouble, not a bug. */
function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

function stackOf(error: Error): string[] {
  const lines = (error.stack ?? "").split("\n").map(printable);
  return error.cause instanceof Error ? [...lines, "caused by", ...stackOf(error.cause)] : lines;
}
