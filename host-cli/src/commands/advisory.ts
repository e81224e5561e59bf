// vouch advisory: signed statements that releases have a problem, and what becomes of them.
//
//   new       the first form                       one status key, or t approvers
//   update    a later form, one revision higher    the same, where it affects no less; else t approvers
//   withdraw  it was wrong                         t approvers
//   sign      one signature more, in place         what t approvers do with a draft
//   import    from CSAF, OSV or OpenVEX            advisory-exchange.ts
//   export    as CSAF or OSV                       advisory-exchange.ts
//
// An advisory names images by digest, or versions of signed releases by range: a verdict
// compares with what a device measured and what approvers signed, never with what a device
// says of itself. Put it in the log, then make a status that lists it.

import { Refusal } from "@vouch/shared/refusal";
import type { AdvisoryStatement, AdvisoryWithdrawal } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { countersign } from "../countersign";
import type { Io } from "../io";
import { table } from "../output/terminal";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { readStatementFile, type StatementFile } from "../statementfile";
import { updateAdvisory, withdrawAdvisory } from "./advisory-change";
import { defineExport, defineImport } from "./advisory-exchange";
import {
  type AdvisoryWords,
  affecting,
  KINDS,
  membersOf,
  momentOf,
  type OutputFlags,
  oneOf,
  signerOrDraft,
  statementBytes,
  withOutput,
  withWords,
  writeStatement,
} from "./advisory-forms";

export interface NewAdvisory extends AdvisoryWords {
  id: string;
  product: string;
  kind: AdvisoryStatement["advisoryKind"];
  summary: string;
}

/**
 * The bytes for the log, or a draft for `advisory sign` when there is no signer. `now` is its `created`. Refuses
 * `malformed-statement`, `affects-nothing`, and an unreadable image.
 */
export async function newAdvisory(
  wanted: NewAdvisory,
  signer: Signer | null,
  now: number,
): Promise<Uint8Array> {
  const { subjects = [], ...members } = membersOf(wanted);
  return statementBytes(
    affecting({
      kind: "advisory",
      subjects,
      id: wanted.id,
      product: wanted.product,
      advisoryKind: wanted.kind,
      state: "affected",
      fixedVersions: [],
      summary: wanted.summary,
      created: isoTime(now),
      ...members,
    }),
    signer,
  );
}

type Made = AdvisoryStatement | AdvisoryWithdrawal;

/** An advisory or a withdrawal in a file. Refuses `wrong-statement`. */
export function readAdvisoryFile(path: string): StatementFile<Made> {
  const { statement, ...rest } = readStatementFile(path);
  if (statement.kind !== "advisory" && statement.kind !== "advisory-withdrawal") {
    throw new Refusal(
      "wrong-statement",
      `${path} is a statement of kind ${statement.kind}, expected an advisory or a withdrawal of one`,
    );
  }
  return { ...rest, statement };
}

/** What somebody is about to put their name to, a line each. */
export function describeAdvisory(statement: Made): string {
  const { id, product, created } = statement;
  if (statement.kind === "advisory-withdrawal") {
    return table([
      ["withdraws", `${id} of ${product}, ${statement.reason}; ${created}`],
      ...statement.records.map((record) => ["record", `sha256 ${record}`]),
    ]);
  }
  const { revision, advisoryKind, state, summary, subjects, affected, releases = [] } = statement;
  const { fixedVersions, aliases = [], cvss = [], deadline, references = [] } = statement;
  return table([
    ["advisory", `${id} of ${product}, revision ${revision ?? 1}, ${advisoryKind}, ${state}; ${created}`],
    ["summary", summary],
    ...subjects.map(({ name, sha256 }) => [name, `sha256 ${sha256}`]),
    ...(affected === undefined ? [] : [["versions", affected]]),
    ...releases.map((r) => [
      "release",
      `${r.version} ${r.status}${r.justification ? `: ${r.justification}` : ""}`,
    ]),
    ["fixed in", fixedVersions.join(", ") || "no release yet"],
    ...(aliases.length === 0 ? [] : [["aliases", aliases.join(", ")]]),
    ...cvss.map((vector) => ["severity", vector]),
    ...(statement.class === undefined ? [] : [["class", statement.class]]),
    ...(deadline === undefined ? [] : [["deadline", deadline]]),
    ...references.map((reference) => ["reference", reference]),
  ]);
}

export function define(program: Command, io: Io): void {
  const advisory = program.command("advisory").description("States that releases are affected by something.");
  defineNew(advisory, io);
  defineUpdate(advisory, io);
  defineWithdraw(advisory, io);
  defineSign(advisory, io);
  defineImport(advisory, io);
  defineExport(advisory, io);
}

function defineNew(advisory: Command, io: Io): void {
  const command = withSigner(advisory.command("new"))
    .description("Writes a signed advisory, for `vouch log add`.")
    .requiredOption("--id <ID>", "its name in your own numbering, one word")
    .requiredOption("--product <NAME>", "the product, as in its releases")
    .requiredOption("--kind <KIND>", KINDS.join(", "), oneOf("--kind", KINDS))
    .requiredOption("--summary <TEXT>", "one line for whoever reads a verdict");
  withOutput(withWords(command)).action(async (flags: NewAdvisory & OutputFlags) => {
    const now = momentOf(flags, io);
    const bytes = await newAdvisory(flags, await signerOrDraft(flags, io), now);
    writeStatement(io, flags, bytes, { id: flags.id, product: flags.product });
  });
}

interface ChangeFlags extends OutputFlags {
  log: string;
  id: string;
  product: string;
}

const withRecord = (command: Command) =>
  command
    .requiredOption("--log <DIR>", "the log that holds it")
    .requiredOption("--id <ID>", "the advisory")
    .requiredOption("--product <NAME>", "its product");

function defineUpdate(advisory: Command, io: Io): void {
  const command = withRecord(withSigner(advisory.command("update")))
    .description("Writes a later form of an advisory: what is given takes the place of what it said.")
    .option("--kind <KIND>", KINDS.join(", "), oneOf("--kind", KINDS))
    .option("--summary <TEXT>", "one line for whoever reads a verdict")
    .option("--narrow", "it may affect less than before, which takes the approvers' signatures");
  withOutput(withWords(command)).action(async (flags: AdvisoryWords & ChangeFlags & { narrow?: boolean }) => {
    const now = momentOf(flags, io);
    const made = updateAdvisory({ ...flags, members: membersOf(flags), narrow: flags.narrow === true }, now);
    const bytes = await statementBytes(affecting(made.statement), await signerOrDraft(flags, io));
    const { id, product, revision } = made.statement;
    writeStatement(io, flags, bytes, { id, product, revision, of: made.of, narrows: made.narrows });
    if (!io.json && !io.quiet) {
      const who = made.narrows ? "it affects less and takes the approvers" : "it affects no less";
      io.stderr(`revision ${revision} of ${id}, which is record ${made.of}; ${who}\n`);
    }
  });
}

function defineWithdraw(advisory: Command, io: Io): void {
  const command = withRecord(withSigner(advisory.command("withdraw")))
    .description("Writes a statement that an advisory was wrong; it takes the approvers' signatures.")
    .requiredOption("--reason <TEXT>", "one line for whoever reads a verdict");
  withOutput(command).action(async (flags: ChangeFlags & { reason: string }) => {
    const now = momentOf(flags, io);
    const statement = withdrawAdvisory(flags, now);
    const bytes = await statementBytes(statement, await signerOrDraft(flags, io));
    const { id, product, records } = statement;
    writeStatement(io, flags, bytes, { id, product, records });
    if (!io.json && !io.quiet)
      io.stderr(`${id}: ${records.length} of its records; it counts once the approvers have signed\n`);
  });
}

function defineSign(advisory: Command, io: Io): void {
  withSigner(advisory.command("sign"))
    .description("Adds one signature to an advisory or a withdrawal, in place, after showing what it says.")
    .argument("<file>", "the .dsse.json")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: SignerOptions) => {
      const shown = readAdvisoryFile(file); // asking for a passphrase takes time
      if (!io.quiet) io.stderr(describeAdvisory(shown.statement));
      const signer = await loadSigner(flags, io);
      const signed = await countersign(file, readAdvisoryFile, signer, undefined, shown);
      const { statement, keyid, signatures } = signed;
      const { id, product, kind } = statement;
      if (io.json) io.stdout(`${JSON.stringify({ kind, id, product, keyid, signatures })}\n`);
      else
        io.stdout(
          `${kind} ${id} signed by ${signer.name}, key ${keyid.slice(0, 16)}…, signature ${signatures}\n`,
        );
    });
}
