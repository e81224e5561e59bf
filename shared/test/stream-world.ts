// A recording of a device that a world has enrolled: two boots, on the world's first release and on its second, each
// with the evidence that the boot signed.

import { concatBytes } from "@vouch/shared/bytes";
import { formatChallenge, formatEnrolmentFile } from "@vouch/shared/companions";
import { type Claims, decodeEvidence, encodeClaims, encodeEvidence } from "@vouch/shared/evidence";
import {
  type CoincidenceClaim,
  coincidenceMessage,
  encodeCoincidence,
  encodeEvidenceItem,
  encodeFrameItem,
  encodeVstreamHead,
  recorderKid,
} from "@vouch/shared/vstream";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { type Bundle, formatBundle } from "../src/bundle";
import { deviceKey, type MakerOptions, StreamMaker } from "./stream-kit";
import { keyOf, makeWorld, T0, type WorldOptions } from "./world";

export const RECORDER = deviceKey(31);

export interface RecordedWorld {
  policyText: string;
  /** Of each release, with the device's enrolment. */
  bundles: Uint8Array[];
  maker: StreamMaker;
  /** Writes what was made since the last call, and says when, in seconds after T0. */
  items: Uint8Array[];
  file(): Uint8Array;
}

/** Adds a recorder's word after what is there. */
export function coincide(world: RecordedWorld, seconds: number): void {
  const { maker, items } = world;
  const claim: CoincidenceClaim = {
    id: maker.id,
    epoch: maker.epoch,
    ticks: maker.ticks,
    micros: (T0 + seconds) * 1e6,
    uncertainty: 2000,
    seq: maker.seq - 1,
    link: maker.prev,
  };
  const kid = recorderKid(RECORDER.publicKey, nodeCrypto);
  items.push(encodeCoincidence(claim, kid, RECORDER.sign(coincidenceMessage(claim, kid))));
}

/** Boot 3 takes `rows` readings on the first release, boot 4 as many on the second. */
export function recordedWorld(
  options: WorldOptions = {},
  stream: MakerOptions = {},
  { rows = 60, isSameEvidence = false } = {},
): RecordedWorld {
  const world = makeWorld({ versions: ["2.4.0", "2.4.1"], ...options });
  const [first, second] = world.bundles as [Bundle, Bundle];
  const device = first.devices[0]!;
  const key = keyOf("acme", "acme.example/sn0");
  const claims = decodeEvidence(device.evidence).claims!;
  const later: Claims = {
    ...decodeEvidence(second.devices[0]!.evidence).claims!,
    ueid: claims.ueid,
    bootcount: claims.bootcount + 1,
    bootseed: new Uint8Array(16).fill(claims.bootcount + 1),
  };
  const kid = nodeCrypto.sha256(key.vkey.publicKey).slice(0, 8);
  const rebooted = encodeEvidence(encodeClaims(later), kid, key.sign);
  const challengeOf = (bundle: Bundle) => {
    const { note, receipts } = bundle.checkpoints[0]!;
    const { random } = bundle.devices[0]!.challenge;
    return formatChallenge({ checkpoint: note, ledger: "directory", receipt: receipts[0]!.proof, random });
  };
  const sha256 = nodeCrypto.sha256;
  const appOf = (c: Claims) => c.components.find(({ name }) => name === "app")!.digest;
  const maker = new StreamMaker({
    ueid: claims.ueid,
    device: { publicKey: key.vkey.publicKey, sign: key.sign },
    evidence: sha256(device.evidence),
    ...stream,
  });
  const items: Uint8Array[] = [encodeVstreamHead()];
  let written = 0;
  const flush = () => {
    for (; written < maker.frames.length; written++) items.push(encodeFrameItem(maker.frames[written]!));
  };
  const recorded: RecordedWorld = {
    policyText: world.policyText,
    bundles: [first, second].map((bundle) => formatBundle({ ...bundle, devices: [device] })),
    maker,
    items,
    file: () => {
      flush();
      return concatBytes(items);
    },
  };
  const enrolment = formatEnrolmentFile({ salt: device.salt, statement: device.enrolment });
  items.push(encodeEvidenceItem({ evidence: device.evidence, challenge: challengeOf(first), enrolment }));
  maker.bootcount = claims.bootcount;
  const own = maker.boot.bind(maker);
  let current = { claims, evidence: device.evidence };
  maker.boot = () => ({
    ...own(),
    bootseed: current.claims.bootseed,
    image: appOf(current.claims),
    evidence: sha256(current.evidence),
  });
  const take = (seconds: number) => {
    for (let row = 0; row < rows; row++) {
      maker.data();
      if (row % 8 === 7) maker.checkpoint();
    }
    maker.checkpoint();
    flush();
    coincide(recorded, seconds);
  };
  maker.announce();
  flush();
  coincide(recorded, 200);
  take(200 + rows);
  current = { claims: later, evidence: isSameEvidence ? device.evidence : rebooted };
  items.push(encodeEvidenceItem({ evidence: rebooted, challenge: challengeOf(second) }));
  maker.resume();
  flush();
  coincide(recorded, 1000);
  take(1000 + rows);
  maker.close();
  return recorded;
}
