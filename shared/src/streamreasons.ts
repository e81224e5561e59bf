// What may be wrong with a stream, each with a code of its own, and what it means for the verdict.
//
//   refuted    the recording isn't what the device sent, or the device isn't what was enrolled
//   unproven   something is missing, so that no answer is possible
//   note       worth knowing; the readings that are evidence stay evidence
//
// spec/stream.md has the table for people; a test compares the two.

export type StreamWord = "refuted" | "unproven" | "note";

export const STREAM_REASONS = {
  // the recording, item by item
  "vstream-damaged": "refuted",
  "coincidence-malformed": "refuted",
  "stream-torn": "unproven",
  "stream-empty": "unproven",
  "stream-malformed": "refuted",
  "unsupported-version": "unproven",
  // whose it is
  "stream-unannounced": "refuted",
  "stream-id": "refuted",
  "stream-other": "refuted",
  "stream-parent": "refuted",
  "stream-superseded": "refuted",
  "stream-wrong-signer": "refuted",
  "stream-signature": "refuted",
  "stream-enrolment": "unproven",
  // order
  "stream-link": "refuted",
  "stream-gap": "refuted",
  "stream-reordered": "refuted",
  "stream-repeated": "refuted",
  "stream-fork": "refuted",
  "stream-nonce-reuse": "refuted",
  "stream-rollback": "refuted",
  "stream-truncated": "refuted",
  "stream-after-close": "refuted",
  // epochs and keys
  "stream-epoch": "refuted",
  "stream-epoch-reuse": "refuted",
  "stream-epoch-long": "refuted",
  "stream-epoch-skipped": "note",
  "stream-mask": "refuted",
  "stream-mac": "refuted",
  "stream-unbound": "refuted",
  "stream-keyload-order": "refuted",
  "stream-keyload-box": "refuted",
  "stream-keyload-key": "refuted",
  "stream-grant-key": "unproven",
  "stream-not-reader": "note",
  "stream-unread": "unproven",
  // boots and time
  "stream-boot": "refuted",
  "stream-boot-change": "note",
  "stream-resume-link": "refuted",
  "stream-evidence-boot": "refuted",
  "stream-evidence-missing": "unproven",
  "stream-release-missing": "unproven",
  "stream-clock-jump": "unproven",
  "stream-clock-back": "unproven",
  "stream-tick-wrap": "unproven",
  // the end
  "stream-unsigned-tail": "note",
  "stream-hanging": "note",
  "stream-stale": "unproven",
  "stream-open": "unproven",
  "stream-cut": "unproven",
  "stream-anchor": "unproven",
  // coincidences
  "stream-coincidence": "refuted",
  "stream-recorder": "note",
} as const satisfies Record<string, StreamWord>;

export type StreamCode = keyof typeof STREAM_REASONS;

/** What was found, and where. */
export interface StreamFinding {
  code: StreamCode;
  word: StreamWord;
  message: string;
  /** The frame it is about; null when about all. */
  seq: number | null;
  /** Place in the recording, in bytes; null where it has none. */
  at: number | null;
  /** Two frames for one number: where the other is. Whether both are signed, so that anybody can check. */
  other?: { at: number; isSigned: boolean };
}

/** Refuted when anything is, else unproven when anything is, else verified. */
export function streamWord(findings: Iterable<{ word: StreamWord }>): "verified" | "unproven" | "refuted" {
  let word: "verified" | "unproven" | "refuted" = "verified";
  for (const finding of findings) {
    if (finding.word === "refuted") return "refuted";
    if (finding.word === "unproven") word = "unproven";
  }
  return word;
}
