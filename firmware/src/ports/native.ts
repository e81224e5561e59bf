// A port over plain global functions, for engines that are embedded in C (Duktape, JerryScript)
// and for the simulated device, which runs the built bundle in QuickJS. The host defines these
// before it evaluates the bundle; byte arguments and results are Uint8Array:
//
//   hostLayout() -> {engine: {address, length}, slots: [{address, length}, {address, length}],
//                    store: {address, length, sectorSize}, writeSize}         asked once, at start
//   hostWrite(bytes)                         to the serial line
//   hostMillis() -> number                   whole milliseconds since start
//   hostReadFlash(address, length) -> bytes  a fresh array each time
//   hostWriteFlash(address, bytes)           port.ts says what it may assume
//   hostEraseFlash(address, length)
//   hostReset()                              restarts; may take effect after it returns
//   hostRandom(length) -> bytes              absent or null without a hardware generator
//   hostHashFlash(prefix, address, length) -> 32 bytes, SHA-256(prefix, flash run); null for what it can't
//                                            do, absent or null itself without: computed here
//   hostSha256(h, bytes, at)                 takes the 64 bytes at bytes[at] into the chaining value h, a Uint32Array of 8;
//                                            absent: computed here, at ten times and more the cost
//   hostDebugStatus() -> 0..4                EAT dbgstat; absent: 0, debug enabled, the honest guess
//   hostSensors() -> [{kind, code, period,   what can be sampled (sensor.ts), asked when a stream starts; absent
//                      channels: [{code, unit, exponent}]}]    or null on a board without sensors, as are the next two
//   hostSample(mask)                         samples the groups whose bits are set
//   hostReadSensor(group, max) -> {ticks, lost, values}        values: Int32Array
//
// In return the bundle defines, and the host calls:
//
//   agentReceive(bytes)      for bytes from the serial line, in any cut; replies go out before it returns
//   agentTick() -> number    milliseconds until the next tick is wanted: 0 while work is pending
//
// The bundle touches flash when it is evaluated: that is the boot, and where images are swapped.

import type { Port } from "../port";
import { DEBUG_ENABLED } from "../port";
import type { Layout } from "./layout";
import type { Sensor, SensorGroup, SensorRows } from "./sensor";

declare const hostLayout: () => Layout;
declare const hostWrite: (bytes: Uint8Array) => void;
declare const hostMillis: () => number;
declare const hostReadFlash: (address: number, length: number) => Uint8Array;
declare const hostWriteFlash: (address: number, bytes: Uint8Array) => void;
declare const hostEraseFlash: (address: number, length: number) => void;
declare const hostReset: () => void;
declare const hostRandom: ((length: number) => Uint8Array) | null | undefined;
declare const hostHashFlash:
  | ((prefix: Uint8Array, address: number, length: number) => Uint8Array | null)
  | null
  | undefined;
declare const hostSha256: ((h: Uint32Array, bytes: Uint8Array, at: number) => void) | null | undefined;
declare const hostDebugStatus: (() => number) | null | undefined;
declare const hostSensors: (() => SensorGroup[]) | null | undefined;
declare const hostSample: (mask: number) => void;
declare const hostReadSensor: (group: number, max: number) => SensorRows;

const debugUnknown = (): number => DEBUG_ENABLED;

function nativeSensor(): Sensor | null {
  if (typeof hostSensors !== "function") return null;
  return { groups: hostSensors, sample: hostSample, read: hostReadSensor };
}

/** The port of an embedding that defines the functions above. */
export function nativePort(): Port {
  return {
    layout: hostLayout(),
    write: hostWrite,
    millis: hostMillis,
    readFlash: hostReadFlash,
    writeFlash: hostWriteFlash,
    eraseFlash: hostEraseFlash,
    hashFlash: typeof hostHashFlash === "function" ? hostHashFlash : null,
    sha256: typeof hostSha256 === "function" ? hostSha256 : null,
    random: typeof hostRandom === "function" ? hostRandom : null,
    reset: hostReset,
    debugStatus: typeof hostDebugStatus === "function" ? hostDebugStatus : debugUnknown,
    sensor: nativeSensor(),
  };
}
