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
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { formatChallenge } from "@vouch/shared/companions";
import { Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { usage } from "../exit";
import { writeWhole } from "../files";
import type { Io } from "../io";
import { newestAnchored } from "./attest";
import { makeDemoFleet } from "./demo-fleet";
import { attackerForks, startWatching, WATCHED } from "./demo-fork";
import { type Ledger, Story, type, unexpected } from "./demo-story";

const PRODUCT = "pump-400";
const IMAGE_BYTES = 24 * 1024; // enough for a progress bar, little enough for half a minute

const KEYGEN = "keygen ledger.acme.example --plain --quiet -o ./ledger.key";

const DIRECTORY: Ledger = {
  keygen: `${KEYGEN} --cosigner`,
  policyLine: (_, vkey) => `ledger directory ${vkey()}`,
  init: "ledger init ./ledger --key ./ledger.key",
  anchor: "anchor ./log --ledger directory:./ledger --ledger-key ./ledger.key",
};

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

async function makerReleases(story: Story): Promise<void> {
  for (const name of [
    "alice",
    "bob",
    "carol",
    "acme-vendor",
    "acme-status",
    "acme-enroller",
    "fwlog.acme.example",
  ]) {
    await story.does(`keygen ${name} --plain --quiet -o ./${name}.key`);
  }
  if (story.ledger.keygen !== null) await story.does(story.ledger.keygen);
  const vkey = (name: string) => readFileSync(story.path(`${name}.vkey`), "utf8").trim();
  const ledgerLine = await story.ledger.policyLine(story, () => vkey("ledger"));
  writeWhole(
    story.path("policy"),
    [
      `log ${vkey("fwlog.acme.example")}`,
      "quorum none",
      `approver alice engineering ${vkey("alice")}`,
      `approver bob quality ${vkey("bob")}`,
      `approver carol security ${vkey("carol")}`,
      `approve ${PRODUCT} 2 quality`,
      `vendor ${PRODUCT} ${vkey("acme-vendor")}`,
      `status ${vkey("acme-status")}`,
      `enroller ${vkey("acme-enroller")}`,
      ledgerLine,
      "max-age status 30d",
      "max-age evidence 7d",
      "",
    ].join("\n"),
  );
  story.tell(
    "maker",
    "keys for three approvers, of whom two must sign, quality among them; a policy for relying parties",
  );
  await story.does(
    `sim --vendor ./acme-vendor.vkey --product ${PRODUCT} --model PUMP-400 --hw B --write-engine ./engine.bin`,
  );
  await seal(story, "old", "2.3.9", 5, ["bob", "carol"]);
  await seal(story, "pump", "2.4.1", 7, ["alice", "bob"]);
  story.tell("", "release 2.4.1, security version 7: alice and bob approve, then the manifest is sealed");
  await story.does("log init ./log --key ./fwlog.acme.example.key");
  if (story.ledger.init !== null) await story.does(story.ledger.init);
  await logged(story, "old.dsse.json", "pump.dsse.json");
  await story.does(
    `status new --log ./log --product ${PRODUCT} --key ./acme-status.key -o ./status.dsse.json`,
  );
  await logged(story, "status.dsse.json");
  story.tell("", "log: releases and a status statement, no advisory in force; its checkpoint anchored");
  await anchored(story);
}

async function seal(
  story: Story,
  name: string,
  version: string,
  securityVersion: number,
  approvers: readonly string[],
) {
  writeWhole(story.path(`${name}.bin`), randomBytes(IMAGE_BYTES));
  await story.does(
    `release new --product ${PRODUCT} --version ${version} --security-version ${securityVersion} --floor ${securityVersion} --model PUMP-400 --rev B --component app=./${name}.bin --component engine=./engine.bin --vendor ./acme-vendor.vkey -o ./${name}`,
  );
  for (const approver of approvers)
    await story.does(`release sign ./${name}.dsse.json --key ./${approver}.key`);
  await story.does(
    `release seal ./${name}.dsse.json --suit ./${name}.suit --image ./${name}.bin --key ./acme-vendor.key --policy ./policy -o ./${name}.upload`,
  );
}

const logged = (story: Story, ...files: string[]) =>
  story.does(`log add ./log ${files.map((f) => `./${f}`).join(" ")} --key ./fwlog.acme.example.key`);
const watchedLog = (story: Story, file: string) =>
  story.does(`log add ./log ./${file} --key ./fwlog.acme.example.key ${WATCHED}`);
const anchored = (story: Story) => story.does(story.ledger.anchor);

async function benchWorks(story: Story): Promise<void> {
  await story.does("sim --create --state ./pump.flash --engine ./engine.bin");
  await story.does("flash ./pump.upload --port sim:./pump.flash --policy ./policy --yes");
  story.tell(
    "bench",
    `${IMAGE_BYTES / 1024} KB flashed over SMP; the device checks the manifest, restarts, confirms; its rollback floor is now 7`,
  );
  await story.does(
    `enrol --port sim:./pump.flash --policy ./policy --key ./acme-enroller.key --product ${PRODUCT} --serial SN-1042 --yes -o ./pump.enrolment`,
  );
  await logged(story, "pump.enrolment.commitment.dsse.json");
  await anchored(story);
  story.tell("", "SN-1042 enrolled: it proves that it holds its key; the log gets a salted commitment only");
  await story.does(
    "attest --port sim:./pump.flash --log ./log --policy ./policy --enrolment ./pump.enrolment --key ./acme-enroller.key -o ./pump.eat",
  );
  await logged(story, "pump.eat.commitment.dsse.json");
  await anchored(story);
  story.tell(
    "",
    "attested over a nonce from the anchored checkpoint; the commitment to the evidence logged and anchored",
  );
  await story.does(`${BUNDLE} -o ./pump.vouch.json`);
}

const BUNDLE =
  "bundle --log ./log --release ./pump.dsse.json --manifest ./pump.suit --evidence ./pump.eat --enrolment ./pump.enrolment";
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

/** The folder to play in. A kept one must be new or empty: the demo never writes over anything. */
function openFolder(keep: string | undefined): string {
  if (keep === undefined) return mkdtempSync(join(tmpdir(), "vouch-demo-"));
  if (existsSync(keep) && readdirSync(keep).length > 0) {
    throw new Refusal("exists", `${keep} is not empty`, { hint: "name a new folder" });
  }
  mkdirSync(keep, { recursive: true });
  return keep;
}

/** Plays the story. Refuses `demo-failed` when any command ends otherwise than it must. */
export async function play(keep: string | undefined, io: Io, ledger: Ledger = DIRECTORY): Promise<void> {
  const folder = openFolder(keep);
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
  } finally {
    if (keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

export function define(program: Command, io: Io): void {
  program
    .command("demo")
    .description("Plays the whole story on a simulated device, in half a minute.")
    .option("--keep <DIR>", "leave every file in this folder")
    .option("--ledger <KIND:WHERE>", "anchor there instead: rebased:URL[,grpc=URL], stardust:URL[,poi=URL]")
    .option("--root <ROOT>", "the committee that a rebased network begins with")
    .option("--fleet <DIR>", "instead, write what an auditor of 200 simulated devices is handed")
    .option("--json", "print the outcome as one JSON object")
    .action((options: { keep?: string; ledger?: string; root?: string; fleet?: string }) =>
      options.fleet === undefined
        ? play(options.keep, io, ledgerOf(options.ledger, options.root))
        : playFleet(options.fleet, options, io),
    );
}

async function playFleet(
  folder: string,
  { keep, ledger, root }: { keep?: string; ledger?: string; root?: string },
  io: Io,
): Promise<void> {
  if (keep !== undefined || ledger !== undefined || root !== undefined)
    throw usage("--fleet goes with none of --keep, --ledger and --root");
  const { devices } = await makeDemoFleet(folder, Math.floor(Date.now() / 1000));
  if (io.json) io.stdout(`${JSON.stringify({ fleet: folder, devices })}\n`);
  else
    io.stdout(
      `${devices} simulated devices in ${folder}; which are patched?\n  vouch audit ${folder} --policy ${join(folder, "policy")}\n`,
    );
}
