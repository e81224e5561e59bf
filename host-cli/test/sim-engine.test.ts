// The agent bundle in QuickJS: what it gets of the world, and what it is held to.

import { createRequire } from "node:module";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readAgentBundle } from "../src/commands/sim";
import { makeEngineImage, readEngineImage } from "../src/sim/engine";
import { type Flash, memoryFlash } from "../src/sim/flash";
import { ENGINE_BYTES, LAYOUT } from "../src/sim/layout";
import { type EngineHost, LIMITS, QUICKJS_VERSION, startEngine } from "../src/sim/quickjs";
import { engineImage, MODEL, PRODUCT, VENDOR_VKEY } from "./sim-kit";

const engines = suite("simulated engine");

const BOARD = { random: true };
const AGENT = "agentReceive = function (b) {}; agentTick = function () { return 1000; };";

function hostOver(flash: Flash, changes: Partial<EngineHost> = {}): EngineHost {
  return {
    layout: LAYOUT,
    write: () => {},
    millis: () => 7.9,
    readFlash: flash.read,
    writeFlash: flash.write,
    eraseFlash: flash.erase,
    reset: () => {},
    random: (length) => new Uint8Array(length).fill(4),
    ...changes,
  };
}

const start = (bundle: string, changes?: Partial<EngineHost>, limits = LIMITS) =>
  startEngine(bundle, hostOver(memoryFlash(engineImage(), BOARD), changes), limits);

engines("the built agent boots under the limits, from the engine region", async () => {
  const flash = memoryFlash(engineImage(), BOARD);
  const { bundle, block } = readEngineImage(flash.read(0, ENGINE_BYTES));
  assert.is(block.model, MODEL);
  const engine = await startEngine(bundle, hostOver(flash));
  assert.is(engine.probe("typeof agentReceive"), "function");
  assert.ok(engine.tick() >= 0);
  engine.stop();
});

engines("no Node, no console, no timers, nothing an ES5 board lacks", async () => {
  const engine = await start(AGENT);
  const absent =
    "process require module console print setTimeout setImmediate queueMicrotask fetch Buffer WebAssembly performance " +
    "Map Set WeakMap Promise Proxy Date RegExp std os scriptArgs navigator";
  for (const name of absent.split(" ")) assert.is(engine.probe(`typeof ${name}`), "undefined", name);
  for (const name of ["JSON", "Reflect", "Symbol", "eval", "hostWrite"])
    assert.type(engine.probe(`typeof ${name}`), "string", name);
  assert.is(engine.probe("typeof raw"), "undefined", "the raw functions stay inside the glue");
  // The way out of a badly made sandbox: a host function's constructor.
  assert.is(engine.probe('hostWrite.constructor("return typeof process")()'), "undefined");
  engine.stop();
});

engines("bytes cross whole in both directions, views and all", async () => {
  const wrote: string[] = [];
  const engine = await start(
    `agentReceive = function (b) { hostWrite(b.subarray(1, b.length - 1)); };
     agentTick = function () { return hostMillis(); };`,
    { write: (bytes) => void wrote.push(Buffer.from(bytes).toString("hex")) },
  );
  engine.receive(Uint8Array.from({ length: 258 }, (_, i) => (i - 1) & 0xff));
  assert.equal(wrote, [Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString("hex")]);
  assert.is(engine.tick(), 7, "milliseconds are whole");
  engine.stop();
});

engines("a board without a random number generator has no hostRandom", async () => {
  const without = await start(AGENT, { random: null });
  assert.is(without.probe("typeof hostRandom"), "undefined");
  without.stop();
  const engine = await start(AGENT);
  assert.is(engine.probe("hostRandom(3).length + ' ' + hostRandom(3)[2]"), "3 4");
  engine.stop();
});

const throwsWith = async (work: () => unknown, pattern: RegExp) => {
  try {
    await work();
  } catch (error) {
    assert.match((error as Error).message, pattern);
    return;
  }
  assert.unreachable(`expected ${pattern}`);
};

engines("an endless loop ends under the watchdog", async () => {
  const limits = { ...LIMITS, watchdogMs: 1000 };
  const engine = await start(`${AGENT} agentTick = function () { for (;;) {} };`, {}, limits);
  await throwsWith(() => engine.tick(), /no end after 1000 ms/);
  engine.stop();
  await throwsWith(() => start("for (;;) {}", {}, limits), /no end after 1000 ms/);
});

engines("memory is limited to what is promised, whatever it is asked for in", async () => {
  const hoard = (piece: string) => `${AGENT} var kept = [], n = 0;
    agentTick = function () { for (;;) { hostMillis(); kept.push(${piece}); n++; } };`;
  for (const [what, piece, bytes] of [
    ["typed arrays", "new Uint8Array(1000)", 1000],
    ["flash pages", "hostReadFlash(0, 1000)", 1000],
    ["objects", "{ a: n }", 16],
  ] as const) {
    let pieces = 0;
    const engine = await start(hoard(piece), { millis: () => pieces++ });
    await throwsWith(() => engine.tick(), /out of memory/);
    assert.ok(pieces > 10 && pieces * bytes <= LIMITS.workBytes * 1.1, `${what}: ${pieces} × ${bytes}`);
    engine.stop();
  }
});

engines("a recursion without end is a fault, not a crash", async () => {
  const engine = await start(`${AGENT} agentTick = function f() { return f() + 1; };`);
  await throwsWith(() => engine.tick(), /stack overflow/);
  engine.stop();
});

engines("what throws inside says what and where", async () => {
  await throwsWith(() => start("\nnull.length"), /agent: TypeError: .*agent\.js:2/);
  await throwsWith(() => start("syntax error here"), /agent: SyntaxError/);
  const engine = await start(`${AGENT} agentTick = function () { hostWriteFlash(0, new Uint8Array(8)); };`);
  await throwsWith(() => engine.tick(), /flash: bad write of 8 bytes at 0/);
  engine.stop();
});

engines("after hostReset nothing more is done to the board", async () => {
  const flash = memoryFlash(engineImage(), BOARD);
  let resets = 0;
  const engine = await startEngine(
    `${AGENT} agentTick = function () {
       hostReset();
       try { hostEraseFlash(${LAYOUT.store.address}, 1024); } catch (e) {}
       try { hostWriteFlash(${LAYOUT.store.address}, new Uint8Array(8)); } catch (e) {}
       for (;;) {}
     };`,
    hostOver(flash, {
      reset: () => {
        resets++;
      },
    }),
  );
  engine.tick();
  assert.is(resets, 1);
  assert.is(flash.read(LAYOUT.store.address, 1)[0], 0xff);
  engine.stop();
});

const isRefusal = (code: string) => (error: { code?: string }) => error.code === code;
const spec = {
  bundle: readAgentBundle(),
  vendorVkey: VENDOR_VKEY,
  product: PRODUCT,
  model: MODEL,
  hardwareVersion: "B",
};

engines("an engine image is bundle, padding and block, and reads back", () => {
  const image = makeEngineImage(spec);
  assert.is(image.length, 65536);
  assert.equal(Buffer.from(image.subarray(0, spec.bundle.length)), Buffer.from(spec.bundle));
  assert.ok(image.subarray(spec.bundle.length, 65536 - 512).every((byte) => byte === 0xff));
  const { block, bundle } = readEngineImage(image);
  assert.is(bundle, Buffer.from(spec.bundle).toString("latin1"));
  assert.equal(
    [block.model, block.hardwareVersion, block.name, block.version],
    [MODEL, "B", "quickjs", QUICKJS_VERSION],
  );
  assert.is(QUICKJS_VERSION, createRequire(import.meta.url)("quickjs-emscripten/package.json").version);
});

for (const [name, change, code] of [
  ["bundle too large", { bundle: new Uint8Array(65536 - 511).fill(32) }, "bundle-too-large"],
  ["no verifier key", { vendorVkey: "acme" }, "malformed-vkey"],
  ["empty model", { model: "" }, "malformed-name"],
  ["model of 49 bytes", { model: "p".repeat(49) }, "malformed-name"],
  ["model with a line feed", { model: "a\nb" }, "malformed-name"],
  ["empty product", { product: "" }, "malformed-name"],
] as const) {
  engines(`refuses to make an engine: ${name}`, () => {
    assert.throws(() => makeEngineImage({ ...spec, ...change }), isRefusal(code));
  });
}

engines("an engine image with any broken part of its block is refused, never a crash", () => {
  const good = makeEngineImage(spec);
  for (const length of [0, 65535]) {
    assert.throws(() => readEngineImage(good.subarray(0, length)), isRefusal("malformed-engine"));
  }
  for (let at = 65536 - 512; at < 65536; at++) {
    const bent = good.slice();
    bent[at]! ^= 0x80;
    try {
      readEngineImage(bent); // a bent key or name is for the verifier to notice
    } catch (error) {
      assert.is((error as { code?: string }).code, "malformed-engine", `byte ${at}`);
    }
  }
  const foreign = good.slice();
  foreign[10] = 0xc3;
  assert.throws(() => readEngineImage(foreign), isRefusal("malformed-engine"));
});

engines.run();
