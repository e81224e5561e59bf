// vouch stream: a device's readings, from the line to whoever may read them.
//
// Each subcommand has a file of its own, stream-NAME.ts, which says what it does.

import type { Command } from "commander";
import type { Io } from "../io";
import { defineAnchor } from "./stream-anchor";
import { defineGrant, defineRevoke } from "./stream-grant";
import { defineRecord } from "./stream-record";
import { defineVerify } from "./stream-verify";

export function define(program: Command, io: Io): void {
  const stream = program
    .command("stream")
    .description("Records, verifies, shares and exports a device's readings.");
  for (const defineOne of SUBCOMMANDS) defineOne(stream, io);
}

/** In the order `vouch stream --help` lists them; one line each. */
const SUBCOMMANDS: ((stream: Command, io: Io) => void)[] = [
  defineRecord,
  defineVerify,
  defineGrant,
  defineRevoke,
  defineAnchor,
];
