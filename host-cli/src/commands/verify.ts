// vouch verify BUNDLE --policy P: files in, verdict out. Opens no socket and remembers
// nothing, but for --ledger-state; the argument itself is shared/src/appraise.ts. --fraud is in verify-fraud.ts,
// --proof in verify-proof.ts.

import { appraise, type Question } from "@vouch/shared/appraise";
import { MAX_CHALLENGE, parseChallenge } from "@vouch/shared/companions";
import { earOf } from "@vouch/shared/ear";
import { parsePolicy } from "@vouch/shared/policy";
import { Refusal } from "@vouch/shared/refusal";
import { MAX_RENEWED } from "@vouch/shared/renewal";
import { EXIT_STATUS, type Verdict } from "@vouch/shared/verdict";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, printable, usage } from "../exit";
import { ImageChanged, openImages, splitImageFlag } from "../image";
import type { Io } from "../io";
import { checkForm } from "../kinds";
import { mldsaOnDemand } from "../mldsa";
import { parseMoment } from "../moment";
import { nextStep } from "../output/nextstep";
import { mainReason, verdictText } from "../output/verdict";
import { readInput } from "../readfiles";
import { rebasedOnDemand } from "../rebased";
import { stardustOnDemand } from "../stardust";
import { VERSION } from "../version";
import { keepFraudIn, printFraud } from "./verify-fraud";
import { printProof } from "./verify-proof";

const MAX_POLICY = 256 * 1024;
const MAX_EVIDENCE = 64 * 1024;

export interface VerifyOptions {
  readonly policy: string;
  readonly image?: readonly string[];
  readonly evidence?: string;
  readonly at?: string;
  readonly releaseOnly?: boolean;
  readonly ledgerState?: string;
}

/** Reads the files and appraises them. `now` is Unix seconds. Throws for trouble with anything but the bundle. */
export function verifyFiles(bundle: string, options: VerifyOptions, now: number): Verdict {
  if (options.releaseOnly === true && options.evidence !== undefined) {
    throw usage("--release-only looks at no device", "leave out --evidence, or --release-only");
  }
  const images = options.image ?? [];
  const fromStdin = [
    bundle,
    options.policy,
    options.evidence,
    ...images.map((flag) => splitImageFlag(flag).path),
  ];
  if (fromStdin.filter((path) => path === "-").length > 1) throw usage("only one input can come from stdin");
  const at = options.at === undefined ? now : parseMoment(options.at, "--at");
  if (at > now) throw usage(`--at ${options.at} is in the future`, "leave --at out to ask about now");
  const policy = about(options.policy, () => parsePolicy(readInput(options.policy, MAX_POLICY), nodeCrypto));
  const rebased = rebasedOnDemand(options.ledgerState ?? null);
  const question: Question = {
    bundle: readBundle(bundle),
    policy,
    crypto: nodeCrypto,
    at,
    now,
    releaseOnly: options.releaseOnly === true,
    images: openImages(images),
    handed: options.evidence === undefined ? null : [readEvidence(options.evidence)],
    rebased: rebased.open,
    stardust: stardustOnDemand,
    mldsa: mldsaOnDemand,
  };
  try {
    const verdict = appraise(question);
    rebased.keep();
    return withFraud(verdict, question);
  } catch (error) {
    if (!(error instanceof ImageChanged)) throw error;
    throw new Refusal("image-changed", `${error.path} changed while it was read`, {
      hint: "copy it, and verify the copy",
    });
  }
}

/** The file's bytes. Refuses `not-a-bundle`, which is no verdict: whoever mistyped a name asked about nothing. */
export const readBundle = (path: string): Uint8Array =>
  about(path === "-" ? "stdin" : path, () => {
    const bytes = readInput(path, MAX_RENEWED);
    checkForm("bundle", bytes);
    return bytes;
  });

/** Reasons that two checkpoints which contradict each other give. */
const CONTRADICTIONS: ReadonlySet<string> = new Set([
  "challenge-not-anchored",
  "consistency-mismatch",
  "malformed-bundle",
]);

/** With a note of where the proof is, when checkpoints that the log signed contradict each other. */
function withFraud(verdict: Verdict, { bundle, handed, policy }: Question): Verdict {
  if (!verdict.reasons.some(({ code }) => CONTRADICTIONS.has(code))) return verdict;
  const challenges = handed?.map(({ challenge }) => challenge.checkpoint) ?? [];
  const hint = keepFraudIn(bundle, challenges, policy.log);
  return hint === null ? verdict : { ...verdict, notes: [...verdict.notes, hint] };
}

/** The evidence, and the challenge that lies beside it under the same name. */
function readEvidence(path: string) {
  const beside = `${path.replace(/\.eat$/, "")}.challenge`;
  return {
    evidence: readInput(path, MAX_EVIDENCE),
    challenge: about(beside, () => parseChallenge(readInput(beside, MAX_CHALLENGE))),
  };
}

/** Prints a verdict as text or EAR, and sets the exit status that goes with it. */
export function printVerdict(verdict: Verdict, subject: string, explain: boolean, now: number, io: Io): void {
  if (io.json) io.stdout(`${JSON.stringify(earOf(verdict, now, `vouch ${VERSION}`))}\n`);
  else io.stdout(verdictText(verdict, explain, io));
  const reason = mainReason(verdict);
  if (reason !== undefined && !io.json) {
    const isNoBundle = reason.claim === "bundle" && verdict.product === null;
    const hint = reason.hint ?? (isNoBundle ? whatElse(subject) : nextStep(reason.code));
    const lines = [`vouch: ${subject}: ${reason.message} [${reason.code}]`];
    if (hint !== undefined) lines.push(`vouch: hint: ${hint}`);
    io.stderr(lines.map((line) => `${printable(line)}\n`).join(""));
  }
  io.exitCode = EXIT_STATUS[verdict.word];
}

const whatElse = (subject: string) =>
  /\.(jsonl|fleet|cborseq)$/.test(subject)
    ? "a fleet file is judged by `audit`"
    : `\`vouch inspect ${subject}\` tells what it is`;

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export function define(program: Command, io: Io): void {
  program
    .command("verify")
    .description("Settles whether a bundle, image and device hold up, offline.")
    .argument("[bundle]", "the bundle (.vouch.json), or - for stdin")
    .option("--policy <FILE>", "whom to trust: keys, thresholds, ages")
    .option(
      "--image <[COMPONENT=]FILE>",
      "an image to hash; app unless a component is named (repeatable)",
      collect,
    )
    .option(
      "--evidence <FILE>",
      "judge this evidence (.eat, with its .challenge beside it) instead of the bundle's",
    )
    .option("--at <TIME>", "answer for this moment (2026-01-15T09:00:00Z) instead of now")
    .option("--release-only", "stop after claim 4: verified says nothing of any device")
    .option(
      "--ledger-state <FILE>",
      "keep in FILE which committees of IOTA's ledger were proved, to walk less the next time",
    )
    .option("--offline", "open no socket (the default; accepted for scripts)")
    .option("--explain", "name the rule and the bytes of each step")
    .option("--fraud <FILE>", "instead: whether this file proves that a log contradicted itself")
    .option("--proof <FILE>", "instead: whether this tlog-proof or COSE receipt places a record in a log")
    .option("--entry <FILE>", "of --proof: the record")
    .option(
      "--log-key <VKEY>",
      "of --fraud and --proof: the log's verifier key, or its file, where no policy names it",
    )
    .option("--json", "print an EAR attestation result; of --fraud and --proof, what it proves")
    .action((bundle: string | undefined, options: Flags) => {
      const now = Math.floor(Date.now() / 1000);
      const { policy, fraud, proof } = options;
      if (fraud !== undefined && proof !== undefined) throw usage("--fraud and --proof exclude each other");
      if (bundle !== undefined && fraud !== undefined) throw usage("--fraud takes no bundle");
      if (bundle !== undefined && proof !== undefined) throw usage("--proof takes no bundle");
      if (proof === undefined && options.entry !== undefined) throw usage("--entry goes with --proof");
      if (fraud !== undefined || proof !== undefined)
        refuseBundlesFlags(fraud === undefined ? "--proof" : "--fraud", options);
      if (fraud !== undefined) return printFraud({ ...options, fraud }, now, io);
      if (proof !== undefined) return printProof({ ...options, proof }, now, io);
      if (bundle === undefined) throw usage("expected a bundle, --fraud FILE or --proof FILE");
      if (policy === undefined)
        throw usage("expected --policy FILE", "nothing is trusted that no policy names");
      if (options.logKey !== undefined) throw usage("--log-key goes with --fraud or --proof");
      const verdict = verifyFiles(bundle, { ...options, policy }, now);
      printVerdict(verdict, bundle, options.explain === true, now, io);
    });
}

/** What is asked of a bundle is asked of nothing else; passed over, it would look as if it had been answered. */
function refuseBundlesFlags(instead: string, flags: Flags): void {
  const asked = {
    "--image": flags.image,
    "--evidence": flags.evidence,
    "--at": flags.at,
    "--release-only": flags.releaseOnly,
    "--ledger-state": flags.ledgerState,
    "--explain": flags.explain,
  };
  for (const [name, value] of Object.entries(asked))
    if (value !== undefined) throw usage(`${name} is about a bundle, ${instead} is asked without one`);
}

type Flags = Omit<VerifyOptions, "policy"> & {
  policy?: string;
  explain?: boolean;
  fraud?: string;
  proof?: string;
  entry?: string;
  logKey?: string;
};
