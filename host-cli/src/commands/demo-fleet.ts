// vouch demo --fleet DIR: 200 simulated pumps, as an auditor is handed them. The maker, the log, the ledger and
// every device have keys of their own; all is signed for real, by the code that signs for real devices. Two
// things are simulated: the devices' memory, and the time, since a fleet's story takes ninety days:
//
//   day -90  releases 2.3.9 and 2.4.0; 199 devices enrolled      day -21  two devices attest, and then no more
//   day -60  releases 2.3.10 and 2.4.1                           day  -1  status; the others attest
//   day -50  an advisory on 2.3.9, a recall of 2.4.0
//
//   DIR/policy                whom the auditor trusts       DIR/log, DIR/ledger   public, as files
//   DIR/pump-400-V.vouch.json what holds of release V       DIR/WARD.jsonl        devices, a file an owner
//   DIR/stray.eat             one that nobody enrolled, with its challenge
//
// Thirteen are not patched: FAULTS in demo-fleet-pumps.ts says which and why. The maker's part is demo-fleet-maker.ts.
// The keys are forgotten at the end.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { formatChallenge } from "@vouch/shared/companions";
import { formatDevice } from "@vouch/shared/fleetform";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { initDirectoryLedger } from "../ledger/directory";
import type { FleetDevice } from "../log/fleet";
import { makeFleet } from "../log/fleet";
import { initLog, openLog } from "../log/store";
import { makeFolder, writeWhole } from "../writefiles";
import {
  advise,
  DAY,
  type Enrolled,
  Fleet,
  newKey,
  type Placed,
  PROBLEMS,
  PRODUCT,
  type Released,
  random,
  release,
  stateStatus,
} from "./demo-fleet-maker";
import { attest, attestAndLog, type Dated, enrol, FAULTS, type Fault } from "./demo-fleet-pumps";

const DEVICES = 200;
const WARDS = ["st-anne", "mercy", "lakeside", "north"];

/** Plays the ninety days into a new folder. Refuses `exists`. `now` is Unix seconds. */
export async function makeDemoFleet(folder: string, now: number): Promise<{ devices: number }> {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new Refusal("exists", `${folder} is not empty`, { hint: "name a new folder" });
  makeFolder(folder);
  const fleet = new Fleet(folder, now);
  await initLog(fleet.logFolder, undefined, fleet.keys.log);
  await initDirectoryLedger(join(folder, "ledger"), undefined, fleet.keys.ledger, now - 91 * DAY);
  const evidence = await playStory(fleet);
  const numbers = [...evidence.keys()].sort((a, b) => a - b);
  const releases = ["2.4.1", "2.3.10", "2.4.0", "2.3.9"].map((v) => fleet.releases.get(v) as Released);
  const made = makeFleet(fleet.logFolder, releases, () => numbers.map((n) => evidence.get(n) as FleetDevice));
  const lines = [...made.devices()].map((record) => {
    if (isRefusal(record)) throw record;
    return Buffer.concat([formatDevice(record), Buffer.from("\n")]);
  });
  writeWhole(join(folder, "policy"), fleet.policy());
  made.contexts.forEach((context, i) => {
    writeWhole(join(folder, `${PRODUCT}-${releases[i]?.version}.vouch.json`), context);
  });
  WARDS.forEach((ward, i) => {
    const theirs = lines.filter((_, at) => at % WARDS.length === i);
    writeWhole(join(folder, `${ward}.jsonl`), Buffer.concat(theirs), { mode: 0o600 });
  });
  return { devices: DEVICES };
}

/** Everything up to now. Gives the devices by number; the stray one's files are written. */
async function playStory(fleet: Fleet): Promise<Map<number, FleetDevice>> {
  const day = (n: number) => fleet.now + n * DAY;
  release(fleet, "2.3.9", 5, day(-90));
  release(fleet, "2.4.0", 6, day(-90));
  for (let n = 1; n < DEVICES; n++) await enrol(fleet, n, day(-90));
  await fleet.anchor(day(-90));
  release(fleet, "2.3.10", 7, day(-60));
  release(fleet, "2.4.1", 8, day(-60));
  await fleet.anchor(day(-60));
  await advise(fleet, "ACME-2026-01", "2.3.9", day(-50));
  await advise(fleet, "ACME-2026-02", "2.4.0", day(-50));
  await fleet.anchor(day(-50));
  const log = openLog(fleet.logFolder);
  const advisories = PROBLEMS.map(({ id }, i): Placed => {
    const index = log.size - BigInt(PROBLEMS.length - i);
    return { id, index: Number(index), bytes: log.entry(index) };
  });
  const evidence = new Map<number, FleetDevice>();
  const attestAll = async (
    isTheirTurn: (fault: Fault | undefined) => boolean,
    dated: Dated,
    time: number,
  ) => {
    for (let n = 1; n < DEVICES; n++)
      if (isTheirTurn(FAULTS[n])) evidence.set(n, await attestAndLog(fleet, n, dated, time));
    await fleet.anchor(time);
  };
  await stateStatus(fleet, advisories, day(-21));
  const early = await fleet.anchor(day(-21));
  await attestAll((fault) => fault === "stale", early, day(-21) + 3600);
  await stateStatus(fleet, advisories, day(-1));
  const late = await fleet.anchor(day(-1));
  await attestAll((fault) => fault !== "stale", late, day(-1) + 3600);
  const stray: Enrolled = {
    key: newKey("stray"),
    ueid: concatBytes([Uint8Array.of(1), random(16)]),
    statement: new Uint8Array(0),
    salt: new Uint8Array(0),
  };
  const answer = attest(fleet, DEVICES, late, stray);
  writeWhole(join(fleet.folder, "stray.eat"), answer.evidence);
  writeWhole(join(fleet.folder, "stray.challenge"), formatChallenge(answer.challenge));
  return evidence;
}
