// The part of watch.ts about advisories, and the statuses that list them.
//
// A status key may add; taking away takes the approvers. So whatever disappears is told: as wrong when a status key
// did it, as news when the approvers did.

import { quote } from "./refusal";
import type { AdvisoryStatement, StatusStatement } from "./statement";
import type { Watched } from "./watch";
import type { KnownAdvisory } from "./watchmemory";

export function judgeAdvisory(w: Watched, statement: AdvisoryStatement, byApprovers: boolean): void {
  const { id, product, advisoryKind, summary } = statement;
  const about = { product, id };
  const earlier = w.memory.advisories(product).filter((a) => a.statement.id === id);
  const last = earlier[earlier.length - 1];
  w.memory.keepAdvisory({ index: w.index, sha256: w.sha256, byApprovers, statement });
  const what = `advisory ${id} for ${product}: ${quote(summary)}`;
  if (last === undefined) {
    const code = advisoryKind === "recall" ? "recall" : "advisory";
    w.find({ code, message: `${code === "recall" ? "recall, " : ""}${what}`, ...about });
  } else if (affectsNoLess(statement, last.statement)) {
    w.find({ code: "advisory-updated", message: `a later text of ${what}`, ...about });
  } else {
    const message = `record ${w.index} says less than record ${last.index} of ${what}`;
    w.find({ code: "advisory-narrowed", message, ...about });
  }
}

export function judgeStatus(w: Watched, statement: StatusStatement, byApprovers: boolean): void {
  const { product } = statement;
  if (!speaksForThisLog(w, statement)) return;
  const before = w.memory.status(product);
  checkQuotes(w, statement);
  checkOmissions(w, statement, byApprovers);
  if (before !== null && statement.logSize < before.logSize) return; // overtaken before it was logged
  checkWithdrawn(w, statement, before?.withdrawn ?? [], byApprovers);
  const withdrawn = statement.withdrawn.map(({ sha256 }) => sha256);
  // What a status key may not lift stays withdrawn for the next one.
  const kept = byApprovers ? [] : (before?.withdrawn ?? []).filter((sha256) => !withdrawn.includes(sha256));
  w.memory.keepStatus(product, {
    index: w.index,
    logSize: statement.logSize,
    withdrawn: [...withdrawn, ...kept],
  });
}

function speaksForThisLog(w: Watched, { origin, logSize, rootSha256, product }: StatusStatement): boolean {
  const wrong = (code: string, message: string) => {
    w.find({ code, message, product });
    return false;
  };
  if (origin !== w.policy.log.name)
    return wrong("status-other-log", `the status for ${product} speaks for ${quote(origin)}`);
  if (BigInt(logSize) > w.index) {
    const found = `the status for ${product} speaks for log size ${logSize}, it is record ${w.index}`;
    return wrong("status-overreach", found);
  }
  const root = w.rootAt(BigInt(logSize));
  if (root === rootSha256) return true;
  const found = `the status for ${product} speaks for the root ${rootSha256} at size ${logSize}, this log's is ${root}`;
  return wrong("status-root-mismatch", found);
}

/** Each advisory it lists is the record that it says. */
function checkQuotes(w: Watched, { product, advisories }: StatusStatement): void {
  const known = w.memory.advisories(product);
  for (const { id, index, sha256 } of advisories) {
    const record = known.find((a) => a.index === BigInt(index));
    if (record?.sha256 === sha256 && record.statement.id === id) continue;
    const message = `the status for ${product} lists ${quote(id)} as record ${index}, which isn't that advisory`;
    w.find({ code: "status-misquotes", message, product, id });
  }
}

/** Every advisory that was in force when it was made is listed. */
function checkOmissions(w: Watched, statement: StatusStatement, byApprovers: boolean): void {
  const { product, logSize, advisories } = statement;
  const known = w.memory.advisories(product).filter(({ index }) => index < BigInt(logSize));
  for (const { sha256, statement: advisory, index } of inForce(known)) {
    if (advisories.some(({ id }) => id === advisory.id) || w.memory.isDropped(sha256)) continue;
    const about = { product, id: advisory.id };
    const what = `advisory ${quote(advisory.id)} of record ${index}`;
    if (byApprovers) {
      w.memory.drop(sha256);
      const message = `the approvers left ${what} out of the status for ${product}`;
      w.find({ code: "advisory-withdrawn", message, ...about });
    } else {
      const message = `the status for ${product} of log size ${logSize} leaves out ${what}, which is in force`;
      w.find({ code: "status-drops-advisory", message, ...about });
    }
  }
}

function checkWithdrawn(
  w: Watched,
  { product, withdrawn }: StatusStatement,
  before: readonly string[],
  byApprovers: boolean,
): void {
  for (const { sha256, reason } of withdrawn) {
    if (before.includes(sha256)) continue;
    const message = `${product}: the release with image ${sha256} is withdrawn: ${quote(reason)}`;
    w.find({ code: "release-withdrawn", message, product });
  }
  for (const sha256 of before) {
    if (withdrawn.some((one) => one.sha256 === sha256)) continue;
    const code = byApprovers ? "withdrawal-lifted" : "status-drops-withdrawal";
    const who = byApprovers ? "the approvers no longer withdraw" : "a status key alone no longer withdraws";
    w.find({ code, message: `${product}: ${who} the release with image ${sha256}`, product });
  }
}

/** Of each id the newest that affects at least what the earlier ones did. */
function inForce(advisories: readonly KnownAdvisory[]): KnownAdvisory[] {
  const byId = new Map<string, KnownAdvisory>();
  for (const advisory of advisories) {
    const known = byId.get(advisory.statement.id);
    if (known === undefined || affectsNoLess(advisory.statement, known.statement))
      byId.set(advisory.statement.id, advisory);
  }
  return [...byId.values()];
}

const SEVERITY: Record<AdvisoryStatement["advisoryKind"], number> = {
  security: 0,
  "field-safety-notice": 0,
  recall: 1,
};

function affectsNoLess(later: AdvisoryStatement, earlier: AdvisoryStatement): boolean {
  return (
    (later.state === "affected" || earlier.state === "under_investigation") &&
    SEVERITY[later.advisoryKind] >= SEVERITY[earlier.advisoryKind] &&
    earlier.subjects.every((a) => later.subjects.some((b) => b.sha256 === a.sha256))
  );
}
