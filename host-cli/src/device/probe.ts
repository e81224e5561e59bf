// What is on a line: asked politely, in an order that harms nobody.
//
//   1. image state     answered by every SMP server. Never echo: MCUboot's serial
//                      recovery answers it with an error, some servers not at all
//        identify      our agent; else buffers, and OS info for its name
//        no image that runs: MCUboot's recovery mode. (One built to report image
//        states looks like an application.)
//   2. 05 (ENQ)        an Espruino console answers "Espruino 2v29 LINUX". It comes
//                      second, since a boot loader wants frames at a line's start
//   3. image state, raw: a server that frames messages by their header alone
//   4. what was heard  text, or noise: then the baud rate is wrong
//
// Who doesn't answer is given about three seconds. Nothing here writes to a
// device, restarts it or breaks into its program.

import { toHex } from "@vouch/shared/bytes";
import { cborMap } from "@vouch/shared/cbor";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import {
  decodeMessage,
  encodeMessage,
  GROUP_IMAGE,
  GROUP_OS,
  IMAGE_STATE,
  OS_INFO,
  OS_PARAMS,
  SMP_READ,
  SMP_READ_REPLY,
  smpHeader,
} from "@vouch/shared/smp";
import { bytesField, type Fields, flagField, hasField, listField, textField, uintField } from "./body";
import { type Clock, realClock, sleep } from "./clock";
import { openSession, type Session } from "./session";
import type { Transport } from "./transport";
import { type Identity, identify } from "./vouch";

export interface ProbedImage {
  image: number;
  slot: number;
  version: string;
  /** What the list claims, as hex. */
  hash: string | null;
  flags: string[];
}

interface Server {
  buffers: { size: number; count: number } | null;
  images: ProbedImage[] | null;
}

export type Probe =
  | ({ kind: "vouch"; identity: Identity } & Server)
  | ({ kind: "smp"; framing: "console" | "raw"; name: string | null; remark: string | null } & Server)
  | ({ kind: "mcuboot-recovery" } & Server)
  | { kind: "espruino"; version: string; board: string }
  | { kind: "unknown"; heard: "text" | "noise" | "echo"; bytes: number; sample: string }
  | { kind: "silent" };

export interface ProbeOptions {
  clock?: Clock;
  /** All asking together. Default: a minute. */
  timeoutMs?: number;
  /** How long the first question waits; the second half as long again. Default 700. */
  replyMs?: number;
}

const HEARD_MAX = 4096;
const ENQ_MS = 500;
const SAMPLE = 60;
const FLAGS = ["active", "confirmed", "pending", "permanent", "bootable"] as const;

/** True when something answered, whatever it was. */
export const hasAnswered = (probe: Probe) => probe.kind !== "silent" && probe.kind !== "unknown";

/** Refuses `device-closed` when the line goes meanwhile. The line stays open, for its caller to use or close. */
export async function probeDevice(transport: Transport, options: ProbeOptions = {}): Promise<Probe> {
  const clock = options.clock ?? realClock;
  const heard = listenTo(transport);
  const session = openSession(heard.line, { clock, timeoutMs: options.timeoutMs ?? 60_000 });
  const patience = { tries: 2, replyMs: options.replyMs ?? 700 };
  const state = await ask(session, "image state", GROUP_IMAGE, IMAGE_STATE, patience);
  if (state !== null) return probeServer(session, state);
  return (
    (await probeEspruino(transport, heard, clock)) ??
    (await probeRaw(transport, heard, clock)) ??
    judge(heard.bytes())
  );
}

interface Patience {
  tries: number;
  replyMs: number;
}

/** The answer, an error too; null when there is none, or none that makes sense. */
async function ask(session: Session, what: string, group: number, command: number, patience: Patience) {
  const request = { what, write: false, group, command, body: cborMap([]), ...patience };
  return session.exchange(request).catch(unless("device-timeout", "device-malformed"));
}

const unless =
  (...codes: string[]) =>
  (error: unknown): null => {
    if (isRefusal(error) && codes.includes(error.code)) return null;
    throw error;
  };

type Reply = NonNullable<Awaited<ReturnType<typeof ask>>>;

async function probeServer(session: Session, state: Reply): Promise<Probe> {
  const patience = { tries: 3, replyMs: 1000 };
  const images = state.kind === "ok" ? readImages({ what: "image state", body: state.body }) : null;
  let remark: string | null = null;
  const identity = await identify(session, patience).catch((error) => {
    if (!isRefusal(error) || error.code === "device-closed") throw error;
    // A server without our group, and one whose answer says nothing, need no remark.
    if (error.code === "device-unprovisioned" || error.code === "unsupported-version") remark = error.message;
    return null;
  });
  const buffers = await readBuffers(session, patience);
  if (identity !== null) return { kind: "vouch", identity, images, buffers };
  // An application lists at least itself, as active.
  if (remark === null && images !== null && !images.some(({ flags }) => flags.includes("active")))
    return { kind: "mcuboot-recovery", images, buffers };
  const info = await ask(session, "OS info", GROUP_OS, OS_INFO, patience);
  const name =
    info?.kind === "ok" ? readOr(() => textField({ what: "OS info", body: info.body }, "output")) : null;
  return { kind: "smp", framing: "console", name, remark, images, buffers };
}

/** Null for a field that a device left out or filled with something else: a probe reports, it doesn't judge. */
function readOr<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    return unless("device-malformed")(error);
  }
}

async function readBuffers(session: Session, patience: Patience): Promise<Server["buffers"]> {
  const reply = await ask(session, "parameters", GROUP_OS, OS_PARAMS, patience);
  if (reply?.kind !== "ok") return null;
  const fields = { what: "parameters", body: reply.body };
  return readOr(() => ({
    size: uintField(fields, "buf_size", 65535),
    count: uintField(fields, "buf_count", 255),
  }));
}

const readImages = (fields: Fields) =>
  readOr(() =>
    listField(fields, "images", 16).map((slot) => ({
      image: hasField(slot, "image") ? uintField(slot, "image", 255) : 0,
      slot: uintField(slot, "slot", 255),
      version: hasField(slot, "version") ? textField(slot, "version") : "",
      hash: hasField(slot, "hash") ? toHex(bytesField(slot, "hash")) : null,
      flags: FLAGS.filter((flag) => flagField(slot, flag)),
    })),
  );

/** "\r\n" comes first where the console was in the middle of something. */
const ESPRUINO = /Espruino (\d+v\d+[0-9.]*) ([A-Z0-9_]+)/;

async function probeEspruino(transport: Transport, heard: Heard, clock: Clock): Promise<Probe | null> {
  heard.forget();
  await write(transport, Uint8Array.of(0x05));
  for (let waited = 0; waited < ENQ_MS; waited += 50) {
    await sleep(clock, 50);
    const [, version, board] = ESPRUINO.exec(textOf(heard.recent())) ?? [];
    // Two looks alike: the name of the board may still be on its way.
    if (version !== undefined && board !== undefined) {
      await sleep(clock, 50);
      const [, , whole = board] = ESPRUINO.exec(textOf(heard.recent())) ?? [];
      return { kind: "espruino", version, board: whole };
    }
  }
  return null;
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

const RAW_SEQUENCE = 0x3f;

/** Raw framing has no marker and no checksum, so only the very answer to this very question counts. */
async function probeRaw(transport: Transport, heard: Heard, clock: Clock): Promise<Probe | null> {
  heard.forget();
  await write(
    transport,
    encodeMessage(smpHeader(SMP_READ, 1, GROUP_IMAGE, IMAGE_STATE, RAW_SEQUENCE), cborMap([])),
  );
  await sleep(clock, ENQ_MS);
  const { fault, header, body } = decodeMessage(heard.recent());
  if (fault !== 0 || header === null || body === null) return null;
  const { op, group, command, sequence } = header;
  if (op !== SMP_READ_REPLY || group !== GROUP_IMAGE || command !== IMAGE_STATE || sequence !== RAW_SEQUENCE)
    return null;
  const images = readImages({ what: "image state", body });
  return { kind: "smp", framing: "raw", name: null, remark: null, images, buffers: null };
}

const write = (transport: Transport, bytes: Uint8Array) =>
  transport.write(bytes).catch((cause) => {
    throw new Refusal("device-closed", "the line to the device was closed", { cause });
  });

interface Heard {
  /** The line, for the session: what it hears is remembered. */
  line: Transport;
  bytes(): Uint8Array;
  /** Since forget(). */
  recent(): Uint8Array;
  forget(): void;
}

function listenTo(transport: Transport): Heard {
  const all: number[] = [];
  let from = 0;
  const line: Transport = {
    ...transport,
    onData: (listener) =>
      transport.onData((bytes) => {
        for (const byte of bytes) if (all.length < HEARD_MAX) all.push(byte);
        listener(bytes);
      }),
  };
  return {
    line,
    bytes: () => Uint8Array.from(all),
    recent: () => Uint8Array.from(all.slice(from)),
    forget: () => {
      if (all.length === HEARD_MAX) all.length = 0; // a chatterbox; its answer should be heard too
      from = all.length;
    },
  };
}

/** Image state as base64 begins with this, whatever its sequence number. */
const OUR_FRAME = "AAsIAAABAA";

/** What bytes that answer nothing are. */
export function judge(bytes: Uint8Array): Probe {
  if (bytes.length === 0) return { kind: "silent" };
  const text = textOf(bytes);
  const lines = Buffer.from(bytes)
    .toString("utf8")
    .split(/[\r\n]+/);
  const sample = (lines.find((line) => line.trim().length > 3) ?? lines[0] ?? "").trim().slice(0, SAMPLE);
  const heard = text.includes(OUR_FRAME) ? "echo" : isText(bytes) ? "text" : "noise";
  return { kind: "unknown", heard, bytes: bytes.length, sample };
}

const PLAIN = new Set(["\t", "\n", "\r", "\u001b"]);

/** At a wrong rate half of the bytes are high or control; text, coloured text too, has few of either. */
function isText(bytes: Uint8Array): boolean {
  const chars = [...Buffer.from(bytes).toString("utf8")];
  const odd = chars.filter((char) => char === "\ufffd" || (/\p{Cc}/u.test(char) && !PLAIN.has(char)));
  return odd.length <= chars.length / 10;
}

/** The rates that boards are found at, the frequent ones first. */
export const RATES: readonly number[] = [115200, 9600, 1000000, 921600, 57600, 460800, 230400, 38400, 19200];

/** Opens the line at one rate after the other until something answers; null when nothing does. */
export async function probeRates(
  open: (baud: number) => Promise<Transport>,
  rates: readonly number[],
  options: ProbeOptions = {},
): Promise<{ baud: number; probe: Probe } | null> {
  const clock = options.clock ?? realClock;
  const deadline = clock.now() + (options.timeoutMs ?? 60_000);
  for (const baud of rates) {
    const timeoutMs = deadline - clock.now();
    if (timeoutMs <= 0) return null;
    const transport = await open(baud);
    try {
      const probe = await probeDevice(transport, { replyMs: 300, ...options, timeoutMs });
      if (hasAnswered(probe)) return { baud, probe };
    } finally {
      await transport.close();
    }
  }
  return null;
}
