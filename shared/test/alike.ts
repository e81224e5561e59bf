// What `vouch audit` says of a device must be what `vouch verify` says. The verifier's tests ask through
// `appraiseAlike`: it answers as appraise does, and first has the same question audited, in every form that a
// fleet may come in. So every world that those tests build, bend and break is one that audits are tested on.

import { appraise, type Question } from "@vouch/shared/appraise";
import { parseAuditLine } from "@vouch/shared/auditline";
import { type Bundle, formatBundle, parseBundle } from "@vouch/shared/bundle";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import {
  type AuditQuestion,
  auditBundle,
  auditDevice,
  auditFile,
  type Context,
  openContext,
  type Row,
} from "@vouch/shared/fleet";
import { formatDevice, formatDeviceItem } from "@vouch/shared/fleetform";
import { isRefusal } from "@vouch/shared/refusal";
import { isRenewed, parseRenewed } from "@vouch/shared/renewal";
import { type Verdict, worst } from "@vouch/shared/verdict";
import * as assert from "uvu/assert";

/** How many verdicts have been compared; a test asks that it isn't none. */
export const compared = { devices: 0 };

export function appraiseAlike(question: Question): Verdict {
  const verdict = appraise(question);
  const bundle = readable(question.bundle);
  // Image files are matched by digest in an audit: one that belongs to no release says nothing there.
  const isAboutFile = verdict.reasons.some(({ claim }) => claim === "image");
  if (bundle === null || question.releaseOnly || isAboutFile) return verdict;
  const asked: AuditQuestion = { ...question, tool: "vouch test" };
  if (question.handed !== null) compareHanded(question, asked, verdict);
  else if (bundle.devices.length > 0) {
    const context = openContext(question.bundle, asked);
    compare(auditBundle(context, "bundle", asked), verdict, () => true);
    if (!isRenewed(question.bundle)) compareSplit(bundle, asked, verdict);
  }
  return verdict;
}

function readable(bytes: Uint8Array): Bundle | null {
  try {
    return parseBundle(parseRenewed(bytes).bundle);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

function compareHanded(question: Question, asked: AuditQuestion, verdict: Verdict): void {
  const rows = question.handed?.map(({ evidence, challenge }) => {
    const context = openContext(question.bundle, asked);
    return auditFile(context, evidence, challenge, "file:1", asked);
  });
  compare(rows ?? [], verdict, () => true);
}

/** The same devices beside a context that is a bundle without them: only what asks for a minimal bundle falls away. */
function compareSplit(bundle: Bundle, asked: AuditQuestion, verdict: Verdict): void {
  const bytes = formatBundle({ ...bundle, devices: [] });
  const context: Context = openContext(bytes, asked);
  for (const form of [formatDevice, formatDeviceItem]) {
    if (form === formatDeviceItem && isBeyondNumbers(bundle)) continue;
    const rows = bundle.devices.map((device) =>
      auditDevice(form({ context: toHex(asked.crypto.sha256(bytes)), ...device }), context, "line:1", asked),
    );
    compare(rows, verdict, (code) => !OF_MINIMAL.includes(code));
  }
}

const OF_MINIMAL = ["surplus-checkpoint", "surplus-member", "surplus-revocation"];

const isBeyondNumbers = ({ devices }: Bundle) =>
  devices.some(
    ({ challenge, commitment, logged }) =>
      [challenge.size, commitment.index, logged?.record.index ?? 0n].some(
        (n) => n > BigInt(Number.MAX_SAFE_INTEGER),
      ) || [commitment, logged?.record].some((record) => (record?.proof.length ?? 0) > 64),
  );

function compare(rows: readonly Row[], verdict: Verdict, counts: (code: string) => boolean): void {
  const reasons = verdict.reasons.filter(({ code }) => counts(code));
  assert.is(
    worst(["patched", ...rows.map(({ word }) => word)]),
    worst(["patched", ...reasons.map((r) => r.word)]),
  );
  rows.forEach(({ line, word }, i) => {
    const record = parseAuditLine(utf8Encode(line));
    if (record.kind !== "record") throw new Error("a row's line is no record");
    const device = verdict.devices[i];
    // Where no device was opened each row has the release's reasons.
    const about = reasons.filter((r) => r.device === null || r.device === device?.label);
    if (new Set(verdict.devices.map((d) => d.label)).size === verdict.devices.length)
      assert.equal(
        record.reasons.map(({ code, message }) => [code, message]).sort(),
        about.map(({ code, message }) => [code, message]).sort(),
      );
    assert.is(record.word, word);
    assert.is(record.product, verdict.product);
    assert.is(record.release, verdict.version);
    assert.is(record.serial, device?.serial ?? null);
    assert.is(record.timeSource, verdict.timeSource);
    assert.equal(
      record.advisories,
      verdict.advisories.map(({ id }) => id),
    );
    compared.devices++;
  });
}
