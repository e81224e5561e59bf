// vouch advisory new: a signed statement that images have a problem.
//
// It names images by digest, never versions: a verdict compares it with what a
// device measured. Put it in the log, then make a status that lists it.

import { quote } from "@vouch/shared/refusal";
import type { AdvisoryStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { usage } from "../exit";
import { writeOutput } from "../files";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { digestNamed, signStatement, splitComponentFlag } from "../statementfile";

export interface NewAdvisory {
  id: string;
  product: string;
  /** `component=FILE` or `component=DIGEST`. */
  affects: readonly string[];
  fixed: readonly string[];
  kind: AdvisoryStatement["advisoryKind"];
  state: AdvisoryStatement["state"];
  summary: string;
}

/** The signed bytes, for the log. `now` is its `created`. Refuses `malformed-statement`, and an unreadable image. */
export function newAdvisory(wanted: NewAdvisory, signer: Signer, now: number): Promise<Uint8Array> {
  const { id, product, kind, state, summary } = wanted;
  const subjects = wanted.affects.map((value) => {
    const { name, path } = splitComponentFlag("--affects", value);
    return { name, sha256: digestNamed(path, name) };
  });
  return signStatement(
    {
      kind: "advisory",
      subjects,
      id,
      product,
      advisoryKind: kind,
      state,
      fixedVersions: wanted.fixed,
      summary,
      created: isoTime(now),
    },
    signer,
  );
}

const KINDS = ["security", "recall", "field-safety-notice"] as const;
const STATES = ["affected", "under_investigation"] as const;

function oneOf<T extends string>(flag: string, words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw usage(`${flag}: found ${quote(text)}, expected ${words.join(", ")}`);
    return found;
  };
}

interface Flags extends SignerOptions {
  id: string;
  product: string;
  affects: string[];
  fixed?: string[];
  kind: NewAdvisory["kind"];
  state: NewAdvisory["state"];
  summary: string;
  created?: string;
  output?: string;
}

export function define(program: Command, io: Io): void {
  const advisory = program.command("advisory").description("States that releases are affected by something.");
  withSigner(advisory.command("new"))
    .description("Writes a signed advisory, for `vouch log add`.")
    .requiredOption("--id <ID>", "its name in your own numbering, one word")
    .requiredOption("--product <NAME>", "the product, as in its releases")
    .requiredOption(
      "--affects <NAME=IMAGE...>",
      "component and image: a file, a release's .dsse.json, or a digest",
    )
    .option("--fixed <VERSION...>", "releases that don't have the problem")
    .requiredOption("--kind <KIND>", KINDS.join(", "), oneOf("--kind", KINDS))
    .option("--state <STATE>", STATES.join(" or "), oneOf("--state", STATES), "affected")
    .requiredOption("--summary <TEXT>", "one line for whoever reads a verdict")
    .option("--created <TIME>", "instead of now, for a reproducible statement")
    .option("-o, --output <FILE>", "default: stdout")
    .option("--json", "print one JSON object")
    .action(async (flags: Flags) => {
      const now =
        flags.created === undefined ? Math.floor(Date.now() / 1000) : parseMoment(flags.created, "--created");
      if (io.json && (flags.output === undefined || flags.output === "-")) {
        throw usage("--json and the statement can't both go to stdout", "-o FILE");
      }
      const bytes = await newAdvisory(
        { ...flags, fixed: flags.fixed ?? [] },
        await loadSigner(flags, io),
        now,
      );
      writeOutput(io, flags.output, Buffer.from(bytes).toString("utf8"));
      if (io.json)
        io.stdout(`${JSON.stringify({ id: flags.id, product: flags.product, statement: flags.output })}\n`);
    });
}
