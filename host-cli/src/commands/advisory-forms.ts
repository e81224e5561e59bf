// What the verbs of `vouch advisory` share: what may be said of an advisory on the command line, and how a
// statement is signed or left a draft, timed and written.

import { formatEnvelope } from "@vouch/shared/dsse";
import { JUSTIFICATIONS } from "@vouch/shared/predicates";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { AdvisoryStatement, Statement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { usage } from "../exit";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { loadSigner, type Signer, type SignerOptions } from "../signer";
import { digestNamed, draftEnvelope, signStatement, splitComponentFlag } from "../statementfile";
import { writeOutput } from "../writefiles";

/** What may be said of an advisory beside its id and product. */
export interface AdvisoryWords {
  /** `component=FILE` or `component=DIGEST`. */
  affects?: readonly string[];
  range?: string;
  /** `VERSION=STATUS` or `VERSION=not_affected:JUSTIFICATION`. */
  release?: readonly string[];
  fixed?: readonly string[];
  kind?: AdvisoryStatement["advisoryKind"];
  state?: AdvisoryStatement["state"];
  summary?: string;
  alias?: readonly string[];
  cvss?: readonly string[];
  class?: NonNullable<AdvisoryStatement["class"]>;
  deadline?: string;
  reference?: readonly string[];
}

/** These words as members of the statement; what isn't said is left out. */
export function membersOf(words: AdvisoryWords): Partial<AdvisoryStatement> {
  const { kind, state, summary, range, fixed, alias, cvss, deadline, reference } = words;
  return {
    ...(words.affects && { subjects: words.affects.map(subjectNamed) }),
    ...(kind !== undefined && { advisoryKind: kind }),
    ...(state !== undefined && { state }),
    ...(fixed && { fixedVersions: fixed }),
    ...(summary !== undefined && { summary }),
    ...(alias && { aliases: alias }),
    ...(range !== undefined && { affected: range }),
    ...(words.release && { releases: words.release.map(saidOf).sort(byVersion) }),
    ...(cvss && { cvss }),
    ...(words.class !== undefined && { class: words.class }),
    ...(deadline !== undefined && { deadline: isoTime(parseMoment(deadline, "--deadline")) }),
    ...(reference && { references: reference }),
  };
}

function subjectNamed(value: string) {
  const { name, path } = splitComponentFlag("--affects", value);
  return { name, sha256: digestNamed(path, name) };
}

type Said = NonNullable<AdvisoryStatement["releases"]>[number];
const byVersion = (a: Said, b: Said) => (a.version < b.version ? -1 : 1);
const SAYINGS = ["affected", "fixed", "not_affected", "under_investigation"] as const;

function saidOf(value: string): Said {
  const [, version = "", status, justification] = /^([^=]+)=([a-z_]+)(?::([a-z_]+))?$/.exec(value) ?? [];
  const known = SAYINGS.find((word) => word === status);
  const why = JUSTIFICATIONS.find((word) => word === justification);
  const isWhole = (known === "not_affected") === (justification !== undefined);
  if (known === undefined || (justification !== undefined && why === undefined) || !isWhole) {
    throw usage(
      `--release: found ${quote(value)}, expected VERSION=STATUS with ${SAYINGS.join(", ")}`,
      `not_affected takes a reason: 2.4.1=not_affected:${JUSTIFICATIONS.join(" | ")}`,
    );
  }
  return { version, status: known, ...(why !== undefined && { justification: why }) };
}

/** Refuses `affects-nothing`. */
export function affecting(statement: AdvisoryStatement): AdvisoryStatement {
  if (statement.subjects.length > 0 || statement.affected !== undefined) return statement;
  throw new Refusal(
    "affects-nothing",
    `advisory ${quote(statement.id)} names neither an image nor versions`,
    {
      hint: "--affects app=IMAGE, or --range 'vers:semver/>=2.0.0|<2.4.0'",
    },
  );
}

/** Signed, or the draft of it. */
export async function statementBytes(statement: Statement, signer: Signer | null): Promise<Uint8Array> {
  return signer === null ? formatEnvelope(draftEnvelope(statement)) : signStatement(statement, signer);
}

export const KINDS = ["security", "recall", "field-safety-notice"] as const;
const STATES = ["affected", "under_investigation"] as const;
const CLASSES = ["regular", "out-of-cycle"] as const;

export function oneOf<T extends string>(flag: string, words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw usage(`${flag}: found ${quote(text)}, expected ${words.join(", ")}`);
    return found;
  };
}

export interface OutputFlags extends SignerOptions {
  draft?: boolean;
  created?: string;
  output?: string;
}

/** The flags that say what an advisory says. */
export function withWords(command: Command): Command {
  return command
    .option("--affects <NAME=IMAGE...>", "component and image: a file, a release's .dsse.json, or a digest")
    .option("--range <RANGE>", "releases by version: 'vers:semver/>=2.0.0|<2.4.0'")
    .option(
      "--release <VERSION=STATUS...>",
      "of one release: affected, fixed, not_affected:REASON, under_investigation",
    )
    .option("--fixed <VERSION...>", "releases that don't have the problem")
    .option("--state <STATE>", STATES.join(" or "), oneOf("--state", STATES))
    .option("--alias <ID...>", "CVE and other names")
    .option("--cvss <VECTOR...>", "severity: CVSS 3.0, 3.1 or 4.0")
    .option("--class <CLASS>", `${CLASSES.join(" or ")} (as soon as possible)`, oneOf("--class", CLASSES))
    .option("--deadline <TIME>", "by when devices must be mended")
    .option("--reference <TEXT...>", "an address, a recall number, an id in the risk file");
}

/** The flags of what writes a statement. */
export function withOutput(command: Command): Command {
  return command
    .option("--draft", "unsigned, for `vouch advisory sign`, instead of a signer")
    .option("--created <TIME>", "instead of now, for a reproducible statement")
    .option("-o, --output <FILE>", "default: stdout")
    .option("--json", "print one JSON object");
}

/** Who signs: the flags' signer, or nobody with --draft. */
export async function signerOrDraft(flags: OutputFlags, io: Io): Promise<Signer | null> {
  if (flags.draft !== true) return loadSigner(flags, io);
  if (flags.key !== undefined || flags.signerCmd !== undefined)
    throw usage("--draft is unsigned", "leave out the signer, or --draft");
  return null;
}

/** The flags' time, and no statement and JSON on one stdout. */
export function momentOf(flags: OutputFlags, io: Io): number {
  if (io.json && (flags.output === undefined || flags.output === "-"))
    throw usage("--json and the statement can't both go to stdout", "-o FILE");
  return flags.created === undefined
    ? Math.floor(Date.now() / 1000)
    : parseMoment(flags.created, "--created");
}

/** Writes the statement, and says under --json what it is. */
export function writeStatement(io: Io, flags: OutputFlags, bytes: Uint8Array, said: object): void {
  writeOutput(io, flags.output, Buffer.from(bytes).toString("utf8"));
  if (io.json) io.stdout(`${JSON.stringify({ ...said, statement: flags.output })}\n`);
}
