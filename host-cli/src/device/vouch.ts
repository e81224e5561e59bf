// Group 64: who a device is, and what it measured and signed.
//
//   identify                 what it says of itself; nothing here is trusted
//   enrol {nonce}, attest {nonce} ──▶ a job, which runs for seconds to minutes
//   progress … ready         polled
//   result {off} …           the evidence, in pieces
//
// Starting a job is sent once. When its answer is lost, progress tells whether a
// job with a new number runs; if not it is asked for again, and a device that had
// heard the first time finds the nonce to be that of the job it has. Nothing here
// judges what a job returns: whoever asked compares the nonce inside (enrol, attest).

import { concatBytes } from "@vouch/shared/bytes";
import { type CborValue, cborMap } from "@vouch/shared/cbor";
import { faultRefusal, Refusal } from "@vouch/shared/refusal";
import {
  GROUP_VOUCH,
  RC_ACCESS_DENIED,
  RC_BAD_STATE,
  RC_BUSY,
  RC_NOT_SUPPORTED,
  VOUCH_ATTEST,
  VOUCH_ENROL,
  VOUCH_FAULT,
  VOUCH_IDENTIFY,
  VOUCH_PROGRESS,
  VOUCH_RESULT,
} from "@vouch/shared/smp";
import { bytesField, type Fields, flagField, hasField, mapField, textField, uintField } from "./body";
import { sleep } from "./clock";
import type { Request, Session } from "./session";
import { call, deviceError } from "./smp";
import { keepOut } from "./trace";

const POLL_MS = 100; // first, then half as long again
const POLL_MS_MAX = 1000;
const RESULT_MAX = 4096; // evidence is about 700 bytes
const STARTS = 5;

export interface Identity {
  model: string;
  hwver: string;
  agent: string;
  engine: { name: string; version: string };
  /** Null on a board without randomness, until it is enrolled. */
  ueid: Uint8Array | null;
  enrolled: boolean;
  publicKey: Uint8Array | null;
  /** Where the key was made: "device", "station" or "none". */
  keyOrigin: string;
  /** How often the maker had the key cleared. */
  clears: number;
  vendorKid: Uint8Array;
  vendorId: Uint8Array;
  classId: Uint8Array;
  floor: number;
  sequence: number;
  /** SHA-256 of the running image's manifest: which release it is. Null when none runs. */
  manifestDigest: Uint8Array | null;
  bootCount: number;
  maxUpload: number;
  hasRandom: boolean;
}

function vouchRequest(what: string, write: boolean, command: number, pairs: [string, CborValue][]) {
  return { what, write, group: GROUP_VOUCH, command, body: cborMap(pairs) };
}

/** Refuses `not-a-vouch-device` where an SMP server answers that lacks our group. */
export async function identify(
  session: Session,
  patience: Pick<Request, "tries" | "replyMs"> = {},
): Promise<Identity> {
  const request = vouchRequest("identify", false, VOUCH_IDENTIFY, []);
  const reply = await session.exchange({ ...request, ...patience });
  if (reply.kind === "error") {
    if (reply.rc !== RC_NOT_SUPPORTED) throw deviceError(request.what, reply);
    throw new Refusal("not-a-vouch-device", `an SMP device answers, but not to group 64`);
  }
  const fields: Fields = { what: request.what, body: reply.body };
  const version = uintField(fields, "v");
  if (version !== 1) {
    throw new Refusal("unsupported-version", `the agent speaks version ${version}, we 1`);
  }
  if (!hasField(fields, "vendor")) {
    throw new Refusal("device-unprovisioned", `the device's engine names no vendor key`);
  }
  const engine = mapField(fields, "engine");
  return {
    model: textField(fields, "model"),
    hwver: textField(fields, "hwver"),
    agent: textField(fields, "agent"),
    engine: { name: textField(engine, "name"), version: textField(engine, "version") },
    ueid: hasField(fields, "ueid") ? bytesField(fields, "ueid", 17) : null,
    enrolled: flagField(fields, "enrolled"),
    publicKey: hasField(fields, "pub") ? bytesField(fields, "pub", 32) : null,
    keyOrigin: textField(fields, "origin"),
    clears: uintField(fields, "clears"),
    vendorKid: bytesField(fields, "vendor", 8),
    vendorId: bytesField(fields, "vid", 16),
    classId: bytesField(fields, "cid", 16),
    floor: uintField(fields, "floor"),
    sequence: uintField(fields, "seq"),
    manifestDigest: hasField(fields, "mdig") ? bytesField(fields, "mdig", 32) : null,
    bootCount: uintField(fields, "bootcount"),
    maxUpload: uintField(fields, "max"),
    hasRandom: flagField(fields, "random"),
  };
}

/** The fault number behind the last image or order the device refused; 0 when there is none. */
export async function lastFault(session: Session): Promise<number> {
  return uintField(await call(session, vouchRequest("last fault", false, VOUCH_FAULT, [])), "fault", 0xffff);
}

export interface JobState {
  job: number;
  state: string;
  done: number;
  total: number;
}

export async function readProgress(session: Session): Promise<JobState> {
  const fields = await call(session, vouchRequest("progress", false, VOUCH_PROGRESS, []));
  return {
    job: uintField(fields, "job"),
    state: textField(fields, "state"),
    done: hasField(fields, "done") ? uintField(fields, "done") : 0,
    total: hasField(fields, "total") ? uintField(fields, "total") : 0,
  };
}

export type OnProgress = (state: JobState) => void;

/** Evidence over `nonce` by the device's key. Refuses `not-enrolled` when it has none. */
export function attestDevice(
  session: Session,
  nonce: Uint8Array,
  onProgress?: OnProgress,
): Promise<Uint8Array> {
  return runJob(session, "attest", VOUCH_ATTEST, [["nonce", nonce]], onProgress);
}

/** Has the device make a key, if it has none, and sign evidence over `nonce` with it. Refuses `already-enrolled`. */
export function enrolDevice(
  session: Session,
  nonce: Uint8Array,
  seed: Uint8Array | null,
  onProgress?: OnProgress,
): Promise<Uint8Array> {
  const pairs: [string, CborValue][] = [["nonce", nonce]];
  if (seed !== null) {
    keepOut(seed); // of traces
    pairs.push(["seed", seed]);
  }
  return runJob(session, "enrol", VOUCH_ENROL, pairs, onProgress);
}

/** Tells the device that it is enrolled, by the SHA-256 of its enrolment. A repeat with the same value is harmless. */
export async function commitEnrolment(session: Session, digest: Uint8Array): Promise<void> {
  const request = vouchRequest("enrolment commit", true, VOUCH_ENROL, [["commit", digest]]);
  const reply = await session.exchange(request);
  if (reply.kind === "ok") return;
  if (reply.rc === RC_ACCESS_DENIED) throw alreadyEnrolled();
  throw deviceError(request.what, reply);
}

async function runJob(
  session: Session,
  what: string,
  command: number,
  pairs: [string, CborValue][],
  onProgress: OnProgress = () => {},
): Promise<Uint8Array> {
  for (let start = 0; start < STARTS; start++) {
    const before = await untilNotRunning(session);
    const job = await startJob(session, what, command, pairs, before.job);
    if (job === null) continue;
    const finished = await untilFinished(session, job, onProgress);
    if (finished === "failed") throw await jobFailed(session, what);
    if (finished === "ready") return readResult(session);
  }
  throw new Refusal("device-error", `the device lost its ${what} job ${STARTS} times`);
}

/** The number of the job that now runs, or null when none was started. */
async function startJob(
  session: Session,
  what: string,
  command: number,
  pairs: [string, CborValue][],
  before: number,
): Promise<number | null> {
  try {
    const request = { ...vouchRequest(what, true, command, pairs), tries: 1, replyMs: 2000 };
    const reply = await session.exchange(request);
    if (reply.kind === "error") {
      if (reply.rc === RC_ACCESS_DENIED) throw alreadyEnrolled();
      if (reply.rc === RC_BAD_STATE) throw notEnrolled();
      if (reply.rc !== RC_BUSY) throw deviceError(what, reply);
      return null;
    }
    return uintField({ what, body: reply.body }, "job");
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "device-timeout") throw error;
    const now = await readProgress(session);
    return now.job === before ? null : now.job;
  }
}

const alreadyEnrolled = () =>
  new Refusal("already-enrolled", `the device is enrolled and refuses to be enrolled again`, {
    hint: "only an order signed by the maker clears an enrolment",
  });

const notEnrolled = () =>
  new Refusal("not-enrolled", `the device has no key yet`, {
    hint: "`vouch enrol` makes one",
  });

const isRunning = (state: JobState) => state.state === "measuring" || state.state === "signing";

/** A host that was killed may have left a job behind; it ends by itself. */
async function untilNotRunning(session: Session): Promise<JobState> {
  return poll(session, (state) => !isRunning(state));
}

async function untilFinished(session: Session, job: number, onProgress: OnProgress): Promise<string> {
  const state = await poll(session, (now) => {
    if (now.job === job) onProgress(now);
    return now.job !== job || !isRunning(now);
  });
  return state.job === job ? state.state : "lost";
}

async function poll(session: Session, enough: (state: JobState) => boolean): Promise<JobState> {
  for (let wait = POLL_MS; ; wait = Math.min(wait * 1.5, POLL_MS_MAX)) {
    const state = await readProgress(session);
    if (enough(state)) return state;
    await sleep(session.clock, wait);
  }
}

async function jobFailed(session: Session, what: string): Promise<Refusal> {
  const fault = await lastFault(session);
  if (fault !== 0) return faultRefusal(fault, `the device failed to ${what}`);
  return new Refusal("device-error", `the device failed to ${what}`);
}

async function readResult(session: Session): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let off = 0;
  for (let total = 1; off < total; ) {
    const fields = await call(session, vouchRequest("result", false, VOUCH_RESULT, [["off", off]]));
    total = uintField(fields, "len", RESULT_MAX);
    const data = bytesField(fields, "data");
    if (uintField(fields, "off") !== off || data.length === 0 || off + data.length > total) {
      throw new Refusal("device-malformed", `result has ${data.length} bytes at ${off} of ${total}`);
    }
    parts.push(data);
    off += data.length;
  }
  return concatBytes(parts);
}
