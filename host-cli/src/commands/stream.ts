// vouch stream: readings of a device, recorded, verified, shared, exported and anchored.
//
//   record          device ──▶ NAME.vstream                  stream-record.ts
//   verify          NAME.vstream ──▶ verdict                 stream-verify.ts
//   grant, revoke   parts of it for a reader                 stream-grant.ts
//   export          NAME.vstream ──▶ FHIR, CSV, SenML        stream-export.ts

import type { Command } from "commander";
import type { Io } from "../io";
import { defineExport } from "./stream-export";
import { defineGrant, defineRevoke } from "./stream-grant";
import { defineRecord } from "./stream-record";
import { defineVerify } from "./stream-verify";

export function define(program: Command, io: Io): void {
  const stream = program
    .command("stream")
    .description("Records, verifies, shares and exports the readings of a device.");
  defineRecord(stream, io);
  defineVerify(stream, io);
  defineGrant(stream, io);
  defineRevoke(stream, io);
  defineExport(stream, io);
}
