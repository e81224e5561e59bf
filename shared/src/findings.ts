// What a monitor may find, by stable code: how bad it is, and what it means. Spec: spec/monitor.md.
//
//   fraud     the log contradicts itself, and a file proves it        exit 20
//   wrong     something says what it must not                         exit 20
//   unsure    can't be judged by this policy, or a person must look   exit 21
//   trouble   couldn't look: the log or a file can't be read          exit 1
//   news      as it should be, and worth knowing                      exit 0
//
// A refusal met on the way (a log that can't be reached, a tile that doesn't hash) is a finding under its own
// code. One that says wrong for every other command is wrong here too.

import { wordOf } from "./verdict";

export type Level = "fraud" | "wrong" | "unsure" | "trouble" | "news";

/** Worst first. */
export const LEVELS: readonly Level[] = ["fraud", "wrong", "unsure", "trouble", "news"];

export const LEVEL_STATUS: Readonly<Record<Level, number>> = {
  fraud: 20,
  wrong: 20,
  unsure: 21,
  trouble: 1,
  news: 0,
};

/** Codes that only a monitor has. Those it shares with other commands are judged as there (levelOf). */
export const FINDINGS = {
  // the log itself
  "log-forked": "fraud",
  "log-inconsistent": "wrong",
  "checkpoint-shrunk": "unsure",
  "checkpoint-stale": "unsure",
  "log-behind": "unsure",
  "witness-quiet": "unsure",
  "witness-went-back": "wrong",
  // records
  "unknown-record": "unsure",
  "signer-distrusted": "unsure",
  "private-statement": "wrong",
  "foreign-release": "wrong",
  "unmade-release": "wrong",
  "unmade-statement": "wrong",
  "version-reused": "wrong",
  "security-version-down": "unsure",
  "advisory-idle": "unsure",
  "status-drops-advisory": "wrong",
  "status-drops-withdrawal": "wrong",
  "status-drops-revocation": "wrong",
  "status-misquotes": "wrong",
  "closing-misplaced": "wrong",
  "record-after-closing": "wrong",
  // as it should be
  release: "news",
  advisory: "news",
  recall: "news",
  "advisory-updated": "news",
  "advisory-narrowed": "news",
  "advisory-withdrawn": "news",
  "advisory-dropped": "news",
  "release-withdrawn": "news",
  "withdrawal-lifted": "news",
  "key-changed": "news",
  "device-key-revocation": "news",
  "log-closing": "news",
  "fleet-commitment": "news",
  over: "news",
  retired: "news",
} as const satisfies Record<string, Level>;

export function levelOf(code: string): Level {
  if (Object.hasOwn(FINDINGS, code)) return FINDINGS[code as keyof typeof FINDINGS];
  return wordOf(code) === "unproven" ? "unsure" : "wrong";
}
