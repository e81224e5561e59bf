// vouch demo: the whole story on a simulated device and a directory ledger, one of IOTA's, or a Tangle, told in
// under 45 lines. Every line is the outcome of a real command: the demo hands command
// lines to the program's own dispatcher, as a person would type them.
//
//   maker     three people, two of whom approve; seal, log, status, anchor
//   bench     flash, enrol, attest; log and anchor the commitments
//   auditor   verify, from files                                            → patched
//   attacker  an older image, an altered one, an old answer, a bent bit     → four refusals
//   maker     one advisory, published once a witness has cosigned           → vulnerable
//   attacker  a second log without it (demo-fork.ts)                        → refused, and proven
//
// What --keep leaves in its folder is the state at the good verdict; the rest of the
// story plays in the subfolder `later`.

import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { formatChallenge } from "@vouch/shared/companions";
import type { Command } from "commander";
import { usage } from "../exit";
import type { Io } from "../io";
import { writeWhole } from "../writefiles";
import { newestAnchored } from "./attest";
import { makeDemoFleet } from "./demo-fleet";
import { attackerForks, startWatching, WATCHED } from "./demo-fork";
import { anchored, BUNDLE, benchWorks, DIRECTORY, KEYGEN, makerReleases, PRODUCT } from "./demo-maker";
import { type Ledger, openFolder, Story, type, unexpected } from "./demo-story";
import { playStreams } from "./demo-streams";

/** A Tangle, believed as its node shows it: who runs the demo is about to see the keys, and has nothing to lose. */
const tangle = (where: string): Ledger => ({
  keygen: null,
  async policyLine(story) {
    const node = where.slice("stardust:".length).split(",")[0];
    const { stdout } = await story.does(`ledger trust --from ${node} --yes -o ./tangle.trust`);
    story.tell("", `the network's coordinator is believed as ${node} shows it: ./tangle.trust`);
    return stdout.trim();
  },
  init: null,
  anchor: `anchor ./log --ledger ${where} --trust ./tangle.trust --yes`,
});

/** A network of IOTA's takes the demo's key for a payer. Refuses `usage` without a root: the demo trusts nothing by default either. */
function ledgerOf(where: string | undefined, root: string | undefined): Ledger {
  if (where === undefined && root === undefined) return DIRECTORY;
  if (where?.startsWith("stardust:") && root === undefined) return tangle(where);
  if (where === undefined || root === undefined) throw usage("--ledger and --root belong together");
  if (!where.startsWith("rebased:"))
    throw usage("--ledger: expected rebased:URL[,grpc=URL] with --root, or stardust:URL[,poi=URL] without");
  return {
    keygen: KEYGEN,
    policyLine: () => `ledger rebased ${root}`,
    init: null,
    anchor: `anchor ./log --ledger ${where} --ledger-key ./ledger.key --root ${root} --yes`,
  };
}

const watchedLog = (story: Story, file: string) =>
  story.does(`log add ./log ./${file} --key ./fwlog.acme.example.key ${WATCHED}`);

const VERIFY = "--policy ./policy --image ./pump.bin --image engine=./engine.bin";

async function auditorAsks(story: Story): Promise<void> {
  story.show(`\n$ vouch verify pump.vouch.json ${VERIFY.replaceAll("./", "")}\n`);
  story.show(`${(await story.does(`verify ./pump.vouch.json ${VERIFY}`)).stdout}\n`);
}

async function attackerTries(story: Story): Promise<string[]> {
  const bent = (file: string, name: string, at: (bytes: Uint8Array) => number) => {
    const bytes = new Uint8Array(readFileSync(story.path(file)));
    bytes[at(bytes)]! ^= 1;
    writeWhole(story.path(name), bytes);
  };
  const flashes = (file: string) => `flash ./${file} --port sim:./pump.flash --policy ./policy --yes`;
  const codes = [await story.refuses("attacker", "genuine but older 2.3.9 to flash", flashes("old.upload"))];
  bent("pump.upload", "altered.upload", (bytes) => bytes.length - 100);
  codes.push(await story.refuses("", "2.4.1 with one bit of the image altered", flashes("altered.upload")));
  cpSync(story.path("pump.eat"), story.path("replayed.eat"));
  const anchor = newestAnchored(story.path("log"), null);
  writeWhole(story.path("replayed.challenge"), formatChallenge({ ...anchor, random: randomBytes(32) }));
  codes.push(
    await story.refuses(
      "",
      "old evidence for a new challenge",
      `verify ./pump.vouch.json ${VERIFY} --evidence ./replayed.eat`,
    ),
  );
  bent("pump.vouch.json", "bent.vouch.json", insideSignature);
  codes.push(await story.refuses("", "one bit bent in the bundle", `verify ./bent.vouch.json ${VERIFY}`));
  return codes;
}

/** A place in the bundle's text, within the base64 of the evidence's signature, that takes a bent bit and stays base64. */
function insideSignature(file: Uint8Array): number {
  const text = new TextDecoder().decode(file);
  const end = text.indexOf('"', text.indexOf('"evidence":"') + 12);
  return text.slice(0, end - 20).search(/[b-yB-Y0-9][^b-yB-Y0-9]*$/);
}

async function makerWarns(story: Story): Promise<void> {
  await story.does(
    `advisory new --id ACME-2026-1 --product ${PRODUCT} --affects app=./pump.bin --fixed 2.4.2 --kind security --summary flow-sensor-input-is-not-checked --key ./acme-status.key -o ./advisory.dsse.json`,
  );
  await watchedLog(story, "advisory.dsse.json");
  await story.does(
    `status new --log ./log --product ${PRODUCT} --key ./acme-status.key -o ./status2.dsse.json`,
  );
  await watchedLog(story, "status2.dsse.json");
  await anchored(story);
  await story.does(`${BUNDLE} -o ./now.vouch.json`);
  story.tell(
    "maker",
    "advisory ACME-2026-1 for 2.4.1 and a new status, cosigned by a witness, anchored; the same device again:",
  );
  const line = `verify ./now.vouch.json ${VERIFY}`;
  const outcome = await type(story.folder, line.split(" "), story.io);
  if (outcome.exit !== 22) throw unexpected(line, outcome);
  const lines = outcome.stdout.trimEnd().split("\n");
  story.show(`${lines.find((text) => text.startsWith("advisories"))}\n${lines.at(-1)}\n`);
}

/** Plays the story. Refuses `demo-failed` when any command ends otherwise than it must. */
export async function play(keep: string | undefined, io: Io, ledger: Ledger = DIRECTORY): Promise<void> {
  const { folder, close } = openFolder(keep);
  try {
    const story = new Story(folder, io, ledger);
    await makerReleases(story);
    await benchWorks(story);
    await auditorAsks(story);
    const later = new Story(join(folder, "later"), io, ledger);
    mkdirSync(later.folder);
    for (const name of readdirSync(folder)) {
      if (name !== "later") cpSync(story.path(name), later.path(name), { recursive: true });
    }
    const refusals = await attackerTries(later);
    const witness = await startWatching(later);
    let proof: string;
    try {
      await makerWarns(later);
      proof = await attackerForks(later, PRODUCT);
    } finally {
      await witness.close();
    }
    if (io.json)
      io.stdout(
        `${JSON.stringify({ verdict: "patched", refusals, after: "vulnerable", fraud: proof, kept: keep ?? null })}\n`,
      );
    else if (keep !== undefined)
      io.stdout(`kept in ${keep}; what came after the good verdict in ${basename(later.folder)}/\n`);
    else if (!io.quiet) io.stderr(`to look at all of it yourself: vouch demo --keep DIR\n`);
  } finally {
    close();
  }
}

interface Flags {
  keep?: string;
  ledger?: string;
  root?: string;
  fleet?: string;
  streams?: boolean;
}

export function define(program: Command, io: Io): void {
  program
    .command("demo")
    .description("Plays the whole story on a simulated device, in half a minute.")
    .option("--keep <DIR>", "leave every file in this folder")
    .option("--ledger <KIND:WHERE>", "anchor there instead: rebased:URL[,grpc=URL], stardust:URL[,poi=URL]")
    .option("--root <ROOT>", "the committee that a rebased network begins with")
    .option("--fleet <DIR>", "instead, write what an auditor of 200 simulated devices is handed")
    .option("--streams", "instead, the story of a stream of readings, in simulated time")
    .option("--json", "print the outcome as one JSON object")
    .action((options: Flags) => {
      const { streams, fleet, ledger, root } = options;
      if (streams === true) {
        if (fleet !== undefined || ledger !== undefined || root !== undefined)
          throw usage("--streams goes with none of --fleet, --ledger and --root");
        return playStreams(options.keep, io);
      }
      return fleet === undefined
        ? play(options.keep, io, ledgerOf(ledger, root))
        : playFleet(fleet, options, io);
    });
}

async function playFleet(folder: string, { keep, ledger, root }: Flags, io: Io): Promise<void> {
  if (keep !== undefined || ledger !== undefined || root !== undefined)
    throw usage("--fleet goes with none of --keep, --ledger and --root");
  const { devices } = await makeDemoFleet(folder, Math.floor(Date.now() / 1000));
  if (io.json) io.stdout(`${JSON.stringify({ fleet: folder, devices })}\n`);
  else
    io.stdout(
      `${devices} simulated devices in ${folder}; which are patched?\n  vouch audit ${folder} --policy ${join(folder, "policy")}\n`,
    );
}
