// Bytes from the line to SMP requests, and replies back.
//
//   line ─▶ deframer (512 bytes) ─▶ message ─▶ handler ─▶ reply ─▶ lines
//
// One request is answered before the next byte is looked at, so there is no queue here. What a
// port must hold while the agent works follows from what is advertised: BUFFER_COUNT messages of
// BUFFER_BYTES, each up to 700 bytes on the line as base64.
//
// Errors have the shape of the version asked in: {rc} in version 0, {err: {group, rc}} in version 1;
// but what concerns the message itself, or a command nobody knows, is {rc} in both, as real
// servers do. Log text between frames is ignored, and so are replies.

import { type CborMap, type CborValue, cborMap } from "@vouch/shared/cbor";
import { FAULT_NONE, FAULT_SMP_LENGTH } from "@vouch/shared/fault";
import {
  type Deframer,
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  RC_CORRUPT,
  RC_INVALID,
  SMP_READ,
  SMP_WRITE,
  type SmpHeader,
  smpHeader,
} from "@vouch/shared/smp";

export const BUFFER_BYTES = 512;
export const BUFFER_COUNT = 4;
const LENGTH_AND_CRC = 4;

export interface Request {
  write: boolean;
  version: number;
  group: number;
  command: number;
  body: CborMap;
}

/** The body of a reply. */
export type Handler = (request: Request) => CborMap;

export interface Link {
  deframer: Deframer;
  handler: Handler;
  write: (bytes: Uint8Array) => void;
}

export function makeLink(handler: Handler, write: (bytes: Uint8Array) => void): Link {
  return { deframer: makeDeframer(BUFFER_BYTES - LENGTH_AND_CRC), handler, write };
}

/** An error about the message itself or an unknown command. */
export function plainError(rc: number): CborMap {
  return cborMap([["rc", rc]]);
}

/** An error of a group: `groupRc` for version 1, `rc` for version 0. */
export function groupError(request: Request, groupRc: number, rc: number): CborMap {
  if (request.version === 0) return plainError(rc);
  const detail: CborValue = cborMap([
    ["group", request.group],
    ["rc", groupRc],
  ]);
  return cborMap([["err", detail]]);
}

function answer(link: Link, header: SmpHeader, body: CborMap): void {
  const version = Math.min(header.version, 1);
  const reply = smpHeader(header.op + 1, version, header.group, header.command, header.sequence);
  link.write(encodeFrame(encodeMessage(reply, body)));
}

function onMessage(link: Link, bytes: Uint8Array): void {
  const message = decodeMessage(bytes);
  const header = message.header;
  if (header === null || (header.op !== SMP_READ && header.op !== SMP_WRITE)) return;
  if (message.fault !== FAULT_NONE || message.body === null) {
    answer(link, header, plainError(message.fault === FAULT_SMP_LENGTH ? RC_CORRUPT : RC_INVALID));
    return;
  }
  const request: Request = {
    write: header.op === SMP_WRITE,
    version: header.version,
    group: header.group,
    command: header.command,
    body: message.body,
  };
  answer(link, header, link.handler(request));
}

const ignoreText = (): void => {};

/** Takes bytes from the line, cut anywhere. */
export function receiveBytes(link: Link, bytes: Uint8Array): void {
  pushBytes(link.deframer, bytes, (message) => onMessage(link, message), ignoreText);
}
