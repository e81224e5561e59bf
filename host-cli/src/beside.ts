// Evidence in a file, PUMP.eat, and what `vouch attest` wrote beside it: PUMP.challenge, and PUMP.salt when it was logged.
// A stick that went through other systems brings all three in capitals.

import { existsSync } from "node:fs";

export const isEvidenceName = (name: string): boolean => /\.eat$/i.test(name);

/** Its path; whether it is there, who reads it finds out. */
export function besideEvidence(path: string, kind: "challenge" | "salt"): string {
  const stem = path.replace(/\.eat$/i, "");
  const capital = `${stem}.${kind.toUpperCase()}`;
  return path.endsWith(".EAT") && existsSync(capital) ? capital : `${stem}.${kind}`;
}
