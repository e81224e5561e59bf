// Console sessions out of documentation, run for real: every ```console block of a
// page, in order, in one new folder, by a shell in which `vouch` is the built command.
//
//   $ vouch verify pump.vouch.json …   a command; a last \ goes on in the next line
//   release      pump-400 2.4.1 …      what it must print, on stdout and stderr together
//   …                                  any number of lines
//   $ cd pump                          holds for the commands after it, like $?
//   $ vouch sim --state pump.flash     a second terminal: runs on, to the page's end
//   $ vouch witness serve --listen …   the same, and log serve; the port it takes is any that is free
//
// Times, digests, keys, ids and ports differ from run to run: on both sides they are
// replaced by what kind of thing they are. The port a page shows stands for the one
// there is; without a pseudo-terminal for sim:FILE, and nothing runs on.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";

const TIMEOUT_MS = 60_000;
const READY = /Ctrl-C ends the device|^listening at /m;

export interface Step {
  readonly command: string;
  readonly expected: readonly string[];
}

/** The commands of a page's console blocks with what they print. */
export function readConsole(page: string): Step[] {
  const blocks = [...page.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  const sessions = blocks.map((block) => block.replace(/ *\\\n */g, " ").split(/^\$ /m));
  return sessions.flatMap(([before = "", ...commands]) => {
    if (before !== "") throw new Error(`a console block begins with a command, found ${before}`);
    return commands.map((text) => {
      const [command = "", ...expected] = linesOf(text);
      return { command, expected };
    });
  });
}

/** What stays the same from run to run. */
export function normal(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, "TIME")
    .replace(/\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}/g, "+KEY")
    .replace(/(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=/g, "HASH")
    .replace(/\b(0x)?[0-9a-f]{16,}…?/g, "HEX")
    .replace(/\/dev\/[a-z]+\/?\d+|sim:\S+\.flash/g, "PORT")
    .replace(/(bundle of|renewal +of|verifier [0-9.]+,) \d+ bytes/, "$1 N bytes")
    .replace(/(bootcount +)\d+/, "$1N")
    .replace(/^(milestone +)\d+$/, "$1N")
    .replace(/^(final +)\d+\.\d s$/, "$1N s")
    .replace(/^(\w+ \d+%) {2}\S.*$/, "$1") // the rate, told once a work has gone on for a while
    .replace(/127\.0\.0\.1:\d+/g, "ADDRESS")
    .replace(/pid":\d+/, 'pid":N')
    .replace(
      /approved by (?!key)(.*)$/,
      (_, names: string) => `approved by ${names.split(", ").sort().join(", ")}`,
    )
    .trimEnd();
}

/** Whether the lines are those expected; "…" is any number of them. */
export function isLike(actual: readonly string[], expected: readonly string[]): boolean {
  const [first, ...rest] = expected;
  if (first === undefined) return actual.length === 0;
  if (first === "…") return actual.some((_, i) => isLike(actual.slice(i), rest)) || isLike([], rest);
  return actual.length > 0 && normal(actual[0]!) === normal(first) && isLike(actual.slice(1), rest);
}

const linesOf = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** Runs a page in a new folder; throws at the first command that prints something else than it says. */
export async function runConsole(page: string, options: { pty: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-console-"));
  const terminals: Terminal[] = [];
  try {
    await runSteps(readConsole(page), folder, options.pty, terminals);
    for (const terminal of terminals) await terminal.end();
  } finally {
    for (const { child } of terminals) child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

interface Terminal {
  readonly child: ChildProcess;
  end(): Promise<void>;
}

async function runSteps(steps: Step[], folder: string, pty: boolean, terminals: Terminal[]): Promise<void> {
  const ports = new Map<string, string>();
  const withPorts = (text: string) =>
    [...ports].reduce((all, [shown, real]) => all.replaceAll(shown, real), text);
  let cwd = folder;
  let status = 0;
  for (const { command, expected } of steps) {
    const into = /^cd (\S+)$/.exec(command)?.[1];
    const state = /^vouch sim (?!.*--(?:create|write-engine)).*--state (\S+)/.exec(command)?.[1];
    const listen = /^vouch (?:witness|log) serve .*--listen (\S+)/.exec(command)?.[1];
    let printed: string[] = [];
    if (into !== undefined) cwd = resolve(cwd, into);
    else if (state !== undefined) {
      const shown = portOf(expected);
      const started = pty ? await startTerminal(command, cwd, terminals) : undefined;
      ports.set(shown, started === undefined ? `sim:${state}` : portOf(started));
      if (started === undefined) continue;
      printed = started;
    } else if (listen !== undefined) {
      printed = await startTerminal(command.replace(listen, "127.0.0.1:0"), cwd, terminals);
      ports.set(listen, /^listening at http:\/\/(\S+)$/m.exec(printed.join("\n"))?.[1] ?? "");
    } else {
      const ended = runShell(withPorts(command), cwd, status);
      status = ended.status;
      printed = linesOf(ended.output);
    }
    if (isLike(printed, expected)) continue;
    const both = `-- it prints\n${printed.join("\n")}\n-- the page says\n${expected.join("\n")}`;
    throw new Error(`$ ${command}\n${both}`);
  }
}

function portOf(lines: readonly string[]): string {
  const port = /^port +(\S+)$/m.exec(lines.join("\n"))?.[1];
  if (port === undefined) throw new Error(`no port in\n${lines.join("\n")}`);
  return port;
}

const environment = () => ({
  ...process.env,
  PATH: [resolve("node_modules/.bin"), process.env["PATH"]].join(delimiter),
});

/** One command line, with $? as the one before it left it. */
function runShell(command: string, cwd: string, before: number): { status: number; output: string } {
  const file = join(cwd, ".output");
  const fd = openSync(file, "a+");
  try {
    // Both streams into one file, so that their lines stand in the order they were written in.
    const { status, error } = spawnSync("sh", ["-c", `(exit ${before}); ${command}`], {
      cwd,
      env: environment(),
      stdio: ["ignore", fd, fd],
      timeout: TIMEOUT_MS,
    });
    if (error !== undefined) throw error;
    return { status: status ?? -1, output: readFileSync(file, "utf8") };
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

/** A command in a terminal of its own; resolves with what it prints once it is ready. */
async function startTerminal(command: string, cwd: string, terminals: Terminal[]): Promise<string[]> {
  const file = join(cwd, `.terminal${terminals.length}`);
  const fd = openSync(file, "a+");
  const child = spawn("sh", ["-c", `exec ${command}`], {
    cwd,
    env: environment(),
    stdio: ["ignore", fd, fd],
  });
  closeSync(fd);
  const ended = once(child, "exit");
  terminals.push({
    child,
    async end() {
      child.kill("SIGINT");
      const [status] = await ended;
      if (status !== 0) throw new Error(`\`${command}\` ended with ${status} after Ctrl-C`);
    },
  });
  for (const start = Date.now(); Date.now() - start < TIMEOUT_MS; ) {
    const text = readFileSync(file, "utf8");
    if (READY.test(text)) return linesOf(text);
    if (child.exitCode !== null) throw new Error(`\`${command}\` ended: ${text}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`\`${command}\` isn't ready`);
}
