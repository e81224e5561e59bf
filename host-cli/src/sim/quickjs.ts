// The agent bundle in QuickJS, by the npm package quickjs-emscripten: the only
// file that imports it. Any engine with ES5 and typed arrays could replace it.
//
//   host functions                      the agent
//     hostWrite(bytes), …       ◀──     (firmware/src/ports/native.ts lists them)
//     agentReceive(bytes)       ──▶
//     agentTick()               ──▶     milliseconds until the next tick
//
// The agent gets what a small board has: a limited heap and stack, ES5 with
// typed arrays, and the host functions. No Node, no console, no timers, none of
// Map, Promise, Proxy, Date or RegExp. A call that runs for too long ends as
// under a watchdog. Each start is a WebAssembly instance of its own, so one that
// ran out of memory leaves nothing behind for the next.
//
// The heap limits are real ones: QuickJS's own counts only a few bytes an
// allocation when it is built for WebAssembly (measured: 1 MB of arrays under a
// limit of 512 KB). So the memory may not grow, and all of it but the limit is
// taken away: once before the bundle is compiled, and again when it has booted.
// What is left then is for work alone, since the code and the interpreter's
// built-in objects are what a microcontroller keeps in flash.
//
// Bytes cross as one ArrayBuffer a call, wrapped inside by the glue below.

import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  RELEASE_SYNC,
} from "quickjs-emscripten";
import type { LAYOUT } from "./layout";
import type { SimSensors } from "./sensors";

/** Of the package; the engine block carries it. */
export const QUICKJS_VERSION = "0.32.0";

export interface EngineHost {
  layout: typeof LAYOUT;
  write(bytes: Uint8Array): void;
  millis(): number;
  readFlash(address: number, length: number): Uint8Array;
  writeFlash(address: number, bytes: Uint8Array): void;
  eraseFlash(address: number, length: number): void;
  reset(): void;
  /** Null on a board without a hardware generator. */
  random: ((length: number) => Uint8Array) | null;
  /** Null, or left out, on a board that samples nothing. */
  sensors?: SimSensors | null;
}

export interface Limits {
  /** For compiling the bundle from source and booting it. */
  bootBytes: number;
  /** For all the agent allocates after that. */
  workBytes: number;
  stackBytes: number;
  /** Longest time one call may take. */
  watchdogMs: number;
}

// Smallest that passed identify, upload, test, reset, confirm, enrol, attest with an agent of 53 KB:
// boot 704 KiB, work 24 KiB, stack 12 KiB.
export const LIMITS: Limits = {
  bootBytes: 1280 * 1024,
  workBytes: 64 * 1024, // the budget of firmware/README.md
  stackBytes: 32 * 1024,
  watchdogMs: 15_000,
};

export interface Engine {
  receive(bytes: Uint8Array): void;
  tick(): number;
  /** Evaluates an expression to text, for tests. */
  probe(expression: string): string;
  stop(): void;
}

// Runs before the bundle and takes the raw functions with it: they never become globals.
const GLUE = `(function (raw, layout, groups) {
  var Bytes = Uint8Array, root = this;
  root.hostLayout = function () { return layout; };
  root.hostMillis = function () { return raw.millis(); };
  root.hostWrite = function (b) { raw.write(b.buffer, b.byteOffset, b.length); };
  root.hostReadFlash = function (a, n) { return new Bytes(raw.readFlash(a, n)); };
  root.hostWriteFlash = function (a, b) { raw.writeFlash(a, b.buffer, b.byteOffset, b.length); };
  root.hostEraseFlash = function (a, n) { raw.eraseFlash(a, n); };
  root.hostReset = function () { raw.reset(); };
  root.hostDebugStatus = function () { return 1; };
  if (raw.readSensor) {
    root.hostSensors = function () { return groups; };
    root.hostSample = function (m) { raw.sample(m); };
    root.hostReadSensor = function (g, n) {
      var head = new Float64Array(raw.readSensor(g, n)), rows = new Int32Array(head.length - 2), i;
      for (i = 0; i < rows.length; i++) rows[i] = head[i + 2];
      return { ticks: head[0], lost: head[1], values: rows };
    };
  }
  if (raw.random) root.hostRandom = function (n) { return new Bytes(raw.random(n)); };
  return function (b) { root.agentReceive(new Bytes(b)); };
})`;
// dbgstat 1, "disabled": no line of the device leads to a console or debugger. That the host
// can read and change everything is what makes it a simulation, and the model's name tells.

/** Boots a bundle. Throws an Error when it can't be evaluated or runs out of memory. */
export async function startEngine(
  bundle: string,
  host: EngineHost,
  limits: Limits = LIMITS,
): Promise<Engine> {
  const memory = new Memory({ initial: WASM_PAGES, maximum: WASM_PAGES });
  const module = await newQuickJSWASMModuleFromVariant(newVariant(RELEASE_SYNC, { wasmMemory: memory }));
  const runtime = module.newRuntime();
  const vm = runtime.newContext({
    intrinsics: { BaseObjects: true, Eval: true, TypedArrays: true },
  });
  runtime.setMaxStackSize(limits.stackBytes);
  let deadline = 0;
  let isReset = false;
  let isFaulted = false;
  runtime.setInterruptHandler(() => isReset || performance.now() > deadline);

  const guarded = (work: (...args: QuickJSHandle[]) => QuickJSHandle | undefined) => {
    // A board in reset does nothing more, even if the call that reset it goes on for a while.
    return (...args: QuickJSHandle[]) => {
      if (isReset) throw new Error("the device restarts");
      return work(...args);
    };
  };
  const number = (handle: QuickJSHandle | undefined) =>
    handle === undefined ? Number.NaN : vm.getNumber(handle);
  const bytesOf = (buffer: QuickJSHandle, start: QuickJSHandle, length: QuickJSHandle) => {
    const whole = vm.getArrayBuffer(buffer);
    const copy = whole.value.slice(number(start), number(start) + number(length));
    whole.dispose();
    return copy;
  };
  const toVm = (bytes: Uint8Array) =>
    vm.newArrayBuffer(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);

  const sensors = host.sensors ?? null;
  const sensorFunctions = (): Record<string, Work> =>
    sensors === null
      ? {}
      : {
          sample: (mask) => void sensors.sample(number(mask)),
          readSensor: (group, max) => {
            const { ticks, lost, values } = sensors.read(number(group), number(max));
            return toVm(new Uint8Array(Float64Array.of(ticks, lost, ...values).buffer));
          },
        };
  const raw = makeRaw(vm, guarded, {
    millis: () => vm.newNumber(Math.floor(host.millis())),
    write: (b, start, length) => void host.write(bytesOf(b!, start!, length!)),
    readFlash: (a, n) => toVm(host.readFlash(number(a), number(n))),
    writeFlash: (a, b, start, length) => void host.writeFlash(number(a), bytesOf(b!, start!, length!)),
    eraseFlash: (a, n) => void host.eraseFlash(number(a), number(n)),
    reset: () => {
      isReset = true;
      host.reset();
      return undefined;
    },
    ...sensorFunctions(),
    ...(host.random === null ? {} : { random: (n) => toVm(host.random!(number(n))) }),
  });

  const allocator = (module as unknown as { module: Allocator }).module;
  leaveOnly(limits.bootBytes, allocator);

  /** Runs one entry into the engine under the watchdog; a throw inside becomes an Error out here. */
  const enter = (work: () => ReturnType<QuickJSContext["callFunction"]>): QuickJSHandle => {
    const started = performance.now();
    deadline = started + limits.watchdogMs;
    const result = work();
    if (result.error === undefined) return result.value;
    const found = vm.dump(result.error);
    result.error.dispose();
    isFaulted = true;
    if (isReset) return vm.undefined;
    if (performance.now() > deadline) throw new Error(`agent: no end after ${limits.watchdogMs} ms`);
    throw new Error(`agent: ${describe(found)}`);
  };

  const glue = enter(() => vm.evalCode(GLUE, "glue.js"));
  const layout = enter(() => vm.evalCode(`(${JSON.stringify(host.layout)})`));
  const groups = enter(() => vm.evalCode(`(${JSON.stringify(sensors?.groups() ?? null)})`));
  const receive = enter(() => vm.callFunction(glue, vm.global, raw, layout, groups));
  for (const handle of [glue, layout, groups, raw]) handle.dispose();
  enter(() => vm.evalCode(bundle, "agent.js")).dispose();
  const tick = vm.getProp(vm.global, "agentTick");
  leaveOnly(limits.workBytes, allocator);

  return {
    receive(bytes) {
      // In pieces as a serial driver has them: each takes memory that the agent is short of.
      for (let at = 0; at < bytes.length && !isReset; at += PIECE_BYTES) {
        const piece = toVm(bytes.subarray(at, at + PIECE_BYTES));
        enter(() => vm.callFunction(receive, vm.undefined, piece)).dispose();
        piece.dispose();
      }
    },
    tick() {
      const wait = enter(() => vm.callFunction(tick, vm.undefined));
      const ms = vm.getNumber(wait);
      wait.dispose();
      return ms;
    },
    probe(expression) {
      const value = enter(() => vm.evalCode(expression));
      const text = String(vm.dump(value));
      value.dispose();
      return text;
    },
    stop() {
      isReset = true;
      // An interrupted or exhausted engine can't be taken apart; its instance goes as a whole, unreferenced.
      if (isFaulted) return;
      for (const part of [receive, tick, vm, runtime]) part.dispose();
    },
  };
}

// Node has it, the types of Node don't.
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: MemoryClass } }).WebAssembly;
type MemoryClass = new (limits: { initial: number; maximum: number }) => object;

interface Allocator {
  _malloc(bytes: number): number;
  _free(address: number): void;
}

const PIECE_BYTES = 512;
const WASM_PAGES = 256; // 16 MiB: what the package's build asks for at least

/** Takes all memory that is left, but for one piece of `bytes`. */
function leaveOnly(bytes: number, { _malloc, _free }: Allocator): void {
  const piece = _malloc(bytes);
  if (piece === 0) throw new Error(`no ${bytes} bytes of memory for the agent`);
  for (let size = 1 << 22; size >= 16; ) if (_malloc(size) === 0) size >>= 1;
  _free(piece);
}

type Work = (...args: QuickJSHandle[]) => QuickJSHandle | undefined;

function makeRaw(
  vm: QuickJSContext,
  guarded: (work: Work) => Work,
  functions: Record<string, Work>,
): QuickJSHandle {
  const raw = vm.newObject();
  for (const [name, work] of Object.entries(functions)) {
    const handle = vm.newFunction(name, guarded(work) as Parameters<typeof vm.newFunction>[0] & Work);
    vm.setProp(raw, name, handle);
    handle.dispose();
  }
  return raw;
}

function describe(thrown: unknown): string {
  if (thrown === null) return "out of memory"; // not even for the exception
  if (typeof thrown !== "object") return String(thrown);
  const {
    name = "Error",
    message = "",
    stack = "",
  } = thrown as { name?: string; message?: string; stack?: string };
  const where = /at [^\n]*/.exec(stack)?.[0];
  return `${name}: ${message}${where === undefined ? "" : ` ${where}`}`;
}
