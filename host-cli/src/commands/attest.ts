// vouch attest: has a device measure and sign, over a nonce that dates the
// answer.
//
//   checkpoint A and receipt ─┐
//                             ├─▶ nonce ─▶ device ─▶ evidence ─▶ F.eat
//   32 random bytes ──────────┘                      F.challenge = what the nonce was made from
//
// The evidence can't be older than the time in A's receipt. With --key, an enroller's, two more files
// make the other bound possible: F.eat.commitment.dsse.json goes to the log, whose
// next anchored checkpoint says "not after", and F.salt opens it to an auditor.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { equalBytes, toHex, utf8Decode } from "@vouch/shared/bytes";
import { type Challenge, formatChallenge, formatEvidenceSalt, MAX_COMPANION } from "@vouch/shared/companions";
import { type Claims, challengeNonce } from "@vouch/shared/evidence";
import type { Policy } from "@vouch/shared/policy";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { EnrolmentStatement } from "@vouch/shared/statement";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { type LineFlags, type Link, type LinkOptions, linkFrom, withLine, withLink } from "../device/link";
import { attestDevice, type Identity, identify, type JobState } from "../device/vouch";
import { commitTo } from "../endorse";
import { openEnrolment } from "../enrolment";
import { type Outstanding, outstanding } from "../evidence";
import { about, printable } from "../exit";
import type { Io } from "../io";
import { listAnchors } from "../log/anchors";
import { policyNow } from "../log/keys";
import { openLog } from "../log/store";
import { startProgress } from "../output/terminal";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { kidOfKey } from "../upload";
import { writeWhole } from "../writefiles";
import { readPolicyNow } from "./policy";
import { receiptTime } from "./receipt-time";

const DEFAULT_TIMEOUT_S = 600; // a signature takes minutes on the slowest engines

export type Dated = Omit<Challenge, "random">;

export interface AttestOptions {
  readonly port: string;
  /** What dates the nonce: a checkpoint as anchored, and the receipt that says when. */
  readonly anchor: Dated;
  /** Whose key the evidence must be signed by; null takes the device's word for its key. */
  readonly enrolment: EnrolmentStatement | null;
  readonly random?: Uint8Array;
  readonly link: LinkOptions;
}

export interface Attested {
  readonly evidence: Uint8Array;
  readonly challenge: Uint8Array;
  readonly claims: Claims;
  readonly publicKey: Uint8Array;
}

/** Refuses `nonce-mismatch` and the like for an answer that isn't one, `not-enrolled`, and trouble on the line. */
export function attest(options: AttestOptions, io: Io): Promise<Attested> {
  return withLink(options.port, options.link, (link) => attestOver(link, options, io));
}

/** The same over a line that is open already. */
export async function attestOver(
  link: Link,
  options: Pick<AttestOptions, "anchor" | "enrolment" | "random">,
  io: Io,
): Promise<Attested> {
  const { anchor } = options;
  const random = options.random ?? new Uint8Array(randomBytes(32));
  const waiting = outstanding(challengeNonce(nodeCrypto.sha256, anchor.checkpoint, anchor.receipt, random));
  const device = await identify(link.session);
  const publicKey = expectedKey(device, options.enrolment);
  const evidence = await askDevice(link, waiting, io);
  const claims = waiting.accept(evidence, publicKey);
  checkIdentity(claims, device, options.enrolment);
  return { evidence, challenge: formatChallenge({ ...anchor, random }), claims, publicKey };
}

function expectedKey(device: Identity, enrolment: EnrolmentStatement | null): Uint8Array {
  if (enrolment !== null) return enrolment.publicKey;
  if (device.publicKey !== null) return device.publicKey;
  throw new Refusal("not-enrolled", "the device has no key yet", { hint: "`vouch enrol` makes one" });
}

async function askDevice(link: Link, waiting: Outstanding, io: Io): Promise<Uint8Array> {
  const progress = jobProgress(io);
  try {
    return await attestDevice(link.session, waiting.nonce, progress.update);
  } finally {
    progress.end();
  }
}

/** Progress of a job, whose length is known once it runs. */
export function jobProgress(io: Io): { update(state: JobState): void; end(): void } {
  let bar: ReturnType<typeof startProgress> | undefined;
  return {
    update({ done, total }) {
      if (total === 0) return;
      bar ??= startProgress(io, "measuring", total);
      bar.update(done);
    },
    end: () => bar?.end(),
  };
}

/** What was signed must be what the device said of itself, and what it was enrolled as. */
function checkIdentity(claims: Claims, device: Identity, enrolment: EnrolmentStatement | null): void {
  const ueid = toHex(claims.ueid);
  if (device.ueid === null || !equalBytes(claims.ueid, device.ueid)) {
    const said = device.ueid === null ? "none" : toHex(device.ueid);
    throw new Refusal("ueid-mismatch", `the evidence is from ${ueid}, the device says it is ${said}`);
  }
  if (enrolment === null) return;
  if (ueid !== enrolment.ueid) {
    throw new Refusal("ueid-mismatch", `the evidence is from ${ueid}, enrolled is ${enrolment.ueid}`);
  }
  const model = utf8Decode(claims.hwmodel) ?? toHex(claims.hwmodel);
  if (model !== enrolment.model) {
    throw new Refusal(
      "wrong-model",
      `the device is a ${quote(model)}, enrolled is a ${quote(enrolment.model)}`,
    );
  }
}

/**
 * The newest checkpoint of a log that a ledger holds, with its receipt; with a policy, both verified by the keys it
 * names. Refuses `not-anchored`, and what verification refuses.
 */
export function newestAnchored(logFolder: string, policy: Policy | null): Dated {
  const newest = listAnchors(logFolder).at(-1);
  const trusted = (r: { kind: string }) => policy?.ledgers.some(({ kind }) => kind === r.kind) !== false;
  const receipt = newest?.receipts.find(trusted) ?? newest?.receipts[0];
  if (newest === undefined || receipt === undefined) {
    throw new Refusal("not-anchored", "no checkpoint of the log is anchored", {
      hint: "`vouch anchor` places one on a ledger",
    });
  }
  // What `verify` would say of it later is better known before the device works for minutes.
  if (policy !== null) receiptTime(logFolder, newest.note, receipt, policy);
  return { checkpoint: newest.note, ledger: receipt.kind, receipt: receipt.proof };
}

export interface EvidenceFiles {
  readonly evidence: string;
  readonly challenge: string;
  readonly salt?: string;
  readonly commitment?: string;
}

/**
 * The names the files will have. Refuses `exists` when one is taken, before a device works for minutes: evidence and
 * what opens it belong together, and half a pair of each would read as a forgery.
 */
export function evidenceFiles(output: string, isLogged: boolean): EvidenceFiles {
  const base = output.replace(/\.eat$/, "");
  const files = { evidence: `${base}.eat`, challenge: `${base}.challenge` };
  const more = { salt: `${base}.salt`, commitment: `${base}.eat.commitment.dsse.json` };
  const all: EvidenceFiles = isLogged ? { ...files, ...more } : files;
  for (const path of Object.values(all)) {
    if (existsSync(path)) {
      throw new Refusal("exists", `${path} is there already; evidence is never written over`, {
        hint: "name another file with -o",
      });
    }
  }
  if (!existsSync(dirname(output))) throw new Refusal("not-found", `there is no folder ${dirname(output)}`);
  return all;
}

/** Writes F.eat last: where it is, what belongs to it is there too. */
export async function writeEvidence(
  files: EvidenceFiles,
  attested: Attested,
  signer: Signer | null,
  nowSeconds: number,
): Promise<EvidenceFiles> {
  const once = { overwrite: false };
  if (signer !== null && files.salt !== undefined && files.commitment !== undefined) {
    const { salt, statement } = await commitTo("evidence", attested.evidence, signer, nowSeconds);
    const evidenceSha256 = toHex(nodeCrypto.sha256(attested.evidence));
    writeWhole(files.salt, formatEvidenceSalt({ salt, evidenceSha256 }), { mode: 0o600, ...once });
    writeWhole(files.commitment, statement, once);
  }
  writeWhole(files.challenge, attested.challenge, once);
  writeWhole(files.evidence, attested.evidence, once);
  return files;
}

interface Flags extends SignerOptions, LineFlags {
  log: string;
  policy?: string;
  enrolment?: string;
  output: string;
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("attest")
    .description("Has a device measure itself and sign, over a nonce that dates the answer.")
    .requiredOption("--log <DIR>", "the log; its newest anchored checkpoint dates the nonce")
    .option("--policy <FILE>", "check that the log and the enroller are ones it names")
    .option("--enrolment <FILE>", "the evidence must be signed by the key enrolled here")
    .requiredOption("-o, --output <FILE>", "the evidence; the challenge is written beside it")
    .option("--json", "print one JSON object");
  withSigner(withLine(command, DEFAULT_TIMEOUT_S)).action(async (flags: Flags) => {
    const policy = flags.policy === undefined ? null : readPolicyNow(flags.policy);
    const anchor = about(flags.log, () => newestAnchored(flags.log, policy));
    const enrolment =
      flags.enrolment === undefined ? null : readEnrolment(flags.enrolment, enrollersOf(flags.log, policy));
    const wantsSigner = flags.key !== undefined || flags.signerCmd !== undefined;
    const signer = wantsSigner ? await loadSigner(flags, io) : null;
    const names = evidenceFiles(flags.output, signer !== null);
    const attested = await attest({ port: flags.port, anchor, enrolment, link: linkFrom(flags) }, io);
    const files = await writeEvidence(names, attested, signer, Math.floor(Date.now() / 1000));
    report(attested, files, enrolment, io);
  });
}

/** The policy with every enroller it has, or had when a device was enrolled: `verify` knows which counts where. */
export function enrollersOf(logFolder: string, policy: Policy | null): Policy | null {
  if (policy === null) return null;
  const now = policyNow(openLog(logFolder), policy).enrollers;
  return {
    ...policy,
    enrollers: [...policy.enrollers, ...now.filter((key) => !policy.enrollers.includes(key))],
  };
}

export function readEnrolment(path: string, policy: Policy | null): EnrolmentStatement {
  return about(path, () => openEnrolment(readInput(path, MAX_COMPANION), policy));
}

function report(
  attested: Attested,
  files: EvidenceFiles,
  enrolment: EnrolmentStatement | null,
  io: Io,
): void {
  const { claims, publicKey } = attested;
  const kid = toHex(kidOfKey(publicKey));
  if (io.json) {
    const components = claims.components.map(({ name, version, digest }) => ({
      name,
      version,
      sha256: toHex(digest),
    }));
    const { sequence: securityVersion, confirmed } = claims;
    const ids = { kid, ueid: toHex(claims.ueid), nonce: toHex(claims.nonce) };
    io.stdout(`${JSON.stringify({ ...files, ...ids, components, securityVersion, confirmed })}\n`);
    return;
  }
  for (const { name, digest } of claims.components)
    io.stdout(`${printable(name).padEnd(8)}sha256 ${toHex(digest)}\n`);
  io.stdout(`evidence in ${files.evidence}, nonce ${toHex(claims.nonce).slice(0, 16)}…, key ${kid}\n`);
  if (io.quiet) return;
  if (enrolment === null) io.stderr("the key is the device's own word; `vouch verify` tells whose it is\n");
  if (files.commitment !== undefined) {
    io.stderr(`add ${files.commitment} to the log, then anchor it: that bounds the evidence's age\n`);
  } else io.stderr("no -k, so no commitment to log: nothing will show until when this was measured\n");
}
