// vouch status new: every advisory in force and every release withdrawn, for one
// product, as of the log's current size.
//
// It is gathered from the log, so that nothing is forgotten, and compared with
// the newest status before it: whoever signs one may add to that, never take away.
//   advisories  all of the product; of several with one id the newest that affects
//               at least what the earlier ones did
//   withdrawn   those of the newest status, and what --withdraw names
// With a policy, statements signed by others than it names don't count.

import { toHex } from "@vouch/shared/bytes";
import { parseEnvelope } from "@vouch/shared/dsse";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { requireApproval, signersOf } from "@vouch/shared/signers";
import type { AdvisoryStatement, StatusStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { usage } from "../exit";
import { writeOutput } from "../files";
import type { Io } from "../io";
import { TAIL } from "../log/index";
import { findStatements } from "../log/lookup";
import { type LoggedStatement, openLog, type ReleaseLog, readStatements } from "../log/store";
import { parseMoment } from "../moment";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { digestNamed, signStatement } from "../statementfile";
import { readPolicyNow } from "./policy";

export interface NewStatus {
  log: string;
  product: string;
  /** Releases to withdraw: an image, a release's .dsse.json, or a digest. */
  withdraw: readonly string[];
  /** Why; one for all of `withdraw`. */
  reason?: string | undefined;
  policy?: Policy | undefined;
}

export interface SignedStatus {
  readonly bytes: Uint8Array;
  readonly statement: StatusStatement;
  /** What a person should know of the log: advisories that were passed over, and why. */
  readonly remarks: readonly string[];
}

type Logged<S> = LoggedStatement & { readonly statement: S };

/**
 * A signed status. `now` is its `created`. Refuses `unknown-product`, `unknown-release`, `status-drops-advisory`,
 * `status-drops-withdrawal`, and what reading the log refuses.
 */
export async function newStatus(wanted: NewStatus, signer: Signer, now: number): Promise<SignedStatus> {
  if (wanted.withdraw.length > 0 !== (wanted.reason !== undefined))
    throw usage("--withdraw and --reason go together");
  const log = openLog(wanted.log);
  const remarks: string[] = [];
  const { releases, advisories, statuses } = recordsOf(log, wanted, remarks);
  const earlier = newest(statuses);
  const withdrawn = new Map(earlier?.withdrawn.map(({ sha256, reason }) => [sha256, reason]));
  for (const named of wanted.withdraw) {
    const sha256 = digestNamed(named, "app");
    if (!releases.some(({ statement }) => statement.subjects.some((s) => s.sha256 === sha256))) {
      throw new Refusal(
        "unknown-release",
        `no release of ${wanted.product} in the log has an image ${sha256}`,
      );
    }
    if (!withdrawn.has(sha256)) withdrawn.set(sha256, wanted.reason ?? "");
  }
  const statement: StatusStatement = {
    kind: "status",
    origin: log.checkpoint.origin,
    rootSha256: toHex(log.checkpoint.root),
    product: wanted.product,
    logSize: Number(log.size),
    advisories: sortedBy(inForce(advisories, remarks), ({ id }) => id),
    withdrawn: sortedBy(
      [...withdrawn].map(([sha256, reason]) => ({ sha256, reason })),
      ({ sha256 }) => sha256,
    ),
    created: isoTime(now),
  };
  if (earlier !== null) checkAddsOnly(earlier, statement);
  return { bytes: await signStatement(statement, signer), statement, remarks };
}

function recordsOf(log: ReleaseLog, { product, policy }: NewStatus, remarks: string[]) {
  const counts = (record: LoggedStatement): boolean => {
    const why = policy === undefined ? null : unauthorised(record, product, policy);
    if (why !== null) remarks.push(`record ${record.index} doesn't count: ${why}`);
    return why === null;
  };
  const kinds = ["release", "advisory", "status"] as const;
  const all = findStatements(
    log,
    kinds.map((kind) => ({ kind, subject: product })),
  );
  const of = <K extends (typeof kinds)[number]>(kind: K) =>
    all.filter(
      (record): record is Logged<Extract<LoggedStatement["statement"], { kind: K }>> =>
        record.statement.kind === kind,
    );
  const releases = of("release");
  if (releases.length === 0)
    throw new Refusal("unknown-product", `the log holds no release of ${quote(product)}`, {
      hint: productsHint(log),
    });
  return { releases, advisories: of("advisory").filter(counts), statuses: of("status").filter(counts) };
}

/** Which products there are, where that is soon found out. */
function productsHint(log: ReleaseLog): string {
  if (log.size > TAIL) return "add its release first, or look for a typing mistake";
  const known = new Set(
    readStatements(log).flatMap(({ statement }) => (statement.kind === "release" ? statement.product : [])),
  );
  return known.size === 0 ? "add its release first" : `the log has releases of ${[...known].join(", ")}`;
}

/** Why the policy doesn't let these signers say such a thing, or null. One status key may, or the approvers. */
function unauthorised({ bytes }: LoggedStatement, product: string, policy: Policy): string | null {
  try {
    const keys = policy.status.map((vkey) => ({ name: vkey.name, role: "status", vkey }));
    const signers = signersOf(parseEnvelope(bytes), [...keys, ...policy.approvers], nodeCrypto);
    if (signers.length !== 1 || signers[0]?.role !== "status") requireApproval(signers, product, policy);
    return null;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return `${error.message} [${error.code}]`;
  }
}

/** The status that counts: the one that speaks for the most records; of two, the later. */
function newest(statuses: readonly Logged<StatusStatement>[]): StatusStatement | null {
  let found: StatusStatement | null = null;
  for (const { statement } of statuses) {
    if (found === null || statement.logSize >= found.logSize) found = statement;
  }
  return found;
}

/** One for each id. An update counts when it affects no less; else the earlier one stays in force. */
function inForce(
  advisories: readonly Logged<AdvisoryStatement>[],
  remarks: string[],
): StatusStatement["advisories"] {
  const byId = new Map<string, Logged<AdvisoryStatement>>();
  for (const record of advisories) {
    const known = byId.get(record.statement.id);
    if (known === undefined || affectsNoLess(record.statement, known.statement))
      byId.set(record.statement.id, record);
    else
      remarks.push(
        `record ${record.index} would narrow advisory ${record.statement.id}: record ${known.index} stays in force`,
      );
  }
  return [...byId].map(([id, { index, bytes }]) => ({
    id,
    index: Number(index),
    sha256: toHex(nodeCrypto.sha256(bytes)),
  }));
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
    earlier.subjects.every((a) => later.subjects.some((b) => b.name === a.name && b.sha256 === a.sha256))
  );
}

function checkAddsOnly(earlier: StatusStatement, later: StatusStatement): void {
  const hint = "taking one back takes the approvers, not the status key";
  const dropped = earlier.advisories.find(({ id }) => !later.advisories.some((a) => a.id === id));
  if (dropped !== undefined) {
    throw new Refusal(
      "status-drops-advisory",
      `the status of log size ${earlier.logSize} lists ${quote(dropped.id)}, which the log no longer gives`,
      { hint },
    );
  }
  const restored = earlier.withdrawn.find(({ sha256 }) => !later.withdrawn.some((w) => w.sha256 === sha256));
  if (restored !== undefined) {
    throw new Refusal(
      "status-drops-withdrawal",
      `the status of log size ${earlier.logSize} withdraws ${restored.sha256}`,
      { hint },
    );
  }
}

/** Ascending by key, as the statement's shape asks: by code unit, whatever the locale. */
function sortedBy<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return [...items].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

interface Flags extends SignerOptions {
  log: string;
  product: string;
  withdraw?: string[];
  reason?: string;
  policy?: string;
  created?: string;
  output?: string;
}

export function define(program: Command, io: Io): void {
  const status = program.command("status").description("States which advisories are in force.");
  withSigner(status.command("new"))
    .description("Gathers a product's advisories from the log and signs the list, for `vouch log add`.")
    .requiredOption("--log <DIR>", "the log")
    .requiredOption("--product <NAME>", "the product, as in its releases")
    .option("--withdraw <IMAGE...>", "withdraw a release: its image, its .dsse.json, or the image's digest")
    .option("--reason <TEXT>", "why it is withdrawn")
    .option("--policy <FILE>", "count only what the signers it names have signed")
    .option("--created <TIME>", "instead of now, for a reproducible statement")
    .option("-o, --output <FILE>", "default: stdout")
    .option("--json", "print one JSON object")
    .action(async (flags: Flags) => {
      const clock = Math.floor(Date.now() / 1000);
      const now = flags.created === undefined ? clock : parseMoment(flags.created, "--created");
      // It would be young for longer than it is true.
      if (now > clock) throw usage(`--created: ${isoTime(now)} is yet to come, it is ${isoTime(clock)}`);
      if (io.json && (flags.output === undefined || flags.output === "-")) {
        throw usage("--json and the statement can't both go to stdout", "-o FILE");
      }
      const policy = flags.policy === undefined ? undefined : readPolicyNow(flags.policy);
      const wanted = { ...flags, withdraw: flags.withdraw ?? [], policy };
      const { bytes, statement, remarks } = await newStatus(wanted, await loadSigner(flags, io), now);
      for (const remark of remarks) io.stderr(`note: ${remark}\n`);
      writeOutput(io, flags.output, Buffer.from(bytes).toString("utf8"));
      const { product, logSize, advisories, withdrawn } = statement;
      if (io.json)
        io.stdout(
          `${JSON.stringify({ product, logSize, advisories, withdrawn, statement: flags.output })}\n`,
        );
      else if (!io.quiet) {
        io.stderr(
          `${product}: ${advisories.length} in force, ${withdrawn.length} withdrawn, as of log size ${logSize}\n`,
        );
      }
    });
}
