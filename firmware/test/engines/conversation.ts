// One conversation, the same for every engine: what a host sends, and when it lets the device work.
//
//   identify ─ upload ─ test ─ reset ┃ confirm ─ enrol ▸ evidence ─ commit ─ attest ▸ evidence ─ stream ─ identify
//
// stream: start ⋯ read ⋯ stop ⋯ read, masked for one reader; ⋯ time passes, and a sensor that is the same everywhere
// has rows.
//
// Nothing in it depends on a reply, so that it can be put into a script for an engine that can't read
// its input. Key, clock and nonces are fixed and the board has no randomness: every engine must
// answer every request with the same bytes as Node.

import { type CborMap, type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
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
  smpHeader,
  VOUCH_ATTEST,
  VOUCH_ENROL,
  VOUCH_IDENTIFY,
  VOUCH_PROGRESS,
  VOUCH_RESULT,
  VOUCH_STREAM_READ,
  VOUCH_STREAM_START,
  VOUCH_STREAM_STOP,
} from "@vouch/shared/smp";
import { x25519Public } from "@vouch/shared/x25519";
import { ENROLMENT, engineImage, makeImage, makeUploadFile, NONCE, nodeHash } from "../kit";
import { simLayout } from "../sim";

export type Step =
  | { kind: "ask"; name: string; bytes: Uint8Array }
  /** The job that was started runs to its end. */
  | { kind: "finish" }
  /** Time passes, with ticks when they are due. */
  | { kind: "pass"; ms: number }
  /** The reset that was asked for happens, and the device boots again. */
  | { kind: "restart" };

export interface Exchange {
  name: string;
  /** The one message that came back. */
  reply: Uint8Array;
}

/** Plays steps on a fresh device, and returns what it answered. */
export type Player = (bundle: string, steps: Step[]) => Promise<Uint8Array[]>;

export const LAYOUT = simLayout(4096, engineImage.length);
export const FLASH_BYTES = LAYOUT.store.address + LAYOUT.store.length;
/** What every board of this test says of its debugger: EAT dbgstat "disabled". */
export const DEBUG_STATUS = 1;

export const SEED = nodeHash(Buffer.from("test seed"));
export const ATTEST_NONCE = nodeHash(Buffer.from("test attest"));
const RESULT_PIECE = 256;
const RESULT_PIECES = 4; // evidence is about 800 bytes
const CHUNK = 320;
/** An X25519 key, and its owner's secret. */
export const READER_SECRET = nodeHash(Buffer.from("test reader"));
const READER = x25519Public(READER_SECRET);
const READ_PIECE = 384; // what a read brings at most
const READS = 9;

/** Flash as it leaves the factory: the engine image and nothing else. */
export function factoryFlash(): Uint8Array {
  const flash = new Uint8Array(FLASH_BYTES).fill(0xff);
  flash.set(engineImage, LAYOUT.engine.address);
  return flash;
}

/** A request of the conversation, or one beside it. */
export function requestFrame(
  sequence: number,
  write: boolean,
  group: number,
  command: number,
  fields: [string, CborValue][] = [],
): Uint8Array {
  const header = smpHeader(write ? SMP_WRITE : SMP_READ, 1, group, command, sequence & 0xff);
  return encodeFrame(encodeMessage(header, cborMap(fields)));
}

export const askProgress = (sequence: number): Uint8Array =>
  requestFrame(sequence, false, GROUP_VOUCH, VOUCH_PROGRESS);

/**
 * The sensor of these boards, ES5 for whoever defines one: two groups whose rows follow from their numbers. `millis`
 * is a function.
 */
export const SENSOR = `function makeSensor(millis) {
  var groups = [
    { kind: 0, code: 0, period: 250, channels: [
      { code: 150456, unit: 262688, exponent: 0 }, { code: 149530, unit: 264864, exponent: 0 }] },
    { kind: 2, code: 0, period: 20, channels: [{ code: 131329, unit: 266418, exponent: -3 }] }
  ];
  var mask = 0, begin = 0, next = [0, 0];
  return {
    groups: function () { return groups; },
    sample: function (wanted) { if (wanted !== 0) { begin = millis(); next = [0, 0]; } mask = wanted; },
    read: function (group, max) {
      var width = groups[group].channels.length, period = groups[group].period, first = next[group], rows = 0, at;
      var skipped = group === 1 ? 3 : 0;
      if (mask !== 0) rows = Math.min(max, Math.floor((millis() - begin) / period) + 1 - first);
      var values = new Int32Array(rows * width);
      for (at = 0; at < values.length; at++) values[at] = at % 11 === 3 ? 8388607 : (first * width + at) * 977 % 1999 - 999;
      next[group] += rows;
      return { ticks: begin + (first + skipped) * period, lost: first === 0 && rows > 0 ? skipped : 0, values: values };
    }
  };
}`;

/** `withStream`: not where time isn't the test's. */
export function makeConversation(withStream = true): Step[] {
  const steps: Step[] = [];
  const ask = (
    name: string,
    ...request: Parameters<typeof requestFrame> extends [number, ...infer R] ? R : never
  ) => steps.push({ kind: "ask", name, bytes: requestFrame(steps.length, ...request) });
  const evidence = (what: string) => {
    steps.push({ kind: "finish" });
    for (let piece = 0; piece < RESULT_PIECES; piece++)
      ask(`${what} evidence`, false, GROUP_VOUCH, VOUCH_RESULT, [["off", piece * RESULT_PIECE]]);
  };
  const image = makeImage("engine conversation", 2500);
  const stream = makeUploadFile(image, { sequence: 3, floor: 2 });

  ask("identify", false, GROUP_VOUCH, VOUCH_IDENTIFY);
  for (let off = 0; off < stream.length; off += CHUNK) {
    const first: [string, CborValue][] =
      off === 0
        ? [
            ["len", stream.length],
            ["sha", nodeHash(stream)],
          ]
        : [];
    const data = stream.subarray(off, off + CHUNK);
    ask("upload", true, GROUP_IMAGE, IMAGE_UPLOAD, [...first, ["off", off], ["data", data]]);
  }
  ask("test", true, GROUP_IMAGE, IMAGE_STATE, [
    ["hash", nodeHash(image)],
    ["confirm", false],
  ]);
  ask("reset", true, GROUP_OS, OS_RESET);
  steps.push({ kind: "restart" });
  ask("confirm", true, GROUP_IMAGE, IMAGE_STATE, [["confirm", true]]);
  ask("enrol", true, GROUP_VOUCH, VOUCH_ENROL, [
    ["nonce", NONCE],
    ["seed", SEED],
  ]);
  evidence("enrol");
  ask("commit", true, GROUP_VOUCH, VOUCH_ENROL, [["commit", ENROLMENT]]);
  ask("attest", true, GROUP_VOUCH, VOUCH_ATTEST, [["nonce", ATTEST_NONCE]]);
  evidence("attest");
  if (withStream) {
    const start = () =>
      ask("start", true, GROUP_VOUCH, VOUCH_STREAM_START, [
        ["mode", 1],
        ["readers", [READER]],
        ["frames", 4],
        ["millis", 2000],
        ["resume", false],
        ["seed", SEED],
      ]);
    const pass = (ms: number) => steps.push({ kind: "pass", ms });
    const read = (place: number) =>
      ask("read", true, GROUP_VOUCH, VOUCH_STREAM_READ, [
        ["ack", place],
        ["at", place],
      ]);
    start();
    pass(500);
    start();
    pass(3000);
    for (let place = 0; place < 4 * READ_PIECE; place += READ_PIECE) read(place);
    pass(1500);
    ask("stop", true, GROUP_VOUCH, VOUCH_STREAM_STOP);
    pass(1000);
    for (let place = 4 * READ_PIECE; place < READS * READ_PIECE; place += READ_PIECE) read(place);
  }
  ask("identify again", false, GROUP_VOUCH, VOUCH_IDENTIFY);
  return steps;
}

/** The messages in what came over the line. */
export function messagesIn(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  pushBytes(
    makeDeframer(2048),
    bytes,
    (message) => messages.push(message.slice()),
    () => {},
  );
  return messages;
}

export function bodyOf(message: Uint8Array): CborMap {
  const { body } = decodeMessage(message);
  if (body === null) throw new Error("a reply that can't be read");
  return body;
}

/** A message without one field of its body: for what only some engines say. */
export function without(message: Uint8Array, field: string): Uint8Array {
  const { header, body } = decodeMessage(message);
  if (header === null || body === null) throw new Error("a reply that can't be read");
  const pairs = body.keys
    .map((key, at): [CborValue, CborValue] => [key, body.values[at] as CborValue])
    .filter(([key]) => key !== field);
  return encodeMessage(header, cborMap(pairs));
}

/** Replies by the names of what was asked. */
export function pair(steps: Step[], replies: Uint8Array[]): Exchange[] {
  const asked = steps.flatMap((step) => (step.kind === "ask" ? [step.name] : []));
  if (asked.length !== replies.length)
    throw new Error(`${replies.length} replies to ${asked.length} requests`);
  return asked.map((name, at) => ({ name, reply: replies[at] as Uint8Array }));
}

/** What a host that reads on has of the stream. */
export function streamIn(exchanges: Exchange[]): Uint8Array {
  const pieces = exchanges
    .filter(({ name }) => name === "read")
    .map(({ reply }) => mapGet(bodyOf(reply), "data"))
    .filter((data) => data instanceof Uint8Array);
  return new Uint8Array(Buffer.concat(pieces));
}

/** Evidence put together from the replies that brought it. */
export function evidenceIn(exchanges: Exchange[], what: string): Uint8Array {
  const pieces = exchanges
    .filter(({ name }) => name === `${what} evidence`)
    .map(({ reply }) => mapGet(bodyOf(reply), "data"))
    .filter((data) => data instanceof Uint8Array);
  return new Uint8Array(Buffer.concat(pieces));
}
