// vouch sim: a device without hardware, at a pseudo-terminal, until it is told to end.
//
//   new device        --vendor, --product, --model say what the maker builds into it
//   --state FILE      its flash; the file remembers engine and board, so FILE alone starts it again
//   --create          only makes the FILE, for use as --port sim:FILE
//   --write-engine F  only writes the engine image, which the maker releases as component "engine"
//   --board mps2      the reference board instead, an emulated Cortex-M4 under QEMU, with the same flags
//
// SIGTERM and SIGINT end it with status 0. So does nothing else: a kill at any
// moment leaves FILE as a board's flash is after a power cut, and usable.

import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { builtFile } from "../dist";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { readInput } from "../readfiles";
import { type Device, startDevice } from "../sim/device";
import { type EngineBlock, type MakerSpec, makeEngineImage, readBuild, readEngineImage } from "../sim/engine";
import { createFlashFile, type Flash, memoryFlash, openFlashFile } from "../sim/flash";
import { ENGINE_BYTES, LAYOUT } from "../sim/layout";
import {
  BOARD_ENGINE_BYTES,
  checkEngine,
  createBoardState,
  makeBoardEngine,
  type RunningBoard,
  readBoardImage,
  readBoardState,
  startBoard,
} from "../sim/mps2";
import { openPty } from "../sim/pty";
import { refusePrivate } from "../vkeyfile";
import { writeWhole } from "../writefiles";

const MAX_VKEY_FILE = 1024;

export interface SimOptions {
  /** The device's flash; undefined keeps it in memory. */
  state?: string | undefined;
  /** A verifier key or the file with one. */
  vendor?: string | undefined;
  product?: string | undefined;
  model?: string | undefined;
  hardwareVersion?: string | undefined;
  /** A ready engine image instead of the four above. */
  engine?: string | undefined;
  /** False for a board without a random number generator. */
  random?: boolean | undefined;
  /** `mps2` for the reference board under QEMU; undefined for the simulated one. */
  board?: string | undefined;
}

/** A device at a pseudo-terminal. */
interface Running {
  readonly port: string;
  readonly block: EngineBlock;
  readonly engineSha256: string;
  /** Settles when the device halts by itself, with a refusal; never otherwise. */
  readonly halted: Promise<never>;
  stop(): void;
}

export interface RunningSim extends Running {
  readonly device: Device;
}

/** The agent this build of vouch comes with. */
export function readAgentBundle(): Uint8Array {
  return readInput(builtFile("agent.js"), ENGINE_BYTES);
}

const boardImage = () => readBoardImage(builtFile("../../firmware/boards/mps2/build/mps2.bin"));

/** The engine region the options ask for; undefined when they name none. Refuses what makeEngineImage does, `usage`. */
export function engineOf(options: SimOptions): Uint8Array | undefined {
  const { engine, vendor, product, model, hardwareVersion } = options;
  const isSpelled = [vendor, product, model, hardwareVersion].some((given) => given !== undefined);
  if (engine !== undefined) {
    if (isSpelled) throw usage("--engine holds vendor, product, model and hardware version already");
    const isBoard = options.board !== undefined;
    const region = readInput(engine, isBoard ? BOARD_ENGINE_BYTES : ENGINE_BYTES);
    about(engine, () => (isBoard ? checkEngine(region) : readEngineImage(region)));
    return region;
  }
  if (!isSpelled) return undefined;
  if (vendor === undefined || product === undefined || model === undefined) {
    const missing = Object.entries({ vendor, product, model }).filter(([, given]) => given === undefined);
    throw usage(`a new device needs ${missing.map(([name]) => `--${name}`).join(" and ")}`, NEW_DEVICE);
  }
  const maker: MakerSpec = {
    vendorVkey: vkeyOf(vendor),
    product,
    model,
    hardwareVersion: hardwareVersion ?? "A",
  };
  if (options.board !== undefined) return makeBoardEngine(boardImage(), maker);
  return makeEngineImage({ bundle: readAgentBundle(), ...maker });
}

const NEW_DEVICE =
  "the maker's manifest key is built in: `vouch keygen NAME`, then --vendor NAME.vkey --product P --model M";

function vkeyOf(keyOrFile: string): string {
  if (/^[^+]+\+[0-9a-f]{8}\+/.test(keyOrFile)) return keyOrFile;
  return about(keyOrFile, () => {
    const text = Buffer.from(readInput(keyOrFile, MAX_VKEY_FILE)).toString("utf8");
    refusePrivate(text, ".vkey");
    return text.replace(/\r?\n$/, "");
  });
}

/** Makes the file of a new device. Refuses `exists`. */
export function createSim(options: SimOptions & { state: string }): void {
  const { state, random = true } = options;
  if (options.board !== undefined) createBoardState(state, newEngine(options), random);
  else createFlashFile(state, newEngine(options), { random });
}

function newEngine(options: SimOptions): Uint8Array {
  const region = engineOf(options);
  if (region === undefined) throw usage("a new device needs its maker's manifest key", NEW_DEVICE);
  return region;
}

/** Opens or makes the flash. Refuses `engine-differs` when a file and the options are about two devices. */
export async function openSimFlash(options: SimOptions): Promise<Flash> {
  const { state } = options;
  if (state === undefined) return memoryFlash(newEngine(options), { random: options.random ?? true });
  if (!existsSync(state)) createSim({ ...options, state });
  const wanted = engineOf(options);
  const flash = await about(state, () => openFlashFile(state));
  const region = flash.read(LAYOUT.engine.address, LAYOUT.engine.length);
  if (isAsAsked(options, wanted, region, flash.board.random)) return flash;
  flash.close();
  throw otherDevice(state);
}

const isAsAsked = (
  options: SimOptions,
  wanted: Uint8Array | undefined,
  region: Uint8Array,
  random: boolean,
): boolean => (wanted === undefined || equalBytes(region, wanted)) && (options.random ?? random) === random;

const otherDevice = (state: string) =>
  new Refusal("engine-differs", `${state} is a device with another engine or board than the flags describe`, {
    hint: "leave the flags out to start it as it is, or name a new file",
  });

/**
 * Starts the reference board at a pseudo-terminal. Without a state file its flash is gone when it stops.
 * `monitor` is a socket QEMU's monitor listens on. Refuses `engine-differs` and what startBoard does.
 */
export async function startMps2(options: SimOptions, monitor?: string): Promise<RunningBoard> {
  const { state } = options;
  if (state !== undefined && existsSync(state)) {
    const wanted = engineOf(options);
    const { engine, random } = about(state, () => readBoardState(state));
    if (!isAsAsked(options, wanted, engine, random)) throw otherDevice(state);
    return startBoard(state, monitor);
  }
  if (state !== undefined) {
    createSim({ ...options, state });
    return startBoard(state, monitor);
  }
  const folder = mkdtempSync(join(tmpdir(), "vouch-board-"));
  const drop = () => rmSync(folder, { recursive: true, force: true });
  try {
    const kept = join(folder, "state");
    createSim({ ...options, state: kept });
    const board = await startBoard(kept, monitor);
    return {
      ...board,
      stop() {
        board.stop();
        drop();
      },
    };
  } catch (error) {
    drop();
    throw error;
  }
}

/** Starts a device at a pseudo-terminal. Refuses `no-pty` and what opening the flash is refused for. */
export async function startSim(options: SimOptions, onFault: (fault: Error) => void): Promise<RunningSim> {
  const flash = await openSimFlash(options);
  const region = flash.read(LAYOUT.engine.address, LAYOUT.engine.length);
  let halt: (error: Error) => void = () => {};
  const halted = new Promise<never>((_, reject) => {
    halt = reject;
  });
  halted.catch(() => {}); // whoever doesn't wait for it has stopped the device
  try {
    const pty = await openPty();
    const device = await startDevice(flash, {
      onData: pty.write,
      onRestart: (fault) => fault !== undefined && onFault(fault),
      onHalt: (fault) =>
        halt(
          new Refusal("device-halted", `the device faults at every start: ${fault.message}`, {
            cause: fault,
          }),
        ),
    }).catch((error) => {
      pty.close();
      throw error;
    });
    pty.onData((bytes) => void device.receive(bytes));
    return {
      port: pty.path,
      device,
      block: device.block,
      engineSha256: createHash("sha256").update(region).digest("hex"),
      halted,
      stop() {
        pty.close();
        device.stop();
      },
    };
  } catch (error) {
    flash.close();
    throw error;
  }
}

interface Flags {
  state?: string;
  vendor?: string;
  product?: string;
  model?: string;
  hw?: string;
  engine?: string;
  writeEngine?: string;
  create?: boolean;
  board?: string;
  monitor?: string;
  rng: boolean;
  json?: boolean;
}

export function define(program: Command, io: Io): void {
  program
    .command("sim")
    .description("Starts a simulated device at a pseudo-terminal and prints where to reach it.")
    .option("--state <FILE>", "keep its flash in FILE; an existing one starts as it was left")
    .option("--vendor <VKEY>", "the maker's manifest key, or its .vkey file; built into the engine")
    .option("--product <NAME>", "the product its images are for")
    .option("--model <NAME>", "hardware model")
    .option("--hw <REVISION>", "hardware revision (default: A)")
    .option("--engine <FILE>", "use this engine image instead of making one")
    .option("--write-engine <FILE>", "write the engine image, for the maker to release, and end")
    .option("--create", "make the --state FILE and end; reach it as --port sim:FILE")
    .option("--no-rng", "a board without a random number generator")
    .option("--board <NAME>", "mps2: the reference board, an emulated Cortex-M4 under QEMU")
    .option("--monitor <SOCKET>", "with --board: where QEMU's monitor (QMP) listens")
    .option("--json", "print one JSON line when it is ready")
    .action(async (flags: Flags) => {
      const { state, vendor, product, model, engine, board, monitor } = flags;
      if (board !== undefined && board !== "mps2") throw usage(`--board is ${quote(board)}, expected mps2`);
      if (monitor !== undefined && board === undefined) throw usage("--monitor is for --board mps2");
      const random = flags.rng ? undefined : false;
      const options = { state, vendor, product, model, hardwareVersion: flags.hw, engine, random, board };
      if (flags.writeEngine !== undefined && (flags.create || state !== undefined || monitor !== undefined))
        throw usage("--write-engine starts no device: it goes with none of --create, --state and --monitor");
      if (flags.writeEngine !== undefined) return writeEngine(options, flags.writeEngine, io);
      if (flags.create) return create(options, io);
      await runUntilSignal(options, monitor, io);
    });
}

function writeEngine(options: SimOptions, path: string, io: Io): void {
  const region = newEngine(options);
  writeWhole(path, region, { overwrite: "same" });
  const sha256 = createHash("sha256").update(region).digest("hex");
  const { name, version } = readBuild(region);
  if (io.json) io.stdout(`${JSON.stringify({ engine: { file: path, name, version, sha256 } })}\n`);
  else io.stdout(`engine       ${path}, ${name} ${version}, sha256 ${sha256}\n`);
}

function create(options: SimOptions, io: Io): void {
  const { state } = options;
  if (state === undefined) throw usage("--create needs --state FILE");
  createSim({ ...options, state });
  if (options.board !== undefined) {
    io.stdout(io.json ? `${JSON.stringify({ state })}\n` : `state        ${state}\n`);
    return;
  }
  const port = `sim:${state}`;
  io.stdout(io.json ? `${JSON.stringify({ port, state })}\n` : `port         ${port}\n`);
}

async function runUntilSignal(options: SimOptions, monitor: string | undefined, io: Io): Promise<void> {
  const onFault = (fault: Error) => {
    if (!io.quiet) io.stderr(`vouch: the device restarted after a fault: ${fault.message}\n`);
  };
  const sim: Running =
    options.board === undefined ? await startSim(options, onFault) : await startMps2(options, monitor);
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
  let ended = () => {};
  const signalled = new Promise<void>((resolve) => {
    ended = resolve;
  });
  for (const signal of signals) process.on(signal, ended);
  try {
    io.stdout(io.json ? readyLine(sim, options) : greeting(sim, options));
    if (!io.json && !io.quiet)
      io.stderr(
        `next, in another terminal: vouch flash FILE.upload --port ${sim.port} --policy POLICY\nCtrl-C ends the device\n`,
      );
    await Promise.race([signalled, sim.halted]);
  } finally {
    for (const signal of signals) process.off(signal, ended);
    sim.stop();
  }
}

function readyLine(sim: Running, options: SimOptions): string {
  const { model, hardwareVersion, name, version } = sim.block;
  const engine = { name, version, sha256: sim.engineSha256 };
  const state = options.state ?? null;
  return `${JSON.stringify({ port: sim.port, model, hardwareVersion, engine, state, pid: process.pid })}\n`;
}

function greeting(sim: Running, options: SimOptions): string {
  const { model, hardwareVersion, name, version } = sim.block;
  return [
    `device       ${model} revision ${hardwareVersion}, ${options.board === undefined ? "simulated" : "emulated"}`,
    `engine       ${name} ${version}, sha256 ${sim.engineSha256.slice(0, 16)}…`,
    `flash        ${options.state ?? "in memory, gone when this ends"}`,
    `port         ${sim.port}\n`,
  ].join("\n");
}
