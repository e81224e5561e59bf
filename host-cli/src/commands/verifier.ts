// vouch verifier: writes out the verifier that stands alone (scripts/verifier.mjs), to be kept beside bundles.
//
// Its digest is printed for whoever keeps the file: a verifier that was changed can say anything.

import { toHex } from "@vouch/shared/bytes";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { builtFile } from "../dist";
import { usage } from "../exit";
import type { Io } from "../io";
import { readInput } from "../readfiles";
import { VERSION } from "../version";
import { writeOutput } from "../writefiles";

const NAME = "vouch-verify.cjs";
const MAX_VERIFIER = 4 * 1024 * 1024;

export function define(program: Command, io: Io): void {
  program
    .command("verifier")
    .description("Writes a verifier that is one file and needs Node alone, to keep beside bundles.")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was written as one JSON object; needs --output")
    .action((options: { output?: string }) => {
      const { output } = options;
      if (io.json && (output === undefined || output === "-"))
        throw usage("--json needs --output FILE", "the verifier itself goes to stdout otherwise");
      const bytes = readInput(builtFile(NAME), MAX_VERIFIER);
      const sha256 = toHex(nodeCrypto.sha256(bytes));
      writeOutput(io, output, new TextDecoder().decode(bytes));
      if (io.json)
        io.stdout(
          `${JSON.stringify({ file: output, bytes: bytes.length, sha256, version: VERSION, node: ">=20.12" })}\n`,
        );
      else if (!io.quiet)
        io.stderr(
          `verifier ${VERSION}, ${bytes.length} bytes, sha256 ${sha256}\nruns as: node ${output ?? NAME} BUNDLE --policy FILE\n     or: node ${output ?? NAME} audit FILES… --policy FILE\n`,
        );
    });
}
