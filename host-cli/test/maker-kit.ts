// What the maker's tests share: an Io that keeps what it is told, and refusals by code.

import { isRefusal } from "@vouch/shared/refusal";
import * as assert from "uvu/assert";
import type { Io } from "../src/io";

export interface BufferIo extends Io {
  readonly out: () => string;
  readonly err: () => string;
}

/** No terminal, no input; stdout and stderr are kept. */
export function bufferIo(): BufferIo {
  let out = "";
  let err = "";
  return {
    stdout: (chunk) => {
      out += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1");
    },
    stderr: (text) => {
      err += text;
    },
    env: {},
    tty: { stdin: false, stdout: false, stderr: false },
    color: { stdout: false, stderr: false },
    json: false,
    quiet: false,
    debug: false,
    exitCode: 0,
    prompt: async () => assert.unreachable("nothing is asked") as never,
    confirm: async () => assert.unreachable("nothing is asked") as never,
    out: () => out,
    err: () => err,
  };
}

/** Runs `work`, which must be refused with this code. */
export async function refuses(code: string, work: () => unknown): Promise<void> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) assert.unreachable(`nothing was refused, expected ${code}`);
  if (!isRefusal(error)) throw error;
  assert.is(error.code, code, error.message);
}
