// The demo's second story: twelve minutes of a simulated oximeter, at a pace that fits into seconds (pace.ts).
//
//   bench     the same release on the same device as in the first story
//   ward      record, masked for the owner of the readings                    → a recording
//   auditor   whose readings, by what software, all there                     → verified
//   owner     ten minutes of it for a clinic                                  → these and no others open
//   attacker  a bent frame, a missing one, an end cut off                     → three refusals
//   hospital  FHIR                                                            → a transaction

import { rmSync } from "node:fs";
import type { Io } from "../io";
import { setPace } from "../pace";
import { benchWorks, DIRECTORY, makerReleases } from "./demo-maker";
import { openFolder, Story } from "./demo-story";

const PACE = 60;
const RECORD =
  "stream record sim:./pump.flash -o ./ward.vstream --log ./log --policy ./policy --enrolment ./pump.enrolment --reader ./owner.reader --reader-key ./owner.key --group 0 --checkpoint 512,60s --for 12m --key ./gateway.key";

async function wardRecords(story: Story): Promise<void> {
  for (const name of ["owner", "clinic"])
    await story.does(`keygen ${name} --reader --plain --quiet -o ./${name}.key`);
  await story.does("keygen gateway.example --plain --quiet -o ./gateway.key");
  const realTime = setPace(PACE);
  const { stdout, stderr } = await story.does(RECORD).finally(realTime);
  story.tell("ward", "twelve minutes");
  story.show(stdout + stderr);
}

async function auditorAsks(story: Story): Promise<void> {
  const line =
    "stream verify ./ward.vstream --policy ./policy --bundle ./pump.vouch.json --reader-key ./owner.key --recorder-key ./gateway.vkey";
  story.show(`\n$ vouch ${line.replaceAll("./", "")}\n`);
  story.show(`${(await story.does(line)).stdout}\n`);
}

export async function playStreams(keep: string | undefined, io: Io): Promise<void> {
  const folder = openFolder(keep);
  try {
    const story = new Story(folder, io, DIRECTORY);
    await makerReleases(story);
    await benchWorks(story);
    await wardRecords(story);
    await auditorAsks(story);
  } finally {
    if (keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}
