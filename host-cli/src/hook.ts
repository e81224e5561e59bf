// A person's own program, told something on its stdin: a pager, a ticket, a mail.
//
// CMD is split into words and run without a shell, and nothing of what it is told is among its words: what a log holds
// is anybody's text. What it prints goes to stderr, since stdout is our product.

import { spawn } from "node:child_process";
import { Refusal } from "@vouch/shared/refusal";
import { splitWords } from "./signer";

/** Refuses `hook-failed` when it can't be run, ends with another status than 0, or takes longer than `timeoutMs`. */
export function runHook(command: string, input: string, timeoutMs: number): Promise<void> {
  const [program = "", ...words] = splitWords(command);
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ["pipe", 2, 2] });
    const fail = (message: string, cause?: unknown) => {
      clearTimeout(timer);
      child.stdin?.destroy();
      child.unref();
      reject(new Refusal("hook-failed", `the program of --exec ${message}`, { cause }));
    };
    const timer = setTimeout(() => {
      child.kill();
      fail(`took longer than ${timeoutMs / 1000} s`);
    }, timeoutMs);
    child.on("error", (error) => fail(`can't be run: ${error.message}`, error));
    child.stdin?.on("error", () => {}); // it may end without reading
    child.stdin?.end(input);
    child.on("close", (status, signal) => {
      if (status !== 0) return fail(`ended with ${signal ?? `status ${status}`}`);
      clearTimeout(timer);
      resolve();
    });
  });
}
