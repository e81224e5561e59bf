// Group 64, a device's stream: started, read, stopped. shared/spec/stream.md has the wire.
//
//   frames lie end to end in a run of bytes that begins at 0 with each start of the device, or announce
//
//      0            ack               at                                    at + left
//      ├─────────────┼─────────────────┼──────┬──────┬──────┬───────────────────┤
//      │ kept by us  │ the device still has it│ 4 reads on the way at once      │
//
// Each start and each announce begins such a run, so a place is one of a stream's: who acknowledges names that stream, and
// has asked first whether the device has it (findStream), since an older agent passes the name over.
//
// A read is harmless to repeat, so lost answers are asked for again. What lies ready is fetched with as many
// reads at once as the device has buffers; one round is at most ROUND_BYTES, whatever the device says it has.
// What frames mean, and that bytes are frames at all, is for whoever reads the run.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type CborMap, type CborValue, cborMap } from "@vouch/shared/cbor";
import { Refusal } from "@vouch/shared/refusal";
import {
  GROUP_VOUCH,
  RC_BAD_STATE,
  RC_BUSY,
  RC_INVALID,
  RC_NOT_SUPPORTED,
  VOUCH_STREAM_READ,
  VOUCH_STREAM_START,
  VOUCH_STREAM_STOP,
} from "@vouch/shared/smp";
import { STREAM_FULL, STREAM_ID_BYTES, STREAM_NONE } from "@vouch/shared/stream";
import { bytesField, type Fields, hasField, uintField } from "./body";
import { sleep } from "./clock";
import type { Session } from "./session";
import { call, deviceError, expectOk } from "./smp";
import { keepOut } from "./trace";

/** Where a frame has its stream's id. */
const FRAME_ID_AT = 4;
const ROUND_BYTES = 64 * 1024;
const WINDOW_MAX = 8;
const BUSY_MS = 200;

export interface StreamWanted {
  mode: number;
  /** X25519 keys; none for a public stream. */
  readers: readonly Uint8Array[];
  /** Which groups of sensors; null for all. */
  groups: readonly number[] | null;
  /** A checkpoint follows after so many frames, or milliseconds. */
  everyFrames: number;
  everyMillis: number;
  resume: boolean;
  seed: Uint8Array;
}

export interface StreamStanding {
  /** Null while the announce that gives it is being signed. */
  id: Uint8Array | null;
  epoch: number;
  state: number;
}

/**
 * Starts a stream, carries on the one the device has, or gives one that runs other readers. A device that is busy is asked
 * again for so long. Refuses `stream-not-started` (not attested, or nothing to carry on) and `stream-unsupported`.
 */
export async function startStream(
  session: Session,
  wanted: StreamWanted,
  patienceMs: number,
): Promise<StreamStanding> {
  keepOut(wanted.seed); // of traces
  const pairs: [string, CborValue][] = [
    ["mode", wanted.mode],
    ["readers", [...wanted.readers]],
    ["frames", wanted.everyFrames],
    ["millis", wanted.everyMillis],
    ["resume", wanted.resume],
    ["seed", wanted.seed],
  ];
  if (wanted.groups !== null) pairs.push(["groups", [...wanted.groups]]);
  const request = requestOf("stream start", true, VOUCH_STREAM_START, cborMap(pairs));
  const until = session.clock.now() + patienceMs;
  for (;;) {
    const reply = await session.exchange(request);
    if (reply.kind === "ok") {
      const fields = { what: request.what, body: reply.body };
      return {
        id: hasField(fields, "id") ? bytesField(fields, "id", 16) : null,
        epoch: uintField(fields, "epoch", 0xffffffff),
        state: stateField(fields),
      };
    }
    if (reply.rc === RC_BAD_STATE) throw notStarted(wanted.resume);
    if (reply.rc === RC_NOT_SUPPORTED) throw new Refusal("stream-unsupported", "the device has no streams");
    if (reply.rc !== RC_BUSY || session.clock.now() + BUSY_MS >= until)
      throw deviceError(request.what, reply);
    await sleep(session.clock, BUSY_MS);
  }
}

const notStarted = (resume: boolean) =>
  new Refusal(
    "stream-not-started",
    resume
      ? "the device has no stream to carry on, or hasn't attested since it started"
      : "the device hasn't attested since it started",
    resume ? { hint: "-o with another name begins another stream; this recording stays as it is" } : {},
  );

/** Bytes of the run, one piece after another, and how the device stood when it gave the last of them. */
export interface Round {
  at: number;
  data: Uint8Array[];
  /** Bytes there are after these. */
  left: number;
  state: number;
  /** There was a stream when it was asked; the last bytes that are acknowledged end it. */
  hadStream: boolean;
  /** The device's ticks, at some moment between `sent` and `got`. */
  now: number;
  sent: Stamp;
  got: Stamp;
}

/** A moment here: by the clock on the wall, and by one that is never set. */
export interface Stamp {
  wallMs: number;
  steadyMs: number;
}

export interface ReadOptions {
  /** The stream that `ack` and `at` are places of; null while nothing of it is here, and nothing is acknowledged. */
  stream: Uint8Array | null;
  /** All before this place is kept. */
  ack: number;
  at: number;
  /** Reads on the way at once, 1 and up. */
  window: number;
  stamp: () => Stamp;
}

/** What lies ready, or nothing. Refuses `stream-passed` when the device no longer has the bytes at `at`. */
export async function readStream(session: Session, options: ReadOptions): Promise<Round> {
  const first = await readPiece(session, options.at, options);
  const round: Round = { ...first, data: [first.data] };
  let length = first.data.length;
  const window = Math.min(WINDOW_MAX, Math.max(1, options.window));
  while (round.left > 0 && length > 0 && length < ROUND_BYTES) {
    const size = first.data.length;
    const count = Math.min(window, Math.ceil(round.left / size));
    const starts = Array.from({ length: count }, (_, i) => options.at + length + i * size);
    const pieces = await Promise.allSettled(starts.map((at) => readPiece(session, at, options)));
    for (const [i, piece] of pieces.entries()) {
      if (piece.status === "rejected") throw piece.reason;
      if (starts[i] !== options.at + length) break; // a shorter piece came before: what is after it is asked for again
      round.data.push(piece.value.data);
      length += piece.value.data.length;
      Object.assign(round, { left: piece.value.left, state: piece.value.state });
      if (piece.value.data.length === 0) return round;
    }
  }
  return round;
}

async function readPiece(
  session: Session,
  at: number,
  { stream, ack, stamp }: ReadOptions,
): Promise<Omit<Round, "data"> & { data: Uint8Array }> {
  const pairs: [string, CborValue][] = [
    ["ack", ack],
    ["at", at],
  ];
  if (stream !== null) pairs.push(["stream", stream]);
  const sent = stamp();
  const request = requestOf("stream read", true, VOUCH_STREAM_READ, cborMap(pairs));
  const reply = await session.exchange(request);
  const got = stamp();
  if (reply.kind === "error" && reply.rc === RC_INVALID) throw passed(at);
  if (reply.kind === "error" && reply.rc === RC_BAD_STATE && stream !== null) throw elsewhere(stream, null);
  const fields = { what: request.what, body: expectOk(request.what, reply) };
  const state = stateField(fields);
  const data = hasField(fields, "data") ? bytesField(fields, "data") : new Uint8Array(0);
  const told = uintField(fields, "at");
  if (state !== STREAM_NONE && told !== at) throw passed(at);
  const hadStream = state !== STREAM_NONE || told > 0;
  return {
    at,
    data,
    left: uintField(fields, "left"),
    state,
    hadStream,
    now: uintField(fields, "now"),
    sent,
    got,
  };
}

/** What the device has of a stream, asked without acknowledging anything. */
export type Found =
  | { kind: "own"; state: number }
  | { kind: "other" }
  | { kind: "none" }
  /** An older agent, of whose stream something was acknowledged: it doesn't say which that is. */
  | { kind: "unsaid" };

export async function findStream(session: Session, stream: Uint8Array): Promise<Found> {
  const named = await askStream(session, [["stream", stream]]);
  if (named === RC_BAD_STATE) return { kind: "other" };
  if (typeof named !== "number") {
    const state = stateField(named);
    return state === STREAM_NONE ? { kind: "none" } : { kind: "own", state };
  }
  // An older agent wants places. The first one acknowledges nothing, and there the stream's announce or resume has its id.
  const first = await askStream(session, [
    ["ack", 0],
    ["at", 0],
  ]);
  if (typeof first === "number") return { kind: "unsaid" };
  const state = stateField(first);
  if (state === STREAM_NONE) return { kind: "none" };
  const id = bytesField(first, "data").subarray(FRAME_ID_AT, FRAME_ID_AT + STREAM_ID_BYTES);
  if (id.length < STREAM_ID_BYTES) return { kind: "unsaid" };
  return equalBytes(id, stream) ? { kind: "own", state } : { kind: "other" };
}

/** The answer to a read; or its error, where that tells something. */
async function askStream(session: Session, pairs: [string, CborValue][]): Promise<Fields | number> {
  const request = requestOf("stream read", true, VOUCH_STREAM_READ, cborMap(pairs));
  const reply = await session.exchange(request);
  if (reply.kind === "error" && (reply.rc === RC_BAD_STATE || reply.rc === RC_INVALID)) return reply.rc;
  return { what: request.what, body: expectOk(request.what, reply) };
}

/** `has` is the device's stream, where that is known. */
export const elsewhere = (recorded: Uint8Array, has: Uint8Array | null) =>
  new Refusal(
    "stream-elsewhere",
    `the device has ${has === null ? "another stream" : `stream ${toHex(has)}`}, the recording is of ${toHex(recorded)}`,
    {
      hint: "the stream it has is in another file, or in none yet; go on with that one, or begin one with -o",
    },
  );

const passed = (at: number) =>
  new Refusal(
    "stream-passed",
    `the device no longer has its stream from byte ${at} on: another recorder has acknowledged what comes there`,
    {
      hint: "go on with the other one's file; or restart the device, after which a new file begins a new stream",
    },
  );

/** Asks the device to end its stream; what is left of it, and the close frame, are still to be read. */
export async function stopStream(session: Session): Promise<number> {
  return stateField(await call(session, requestOf("stream stop", true, VOUCH_STREAM_STOP, cborMap([]))));
}

const requestOf = (what: string, write: boolean, command: number, body: CborMap) => ({
  what,
  write,
  group: GROUP_VOUCH,
  command,
  body,
});

const stateField = (fields: Fields): number => uintField(fields, "state", STREAM_FULL);
