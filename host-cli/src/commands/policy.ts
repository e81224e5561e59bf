// vouch policy check: a policy as this program understands it, a sentence a line,
// and what in it a careful reader would ask about. A policy that parses may still
// accept less, or trust more, than its author meant.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { endOf, trustedAt } from "@vouch/shared/distrust";
import { formatMldsaKey, type MldsaKey } from "@vouch/shared/mldsakey";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { type LedgerRoot, stardustRoots } from "@vouch/shared/policylines";
import { addressText, formatRoot } from "@vouch/shared/rebased/root";
import { quote, Refusal } from "@vouch/shared/refusal";
import { PRESETS } from "@vouch/shared/stardust/presets";
import { formatStardustRoot } from "@vouch/shared/stardust/root";
import { trustDigest } from "@vouch/shared/stardust/trust";
import { ageText, isoTime } from "@vouch/shared/time";
import { formatVkey, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import type { Io } from "../io";
import { policyNow } from "../log/keys";
import { openLog } from "../log/store";
import { table } from "../output/terminal";
import { readInput } from "../readfiles";

const MAX_POLICY = 64 * 1024;

/** Reads a policy file. Refuses as parsePolicy does. */
export function readPolicy(path: string): Policy {
  return about(path, () => parsePolicy(readInput(path, MAX_POLICY), nodeCrypto));
}

/**
 * For what is done now: without the keys that it distrusts by now. With a log, its keys are those that the log's
 * rotations leave. Refuses as openLog does, too.
 */
export function readPolicyNow(path: string, logFolder?: string): Policy {
  const policy = trustedAt(readPolicy(path), Date.now() / 1000);
  return logFolder === undefined ? policy : about(logFolder, () => policyNow(openLog(logFolder), policy));
}

/** Refuses `log-distrusted` when the policy distrusts the log's key by now: nothing at hand says when it signed. */
export function refuseDistrusted(policy: Policy, key: Vkey): void {
  const end = endOf(policy, key, Date.now() / 1000);
  if (end !== null)
    throw new Refusal(
      "log-distrusted",
      `the policy distrusts the key of ${quote(key.name)} since ${isoTime(end)}, and nothing shows that this was signed before`,
    );
}

export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** Of the Tangles that a policy names, those whose trust file is a preset: others only a receipt tells. */
const retiredRoots = (policy: Policy) =>
  stardustRoots(policy.ledgers).filter(({ digest }) =>
    PRESETS.some(({ trust }) => equalBytes(trustDigest(trust, nodeCrypto), digest)),
  );

/** What a policy leaves open. None of it is an error. */
export function policyWarnings(policy: Policy): Warning[] {
  const warnings: Warning[] = [];
  const warn = (when: boolean, code: string, message: string) => {
    if (when) warnings.push({ code, message });
  };
  const ruled = new Set(policy.approve.map(({ product }) => product));
  const sold = new Set(policy.vendors.map(({ product }) => product));
  warn(
    policy.quorum === "none",
    "quorum-none",
    "no witness has to have seen the log: a second history shown to others goes unnoticed",
  );
  warn(
    policy.ledgers.length === 0,
    "no-ledger",
    "no ledger is named: nothing has a time, so nothing is ever patched",
  );
  warn(
    policy.ledgers.length > 0 && policy.ledgers.every(({ kind }) => kind !== "rebased"),
    "no-public-ledger",
    policy.ledgers.every(({ kind }) => kind === "directory")
      ? "only directory ledgers are named: every time is the word of whoever keeps them"
      : "no public ledger is named: every time is the word of whoever keeps a directory or a coordinator's keys",
  );
  for (const { network } of retiredRoots(policy))
    warn(true, "retired-ledger", `${network} is retired: whoever holds its old keys could back-date`);
  for (const what of ["status", "evidence"] as const) {
    warn(policy.maxAge[what] === null, `no-max-age-${what}`, `no max-age ${what}: nothing is ever patched`);
  }
  warn(policy.enrollers.length === 0, "no-enroller", "no enroller is named: no device's evidence counts");
  warn(
    policy.status.length === 0,
    "no-status-key",
    "no status key is named: every status and advisory takes the approvers",
  );
  warn(policy.approve.length === 0, "no-approval-rule", "no approve line: no release is accepted");
  for (const { name } of policy.countersigners) {
    const isAsked = policy.countersigned.some((demand) => demand.name === name);
    warn(
      !isAsked,
      "countersigner-not-asked",
      `nothing has to be countersigned by ${name}: no countersigned line says so`,
    );
  }
  for (const { product, threshold } of policy.approve) {
    warn(threshold === 1, "single-approver", `one key alone releases ${product}`);
    warn(
      !sold.has(product),
      "no-vendor",
      `${product} has an approve line and no vendor: none of its manifests is accepted`,
    );
  }
  for (const product of sold) {
    warn(
      !ruled.has(product),
      "no-approval-rule",
      `${product} has a vendor and no approve line: no release of it is accepted`,
    );
  }
  warn(
    !policy.requireImage,
    "image-not-required",
    "images need not be at hand: a verdict may rest on plain digests, which a device could have stored",
  );
  warn(
    policy.allowUnderInvestigation,
    "under-investigation-allowed",
    "an advisory still under investigation doesn't stop a verdict of patched",
  );
  return warnings;
}

function age(seconds: number | null): string {
  if (seconds === null) return "not said";
  return ageText(seconds);
}

function ledgerText(ledger: LedgerRoot): string {
  if (ledger.kind === "directory") return `directory kept by ${ledger.root.name}`;
  if (ledger.kind === "stardust")
    return `stardust, the coordinator of ${ledger.root.network}, trust file ${toHex(ledger.root.digest)}`;
  const by = ledger.sender === null ? "any sender" : `sender ${addressText(ledger.sender)}`;
  return `rebased, from ${ledger.root.network}'s committee of epoch ${ledger.root.epoch}, ${by}`;
}

/** A policy in words, one row each. */
export function describePolicy(policy: Policy): [string, string][] {
  const groups = policy.groups.map(({ name, k, members }): [string, string] => [
    "group",
    `${name}: ${k} of ${members.join(", ")}`,
  ]);
  return [
    ["log", `${policy.log.name}${policy.logUrl === undefined ? "" : ` at ${policy.logUrl}`}`],
    ...policy.witnesses.map(({ name, vkey, url }): [string, string] => [
      "witness",
      `${name}, key ${vkey.name}${url === undefined ? ", asked by hand" : ` at ${url}`}`,
    ]),
    ...groups,
    [
      "quorum",
      policy.quorum === "none" ? "no cosignature is asked for" : `${policy.quorum} must have cosigned`,
    ],
    ...policy.vendors.map(({ product, vkey }): [string, string] => [
      "vendor",
      `${vkey.name} seals ${product}`,
    ]),
    ...policy.approvers.map(({ name, role }): [string, string] => ["approver", `${name}, for ${role}`]),
    ...policy.approve.map(({ product, threshold, roles }): [string, string] => [
      "approve",
      `${product}: ${threshold} approvers, ${roles.join(" and ")} among them`,
    ]),
    ...policy.status.map(({ name }): [string, string] => [
      "status",
      `${name} says which advisories are in force`,
    ]),
    ...policy.enrollers.map(({ name }): [string, string] => ["enroller", `${name} ties keys to devices`]),
    ...policy.ledgers.map((ledger): [string, string] => ["ledger", ledgerText(ledger)]),
    ...policy.renewals.map(({ log, renewer }): [string, string] => [
      "renewals",
      `${renewer.name} renews bundles, recorded in ${log.name}`,
    ]),
    ...policy.countersigners.map(({ name, vkey }): [string, string] => [
      "countersigner",
      `${name}, ${vkey.algorithm} key ${vkey.name}`,
    ]),
    ...policy.countersigned.map(({ what, name }): [string, string] => [
      "countersigned",
      `${what} must be, by ${name}`,
    ]),
    ...policy.distrust.map(({ vkey, time }): [string, string] => [
      "distrust",
      `${vkey.name} from ${isoTime(time)} on`,
    ]),
    ["max-age", `status ${age(policy.maxAge.status)}, evidence ${age(policy.maxAge.evidence)}`],
    ["images", policy.requireImage ? "must be at hand" : "may be missing"],
    ["investigated", policy.allowUnderInvestigation ? "doesn't stop patched" : "is unproven"],
    ["digest", policy.digest],
  ];
}

function ledgerJson(ledger: LedgerRoot): unknown {
  if (ledger.kind === "directory") return { kind: ledger.kind, root: formatVkey(ledger.root) };
  if (ledger.kind === "stardust") return { kind: ledger.kind, root: formatStardustRoot(ledger.root) };
  const sender = ledger.sender === null ? null : addressText(ledger.sender);
  return { kind: ledger.kind, root: formatRoot(ledger.root), sender };
}

const formatAnyKey = (key: Vkey | MldsaKey) => ("algorithm" in key ? formatMldsaKey(key) : formatVkey(key));

/** The same for programs. */
export function policyJson(policy: Policy): unknown {
  const { log, witnesses, vendors, approvers, status, enrollers, ledgers, renewals, distrust, ...others } =
    policy;
  const { countersigners, ...rest } = others;
  return {
    ...rest,
    log: formatVkey(log),
    witnesses: witnesses.map((witness) => ({ ...witness, vkey: formatVkey(witness.vkey) })),
    vendors: vendors.map(({ product, vkey }) => ({ product, vkey: formatVkey(vkey) })),
    approvers: approvers.map(({ name, role, vkey }) => ({ name, role, vkey: formatVkey(vkey) })),
    status: status.map(formatVkey),
    enrollers: enrollers.map(formatVkey),
    ledgers: ledgers.map(ledgerJson),
    renewals: renewals.map(({ log: of, renewer }) => ({ log: formatVkey(of), renewer: formatVkey(renewer) })),
    countersigners: countersigners.map(({ name, vkey }) => ({ name, vkey: formatMldsaKey(vkey) })),
    distrust: distrust.map(({ vkey, time }) => ({ vkey: formatAnyKey(vkey), from: isoTime(time) })),
    warnings: policyWarnings(policy),
  };
}

export function define(program: Command, io: Io): void {
  program
    .command("policy")
    .description("Looks at what a policy accepts.")
    .command("check")
    .description("Prints a policy as it is understood, and what in it deserves a second look.")
    .argument("<file>", "the policy, - is stdin")
    .option("--json", "print one JSON object")
    .action((file: string) => {
      const policy = readPolicy(file);
      if (io.json) {
        io.stdout(`${JSON.stringify(policyJson(policy))}\n`);
        return;
      }
      io.stdout(table(describePolicy(policy)));
      for (const { code, message } of policyWarnings(policy)) io.stderr(`warning: ${message} [${code}]\n`);
    });
}
