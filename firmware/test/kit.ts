// A maker, a device and a host for tests: keys and ids, signed uploads, one request and its reply.

import { createHash } from "node:crypto";
import { type CborMap, type CborValue, cborMap, isMap, mapGet } from "@vouch/shared/cbor";
import { kidOf } from "@vouch/shared/cose";
import { sha256 } from "@vouch/shared/sha256";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  GROUP_IMAGE,
  GROUP_OS,
  GROUP_VOUCH,
  IMAGE_STATE,
  IMAGE_UPLOAD,
  makeDeframer,
  OS_RESET,
  pushBytes,
  SMP_READ,
  SMP_WRITE,
  type SmpHeader,
  smpHeader,
  VOUCH_ENROL,
  VOUCH_IDENTIFY,
  VOUCH_PROGRESS,
  VOUCH_RESULT,
} from "@vouch/shared/smp";
import { encodeEnvelope, encodeManifest, encodeUpload, type Manifest } from "@vouch/shared/suit";
import { makeEngine, makeSimDevice, type SimDevice, type SimOptions, simLayout } from "./sim";

export const nodeHash = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

export const vendor = keyPairFromSeed(nodeHash(Buffer.from("test vendor")));
export const stranger = keyPairFromSeed(nodeHash(Buffer.from("test stranger")));
export const vendorId = new Uint8Array(16).fill(0x11);
export const classId = new Uint8Array(16).fill(0x22);

export const ENGINE_BYTES = 4096;
export const PAYLOAD_BYTES = 8192;

export const engineImage = makeEngine(
  {
    vendorKey: vendor.publicKey,
    vendorId,
    classId,
    model: "PUMP-400",
    hardwareVersion: "B",
    name: "vouch-sim",
    version: "0.1.0",
  },
  new Uint8Array(1000).fill(0x2f),
  ENGINE_BYTES,
);

/** A small device that only works when told to. */
export function makeDevice(options: Partial<SimOptions> = {}): SimDevice {
  return makeSimDevice({
    engine: engineImage,
    layout: simLayout(PAYLOAD_BYTES, ENGINE_BYTES),
    manual: true,
    ...options,
  });
}

/** Bytes nobody would mistake for erased flash. */
export function makeImage(label: string, length = 3001): Uint8Array {
  const image = new Uint8Array(length);
  for (let at = 0; at < length; at += 32) {
    image.set(nodeHash(Buffer.from(`${label} ${at}`)).subarray(0, Math.min(32, length - at)), at);
  }
  return image;
}

export interface ReleaseOptions extends Partial<Manifest> {
  key?: typeof vendor;
  unsigned?: boolean;
}

/** A sealed upload of `image`, with whatever is wrong with it to order. */
export function makeUploadFile(image: Uint8Array, options: ReleaseOptions = {}): Uint8Array {
  const { key = vendor, unsigned = false, ...fields } = options;
  const manifestBytes = encodeManifest({
    sequence: 1,
    vendorId,
    classId,
    digest: nodeHash(image),
    size: image.length,
    floor: 0,
    version: `${fields.sequence ?? 1}.0.0`,
    revisions: ["A", "B"],
    ...fields,
  });
  const sign = (message: Uint8Array) => signEd25519(key.secretKey, message);
  const envelope = encodeEnvelope(
    manifestBytes,
    sha256,
    kidOf(sha256(key.publicKey)),
    unsigned ? null : sign,
  );
  return encodeUpload(envelope, image);
}

let sequence = 0;

/** The bytes of a request as they go over the line. */
export function frame(
  write: boolean,
  group: number,
  command: number,
  body: CborValue,
  version = 1,
): Uint8Array {
  sequence = (sequence + 1) & 0xff;
  const header = smpHeader(write ? SMP_WRITE : SMP_READ, version, group, command, sequence);
  return encodeFrame(encodeMessage(header, body));
}

export interface Answer {
  header: SmpHeader;
  body: CborMap;
}

/** Sends bytes and returns every message that came back at once. */
export function exchange(device: SimDevice, bytes: Uint8Array): Answer[] {
  const answers: Answer[] = [];
  const deframer = makeDeframer(2048);
  device.onData((data) =>
    pushBytes(
      deframer,
      data,
      (message) => {
        const { header, body, fault } = decodeMessage(message);
        if (fault !== 0 || header === null || body === null) throw new Error(`reply with fault ${fault}`);
        answers.push({ header, body });
      },
      () => {},
    ),
  );
  device.write(bytes);
  return answers;
}

/** A CBOR map as a plain object; byte strings as hex, to compare. */
export function plain(value: CborValue): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (isMap(value))
    return Object.fromEntries(value.keys.map((k, i) => [String(k), plain(value.values[i] ?? null)]));
  return value;
}

/** Request and reply; null when no power was left to answer. */
export function tryRequest(
  device: SimDevice,
  write: boolean,
  group: number,
  command: number,
  fields: { [key: string]: CborValue } = {},
  version = 1,
): CborMap | null {
  const answers = exchange(device, frame(write, group, command, cborMap(Object.entries(fields)), version));
  return answers[0]?.body ?? null;
}

/** The device had no power left to answer. */
export class NoAnswer extends Error {}

export function request(
  device: SimDevice,
  write: boolean,
  group: number,
  command: number,
  fields: { [key: string]: CborValue } = {},
  version = 1,
): CborMap {
  const body = tryRequest(device, write, group, command, fields, version);
  if (body === null) throw new NoAnswer("the device didn't answer");
  return body;
}

// biome-ignore lint/suspicious/noExplicitAny: tests read replies by name
export type Plain = any;

export const ask = (device: SimDevice, group: number, command: number, fields = {}): Plain =>
  plain(request(device, false, group, command, fields));
export const order = (
  device: SimDevice,
  group: number,
  command: number,
  fields: { [key: string]: CborValue } = {},
): Plain => plain(request(device, true, group, command, fields));

export const identify = (device: SimDevice): Plain => ask(device, GROUP_VOUCH, VOUCH_IDENTIFY);
export const images = (device: SimDevice): Plain[] => ask(device, GROUP_IMAGE, IMAGE_STATE).images;
export const lastFault = (device: SimDevice): number => ask(device, GROUP_VOUCH, 6).fault;

/** Sends a whole upload as a host does, from the offset the device names; the last reply, or null without power. */
export function upload(device: SimDevice, stream: Uint8Array, chunk = 300): Plain | null {
  let off = 0;
  for (let step = 0; step < 20000; step++) {
    const data = stream.subarray(off, off + chunk);
    const first = off === 0 ? { len: stream.length, sha: nodeHash(stream) } : {};
    const body = tryRequest(device, true, GROUP_IMAGE, IMAGE_UPLOAD, { ...first, off, data });
    if (body === null) return null;
    const next = mapGet(body, "off");
    if (typeof next !== "number" || next >= stream.length) return plain(body);
    off = next;
  }
  throw new Error("the upload doesn't end");
}

export const test = (device: SimDevice, image: Uint8Array): Plain =>
  order(device, GROUP_IMAGE, IMAGE_STATE, { hash: nodeHash(image), confirm: false });
export const confirm = (device: SimDevice): Plain =>
  order(device, GROUP_IMAGE, IMAGE_STATE, { confirm: true });

/** Asks for a reset, and lets it happen. */
export function reset(device: SimDevice): void {
  request(device, true, GROUP_OS, OS_RESET);
  device.run();
}

/** Upload, test, reset, confirm: as `vouch flash` does it. */
export function flash(device: SimDevice, image: Uint8Array, options: ReleaseOptions = {}): void {
  const answer = upload(device, makeUploadFile(image, options));
  if (answer === null) throw new NoAnswer("power went during the upload");
  if (answer.match !== true) throw new Error(`upload refused: ${JSON.stringify(answer)}`);
  test(device, image);
  reset(device);
  confirm(device);
}

/** Runs a job to its end and fetches what it made. */
export function finishJob(device: SimDevice): Uint8Array {
  device.run();
  const state = ask(device, GROUP_VOUCH, VOUCH_PROGRESS);
  if (state.state !== "ready") throw new Error(`the job ended ${state.state}`);
  const parts: Buffer[] = [];
  for (let off = 0; off < state.len; ) {
    const piece = ask(device, GROUP_VOUCH, VOUCH_RESULT, { off });
    parts.push(Buffer.from(piece.data, "hex"));
    off += piece.data.length / 2;
  }
  return new Uint8Array(Buffer.concat(parts));
}

export const NONCE = nodeHash(Buffer.from("test nonce"));
export const ENROLMENT = nodeHash(Buffer.from("test enrolment"));

/** Key, evidence, commit. Returns the evidence. */
export function enrol(device: SimDevice, fields: { [key: string]: CborValue } = {}): Uint8Array {
  order(device, GROUP_VOUCH, VOUCH_ENROL, { nonce: NONCE, ...fields });
  const evidence = finishJob(device);
  order(device, GROUP_VOUCH, VOUCH_ENROL, { commit: ENROLMENT });
  return evidence;
}
