// What the demo is told with: command lines, typed into the program's own dispatcher as a person would type them, and
// lines that say what came of them. The one file that imports main.

import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "@vouch/shared/refusal";
import type { Io } from "../io";
import { type Build, run } from "../main";
import { VERSION } from "../version";
import { makeFolder } from "../writefiles";
import * as advisory from "./advisory";
import * as anchor from "./anchor";
import * as attest from "./attest";
import * as bundle from "./bundle";
import * as enrol from "./enrol";
import * as flash from "./flash";
import * as keygen from "./keygen";
import * as ledger from "./ledger";
import * as log from "./log";
import * as monitor from "./monitor";
import * as release from "./release";
import * as sim from "./sim";
import * as status from "./status";
import * as stream from "./stream";
import * as verify from "./verify";

const VERBS = {
  advisory,
  anchor,
  attest,
  bundle,
  enrol,
  flash,
  keygen,
  ledger,
  log,
  monitor,
  release,
  sim,
  status,
  stream,
  verify,
};
const BUILD: Build = {
  version: VERSION,
  verbs: Object.keys(VERBS),
  load: (verb) => VERBS[verb as keyof typeof VERBS],
};

export interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Types one command line. File names in `args` are taken inside `folder` where they start with "./". */
export async function type(folder: string, args: readonly string[], io: Io): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const own: Io = {
    ...io,
    tty: { stdin: false, stdout: false, stderr: false },
    color: { stdout: false, stderr: false },
    stdout: (chunk) => {
      stdout += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    },
    stderr: (text) => {
      stderr += text;
    },
    exitCode: 0,
  };
  await run(
    args.map((arg) => arg.replace(/^((?:[a-z]+=|sim:|directory:)?)\.\//, `$1${folder}/`)),
    own,
    BUILD,
  );
  return { exit: own.exitCode, stdout, stderr };
}

/** Where the demo anchors: its key, the line for the policy, and the commands. */
export interface Ledger {
  /** How the key of who anchors is made; null where none is needed. */
  readonly keygen: string | null;
  /** Given that key's verifier key, if there is one. */
  policyLine(story: Story, vkey: () => string): string | Promise<string>;
  readonly init: string | null;
  readonly anchor: string;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A folder to play in that is gone once it is closed, and when Ctrl-C ends the story: there are private keys in it. */
function passingFolder(): Stage {
  const folder = mkdtempSync(join(tmpdir(), "vouch-demo-"));
  const close = () => {
    for (const signal of SIGNALS) process.off(signal, end);
    rmSync(folder, { recursive: true, force: true });
  };
  const end = (signal: NodeJS.Signals) => {
    close();
    process.kill(process.pid, signal); // which nobody hears now
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return { folder, close };
}

export interface Stage {
  readonly folder: string;
  /** To be called at the end. What is to be kept stays. */
  readonly close: () => void;
}

/** The folder to play in. A kept one must be new or empty: the demo never writes over anything. */
export function openFolder(keep: string | undefined): Stage {
  if (keep === undefined) return passingFolder();
  if (existsSync(keep) && readdirSync(keep).length > 0) {
    throw new Refusal("exists", `${keep} is not empty`, { hint: "name a new folder" });
  }
  makeFolder(keep);
  return { folder: keep, close: () => {} };
}

export class Story {
  constructor(
    readonly folder: string,
    readonly io: Io,
    readonly ledger: Ledger,
  ) {}

  /** A command that must succeed; the story ends here when it doesn't. */
  async does(line: string): Promise<Outcome> {
    const outcome = await type(this.folder, line.split(" "), this.io);
    if (outcome.exit !== 0) throw unexpected(line, outcome);
    return outcome;
  }

  /** A command that must be refused with status 20. Returns the refusal's line. */
  async refuses(who: string, what: string, line: string): Promise<string> {
    const outcome = await type(this.folder, line.split(" "), this.io);
    const told = outcome.stderr.split("\n").findLast((text) => /\[[a-z0-9-]+\]$/.test(text)) ?? "";
    const code = /\[([a-z0-9-]+)\]$/.exec(told)?.[1];
    if (outcome.exit !== 20 || code === undefined) throw unexpected(line, outcome);
    this.tell(who, `${what}: refused, exit 20 [${code}]`);
    return code;
  }

  tell(who: string, what: string): void {
    if (!this.io.json) this.io.stdout(`${who.padEnd(10)}${what}\n`);
  }

  show(text: string): void {
    if (!this.io.json) this.io.stdout(text);
  }

  path(name: string): string {
    return join(this.folder, name);
  }
}

export function unexpected(line: string, outcome: Outcome): Refusal {
  const last = outcome.stderr.trimEnd().split("\n").slice(-2).join("; ");
  return new Refusal(
    "demo-failed",
    `\`vouch ${line}\` ended with status ${outcome.exit}: ${last || outcome.stdout.slice(0, 200)}`,
  );
}
