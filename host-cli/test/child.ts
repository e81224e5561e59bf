// The built command as a child of the test, which may not wait for it without turning its own loop: the node that it asks
// lives there. It can be killed.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

const VOUCH = join(process.cwd(), "host-cli/bin/vouch.mjs");

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `vouch ARGS` in a folder; `started` gets the process. */
export function runVouch(
  cwd: string,
  args: readonly string[],
  started: (child: ChildProcess) => void = () => {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [VOUCH, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
    started(child);
  });
}
