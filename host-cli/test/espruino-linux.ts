// Espruino itself, as built for Linux, behind a pseudo-terminal of its own.
//
//   vouch ─ /dev/pts/B ─ faults ─ /dev/pts/A ─ espruino
//
// It ends at a second Ctrl-C within 5 s and at a byte 04, and takes about 9 kB/s. Its
// flash is the file espruino.flash in the folder it starts in.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPty } from "../src/sim/pty";

export interface LinuxEspruino {
  /** The port. */
  readonly path: string;
  /** What the program has printed, its last 4000 characters. */
  said(): string;
  /** Whether its process is still there. */
  runs(): boolean;
  stop(): void;
}

export async function startEspruino(
  program: string,
  toDevice: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<LinuxEspruino> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-espruino-"));
  const inner = await openPty();
  const outer = await openPty();
  let said = "";
  inner.onData((bytes) => {
    said = (said + Buffer.from(bytes).toString("latin1")).slice(-4000);
    outer.write(bytes);
  });
  outer.onData((bytes) => inner.write(toDevice(bytes)));
  const fd = openSync(inner.path, constants.O_RDWR | constants.O_NOCTTY);
  const child: ChildProcess = spawn(program, [], { cwd: folder, stdio: [fd, fd, fd] });
  closeSync(fd);
  let ended = false;
  child.once("exit", () => {
    ended = true;
  });
  child.once("error", () => {
    ended = true;
  });
  for (const end = Date.now() + 10_000; !ended && Date.now() < end && !/>\s*$/.test(said); )
    await new Promise((wake) => setTimeout(wake, 20));
  return {
    path: outer.path,
    said: () => said,
    runs: () => !ended,
    stop() {
      child.kill("SIGKILL");
      inner.close();
      outer.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
