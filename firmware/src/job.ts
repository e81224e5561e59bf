// The one long piece of work: make a key if asked to, measure, sign. It runs in slices, one per
// tick, so that commands are answered meanwhile; hosts poll progress.
//
//   idle ─▶ measuring ─▶ signing ─▶ ready | failed          kept until the next job
//
// A slice is a page hashed (or a native digest), or one Ed25519 operation, which can't be
// cut: seconds on a microcontroller. There is one signature per job. What is claimed beside the
// measurements is read when the signature is made, in the same slice.
//
// Memory: one measurement, and the evidence of about 700 bytes.

import { copyBytes, equalBytes, utf8Encode } from "@vouch/shared/bytes";
import { signEd25519 } from "@vouch/shared/ed25519";
import { type Component, encodeClaims, encodeEvidence } from "@vouch/shared/evidence";
import { FAULT_ENGINE_BLOCK, FAULT_NONE } from "@vouch/shared/fault";
import type { Engine } from "./engine";
import { type Identity, keyKid, makeKey } from "./identity";
import { type Measurement, startMeasurement, stepMeasurement } from "./measure";
import type { Port } from "./port";
import { NO_SLOT, payloadRegion, type Slot, type Slots, versionOf } from "./slots";

export const JOB_IDLE = 0;
export const JOB_MEASURING = 1;
export const JOB_SIGNING = 2;
export const JOB_READY = 3;
export const JOB_FAILED = 4;
export const JOB_WORDS = ["idle", "measuring", "signing", "ready", "failed"];

export interface Device {
  port: Port;
  engine: Engine | null;
  identity: Identity;
  slots: Slots;
  /** How often the device was started, this one included. */
  starts: number;
  bootSeed: Uint8Array;
}

export interface Job {
  device: Device;
  number: number;
  state: number;
  nonce: Uint8Array;
  /** For enrolment: the key is made first; `seed` is for a board without randomness. */
  needsKey: boolean;
  seed: Uint8Array | null;
  measurement: Measurement | null;
  components: Component[];
  done: number;
  total: number;
  evidence: Uint8Array;
  fault: number;
}

const ENGINE = "engine";
const APP = "app";

export function makeJob(device: Device): Job {
  return {
    device,
    number: 0,
    state: JOB_IDLE,
    nonce: new Uint8Array(0),
    needsKey: false,
    seed: null,
    measurement: null,
    components: [],
    done: 0,
    total: 0,
    evidence: new Uint8Array(0),
    fault: FAULT_NONE,
  };
}

export function isRunning(job: Job): boolean {
  return job.state === JOB_MEASURING || job.state === JOB_SIGNING;
}

/** Whether the job, running or ready, is the one for this nonce: a request that was repeated. */
export function isSameJob(job: Job, nonce: Uint8Array): boolean {
  return (isRunning(job) || job.state === JOB_READY) && equalBytes(job.nonce, nonce);
}

function measureEngine(device: Device, nonce: Uint8Array): Measurement {
  const region = device.port.layout.engine;
  return startMeasurement(device.port, nonce, region.address, region.length, region.length);
}

function measureApp(device: Device, nonce: Uint8Array): Measurement {
  const region = payloadRegion(device.port, device.slots.active);
  const slot = device.slots.slots[device.slots.active] as Slot;
  return startMeasurement(device.port, nonce, region.address, region.length, slot.length);
}

/** Starts a job; none may be running. */
export function startJob(job: Job, nonce: Uint8Array, needsKey: boolean, seed: Uint8Array | null): void {
  const device = job.device;
  job.number++;
  job.state = JOB_MEASURING;
  job.nonce = copyBytes(nonce, 0, nonce.length);
  job.needsKey = needsKey;
  job.seed = seed === null ? null : copyBytes(seed, 0, seed.length);
  job.measurement = measureEngine(device, job.nonce);
  job.components = [];
  job.done = 0;
  job.total = device.port.layout.engine.length;
  if (device.slots.active !== NO_SLOT) job.total += payloadRegion(device.port, device.slots.active).length;
  job.evidence = new Uint8Array(0);
  job.fault = FAULT_NONE;
}

/** Forgets the last job: its evidence is by a key that is no longer. None may be running. */
export function forgetJob(job: Job): void {
  job.state = JOB_IDLE;
  job.nonce = new Uint8Array(0);
  job.evidence = new Uint8Array(0);
}

function fail(job: Job, fault: number): void {
  job.state = JOB_FAILED;
  job.fault = fault;
  job.seed = null;
  job.measurement = null;
}

// The measurement that just ended becomes a component; the application comes after the engine.
function noteMeasured(job: Job, m: Measurement, engine: Engine): void {
  const device = job.device;
  const running = device.slots.running;
  const isEngine = job.components.length === 0;
  job.components.push({
    name: isEngine ? ENGINE : APP,
    version: isEngine || running === null ? engine.version : versionOf(running),
    digest: m.digest as Uint8Array,
    keyedDigest: m.keyedDigest as Uint8Array,
    regionLength: m.regionLength,
  });
  const more = isEngine && running !== null;
  job.measurement = more ? measureApp(device, job.nonce) : null;
  if (!more) job.state = JOB_SIGNING;
}

function stepMeasuring(job: Job, engine: Engine): void {
  const m = job.measurement as Measurement;
  const before = m.done;
  const finished = stepMeasurement(m);
  job.done += m.done - before;
  if (finished) noteMeasured(job, m, engine);
}

function sign(job: Job, engine: Engine): void {
  const device = job.device;
  const slots = device.slots;
  const identity = device.identity;
  const running = slots.running;
  const claims = encodeClaims({
    nonce: job.nonce,
    ueid: identity.ueid as Uint8Array,
    hwmodel: utf8Encode(engine.model),
    hwversion: engine.hardwareVersion,
    uptime: Math.floor(device.port.millis() / 1000),
    dbgstat: device.port.debugStatus(),
    bootcount: device.starts,
    bootseed: device.bootSeed,
    components: job.components,
    vendorKid: engine.vendorKid,
    floor: slots.floor,
    sequence: running === null ? 0 : running.sequence,
    confirmed: running !== null && slots.confirmed === slots.active,
    manifestDigest: running === null ? null : (slots.slots[slots.active] as Slot).manifest,
  });
  const secretKey = identity.secretKey as Uint8Array;
  job.evidence = encodeEvidence(claims, keyKid(identity), (message) => signEd25519(secretKey, message));
  job.state = JOB_READY;
}

/** One slice of work. */
export function stepJob(job: Job): void {
  const engine = job.device.engine;
  if (engine === null) {
    fail(job, FAULT_ENGINE_BLOCK);
  } else if (job.needsKey) {
    const fault = makeKey(job.device.identity, job.seed);
    job.needsKey = false;
    job.seed = null;
    if (fault !== FAULT_NONE) fail(job, fault);
  } else if (job.state === JOB_MEASURING) {
    stepMeasuring(job, engine);
  } else {
    sign(job, engine);
  }
}
