// vouch log read: one record out of a log in a folder or at an address, proved to be in it.
//
//   vouch log read https://log.example/fw/ 7311 | vouch inspect -

import type { Command } from "commander";
import { usage } from "../exit";
import type { Io } from "../io";
import { openLogReader } from "../log/remote";
import { decimal } from "../output/size";
import { writeOutput } from "../writefiles";
import { checkSignedFor, recordIndex, withReading } from "./log-prove";

interface ReadFlags {
  readonly policy?: string;
  readonly cache?: string;
  readonly timeout: number;
  readonly output?: string;
}

export function defineRead(log: Command, io: Io): void {
  withReading(log.command("read"))
    .description("Gives one record, proved to be in the log.")
    .argument("<log>", "the log: a folder or an http(s) address")
    .argument("<index>", "the record's index", recordIndex)
    .option("--policy <FILE>", "names the log's key, which must have signed the checkpoint")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was read as one JSON object; needs --output")
    .action(async (where: string, index: bigint, flags: ReadFlags) => {
      if (io.json && (flags.output === undefined || flags.output === "-"))
        throw usage("--json needs --output FILE");
      const reader = await openLogReader(where, { cache: flags.cache, timeoutMs: flags.timeout * 1000 });
      try {
        if (flags.policy !== undefined) checkSignedFor(where, reader, flags.policy);
        const record = await reader.entry(index);
        writeOutput(io, flags.output, record);
        const { size } = reader;
        if (io.json)
          io.stdout(
            `${JSON.stringify({ file: flags.output, index: decimal(index), size: decimal(size), bytes: record.length })}\n`,
          );
      } finally {
        reader.close();
      }
    });
}
