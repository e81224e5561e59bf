// What to do about a reason, where whoever found it knew no better: one line for each
// code that somebody meets by a mistake and not by an attack. README.md's table "What a
// refusal means" has the same in more words.
//
// These are shown with verdicts only (verify, audit, stream verify): a Refusal of another
// verb says its next step itself, since it knows what was asked for.

const STEPS: Readonly<Record<string, string>> = {
  "challenge-not-anchored": "`vouch anchor`, then `vouch bundle` again",
  "context-missing": "name the releases' .vouch.json files, too, or the folder that holds them",
  "enrolment-missing":
    "ask the device's owner for its .enrolment; --release-only asks about the release alone",
  "evidence-after-t": "leave --at out to ask about now",
  "evidence-stale": "attest the device again; --at TIME asks about a moment that is past",
  "image-not-confirmed": "flash it again, which confirms it, and attest again",
  "measurement-mismatch":
    "is this evidence from before an update? flash and attest again; if it stays so, take it out of use",
  "nonce-mismatch": "are .eat and .challenge of one attest? attest again; twice is a finding",
  "not-anchored": "`vouch anchor`, then `vouch bundle` again",
  "status-after-t": "leave --at out to ask about now; about the past, a bundle of that time answers",
  "status-stale":
    "`vouch status new`, log and anchor it, then `vouch bundle` again; --at TIME asks about the past",
  "stream-unread": "the owner grants readings: `vouch stream grant`; --grant FILE goes with --reader-key",
  "unknown-log": "is it the policy for this maker? `vouch policy check` shows whom it trusts",
  "unknown-signer": "is it the policy for this maker? `vouch policy check` shows whom it trusts",
};

/** What helps, as a rule; undefined where that depends. */
export const nextStep = (code: string): string | undefined =>
  Object.hasOwn(STEPS, code) ? STEPS[code] : undefined;
