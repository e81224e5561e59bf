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
// Bytes cross as one ArrayBuffer a call, wrapped inside by the glue below.

import { newQuickJSWASMModule, type QuickJSContext, type QuickJSHandle } from "quickjs-emscripten";
import type { LAYOUT } from "./layout";

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
}

export interface Limits {
  heapBytes: number;
  stackBytes: number;
  /** Longest time one call may take. */
  watchdogMs: number;
}

export const LIMITS: Limits = {
  heapBytes: 512 * 1024,
  stackBytes: 64 * 1024,
  watchdogMs: 15_000,
};

export interface Engine {
  receive(bytes: Uint8Array): void;
  tick(): number;
  /** Bytes of heap in use now, of `heapBytes`. */
  heapUsed(): number;
  /** Evaluates an expression to text, for tests. */
  probe(expression: string): string;
  stop(): void;
}

// Runs before the bundle and takes the raw functions with it: they never become globals.
const GLUE = `(function (raw, layout) {
  var Bytes = Uint8Array, root = this;
  root.hostLayout = function () { return layout; };
  root.hostMillis = function () { return raw.millis(); };
  root.hostWrite = function (b) { raw.write(b.buffer, b.byteOffset, b.length); };
  root.hostReadFlash = function (a, n) { return new Bytes(raw.readFlash(a, n)); };
  root.hostWriteFlash = function (a, b) { raw.writeFlash(a, b.buffer, b.byteOffset, b.length); };
  root.hostEraseFlash = function (a, n) { raw.eraseFlash(a, n); };
  root.hostReset = function () { raw.reset(); };
  root.hostDebugStatus = function () { return 1; };
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
  const module = await newQuickJSWASMModule();
  const runtime = module.newRuntime();
  const vm = runtime.newContext({
    intrinsics: { BaseObjects: true, Eval: true, TypedArrays: true },
  });
  runtime.setMemoryLimit(limits.heapBytes);
  runtime.setMaxStackSize(limits.stackBytes);
  let deadline = 0;
  let isReset = false;
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
    ...(host.random === null ? {} : { random: (n) => toVm(host.random!(number(n))) }),
  });

  /** Runs one entry into the engine under the watchdog; a throw inside becomes an Error out here. */
  const enter = (work: () => ReturnType<QuickJSContext["callFunction"]>): QuickJSHandle => {
    const started = performance.now();
    deadline = started + limits.watchdogMs;
    const result = work();
    if (result.error === undefined) return result.value;
    const found = vm.dump(result.error);
    result.error.dispose();
    if (isReset) return vm.undefined;
    if (performance.now() > deadline) throw new Error(`agent: no end after ${limits.watchdogMs} ms`);
    throw new Error(`agent: ${describe(found)}`);
  };

  const glue = enter(() => vm.evalCode(GLUE, "glue.js"));
  const layout = enter(() => vm.evalCode(`(${JSON.stringify(host.layout)})`));
  const receive = enter(() => vm.callFunction(glue, vm.global, raw, layout));
  for (const handle of [glue, layout, raw]) handle.dispose();
  enter(() => vm.evalCode(bundle, "agent.js")).dispose();
  const tick = vm.getProp(vm.global, "agentTick");

  return {
    receive(bytes) {
      const buffer = toVm(bytes);
      enter(() => vm.callFunction(receive, vm.undefined, buffer)).dispose();
      buffer.dispose();
    },
    tick() {
      const wait = enter(() => vm.callFunction(tick, vm.undefined));
      const ms = vm.getNumber(wait);
      wait.dispose();
      return ms;
    },
    heapUsed() {
      const usage = runtime.computeMemoryUsage();
      const { memory_used_size } = vm.dump(usage) as { memory_used_size: number };
      usage.dispose();
      return memory_used_size;
    },
    probe(expression) {
      const value = enter(() => vm.evalCode(expression));
      const text = String(vm.dump(value));
      value.dispose();
      return text;
    },
    stop() {
      isReset = true;
      // After a fault the engine may hold handles we never saw; its instance goes as a whole then.
      try {
        receive.dispose();
        tick.dispose();
        vm.dispose();
        runtime.dispose();
      } catch {}
    },
  };
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
  if (typeof thrown !== "object" || thrown === null) return String(thrown);
  const {
    name = "Error",
    message = "",
    stack = "",
  } = thrown as { name?: string; message?: string; stack?: string };
  const where = /at [^\n]*/.exec(stack)?.[0];
  return `${name}: ${message}${where === undefined ? "" : ` ${where}`}`;
}
