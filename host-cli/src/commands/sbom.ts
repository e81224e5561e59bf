// vouch sbom check: is a bill of materials sound, is it about this image, and which of its components do
// these vulnerabilities affect? Everything is a file given here: nothing is asked of a server.
//
//   0  sound; each component was told apart, and no record given affects it
//  20  the document says another hash than the image has
//  21  of some component it can't be decided
//  22  some component is affected

import { toHex } from "@vouch/shared/bytes";
import { type Component, checkImageInBom, withoutSupport } from "@vouch/shared/exchange/cyclonedx";
import { findingsIn, type SbomFinding } from "@vouch/shared/exchange/findings";
import { MAX_DOCUMENT } from "@vouch/shared/exchange/foreign";
import { parseOsv } from "@vouch/shared/exchange/osv";
import type { Command } from "commander";
import { about, EXIT } from "../exit";
import { openImage } from "../image";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { table } from "../output/terminal";
import { readInput } from "../readfiles";
import { readBom } from "../sbom";

interface Flags {
  image?: string;
  osv?: string[];
  at?: string;
}

export interface SbomReport {
  readonly specVersion: string;
  readonly components: number;
  readonly records: number;
  readonly findings: readonly SbomFinding[];
  /** Supported no longer at the moment asked about. */
  readonly ended: readonly Component[];
  /** Of these it isn't said how well and how long they are supported. */
  readonly silent: readonly Component[];
}

/** Reads and compares. `at` is Unix seconds. */
export function checkSbom(file: string, flags: Flags, at: number): SbomReport {
  const bom = readBom(file);
  if (flags.image !== undefined) {
    const sha256 = toHex(openImage("app", flags.image).sha256);
    about(file, () => checkImageInBom(bom, sha256));
  }
  const records = (flags.osv ?? []).map((path) => about(path, () => parseOsv(readInput(path, MAX_DOCUMENT))));
  const day = new Date(at * 1000).toISOString().slice(0, 10);
  return {
    specVersion: bom.specVersion,
    components: bom.components.length,
    records: records.length,
    findings: findingsIn(bom, records),
    ended: bom.components.filter(({ endOfSupport }) => endOfSupport !== null && endOfSupport < day),
    silent: withoutSupport(bom),
  };
}

const named = ({ group, name, version, purl }: Component) =>
  purl ?? `${group === null ? "" : `${group}/`}${name}${version === null ? "" : ` ${version}`}`;

function sentence(report: SbomReport): string {
  const count = (verdict: SbomFinding["verdict"]) =>
    report.findings.filter((finding) => finding.verdict === verdict).length;
  return `${report.components} components, ${report.records} records: ${count("affected")} affected, ${count("unknown")} unknown\n`;
}

function exitOf({ findings }: SbomReport): number {
  if (findings.some(({ verdict }) => verdict === "affected")) return EXIT.vulnerable;
  return findings.length > 0 ? EXIT.unproven : EXIT.done;
}

const told = (report: SbomReport): string =>
  table([
    ...report.findings.map(({ component, osv, verdict, why }) => [
      verdict,
      named(component),
      osv ?? "-",
      why,
    ]),
    ...report.ended.map((component) => [
      "ended",
      named(component),
      "-",
      `support ended on ${component.endOfSupport}`,
    ]),
  ]);

export function define(program: Command, io: Io): void {
  const sbom = program.command("sbom").description("Looks into bills of material.");
  sbom
    .command("check")
    .description(
      "Checks a CycloneDX document (JSON, 1.5 to 1.7) and looks for its components in OSV records.",
    )
    .argument("<file>", "the document, - is stdin")
    .option("--image <FILE>", "the image that it must be about")
    .option("--osv <FILE...>", "vulnerabilities, one OSV record a file")
    .option("--at <TIME>", "whose support had ended by then; now unless given")
    .option("--json", "print one JSON object")
    .action((file: string, flags: Flags) => {
      const at = flags.at === undefined ? Math.floor(Date.now() / 1000) : parseMoment(flags.at, "--at");
      const report = checkSbom(file, flags, at);
      const exit = exitOf(report);
      if (io.json) io.stdout(`${JSON.stringify({ ...report, exit })}\n`);
      else io.stdout(told(report) + sentence(report));
      if (!io.json && !io.quiet && report.silent.length > 0)
        io.stderr(`note: of ${report.silent.length} components it doesn't tell support and its end\n`);
      io.exitCode = exit;
    });
}
