// vouch stream: readings of a device, recorded, verified, shared, exported and anchored.
//
//   record   device ──▶ NAME.vstream          stream-record.ts
//   verify   NAME.vstream ──▶ verdict         stream-verify.ts

import type { Command } from "commander";
import type { Io } from "../io";
import { defineRecord } from "./stream-record";
import { defineVerify } from "./stream-verify";

export function define(program: Command, io: Io): void {
  const stream = program
    .command("stream")
    .description("Records, verifies, shares and exports the readings of a device.");
  defineRecord(stream, io);
  defineVerify(stream, io);
}
