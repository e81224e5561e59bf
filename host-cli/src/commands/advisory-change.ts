// vouch advisory update and withdraw: what the log holds of an advisory, and what is to follow it.

import { affectsNoLess, revisionOf } from "@vouch/shared/advisories";
import { toHex } from "@vouch/shared/bytes";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { AdvisoryStatement, AdvisoryWithdrawal } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { nodeCrypto } from "../crypto";
import { openLog, readStatements } from "../log/store";

export interface Named {
  readonly log: string;
  readonly id: string;
  readonly product: string;
}

/** Every form of the advisory in the log, ascending by index. Refuses `unknown-advisory`. */
function formsOf({ log: folder, id, product }: Named) {
  const log = openLog(folder);
  const forms = readStatements(log).flatMap(({ index, bytes, statement }) =>
    statement.kind === "advisory" && statement.id === id && statement.product === product
      ? { index, statement, sha256: toHex(nodeCrypto.sha256(bytes)) }
      : [],
  );
  if (forms.length > 0) return forms;
  throw new Refusal(
    "unknown-advisory",
    `${log.checkpoint.origin} holds no advisory ${quote(id)} of ${quote(product)}`,
  );
}

export interface Updated {
  readonly statement: AdvisoryStatement;
  /** The record it follows. */
  readonly of: number;
  /** It affects less than some earlier form. */
  readonly narrows: boolean;
}

/**
 * The form with the highest revision, with these members in place of its own, or of all that may be absent when
 * they are the whole of it; one revision higher. Refuses
 * `unknown-advisory`, and `advisory-narrowed` unless `narrow` says that this is meant.
 */
export function updateAdvisory(
  wanted: Named & { members: Partial<AdvisoryStatement>; narrow: boolean; whole?: boolean },
  now: number,
): Updated {
  const forms = formsOf(wanted);
  const latest = forms.reduce((a, b) => (revisionOf(b.statement) >= revisionOf(a.statement) ? b : a));
  const { kind, id, product, advisoryKind, state, subjects, fixedVersions, summary } = latest.statement;
  const must = { kind, id, product, advisoryKind, state, subjects, fixedVersions, summary };
  const statement: AdvisoryStatement = {
    ...(wanted.whole === true ? must : latest.statement),
    ...wanted.members,
    revision: revisionOf(latest.statement) + 1,
    created: isoTime(now),
  };
  const lost = forms.find((form) => !affectsNoLess(statement, form.statement));
  if (lost !== undefined && !wanted.narrow) {
    throw new Refusal(
      "advisory-narrowed",
      `this would affect less than record ${lost.index}, or give it a later deadline`,
      { hint: "--narrow, and the signatures of the approvers, if that is meant" },
    );
  }
  return { statement, of: Number(latest.index), narrows: lost !== undefined };
}

/** Takes back every form of it that the log holds. Refuses `unknown-advisory`. */
export function withdrawAdvisory(wanted: Named & { reason: string }, now: number): AdvisoryWithdrawal {
  const records = formsOf(wanted).map(({ sha256 }) => sha256);
  const { id, product, reason } = wanted;
  return {
    kind: "advisory-withdrawal",
    records: [...new Set(records)].sort(),
    id,
    product,
    reason,
    created: isoTime(now),
  };
}
