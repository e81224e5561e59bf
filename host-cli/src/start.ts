// The process around a command line: what dist/main.cjs runs.
//
//   process.argv ──▶ quick.ts                  most lines that people type and scripts hold
//               └──▶ dist/full.cjs, main.ts    all others, by commander
//                                  ──▶ process.exitCode

import { describe, EXIT } from "./exit";
import { processIo } from "./io";
import type { Build } from "./main";
import { runQuickly } from "./quick";

export interface Program extends Build {
  /** main.ts, loaded when it is needed. */
  full(): Pick<typeof import("./main"), "run">;
}

/** Sets process.exitCode and returns, or ends the process where nothing is left to do; nothing is cut off in a pipe. */
export async function start(program: Program): Promise<void> {
  let broken = false;
  const io = processIo((error) => {
    broken = true;
    io.stderr(`${describe(error, io.debug)}\n`);
  });
  const crash = (error: unknown) => {
    io.stderr(`${describe(error, io.debug)}\n`);
    process.exit(EXIT.trouble); // nothing is pending: Io writes synchronously
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  const argv = process.argv.slice(2);
  if (!(await runQuickly(argv, io, program))) await program.full().run(argv, io, program);
  process.exitCode = broken ? EXIT.trouble : io.exitCode;
  // With nothing left to wait for, and all output written, Node needn't take its heap apart first.
  if (process.getActiveResourcesInfo().length === 0) process.exit();
}
