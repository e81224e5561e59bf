// vouch renew: keeps a bundle provable when its keys leak, its ledger ends or its hash weakens (shared/src/renewal.ts).
//
//   renew new    the bundle is judged; what was found, the bundle's bytes and a salt are
//                hashed, and the digests signed        X.renewal, X.renewal.commitment.dsse.json
//   (then `vouch log add` puts the commitment into a log, `vouch anchor` anchors it)
//   renew seal   the proof that it is there goes in front of the bundle
//
// A bundle that was renewed before is renewed as it is: the new proof is for all of it. X.renewal holds the salt, which
// opens what the log holds: it stays with the bundle, and neither file is ever replaced.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { formatBundle, parseBundle } from "@vouch/shared/bundle";
import { proveInclusion } from "@vouch/shared/merkle";
import { Refusal } from "@vouch/shared/refusal";
import {
  checkCommitted,
  type Found,
  formatRenewalDraft,
  formatRenewed,
  MAX_RENEWED,
  parseRenewalDraft,
  parseRenewed,
  RENEWAL_SALT,
  type RenewalDraft,
  renewalDigests,
  renewalsOf,
} from "@vouch/shared/renewal";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { listAnchors } from "../log/anchors";
import { firstHolding, placeOf, walkFor } from "../log/bundling";
import { openLog } from "../log/store";
import { mainReason } from "../output/verdict";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { signStatement } from "../statementfile";
import { writeOutput, writeWhole } from "../writefiles";
import { verifyFiles } from "./verify";

const MAX_DRAFT = 128 * 1024;

/** A signed commitment to a bundle and what was found of it. `now` is Unix seconds. */
export async function draftRenewal(
  content: Uint8Array,
  found: Found,
  signer: Signer,
  now: number,
): Promise<RenewalDraft> {
  const salted = { ...found, salt: new Uint8Array(randomBytes(RENEWAL_SALT)) };
  const digests = renewalDigests(salted, content, nodeCrypto);
  const created = isoTime(now);
  const statement = await signStatement({ kind: "renewal-commitment", ...digests, created }, signer);
  return { ...salted, statement };
}

/** The renewed file. Refuses `commitment-mismatch`, `not-logged`, `not-anchored`, and as the walk beside the log does. */
export function sealRenewal(content: Uint8Array, draft: RenewalDraft, logFolder: string): Uint8Array {
  checkCommitted(draft.statement, draft, content, nodeCrypto);
  const log = openLog(logFolder);
  const index = placeOf(log, draft.statement, "the renewal's commitment");
  const anchor = firstHolding({ anchors: listAnchors(logFolder) }, index);
  const walk = walkFor(logFolder, [anchor]);
  const { salt, policy, verdict, at, statement } = draft;
  const proof = proveInclusion(index, anchor.size, log.hashReader, nodeCrypto);
  const { note, receipts } = anchor;
  const record = { index, statement, proof };
  return formatRenewed(
    { salt, policy, verdict, at, record, note, receipts, ...(walk === null ? {} : { walk }) },
    content,
  );
}

/** A bundle's bytes, with lines in front or without. Refuses what is no bundle. */
export function readRenewable(path: string): Uint8Array {
  const content = readInput(path, MAX_RENEWED);
  about(path, () => formatBundle(parseBundle(parseRenewed(content).bundle)));
  return content;
}

interface NewFlags extends SignerOptions {
  policy: string;
  output: string;
  at?: string;
  releaseOnly?: boolean;
}

async function renewNew(path: string, flags: NewFlags, io: Io): Promise<void> {
  const { output } = flags;
  if (!output.endsWith(".renewal"))
    throw usage(`--output: found ${output}, expected a name that ends in .renewal`);
  const beside = `${output}.commitment.dsse.json`;
  const content = readRenewable(path);
  const now = Math.floor(Date.now() / 1000);
  const draft = existsSync(output)
    ? resumed(output, content) // a cut came between the two files
    : await draftRenewal(content, foundBy(path, flags, now), await loadSigner(flags, io), now);
  if (!existsSync(output)) writeWhole(output, formatRenewalDraft(draft), { mode: 0o600, overwrite: false });
  writeWhole(beside, draft.statement, { overwrite: false });
  const { verdict, policy, at } = draft;
  if (io.json) io.stdout(`${JSON.stringify({ renewal: output, commitment: beside, verdict, policy, at })}\n`);
  else if (!io.quiet)
    io.stderr(
      `found ${verdict} for ${at}\n${output}: keep it with the bundle\n${beside}: for \`vouch log add\`\n`,
    );
}

function resumed(output: string, content: Uint8Array): RenewalDraft {
  return about(output, () => {
    const draft = parseRenewalDraft(readInput(output, MAX_DRAFT));
    checkCommitted(draft.statement, draft, content, nodeCrypto);
    return draft;
  });
}

/** What the policy says of it. Refuses `bundle-refuted`: there is nothing to keep. */
function foundBy(path: string, flags: NewFlags, now: number): Found {
  const { policy, at, releaseOnly } = flags;
  const verdict = verifyFiles(
    path,
    { policy, ...(at !== undefined && { at }), ...(releaseOnly !== undefined && { releaseOnly }) },
    now,
  );
  if (verdict.word === "refuted") {
    const reason = mainReason(verdict);
    throw new Refusal("bundle-refuted", `${path} is refuted: ${reason?.message} [${reason?.code}]`);
  }
  return { policy: verdict.policyDigest, verdict: verdict.word, at: isoTime(verdict.at) };
}

function renewSeal(path: string, flags: { renewal: string; log: string; output?: string }, io: Io): void {
  if (io.json && (flags.output === undefined || flags.output === "-"))
    throw usage("--json needs --output FILE", "the bundle itself goes to stdout otherwise");
  const content = readRenewable(path);
  const draft = about(flags.renewal, () => parseRenewalDraft(readInput(flags.renewal, MAX_DRAFT)));
  const bytes = sealRenewal(content, draft, flags.log);
  writeOutput(io, flags.output, new TextDecoder().decode(bytes));
  const renewals = renewalsOf(parseRenewed(bytes)).length;
  if (io.json) io.stdout(`${JSON.stringify({ file: flags.output, bytes: bytes.length, renewals })}\n`);
  else if (!io.quiet) io.stderr(`bundle of ${bytes.length} bytes; renewals: ${renewals}\n`);
}

export function define(program: Command, io: Io): void {
  const renew = program
    .command("renew")
    .description("Keeps a bundle provable for longer than its keys, its ledger and its hash.");
  withSigner(renew.command("new"))
    .description("Judges a bundle and signs a commitment to it and to what was found, for `vouch log add`.")
    .argument("<bundle>", "the bundle, renewed before or not")
    .requiredOption("--policy <FILE>", "whom to trust")
    .requiredOption("-o, --output <FILE>", "where to write the renewal: NAME.renewal")
    .option("--at <TIME>", "what to ask about the bundle: the moment that it is kept for, instead of now")
    .option("--release-only", "ask about the release alone")
    .option("--json", "print what was made as one JSON object")
    .action((bundle: string, flags: NewFlags) => renewNew(bundle, flags, io));
  renew
    .command("seal")
    .description("Puts the proof that the commitment is logged and anchored in front of the bundle.")
    .argument("<bundle>", "the bundle, exactly as `renew new` read it")
    .requiredOption("--renewal <FILE>", "what `renew new` wrote")
    .requiredOption("--log <DIR>", "the log that holds its commitment, with its anchors")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was made as one JSON object; needs --output")
    .action((bundle: string, flags: { renewal: string; log: string; output?: string }) =>
      renewSeal(bundle, flags, io),
    );
}
