// The agent: one request in, one reply out, and slices of work in between.
//
//   group 0    echo, reset, parameters
//   group 1    image state, upload, erase, slots                            images.ts
//   group 64   identify, enrol, attest, progress, result, clear, fault      vouch.ts
//              start, read, stop                                            streamcommands.ts
//
// A command nobody knows, or one asked with the wrong operation, is an error and changes
// nothing. All state is in the records of the store; what is in memory can be lost at any
// moment. Starting the agent is the boot: the store is opened and the image to run is chosen.
//
// Memory sized once: deframer 512, envelope 1024, hash states 3 x 130, SHA-256 schedule 512, text line
// 160: about 2.6 KB; per request at most two pages of 1 KB and the reply of under 512 bytes.

import { type CborMap, cborMap, mapGet } from "@vouch/shared/cbor";
import { FAULT_NONE } from "@vouch/shared/fault";
import { useNative } from "@vouch/shared/sha256";
import {
  GROUP_IMAGE,
  GROUP_OS,
  GROUP_VOUCH,
  IMAGE_UPLOAD,
  OS_ECHO,
  OS_PARAMS,
  OS_RESET,
  RC_BUSY,
  RC_INVALID,
  RC_NOT_SUPPORTED,
} from "@vouch/shared/smp";
import { uintIn } from "./body";
import { readEngine } from "./engine";
import { bootSeed, openIdentity } from "./identity";
import { handleImage } from "./images";
import { type Device, isRunning, type Job, makeJob, stepJob } from "./job";
import {
  BUFFER_BYTES,
  BUFFER_COUNT,
  type Link,
  makeLink,
  plainError,
  type Request,
  receiveBytes,
} from "./link";
import type { Port } from "./port";
import { openSlots } from "./slots";
import { loadRecord, openStore, RECORD_STARTS, type Store, saveRecord, u32At } from "./store";
import { stepStream } from "./stream";
import { endStream } from "./streamcommands";
import type { Stream } from "./streamframes";
import { makeUpload, type Upload } from "./upload";
import { handleVouch } from "./vouch";

/** Time for the reply to leave before a reset, and between idle ticks. */
const RESET_MS = 20;
const IDLE_MS = 1000;

export interface Agent {
  port: Port;
  device: Device;
  job: Job;
  upload: Upload;
  link: Link;
  /** When to reset, by the port's clock; -1 when not asked to. */
  resetAt: number;
  /** Why the last order was refused, or the last start didn't go as asked; 0 for nothing. */
  fault: number;
  /** What is streamed; null when nothing is. */
  stream: Stream | null;
}

function countStart(store: Store): number {
  const bytes = loadRecord(store, RECORD_STARTS);
  const starts = (bytes !== null && bytes.length === 4 ? u32At(bytes, 0) : 0) + 1;
  const next = new Uint8Array([
    starts & 0xff,
    (starts >>> 8) & 0xff,
    (starts >>> 16) & 0xff,
    (starts >>> 24) & 0xff,
  ]);
  saveRecord(store, RECORD_STARTS, next);
  return starts;
}

function openDevice(port: Port): Device {
  const store = openStore(port);
  const starts = countStart(store);
  const engine = readEngine(port);
  const identity = openIdentity(store);
  const slots = openSlots(port, store);
  return { port, engine, identity, slots, starts, bootSeed: bootSeed(port, identity, starts) };
}

function handleOs(agent: Agent, request: Request): CborMap {
  if (request.command === OS_ECHO) {
    // Read or write, and an empty text for none: as recorded from Zephyr.
    const text = mapGet(request.body, "d");
    if (text !== undefined && typeof text !== "string") return plainError(RC_INVALID);
    return cborMap([["r", text === undefined ? "" : text]]);
  }
  if (request.command === OS_RESET && request.write) {
    // `force` is Zephyr's: then it is what losing power is.
    if (agent.stream !== null && uintIn(request.body, "force") < 1) return plainError(RC_BUSY);
    if (agent.resetAt < 0) agent.resetAt = agent.port.millis() + RESET_MS;
    return cborMap([]);
  }
  if (request.command === OS_PARAMS && !request.write) {
    const count = agent.port.buffers;
    return cborMap([
      ["buf_size", BUFFER_BYTES],
      ["buf_count", count === undefined ? BUFFER_COUNT : count],
    ]);
  }
  return plainError(RC_NOT_SUPPORTED);
}

// A new order makes the last fault old news; chunks that follow a refused one in its window don't.
function forgetFault(agent: Agent, request: Request): void {
  const later =
    request.group === GROUP_IMAGE && request.command === IMAGE_UPLOAD && mapGet(request.body, "off") !== 0;
  if (request.write && request.group !== GROUP_OS && !later) agent.fault = FAULT_NONE;
}

function handle(agent: Agent, request: Request): CborMap {
  forgetFault(agent, request);
  if (request.group === GROUP_OS) return handleOs(agent, request);
  if (request.group === GROUP_IMAGE) return handleImage(agent, request);
  if (request.group === GROUP_VOUCH) return handleVouch(agent, request);
  return plainError(RC_NOT_SUPPORTED);
}

/** Boots: opens the store, chooses the image, and is ready for requests. */
export function makeAgent(port: Port): Agent {
  const sha256 = port.sha256;
  if (sha256 !== undefined && sha256 !== null) useNative(sha256);
  const device = openDevice(port);
  const agent: Agent = {
    port,
    device,
    job: makeJob(device),
    upload: makeUpload(device.slots, device.engine),
    link: makeLink((request) => handle(agent, request), port.write),
    resetAt: -1,
    fault: device.slots.bootFault,
    stream: null,
  };
  return agent;
}

/** Bytes from the line; replies are written before it returns. */
export function receive(agent: Agent, bytes: Uint8Array): void {
  receiveBytes(agent.link, bytes);
}

/** One slice of work; returns how many milliseconds may pass until the next, 0 for none. */
export function tick(agent: Agent): number {
  if (agent.resetAt >= 0) {
    const left = agent.resetAt - agent.port.millis();
    if (left > 0) return left;
    agent.resetAt = -1;
    agent.port.reset();
    return IDLE_MS;
  }
  let wait = IDLE_MS;
  if (isRunning(agent.job)) {
    stepJob(agent.job);
    if (agent.job.fault !== FAULT_NONE) agent.fault = agent.job.fault;
    if (isRunning(agent.job)) wait = 0;
  }
  const stream = agent.stream;
  if (stream === null) return wait;
  wait = Math.min(wait, stepStream(stream));
  if (stream.fault !== FAULT_NONE) agent.fault = stream.fault;
  stream.fault = FAULT_NONE;
  if (stream.isLost) endStream(agent);
  return wait;
}
