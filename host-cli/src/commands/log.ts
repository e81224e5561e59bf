// vouch log: the release log, a folder of static files that any web server can offer.
//
//   init   an empty log, its checkpoint signed
//   add    statements, in the order given; all of them or none (log-add.ts)
//   close  the statement that ends it (log-close.ts)
//   receipt   a record's place in it, for SCITT peers (log-receipt.ts)
//   check  everything recomputed from the records up: tiles, root, signature, anchors (log-check.ts)
//   prove  a record's place, or an earlier log as the beginning of this one (log-prove.ts)
//   serve  offers the folder over HTTP, to be read only (log-serve.ts)
//   request, cosign   what witnesses without an address take and give (log-witnesses.ts)
//
// The log's key is named like the log's origin, so a reader needs one line, its
// verifier key, to know both.

import { toBase64 } from "@vouch/shared/bytes";
import type { Command } from "commander";
import type { Io } from "../io";
import { initLog } from "../log/store";
import { loadSigner, type SignerOptions, withSigner } from "../signer";
import { defineAdd } from "./log-add";
import { defineCheck } from "./log-check";
import { defineClose } from "./log-close";
import { defineProve } from "./log-prove";
import { defineRead } from "./log-read";
import { defineReceipt } from "./log-receipt";
import { defineServe } from "./log-serve";
import { defineCosign, defineRequest } from "./log-witnesses";

export function define(program: Command, io: Io): void {
  const log = program.command("log").description("Keeps the release log: a folder of static files.");
  defineInit(log, io);
  defineAdd(log, io);
  defineCheck(log, io);
  defineProve(log, io);
  defineRead(log, io);
  defineServe(log, io);
  defineRequest(log, io);
  defineCosign(log, io);
  defineClose(log, io);
  defineReceipt(log, io);
}

function defineInit(log: Command, io: Io): void {
  withSigner(log.command("init"))
    .description("Makes an empty log with a signed checkpoint.")
    .argument("<dir>", "the folder; made if missing")
    .option("--origin <NAME>", "refuse unless this is the key's name, which becomes the log's")
    .option("--json", "print one JSON object")
    .action(async (dir: string, flags: SignerOptions & { origin?: string }) => {
      const { checkpoint } = await initLog(dir, flags.origin, await loadSigner(flags, io));
      const { origin, root } = checkpoint;
      io.stdout(
        io.json ? `${JSON.stringify({ origin, size: 0, root: toBase64(root) })}\n` : `${origin}, size 0\n`,
      );
    });
}
