// A host that streams from a device in tests: starts, reads, acknowledges, and takes the frames apart.

import { equalBytes } from "@vouch/shared/bytes";
import type { CborValue } from "@vouch/shared/cbor";
import { openBox } from "@vouch/shared/secretbox";
import { GROUP_VOUCH, VOUCH_STREAM_READ, VOUCH_STREAM_START, VOUCH_STREAM_STOP } from "@vouch/shared/smp";
import * as stream from "@vouch/shared/stream";
import type { Announce, Keyload, Resume } from "@vouch/shared/streambody";
import * as reading from "@vouch/shared/streamread";
import { x25519Public } from "@vouch/shared/x25519";
import { makeSensors } from "../../host-cli/src/sim/sensors";
import { enrol, finishJob, flash, makeDevice, makeImage, nodeHash, order, type Plain } from "./kit";
import type { SimDevice, SimOptions } from "./sim";

const ATTEST = nodeHash(Buffer.from("stream attest"));

/** A reader's secret and public key. */
export function makeReader(name: string): { secret: Uint8Array; key: Uint8Array } {
  const secret = nodeHash(Buffer.from(`reader ${name}`));
  return { secret, key: x25519Public(secret) };
}

export const owner = makeReader("owner");
export const clinic = makeReader("clinic");

/** A device whose clock the test holds, with sensors. */
export const makeSensing = (options: Partial<SimOptions> = {}): SimDevice =>
  makeDevice({ still: true, sensor: (millis) => makeSensors(millis), ...options });

/** Attests anew in this boot; the evidence. */
export function attest(device: SimDevice): Uint8Array {
  order(device, GROUP_VOUCH, 2, { nonce: ATTEST });
  return finishJob(device);
}

/** A device with an application, enrolled and attested. */
export function makeReady(options: Partial<SimOptions> = {}): SimDevice {
  const device = makeSensing(options);
  flash(device, makeImage("pump", 1500), { sequence: 3, floor: 2 });
  enrol(device);
  attest(device);
  return device;
}

export type Fields = { [key: string]: CborValue };

export const PUBLIC: Fields = { mode: 0, readers: [], frames: 20, millis: 10_000, resume: false };
export const PRIVATE: Fields = { ...PUBLIC, mode: 1, readers: [owner.key] };

export const start = (device: SimDevice, fields: Fields): Plain =>
  order(device, GROUP_VOUCH, VOUCH_STREAM_START, fields);
export const stop = (device: SimDevice): Plain => order(device, GROUP_VOUCH, VOUCH_STREAM_STOP);
export const read = (device: SimDevice, ack: number, at = ack): Plain =>
  order(device, GROUP_VOUCH, VOUCH_STREAM_READ, { ack, at });

/** What a host has got and keeps. */
export interface Host {
  kept: number;
  frames: reading.Frame[];
  rest: Buffer;
  state: number;
}

export const makeHost = (): Host => ({ kept: 0, frames: [], rest: Buffer.alloc(0), state: 1 });

/** Takes one reply's bytes: frames as they become whole. */
function take(host: Host, answer: Plain): void {
  const data = Buffer.from(answer.data, "hex");
  host.kept += data.length;
  host.rest = Buffer.concat([host.rest, data]);
  for (;;) {
    const length = reading.frameLength(host.rest, 0);
    if (length === 0 || length > host.rest.length) break;
    host.frames.push(reading.parseFrame(new Uint8Array(host.rest.subarray(0, length))));
    host.rest = host.rest.subarray(length);
  }
}

/** Reads until nothing is left. */
export function drain(device: SimDevice, host: Host): Host {
  for (;;) {
    const answer = read(device, host.kept);
    host.state = answer.state;
    if (answer.state === 0 || answer.data === "") return host;
    take(host, answer);
  }
}

/** Lets it work for so long, reading every now and then. */
export function follow(device: SimDevice, host: Host, ms: number, every = 100): Host {
  for (let at = 0; at < ms; at += every) {
    device.runFor(Math.min(every, ms - at));
    drain(device, host);
  }
  return host;
}

/** Stops, and reads to the end. */
export function finish(device: SimDevice, host: Host): Host {
  stop(device);
  device.runFor(1000);
  return drain(device, host);
}

// ---- What the frames say, by streamread.ts alone

export type Opening = {
  kind: "announce" | "resume" | "keyload";
  frame: reading.Frame;
  keyload: Keyload | null;
};

export function openingOf(frame: reading.Frame, mode: number): Opening | null {
  if (frame.type === stream.FRAME_ANNOUNCE)
    return { kind: "announce", frame, keyload: reading.decodeAnnounce(frame.body).keyload };
  if (frame.type === stream.FRAME_RESUME)
    return { kind: "resume", frame, keyload: reading.decodeResume(frame.body, mode).keyload };
  if (frame.type === stream.FRAME_KEYLOAD)
    return { kind: "keyload", frame, keyload: reading.decodeKeyload(frame.body, mode).keyload };
  return null;
}

/** The key that a keyload has for a reader, or null. */
export function unwrap(keyload: Keyload, epoch: number, reader: typeof owner): Uint8Array | null {
  const kid = stream.readerKid(reader.key);
  const mine = keyload.readers.find((wrapped) => equalBytes(wrapped.kid, kid));
  const wrap = stream.wrapKey(reader.secret, keyload.ephemeral, reader.key, keyload.ephemeral, epoch);
  return mine === undefined || wrap === null ? null : openBox(wrap.key, wrap.nonce, mine.box);
}

/** Content of each data and gap frame that a reader can open, in order; null for others. */
export function contents(frames: reading.Frame[], reader: typeof owner | null): (Uint8Array | null)[] {
  const announce = announceOf(frames);
  let chain: Uint8Array | null = null;
  return frames.map((frame) => {
    const opening = openingOf(frame, announce.mode);
    if (opening !== null && opening.keyload !== null)
      chain = reader === null ? null : unwrap(opening.keyload, frame.epoch, reader);
    let content: Uint8Array | null = null;
    if (!stream.isSignedType(frame.type)) {
      if (!frame.isMasked) content = frame.body;
      else if (chain !== null) content = reading.unmaskBody(frame, stream.frameKey(chain));
    }
    if (chain !== null) chain = stream.nextChain(chain);
    return content;
  });
}

export function announceOf(frames: reading.Frame[]): Announce {
  return reading.decodeAnnounce(frames[0]!.body);
}

export const resumeOf = (frame: reading.Frame, mode: number): Resume =>
  reading.decodeResume(frame.body, mode);
