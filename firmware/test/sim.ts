// A device in memory: the real agent on a port whose flash misbehaves to order.
//
// Flash keeps the rules of port.ts and throws an Error, a bug, when the agent breaks one: a
// write that isn't whole units, or over a unit written since its erase; an erase that isn't
// whole sectors; anything outside slots and store.
//
// Power: `cutAt(n, part)` ends power at the n-th flash operation from now (a write, or one
// sector of an erase), having done `part` of it: "before", "half" or "scattered" (every other byte).
// The device is then off and mute until powerCycle().
//
// As an endpoint it is a line: write(bytes) and onData(callback). By default work runs in the
// background, as on a real device; with `manual` nothing runs but in run().

import { cborMap, encodeCbor } from "@vouch/shared/cbor";
import { type Agent, makeAgent, receive, tick } from "../src/agent";
import { ENGINE_BLOCK_BYTES } from "../src/engine";
import { DEBUG_DISABLED_SINCE_BOOT, MAX_READ, MAX_WRITE, type Port } from "../src/port";
import type { Layout } from "../src/ports/layout";
import type { Sensor } from "../src/ports/sensor";

/** 64 KiB engine, two slots of 1 KiB + `payload`, a store of two halves of 4 KiB; sectors of 1 KiB. */
export function simLayout(payload = 256 * 1024, engine = 64 * 1024): Layout {
  const slot = 1024 + payload;
  return {
    engine: { address: 0, length: engine },
    slots: [
      { address: engine, length: slot },
      { address: engine + slot, length: slot },
    ],
    store: { address: engine + 2 * slot, length: 8192, sectorSize: 1024 },
    writeSize: 8,
  };
}

export interface EngineBlock {
  vendorKey: Uint8Array;
  vendorId: Uint8Array;
  classId: Uint8Array;
  model: string;
  hardwareVersion: string;
  name: string;
  version: string;
}

/** An engine image: the bundle, padding, and the block in the last 512 bytes. */
export function makeEngine(block: EngineBlock, bundle: Uint8Array, length = 64 * 1024): Uint8Array {
  const map = encodeCbor(
    cborMap([
      [1, block.vendorKey],
      [2, block.vendorId],
      [3, block.classId],
      [4, block.model],
      [5, block.hardwareVersion],
      [6, block.name],
      [7, block.version],
      [8, bundle.length],
    ]),
  );
  const image = new Uint8Array(length).fill(0xff);
  image.set(bundle);
  image[length - ENGINE_BLOCK_BYTES] = map.length & 0xff;
  image[length - ENGINE_BLOCK_BYTES + 1] = map.length >> 8;
  image.set(map, length - ENGINE_BLOCK_BYTES + 2);
  return image;
}

/** Thrown through the agent when power ends; never seen by callers of the device. */
class PowerCut extends Error {}

export type CutPart = "before" | "half" | "scattered";

export interface SimOptions {
  engine: Uint8Array;
  layout?: Layout;
  /** Seed of the "hardware" generator; null for a board without one. */
  random?: number | null;
  /** Whether the board hashes flash natively. */
  hashFlash?: ((bytes: Uint8Array) => Uint8Array) | null;
  debugStatus?: number;
  /** What it samples, by its own clock; nothing where left out. */
  sensor?: (millis: () => number) => Sensor;
  /** Time passes only in advance() and run(). */
  still?: boolean;
  manual?: boolean;
  /** Not started yet: powerCycle() does. */
  off?: boolean;
  /** Flash of an earlier device, to go on from. */
  flash?: Uint8Array;
}

export interface SimDevice {
  readonly flash: Uint8Array;
  readonly layout: Layout;
  /** Null while it is off. */
  agent(): Agent | null;
  write(bytes: Uint8Array): void;
  onData(callback: (bytes: Uint8Array) => void): void;
  powerOff(): void;
  /** Off, and on again: the agent boots from what is in flash. */
  powerCycle(): void;
  /** Works off ticks, resets included, until idle or off; for `manual` devices. */
  run(): void;
  /** Works off ticks as they come due, until `ms` have passed or it is off; for devices that are `still`. */
  runFor(ms: number): void;
  /** One tick. */
  step(): void;
  cutAt(operation: number, part: CutPart): void;
  /** Flash operations since start. */
  operations(): number;
  resets(): number;
  advance(ms: number): void;
}

// xorshift32: repeatable, and no business of any key outside tests.
function makeRandom(seed: number): (length: number) => Uint8Array {
  let x = seed | 1;
  return (length) => {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      out[i] = x & 0xff;
    }
    return out;
  };
}

interface Cut {
  left: number;
  part: CutPart;
}

// Flash with the rules of port.ts and a cut to order.
function makeFlash(bytes: Uint8Array, layout: Layout) {
  const unit = layout.writeSize;
  const sector = layout.store.sectorSize;
  const written = new Uint8Array(bytes.length / unit);
  const state = { operations: 0, cut: { left: Number.POSITIVE_INFINITY, part: "before" } as Cut };
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0xff) written[Math.floor(i / unit)] = 1;

  const checkRange = (address: number, length: number, step: number): void => {
    const writable = [...layout.slots, layout.store].some(
      (r) => address >= r.address && address + length <= r.address + r.length,
    );
    if (!writable || length < 1 || address % step !== 0 || length % step !== 0) {
      throw new Error(`flash: ${length} bytes at ${address} are not whole units of ${step} in one region`);
    }
  };
  // Runs one operation on [address, address + length), or the part of it that power allows.
  const operate = (address: number, length: number, apply: (at: number) => void): void => {
    state.operations++;
    const cut = state.cut.left-- <= 0 ? state.cut.part : null;
    if (cut === "before") throw new PowerCut();
    const end = cut === "half" ? Math.floor(length / 2) : length;
    for (let i = 0; i < end; i += cut === "scattered" ? 2 : 1) apply(address + i);
    if (cut !== null) throw new PowerCut();
  };
  return {
    state,
    read: (address: number, length: number): Uint8Array => {
      if (length > MAX_READ || address < 0 || address + length > bytes.length) {
        throw new Error(`flash: read of ${length} bytes at ${address}`);
      }
      return bytes.slice(address, address + length);
    },
    write: (address: number, data: Uint8Array): void => {
      checkRange(address, data.length, unit);
      if (data.length > MAX_WRITE) throw new Error(`flash: write of ${data.length} bytes`);
      for (let at = address; at < address + data.length; at += unit) {
        if (written[at / unit] === 1) throw new Error(`flash: unit at ${at} written twice`);
      }
      operate(address, data.length, (at) => {
        bytes[at] = (bytes[at] ?? 0) & (data[at - address] ?? 0); // bits only clear
        written[Math.floor(at / unit)] = 1;
      });
    },
    erase: (address: number, length: number): void => {
      checkRange(address, length, sector);
      for (let s = address; s < address + length; s += sector) {
        operate(s, sector, (at) => {
          bytes[at] = 0xff;
        });
        written.fill(0, s / unit, (s + sector) / unit);
      }
    },
  };
}

/** A device that is on and booted, unless `off`. Throws when the engine image doesn't fit its region. */
export function makeSimDevice(options: SimOptions): SimDevice {
  const layout = options.layout ?? simLayout();
  const size = layout.store.address + layout.store.length;
  const bytes = options.flash ?? new Uint8Array(size).fill(0xff);
  if (options.engine.length !== layout.engine.length || bytes.length !== size) {
    throw new Error("engine image or flash is not of the layout's size");
  }
  bytes.set(options.engine, layout.engine.address);
  const flash = makeFlash(bytes, layout);
  const random = options.random === null ? null : makeRandom(options.random ?? 1);
  const hash = options.hashFlash ?? null;
  let agent: Agent | null = null;
  let listener: (bytes: Uint8Array) => void = () => {};
  let pending = false;
  let wantsReset = false;
  let resets = 0;
  let started = 0;
  let ahead = 0;

  const send = (data: Uint8Array): void => {
    if (options.manual) listener(data);
    else queueMicrotask(() => listener(data));
  };
  const millis = () => (options.still ? 0 : Math.floor(performance.now() - started)) + ahead;
  const port: Port = {
    layout,
    write: send,
    millis,
    readFlash: flash.read,
    writeFlash: flash.write,
    eraseFlash: flash.erase,
    hashFlash:
      hash === null
        ? null
        : (prefix, address, length) =>
            hash(Buffer.concat([prefix, bytes.subarray(address, address + length)])),
    random,
    reset: () => {
      wantsReset = true;
    },
    debugStatus: () => options.debugStatus ?? DEBUG_DISABLED_SINCE_BOOT,
    sensor: null, // each start has its own
  };

  // Everything the agent does goes through here: power may end inside.
  const powered = <T>(work: () => T): T | null => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      agent = null;
      flash.state.cut.left = Number.POSITIVE_INFINITY;
      return null;
    }
  };
  const boot = (): void => {
    started = performance.now();
    wantsReset = false;
    agent = null;
    ahead = 0;
    port.sensor = options.sensor?.(millis) ?? null;
    agent = powered(() => makeAgent(port));
  };
  // One tick; milliseconds until the next, or null when off.
  const step = (): number | null => {
    const current = agent;
    if (current === null) return null;
    const wait = powered(() => tick(current));
    if (agent !== null && wantsReset) {
      resets++;
      boot();
      return agent === null ? null : 0;
    }
    return wait;
  };
  const background = (): void => {
    if (pending || options.manual) return;
    pending = true;
    setImmediate(() => {
      pending = false;
      const wait = step();
      if (wait === 0) background();
      else if (wait !== null && wait < 1000) setTimeout(background, wait).unref();
    });
  };

  if (!options.off) boot();
  return {
    flash: bytes,
    layout,
    agent: () => agent,
    write: (data) => {
      const current = agent;
      if (current === null) return;
      powered(() => receive(current, data));
      background();
    },
    onData: (callback) => {
      listener = callback;
    },
    powerOff: () => {
      agent = null;
    },
    powerCycle: boot,
    run: () => {
      for (let wait = step(); wait !== null && wait < 1000; wait = step()) ahead += wait;
    },
    runFor: (ms) => {
      for (const end = ahead + ms; ahead < end; ) {
        const wait = step();
        if (wait === null) return;
        ahead += Math.min(wait, end - ahead);
      }
    },
    step,
    cutAt: (operation, part) => {
      flash.state.cut = { left: operation, part };
    },
    operations: () => flash.state.operations,
    resets: () => resets,
    advance: (ms) => {
      ahead += ms;
    },
  };
}
