// An Io that remembers: what a command wrote to each stream, with terminals
// and answers to order.

import { Refusal } from "@vouch/shared/refusal";
import type { Io } from "../src/io";

export interface MemoryIo extends Io {
  /** Everything written to stdout, as bytes and as text. */
  readonly outBytes: () => Uint8Array;
  readonly out: () => string;
  readonly err: () => string;
}

export interface MemoryIoOptions {
  /** All three streams are terminals, or none. */
  tty?: boolean;
  env?: Record<string, string>;
  columns?: number;
  /** What the person at the terminal types, in order. */
  answers?: string[];
}

export function memoryIo(options: MemoryIoOptions = {}): MemoryIo {
  const terminal = options.tty === true;
  const answers = [...(options.answers ?? [])];
  const out: Uint8Array[] = [];
  let err = "";
  const outBytes = () => new Uint8Array(Buffer.concat(out));
  const prompt = async (question: string) => {
    err += question;
    const answer = answers.shift();
    if (answer === undefined) throw new Refusal("not-a-terminal", "nobody is there to answer");
    return answer;
  };
  return {
    stdout: (chunk) => void out.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk.slice()),
    stderr: (text) => {
      err += text;
    },
    env: options.env ?? {},
    tty: { stdin: terminal, stdout: terminal, stderr: terminal },
    columns: options.columns,
    color: { stdout: false, stderr: false },
    json: false,
    quiet: false,
    debug: false,
    exitCode: 0,
    prompt,
    confirm: async (question) => (await prompt(`${question} [y/N] `)) === "y",
    outBytes,
    out: () => Buffer.from(outBytes()).toString("utf8"),
    err: () => err,
  };
}
