// The pumps of `vouch demo --fleet` (demo-fleet.ts): each enrolled under a key of its own, each attesting for real.
// Only what lies in its memory is made up, and for thirteen of them what is the matter: FAULTS.

import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { type Claims, challengeNonce, encodeClaims, encodeEvidence } from "@vouch/shared/evidence";
import { isoTime } from "@vouch/shared/time";
import { nodeCrypto } from "../crypto";
import { commitTo, signStatement } from "../endorse";
import type { FleetDevice } from "../log/fleet";
import {
  type Enrolled,
  type Fleet,
  kidOfKey,
  MODEL,
  newKey,
  PRODUCT,
  type Released,
  random,
} from "./demo-fleet-maker";

const REGION_BYTES = 8192;

/** What is the matter with a device, by its number. */
export const FAULTS: Readonly<Record<number, Fault>> = {
  7: "old", // 2.3.9, which an advisory affects
  41: "old",
  88: "old",
  163: "old",
  23: "recalled", // 2.4.0
  120: "recalled",
  59: "altered", // 2.4.1 by name, other bytes
  72: "stale", // last attested three weeks ago
  145: "stale",
  97: "foreign", // enrolled by a station that the policy doesn't know
  131: "trial", // runs 2.4.1 on trial: falls back at the next reset
  178: "replayed", // an answer to another challenge
  200: "stray", // nobody enrolled it
};
export type Fault = "old" | "recalled" | "altered" | "stale" | "foreign" | "trial" | "replayed" | "stray";

export async function enrol(fleet: Fleet, number: number, time: number): Promise<void> {
  const by = FAULTS[number] === "foreign" ? fleet.keys.foreign : fleet.keys.enroller;
  const key = newKey(`device-${number}`);
  const ueid = concatBytes([Uint8Array.of(1), random(16)]);
  const statement = await signStatement(
    {
      kind: "enrolment",
      product: PRODUCT,
      model: MODEL,
      serial: serialOf(number),
      ueid: toHex(ueid),
      publicKey: key.publicKey,
      keyOrigin: "device",
      created: isoTime(time),
    },
    by,
  );
  const commitment = await commitTo("enrolment", statement, by, time);
  fleet.enrolled.set(number, { key, ueid, statement, salt: commitment.salt });
  fleet.record(commitment.statement);
}

const serialOf = (number: number) => `SN-${String(1000 + number)}`;

export interface Dated {
  readonly note: Uint8Array;
  readonly receipt: Uint8Array;
}

/** The release that a device runs. One in ten of the good ones has the older line's backport. */
function runs(fleet: Fleet, number: number): Released {
  const fault = FAULTS[number];
  const version =
    fault === "old" ? "2.3.9" : fault === "recalled" ? "2.4.0" : number % 10 === 0 ? "2.3.10" : "2.4.1";
  return fleet.releases.get(fault === undefined || version !== "2.3.10" ? version : "2.4.1") as Released;
}

/** A device answers a challenge. */
export function attest(fleet: Fleet, number: number, { note, receipt }: Dated, device: Enrolled) {
  const fault = FAULTS[number];
  const released = runs(fleet, number);
  const challenge = { checkpoint: note, ledger: "directory", receipt, random: random(32) };
  const asked = fault === "replayed" ? { ...challenge, random: random(32) } : challenge;
  const nonce = challengeNonce(nodeCrypto.sha256, note, receipt, asked.random);
  const app = released.app.slice();
  if (fault === "altered") app[100] = (app[100] as number) ^ 1;
  const component = (name: string, image: Uint8Array) => {
    const region = new Uint8Array(REGION_BYTES).fill(0xff);
    region.set(image);
    return {
      name,
      version: name === "app" ? released.version : "1.0.0",
      digest: nodeCrypto.sha256(image),
      regionLength: REGION_BYTES,
      keyedDigest: nodeCrypto.sha256(concatBytes([nonce, region])),
    };
  };
  const claims: Claims = {
    nonce,
    ueid: device.ueid,
    hwmodel: utf8Encode(MODEL),
    hwversion: "B",
    uptime: 3600 + number,
    dbgstat: number % 67 === 0 ? 0 : 2,
    bootcount: 3,
    bootseed: random(16),
    components: [component("engine", fleet.engine), component("app", app)],
    vendorKid: kidOfKey(fleet.keys.vendor),
    floor: released.securityVersion - 1,
    sequence: released.securityVersion,
    confirmed: fault !== "trial",
    manifestDigest: released.manifestDigest,
  };
  const evidence = encodeEvidence(encodeClaims(claims), kidOfKey(device.key), device.key.signNow);
  return { evidence, challenge };
}

/** Evidence, and its salted commitment for the log. */
export async function attestAndLog(
  fleet: Fleet,
  number: number,
  dated: Dated,
  time: number,
): Promise<FleetDevice> {
  const device = fleet.enrolled.get(number) as Enrolled;
  const { evidence, challenge } = attest(fleet, number, dated, device);
  const commitment = await commitTo("evidence", evidence, fleet.keys.enroller, time);
  fleet.record(commitment.statement);
  const { statement, salt } = device;
  return { files: { evidence, challenge, salt: commitment.salt }, enrolment: { statement, salt } };
}
