// Hosts for the conversation: the global functions of ports/native.ts over flash in memory, and a
// clock that only moves when the agent asks to wait.
//
//   playInNode      the bundle in a bare context of Node's own engine: the reference
//   playInQuickJs   as `vouch sim` runs it, under its memory limits
//   playAsScript    for engines whose program only prints: host functions, bundle and requests in one
//                   file, replies printed as lines of hex

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createContext, runInContext } from "node:vm";
import { startEngine } from "../../../host-cli/src/sim/quickjs";
import type { SimSensors } from "../../../host-cli/src/sim/sensors";
import {
  DEBUG_STATUS,
  FLASH_BYTES,
  factoryFlash,
  LAYOUT,
  messagesIn,
  type Player,
  SENSOR,
  type Step,
} from "./conversation";

interface Booted {
  receive(bytes: Uint8Array): void;
  tick(): number;
}

const PENDING_MS = 1000; // an idle agent asks for no tick sooner

/** Plays on a device that `boot` starts; `out` is what it wrote since it was last read. */
async function play(
  steps: Step[],
  boot: () => Promise<Booted>,
  clock: { now: number; isReset: boolean },
  out: Uint8Array[],
): Promise<Uint8Array[]> {
  const replies: Uint8Array[] = [];
  let device = await boot();
  for (const step of steps) {
    if (step.kind === "ask") {
      device.receive(step.bytes);
      const messages = messagesIn(Buffer.concat(out.splice(0)));
      if (messages.length !== 1) throw new Error(`${messages.length} replies to ${step.name}`);
      replies.push(...messages);
      continue;
    }
    if (step.kind === "pass") {
      for (const end = clock.now + step.ms; clock.now < end; )
        clock.now += Math.min(device.tick(), end - clock.now);
      continue;
    }
    for (let wait = device.tick(); wait < PENDING_MS; wait = device.tick()) clock.now += wait;
    if (clock.isReset !== (step.kind === "restart")) throw new Error(`a reset that doesn't fit ${step.kind}`);
    if (!clock.isReset) continue;
    Object.assign(clock, { now: 0, isReset: false });
    device = await boot();
  }
  return replies;
}

function makeHost() {
  const flash = factoryFlash();
  const clock = { now: 0, isReset: false };
  const out: Uint8Array[] = [];
  const host = {
    layout: LAYOUT,
    write: (bytes: Uint8Array) => void out.push(bytes.slice()),
    millis: () => clock.now,
    readFlash: (address: number, length: number) => flash.slice(address, address + length),
    writeFlash: (address: number, bytes: Uint8Array) => {
      for (let i = 0; i < bytes.length; i++) flash[address + i]! &= bytes[i]!;
    },
    eraseFlash: (address: number, length: number) => void flash.fill(0xff, address, address + length),
    reset: () => {
      clock.isReset = true;
    },
  };
  const sensors = makeSensor(() => clock.now);
  return { host, clock, out, sensors };
}

/** The sensor of the conversation, in Node. */
export const makeSensor = new Function("millis", `${SENSOR}\nreturn makeSensor(millis);`) as (
  millis: () => number,
) => SimSensors;

export const playInNode: Player = (bundle, steps) => {
  const { host, clock, out, sensors } = makeHost();
  const boot = async () => {
    const world = createContext({
      hostLayout: () => LAYOUT,
      hostWrite: host.write,
      hostMillis: host.millis,
      hostReadFlash: host.readFlash,
      hostWriteFlash: host.writeFlash,
      hostEraseFlash: host.eraseFlash,
      hostReset: host.reset,
      hostDebugStatus: () => DEBUG_STATUS,
      hostSensors: sensors.groups,
      hostSample: sensors.sample,
      hostReadSensor: sensors.read,
      Uint8Array, // bytes of one kind inside and outside
    });
    runInContext(bundle, world);
    return { receive: world.agentReceive as Booted["receive"], tick: world.agentTick as Booted["tick"] };
  };
  return play(steps, boot, clock, out);
};

export const playInQuickJs: Player = (bundle, steps) => {
  const { host, clock, out, sensors } = makeHost();
  return play(steps, () => startEngine(bundle, { ...host, random: null, sensors }), clock, out);
};

// ES5 for any engine with typed arrays and print(). What it prints: a line of hex for each request.
const SCRIPT = `
var flash = new Uint8Array(FLASH_BYTES), at, now = 0, isReset = false, out = [], i, k, step, wait;
function fromHex(text) {
  var bytes = new Uint8Array(text.length / 2);
  for (var i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.substring(2 * i, 2 * i + 2), 16);
  return bytes;
}
function hostLayout() { return LAYOUT; }
function hostWrite(bytes) {
  for (var i = 0; i < bytes.length; i++) out.push((bytes[i] < 16 ? "0" : "") + bytes[i].toString(16));
}
function hostMillis() { return now; }
function hostReadFlash(address, length) {
  var bytes = new Uint8Array(length);
  bytes.set(flash.subarray(address, address + length));
  return bytes;
}
function hostWriteFlash(address, bytes) { for (var i = 0; i < bytes.length; i++) flash[address + i] &= bytes[i]; }
function hostEraseFlash(address, length) { for (var i = 0; i < length; i++) flash[address + i] = 255; }
function hostReset() { isReset = true; }
function hostDebugStatus() { return DEBUG_STATUS; }
var sensor = makeSensor(hostMillis), hostSensors = sensor.groups, hostSample = sensor.sample, hostReadSensor = sensor.read;
hostEraseFlash(0, FLASH_BYTES);
flash.set(fromHex(ENGINE), LAYOUT.engine.address);
(0, eval)(BUNDLE);
for (k = 0; k < STEPS.length; k++) {
  step = STEPS[k];
  if (typeof step === "number") {
    for (i = now + step; now < i;) now += Math.min(agentTick(), i - now);
  } else if (step !== "") {
    out = [];
    agentReceive(fromHex(step));
    print(out.join(""));
  } else {
    for (wait = agentTick(); wait < PENDING_MS; wait = agentTick()) now += wait;
    if (isReset) {
      isReset = false;
      now = 0;
      (0, eval)(BUNDLE);
    }
  }
}
`;

function writeScript(bundle: string, steps: Step[]): string {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const engine = factoryFlash().subarray(LAYOUT.engine.address, LAYOUT.engine.address + LAYOUT.engine.length);
  const constants = {
    FLASH_BYTES,
    LAYOUT,
    DEBUG_STATUS,
    PENDING_MS,
    ENGINE: hex(engine),
    BUNDLE: bundle,
    STEPS: steps.map((step) => (step.kind === "ask" ? hex(step.bytes) : step.kind === "pass" ? step.ms : "")),
  };
  const lines = Object.entries(constants).map(([name, value]) => `var ${name} = ${JSON.stringify(value)};`);
  return `${lines.join("\n")}\n${SENSOR}\n${SCRIPT}`;
}

/** For a program that takes a script's name and prints. */
export const playAsScript =
  (program: string): Player =>
  async (bundle, steps) => {
    const folder = mkdtempSync(join(tmpdir(), "vouch-engine-"));
    try {
      const script = join(folder, "conversation.js");
      writeFileSync(script, writeScript(bundle, steps));
      const { status, stdout, stderr, error } = spawnSync(program, [script], {
        encoding: "utf8",
        timeout: 60_000,
        maxBuffer: 1 << 24,
      });
      if (status !== 0)
        throw new Error(
          `${program}: ${error?.message ?? `status ${status}`}\n${stdout.slice(-500)}${stderr.slice(-500)}`,
        );
      return stdout
        .trimEnd()
        .split("\n")
        .map((line) => {
          const [message, ...more] = messagesIn(Buffer.from(line, "hex"));
          if (message === undefined || more.length > 0)
            throw new Error(`${program} printed ${line.slice(0, 80)}`);
          return message;
        });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
