// What a board must provide, as an argument: the agent knows no other hardware.
//
// Flash is addressed by byte, whole regions are given by the layout (ports/layout.ts; README.md
// has the picture):
//
//   engine   interpreter, agent and, in its last 512 bytes, the engine block; never written
//   slots    two, each 1024 bytes of manifest and then the payload
//   store    two halves of equal size: the log of small records
//
// Addresses and lengths of slots and of both store halves are multiples of sectorSize, and
// sectorSize is a multiple of writeSize. What the agent relies on, and the simulated ports
// enforce:
//
//   - eraseFlash sets whole sectors to 0xFF; address and length are multiples of sectorSize;
//   - writeFlash is called with address and length that are multiples of writeSize, at most
//     MAX_WRITE bytes, never over a unit of writeSize that was written since its erase
//     (flash with ECC refuses a second write even where no bit would rise);
//   - losing power inside a write leaves any part of it written, inside an erase any part
//     of it erased, and never touches bytes outside the range;
//   - a function that fails throws, and the agent does not go on after that: it is a dead board.

import type { Layout } from "./ports/layout";
import type { Sensor } from "./ports/sensor";

/** EAT dbgstat (RFC 9711 section 4.2.9): what the port knows of an open console or debugger. */
export const DEBUG_ENABLED = 0;
export const DEBUG_DISABLED = 1;
export const DEBUG_DISABLED_SINCE_BOOT = 2;
export const DEBUG_DISABLED_PERMANENTLY = 3;

/** Longest write, and longest read, the agent asks for in one call. */
export const MAX_WRITE = 1024;
export const MAX_READ = 1024;

/** The interpreter's heap in bytes. */
export interface Heap {
  used: number;
  total: number;
}

export interface Port {
  layout: Layout;
  /** Sends bytes to the host. */
  write: (bytes: Uint8Array) => void;
  /** Milliseconds since start, never going back and never wrapping: the ticks of readings. */
  millis: () => number;
  readFlash: (address: number, length: number) => Uint8Array;
  writeFlash: (address: number, bytes: Uint8Array) => void;
  eraseFlash: (address: number, length: number) => void;
  /**
   * SHA-256 over prefix and a run of flash, where the board has it natively; else null and the agent computes.
   * A board that can do it only for some gives null for the others.
   */
  hashFlash: ((prefix: Uint8Array, address: number, length: number) => Uint8Array | null) | null;
  /** SHA-256 of a block in memory, where the board has it: takes the 64 bytes at bytes[at] into h. Null, or left out, elsewhere. */
  sha256?: ((h: Uint32Array, bytes: Uint8Array, at: number) => void) | null;
  /** Bytes from a hardware random number generator; null when there is none, never a pseudo one. */
  random: ((length: number) => Uint8Array) | null;
  /** Restarts the device. May return: the agent then does nothing more. */
  reset: () => void;
  /** One of DEBUG_…, asked at each attestation. */
  debugStatus: () => number;
  /** What the board samples; null on one that has no sensor. */
  sensor: Sensor | null;
  /** For identify, where the interpreter can tell. */
  heap?: () => Heap;
  /** Messages of 512 bytes that the port holds while the agent works; 4 when left out. */
  buffers?: number;
}
