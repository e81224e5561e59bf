// The demo's second story: twelve minutes of a simulated oximeter, at a pace that fits into a quarter of one (pace.ts).
//
//   bench     the same release on the same device as in the first story
//   ward      record, masked for the owner of the readings                  → a recording
//   auditor   whose readings, taken by what software, none missing          → verified
//   owner     ten minutes of it for a clinic                                → these open, and no others
//   attacker  a reading bent, one left out, an end cut off                  → three refusals
//   clinic    FHIR R4, of what was granted

import { readFileSync } from "node:fs";
import { concatBytes } from "@vouch/shared/bytes";
import { VstreamReader } from "@vouch/shared/vstream";
import type { Io } from "../io";
import { setPace } from "../pace";
import { writeWhole } from "../writefiles";
import { benchWorks, DIRECTORY, makerReleases } from "./demo-maker";
import { openFolder, Story, type, unexpected } from "./demo-story";

const PACE = 60;

const RECORD =
  "stream record sim:./pump.flash -o ./ward.vstream --log ./log --policy ./policy --enrolment ./pump.enrolment --group 0 --reader ./owner.reader --checkpoint 512,60s --for 12m --key ./gateway.key --json";
const BY = "--policy ./policy --bundle ./pump.vouch.json --recorder-key ./gateway.vkey";
const OWNER = `${BY} --reader-key ./owner.key`;
const CLINIC = `${BY} --reader-key ./clinic.key`;

/** As a person types them: in the story's folder. */
const typed = (line: string) => `\n$ vouch ${line.replaceAll("./", "")}\n`;

async function wardRecords(story: Story): Promise<void> {
  for (const name of ["owner", "clinic"])
    await story.does(`keygen ${name} --reader --plain --quiet -o ./${name}.key`);
  await story.does("keygen gateway --plain --quiet -o ./gateway.key");
  const realTime = setPace(PACE);
  await story.does(RECORD).finally(realTime);
  story.tell(
    "ward",
    `twelve minutes of an oximeter recorded, ${PACE} times as fast as they would take; masked, for the owner's key to read`,
  );
}

/** Refuses `demo-failed` unless all of it is good. */
async function auditorAsks(story: Story): Promise<void> {
  const line = `stream verify ./ward.vstream ${OWNER}`;
  story.show(typed(line));
  story.show(`${(await story.does(`${line} --state ./heads`)).stdout}\n`);
}

/** How many frames of readings the keys open. Which status that gives is the caller's to know. */
async function opened(story: Story, keys: string, exit: number): Promise<number> {
  const line = `stream verify ./ward.vstream ${keys} --json`;
  const outcome = await type(story.folder, line.split(" "), story.io);
  if (outcome.exit !== exit) throw unexpected(line, outcome);
  return (JSON.parse(outcome.stdout) as { opened: number }).opened;
}

async function ownerGrants(story: Story): Promise<{ readings: number; granted: number }> {
  await story.does(
    "stream grant ./ward.vstream --to ./clinic.reader --reader-key ./owner.key --minutes 10 -o ./clinic.grant",
  );
  const readings = await opened(story, OWNER, 0);
  const granted = await opened(story, `${CLINIC} --grant ./clinic.grant`, 0);
  const alone = await opened(story, CLINIC, 21);
  story.tell("owner", `grants the clinic the last ten minutes of ${readings} frames of readings`);
  story.tell(
    "clinic",
    `opens ${granted} of them by the grant, and not the ${readings - granted} before; without the grant ${alone}`,
  );
  return { readings, granted };
}

/** Where each frame of a recording lies. */
function framesOf(recording: Uint8Array): { start: number; end: number }[] {
  const starts: number[] = [];
  const frames: number[] = [];
  const reader = new VstreamReader();
  reader.push(recording, (item, at) => {
    if (item.kind === "frame") frames.push(starts.length);
    starts.push(at);
  });
  return frames.map((index) => ({ start: starts[index]!, end: starts[index + 1] ?? recording.length }));
}

async function attackerTries(story: Story): Promise<string[]> {
  const recording = new Uint8Array(readFileSync(story.path("ward.vstream")));
  const frames = framesOf(recording);
  const { start, end } = frames[Math.floor(frames.length / 2)]!;
  const tries = (what: string, who: string, bytes: Uint8Array) => {
    writeWhole(story.path("other.vstream"), bytes);
    return story.refuses(who, what, `stream verify ./other.vstream ${OWNER} --state ./heads`);
  };
  const bent = recording.slice();
  bent[end - 20]! ^= 1;
  const without = concatBytes([recording.subarray(0, start), recording.subarray(end)]);
  return [
    await tries("one bit of one reading bent", "attacker", bent),
    await tries("a frame left out", "", without),
    await tries("the second half cut off, to an auditor who saw it", "", recording.subarray(0, start)),
  ];
}

/** How many resources. */
async function clinicExports(story: Story): Promise<number> {
  await story.does(
    `stream export ./ward.vstream --fhir --patient Patient/1042 ${CLINIC} --grant ./clinic.grant -o ./ward.fhir.json`,
  );
  const { entry } = JSON.parse(readFileSync(story.path("ward.fhir.json"), "utf8")) as { entry: unknown[] };
  story.tell(
    "clinic",
    `${entry.length} resources of FHIR R4 from what was granted: device, metrics, observations, provenance`,
  );
  return entry.length;
}

/** Plays the story. Refuses `demo-failed` when any command ends otherwise than it must. */
export async function playStreams(keep: string | undefined, io: Io): Promise<void> {
  const { folder, close } = openFolder(keep);
  try {
    const story = new Story(folder, io, DIRECTORY);
    await makerReleases(story);
    await benchWorks(story);
    await wardRecords(story);
    await auditorAsks(story);
    const shares = await ownerGrants(story);
    const refusals = await attackerTries(story);
    const resources = await clinicExports(story);
    if (io.json)
      io.stdout(
        `${JSON.stringify({ verdict: "verified", ...shares, refusals, resources, kept: keep ?? null })}\n`,
      );
    else if (keep !== undefined) io.stdout(`kept in ${keep}\n`);
  } finally {
    close();
  }
}
