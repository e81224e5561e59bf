// The reference board for tests: built once, started under QEMU, talked to over its serial port,
// and read through QEMU's monitor. Nothing the board is asked on the line tells these figures.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startMps2 } from "../../host-cli/src/commands/sim";
import { openSession, type Session } from "../../host-cli/src/device/session";
import { openDevice } from "../../host-cli/src/device/transport";
import { createBoardState, makeBoardEngine, readBoardImage } from "../../host-cli/src/sim/mps2";
import { MODEL, PRODUCT, VENDOR_VKEY } from "../../host-cli/test/sim-kit";
import { openMonitor, stopAtWrite } from "./board-monitor";

export const IMAGE = "firmware/boards/mps2/build/mps2.bin";
const RAM = 0x20000000;
const RAM_BYTES = 256 * 1024;
const STACK_PAINT = 0xa5a5a5a5;

/** Why the board can't be tried here, or undefined when it can: it is then built. scripts/board.mjs says what that lacks. */
export function boardMissing(): string | undefined {
  if (spawnSync("qemu-system-arm", ["--version"]).error !== undefined)
    return "needs Debian's qemu-system-arm";
  const build = spawnSync(process.execPath, ["scripts/board.mjs"], { encoding: "utf8" });
  const lacking = /^board: (needs Debian's .*)$/m.exec(build.stderr);
  if (lacking !== null) return lacking[1];
  if (build.status !== 0) throw new Error(build.stderr);
  return undefined;
}

/** As board.h orders them. */
const COUNTERS = [
  "magic",
  "heapSize",
  "heapUsed",
  "heapPeak",
  "heapFails",
  "stackBottom",
  "stackTop",
  "boots",
  "bootMs",
  "rxLost",
  "txLost",
  "programs",
  "erases",
  "refusals",
  "faults",
  "heapBoot",
  "heapWanted",
  "rowsRead",
  "rowsLost",
] as const;

export type Counters = Record<(typeof COUNTERS)[number] | "stackPeak", number>;

export interface Board {
  readonly port: string;
  readonly state: string;
  readonly qemuPid: number;
  /** A session with it, closed afterwards. */
  talk<T>(work: (session: Session) => Promise<T>): Promise<T>;
  counters(): Promise<Counters>;
  /** Stops it before the `times`-th write to the word at `address`; `hit` settles then, or rejects when QEMU goes. */
  stopAtWrite(address: number, times: number): Promise<{ hit: Promise<void> }>;
  /** Ends QEMU with SIGKILL: there is no gentler end. */
  stop(): void;
}

/** A folder that is gone when the process ends. */
export const folder = mkdtempSync(join(tmpdir(), "vouch-board-test-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** The state file of a new board of the tests' maker. */
export function newState(random = true): string {
  const state = join(folder, `state${count++}`);
  const maker = { vendorVkey: VENDOR_VKEY, product: PRODUCT, model: MODEL, hardwareVersion: "B" };
  createBoardState(state, makeBoardEngine(readBoardImage(IMAGE), maker), random);
  return state;
}

/** Powers a board on. */
export async function startTestBoard(state: string): Promise<Board> {
  const monitor = join(folder, `monitor${count++}`);
  const running = await startMps2({ board: "mps2", state }, monitor);
  return {
    port: running.port,
    state,
    qemuPid: running.qemuPid,
    talk: (work) => talk(running.port, work),
    counters: () => readCounters(monitor),
    stopAtWrite: (address, times) => stopAtWrite(monitor, address, times),
    stop: running.stop,
  };
}

/** Long enough for a signature checked by an interpreter on a busy machine. */
const TALK_MS = 300_000;

async function talk<T>(port: string, work: (session: Session) => Promise<T>): Promise<T> {
  const session = openSession(await openDevice(port, { baud: 115200 }), { timeoutMs: TALK_MS });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

async function readCounters(monitor: string): Promise<Counters> {
  const dump = join(folder, `ram${count++}`);
  const qemu = await openMonitor(monitor);
  try {
    await qemu.execute("pmemsave", { val: RAM, size: RAM_BYTES, filename: dump });
  } finally {
    qemu.close();
  }
  const ram = readFileSync(dump);
  rmSync(dump);
  const read = Object.fromEntries(COUNTERS.map((name, at) => [name, ram.readUInt32LE(4 * at)])) as Counters;
  if (ram.toString("latin1", 0, 4) !== "vbrd") throw new Error("the board keeps no counters");
  let at = read.stackBottom - RAM;
  while (ram.readUInt32LE(at) === STACK_PAINT) at += 4;
  return { ...read, stackPeak: read.stackTop - RAM - at };
}

/** Whether a process runs. */
export const runs = (pid: number): boolean => existsSync(`/proc/${pid}`);
