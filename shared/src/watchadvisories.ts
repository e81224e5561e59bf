// The part of watch.ts about advisories, and the statuses that list them.
//
// A status key may add; taking away takes the approvers (advisories.ts). So whatever is less than before is told: as
// news when the approvers signed it, and otherwise as wrong where it is a lie, or idle where it changes nothing.

import { type AdvisoryRecord, affectsNoLess, standings } from "./advisories";
import { quote } from "./refusal";
import type { AdvisoryStatement, AdvisoryWithdrawal, StatusStatement } from "./statement";
import type { Watched } from "./watch";
import { checkRevoked } from "./watchkeys";

const isOf =
  (id: string) =>
  ({ statement }: AdvisoryRecord) =>
    statement.id === id;

const inForce = (records: readonly AdvisoryRecord[]) =>
  standings(records).flatMap(({ record, standing }) => (standing.kind === "in-force" ? [record] : []));

export function judgeAdvisory(w: Watched, statement: AdvisoryStatement, byApprovers: boolean): void {
  const { id, product, advisoryKind, summary } = statement;
  const about = { product, id };
  const before = inForce(w.memory.advisories(product)).filter(isOf(id));
  w.memory.keepAdvisory({ index: w.index, sha256: w.sha256, mayTakeBack: byApprovers, statement });
  const what = `advisory ${id} for ${product}: ${quote(summary)}`;
  if (before.length === 0) {
    const code = advisoryKind === "recall" ? "recall" : "advisory";
    w.find({ code, message: `${code === "recall" ? "recall, " : ""}${what}`, ...about });
    return;
  }
  const less = before.find((earlier) => !affectsNoLess(statement, earlier.statement));
  if (less === undefined) {
    w.find({ code: "advisory-updated", message: `a later text of ${what}`, ...about });
    return;
  }
  const still = inForce(w.memory.advisories(product)).some(({ sha256 }) => sha256 === less.sha256);
  const message = `says less than record ${less.index} does of ${what}`;
  if (still) w.find({ code: "advisory-idle", message: `${message}; that stays in force`, ...about });
  else w.find({ code: "advisory-narrowed", message: `${message}; the approvers signed it`, ...about });
}

export function judgeWithdrawal(w: Watched, statement: AdvisoryWithdrawal, byApprovers: boolean): void {
  const { id, product, reason } = statement;
  const about = { product, id };
  const before = inForce(w.memory.advisories(product)).filter(isOf(id));
  w.memory.keepAdvisory({ index: w.index, sha256: w.sha256, mayTakeBack: byApprovers, statement });
  const after = inForce(w.memory.advisories(product));
  const gone = before.filter(({ sha256 }) => !after.some((record) => record.sha256 === sha256));
  for (const { index } of gone) {
    const message = `the approvers withdraw advisory ${id} for ${product}, record ${index}: ${quote(reason)}`;
    w.find({ code: "advisory-withdrawn", message, ...about });
  }
  if (gone.length > 0) return;
  const why = byApprovers ? "it names none that is in force" : "a status key alone can't";
  const message = `a withdrawal of advisory ${id} for ${product} changes nothing: ${why}`;
  w.find({ code: "advisory-idle", message, ...about });
}

export function judgeStatus(w: Watched, statement: StatusStatement, byApprovers: boolean): void {
  const { product } = statement;
  if (!speaksForThisLog(w, statement)) return;
  const before = w.memory.status(product);
  checkQuotes(w, statement);
  checkOmissions(w, statement, byApprovers);
  checkRevoked(w, statement);
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
    if (record?.sha256 === sha256 && record.statement.id === id && record.statement.kind === "advisory")
      continue;
    const message = `the status for ${product} lists ${quote(id)} as record ${index}, which isn't that advisory`;
    w.find({ code: "status-misquotes", message, product, id });
  }
}

/** Every advisory that was in force when it was made is listed, or one of its id that says no less. */
function checkOmissions(w: Watched, statement: StatusStatement, byApprovers: boolean): void {
  const { product, logSize, advisories } = statement;
  const known = w.memory.advisories(product).filter(({ index }) => index < BigInt(logSize));
  const listed = known.flatMap(({ sha256, statement: one }) =>
    one.kind === "advisory" && advisories.some((each) => each.sha256 === sha256) ? [one] : [],
  );
  for (const { sha256, statement: advisory, index } of inForce(known)) {
    // By its id alone, an update that is idle would stand for what it can't take away.
    const says = (one: AdvisoryStatement) => one.id === advisory.id && affectsNoLess(one, advisory);
    if (listed.some(says) || w.memory.isDropped(sha256)) continue;
    const about = { product, id: advisory.id };
    const what = `advisory ${quote(advisory.id)} of record ${index}`;
    if (byApprovers) {
      w.memory.drop(sha256);
      const message = `the approvers leave ${what} out of the status for ${product}`;
      w.find({ code: "advisory-dropped", message, ...about });
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
