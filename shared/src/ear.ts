// A verdict as an EAT Attestation Result (draft-ietf-rats-ear-03, JSON), so that a program
// that knows RATS can read it. What EAR has no word for stands under "vouch": the verdict
// word, the reason codes and the bracket of time. Fields: spec/verdict.md.
//
//   patched            affirming         executables 2   approved
//   vulnerable         warning           executables 32  unsafe
//   recalled, refuted  contraindicated   executables 96  contraindicated
//   unproven           none              executables 0   no claim
//   verified           none              executables 0   of a release; no device was looked at

import { toBase64, toHex } from "./bytes";
import { addressText, formatRoot } from "./rebased/root";
import { formatStardustRoot } from "./stardust/root";
import { isoTime } from "./time";
import {
  type AdvisoryResult,
  type AnchorResult,
  type DeviceResult,
  EXIT_STATUS,
  type RenewalResult,
  type Verdict,
  type Word,
  worst,
} from "./verdict";

const PROFILE = "tag:ietf.org,2026:rats/ear#03";

const APPRAISAL: Readonly<Record<Word, { status: string; executables: number }>> = {
  patched: { status: "affirming", executables: 2 },
  verified: { status: "none", executables: 0 },
  vulnerable: { status: "warning", executables: 32 },
  recalled: { status: "contraindicated", executables: 96 },
  refuted: { status: "contraindicated", executables: 96 },
  unproven: { status: "none", executables: 0 },
};

export const timeOrNull = (seconds: number | null) => (seconds === null ? null : isoTime(seconds));
const base64url = (bytes: Uint8Array) =>
  toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** The object that --json prints. `iat` is when the verifier spoke, Unix seconds; `build` names it. */
export function earOf(verdict: Verdict, iat: number, build: string): object {
  const nonces = verdict.devices.flatMap((d) => (d.nonce === null ? [] : [base64url(d.nonce)]));
  return {
    eat_profile: PROFILE,
    iat,
    ear_verifier_id: { developer: "https://vouch.example", build },
    ...(nonces.length === 0 ? {} : { eat_nonce: nonces.length === 1 ? nonces[0] : nonces }),
    submods: Object.fromEntries(submods(verdict)),
    vouch: {
      verdict: verdict.word,
      exit: EXIT_STATUS[verdict.word],
      reasons: verdict.reasons.map(({ claim, device, code, word, message, hint }) => ({
        claim,
        device,
        code,
        word,
        message,
        hint: hint ?? null,
      })),
      at: isoTime(verdict.at),
      releaseOnly: verdict.releaseOnly,
      product: verdict.product,
      version: verdict.version,
      asOf: verdict.asOf && { logSize: verdict.asOf.logSize, time: timeOrNull(verdict.asOf.time) },
      timeSource: verdict.timeSource,
      anchors: verdict.anchors.map(anchorJson),
      devices: verdict.devices.map(deviceJson),
      advisories: verdict.advisories.map(advisoryJson),
      flags: verdict.flags,
      ...(verdict.renewals && { renewals: verdict.renewals.map(renewalJson) }),
      ...(verdict.countersignatures && { countersignatures: verdict.countersignatures }),
      steps: verdict.steps.map(({ claim, holds, text }) => ({ claim, holds, text })),
      notes: verdict.notes,
      limits: verdict.limits,
    },
  };
}

/** One a device, judged by what is true of all and by what is true of it; the product when none was asked about. */
function submods(verdict: Verdict): [string, object][] {
  if (verdict.devices.length === 0)
    return [[verdict.product ?? "unknown", submod(verdict, verdict.word, false)]];
  return verdict.devices.map((device) => {
    const about = verdict.reasons.filter((r) => r.device === null || r.device === device.label);
    return [
      device.label,
      submod(verdict, worst(["patched", ...about.map((r) => r.word)]), device.nonce !== null),
    ];
  });
}

function submod(verdict: Verdict, word: Word, isIdentified: boolean): object {
  const { status, executables } = APPRAISAL[word];
  return {
    ear_status: status,
    ear_trustworthiness_vector: { "instance-identity": isIdentified ? 2 : 0, executables },
    ear_appraisal_policy_ids: [`sha256:${verdict.policyDigest}`],
  };
}

/** An advisory that counts, also as audits print it. */
export const advisoryJson = ({ recorded, ...advisory }: AdvisoryResult) => ({
  ...advisory,
  recorded: timeOrNull(recorded),
});

const anchorJson = ({ size, kind, time, rebased, stardust }: AnchorResult) => ({
  size: Number(size),
  kind,
  time: timeOrNull(time),
  ...(rebased && {
    network: rebased.root.network,
    checkpoint: Number(rebased.sequence),
    epoch: Number(rebased.epoch),
    sender: addressText(rebased.sender),
    weight: Number(rebased.weight),
    transaction: rebased.transaction,
    root: formatRoot(rebased.root),
    captured: rebased.captured,
  }),
  ...(stardust && {
    network: stardust.network,
    milestone: stardust.index,
    milestoneId: `0x${toHex(stardust.milestoneId)}`,
    block: `0x${toHex(stardust.blockId)}`,
    tag: `0x${toHex(stardust.tag)}`,
    signers: stardust.signers,
    threshold: stardust.threshold,
    root: formatStardustRoot({ network: stardust.network, digest: stardust.trustDigest }),
    retired: stardust.retired,
  }),
});

const renewalJson = ({ time, ledgers, by, log, index, verdict, policy, at }: RenewalResult) => ({
  time: isoTime(time),
  ledgers,
  by,
  log,
  index: Number(index),
  verdict,
  policy: `sha256:${policy}`,
  at,
});

const deviceJson = (d: DeviceResult) => ({
  kid: d.kid,
  serial: d.serial,
  ueid: d.ueid,
  notBefore: timeOrNull(d.notBefore),
  notAfter: timeOrNull(d.notAfter),
  dbgstat: d.dbgstat,
  components: d.components,
});
