// The reference board under QEMU: its state in one file, its serial port a pseudo-terminal.
//
//   state, 16 MiB, sparse: the machine's RAM at 0x21000000, so what the board writes is in the file at once
//     0x000000  992 KiB   slots and store        firmware/boards/mps2/board.h has the picture
//     0x100000    4 KiB   entropy: 'vrng', u32 0, 32 bytes of this host's; absent on a board without
//     0x800000    4 KiB   header, {"version":"vouch-mps2/v1"}\n FF …
//     0x801000  512 KiB   engine
//
// The board can't reach the two at the end: its MPU gives it the first 1 MiB and the entropy page. At the start the
// engine is copied out for QEMU to load at address 0, and QEMU loads it again at each restart.
//
// QEMU ends with this process, however that ends: setpriv asks the kernel for it where there is one.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "@vouch/shared/refusal";
import { takeLock } from "../lock";
import { readInput } from "../readfiles";
import { BLOCK_BYTES, type EngineBlock, formatBlock, type MakerSpec, readBlock, readBuild } from "./engine";

const KIB = 1024;
export const BOARD_ENGINE_BYTES = 512 * KIB;
const STATE_BYTES = 16 * KIB * KIB;
const FLASH_BYTES = 992 * KIB;
const ENTROPY_AT = KIB * KIB;
const HEADER_AT = 8 * KIB * KIB;
const ENGINE_AT = HEADER_AT + 4 * KIB;
const ENTROPY_MAGIC = Buffer.from("vrng\0\0\0\0");
const HEADER = Buffer.from('{"version":"vouch-mps2/v1"}\n');
const LOCK_MS = 3000; // a QEMU that was killed takes a moment to go
const START_MS = 20_000;

/** A base image, as `npm run board` makes it, with a maker's engine block. Refuses what formatBlock does. */
export function makeBoardEngine(base: Uint8Array, maker: MakerSpec): Uint8Array {
  checkEngine(base);
  const engine = base.slice();
  engine.set(formatBlock(maker, readBuild(base)), engine.length - BLOCK_BYTES);
  return engine;
}

/** Refuses `malformed-engine`. */
export function checkEngine(engine: Uint8Array): void {
  if (engine.length !== BOARD_ENGINE_BYTES)
    throw new Refusal(
      "malformed-engine",
      `engine image is ${engine.length} bytes long, expected ${BOARD_ENGINE_BYTES}`,
      { hint: "`vouch sim --board mps2 --write-engine FILE` makes one" },
    );
  readBuild(engine);
}

/** Makes the file of a new board. Refuses `exists`. */
export function createBoardState(path: string, engine: Uint8Array, random: boolean): void {
  checkEngine(engine);
  let fd: number;
  try {
    fd = fs.openSync(path, "wx", 0o600); // the device's key will lie in it
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Refusal("exists", "there is such a file already, and it isn't overwritten", { cause: error });
  }
  try {
    fs.ftruncateSync(fd, STATE_BYTES);
    fs.writeSync(fd, new Uint8Array(FLASH_BYTES).fill(0xff), 0, FLASH_BYTES, 0);
    if (random) fs.writeSync(fd, ENTROPY_MAGIC, 0, ENTROPY_MAGIC.length, ENTROPY_AT);
    fs.writeSync(fd, engine, 0, engine.length, ENGINE_AT);
    fs.writeSync(fd, HEADER, 0, HEADER.length, HEADER_AT); // last: without it the file isn't one
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function readAt(path: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = fs.openSync(path, "r");
  try {
    fs.readSync(fd, bytes, 0, length, at);
  } finally {
    fs.closeSync(fd);
  }
  return bytes;
}

/** The engine in a board's file, and whether the board has a generator. Refuses `malformed-state`, `not-found`. */
export function readBoardState(path: string): { engine: Uint8Array; random: boolean } {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  const isOurs = stat?.size === STATE_BYTES && readAt(path, HEADER_AT, HEADER.length).equals(HEADER);
  if (!isOurs)
    throw new Refusal("malformed-state", "not the state of an mps2 board (vouch-mps2/v1)", {
      hint: "`vouch sim --board mps2 --state FILE` makes one under a new name",
    });
  const random = readAt(path, ENTROPY_AT, ENTROPY_MAGIC.length).equals(ENTROPY_MAGIC);
  return { engine: new Uint8Array(readAt(path, ENGINE_AT, BOARD_ENGINE_BYTES)), random };
}

export interface RunningBoard {
  readonly port: string;
  readonly block: EngineBlock;
  readonly engineSha256: string;
  /** Settles when QEMU ends by itself, with a refusal; never otherwise. */
  readonly halted: Promise<never>;
  readonly qemuPid: number;
  stop(): void;
}

/** Starts QEMU on a board's file. Refuses `no-qemu`, `sim-running`, `malformed-state`, `device-halted`. */
export async function startBoard(state: string, monitor?: string): Promise<RunningBoard> {
  const { engine, random } = readBoardState(state);
  const block = readBlock(engine);
  const unlock = await lock(fs.realpathSync(state));
  const folder = fs.mkdtempSync(join(tmpdir(), "vouch-mps2-"));
  const release = () => {
    fs.rmSync(folder, { recursive: true, force: true });
    unlock();
  };
  let qemu: ChildProcess | undefined;
  try {
    if (random) freshEntropy(state);
    const image = join(folder, "engine.bin");
    fs.writeFileSync(image, engine);
    const started = spawnQemu(state, image, monitor);
    qemu = started;
    const halted = new Promise<never>((_, reject) => {
      started.once("error", (error) => reject(noQemu(error)));
      started.once("exit", (code, signal) => {
        if (code === 127) reject(noQemu(new Error("not found")));
        reject(new Refusal("device-halted", `QEMU ended with ${signal ?? `status ${code}`}`));
      });
    });
    halted.catch(release); // also when it was stopped: until QEMU is gone it may still write
    const port = await Promise.race([readPort(started), halted]);
    // Held open, or QEMU looks for a listener only once a second and drops what the board says meanwhile.
    let hold: number | undefined = fs.openSync(port, fs.constants.O_RDWR | fs.constants.O_NOCTTY);
    return {
      port,
      block,
      engineSha256: createHash("sha256").update(engine).digest("hex"),
      halted,
      qemuPid: started.pid!,
      stop() {
        if (hold === undefined) return;
        started.kill("SIGKILL"); // the state is in the file already
        fs.closeSync(hold);
        hold = undefined;
      },
    };
  } catch (error) {
    qemu?.kill("SIGKILL");
    release();
    throw error;
  }
}

function freshEntropy(state: string): void {
  const fd = fs.openSync(state, "r+");
  try {
    fs.writeSync(fd, randomBytes(32), 0, 32, ENTROPY_AT + ENTROPY_MAGIC.length);
  } finally {
    fs.closeSync(fd);
  }
}

function spawnQemu(state: string, image: string, monitor?: string): ChildProcess {
  const program = "qemu-system-arm";
  const args = [
    ...["-machine", "mps2-an386,memory-backend=flash", "-nodefaults", "-display", "none"],
    ...["-object", `memory-backend-file,id=flash,size=16M,share=on,mem-path=${asOption(state)}`],
    ...["-kernel", image, "-serial", "pty"],
    ...(monitor === undefined ? [] : ["-qmp", `unix:${asOption(monitor)},server=on,wait=off`]),
  ];
  const setpriv = "/usr/bin/setpriv";
  const [command, ...rest] = fs.existsSync(setpriv)
    ? [setpriv, "--pdeathsig", "KILL", program, ...args]
    : [program, ...args];
  return spawn(command!, rest, { stdio: ["ignore", "pipe", "pipe"] });
}

/** QEMU's option syntax doubles a comma that is meant. */
const asOption = (path: string) => path.replaceAll(",", ",,");

function readPort(qemu: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => {
      qemu.kill("SIGKILL");
      reject(new Refusal("device-halted", "QEMU named no serial port"));
    }, START_MS);
    const read = (text: Buffer) => {
      said += text;
      const found = /redirected to (\/dev\/\S+) /.exec(said);
      if (found === null) return;
      clearTimeout(late);
      resolve(found[1]!);
    };
    qemu.stdout?.on("data", read);
    qemu.stderr?.on("data", read);
    qemu.once("exit", () => {
      clearTimeout(late);
      const last = said.trim().split("\n").pop();
      if (last !== undefined && last !== "") reject(new Refusal("device-halted", `QEMU: ${last}`));
    });
  });
}

const noQemu = (cause: Error) =>
  new Refusal("no-qemu", "qemu-system-arm can't be started", {
    cause,
    hint: "Debian: apt install qemu-system-arm",
  });

async function lock(path: string): Promise<() => void> {
  try {
    return await takeLock(`${path}.lock`, LOCK_MS);
  } catch (error) {
    if ((error as Refusal).code !== "locked") throw error;
    throw new Refusal("sim-running", `another board runs on ${path}`, {
      cause: error,
      hint: `end it first; when none runs, remove ${path}.lock`,
    });
  }
}

/** The image that `npm run board` built. Refuses `no-board-image`. */
export function readBoardImage(path: string): Uint8Array {
  if (!fs.existsSync(path))
    throw new Refusal("no-board-image", `there is no ${path}`, { hint: "`npm run board` builds it" });
  return readInput(path, BOARD_ENGINE_BYTES);
}
