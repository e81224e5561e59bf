// Fleets for tests: the one that `vouch demo --fleet` makes, once; and what tests read of an audit.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditLine, type AuditRecord, type AuditSummary, parseAuditLine } from "@vouch/shared/auditline";
import { utf8Encode } from "@vouch/shared/bytes";
import { makeDemoFleet } from "../src/commands/demo-fleet";

export interface DemoFleet {
  readonly folder: string;
  /** When it was made, Unix seconds, and over by now: an audit at that moment is one of the past. */
  readonly now: number;
  remove(): void;
}

const seconds = () => Math.floor(Date.now() / 1000);

export async function demoFleet(): Promise<DemoFleet> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-fleet-"));
  const now = seconds();
  await makeDemoFleet(join(folder, "pumps"), now);
  while (seconds() === now) await new Promise((later) => setTimeout(later, 20));
  return { folder, now, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The lines of --json. */
export const linesOf = (stdout: string): AuditLine[] =>
  stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => parseAuditLine(utf8Encode(line)));

export const recordsOf = (stdout: string): AuditRecord[] =>
  linesOf(stdout).flatMap((line) => (line.kind === "record" ? [line] : []));

export function summaryOf(stdout: string): AuditSummary {
  const last = linesOf(stdout).at(-1);
  if (last?.kind !== "summary") throw new Error("the last line is no summary");
  return last;
}
