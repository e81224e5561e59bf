// vouch advisory import and export: advisories from and to the documents that others read.
//
//   import  CSAF 2.0, OSV or OpenVEX, told apart by what is in them ──▶ a statement, or a draft of one
//   export  an advisory's statements, first form to last ──▶ CSAF 2.0 or OSV
//
// An imported statement says what the document says of one product and one vulnerability, and what the flags
// add. Whoever signs it answers for it: the document's own signature is not looked at.

import { importCsaf } from "@vouch/shared/exchange/csaf";
import { csafOf, osvOf } from "@vouch/shared/exchange/export";
import { type Imported, importedStatement, MAX_DOCUMENT, parseForeign } from "@vouch/shared/exchange/foreign";
import { importOpenVex } from "@vouch/shared/exchange/openvex";
import { importOsv } from "@vouch/shared/exchange/osv";
import { Refusal } from "@vouch/shared/refusal";
import type { AdvisoryStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { readInput } from "../readfiles";
import { withSigner } from "../signer";
import { readStatementFile } from "../statementfile";
import { writeOutput } from "../writefiles";
import { updateAdvisory } from "./advisory-change";
import {
  type AdvisoryWords,
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

interface ImportFlags extends OutputFlags, AdvisoryWords {
  product: string;
  productName?: string;
  vulnerability?: string;
  id?: string;
  log?: string;
  narrow?: boolean;
}

type Format = "csaf" | "osv" | "openvex";

/** What a document is. Refuses `unknown-document`. */
function formatOf(bytes: Uint8Array): Format {
  const value = parseForeign(bytes, "the document");
  const has = (key: string) => typeof value === "object" && value !== null && Object.hasOwn(value, key);
  if (has("document") && has("vulnerabilities")) return "csaf";
  if (has("@context") && has("statements")) return "openvex";
  if (has("id") && has("modified")) return "osv";
  throw new Refusal("unknown-document", "found neither a CSAF, an OSV nor an OpenVEX document");
}

function readDocument(bytes: Uint8Array, format: Format, flags: ImportFlags): Imported {
  const productName = flags.productName ?? flags.product;
  const { vulnerability } = flags;
  switch (format) {
    case "csaf":
      return importCsaf(bytes, { productName, vulnerability });
    case "openvex":
      return importOpenVex(bytes, { productName, vulnerability });
    case "osv":
      if (vulnerability !== undefined) throw usage("--vulnerability: an OSV record is about one");
      return importOsv(bytes, productName);
    default:
      return format satisfies never;
  }
}

/** What the document says, with the flags' words in place of its own. Refuses as the document's reader does. */
export function importAdvisory(file: string, flags: ImportFlags, now: number) {
  return about(file, () => {
    const bytes = readInput(file, MAX_DOCUMENT);
    const format = formatOf(bytes);
    const read = readDocument(bytes, format, flags);
    const told = importedStatement({ ...read, id: flags.id ?? read.id }, flags.product, isoTime(now));
    const statement: AdvisoryStatement = { ...told, ...membersOf(flags) };
    return { format, statement, remarks: read.remarks };
  });
}

/** In a log that holds the advisory it is a later form of it, else the first. */
function placed(statement: AdvisoryStatement, flags: ImportFlags, now: number): AdvisoryStatement {
  if (flags.log === undefined) return statement;
  const { id, product, kind: _kind, created: _created, revision: _revision, ...members } = statement;
  try {
    const narrow = flags.narrow === true;
    return updateAdvisory({ log: flags.log, id, product, members, narrow, whole: true }, now).statement;
  } catch (error) {
    if ((error as { code?: unknown }).code === "unknown-advisory") return statement;
    throw error;
  }
}

export function defineImport(advisory: Command, io: Io): void {
  const command = withSigner(advisory.command("import"))
    .description("Makes an advisory of a CSAF 2.0, OSV or OpenVEX document; flags add to what it says.")
    .argument("<file>", "the document, - is stdin")
    .requiredOption("--product <NAME>", "our product, as in its releases")
    .option("--product-name <TEXT>", "what the document calls it; the same unless given")
    .option("--vulnerability <ID>", "which one, where the document has several")
    .option("--id <ID>", "in place of the document's")
    .option("--log <DIR>", "a log that may hold an earlier form of it")
    .option("--narrow", "it may affect less than before, which takes the approvers' signatures")
    .option("--kind <KIND>", KINDS.join(", "), oneOf("--kind", KINDS))
    .option("--summary <TEXT>", "in place of the document's");
  withOutput(withWords(command)).action(async (file: string, flags: ImportFlags) => {
    const now = momentOf(flags, io);
    const { format, statement: told, remarks } = importAdvisory(file, flags, now);
    const statement = placed(told, flags, now);
    const bytes = await statementBytes(statement, await signerOrDraft(flags, io));
    for (const remark of remarks) io.stderr(`note: ${remark}\n`);
    const { id, product, revision = 1 } = statement;
    writeStatement(io, flags, bytes, { format, id, product, revision, advisory: statement, remarks });
    if (!io.json && !io.quiet) io.stderr(`${format}: ${id} of ${product}, revision ${revision}\n`);
  });
}

interface ExportFlags {
  csaf?: boolean;
  osv?: boolean;
  publisher?: string;
  namespace?: string;
  ecosystem?: string;
  output?: string;
}

function exported(files: readonly string[], flags: ExportFlags): Uint8Array {
  if ((flags.csaf === true) === (flags.osv === true)) throw usage("expected exactly one of --csaf and --osv");
  if (flags.osv === true && (flags.publisher !== undefined || flags.namespace !== undefined))
    throw usage("--publisher and --namespace are for --csaf");
  if (flags.csaf === true && flags.ecosystem !== undefined) throw usage("--ecosystem is for --osv");
  const statements = files.map((file) => readStatementFile(file).statement);
  const other = statements.find((s) => s.kind !== "advisory" && s.kind !== "advisory-withdrawal");
  if (other !== undefined)
    throw new Refusal("wrong-statement", `found a statement of kind ${other.kind}, expected advisories`);
  const forms = statements.filter((s) => s.kind === "advisory");
  const [withdrawal] = statements.filter((s) => s.kind === "advisory-withdrawal");
  if (flags.osv === true) return osvOf(forms, { ecosystem: flags.ecosystem, withdrawal });
  if (withdrawal !== undefined)
    throw new Refusal("withdrawn", `${withdrawal.id} is withdrawn, which CSAF 2.0 has no word for`, {
      hint: "OSV has one (--osv); without the withdrawal the CSAF would say that the advisory is in force",
    });
  const { publisher, namespace } = flags;
  if (publisher === undefined || namespace === undefined)
    throw usage("--csaf needs --publisher NAME and --namespace ADDRESS");
  if (!/^https?:\/\/[!-~]+$/.test(namespace))
    throw usage("--namespace: expected an address such as https://acme.example");
  return csafOf(forms, { name: publisher, namespace });
}

export function defineExport(advisory: Command, io: Io): void {
  advisory
    .command("export")
    .description("Writes an advisory as CSAF 2.0 or OSV. Signatures are not checked.")
    .argument("<files...>", "its statements, first form to last; for OSV a withdrawal too")
    .option("--csaf", "as CSAF 2.0, a security advisory")
    .option("--osv", "as OSV")
    .option("--publisher <NAME>", "for CSAF: who publishes it")
    .option("--namespace <ADDRESS>", "for CSAF: the address that names them")
    .option("--ecosystem <NAME>", "for OSV: where the product is a package; none unless given")
    .option("-o, --output <FILE>", "default: stdout")
    .action((files: string[], flags: ExportFlags) => {
      writeOutput(io, flags.output, Buffer.from(exported(files, flags)).toString("utf8"));
    });
}
