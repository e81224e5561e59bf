// The running device, in this process: restarts, faults, and a whole life over `sim:FILE`.

import { join } from "node:path";
import { FAULT_CBOR_TOO_LARGE } from "@vouch/shared/fault";
import { encodeFrame } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { confirmImage, echo, readImages, resetDevice, testImage } from "../src/device/smp";
import { openDevice } from "../src/device/transport";
import { uploadImage } from "../src/device/upload";
import { attestDevice, commitEnrolment, enrolDevice, identify, lastFault } from "../src/device/vouch";
import { startDevice } from "../src/sim/device";
import { makeEngineImage } from "../src/sim/engine";
import { createFlashFile, memoryFlash } from "../src/sim/flash";
import { LAYOUT } from "../src/sim/layout";
import { LIMITS } from "../src/sim/quickjs";
import { openSimOver } from "../src/sim/transport";
import {
  engineImage,
  hash,
  MODEL,
  makeImage,
  makeUpload,
  PRODUCT,
  sendUpload,
  temporaryFolder,
  VENDOR_VKEY,
  withSession,
} from "./sim-kit";

const devices = suite("simulated device");

const folder = temporaryFolder();

/** A board whose agent is `script`. */
const boardOf = (script: string) =>
  memoryFlash(
    makeEngineImage({
      bundle: new TextEncoder().encode(script),
      vendorVkey: VENDOR_VKEY,
      product: PRODUCT,
      model: MODEL,
      hardwareVersion: "B",
    }),
    { random: true },
  );

const soon = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(done: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !done(); waited += 5) {
    if (waited > 10_000) assert.unreachable(`no ${what} within 10 s`);
    await soon(5);
  }
}

devices("ticks when the agent asks to, with the clock of this boot", async () => {
  const wrote: number[] = [];
  const device = await startDevice(
    boardOf(`var n = 0; agentReceive = function () {};
      agentTick = function () { hostWrite(new Uint8Array([n, Math.min(255, hostMillis())])); return n++ < 2 ? 0 : 60000; };`),
    { onData: (bytes) => void wrote.push(bytes[0]!) },
  );
  await until(() => wrote.length === 3, "third tick");
  await soon(20);
  assert.equal(wrote, [0, 1, 2]);
  device.stop();
});

devices("a reset is a fresh engine on the same flash, and what comes meanwhile is lost", async () => {
  const wrote: number[] = [];
  let restarts = 0;
  const device = await startDevice(
    boardOf(`var at = ${LAYOUT.store.address}, boots = 0;
      while (hostReadFlash(at + 8 * boots, 1)[0] === 0) boots++;
      hostWriteFlash(at + 8 * boots, new Uint8Array(8));
      agentReceive = function (b) { hostWrite(new Uint8Array([boots, b[0]])); if (b[0] === 9) hostReset(); };
      agentTick = function () { return 1000; };`),
    { onData: (bytes) => void wrote.push(...bytes), onRestart: (fault) => void (fault ?? restarts++) },
  );
  await device.receive(Uint8Array.of(5));
  const resetting = device.receive(Uint8Array.of(9));
  const lost = device.receive(Uint8Array.of(6));
  await Promise.all([resetting, lost]);
  await until(() => restarts === 1, "restart");
  await device.receive(Uint8Array.of(7));
  assert.equal(wrote, [0, 5, 0, 9, 1, 7]);
  device.stop();
});

devices("a fault restarts the device; one at every start halts it", async () => {
  const faults: string[] = [];
  let halted = "";
  const events = {
    onData: () => {},
    onRestart: (fault?: Error) => void faults.push(fault?.message ?? "asked"),
    onHalt: (fault: Error) => {
      halted = fault.message;
    },
  };
  const once = await startDevice(
    boardOf("agentReceive = function (b) { b.x.y = 1; }; agentTick = function () { return 1000; };"),
    events,
  );
  await once.receive(Uint8Array.of(1));
  await until(() => faults.length === 1, "restart");
  assert.match(faults[0]!, /TypeError/);
  once.stop();

  const limits = { ...LIMITS, watchdogMs: 500 };
  const always = await startDevice(
    boardOf("agentReceive = function () {}; agentTick = function () { for (;;) {} };"),
    events,
    limits,
  );
  await until(() => halted !== "", "halt");
  assert.match(halted, /no end after 500 ms/);
  assert.is(faults.length, 3, "two restarts more");
  await always.receive(Uint8Array.of(1)); // lost, not stuck
  always.stop();

  const line = await openSimOver(
    boardOf("agentReceive = agentTick = function () { throw new Error('x'); };"),
    "sim",
  );
  let closed = 0;
  line.onClose(() => closed++);
  await until(() => closed === 1, "closed line");
  try {
    await line.write(Uint8Array.of(1));
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /Error: x/);
  }
  await line.close();
  assert.is(closed, 1);
});

devices("a board that can't start is refused by name", async () => {
  for (const [flash, pattern] of [
    [memoryFlash(new Uint8Array(65536).fill(0xff), { random: true }), /engine image has no engine block/],
    [boardOf("throw new Error('at start')"), /at start/],
  ] as const) {
    try {
      await openSimOver(flash, "sim");
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, pattern);
    }
    assert.throws(() => flash.read(0, 1), /flash: bad/, "its flash is closed");
  }
});

devices(
  "a life: echo, upload, test, restart, confirm, enrol, attest, across openings of sim:FILE",
  async () => {
    const path = join(folder, "life.flash");
    createFlashFile(path, engineImage(), { random: true });
    const open = () => openDevice(`sim:${path}`);
    const image = makeImage("1.0.0", 20_000);
    await withSession(open(), async (session) => {
      assert.is(await echo(session, "hello"), "hello");
      const { enrolled, bootCount, model } = await identify(session);
      assert.equal([enrolled, bootCount, model], [false, 1, MODEL]);
      await sendUpload(session, makeUpload(image));
      await testImage(session, hash(image));
      await resetDevice(session);
      while ((await identify(session)).bootCount !== 2) await soon(20);
      await confirmImage(session);
    });
    const key = await withSession(open(), async (session) => {
      const [first] = (await readImages(session)).filter((slot) => slot.active);
      assert.equal(Buffer.from(first!.hash!), Buffer.from(hash(image)));
      assert.ok(first!.confirmed);
      assert.ok((await enrolDevice(session, hash("nonce"), null)).length > 200);
      await commitEnrolment(session, hash("enrolment"));
      return (await identify(session)).publicKey!;
    });
    await withSession(open(), async (session) => {
      const now = await identify(session);
      assert.equal([now.enrolled, now.bootCount], [true, 4]);
      assert.equal(Buffer.from(now.publicKey!), Buffer.from(key));
      assert.ok((await attestDevice(session, hash("another nonce"))).length > 200);
    });
  },
);

for (const [name, item] of [
  ["empty byte strings", 0x40],
  ["empty maps", 0xa0],
] as const) {
  devices(`a frame of ${name} doesn't exhaust the agent's heap`, async () => {
    for (const count of [125, 490]) {
      const restarts: string[] = [];
      let answers = 0;
      const device = await startDevice(memoryFlash(engineImage(), { random: true }), {
        onData: () => void answers++,
        onRestart: (fault) => void restarts.push(String(fault)),
      });
      const frame = new Uint8Array(14 + count).fill(item);
      frame.set([10, 0, 0, 0, 0, 0, 7, 0, 0xa1, 0x61, 0x64, 0x99, count >> 8, count & 255]); // echo {"d": [...]}
      new DataView(frame.buffer).setUint16(2, frame.length - 8);
      for (let i = 0; i < 4; i++) await device.receive(encodeFrame(frame));
      await until(() => answers >= 4 || restarts.length > 0, "answer");
      assert.equal(restarts, []);
      device.stop();
    }
  });
}

devices("an unsigned envelope of empty maps is refused, and the agent lives", async () => {
  const stream = new Uint8Array(1100);
  stream.set([0xfc, 3, 0, 0]);
  stream.fill(0xa0, 4, 1024);
  stream.set([0x99, 1017 >> 8, 1017 & 255], 4);
  await withSession(openSimOver(memoryFlash(engineImage(), { random: true }), "sim"), async (session) => {
    const parameters = { bufferSize: 512, bufferCount: 1 };
    await uploadImage(session, stream, { sha256: hash("any"), parameters }).then(
      () => assert.unreachable(),
      () => {},
    );
    assert.is(await lastFault(session), FAULT_CBOR_TOO_LARGE);
    assert.is((await identify(session)).bootCount, 1);
  });
});

for (const [name, spec, code] of [
  ["no file", `sim:${join(folder, "none.flash")}`, "no-such-port"],
  ["no name", "sim:", "no-such-port"],
  ["a folder", `sim:${folder}`, "not-a-file"],
] as const) {
  devices(`refuses a port that is ${name}`, async () => {
    try {
      await openDevice(spec);
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code?: string }).code, code);
    }
  });
}

devices.run();
