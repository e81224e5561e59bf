// Espruino's functions, as its reference describes them, in a bare context of Node: for what ports/espruino.ts
// does with them, where no Espruino is. It stands for the interface only; the language, the heap and
// the speed are Node's (engines.test.ts has the real one, when it is there).

import { createHash } from "node:crypto";
import { createContext, runInContext } from "node:vm";
import { engineImage } from "../kit";
import { DEBUG_STATUS, factoryFlash, LAYOUT, messagesIn, type Player } from "./conversation";
import { makeSensor } from "./hosts";

export interface Run {
  address: number;
  length: number;
}

export interface StandInOptions {
  image?: Uint8Array;
  /** Where the engine image lies in flash, in its pieces. */
  engine?: Run[];
  mapped?: Run | null;
  hasSha256?: boolean;
  console?: string | null;
  debugStatus?: number;
  random?: boolean;
}

export interface StandIn {
  /** Loads the module as the boot code does. */
  boot(): void;
  /** Sends bytes, and returns the messages that came back at once. */
  ask(bytes: Uint8Array): Uint8Array[];
  /** Lets timers run until none is due within a second. */
  run(): void;
  /** Time passes, with the timers that become due. */
  pass(ms: number): void;
  flash: Uint8Array;
  /** What happened, in order: "console null", "write", "native 4096", "reboot". */
  events: string[];
  /** Reading flash throws, until the next start. */
  breakFlash(): void;
}

const BASE = 0x1000; // nothing lies at address 0 but where a test says so
const PAGE = LAYOUT.store.sectorSize;
const PENDING_MS = 1000;

const moved = ({ address, length }: Run): Run => ({ address: address + BASE, length });

export function makeStandIn(bundle: string, options: StandInOptions = {}): StandIn {
  const home = { address: LAYOUT.engine.address + BASE, length: engineImage.length };
  const {
    image = engineImage,
    engine = [home],
    mapped = null,
    hasSha256 = true,
    console = null,
    random = false,
  } = options;
  const top = Math.max(0, ...engine.map(({ address, length }) => address + length));
  const flash = new Uint8Array(Math.max(top, BASE + factoryFlash().length)).fill(0xff);
  let from = 0;
  for (const { address, length } of engine) {
    flash.set(image.subarray(from, from + length), address);
    from += length;
  }
  const events: string[] = [];
  const out: Uint8Array[] = [];
  let listener: (text: string) => void = () => {};
  let timer: { id: number; work: () => void; ms: number } | undefined;
  let timers = 0;
  let now = 0;
  let device: string | null = "Serial1";
  let isBroken = false;
  let isReset = false;

  const flashModule = {
    getPage: (address: number) => ({ addr: address - (address % PAGE), length: PAGE }),
    erasePage: (address: number) =>
      void flash.fill(0xff, address - (address % PAGE), address - (address % PAGE) + PAGE),
    read: (length: number, address: number) => {
      if (isBroken) throw new Error("flash is broken");
      if (address < 0 || address + length > flash.length) throw new Error(`read of ${length} at ${address}`);
      return flash.slice(address, address + length);
    },
    write: (bytes: Uint8Array, address: number) => {
      if (address % 4 !== 0 || bytes.length % 4 !== 0)
        throw new Error(`write of ${bytes.length} at ${address}`);
      for (let i = 0; i < bytes.length; i++) flash[address + i]! &= bytes[i]!;
    },
  };
  const crypto = {
    SHA256: (bytes: string) => {
      events.push(`native ${bytes.length}`);
      return new Uint8Array(createHash("sha256").update(bytes, "latin1").digest()).buffer;
    },
  };
  const boot = () => {
    listener = () => {};
    isBroken = false;
    timer = undefined;
    now = 0;
    device = "Serial1"; // where an Espruino has its console until it is told
    const world = {
      Uint8Array,
      require: (name: string) => {
        if (name === "Flash") return flashModule;
        if (name === "crypto" && hasSha256) return crypto;
        throw new Error(`Module "${name}" not found`);
      },
      E: {
        memoryArea: (address: number, length: number) =>
          address === 0
            ? undefined
            : Buffer.from(flash.subarray(address, address + length)).toString("latin1"),
        hwRand: () => 0x12345607,
        toUint8Array: (text: string) => new Uint8Array(Buffer.from(text, "latin1")),
        setConsole: (to: string | null, { force }: { force: boolean }) => {
          if (force !== true) throw new Error("a console that isn't forced comes back");
          events.push(`console ${to}`);
          device = to;
        },
        getConsole: () => device,
        reboot: () => {
          events.push("reboot");
          isReset = true;
        },
      },
      process: { memory: () => ({ usage: 1000, total: 2600, blocksize: 14 }) },
      getTime: () => 1e9 + now / 1000,
      setTimeout: (work: () => void, ms: number) => {
        timers++;
        timer = { id: timers, work, ms };
        return timers;
      },
      clearTimeout: (id: number) => {
        if (timer?.id === id) timer = undefined;
      },
      vouchBoard: {
        line: {
          write: (bytes: Uint8Array) => {
            events.push("write");
            out.push(bytes.slice());
          },
          on: (event: string, take: (text: string) => void) => {
            if (event === "data") listener = take;
          },
        },
        console,
        engine,
        slots: LAYOUT.slots.map(moved),
        store: moved(LAYOUT.store),
        writeSize: LAYOUT.writeSize,
        mapped,
        random,
        debugStatus: options.debugStatus ?? DEBUG_STATUS,
        sensor: makeSensor(() => now),
      },
    };
    runInContext(bundle, createContext(world));
  };
  return {
    boot,
    flash,
    events,
    ask(bytes) {
      if (device !== "Serial1") listener(Buffer.from(bytes).toString("latin1"));
      return messagesIn(Buffer.concat(out.splice(0)));
    },
    run() {
      while (timer !== undefined && timer.ms < PENDING_MS) {
        const { work, ms } = timer;
        timer = undefined;
        now += ms;
        work();
        if (!isReset) continue;
        isReset = false;
        boot();
      }
    },
    pass(ms) {
      for (const end = now + ms; now < end; ) {
        const due = timer?.ms ?? Number.POSITIVE_INFINITY;
        if (timer === undefined || due > end - now) {
          if (timer !== undefined) timer.ms -= end - now;
          now = end;
          return;
        }
        const { work } = timer;
        timer = undefined;
        now += due;
        if (now < end) work();
        else timer = { id: timers, work, ms: 0 };
      }
    },
    breakFlash() {
      isBroken = true;
    },
  };
}

export const playOnStandIn =
  (device: (bundle: string) => StandIn): Player =>
  async (bundle, steps) => {
    const standIn = device(bundle);
    standIn.boot();
    const replies: Uint8Array[] = [];
    for (const step of steps) {
      if (step.kind === "ask") replies.push(...standIn.ask(step.bytes));
      else if (step.kind === "pass") standIn.pass(step.ms);
      else standIn.run();
    }
    return replies;
  };
