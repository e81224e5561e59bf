// Arguments to command, outcome to exit status.
//
//   vouch verify pump.vouch.json …
//     │     └ handed to commander, which the verb's module has taught its flags
//     └ dist/commands/verify.cjs, loaded now and the only one loaded
//
// Each verb is a bundle of its own, so that `vouch verify` never parses a
// serial driver. The build tells us which verbs there are and how to load one
// (scripts/build.mjs); what each is for stands here, so that `vouch --help`
// loads none of them.

import { type Argument, Command, CommanderError, type Option } from "commander";
import { about, describe, EXIT, statusOf, usage } from "./exit";
import { type Io, processIo } from "./io";

export interface VerbModule {
  define(program: Command, io: Io): void;
}

export interface Build {
  version: string;
  verbs: readonly string[];
  load(verb: string): VerbModule;
  /** Where a verb does less than its summary says. */
  summaries?: Record<string, string>;
}

/** In the order `vouch --help` lists them. */
const SUMMARIES: Record<string, string> = {
  demo: "the whole story on a simulated device, in half a minute",
  sim: "start a simulated device and print where to reach it",
  keygen: "make a signing key and print its verifier key",
  inspect: "print any artefact readably, and what was not verified",
  release: "state, sign and seal a release (new, sign, seal)",
  advisory: "state that releases are affected or recalled",
  status: "state which advisories are in force",
  sbom: "check a bill of materials, and look for vulnerabilities in it",
  log: "keep the release log, and read one (init, add, check, close, receipt, prove, read, serve)",
  key: "replace and revoke keys (rotate, retire, revoke, sign)",
  witness: "cosign the checkpoints of logs that only grow (serve, cosign)",
  monitor: "follow a log, and tell what is wrong or new",
  anchor: "place a log's checkpoint on a ledger",
  ledger: "make and look at ledgers",
  policy: "check what a policy accepts",
  bundle: "put all that offline verification needs into one file",
  renew: "keep a bundle provable for longer than its keys and ledger (new, seal)",
  countersign: "sign with ML-DSA-65 beside all else (release, bundle, attach)",
  flash: "upload an image to a device, test and confirm it",
  enrol: "tie a device's key to its serial number",
  attest: "ask a device what it runs, over a fresh nonce",
  ports: "list serial ports, and what they are",
  probe: "say what is on a line",
  doctor: "say why a port doesn't work",
  term: "a plain terminal that survives unplugging",
  verify: "settle whether a bundle, image and device hold up",
  audit: "settle which devices of a fleet are patched",
  report: "what audits found, as a file for people",
  fleet: "collect a fleet's evidence, commit to it, show an owner's part",
  stream:
    "a device's readings: record, verify, share, anchor and export them (record, verify, grant, revoke, anchor, export)",
  verifier: "write a verifier that is one file, to keep beside bundles",
};

/** The program: what `dist/main.cjs` calls. Sets process.exitCode and returns; nothing is cut off in a pipe. */
export async function start(build: Build): Promise<void> {
  let broken = false;
  const io = processIo((error) => {
    broken = true;
    io.stderr(`${describe(error, io.debug)}\n`);
  });
  const crash = (error: unknown) => {
    io.stderr(`${describe(error, io.debug)}\n`);
    process.exit(EXIT.trouble); // nothing is pending: Io writes synchronously
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  await run(process.argv.slice(2), io, build);
  process.exitCode = broken ? EXIT.trouble : io.exitCode;
  // With nothing left to wait for, and all output written, Node needn't take its heap apart first.
  if (process.getActiveResourcesInfo().length === 0) process.exit();
}

/** One command line, start to end. Never throws: every outcome is in `io`. */
export async function run(argv: readonly string[], io: Io, build: Build): Promise<void> {
  const args = globalFlags(argv, io);
  if (io.debug) process.setSourceMapsEnabled(true); // before the verb is loaded, whose names are minified
  const program = newProgram(io);
  try {
    await dispatch(program, args, io, build);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // help that was asked for
    io.exitCode = statusOf(error);
    const shown = error instanceof CommanderError ? mistake(error, args, program) : error;
    if (shown !== undefined) io.stderr(`${describe(shown, io.debug)}\n`);
  }
}

/** --debug and --quiet mean the same to every verb and may stand anywhere before `--`. */
function globalFlags(argv: readonly string[], io: Io): string[] {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  io.debug = argv.slice(0, end).includes("--debug");
  io.quiet = argv.slice(0, end).includes("--quiet");
  return argv.filter((arg, at) => at >= end || (arg !== "--debug" && arg !== "--quiet"));
}

async function dispatch(program: Command, args: string[], io: Io, build: Build): Promise<void> {
  const [first = "", second] = args;
  if (first === "--version" || first === "-V") return io.stdout(`vouch ${build.version}\n`);
  if (first === "--help" || first === "-h" || (first === "help" && second === undefined)) {
    return io.stdout(describeVerbs(program, build));
  }
  if (first === "help" && second !== undefined)
    return dispatch(program, [...args.slice(1), "--help"], io, build);
  if (first === "") {
    io.exitCode = EXIT.trouble;
    return io.stderr(describeVerbs(program, build));
  }
  if (first.startsWith("-"))
    throw usage(`unknown option ${first} before the verb`, "`vouch --help` lists the verbs");
  if (!build.verbs.includes(first)) {
    const near = nearest(first, build.verbs);
    throw usage(
      `no verb ${JSON.stringify(first.slice(0, 60))}`,
      near === undefined ? "`vouch --help` lists the verbs" : `did you mean \`vouch ${near}\`?`,
    );
  }
  build.load(first).define(program, io);
  settle(program, io);
  await program.parseAsync(args, { from: "user" });
}

function newProgram(io: Io): Command {
  const program = new Command("vouch");
  program
    .description("Proves that a medical device runs the firmware its maker released, with no open advisory.")
    .usage("VERB [FILE] [flags]")
    .helpCommand(false)
    .option("--debug", "show the stack of an error")
    .option("--quiet", "no progress and no remarks")
    .configureHelp({ showGlobalOptions: true, optionDescription })
    .hook("preAction", (_program, action) => {
      io.json = action.optsWithGlobals().json === true;
    });
  return program;
}

/** What an option is for, and what it is where nobody says, as a person would type it: a list of none is nothing to tell. */
function optionDescription({ description, required, defaultValue }: Option): string {
  const shown = typeof defaultValue === "string" ? `"${defaultValue}"` : typed(defaultValue);
  return required && shown !== undefined ? `${description} (default: ${shown})` : description;
}

function typed(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return value === undefined ? undefined : String(value);
  const { host, port } = value as { host?: string; port?: number };
  return host === undefined || port === undefined ? undefined : `${host}:${port}`;
}

const statusLine = Object.entries(EXIT)
  .map(([word, status]) => `${status} ${word}`)
  .join(", ");

/** `vouch --help`: the verbs by name, none of them loaded. */
function describeVerbs(program: Command, build: Build): string {
  const told = Object.keys(SUMMARIES).filter((verb) => build.verbs.includes(verb));
  for (const verb of new Set([...told, ...build.verbs]))
    program
      .command(verb)
      .description(build.summaries?.[verb] ?? SUMMARIES[verb] ?? "")
      .helpOption(false);
  program.option("-V, --version", "print the version");
  return `${program.helpInformation()}\nExit status: ${statusLine}\n`;
}

/** Applies our manners to a command and all below it, however its module made them. */
function settle(command: Command, io: Io): void {
  command.exitOverride().showSuggestionAfterError(true).allowExcessArguments(false);
  command.configureOutput({
    writeOut: (text) => io.stdout(text),
    writeErr: (text) => io.stderr(text),
    outputError: () => {}, // printed by run(), in our form
  });
  for (const taking of [...command.options, ...command.registeredArguments]) sayWhich(taking);
  for (const child of command.commands) settle(child, io);
}

/** What a value is refused for says whose value it was: `--timeout: found "0", expected …`. */
function sayWhich(taking: Option | Argument): void {
  const parse = taking.parseArg;
  if (parse === undefined) return;
  const subject = "long" in taking ? (taking.long ?? taking.flags) : taking.name().toUpperCase();
  taking.argParser((text: string, before) => about(subject, () => parse(text, before)));
}

/** Commander's complaint in our words; undefined when it has already printed the help as its complaint. */
function mistake(error: CommanderError, args: readonly string[], program: Command): Error | undefined {
  if (error.code === "commander.help") return undefined;
  const [message = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const missing = /^required option '(?:-\w, )?(--[a-z-]+)/.exec(message)?.[1];
  // A required flag that is missing was most often mistyped, and commander asks for it first. What is a flag of the
  // verb is none of that, however near: --id isn't --kind.
  const known = flagsOf(program, args);
  const typo =
    missing && args.find((arg) => /^-/.test(arg) && !known.has(arg) && nearest(arg, [missing]) !== undefined);
  const meant = typo ? missing : /Did you mean (.*)\?/.exec(rest.join(" "))?.[1];
  const verb = verbOf(program, args);
  const hint =
    meant === undefined ? `\`vouch ${verb} --help\` shows what it takes` : `did you mean ${meant}?`;
  return usage(`${verb}: ${message}`, hint);
}

/** The verb as far as it was understood: "log add" of `vouch log add --key K`. */
function verbOf(program: Command, args: readonly string[]): string {
  const words: string[] = [];
  for (let at: Command | undefined = program; ; ) {
    at = at.commands.find((command) => command.name() === args[words.length]);
    if (at === undefined) return words.join(" ") || (args[0] ?? "");
    words.push(at.name());
  }
}

/** Every flag of the verb and of those it is under, short and long. */
function flagsOf(program: Command, args: readonly string[]): Set<string> {
  const flags = new Set<string>();
  let at: Command | undefined = program;
  for (let depth = 0; at !== undefined; depth++) {
    for (const { long, short } of at.options) for (const flag of [long, short]) if (flag) flags.add(flag);
    at = at.commands.find((command) => command.name() === args[depth]);
  }
  return flags;
}

/** The verb a typo was probably meant to be: the closest, if at most two edits (or a third of it) away. */
export function nearest(typed: string, verbs: readonly string[]): string | undefined {
  if (typed.length > 20) return undefined;
  const ranked = verbs
    .map((verb) => ({ verb, edits: editDistance(typed, verb) }))
    .sort((a, b) => a.edits - b.edits);
  const best = ranked[0];
  return best !== undefined && best.edits <= Math.max(2, best.verb.length / 3) ? best.verb : undefined;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(cell(i - 1, j) + 1, cell(i, j - 1) + 1, cell(i - 1, j - 1) + same);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, cell(i - 2, j - 2) + 1);
      row.push(edits);
    }
  }
  return cell(a.length, b.length);
}
