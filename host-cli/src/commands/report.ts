// vouch report RESULTS… -o report.html: what audits found, as a file for people and files (shared/src/report.ts gathers,
// host-cli/src/report writes). It judges nothing: status 0 says that it was written.

import { createHash } from "node:crypto";
import { basename } from "node:path";
import { toHex, utf8Decode } from "@vouch/shared/bytes";
import { formatJson } from "@vouch/shared/json";
import { Refusal } from "@vouch/shared/refusal";
import { gapsOf, type Report } from "@vouch/shared/report";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { printable, usage } from "../exit";
import { reportFhir } from "../fhir/firmware";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { plural } from "../output/size";
import { readInput } from "../readfiles";
import { reportCsv } from "../report/csv";
import { type Page, reportHtml } from "../report/html";
import { reportPdf } from "../report/pdf";
import { gather, MOST } from "../report/read";
import { ALONE } from "../version";
import { writeOutput } from "../writefiles";

const MAX_POLICY = 256 * 1024;
const MAX_WHERE = 300;
/** Serial numbers stand in all of it. */
const PRIVATE = { mode: 0o600 };

interface ReportOptions {
  readonly at?: string;
  readonly policy?: string;
  readonly where?: string;
  readonly output?: string;
  readonly csv?: string;
  readonly pdf?: string;
  readonly fhir?: string;
}

/** The lines of each database among the results. Refuses as postgres.ts, and an address of another kind. */
async function readDatabases(files: readonly string[], io: Io): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const file of files) {
    if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) continue;
    // An address might hold a password: it isn't repeated.
    if (ALONE || !/^postgres(ql)?:/i.test(file))
      throw usage(`results are files, folders${ALONE ? "" : ", postgres://…"} or -`);
    const postgres = require("../audit/postgres") as typeof import("../audit/postgres");
    found.set(file, await postgres.readPostgres(file, io.env, MOST));
  }
  return found;
}

/** Reads the results and gathers what they say as of T. */
async function makeReport(files: readonly string[], options: ReportOptions, io: Io): Promise<Report> {
  if ([...files, options.policy].filter((path) => path === "-").length > 1)
    throw usage("only one input can come from stdin");
  const policy = options.policy === undefined ? null : readInput(options.policy, MAX_POLICY);
  const gathering = gather(files, await readDatabases(files, io));
  const at = options.at === undefined ? gathering.newest() : isoTime(parseMoment(options.at, "--at"));
  if (at === null)
    throw new Refusal("evidence-missing", "the results hold no audit", {
      hint: "`vouch audit --json` writes what a report is made of",
    });
  const report = gathering.report(at, policy && utf8Decode(policy));
  if (policy !== null) checkPolicy(report, policy);
  return report;
}

function checkPolicy({ policies }: Report, policy: Uint8Array): void {
  const digest = createHash("sha256").update(policy).digest("hex");
  const other = policies.filter((each) => each !== digest);
  if (other.length > 0)
    throw new Refusal(
      "other-policy",
      `the policy is sha256 ${digest}, the devices were judged by ${other.join(", ")}`,
    );
}

async function write(files: readonly string[], options: ReportOptions, io: Io): Promise<void> {
  const where = options.where ?? "";
  if (where.length > MAX_WHERE) throw usage(`--where takes at most ${MAX_WHERE} characters`);
  const report = await makeReport(files, options, io);
  const json = formatJson(report);
  const sha256 = toHex(createHash("sha256").update(json).digest());
  const { policy } = options;
  const policyName = policy === undefined ? null : policy === "-" ? "stdin" : basename(policy);
  const page: Page = { report, sha256, where, policyName };
  const others: [string | undefined, () => string | Uint8Array][] = [
    [options.csv, () => reportCsv(report)],
    [options.pdf, () => reportPdf(page)],
    [options.fhir, () => reportFhir(report)],
  ];
  const toStdout = [options.output, ...others.map(([path]) => path)].filter((path) => path === "-").length;
  if (toStdout + (io.json ? 1 : 0) > 1) throw usage("only one form of the report can go to stdout");
  for (const [path, make] of others) if (path !== undefined) writeOutput(io, path, make(), PRIVATE);
  const asked = others.some(([path]) => path !== undefined);
  if (options.output !== undefined) writeOutput(io, options.output, reportHtml(page), PRIVATE);
  if (io.json) io.stdout(json);
  else if (options.output === undefined && !asked) io.stdout(reportHtml(page));
  const told = [
    `${plural(report.devices, "device")} as of ${report.at}, data sha256:${sha256}`,
    ...gapsOf(report),
  ];
  if (!io.quiet && !io.json) io.stderr(told.map((line) => `${printable(`vouch: ${line}`)}\n`).join(""));
}

export function define(program: Command, io: Io): void {
  program
    .command("report")
    .description("Writes what audits found as one HTML file, and as JSON, CSV, PDF or FHIR.")
    .argument(
      "<results...>",
      "what `vouch audit --json` printed, or stores: folders, postgres://…; - for stdin",
    )
    .option("--at <TIME>", "report as of this moment instead of that of the newest audit")
    .option("--policy <FILE>", "the policy that judged, to be quoted; another one is refused")
    .option("--where <TEXT>", "where the report's data is kept, for the square code")
    .option("-o, --output <FILE>", "write the HTML there instead of to stdout")
    .option("--csv <FILE>", "write the devices as CSV")
    .option("--pdf <FILE>", "write it for paper")
    .option("--fhir <FILE>", "write the devices' firmware states as a FHIR R4 bundle")
    .option("--json", "print the report's data as one line of JSON")
    .action((files: string[], options: ReportOptions) => write(files, options, io));
}
