// SMP, the management protocol of Zephyr, MCUboot and Mynewt, over a serial
// console: messages, and the base64 lines that carry them between log text.
// Wire formats: Zephyr, "SMP Protocol Specification" and "SMP over console".
//
//   message   op | group | sequence | command, then one CBOR map
//
//      0        1       2..3     4..5    6     7        8…
//     +--------+-------+--------+-------+-----+---------+------------------+
//     |000vvooo| flags | length | group | seq | command | length bytes CBOR |
//     +--------+-------+--------+-------+-----+---------+------------------+
//      v 0 answers errors as {rc}, v 1 as {err: {group, rc}}; numbers big endian
//
//   packet    u16 total | message | u16 CRC-16/XMODEM of the message; total = message + 2
//
//   lines     06 09 base64(first 93 bytes) 0A
//             04 14 base64(next 93 bytes)  0A …       at most 127 bytes a line
//
// What holds: a packet whose CRC, lengths or base64 are off never reaches
// onMessage; whatever came before, the next 06 09 starts afresh; the memory of
// a deframer is maxMessage + 4 bytes and one text line of 160, sized once.
// The CRC is framing, not security. Retries and matching of sequence numbers
// are the host's business (host-cli/src/device/session.ts).

import { copyBytes } from "./bytes";
import type { CborMap } from "./cbor";
import { CBOR_LENIENT, type CborValue, decodeCbor, encodeCbor, isMap } from "./cbor";
import { FAULT_SMP_BODY, FAULT_SMP_HEADER, FAULT_SMP_LENGTH, FAULT_SMP_TRUNCATED } from "./fault";

export const SMP_READ = 0;
export const SMP_READ_REPLY = 1;
export const SMP_WRITE = 2;
export const SMP_WRITE_REPLY = 3;

export const GROUP_OS = 0;
export const OS_ECHO = 0;
export const OS_RESET = 5;
export const OS_PARAMS = 6;
export const OS_INFO = 7;

export const GROUP_IMAGE = 1;
export const IMAGE_STATE = 0;
export const IMAGE_UPLOAD = 1;
export const IMAGE_ERASE = 5;
export const IMAGE_SLOTS = 6;

export const GROUP_VOUCH = 64;
export const VOUCH_IDENTIFY = 0;
export const VOUCH_ENROL = 1;
export const VOUCH_ATTEST = 2;
export const VOUCH_PROGRESS = 3;
export const VOUCH_RESULT = 4;
export const VOUCH_CLEAR = 5;
export const VOUCH_FAULT = 6;
export const VOUCH_STREAM_START = 7;
export const VOUCH_STREAM_READ = 8;
export const VOUCH_STREAM_STOP = 9;

// Result codes every group shares (Zephyr, mgmt_defines.h).
export const RC_OK = 0;
export const RC_UNKNOWN = 1;
export const RC_NO_MEMORY = 2;
export const RC_INVALID = 3;
export const RC_TIMEOUT = 4;
export const RC_NO_ENTRY = 5;
export const RC_BAD_STATE = 6;
export const RC_TOO_LARGE = 7;
export const RC_NOT_SUPPORTED = 8;
export const RC_CORRUPT = 9;
export const RC_BUSY = 10;
export const RC_ACCESS_DENIED = 11;

export const SMP_HEADER_BYTES = 8;
const LINE_RAW_BYTES = 93; // 124 base64 characters + marker + newline = 127
const TEXT_BYTES = 160;

export interface SmpHeader {
  op: number;
  version: number;
  flags: number;
  length: number;
  group: number;
  sequence: number;
  command: number;
}

export interface SmpMessage {
  fault: number;
  header: SmpHeader | null;
  body: CborMap | null;
}

/** The header of a request, or of the reply to it; encodeMessage fills in the length. */
export const smpHeader = (
  op: number,
  version: number,
  group: number,
  command: number,
  sequence: number,
): SmpHeader => ({ op, version, flags: 0, length: 0, group, sequence, command });

export const encodeMessage = (header: SmpHeader, body: CborValue): Uint8Array => {
  const payload = encodeCbor(body);
  const out = new Uint8Array(SMP_HEADER_BYTES + payload.length);
  out[0] = ((header.version & 3) << 3) | (header.op & 7);
  out[1] = header.flags & 0xff;
  out[2] = payload.length >> 8;
  out[3] = payload.length & 0xff;
  out[4] = header.group >> 8;
  out[5] = header.group & 0xff;
  out[6] = header.sequence & 0xff;
  out[7] = header.command & 0xff;
  out.set(payload, SMP_HEADER_BYTES);
  return out;
};

const messageFault = (fault: number, header: SmpHeader | null): SmpMessage => ({
  fault,
  header,
  body: null,
});

/** With a fault, the header is still given when it could be read, so that a server can answer with an error. */
export const decodeMessage = (bytes: Uint8Array): SmpMessage => {
  if (bytes.length < SMP_HEADER_BYTES) return messageFault(FAULT_SMP_TRUNCATED, null);
  const first = bytes[0] as number;
  const header: SmpHeader = {
    op: first & 7,
    version: (first >> 3) & 3,
    flags: bytes[1] as number,
    length: (bytes[2] as number) * 256 + (bytes[3] as number),
    group: (bytes[4] as number) * 256 + (bytes[5] as number),
    sequence: bytes[6] as number,
    command: bytes[7] as number,
  };
  if (first >> 5 !== 0 || header.version > 1 || header.op > SMP_WRITE_REPLY) {
    return messageFault(FAULT_SMP_HEADER, header);
  }
  if (header.length !== bytes.length - SMP_HEADER_BYTES) return messageFault(FAULT_SMP_LENGTH, header);
  const body = decodeCbor(bytes.subarray(SMP_HEADER_BYTES), CBOR_LENIENT);
  if (body.fault !== 0) return messageFault(body.fault, header);
  if (!isMap(body.value)) return messageFault(FAULT_SMP_BODY, header);
  return { fault: 0, header, body: body.value };
};

// CRC-16/XMODEM: polynomial 0x1021, start 0, nothing reflected; "123456789" gives 0x31C3.
// The five shifts are the polynomial's division by a whole byte, without a table.
export const crc16 = (bytes: Uint8Array, start: number, end: number): number => {
  let crc = 0;
  for (let i = start; i < end; i++) {
    crc = ((crc >> 8) | (crc << 8)) & 0xffff;
    crc ^= bytes[i] as number;
    crc ^= (crc & 0xff) >> 4;
    crc ^= (crc << 12) & 0xffff;
    crc ^= (crc & 0xff) << 5;
  }
  return crc & 0xffff;
};

const base64Char = (value: number): number => {
  if (value < 26) return 65 + value;
  if (value < 52) return 71 + value;
  if (value < 62) return value - 4;
  return value === 62 ? 43 : 47;
};

const base64Value = (char: number): number => {
  if (char >= 65 && char <= 90) return char - 65;
  if (char >= 97 && char <= 122) return char - 71;
  if (char >= 48 && char <= 57) return char + 4;
  if (char === 43) return 62;
  return char === 47 ? 63 : -1;
};

/** The lines that carry one message, as they go on the wire. */
export const encodeFrame = (message: Uint8Array): Uint8Array => {
  const total = message.length + 2;
  const packet = new Uint8Array(total + 2);
  packet[0] = total >> 8;
  packet[1] = total & 0xff;
  packet.set(message, 2);
  const crc = crc16(message, 0, message.length);
  packet[total] = crc >> 8;
  packet[total + 1] = crc & 0xff;

  const lines = Math.ceil(packet.length / LINE_RAW_BYTES);
  const out = new Uint8Array(lines * 3 + Math.ceil(packet.length / 3) * 4);
  let at = 0;
  for (let i = 0; i < packet.length; i += 3) {
    if (i % LINE_RAW_BYTES === 0) {
      if (i > 0) out[at++] = 0x0a;
      out[at++] = i === 0 ? 0x06 : 0x04;
      out[at++] = i === 0 ? 0x09 : 0x14;
    }
    const left = packet.length - i;
    const a = packet[i] as number;
    const b = left > 1 ? (packet[i + 1] as number) : 0;
    const c = left > 2 ? (packet[i + 2] as number) : 0;
    out[at++] = base64Char(a >> 2);
    out[at++] = base64Char(((a & 3) << 4) | (b >> 4));
    out[at++] = left > 1 ? base64Char(((b & 15) << 2) | (c >> 6)) : 61;
    out[at++] = left > 2 ? base64Char(c & 63) : 61;
  }
  out[at] = 0x0a;
  return out;
};

// Where a deframer stands in the stream.
const IN_TEXT = 0; // log text, or nothing yet
const SAW_06 = 1;
const SAW_04 = 2;
const IN_DATA = 3; // base64 of a packet
const SKIPPING = 4; // a line that can't be used; up to its end, or the next marker

export interface Deframer {
  state: number;
  /** u16 total, message, CRC: as far as it has come. */
  packet: Uint8Array;
  have: number;
  /** A packet has started and waits for its next line. */
  open: boolean;
  quad: number;
  quadBits: number;
  quadPad: number;
  text: Uint8Array;
  textLength: number;
  /** Packets begun and given up, for a report on the line's health. */
  dropped: number;
}

export const makeDeframer = (maxMessage: number): Deframer => ({
  state: IN_TEXT,
  packet: new Uint8Array(maxMessage + 4),
  have: 0,
  open: false,
  quad: 0,
  quadBits: 0,
  quadPad: 0,
  text: new Uint8Array(TEXT_BYTES),
  textLength: 0,
  dropped: 0,
});

const dropPacket = (d: Deframer, state: number): void => {
  if (d.open) d.dropped++;
  d.open = false;
  d.have = 0;
  d.state = state;
};

const flushText = (d: Deframer, onText: (line: Uint8Array) => void): void => {
  if (d.textLength > 0) onText(copyBytes(d.text, 0, d.textLength));
  d.textLength = 0;
};

const pushText = (d: Deframer, byte: number, onText: (line: Uint8Array) => void): void => {
  if (byte === 0x0a || byte === 0x0d) {
    flushText(d, onText);
    return;
  }
  if (d.textLength === TEXT_BYTES) flushText(d, onText);
  d.text[d.textLength++] = byte;
};

const startLine = (d: Deframer): void => {
  d.state = IN_DATA;
  d.quad = 0;
  d.quadBits = 0;
  d.quadPad = 0;
};

// Bytes in this packet's buffer when it is complete; unknown before the first two came.
const packetEnd = (d: Deframer): number =>
  d.have < 2 ? d.packet.length : (d.packet[0] as number) * 256 + (d.packet[1] as number) + 2;

const endPacket = (d: Deframer, onMessage: (message: Uint8Array) => void): void => {
  // Over message and CRC together the remainder is 0.
  if (crc16(d.packet, 2, d.have) !== 0) {
    dropPacket(d, SKIPPING);
    return;
  }
  const message = copyBytes(d.packet, 2, d.have - 2);
  d.open = false;
  d.have = 0;
  d.state = IN_TEXT; // what follows on the line is not ours
  onMessage(message);
};

// Four characters are complete: one to three bytes, and perhaps the packet with them.
const endQuad = (d: Deframer, onMessage: (message: Uint8Array) => void): void => {
  // The unused bits under padding must be zero: one encoding per value here too.
  let bad = (d.quadPad === 1 && (d.quad & 0xff) !== 0) || (d.quadPad === 2 && (d.quad & 0xffff) !== 0);
  for (let i = 0; i < 3 - d.quadPad && !bad; i++) {
    if (d.have >= packetEnd(d)) {
      bad = true; // more bytes than the length says
    } else {
      d.packet[d.have++] = (d.quad >> (16 - 8 * i)) & 0xff;
      if (d.have === 2) bad = packetEnd(d) < SMP_HEADER_BYTES + 4 || packetEnd(d) > d.packet.length;
    }
  }
  d.quad = 0;
  d.quadBits = 0;
  if (bad) dropPacket(d, SKIPPING);
  else if (d.have === packetEnd(d)) endPacket(d, onMessage);
};

const pushData = (d: Deframer, byte: number, onMessage: (message: Uint8Array) => void): void => {
  if (byte === 0x0a || byte === 0x0d) {
    // A line is base64 on its own: nothing is carried over to the next one.
    if (d.quadBits !== 0) dropPacket(d, IN_TEXT);
    else d.state = IN_TEXT;
    return;
  }
  const value = byte === 61 && d.quadBits >= 12 ? 0 : base64Value(byte);
  if (value < 0 || (d.quadPad > 0 && byte !== 61)) {
    dropPacket(d, SKIPPING);
    return;
  }
  if (byte === 61) d.quadPad++;
  d.quad = ((d.quad << 6) | value) & 0xffffff;
  d.quadBits += 6;
  if (d.quadBits === 24) endQuad(d, onMessage);
};

const pushByte = (
  d: Deframer,
  byte: number,
  onMessage: (message: Uint8Array) => void,
  onText: (line: Uint8Array) => void,
): void => {
  if (d.state === SAW_06 || d.state === SAW_04) {
    const first = d.state === SAW_06;
    if (byte === (first ? 0x09 : 0x14)) {
      flushText(d, onText); // what stood before the marker is log text
      if (first) {
        dropPacket(d, IN_DATA);
        d.open = true;
        startLine(d);
      } else if (d.open) {
        startLine(d);
      } else {
        d.state = SKIPPING; // continues something whose start was lost
      }
      return;
    }
    d.state = IN_TEXT;
    pushText(d, first ? 0x06 : 0x04, onText);
  }
  if (byte === 0x06 || byte === 0x04) {
    // Neither byte is base64: in the middle of a line it means that the line's end was lost.
    if (d.state === IN_DATA && d.quadBits !== 0) dropPacket(d, IN_TEXT);
    d.state = byte === 0x06 ? SAW_06 : SAW_04;
    return;
  }
  if (d.state === IN_DATA) {
    pushData(d, byte, onMessage);
  } else if (d.state === SKIPPING) {
    if (byte === 0x0a || byte === 0x0d) d.state = IN_TEXT;
  } else {
    pushText(d, byte, onText);
  }
};

/**
 * Takes bytes as they come, cut anywhere. Each good message is handed to
 * onMessage once, each line of other text (at most 160 bytes a piece) to onText.
 */
export const pushBytes = (
  d: Deframer,
  bytes: Uint8Array,
  onMessage: (message: Uint8Array) => void,
  onText: (line: Uint8Array) => void,
): void => {
  for (let i = 0; i < bytes.length; i++) pushByte(d, bytes[i] as number, onMessage, onText);
};
