// The simulated device's flash: in memory, or in a file that outlives it.
//
//   file     header, 4096 bytes | engine 64 KiB | slot 0 | slot 1 | store
//   header   {"version":"vouch-sim/v1","random":true}\n FF …      what the board is made of
//
// It behaves as NOR flash with an error correcting code does, so that an agent
// that cheats here would fail on a board:
//   - erasing sets whole sectors to 0xFF;
//   - a write unit can be written once after its erase, then it throws;
//   - the engine region is write-protected.
//
// Each write and erase reaches the file before it returns. A killed process
// therefore leaves what a board without power leaves: everything up to some
// write, a part of that one, nothing after it. Closing also flushes the disk.
//
// One process at a time: FILE.lock, which a dead process doesn't keep.

import * as fs from "node:fs";
import { Refusal } from "@vouch/shared/refusal";
import { takeLock } from "../lock";
import { readInput } from "../readfiles";
import { writeWhole } from "../writefiles";
import { ENGINE_BYTES, FLASH_BYTES, LAYOUT } from "./layout";

/** What a board has besides its flash. */
export interface Board {
  /** A hardware random number generator. */
  readonly random: boolean;
}

export interface Flash {
  readonly board: Board;
  /** A fresh copy. */
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
  erase(address: number, length: number): void;
  close(): void;
}

const HEADER_BYTES = 4096;
const LOCK_MS = 300; // long enough for one that is just ending

/** Flash that is gone when the process ends. */
export function memoryFlash(engine: Uint8Array, board: Board): Flash {
  return flashOver(
    board,
    blankFlash(engine),
    () => {},
    () => {},
  );
}

/** Makes the file of a new device. Refuses `exists` and what writing a file is refused for. */
export function createFlashFile(path: string, engine: Uint8Array, board: Board): void {
  const file = new Uint8Array(HEADER_BYTES + FLASH_BYTES).fill(0xff);
  file.set(formatHeader(board));
  file.set(blankFlash(engine), HEADER_BYTES);
  writeWhole(path, file, { mode: 0o600, overwrite: false }); // the device's key will lie in it
}

/** Opens a device's file for as long as it runs. Refuses `sim-running`, `malformed-state`, `not-found`. */
export async function openFlashFile(path: string): Promise<Flash> {
  const file = readInput(path, HEADER_BYTES + FLASH_BYTES);
  const board = parseHeader(file);
  const unlock = await lock(fs.realpathSync(path));
  try {
    const fd = fs.openSync(path, "r+");
    const content = readInput(path, HEADER_BYTES + FLASH_BYTES).slice(HEADER_BYTES); // as it is now that it is ours
    const save = (address: number, bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length; )
        at += fs.writeSync(fd, bytes, at, bytes.length - at, HEADER_BYTES + address + at);
    };
    return flashOver(board, content, save, () => {
      fs.fsyncSync(fd);
      fs.closeSync(fd);
      unlock();
    });
  } catch (error) {
    unlock();
    throw error;
  }
}

async function lock(path: string): Promise<() => void> {
  try {
    return await takeLock(`${path}.lock`, LOCK_MS);
  } catch (error) {
    if ((error as Refusal).code !== "locked") throw error;
    throw new Refusal("sim-running", "another simulated device runs on this file", {
      cause: error,
      hint: `use the port that it printed, or end it first; when none runs, remove ${path}.lock`,
    });
  }
}

function blankFlash(engine: Uint8Array): Uint8Array {
  if (engine.length !== ENGINE_BYTES) throw new Error(`engine region of ${engine.length} bytes`);
  const content = new Uint8Array(FLASH_BYTES).fill(0xff);
  content.set(engine, LAYOUT.engine.address);
  return content;
}

const formatHeader = (board: Board) =>
  new TextEncoder().encode(`${JSON.stringify({ version: "vouch-sim/v1", random: board.random })}\n`);

/** There are two headers, so reading one is comparing. */
function parseHeader(file: Uint8Array): Board {
  const found = Buffer.from(file.subarray(0, HEADER_BYTES));
  for (const random of [true, false]) {
    const header = Buffer.alloc(HEADER_BYTES, 0xff);
    header.set(formatHeader({ random }));
    if (file.length === HEADER_BYTES + FLASH_BYTES && header.equals(found)) return { random };
  }
  throw new Refusal("malformed-state", "not the flash of a simulated device (vouch-sim/v1)", {
    hint: "`vouch sim --state FILE` makes one under a new name",
  });
}

type Save = (address: number, bytes: Uint8Array) => void;

function flashOver(board: Board, content: Uint8Array, save: Save, close: () => void): Flash {
  const { sectorSize } = LAYOUT.store;
  const { writeSize } = LAYOUT;
  let isOpen = true;
  const check = (address: number, length: number, unit: number, lowest: number, what: string) => {
    const isWhole = address % unit === 0 && length % unit === 0; // false for NaN and fractions too
    if (isOpen && isWhole && address >= lowest && length >= 0 && address + length <= content.length) return;
    throw new Error(`flash: bad ${what} of ${length} bytes at ${address}`);
  };
  const change = (address: number, bytes: Uint8Array) => {
    save(address, bytes);
    content.set(bytes, address);
  };
  return {
    board,
    read(address, length) {
      check(address, length, 1, 0, "read");
      return content.slice(address, address + length);
    },
    write(address, bytes) {
      check(address, bytes.length, writeSize, ENGINE_BYTES, "write");
      for (let at = 0; at < bytes.length; at++) {
        if (content[address + at] !== 0xff) throw new Error(`flash: second write at ${address + at}`);
      }
      change(address, bytes);
    },
    erase(address, length) {
      check(address, length, sectorSize, ENGINE_BYTES, "erase");
      change(address, new Uint8Array(length).fill(0xff));
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      close();
    },
  };
}
