// vouch ledger init: a directory ledger, for demos, tests and sites without a
// network. What it records is proved to whoever trusts its keeper, nobody else.

import { formatVkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import type { Io } from "../io";
import { initDirectoryLedger } from "../ledger/directory";
import { loadSigner, type SignerOptions, withSigner } from "../signer";

export function define(program: Command, io: Io): void {
  const ledger = program.command("ledger").description("Makes and looks at ledgers.");
  withSigner(ledger.command("init"))
    .description(
      "Makes an empty directory ledger and prints the key that a policy's `ledger directory` line names.",
    )
    .argument("<path>", "the folder; made if missing")
    .option("--origin <NAME>", "refuse unless this is the key's name, which becomes the ledger's")
    .option("--json", "print one JSON object")
    .action(async (path: string, flags: SignerOptions & { origin?: string }) => {
      const signer = await loadSigner(flags, io);
      const vkey = await initDirectoryLedger(path, flags.origin, signer, Math.floor(Date.now() / 1000));
      const line = formatVkey(vkey);
      io.stdout(io.json ? `${JSON.stringify({ kind: "directory", path, vkey: line })}\n` : `${line}\n`);
      if (!io.quiet) io.stderr("what it records is recorded locally, not public\n");
    });
}
