// vouch monitor LOG…: follows one log from where it left off, and says what somebody should know.
//
// The places named show the same log, that of the policy; the more there are, the harder it is to show one of them
// another. What is remembered lies in --state (monitor/state.ts), what may be found in shared/src/findings.ts. Each
// finding is a line on stdout, and goes to --exec as JSON on stdin; it counts as told once both are done. What stands of
// a place that isn't named any more goes on standing, until --retire says that this is meant.

import { fromHex, utf8Decode } from "@vouch/shared/bytes";
import { trustedAt } from "@vouch/shared/distrust";
import { LEVEL_STATUS, LEVELS, type Level } from "@vouch/shared/findings";
import { MAX_NOTE } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { durationMs, durationS, repeatEvery } from "../every";
import { about, describe, EXIT, printable, usage } from "../exit";
import { runHook } from "../hook";
import type { Io } from "../io";
import { isAsked, type MonitorOptions, monitorPass, type Pass } from "../monitor/pass";
import { type MonitorState, openMonitorState, type Shown } from "../monitor/state";
import { type Progress, paint, type Style, startProgress } from "../output/terminal";
import { readInput } from "../readfiles";
import { seconds, splitWords } from "../signer";
import { readVkey } from "../vkeyfile";
import { readPolicy } from "./policy";

const MAX_MADE = 64 * 1024 * 1024;

/** Statements and images that the own keys signed, as `sha256sum` prints them. Refuses `malformed-list`. */
export function readMade(path: string): ReadonlySet<string> {
  return about(path, () => {
    const text = utf8Decode(readInput(path, MAX_MADE));
    if (text === null) throw new Refusal("malformed-list", "found something else than text");
    const made = new Set<string>();
    for (const line of text.split("\n")) {
      const [digest = ""] = line.trim().split(/\s/);
      if (digest === "" || digest.startsWith("#")) continue;
      if (digest.length !== 64 || fromHex(digest) === null)
        throw new Refusal("malformed-list", `found ${quote(line)}, expected a SHA-256 in lower-case hex`);
      made.add(digest);
    }
    return made;
  });
}

export interface MonitorFlags {
  policy: string;
  state: string;
  own?: string[];
  made?: string;
  product?: string[];
  compare?: string[];
  retire?: string[];
  quietAfter: number;
  staleAfter?: number;
  fraudOut?: string;
  timeout: number;
  every?: number;
  exec?: string;
  execTimeout: number;
}

/** What a pass needs, from the flags. Refuses what reading the files does. */
export function monitorOptions(
  places: readonly string[],
  flags: MonitorFlags,
  policy: Policy,
): MonitorOptions {
  const { own = [], product = [], compare = [], retire = [] } = flags;
  return {
    policy,
    interest: {
      own: own.map((key) => readVkey(key)),
      made: flags.made === undefined ? null : readMade(flags.made),
      products: product,
    },
    places,
    compare: compare.map((path): Shown => ({ from: path, note: readInput(path, MAX_NOTE) })),
    quietAfterS: flags.quietAfter,
    staleAfterS: flags.staleAfter ?? policy.maxAge.status,
    fraudOut: flags.fraudOut ?? flags.state,
    retire,
    read: { timeoutMs: flags.timeout * 1000, askMs: Math.min(20, flags.timeout) * 1000 },
    now: () => Math.floor(Date.now() / 1000),
  };
}

export interface Told {
  readonly level: Level;
  readonly code: string;
  readonly index?: number;
  readonly source?: string;
  readonly message: string;
  readonly proof?: string;
}

/**
 * Hands on what was found and not yet told, in order. When `tell` refuses one, that and all after it come again; with
 * `eachForGood` those before it don't, whatever happens.
 */
export async function deliver(
  state: MonitorState,
  tell: (line: string) => Promise<void> | void,
  eachForGood = true,
): Promise<void> {
  let last = () => {};
  for (const { line, delivered } of state.undelivered()) {
    await tell(line);
    if (eachForGood) delivered();
    else last = delivered;
  }
  last();
}

const STYLES: Partial<Record<Level, Style>> = {
  fraud: "red",
  wrong: "red",
  unsure: "yellow",
  trouble: "yellow",
};

function findingText(line: string, io: Io): string {
  const { level, code, index, source, message } = JSON.parse(line) as Told;
  const where = index === undefined ? source : `record ${index}`;
  const text = printable(`${where === undefined ? "" : `${where}: `}${message} [${code}]`);
  return `${paint(io, "stdout", STYLES[level] ?? "dim", level.padEnd(8))}${text}\n`;
}

const OUTCOMES: Record<Level, string> = {
  fraud: "the log contradicts itself",
  wrong: "something is wrong",
  unsure: "something is to be looked at",
  trouble: "not all could be looked at",
  news: "nothing wrong",
};

function passText({ origin, size, fresh, worst, unasked }: Pass): string {
  const read = fresh === 0n ? `${size} records, none new` : `${size} records, ${fresh} of them new`;
  const open = unasked.map(({ code, source, asked, isNamed }) => {
    const since = asked === null ? "not asked this time" : `not asked since ${isoTime(asked)}`;
    const how = isNamed ? "" : `; \`--retire ${source}\` closes it`;
    return printable(`${source === "" ? origin : source}: ${code} stands, ${since}${how}`);
  });
  return [...open, `${origin}: ${read}; ${OUTCOMES[worst ?? "news"]}`, ""].join("\n");
}

const passJson = ({ origin, size, fresh, worst, unasked }: Pass) => ({
  pass: {
    log: origin,
    size: Number(size),
    fresh: Number(fresh),
    worst,
    status: worst === null ? EXIT.done : LEVEL_STATUS[worst],
    ...(unasked.length > 0 && {
      unasked: unasked.map(({ code, level, source, asked }) => ({
        code,
        level,
        ...(source !== "" && { source }),
        ...(asked !== null && { since: isoTime(asked) }),
      })),
    }),
  },
});

/** A mistake in it is better known now than with the first alarm. */
function command(text: string): string {
  splitWords(text);
  return text;
}

export function define(program: Command, io: Io): void {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  program
    .command("monitor")
    .description("Follows a log: checks what it shows and what its records say, and tells what is new.")
    .argument("<logs...>", "where the policy's log is shown: folders, or http and https addresses")
    .requiredOption("--policy <FILE>", "names the log's key, its witnesses, and who may sign what")
    .requiredOption("--state <DIR>", "what was read and told so far; made if missing")
    .option(
      "--own <VKEY>",
      "a key of yours, or its file: what others sign for you is told (repeatable)",
      collect,
    )
    .option("--made <FILE>", "SHA-256 of the statements and images you made, one a line: others are told")
    .option("--product <NAME>", "a product of yours; all are, unless one is named (repeatable)", collect)
    .option("--compare <FILE>", "a checkpoint of this log from elsewhere (repeatable)", collect)
    .option(
      "--retire <SOURCE>",
      "close what stands of a place, witness or file that isn't asked any more (repeatable)",
      collect,
    )
    .option("--quiet-after <DURATION>", "how long a witness may be silent: 24h, 7d", durationS, 24 * 3600)
    .option(
      "--stale-after <DURATION>",
      "how long a log may stand still; the policy's max-age status unless given",
      durationS,
    )
    .option("--fraud-out <DIR>", "where a proof of fraud goes; the state's folder unless given")
    .option("--every <DURATION>", "go on: look every 15m, 1h, 1d", (text: string) => durationMs(text))
    .option("--exec <CMD>", "run this for each finding, its JSON on stdin", command)
    .option("--exec-timeout <SECONDS>", "how long it may take", seconds, 60)
    .option("--timeout <SECONDS>", "how long each file of the log may take", seconds, 60)
    .option("--json", "print one JSON object a line")
    .action((places: string[], flags: MonitorFlags) => monitor(places, flags, io));
}

async function monitor(places: readonly string[], flags: MonitorFlags, io: Io): Promise<void> {
  if (new Set(places).size < places.length) throw usage("a place is named twice");
  const options = monitorOptions(places, flags, readPolicy(flags.policy));
  const asked = options.retire?.find((source) =>
    isAsked({ ...options, policy: trustedAt(options.policy, options.now()) }, source),
  );
  if (asked !== undefined)
    throw usage(`--retire is for what isn't asked any more, and ${quote(asked)} is named, or the policy's`);
  for (const product of options.interest.products)
    if (!io.quiet && !options.policy.approve.some((rule) => rule.product === product))
      io.stderr(
        `the policy has no approve line for product ${quote(product)}: is it spelled as in releases?\n`,
      );
  const state = await openMonitorState(flags.state, options.policy.log, options.now());
  const seen: (Level | null)[] = [];
  const once = async (stopped?: () => boolean) => {
    const retire = seen.length === 0 ? (options.retire ?? []) : []; // once is enough
    const pass = await passWithProgress(state, { ...options, retire, ...(stopped && { stopped }) }, io);
    seen.push(pass.worst);
    for (const source of io.quiet ? [] : pass.unknown)
      io.stderr(`nothing stands of ${quote(source)} that could be retired\n`);
    try {
      const hand = (line: string) => {
        seen.push((JSON.parse(line) as Told).level); // one that a run before this couldn't tell counts now
        return tell(line, flags, io);
      };
      await deliver(state, hand, flags.exec !== undefined);
    } catch (error) {
      if (!isRefusal(error) || error.code !== "hook-failed") throw error;
      seen.push("trouble");
      io.stderr(`${describe(error, io.debug)}\n`);
    }
    if (io.json) io.stdout(`${JSON.stringify(passJson(pass))}\n`);
    else if (!io.quiet) io.stderr(passText(pass));
  };
  try {
    if (flags.every === undefined) await once();
    else await repeatEvery(flags.every, once);
  } finally {
    state.close();
  }
  const worst = LEVELS.find((level) => seen.includes(level));
  io.exitCode = worst === undefined ? EXIT.done : LEVEL_STATUS[worst];
}

async function passWithProgress(state: MonitorState, options: MonitorOptions, io: Io): Promise<Pass> {
  const bars: Progress[] = [];
  const progress = (read: bigint, of: bigint) => {
    if (bars.length === 0) bars.push(startProgress(io, "reading", Number(of)));
    bars[0]!.update(Number(read));
  };
  try {
    return await monitorPass(state, { ...options, progress });
  } finally {
    for (const bar of bars) bar.end();
  }
}

async function tell(line: string, { exec, execTimeout }: MonitorFlags, io: Io): Promise<void> {
  io.stdout(io.json ? `${line}\n` : findingText(line, io));
  if (exec !== undefined) await runHook(exec, `${line}\n`, execTimeout * 1000);
}
