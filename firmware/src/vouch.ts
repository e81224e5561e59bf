// SMP group 64: who the device is, and what it measured.
//
//   0 identify  read                     -> what the device says of itself, unsigned; see below
//   1 enrol     write {nonce, seed?}     -> {job}: makes the key if there is none, then as attest
//               write {commit}           -> {}: enrolled, by the SHA-256 of the enrolment
//   2 attest    write {nonce}            -> {job}
//   3 progress  read                     -> {job, state, done, total, len?, rc?}
//   4 result    read {off}               -> {off, len, data}
//   5 clear     write {order}            -> {}: forgets key and enrolment, on the maker's order
//   6 fault     read                     -> {fault}: why the last thing was refused, or 0
//   7 to 9      streams: streamcommands.ts
//
// Repeating a request whose answer was lost is harmless: the same nonce is the same job, the
// same commit says nothing new. An enrolled device refuses another enrolment; the order that
// clears one is a COSE_Sign1 by the vendor key over {1: "vouch/clear/v1", 2: ueid, 3: kid}, so it works
// for one key of one device, once.

import { copyBytes, equalBytes } from "@vouch/shared/bytes";
import { CBOR_STRICT, type CborMap, cborMap, decodeCbor, mapGet } from "@vouch/shared/cbor";
import { decodeSign1, sigStructure } from "@vouch/shared/cose";
import { verifyEd25519 } from "@vouch/shared/ed25519";
import {
  FAULT_CLEAR_ORDER,
  FAULT_ENGINE_BLOCK,
  FAULT_NONE,
  FAULT_SIGNATURE_WRONG,
} from "@vouch/shared/fault";
import {
  RC_ACCESS_DENIED,
  RC_BAD_STATE,
  RC_BUSY,
  RC_INVALID,
  RC_NO_ENTRY,
  RC_NOT_SUPPORTED,
  RC_UNKNOWN,
  VOUCH_ATTEST,
  VOUCH_CLEAR,
  VOUCH_ENROL,
  VOUCH_FAULT,
  VOUCH_IDENTIFY,
  VOUCH_PROGRESS,
  VOUCH_RESULT,
  VOUCH_STREAM_READ,
  VOUCH_STREAM_START,
  VOUCH_STREAM_STOP,
} from "@vouch/shared/smp";
import type { Agent } from "./agent";
import { bytesIn, hasKey, mapOf, uintIn } from "./body";
import type { Engine } from "./engine";
import {
  clearIdentity,
  type Identity,
  keyKid,
  needsKey,
  ORIGIN_DEVICE,
  ORIGIN_NONE,
  setEnrolled,
} from "./identity";
import { forgetJob, isRunning, isSameJob, JOB_FAILED, JOB_READY, JOB_WORDS, startJob } from "./job";
import { groupError, plainError, type Request } from "./link";
import type { Slot } from "./slots";
import { readStream, startStream, stopStreaming } from "./streamcommands";
import { maxUpload } from "./upload";

export const AGENT_VERSION = "0.1.0";
const PROTOCOL = 1;
const RESULT_BYTES = 256;
const CLEAR_TAG = "vouch/clear/v1";

function refusal(request: Request, rc: number): CborMap {
  return groupError(request, rc, rc);
}

function originWord(identity: Identity): string {
  if (identity.origin === ORIGIN_NONE) return "none";
  return identity.origin === ORIGIN_DEVICE ? "device" : "station";
}

function jobWord(agent: Agent): string {
  return JOB_WORDS[agent.job.state] as string;
}

// What an interpreter that can tell uses of its heap, for whoever watches devices; nothing relies on it.
function addHeap(map: CborMap, agent: Agent): CborMap {
  const heap = agent.port.heap;
  if (heap === undefined) return map;
  const bytes = heap();
  map.keys.push("heap");
  map.values.push(
    cborMap([
      ["used", bytes.used],
      ["total", bytes.total],
    ]),
  );
  return map;
}

function identify(agent: Agent): CborMap {
  const device = agent.device;
  const engine = device.engine;
  const identity = device.identity;
  const running = device.slots.running;
  const software = cborMap([
    ["name", engine === null ? "unknown" : engine.name],
    ["version", engine === null ? "unknown" : engine.version],
  ]);
  const map = cborMap([
    ["v", PROTOCOL],
    ["model", engine === null ? "unknown" : engine.model],
    ["hwver", engine === null ? "unknown" : engine.hardwareVersion],
    ["agent", AGENT_VERSION],
    ["engine", software],
    ["ueid", identity.ueid],
    ["enrolled", identity.enrolment !== null],
    ["pub", identity.publicKey],
    ["origin", originWord(identity)],
    ["clears", identity.clears],
    ["vendor", engine === null ? null : engine.vendorKid],
    ["vid", engine === null ? null : engine.vendorId],
    ["cid", engine === null ? null : engine.classId],
    ["floor", device.slots.floor],
    ["seq", running === null ? 0 : running.sequence],
    ["mdig", running === null ? null : (device.slots.slots[device.slots.active] as Slot).manifest],
    ["bootcount", device.starts],
    ["slots", 2],
    ["max", maxUpload(agent.upload)],
    ["random", agent.port.random !== null],
    ["job", jobWord(agent)],
  ]);
  return addHeap(map, agent);
}

function started(agent: Agent): CborMap {
  return cborMap([["job", agent.job.number]]);
}

function commitEnrolment(agent: Agent, request: Request): CborMap {
  const identity = agent.device.identity;
  const digest = bytesIn(request.body, "commit", 32, 32);
  if (digest === null) return refusal(request, RC_INVALID);
  if (identity.secretKey === null) return refusal(request, RC_BAD_STATE);
  if (isRunning(agent.job) && agent.job.needsKey) return refusal(request, RC_BUSY); // of which key?
  if (identity.enrolment !== null) {
    return equalBytes(identity.enrolment, digest) ? cborMap([]) : refusal(request, RC_ACCESS_DENIED);
  }
  const fault = setEnrolled(identity, digest);
  if (fault === FAULT_NONE) return cborMap([]);
  agent.fault = fault;
  return refusal(request, RC_UNKNOWN);
}

function enrol(agent: Agent, request: Request): CborMap {
  const identity = agent.device.identity;
  if (hasKey(request.body, "commit")) return commitEnrolment(agent, request);
  if (identity.enrolment !== null) return refusal(request, RC_ACCESS_DENIED);
  const nonce = bytesIn(request.body, "nonce", 32, 32);
  const seed = bytesIn(request.body, "seed", 32, 32);
  if (nonce === null || (seed === null && hasKey(request.body, "seed"))) return refusal(request, RC_INVALID);
  const makesKey = needsKey(identity, seed);
  if (makesKey && agent.stream !== null) return refusal(request, RC_BUSY); // it signs with the key there is
  // Without randomness of its own the device can't invent a key, and a weak one would be worse than none.
  if (makesKey && agent.port.random === null && seed === null) return refusal(request, RC_INVALID);
  if (isSameJob(agent.job, nonce)) return started(agent);
  if (isRunning(agent.job)) return refusal(request, RC_BUSY);
  startJob(agent.job, nonce, makesKey, seed);
  return started(agent);
}

function attest(agent: Agent, request: Request): CborMap {
  const nonce = bytesIn(request.body, "nonce", 8, 64);
  if (nonce === null) return refusal(request, RC_INVALID);
  if (agent.device.identity.secretKey === null) return refusal(request, RC_BAD_STATE);
  if (isSameJob(agent.job, nonce)) return started(agent);
  if (isRunning(agent.job)) return refusal(request, RC_BUSY);
  startJob(agent.job, nonce, false, null);
  return started(agent);
}

function progress(agent: Agent): CborMap {
  const job = agent.job;
  const map = cborMap([
    ["job", job.number],
    ["state", jobWord(agent)],
    ["done", job.done],
    ["total", job.total],
  ]);
  if (job.state === JOB_READY) {
    map.keys.push("len");
    map.values.push(job.evidence.length);
  }
  if (job.state === JOB_FAILED) {
    map.keys.push("rc");
    map.values.push(RC_UNKNOWN);
  }
  return map;
}

function result(agent: Agent, request: Request): CborMap {
  const evidence = agent.job.evidence;
  if (agent.job.state !== JOB_READY) return refusal(request, RC_NO_ENTRY);
  const off = hasKey(request.body, "off") ? uintIn(request.body, "off") : 0;
  if (off < 0 || off > evidence.length) return refusal(request, RC_INVALID);
  return cborMap([
    ["off", off],
    ["len", evidence.length],
    ["data", copyBytes(evidence, off, Math.min(off + RESULT_BYTES, evidence.length))],
  ]);
}

// Why an order doesn't clear this device's key, or 0.
function checkOrder(order: Uint8Array, engine: Engine, identity: Identity): number {
  const sign1 = decodeSign1(order);
  if (sign1.fault !== FAULT_NONE) return sign1.fault;
  const payload = sign1.payload;
  if (payload === null || sign1.kid === null || !equalBytes(sign1.kid, engine.vendorKid)) {
    return FAULT_CLEAR_ORDER;
  }
  const message = sigStructure(sign1.protectedBytes, new Uint8Array(0), payload);
  if (!verifyEd25519(engine.vendorKey, message, sign1.signature)) return FAULT_SIGNATURE_WRONG;
  const decoded = decodeCbor(payload, CBOR_STRICT);
  const map = mapOf(decoded.value);
  if (decoded.fault !== FAULT_NONE || map === null || map.keys.length !== 3) return FAULT_CLEAR_ORDER;
  const ueid = bytesIn(map, 2, 17, 17);
  const kid = bytesIn(map, 3, 8, 8);
  if (mapGet(map, 1) !== CLEAR_TAG || ueid === null || kid === null) return FAULT_CLEAR_ORDER;
  const ours = equalBytes(ueid, identity.ueid as Uint8Array) && equalBytes(kid, keyKid(identity));
  return ours ? FAULT_NONE : FAULT_CLEAR_ORDER;
}

function clear(agent: Agent, request: Request): CborMap {
  const identity = agent.device.identity;
  const engine = agent.device.engine;
  const order = bytesIn(request.body, "order", 1, 512);
  if (order === null) return refusal(request, RC_INVALID);
  if (identity.secretKey === null) return refusal(request, RC_BAD_STATE);
  if (isRunning(agent.job) || agent.stream !== null) return refusal(request, RC_BUSY);
  const fault = engine === null ? FAULT_ENGINE_BLOCK : checkOrder(order, engine, identity);
  if (fault !== FAULT_NONE) {
    agent.fault = fault;
    return refusal(request, RC_ACCESS_DENIED);
  }
  forgetJob(agent.job);
  agent.fault = clearIdentity(identity);
  return agent.fault === FAULT_NONE ? cborMap([]) : refusal(request, RC_UNKNOWN);
}

function writeVouch(agent: Agent, request: Request): CborMap {
  if (request.command === VOUCH_ENROL) return enrol(agent, request);
  if (request.command === VOUCH_ATTEST) return attest(agent, request);
  if (request.command === VOUCH_CLEAR) return clear(agent, request);
  if (agent.port.sensor === null) return plainError(RC_NOT_SUPPORTED);
  if (request.command === VOUCH_STREAM_START) return startStream(agent, request);
  if (request.command === VOUCH_STREAM_READ) return readStream(agent, request);
  if (request.command === VOUCH_STREAM_STOP) return stopStreaming(agent);
  return plainError(RC_NOT_SUPPORTED);
}

function readVouch(agent: Agent, request: Request): CborMap {
  if (request.command === VOUCH_IDENTIFY) return identify(agent);
  if (request.command === VOUCH_PROGRESS) return progress(agent);
  if (request.command === VOUCH_RESULT) return result(agent, request);
  if (request.command === VOUCH_FAULT) return cborMap([["fault", agent.fault]]);
  return plainError(RC_NOT_SUPPORTED);
}

/** Answers a request of group 64. */
export function handleVouch(agent: Agent, request: Request): CborMap {
  return request.write ? writeVouch(agent, request) : readVouch(agent, request);
}
