// SMP over a serial line as it is: header and CBOR, one message after the other.
// Zephyr calls it the raw UART transport, MCUboot's recovery the raw protocol.
//
//   |000vvooo| flags | length | group | seq | command | length bytes CBOR |000vvooo| …
//
// There is no marker and no checksum. A message is framed by its length alone, so
// both ends drop what is half received once the line was silent for a while. A
// byte that went missing makes the rest of its message eat into the next one: what
// no header of a reply begins with is passed over byte by byte until one does.
// Wrong bytes inside a message are seen by nobody here: this is for lines that
// don't lose, such as USB, and for devices that check what was uploaded.
//
// Memory: maxMessage bytes, sized once.

import { copyBytes } from "./bytes";
import { SMP_HEADER_BYTES, SMP_WRITE_REPLY } from "./smp";

/** USB serial adapters hold bytes back for up to 16 ms; ten times that is no message any longer. */
export const RAW_SILENCE_MS = 160;

export interface RawDeframer {
  buffer: Uint8Array;
  have: number;
  /** When the last bytes came, on the caller's clock. */
  lastMs: number;
  /** Bytes passed over, for a report on the line's health. */
  dropped: number;
}

export const makeRawDeframer = (maxMessage: number): RawDeframer => ({
  buffer: new Uint8Array(maxMessage),
  have: 0,
  lastMs: 0,
  dropped: 0,
});

// Could a message begin with these bytes? Judged by as many as there are.
const couldBegin = (d: RawDeframer): boolean => {
  const first = d.buffer[0] as number;
  if (first >> 5 !== 0 || ((first >> 3) & 3) > 1 || (first & 7) > SMP_WRITE_REPLY) return false;
  if (d.have > 1 && d.buffer[1] !== 0) return false;
  return d.have < 4 || lengthOf(d) <= d.buffer.length;
};

const lengthOf = (d: RawDeframer): number =>
  SMP_HEADER_BYTES + (d.buffer[2] as number) * 256 + (d.buffer[3] as number);

const passOver = (d: RawDeframer): void => {
  d.buffer.copyWithin(0, 1, d.have);
  d.have--;
  d.dropped++;
};

/** Takes bytes as they come, cut anywhere; `nowMs` never goes back. Each message is handed on once. */
export const pushRawBytes = (
  d: RawDeframer,
  bytes: Uint8Array,
  nowMs: number,
  onMessage: (message: Uint8Array) => void,
): void => {
  if (nowMs - d.lastMs > RAW_SILENCE_MS) {
    d.dropped += d.have;
    d.have = 0;
  }
  d.lastMs = nowMs;
  for (let i = 0; i < bytes.length; i++) {
    d.buffer[d.have++] = bytes[i] as number;
    while (d.have > 0 && !couldBegin(d)) passOver(d);
    if (d.have < SMP_HEADER_BYTES || d.have < lengthOf(d)) continue;
    const message = copyBytes(d.buffer, 0, d.have);
    d.have = 0;
    onMessage(message);
  }
};
