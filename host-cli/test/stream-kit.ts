// A host that streams over a session, in as few lines as the wire needs.

import { type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
import { GROUP_VOUCH, VOUCH_STREAM_READ, VOUCH_STREAM_START, VOUCH_STREAM_STOP } from "@vouch/shared/smp";
import { frameLength, parseFrame, type Frame as StreamFrame } from "@vouch/shared/streamread";
import type { Session } from "../src/device/session";

export type Fields = { [key: string]: CborValue };

/** One request of group 64; the reply's fields by name. */
async function order(session: Session, command: number, fields: Fields) {
  const body = cborMap(Object.entries(fields));
  const reply = await session.exchange({ what: "stream", write: true, group: GROUP_VOUCH, command, body });
  if (reply.kind === "error") throw new Error(`stream command ${command} was refused with ${reply.rc}`);
  return (name: string) => mapGet(reply.body, name);
}

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** Starts, and waits until the first frame is signed. */
export async function startStream(session: Session, fields: Fields): Promise<void> {
  while ((await order(session, VOUCH_STREAM_START, fields))("state") === 1) await sleep(20);
}

export const stopStream = (session: Session) => order(session, VOUCH_STREAM_STOP, {});

export interface Reading {
  /** All bytes so far, as the host keeps them. */
  bytes: Buffer;
  /** The last reply's. */
  state: number;
  now: number;
}

/** Reads on until `isEnough`, or to the stream's end. */
export async function readStream(
  session: Session,
  isEnough: (reading: Reading) => boolean,
  before: Buffer = Buffer.alloc(0),
  pauseMs = 20,
): Promise<Reading> {
  const reading: Reading = { bytes: before, state: 1, now: 0 };
  while (!isEnough(reading)) {
    const place = reading.bytes.length;
    const reply = await order(session, VOUCH_STREAM_READ, { ack: place, at: place });
    reading.state = reply("state") as number;
    reading.now = reply("now") as number;
    if (reading.state === 0) break;
    reading.bytes = Buffer.concat([reading.bytes, reply("data") as Uint8Array]);
    if (reply("left") === 0) await sleep(pauseMs);
  }
  return reading;
}

/** As isEnough: so long from now. */
export function forMillis(ms: number): () => boolean {
  const end = performance.now() + ms;
  return () => performance.now() >= end;
}

/** The whole frames in what was read. */
export function framesOf(bytes: Buffer): StreamFrame[] {
  const frames: StreamFrame[] = [];
  for (let at = 0; ; ) {
    const length = frameLength(bytes, at);
    if (length === 0 || at + length > bytes.length) return frames;
    frames.push(parseFrame(new Uint8Array(bytes.subarray(at, at + length))));
    at += length;
  }
}
