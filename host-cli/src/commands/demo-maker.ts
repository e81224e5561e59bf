// What both of the demo's stories begin with: a release that two of three people approved, in a log, anchored; a simulated
// device that was flashed with it, enrolled and attested; the bundle that says so.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeWhole } from "../writefiles";
import type { Ledger, Story } from "./demo-story";

export const PRODUCT = "pump-400";
const IMAGE_BYTES = 24 * 1024; // enough for a progress bar, little enough for half a minute

export const KEYGEN = "keygen ledger.acme.example --plain --quiet -o ./ledger.key";

export const DIRECTORY: Ledger = {
  keygen: `${KEYGEN} --cosigner`,
  policyLine: (_, vkey) => `ledger directory ${vkey()}`,
  init: "ledger init ./ledger --key ./ledger.key",
  anchor: "anchor ./log --ledger directory:./ledger --ledger-key ./ledger.key",
};

export async function makerReleases(story: Story): Promise<void> {
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

export const logged = (story: Story, ...files: string[]) =>
  story.does(`log add ./log ${files.map((f) => `./${f}`).join(" ")} --key ./fwlog.acme.example.key`);
export const anchored = (story: Story) => story.does(story.ledger.anchor);

export async function benchWorks(story: Story): Promise<void> {
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

export const BUNDLE =
  "bundle --log ./log --release ./pump.dsse.json --manifest ./pump.suit --evidence ./pump.eat --enrolment ./pump.enrolment";
