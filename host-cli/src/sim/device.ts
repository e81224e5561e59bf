// A simulated device that runs: power, clock, restarts, bytes in and out.
//
//                        ┌────────── restart: a fresh engine from flash ◀─┐
//                        ▼                                                │
//   receive(bytes) ─▶ queue ─▶ one turn: agentReceive, agentTick ─▶ reset or fault?
//                        ▲                  │                             │ no
//                        └── after the wait agentTick asked for ──────────┘
//                                           └─▶ onData(bytes), after the turn
//
// Each turn is one run of the event loop, so that the host's own work goes on
// between them; within one the agent has the thread (at most a signature, a
// tenth of a second). Bytes that come during a restart are lost, as on a board.
//
// A fault (an exception, no memory left, the watchdog) restarts the device, as a
// board's watchdog would. The third within ten seconds halts it instead.

import { randomBytes } from "node:crypto";
import { goOn, steadyNow, waitFor } from "../pace";
import { type EngineBlock, readEngineImage } from "./engine";
import type { Flash } from "./flash";
import { LAYOUT } from "./layout";
import { type Engine, LIMITS, type Limits, startEngine } from "./quickjs";
import { makeSensors } from "./sensors";

const FAULTS_MAX = 3;
const FAULTS_WITHIN_MS = 10_000;
const TICK_MS_MAX = 60_000;

export interface DeviceEvents {
  onData(bytes: Uint8Array): void;
  /** The device restarted, because it was asked to (undefined) or after a fault. */
  onRestart?(fault?: Error): void;
  /** It stays off: it faults whenever it is started. */
  onHalt?(fault: Error): void;
}

export interface Device {
  readonly block: EngineBlock;
  /** Resolves when the agent has taken the bytes or they are lost. */
  receive(bytes: Uint8Array): Promise<void>;
  /** Takes its power away. Its flash is closed. */
  stop(): void;
}

interface Input {
  bytes: Uint8Array;
  done(): void;
}

/** Powers a device on. Throws `malformed-engine`, or an Error when its bundle can't start. */
export async function startDevice(
  flash: Flash,
  events: DeviceEvents,
  limits: Limits = LIMITS,
): Promise<Device> {
  const queue: Input[] = [];
  const outgoing: Uint8Array[] = [];
  const faults: number[] = [];
  let engine: Engine | undefined;
  let isResetting = false;
  let isStopped = false;
  let cancel = () => {};

  const boot = async () => {
    const { bundle, block } = readEngineImage(flash.read(LAYOUT.engine.address, LAYOUT.engine.length));
    const started = steadyNow();
    const millis = () => Math.floor(steadyNow() - started);
    isResetting = false;
    const booted = await startEngine(
      bundle,
      {
        layout: LAYOUT,
        write: (bytes) => void outgoing.push(bytes),
        millis,
        readFlash: flash.read,
        writeFlash: flash.write,
        eraseFlash: flash.erase,
        reset: () => {
          isResetting = true;
        },
        random: flash.board.random ? (length) => new Uint8Array(randomBytes(length)) : null,
        sensors: makeSensors(millis),
      },
      limits,
    );
    if (isStopped) booted.stop();
    else engine = booted;
    return block;
  };

  function turn(running: Engine): void {
    goOn();
    let wait = 0;
    let fault: Error | undefined;
    const input = queue.shift();
    try {
      if (input !== undefined) running.receive(input.bytes);
      if (!isResetting) wait = running.tick();
    } catch (error) {
      fault = error as Error;
    }
    input?.done();
    // Only now, so that nobody is called from within the engine.
    for (const bytes of outgoing.splice(0)) events.onData(bytes);
    if (isStopped) return;
    if (isResetting || fault !== undefined) void restart(fault);
    else schedule(queue.length > 0 ? 0 : wait);
  }

  function schedule(wait: number): void {
    cancel();
    const running = engine;
    if (running === undefined) return;
    if (wait > 0) {
      const timer = setTimeout(turn, waitFor(Math.min(wait, TICK_MS_MAX)), running);
      cancel = () => clearTimeout(timer);
    } else {
      const soon = setImmediate(turn, running);
      cancel = () => clearImmediate(soon);
    }
  }

  function powerOff(): void {
    cancel();
    engine?.stop();
    engine = undefined;
    for (const { done } of queue.splice(0)) done();
  }

  async function restart(fault?: Error): Promise<void> {
    powerOff();
    try {
      if (fault !== undefined && tooMany()) throw fault;
      await boot();
    } catch (error) {
      if (isStopped) return;
      return events.onHalt?.(error as Error);
    }
    events.onRestart?.(fault);
    schedule(0);
  }

  function tooMany(): boolean {
    const now = performance.now();
    faults.push(now);
    while (now - faults[0]! > FAULTS_WITHIN_MS) faults.shift();
    return faults.length >= FAULTS_MAX;
  }

  const block = await boot();
  schedule(0);
  return {
    block,
    receive: (bytes) =>
      new Promise((done) => {
        if (engine === undefined) return done();
        queue.push({ bytes: bytes.slice(), done });
        schedule(0);
      }),
    stop() {
      if (isStopped) return;
      isStopped = true;
      powerOff();
      flash.close();
    },
  };
}
