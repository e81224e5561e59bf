// A checker run over frames, and everything that it told.

import { nodeCrypto } from "../../host-cli/src/crypto";
import {
  type BootNote,
  type CheckOptions,
  type Coincidence,
  type GapNote,
  type ProvedNote,
  type ReadingBlock,
  StreamChecker,
  type StreamSummary,
} from "../src/streamcheck";
import { type StreamFinding, streamWord } from "../src/streamreasons";
import type { CoincidenceStatement } from "../src/vstream";

export type Item = Uint8Array | { coincidence: CoincidenceStatement };

export interface Ran {
  word: "verified" | "unproven" | "refuted";
  codes: string[];
  findings: StreamFinding[];
  blocks: ReadingBlock[];
  gaps: GapNote[];
  boots: BootNote[];
  proved: ProvedNote[];
  coincidences: [Coincidence, boolean][];
  summary: StreamSummary;
}

export function check(items: readonly Item[], options: Partial<CheckOptions> = {}, torn = 0): Ran {
  const ran: Omit<Ran, "word" | "codes" | "summary"> = {
    findings: [],
    blocks: [],
    gaps: [],
    boots: [],
    proved: [],
    coincidences: [],
  };
  const checker = new StreamChecker(
    { crypto: nodeCrypto, ...options },
    {
      finding: (finding) => ran.findings.push(finding),
      block: (block) => ran.blocks.push(block),
      gap: (gap) => ran.gaps.push(gap),
      boot: (boot) => ran.boots.push(boot),
      proved: (note) => ran.proved.push(note),
      coincidence: (c, isChecked) => ran.coincidences.push([c, isChecked]),
    },
  );
  let at = 0;
  for (const item of items) {
    if (item instanceof Uint8Array) checker.frame(item, at);
    else checker.coincidence(item.coincidence, at);
    at += item instanceof Uint8Array ? item.length : 1;
  }
  const summary = checker.end(torn);
  const codes = [...new Set(ran.findings.map(({ code }) => code as string))].sort();
  return { ...ran, summary, codes, word: streamWord(ran.findings) };
}
