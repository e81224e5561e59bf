// Espruino's packets, in firmware 2v25 and newer (its README_Protocol.md):
//
//   10 01 │ type, 3 bits │ length, 13 bits │ data      ─▶      06 ACK, 15 NAK
//
//   2000 EVAL        expression          06, then 10 01 0000|length and the result
//   6000 FILE_SEND   {"fn":NAME,"s":SIZE}
//   8000 DATA        the file, piece by piece; it ends when SIZE bytes have come
//
// Neither packets nor files carry a checksum, and a write that failed may be
// acknowledged all the same: whoever sends a file asks for its hash afterwards.
// Bytes that get lost leave the device waiting; after 5 s (1 s in 2v25) it answers
// NAK, has forgotten the packet and not the file, and the same packet is sent
// again. Losing the first bytes makes a packet be read as what somebody types: then
// neither answer comes, and the file has to be started anew.
//
// Espruino for Linux takes length bytes 03 and 04 for Ctrl-C and end of input. No
// packet here has them.

import { utf8Encode } from "@vouch/shared/bytes";
import type { EspruinoLine } from "./espruino-line";

export const PACKET = { response: 0x0000, eval: 0x2000, fileSend: 0x6000, data: 0x8000 } as const;

const ACK = "\x06";
const NAK = "\x15";
const LARGEST = 4096;
const CAREFUL = 512; // after a loss
const PACKET_S = 0.4; // on a UART a packet is in time even for 2v25
const REPLY_MS = 8000; // longer than the device waits for the rest of a packet
const FIRST_MS = 30_000; // the device may erase and tidy all its storage
const RESENDS = 2; // of one packet: after 10 s the device forgets the file

export function encodePacket(type: number, data: Uint8Array): Uint8Array {
  const packet = new Uint8Array(4 + data.length);
  packet.set([0x10, 0x01, (type | data.length) >> 8, data.length & 0xff]);
  packet.set(data, 4);
  return packet;
}

/** JSON or an expression, with spaces after it until the length is one that Linux lets through. */
function padded(text: string): Uint8Array {
  const bytes = utf8Encode(text);
  return isOdd(bytes.length) ? padded(`${text} `) : bytes;
}

const isOdd = (length: number) => (length & 0xff) === 3 || (length & 0xff) === 4;

/** Lengths of the packets that `size` bytes go in, at most `largest` each. */
export function cut(size: number, largest: number): number[] {
  const lengths: number[] = new Array(Math.floor(size / largest)).fill(largest);
  const rest = size % largest;
  if (rest === 0) return lengths;
  if (!isOdd(rest)) return [...lengths, rest];
  if (rest > 8) return [...lengths, rest - 8, 8];
  // Eight bytes are a unit of flash on every part; a file this short lies in one anyway.
  return lengths.length === 0 ? [2, rest - 2] : [...lengths.slice(1), largest - 8, rest + 8];
}

type Reply = "ack" | "nak" | null;

async function send(line: EspruinoLine, type: number, data: Uint8Array, patienceMs: number): Promise<Reply> {
  line.discard();
  await line.write(encodePacket(type, data));
  return line.wait(patienceMs, readReply);
}

function readReply(text: string): Reply | undefined {
  for (const char of text) {
    if (char === ACK) return "ack";
    if (char === NAK) return "nak";
  }
  return undefined;
}

/** The result of an expression as Espruino writes it, or null. */
export async function evalPacket(line: EspruinoLine, expression: string): Promise<string | null> {
  if ((await send(line, PACKET.eval, padded(expression), REPLY_MS)) !== "ack") return null;
  return line.wait(REPLY_MS, (text) => {
    const at = text.indexOf(`${ACK}\x10\x01`);
    if (at < 0 || text.length < at + 5) return undefined;
    const length = (text.charCodeAt(at + 3) << 8) | text.charCodeAt(at + 4);
    return text.length < at + 5 + length ? undefined : text.slice(at + 5, at + 5 + length);
  });
}

export interface PacketOutcome {
  readonly sent: boolean;
  /** Packets sent more than once. */
  readonly resent: number;
}

/** Sends a file once; `sent` is false when it has to be started anew. */
export async function sendFile(
  line: EspruinoLine,
  name: string,
  file: Uint8Array,
  onProgress: (done: number) => void,
): Promise<PacketOutcome> {
  let resent = 0;
  const head = padded(JSON.stringify({ fn: name, s: file.length }));
  let reply = await send(line, PACKET.fileSend, head, REPLY_MS);
  if (reply === "nak") {
    resent++;
    reply = await send(line, PACKET.fileSend, head, REPLY_MS);
  }
  if (reply !== "ack") return { sent: false, resent };
  let largest = fit(line.pace);
  for (let at = 0, naks = 0; at < file.length; ) {
    const length = cut(file.length - at, largest)[0] ?? 0;
    const patience = at === 0 ? FIRST_MS : REPLY_MS;
    reply = await send(line, PACKET.data, file.subarray(at, at + length), patience);
    if (reply === "ack") {
      at += length;
      naks = 0;
      onProgress(at);
    } else if (reply === null || ++naks > RESENDS) {
      return { sent: false, resent };
    } else {
      resent++;
      largest = Math.min(largest, CAREFUL);
    }
  }
  return { sent: true, resent };
}

function fit(pace: number | null): number {
  if (pace === null) return LARGEST;
  return Math.max(512, Math.min(LARGEST, Math.floor((pace * PACKET_S) / 512) * 512));
}
