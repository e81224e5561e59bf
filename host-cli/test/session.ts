// CLI sessions as text, after Go's testscript: a script is run line by line in a
// folder of its own, and the first line that isn't true ends it.
//
//   # a bent bit is refused, and says so on stderr only     what the session shows
//   demo                                    the folder that `vouch demo --keep` leaves
//   flip pump.vouch.json 40                 bend a bit of that byte; -1 is the last
//   !20 vouch verify pump.vouch.json …      must end with status 20; without !N with 0
//   ! stdout .                              the last vouch's output, regular expressions
//   stderr '\[malformed-json\]$'            where ^ and $ match at every line
//
//   json PATH VALUE    stdout is one JSON object, with this at a.b.0.c
//   capture NAME RE    what RE's group found in stdout; $NAME stands for it from then on
//   save FILE          what the last vouch printed on stdout becomes that file
//   stdin FILE         the next vouch reads it there
//   recording FILE     two minutes of readings and a tail that nobody signed for, device.vkey and recorder.vkey beside it
//   cp A B, rm F, truncate F SIZE, pad F SIZE (with spaces), fill F SIZE, edit F RE TEXT (\n in it is a line end),
//   exists F…, cmp A B
//   -- NAME --         the lines after it, at the script's end, are a file
//
// Words are split at spaces; '…' keeps them together. ! before anything but vouch
// asks that it isn't so. What runs is the built command, as a process; and every `vouch verify`
// is asked of the verifier that stands alone, too, which must answer to the letter the same; so is every other
// verb that it has.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { DEVICE_VKEY, RECORDER_VKEY, Recording } from "./stream-sample";

const VOUCH = join(process.cwd(), "host-cli/bin/vouch.mjs");
const ALONE = join(process.cwd(), "host-cli/dist/vouch-verify.cjs");
const NO_SOCKET = join(process.cwd(), "scripts/no-socket.cjs");
const TIMEOUT_MS = 60_000;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Alone = (cwd: string, args: readonly string[], input?: Uint8Array) => Ended;

/** Runs the built command in `folder`. */
export const vouch = (folder: string, args: readonly string[], input?: Uint8Array): Ended =>
  runNode(folder, [VOUCH, ...args], input);

function runNode(folder: string, args: readonly string[], input?: Uint8Array): Ended {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: "utf8",
    input: input ?? "",
    timeout: TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/**
 * The verifier that stands alone: a copy of it, away from its packages, where opening a socket or starting a child
 * ends it with a status of its own.
 */
export function makeAlone(folder: string): Alone {
  const copy = join(folder, "vouch-verify.cjs");
  cpSync(ALONE, copy);
  return (cwd, args, input) => runNode(cwd, ["--require", NO_SOCKET, copy, ...args], input);
}

/** A script in two parts: its lines with their numbers, and its files. */
function parseScript(text: string): { lines: [number, string][]; files: Map<string, string> } {
  const [head = "", ...rest] = text.split(/^-- (\S+) --\n/m);
  const files = new Map<string, string>();
  for (let i = 0; i + 1 < rest.length; i += 2) files.set(rest[i] ?? "", rest[i + 1] ?? "");
  const lines = head.split("\n").map((line, i): [number, string] => [i + 1, line.trim()]);
  return { lines: lines.filter(([, line]) => line !== "" && !line.startsWith("#")), files };
}

/** The first comment: a sentence that is true when the script passes. */
export function titleOf(text: string): string {
  return /^# (.+)$/m.exec(text)?.[1] ?? "";
}

/** Runs a script in `folder`, an empty one. Throws an Error that names the line. */
export function runScript(text: string, folder: string, demo: string, alone?: Alone): void {
  const { lines, files } = parseScript(text);
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
  const session = new Session(folder, demo, alone);
  if (lines.length === 0) throw new Error("the script has no lines");
  for (const [number, line] of lines) {
    try {
      session.play(line);
    } catch (error) {
      throw new Error(`line ${number}: ${line}\n${(error as Error).message}`, { cause: error });
    }
  }
}

class Session {
  private readonly variables = new Map<string, string>();
  private last: Ended | undefined;
  private input: Uint8Array | undefined;

  constructor(
    private readonly folder: string,
    private readonly demo: string,
    private readonly alone: Alone | undefined,
  ) {}

  play(line: string): void {
    const [first = "", ...rest] = splitWords(line).map((word) => this.expand(word));
    const [, bang = "", status] = /^(!)?(\d+)?$/.exec(first) ?? [];
    const [verb = "", ...args] = bang === "" ? [first, ...rest] : rest;
    if (verb === "vouch") {
      this.runVouch(args, bang === "" ? 0 : Number(status ?? 1));
      return;
    }
    if (status !== undefined) throw new Error("only vouch has an exit status");
    const asks = ASKS[verb];
    if (asks !== undefined) {
      const [holds, seen] = asks(this, args);
      if (holds === (bang === "")) return;
      throw new Error(seen);
    }
    const does = DOES[verb];
    if (does === undefined || bang !== "") throw new Error("no such line in a session");
    does(this, args);
  }

  private expand(word: string): string {
    return word.replace(/\$([A-Z]+)/g, (_, name: string) => {
      const value = this.variables.get(name);
      if (value === undefined) throw new Error(`$${name} was never captured`);
      return value;
    });
  }

  private runVouch(args: string[], expected: number): void {
    const { input } = this;
    const started = Math.floor(Date.now() / 1000);
    this.last = vouch(this.folder, args, input);
    this.input = undefined;
    if (this.last.status !== expected)
      throw new Error(`ended with ${this.last.status}, expected ${expected}\n${this.seen()}`);
    const alone = aloneArgs(args);
    if (alone !== null) this.askAlone(alone, input, started);
  }

  /**
   * Answers name the second in which they are given: any since `started` is the same. A work that goes on for long
   * tells how fast it is, which no two runs are.
   */
  private askAlone(args: string[], input: Uint8Array | undefined, started: number): void {
    if (this.alone === undefined) return;
    const other = this.alone(this.folder, args, input);
    const timeless = ({ status, stdout, stderr }: Ended) => [
      status,
      ...[stdout, stderr].map((text) =>
        text
          .replace(/^(\w+ \d+%) {2}\S.*$/gm, "$1")
          .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|(?<="iat":)\d+/g, (time) =>
            (/^\d+$/.test(time) ? Number(time) : Date.parse(time) / 1000) >= started ? "NOW" : time,
          ),
      ),
    ];
    if (isDeepStrictEqual(timeless(other), timeless(this.ended()))) return;
    throw new Error(
      `the verifier that stands alone ended with ${other.status}\n${other.stdout}${other.stderr}${this.seen()}`,
    );
  }

  seen(): string {
    const { stdout, stderr } = this.ended();
    return `-- stdout\n${stdout}-- stderr\n${stderr}`;
  }

  ended(): Ended {
    if (this.last === undefined) throw new Error("no vouch ran yet");
    return this.last;
  }

  path = (name: string | undefined) => join(this.folder, name ?? "");
  bytes = (name: string | undefined) => new Uint8Array(readFileSync(this.path(name)));
  write = (name: string | undefined, content: Uint8Array | string) => writeFileSync(this.path(name), content);
  takeStdin(name: string | undefined): void {
    this.input = this.bytes(name);
  }
  keep(name: string, value: string): void {
    this.variables.set(name, value);
  }
  copyDemo(): void {
    cpSync(this.demo, this.folder, { recursive: true });
  }
}

/** What the verifier that stands alone is asked for the same answer; null for what it doesn't do. */
function aloneArgs(args: string[]): string[] | null {
  const [verb, second] = args;
  if (verb === "verify") return args.slice(1);
  if (args.some((arg) => /^--(store|jobs|fresh|log)$/.test(arg))) return null;
  const has =
    verb === "audit" || verb === "report" || (verb === "fleet" && /^(pick|check)$/.test(second ?? ""));
  return has ? args : null;
}

type Ask = (session: Session, args: string[]) => [holds: boolean, seen: string];

const matches = (stream: "stdout" | "stderr"): Ask => {
  return (session, [pattern = ""]) => [
    new RegExp(pattern, "m").test(session.ended()[stream]),
    session.seen(),
  ];
};

const ASKS: Record<string, Ask> = {
  stdout: matches("stdout"),
  stderr: matches("stderr"),
  exists: (session, names) => {
    const found = names.map((name) => existsSync(session.path(name)));
    return [found.every(Boolean), `${names.join(", ")}: ${found.join(", ")}`];
  },
  cmp: (session, [a, b]) => [Buffer.compare(session.bytes(a), session.bytes(b)) === 0, `${a}, ${b}`],
  json: (session, [path = "", expected]) => {
    const { stdout } = session.ended();
    if (!/^\{.*\}\n$/.test(stdout)) throw new Error(`stdout is not one JSON object on a line\n${stdout}`);
    const found = path.split(".").reduce<unknown>((at, key) => Object(at)[key], JSON.parse(stdout));
    const shown = typeof found === "object" ? JSON.stringify(found) : String(found);
    return [shown === expected, `${path} is ${shown}`];
  },
};

const DOES: Record<string, (session: Session, args: string[]) => void> = {
  demo: (session) => session.copyDemo(),
  recording(session, [name]) {
    session.write(name, new Recording().seconds(80).timed().seconds(43).bytes());
    session.write("device.vkey", `${DEVICE_VKEY}\n`);
    session.write("recorder.vkey", `${RECORDER_VKEY}\n`);
  },
  stdin: (session, [name]) => session.takeStdin(name),
  cp: (session, [from, to]) => cpSync(session.path(from), session.path(to), { recursive: true }),
  rm: (session, [name]) => rmSync(session.path(name), { recursive: true }),
  flip(session, [name, at]) {
    const bytes = session.bytes(name);
    const index = Number(at) < 0 ? bytes.length + Number(at) : Number(at);
    if (!(index < bytes.length)) throw new Error(`${name} has ${bytes.length} bytes`);
    bytes[index]! ^= 1;
    session.write(name, bytes);
  },
  truncate: (session, [name, size]) => session.write(name, session.bytes(name).slice(0, Number(size))),
  pad: (session, [name, size]) => {
    const padded = new Uint8Array(Number(size)).fill(0x20);
    padded.set(session.bytes(name).subarray(0, padded.length));
    session.write(name, padded);
  },
  // Neither text nor zeros, and the same every time.
  fill: (session, [name, size]) =>
    session.write(
      name,
      Uint8Array.from({ length: Number(size) }, (_, i) => (i * 197 + (i >> 8)) & 0xff),
    ),
  edit(session, [name, pattern = "", text = ""]) {
    const before = new TextDecoder().decode(session.bytes(name));
    const after = before.replace(new RegExp(pattern, "m"), text.replaceAll("\\n", "\n"));
    if (after === before) throw new Error(`nothing in ${name} matches`);
    session.write(name, after);
  },
  save: (session, [name]) => session.write(name, session.ended().stdout),
  capture(session, [name = "", pattern = ""]) {
    const found = new RegExp(pattern, "m").exec(session.ended().stdout)?.[1];
    if (found === undefined) throw new Error(`stdout doesn't match\n${session.seen()}`);
    session.keep(name, found);
  },
};

function splitWords(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replace(/'([^']*)'/g, "$1"));
}
