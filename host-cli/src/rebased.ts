// What judges receipts of IOTA's ledger, loaded when the first one is met: the build keeps it in a file of its own
// (scripts/build.mjs), since elliptic curves take longer to load than most commands run.
//
// What one run proved may be kept, so that the next walks no epoch twice. A line is a root of some policy, and a
// committee proved from it; it counts only under a policy that names that root:
//
//   mainnet@514:0b1f… mainnet@600:77aa…
//
// Whoever can write the file can have a committee believed: keep it where the policy is kept.

import { existsSync } from "node:fs";
import type { OpenRebased } from "@vouch/shared/anchoring";
import { utf8Decode } from "@vouch/shared/bytes";
import type { RebasedVerifier } from "@vouch/shared/rebased/judge";
import { formatRoot, parseRoot } from "@vouch/shared/rebased/root";
import { quote, Refusal } from "@vouch/shared/refusal";
import { about } from "./exit";
import { readInput } from "./readfiles";
import { writeWhole } from "./writefiles";

type Judge = typeof import("@vouch/shared/rebased/judge");
type Known = ReturnType<RebasedVerifier["proved"]>[number];

/** The modules that need the curves. */
export const loadJudge = (): Judge => require("@vouch/shared/rebased/judge") as Judge;

const MAX_STATE = 16 * 1024 * 1024;

/** Refuses `malformed-state`, and what reading the file does. A file that isn't there yet is empty. */
function readState(path: string): Known[] {
  if (!existsSync(path)) return [];
  return about(path, () => {
    const text = utf8Decode(readInput(path, MAX_STATE));
    if (text === null || (text !== "" && !text.endsWith("\n")))
      throw new Refusal("malformed-state", "found something else than lines of text");
    return text.split("\n").slice(0, -1).map(readLine);
  });
}

function readLine(line: string): Known {
  const [from, proved, ...rest] = line.split(" ");
  if (proved === undefined || rest.length > 0)
    throw new Refusal("malformed-state", `line is ${quote(line)}, expected two roots`);
  return { from: parseRoot(from!), proved: parseRoot(proved) };
}

const lineOf = ({ from, proved }: Known) => `${formatRoot(from)} ${formatRoot(proved)}\n`;

export interface RebasedOnDemand {
  readonly open: OpenRebased;
  /** Keeps what was proved, if there is a file for it and anything new. */
  keep(): void;
}

/** `statePath`: where what was proved is kept; null for nowhere. */
export function rebasedOnDemand(statePath: string | null): RebasedOnDemand {
  const known = statePath === null ? [] : readState(statePath);
  let verifier: RebasedVerifier | undefined;
  return {
    open(walk, roots, crypto) {
      verifier ??= loadJudge().makeRebasedVerifier(known);
      return verifier.open(walk, roots, crypto);
    },
    keep() {
      if (statePath === null || verifier === undefined) return;
      const before = new Set(known.map(lineOf));
      const lines = new Set([...before, ...verifier.proved().map(lineOf)]);
      if (lines.size > before.size) writeWhole(statePath, [...lines].join(""));
    },
  };
}
