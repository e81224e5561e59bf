// What a command may touch of the process it runs in: two streams, the
// environment, a person at the terminal, and the exit status to be.
//
//   stdout  the product: a verdict, a bundle, JSON
//   stderr  the conversation: progress, warnings, errors, prompts
//
// Commands get this as an argument, so that `vouch demo` and the tests run
// the same code with other streams. Nothing here ends the process: a command
// sets `exitCode` and returns, because process.exit() drops what is still in
// the pipe (STYLE.md, "The command line").

import { fstatSync, readSync, statSync, writeSync } from "node:fs";
import { Refusal } from "@vouch/shared/refusal";

export interface Io {
  stdout(chunk: string | Uint8Array): void;
  stderr(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Which streams are terminals; decides prompts, progress bars and binary output. */
  readonly tty: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /** How wide and high the terminal at stderr is; absent where there is none. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** Which streams may carry colour: a TTY, no NO_COLOR, no TERM=dumb, no --json. */
  readonly color: { readonly stdout: boolean; readonly stderr: boolean };
  /** True when the person asked for --json: stdout is then one object and nothing else. */
  json: boolean;
  /** True under --quiet: no progress and no remarks, errors only. */
  quiet: boolean;
  /** True under --debug: errors come with their stack. */
  debug: boolean;
  exitCode: number;
  /** Asks on stderr, reads a line from the TTY. Refuses `not-a-terminal` off one. */
  prompt(question: string, options?: { hidden?: boolean }): Promise<string>;
  /** Asks y/N. Off a TTY refuses `needs-yes`: consent there is the --yes flag. */
  confirm(question: string): Promise<boolean>;
}

/**
 * The real process as an Io. `failed` is told of a stdout or stderr that can't be written, a closed pipe apart.
 *
 * process.stdout, stderr and stdin are not touched before somebody has to be asked: making those streams costs
 * a tenth of the run time of `vouch verify`. Writing to the descriptors is synchronous, so nothing is lost at the
 * end either.
 */
export function processIo(failed: (error: unknown) => void): Io {
  const { env } = process;
  const plain = (env.NO_COLOR ?? "") !== "" || env.TERM === "dumb";
  const tty = {
    get stdin() {
      return isTerminal(0);
    },
    get stdout() {
      return isTerminal(1);
    },
    get stderr() {
      return isTerminal(2);
    },
  };
  const io: Io = {
    stdout: writer(1, failed),
    stderr: writer(2, failed),
    env,
    tty,
    get columns() {
      return (tty.stderr && process.stderr.columns) || undefined; // a serial console says 0: it doesn't know
    },
    get rows() {
      return (tty.stderr && process.stderr.rows) || undefined;
    },
    color: {
      get stdout() {
        return !plain && !io.json && tty.stdout;
      },
      get stderr() {
        return !plain && !io.json && tty.stderr;
      },
    },
    json: false,
    quiet: false,
    debug: false,
    exitCode: 0,
    prompt: (question, options) => ask(io, question, options?.hidden === true),
    confirm: (question) => agree(io, question),
  };
  return io;
}

/** Most often stdout is a pipe, a file or nothing: then node:tty, which brings all of node:net, stays unloaded. */
function isTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev === statSync("/dev/null", { throwIfNoEntry: false })?.rdev)
      return false;
    return (require("node:tty") as typeof import("node:tty")).isatty(fd);
  } catch {
    return false; // closed before we were started
  }
}

function writer(fd: number, failed: (error: unknown) => void): (chunk: string | Uint8Array) => void {
  let broken = false;
  return (chunk) => {
    if (broken) return;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSome(fd, bytes, at);
    } catch (error) {
      broken = true;
      // A reader that has seen enough (`vouch … | head`) is no trouble; a full disk is.
      if (codeOf(error) !== "EPIPE") failed(error);
    }
  };
}

/** Writes once. A pipe that somebody made non-blocking is full now and then: wait for its reader. */
function writeSome(fd: number, bytes: Uint8Array, at: number): number {
  for (;;) {
    try {
      return writeSync(fd, bytes, at);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

const codeOf = (error: unknown) => (error instanceof Error && "code" in error ? error.code : undefined);

/** y/N on a terminal; elsewhere the answer has to have been given as --yes. */
async function agree(io: Io, question: string): Promise<boolean> {
  if (!io.tty.stdin || !io.tty.stderr) {
    throw new Refusal("needs-yes", `${question} can't be asked here: no terminal`, {
      hint: "pass --yes to agree beforehand, or --dry-run to see what would happen",
    });
  }
  const answer = await io.prompt(`${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

/** One line from the terminal. Hidden input is read in raw mode, so that a passphrase isn't echoed. */
async function ask(io: Io, question: string, hidden: boolean): Promise<string> {
  if (!io.tty.stdin) {
    throw new Refusal("not-a-terminal", `${question.trim()} can't be asked here: stdin is not a terminal`);
  }
  io.stderr(question);
  if (!hidden) return readLine();
  const { stdin } = process;
  stdin.setRawMode(true);
  try {
    return await hiddenLine(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    io.stderr("\n");
  }
}

/** A line in the terminal's own line mode: the terminal does echo and erase, one read is one line. */
function readLine(): string {
  const buffer = new Uint8Array(4096);
  return new TextDecoder().decode(buffer.subarray(0, readSync(0, buffer))).replace(/\r?\n$/, "");
}

function hiddenLine(stdin: NodeJS.ReadStream): Promise<string> {
  const decoder = new TextDecoder();
  return new Promise((resolve, reject) => {
    let line = "";
    const finish = (settle: () => void) => {
      stdin.off("data", take);
      settle();
    };
    const take = (bytes: Buffer) => {
      const chars = [...decoder.decode(bytes, { stream: true })];
      for (const [at, char] of chars.entries()) {
        if (char === "\r" || char === "\n") {
          return finish(() => {
            // Two answers pasted at once: the second is the next question's. Paused, or it is handed out here.
            stdin.pause();
            if (at + 1 < chars.length) stdin.unshift(chars.slice(at + 1).join(""));
            resolve(line);
          });
        }
        // Raw mode hands us what the terminal would have turned into a signal or an end of file.
        if (char === "\u0003" || char === "\u0004") {
          return finish(() => reject(new Refusal("interrupted", "no passphrase was given")));
        }
        if (char === "\u007f" || char === "\b") line = [...line].slice(0, -1).join("");
        else if (char === "\u0015") line = "";
        else line += char;
      }
    };
    stdin.on("data", take);
    stdin.resume();
  });
}
