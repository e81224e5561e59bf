// How messages lie on the line: as base64 lines between log text, which is what
// nearly every device speaks, or raw, for the few that are built for it.
//
//   console   06 09 base64 0A …       CRC, resynchronises, costs a third of the line
//   raw       the message as it is    no CRC, framed by its length (shared/src/smp-raw.ts)

import { encodeFrame, makeDeframer, pushBytes } from "@vouch/shared/smp";
import { makeRawDeframer, pushRawBytes } from "@vouch/shared/smp-raw";
import type { Clock } from "./clock";

export const FRAMINGS = ["console", "raw"] as const;
export type FramingName = (typeof FRAMINGS)[number];

export interface Framing {
  encode(message: Uint8Array): Uint8Array;
  /** Takes bytes cut anywhere; hands on whole messages, and the text between them. */
  push(bytes: Uint8Array, onMessage: (message: Uint8Array) => void, onText: (line: Uint8Array) => void): void;
}

const MAX_REPLY = 8192; // twice the largest buffer seen on a board

export function makeFraming(name: FramingName, clock: Clock): Framing {
  if (name === "raw") {
    const deframer = makeRawDeframer(MAX_REPLY);
    return {
      encode: (message) => message,
      push: (bytes, onMessage) => pushRawBytes(deframer, bytes, clock.now(), onMessage),
    };
  }
  const deframer = makeDeframer(MAX_REPLY);
  return {
    encode: encodeFrame,
    push: (bytes, onMessage, onText) => pushBytes(deframer, bytes, onMessage, onText),
  };
}
