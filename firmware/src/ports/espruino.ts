// A port for Espruino: flash through require("Flash"), one serial device, native SHA-256 where
// the firmware was built with it. The agent is a module in Storage, so that its functions stay in flash;
// the boot code (Storage file .bootcde, or .bootrst where reset() must not stop it) says what the
// board is and loads it:
//
//   vouchBoard = {
//     line: Serial1, console: null,                              SMP here; no REPL anywhere
//     engine: [{address: 0x08000000, length: 0x60000},           the interpreter's flash,
//              {address: 0x08060000, length: 0x20000}],          Storage with agent and boot code, engine block
//     slots: [{address: …, length: …}, {address: …, length: …}], store: {address: …, length: …},
//     writeSize: 4, mapped: {address: 0x08000000, length: 0x100000}, random: false, debugStatus: 0
//   };
//   Serial1.setup(115200, {rx: …, tx: …});
//   require("vouch");
//
// What is measured as the engine is all its runs, one after the other, as if they were one; the engine
// block is in the last 512 bytes of the last. Slots and store are flash that Storage doesn't use:
// Storage moves files about when it compacts, and knows no slots.
//
// The console leaves the line before the agent boots, and is forced to where it goes: left alone it
// would come back with the next USB or Bluetooth connection. Between power on and that moment the REPL is there,
// so the best this port ever claims is "disabled" (1), and 0 while any device has the console.
//
// Only the plain digest is native. crypto.SHA256 takes its input in one piece: a mapped run of flash is
// one, without a copy, but a nonce before it would need both in RAM.

import { DEBUG_ENABLED, type Heap, type Port } from "../port";
import type { Layout, Region } from "./layout";
import type { Sensor } from "./sensor";

/** A serial device: Serial1, USB, Bluetooth. */
interface Line {
  write: (bytes: Uint8Array) => void;
  on: (event: "data", listener: (text: string) => void) => void;
}

/** What the boot code says of the board. */
export interface Board {
  line: Line;
  /** Where the REPL goes, as E.setConsole takes it; null closes it. */
  console: string | null;
  engine: Region[];
  slots: Region[];
  store: Region;
  /** Write unit: 4, or 8 where flash corrects errors by the double word. */
  writeSize: number;
  /** Flash that lies in the address space at its own address; null where none does, as on ESP32 and Linux. */
  mapped: Region | null;
  /** Whether E.hwRand is a hardware generator. It is on nRF5x; on STM32F4 it is noise of the ADC, on Linux rand(). */
  random: boolean;
  /** What holds of SWD or JTAG once the REPL is closed, as EAT dbgstat; 0 for a board without read-out protection. */
  debugStatus: number;
  /** What the boot code samples, by a timer of its own; left out where nothing is. */
  sensor?: Sensor;
}

interface FlashModule {
  read: (length: number, address: number) => Uint8Array;
  write: (bytes: Uint8Array, address: number) => void;
  erasePage: (address: number) => void;
  getPage: (address: number) => { addr: number; length: number };
}

type Bytes = Uint8Array | string;

interface CryptoModule {
  SHA256?: (bytes: Bytes) => ArrayBuffer;
}

// The build turns this into `require`, which a bundler would take for its own.
declare const espruinoRequire: (name: string) => unknown;
declare const E: {
  memoryArea: (address: number, length: number) => string | undefined;
  hwRand: () => number;
  toUint8Array: (text: string) => Uint8Array;
  setConsole: (device: string | null, options: { force: boolean }) => void;
  getConsole: () => string | null;
  reboot: () => void;
};
declare const process: { memory: () => { usage: number; total: number; blocksize: number } };
declare const getTime: () => number;
declare const setTimeout: (work: () => void, ms: number) => number;
declare const clearTimeout: (timer: number) => void;

/** Where the engine's runs appear to lie, one after the other: above any flash. */
const ENGINE_ADDRESS = 0x100000000;

/** The event queue of small boards is 256 bytes, so flow control or one message at a time; never four. */
const BUFFERS = 1;

/** EAT dbgstat "disabled": the REPL was there until the boot code closed it, so no more can be claimed. */
const DEBUG_DISABLED = 1;

function loadCrypto(): CryptoModule {
  try {
    return espruinoRequire("crypto") as CryptoModule;
  } catch (_) {
    return {}; // many boards are built without
  }
}

function lengthOf(runs: Region[]): number {
  let length = 0;
  for (let i = 0; i < runs.length; i++) length += (runs[i] as Region).length;
  return length;
}

function layoutOf(board: Board, flash: FlashModule): Layout {
  const store = board.store;
  return {
    engine: { address: ENGINE_ADDRESS, length: lengthOf(board.engine) },
    slots: board.slots,
    store: {
      address: store.address,
      length: store.length,
      sectorSize: flash.getPage(store.address).length,
    },
    writeSize: board.writeSize,
  };
}

// Where a run of flash really lies, when it is in one piece; else -1.
function placeOf(runs: Region[], address: number, length: number): number {
  if (address < ENGINE_ADDRESS) return address;
  let offset = address - ENGINE_ADDRESS;
  for (let i = 0; i < runs.length; i++) {
    const run = runs[i] as Region;
    if (offset < run.length) return offset + length <= run.length ? run.address + offset : -1;
    offset -= run.length;
  }
  return -1;
}

// A read across the end of a run of the engine.
function readPieces(flash: FlashModule, runs: Region[], address: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let offset = address - ENGINE_ADDRESS;
  let done = 0;
  for (let i = 0; i < runs.length && done < length; i++) {
    const run = runs[i] as Region;
    if (offset < run.length) {
      const count = Math.min(run.length - offset, length - done);
      out.set(flash.read(count, run.address + offset), done);
      done += count;
      offset = 0;
    } else {
      offset -= run.length;
    }
  }
  return out;
}

// getTime() follows the clock, which a program may set: this one stands still rather than go back. Seconds since
// 1970 as a double are a little less or more than the millisecond they mean.
function makeClock(): () => number {
  const start = getTime();
  let last = 0;
  return () => {
    const now = Math.floor((getTime() - start) * 1000 + 0.5);
    if (now > last) last = now;
    return last;
  };
}

function randomBytes(length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = E.hwRand() & 0xff;
  return out;
}

function heap(): Heap {
  const memory = process.memory();
  return { used: memory.usage * memory.blocksize, total: memory.total * memory.blocksize };
}

/** Takes the REPL off the line, or closes it. What it prints from then on goes elsewhere or nowhere. */
export function claimLine(board: Board): void {
  E.setConsole(board.console, { force: true });
}

/** The port of the board that the boot code describes. */
export function espruinoPort(board: Board): Port {
  const flash = espruinoRequire("Flash") as FlashModule;
  const sha256 = loadCrypto().SHA256;
  const runs = board.engine;
  const layout = layoutOf(board, flash);
  const sectorSize = layout.store.sectorSize;
  const mapped = board.mapped;

  const hashMapped = (prefix: Uint8Array, address: number, length: number): Uint8Array | null => {
    const place = placeOf(runs, address, length);
    if (sha256 === undefined || mapped === null || prefix.length > 0 || length === 0) return null;
    if (place < mapped.address || place + length > mapped.address + mapped.length) return null;
    const area = E.memoryArea(place, length); // undefined for address 0
    return area === undefined ? null : new Uint8Array(sha256(area));
  };
  return {
    layout,
    write: (bytes) => board.line.write(bytes),
    millis: makeClock(),
    readFlash: (address, length) => {
      const place = placeOf(runs, address, length);
      return place < 0 ? readPieces(flash, runs, address, length) : flash.read(length, place);
    },
    writeFlash: (address, bytes) => flash.write(bytes, address),
    eraseFlash: (address, length) => {
      // A sum can be a double there that prints as an integer, and erasePage refuses it.
      for (let at = address; at < address + length; at += sectorSize) flash.erasePage(at | 0);
    },
    hashFlash: sha256 === undefined || mapped === null ? null : hashMapped,
    random: board.random ? randomBytes : null,
    reset: () => E.reboot(),
    debugStatus: () => {
      if (E.getConsole() !== null || board.debugStatus === DEBUG_ENABLED) return DEBUG_ENABLED;
      return DEBUG_DISABLED;
    },
    sensor: board.sensor === undefined ? null : board.sensor,
    heap,
    buffers: BUFFERS,
  };
}

/** Feeds the agent from the line and from a timer. After an exception it does neither: a dead board until its next start. */
export function serve(board: Board, receive: (bytes: Uint8Array) => void, tick: () => number): void {
  let isDead = false;
  let timer = 0;
  const guarded = (work: () => void): void => {
    if (isDead) return;
    isDead = true;
    work();
    isDead = false;
  };
  const run = (): void => {
    guarded(() => {
      timer = setTimeout(run, tick());
    });
  };
  timer = setTimeout(run, 0);
  board.line.on("data", (text) => {
    guarded(() => {
      receive(E.toUint8Array(text));
      clearTimeout(timer); // what arrived may be work
      timer = setTimeout(run, 0);
    });
  });
}
