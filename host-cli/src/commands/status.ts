// vouch status new: every advisory in force and every release withdrawn, for one
// product, as of the log's current size.
//
// It is gathered from the log, so that nothing is forgotten, and compared with
// the newest status before it: whoever signs one may add to that, never take away.
//   advisories  all of the product that are in force (shared/src/advisories.ts)
//   withdrawn   those of the newest status, and what --withdraw names
//   newest      of each major version the newest stable release that isn't withdrawn (and, with a policy, is approved)
// With a policy, statements signed by others than it names don't count; and only with one can a
// withdrawal or a narrower update count, since those take the approvers it names.

import { type AdvisoryRecord, affectsNoLess, type Judged, standings } from "@vouch/shared/advisories";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { parseEnvelope } from "@vouch/shared/dsse";
import { policyAt } from "@vouch/shared/keyring";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { compareSemver, isPrerelease, majorOf } from "@vouch/shared/semver";
import { requireApproval, signersOf } from "@vouch/shared/signers";
import type {
  AdvisoryStatement,
  AdvisoryWithdrawal,
  ReleaseStatement,
  StatusStatement,
} from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { usage } from "../exit";
import type { Io } from "../io";
import { TAIL } from "../log/index";
import { aboutKeysIn, changesOf, type KeyRecord, revocationsOf, ringOf } from "../log/keys";
import { findStatements } from "../log/lookup";
import { type LoggedStatement, openLog, type ReleaseLog, readStatements } from "../log/store";
import { parseMoment } from "../moment";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { digestNamed, signStatement } from "../statementfile";
import { writeOutput } from "../writefiles";
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
type Told = LoggedAdvisory<AdvisoryStatement | AdvisoryWithdrawal>;
type LoggedAdvisory<S> = Logged<S> & AdvisoryRecord<S>;

/**
 * A signed status. `now` is its `created`. Refuses `unknown-product`, `unknown-release`, `status-drops-advisory`,
 * `status-drops-withdrawal`, and what reading the log refuses.
 */
export async function newStatus(wanted: NewStatus, signer: Signer, now: number): Promise<SignedStatus> {
  if (wanted.withdraw.length > 0 !== (wanted.reason !== undefined))
    throw usage("--withdraw and --reason go together");
  const log = openLog(wanted.log);
  const remarks: string[] = [];
  const { releases, told, statuses, keys, ring } = recordsOf(log, wanted, remarks);
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
  if (ring !== null) remarks.push(...unnamed(policyAt(ring, log.size), signer));
  const judged = standings(told);
  const standing = releases.filter(
    (record) =>
      !record.statement.subjects.some(({ sha256 }) => withdrawn.has(sha256)) &&
      (ring === null || authorityUnder(policyAt(ring, record.index), record, wanted.product) === "approvers"),
  );
  const newestVersions = newestOfLines(standing.map((record) => record.statement));
  const statement: StatusStatement = {
    kind: "status",
    origin: log.checkpoint.origin,
    rootSha256: toHex(log.checkpoint.root),
    product: wanted.product,
    logSize: Number(log.size),
    advisories: sortedBy(
      inForce(judged, remarks),
      ({ id, index }) => `${id} ${String(index).padStart(16, "0")}`,
    ),
    withdrawn: sortedBy(
      [...withdrawn].map(([sha256, reason]) => ({ sha256, reason })),
      ({ sha256 }) => sha256,
    ),
    ...keys,
    created: isoTime(now),
    ...(newestVersions.length > 0 && { newest: newestVersions }),
  };
  const given = new Set(judged.map(({ record }) => record.sha256));
  if (earlier !== null) checkAddsOnly(earlier, statement, given);
  return { bytes: await signStatement(statement, signer), statement, remarks };
}

function recordsOf(log: ReleaseLog, { product, policy }: NewStatus, remarks: string[]) {
  const { ring, lists } = keyLists(aboutKeysIn(log, true), product, policy, remarks);
  const authorityOf = (record: LoggedStatement): Authority => {
    const authority =
      ring === null ? "status" : authorityUnder(policyAt(ring, record.index), record, product);
    if (typeof authority === "string") return authority;
    remarks.push(`record ${record.index} doesn't count: ${authority.why}`);
    return null;
  };
  const kinds = ["release", "advisory", "advisory-withdrawal", "status"] as const;
  // Whoever can write to the folder can make an index that leaves an advisory out, without any key.
  const wanted = kinds.map((kind) => ({ kind, subject: product }));
  const all = findStatements(log, wanted, true);
  const of = <K extends (typeof kinds)[number]>(...some: K[]) =>
    all.filter((record): record is Logged<Extract<LoggedStatement["statement"], { kind: K }>> =>
      (some as string[]).includes(record.statement.kind),
    );
  const releases = of("release");
  if (releases.length === 0)
    throw new Refusal("unknown-product", `the log holds no release of ${quote(product)}`, {
      hint: productsHint(log),
    });
  const told = of("advisory", "advisory-withdrawal").flatMap((record): Told[] => {
    const authority = authorityOf(record);
    if (authority === null) return [];
    const mayTakeBack = authority === "approvers";
    if (record.statement.kind === "advisory-withdrawal" && !mayTakeBack) {
      const why =
        policy === undefined
          ? "without --policy nobody knows the approvers"
          : "a status key alone signed it, it takes the approvers";
      remarks.push(`record ${record.index} takes nothing back: ${why}`);
    }
    return [{ ...record, sha256: toHex(nodeCrypto.sha256(record.bytes)), mayTakeBack }];
  });
  const statuses = of("status").filter((record) => authorityOf(record) !== null);
  return { releases, told, statuses, keys: lists, ring };
}

/** What the log says of keys: every change, and of each revoked device key the revocation that reaches back furthest. */
function keyLists(
  records: readonly KeyRecord[],
  product: string,
  policy: Policy | undefined,
  remarks: string[],
) {
  const judged = policy === undefined ? null : ringOf(policy, records);
  remarks.push(...(judged?.remarks ?? []));
  const ring = judged?.ring ?? null;
  const listed = ({ index, bytes }: { index: bigint; bytes: Uint8Array }) => ({
    index: Number(index),
    sha256: toHex(nodeCrypto.sha256(bytes)),
  });
  const changes = ring?.changes ?? changesOf(records);
  const rotations = records
    .filter(({ index }) => changes.some((change) => change.index === index))
    .map(listed);
  const byKey = new Map<string, ReturnType<typeof revocationsOf>[number]>();
  for (const revocation of revocationsOf(ring, records)) {
    const { keySha256, since } = revocation.statement;
    const known = byKey.get(keySha256);
    if (revocation.statement.product !== product) continue;
    if (known === undefined || since < known.statement.since) byKey.set(keySha256, revocation);
  }
  const revocations = sortedBy(
    [...byKey].map(([key, record]) => ({ key, ...listed(record) })),
    ({ key }) => key,
  );
  const lists = {
    ...(rotations.length > 0 && { rotations }),
    ...(revocations.length > 0 && { revocations }),
  };
  return { ring, lists };
}

/** Which products there are, where that is soon found out. */
function productsHint(log: ReleaseLog): string {
  if (log.size > TAIL) return "add its release first, or look for a typing mistake";
  const known = new Set(
    readStatements(log).flatMap(({ statement }) => (statement.kind === "release" ? statement.product : [])),
  );
  return known.size === 0 ? "add its release first" : `the log has releases of ${[...known].join(", ")}`;
}

type Authority = "status" | "approvers" | null;

/** Whose word it is under the policy, or why it is nobody's. One status key may speak, or the approvers. */
function authorityUnder(
  policy: Policy,
  { bytes }: LoggedStatement,
  product: string,
): Exclude<Authority, null> | { why: string } {
  try {
    const keys = policy.status.map((vkey) => ({ name: vkey.name, role: "status", vkey }));
    const signers = signersOf(parseEnvelope(bytes), [...keys, ...policy.approvers], nodeCrypto);
    if (signers.length === 1 && keys.includes(signers[0]!)) return "status";
    requireApproval(signers, product, policy);
    return "approvers";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { why: `${error.message} [${error.code}]` };
  }
}

/** What to say of a signer whose status counts for nobody with this policy; approvers may sign one, too. */
function unnamed({ status, approvers }: Policy, { name, publicKey }: Signer): string[] {
  const known = [...status, ...approvers.map(({ vkey }) => vkey)];
  if (known.some((key) => equalBytes(key.publicKey, publicKey))) return [];
  const named = status.map((key) => quote(key.name)).join(", ");
  return [`the policy names no status key of ${quote(name)}, so this status won't count; it names ${named}`];
}

/** The status that counts: the one that speaks for the most records; of two, the later. */
function newest(statuses: readonly Logged<StatusStatement>[]): StatusStatement | null {
  let found: StatusStatement | null = null;
  for (const { statement } of statuses) {
    if (found === null || statement.logSize >= found.logSize) found = statement;
  }
  return found;
}

/**
 * What to list. A form that another one in force covers is left out; where each affects what the other doesn't, both
 * are listed.
 */
function inForce(
  judged: readonly Judged<LoggedAdvisory<AdvisoryStatement>>[],
  remarks: string[],
): StatusStatement["advisories"] {
  const listed: LoggedAdvisory<AdvisoryStatement>[] = [];
  for (const { record, standing } of judged) {
    if (standing.kind !== "in-force") continue;
    const { id } = record.statement;
    const known = listed.filter(({ statement }) => statement.id === id);
    const wider = known.find(({ statement }) => affectsNoLess(statement, record.statement));
    if (wider !== undefined) {
      remarks.push(
        `record ${record.index} would narrow advisory ${id}: record ${wider.index} stays in force`,
      );
      continue;
    }
    for (const { index } of known)
      remarks.push(`records ${index} and ${record.index} are both advisory ${id}, and both in force`);
    listed.push(record);
  }
  return listed.map(({ statement: { id }, index, sha256 }) => ({ id, index: Number(index), sha256 }));
}

/** Of each major version the newest that is no pre-release, ascending. */
function newestOfLines(releases: readonly ReleaseStatement[]): string[] {
  const lines = new Map<string, string>();
  for (const { version } of releases) {
    const known = lines.get(majorOf(version));
    if (!isPrerelease(version) && (known === undefined || compareSemver(version, known) > 0))
      lines.set(majorOf(version), version);
  }
  const ascending = [...lines.values()].sort(compareSemver);
  return ascending.slice(-MAX_LINES);
}

const MAX_LINES = 64; // what a statement holds

/** `given` are the advisories that were judged: of those, what isn't listed was taken back, or is said by another. */
function checkAddsOnly(earlier: StatusStatement, later: StatusStatement, given: ReadonlySet<string>): void {
  checkKeysKept(earlier, later);
  const hint = "taking one back takes the approvers, not the status key";
  const dropped = earlier.advisories.find(({ sha256 }) => !given.has(sha256));
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

/** Changes of keys are never undone, and a revoked key stays revoked. */
function checkKeysKept(earlier: StatusStatement, later: StatusStatement): void {
  const lost =
    earlier.rotations?.find((a) => !later.rotations?.some((b) => b.index === a.index)) ??
    earlier.revocations?.find((a) => !later.revocations?.some((b) => b.key === a.key));
  if (lost === undefined) return;
  const found = `the status of log size ${earlier.logSize} lists record ${lost.index}, about a key, which no longer counts`;
  throw new Refusal("status-drops-key-change", found, {
    hint: "is it the policy that this log's readers have?",
  });
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
      const { product, logSize, advisories, withdrawn, newest: versions = [] } = statement;
      if (io.json)
        io.stdout(
          `${JSON.stringify({ product, logSize, advisories, withdrawn, newest: versions, statement: flags.output })}\n`,
        );
      else if (!io.quiet) {
        io.stderr(
          `${product}: ${advisories.length} in force, ${withdrawn.length} withdrawn, as of log size ${logSize}\n`,
        );
      }
    });
}
