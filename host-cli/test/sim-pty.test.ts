// `vouch sim` as a process: a real serial port on a real pseudo-terminal, signals, kills.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { readImages } from "../src/device/smp";
import { openDevice } from "../src/device/transport";
import { identify } from "../src/device/vouch";
import { openPty } from "../src/sim/pty";
import {
  hash,
  MODEL,
  makeImage,
  makeUpload,
  sendUpload,
  temporaryFolder,
  VENDOR_VKEY,
  withSession,
} from "./sim-kit";

const BIN = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
const RDWR = constants.O_RDWR | constants.O_NOCTTY; // or the terminal becomes ours, and its end our end
const folder = temporaryFolder();
const DEVICE = ["--vendor", VENDOR_VKEY, "--product", "pump-400", "--model", MODEL, "--hw", "B"];

const sims = suite("vouch sim");

interface Ready {
  port: string;
  model: string;
  hardwareVersion: string;
  engine: { name: string; version: string; sha256: string };
  state: string | null;
  pid: number;
}

const running = new Set<ChildProcess>();
sims.after(() => {
  for (const child of running) child.kill("SIGKILL");
});

async function startSim(
  ...args: string[]
): Promise<{ child: ChildProcess; ready: Ready; ended: Promise<unknown[]> }> {
  const child = spawn(process.execPath, [BIN, "sim", "--json", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const ended = once(child, "exit").finally(() => running.delete(child));
  let trouble = "";
  child.stderr!.setEncoding("utf8").on("data", (text) => {
    trouble += text;
  });
  const line = await Promise.race([
    once(createInterface(child.stdout!), "line"),
    ended.then(() => [undefined]),
  ]);
  if (typeof line[0] !== "string") throw new Error(`vouch sim ended: ${trouble}`);
  return { child, ready: JSON.parse(line[0]), ended };
}

function run(...args: string[]): { status: number; stdout: string; stderr: string } {
  try {
    const stdout = execFileSync(process.execPath, [BIN, "sim", ...args], { encoding: "utf8", stdio: "pipe" });
    return { status: 0, stdout, stderr: "" };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    return { status, stdout, stderr };
  }
}

const soon = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

if (process.platform === "win32") skip(sims, "a pseudo-terminal", "Windows has none");
else definePtyTests();

function definePtyTests(): void {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    sims(`serialport opens it, it says who it is, and ${signal} ends it with status 0`, async () => {
      const { child, ready, ended } = await startSim(...DEVICE);
      assert.equal([ready.model, ready.hardwareVersion, ready.state], [MODEL, "B", null]);
      assert.is(ready.pid, child.pid);
      await withSession(openDevice(ready.port), async (session) => {
        const { model, hwver, bootCount, engine } = await identify(session);
        assert.equal([model, hwver, bootCount], [MODEL, "B", 1]);
        assert.is(engine.version, ready.engine.version);
      });
      child.kill(signal);
      assert.equal(await ended, [0, null]);
    });
  }

  sims("it ends on SIGTERM while the port is open, and leaves neither lock nor port", async () => {
    const state = join(folder, "open.flash");
    const { child, ready, ended } = await startSim(...DEVICE, "--state", state);
    const line = await openDevice(ready.port);
    child.kill("SIGTERM");
    assert.equal(await ended, [0, null]);
    assert.is(existsSync(`${state}.lock`), false);
    await line.close();
    assert.is(existsSync(ready.port), false);
  });

  sims("many programs may come and go, and each finds the same device", async () => {
    const { child, ready, ended } = await startSim(...DEVICE);
    for (let round = 0; round < 25; round++) {
      await withSession(openDevice(ready.port), async (session) => {
        assert.is((await identify(session)).bootCount, 1, `opening ${round}`);
      });
    }
    child.kill("SIGTERM");
    await ended;
  });

  sims(
    "state outlives SIGTERM and SIGKILL; a kill in mid-upload leaves a device that can be flashed",
    async () => {
      const state = join(folder, "killed.flash");
      const image = makeImage("2.0.0", 60_000);
      const upload = makeUpload(image);
      let boots = 0;
      for (const stopAt of [0, 1, 7_000, 31_000, 59_000]) {
        const { child, ready, ended } = await startSim("--state", state, ...(boots === 0 ? DEVICE : []));
        await withSession(openDevice(ready.port), async (session) => {
          assert.is((await identify(session)).bootCount, ++boots);
          const sending = sendUpload(session, upload, (done) => {
            if (done > stopAt) child.kill("SIGKILL");
          });
          await sending.then(
            () => assert.unreachable("sent whole"),
            () => {}, // the line went, or nobody answers
          );
          assert.equal(await ended, [null, "SIGKILL"]);
        });
        assert.is(existsSync(`${state}.lock`), true, "a killed process leaves its lock");
      }
      // Still the same flash without a pseudo-terminal.
      await withSession(openDevice(`sim:${state}`), async (session) => {
        assert.is((await identify(session)).bootCount, ++boots);
        assert.equal(
          (await readImages(session)).filter((slot) => slot.bootable),
          [],
        );
        await sendUpload(session, upload);
        const [slot] = (await readImages(session)).filter((found) => found.bootable);
        assert.equal(Buffer.from(slot!.hash!), Buffer.from(hash(image)));
      });
    },
  );

  sims(
    "a program that sends and never reads costs the device nothing, and the next one is served",
    async () => {
      const { child, ready, ended } = await startSim(...DEVICE);
      const fd = openSync(ready.port, RDWR);
      const echo = "\u0006\tABAKAAAGAAABAKFhZGJoaaWv\n"; // echo {"d":"hi"}
      for (let sent = 0; sent < 2000; sent += 50) {
        writeSync(fd, echo.repeat(50));
        await soon(5);
      }
      closeSync(fd);
      await soon(1500); // what nobody takes for a second is lost
      // All that was sent is dealt with some time, and then it does nothing: a busy machine takes longer to get there.
      let isIdle = cpuTicks(child.pid!) === undefined;
      for (let tries = 0; tries < 120 && !isIdle; tries++) {
        const before = cpuTicks(child.pid!)!;
        await soon(500);
        isIdle = cpuTicks(child.pid!)! - before < 20;
      }
      assert.ok(isIdle, "it isn't busy waiting");
      await withSession(openDevice(ready.port), async (session) => {
        assert.is((await identify(session)).model, MODEL);
      });
      child.kill("SIGTERM");
      assert.equal(await ended, [0, null]);
    },
  );

  sims(
    "a pseudo-terminal carries all 256 bytes both ways, untouched and not echoed, before anybody sets it up",
    async () => {
      const pty = await openPty();
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const got: number[] = [];
      pty.onData((bytes) => void got.push(...bytes));
      const fd = openSync(pty.path, RDWR);
      pty.write(all);
      const read = Buffer.alloc(512);
      assert.is(readSync(fd, read), 256);
      assert.equal([...read.subarray(0, 256)], [...all]);
      writeSync(
        fd,
        all.filter((byte) => byte !== 10),
      ); // only a program's own setup turns off NL to CR NL
      for (let waited = 0; got.length < 255 && waited < 60_000; waited += 10) await soon(10);
      await soon(50); // for more than there should be
      assert.equal(
        got,
        [...all].filter((byte) => byte !== 10),
      );
      closeSync(fd);
      pty.close();
    },
  );
}

/** Hundredths of a second of processor time, where /proc tells. */
function cpuTicks(pid: number): number | undefined {
  if (!existsSync("/proc/self/stat")) return undefined;
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

sims("--write-engine writes the region that a device of the same flags has", async () => {
  const engine = join(folder, "engine.bin");
  const state = join(folder, "engine.flash");
  const { status, stdout } = run(...DEVICE, "--write-engine", engine, "--json");
  assert.is(status, 0);
  const bytes = readFileSync(engine);
  assert.is(bytes.length, 65536);
  assert.is(JSON.parse(stdout).engine.sha256, Buffer.from(hash(bytes)).toString("hex"));
  assert.is(run("--engine", engine, "--create", "--state", state).stdout, `port         sim:${state}\n`);
  assert.equal(readFileSync(state).subarray(4096, 4096 + 65536), bytes);
});

const blank = join(folder, "blank.bin");
writeFileSync(blank, Buffer.alloc(65536, 0xff));
const made = join(folder, "made.flash");
assert.is(run(...DEVICE, "--create", "--state", made).status, 0);
const spoilt = join(folder, "spoilt.flash");
writeFileSync(spoilt, "not flash");

for (const [name, args, code] of [
  ["a new device without a vendor key", ["--state", join(folder, "new.flash")], "usage"],
  ["one in memory without a vendor key", [], "usage"],
  ["a vendor key without a model", ["--vendor", VENDOR_VKEY, "--product", "p"], "usage"],
  ["a vendor key that is none", ["--vendor", blank, "--product", "p", "--model", "m"], "too-large"],
  [
    "a vendor file that isn't there",
    ["--vendor", "none.vkey", "--product", "p", "--model", "m"],
    "not-found",
  ],
  ["an engine image without a block", ["--engine", blank], "malformed-engine"],
  ["an engine image and a model", ["--engine", blank, "--model", "m"], "usage"],
  ["--create without a file", [...DEVICE, "--create"], "usage"],
  ["--create over a device", [...DEVICE, "--create", "--state", made], "exists"],
  ["a state file of something else", ["--state", spoilt], "malformed-state"],
  [
    "a device with another model than the flags say",
    [...DEVICE, "--model", "OTHER", "--state", made],
    "engine-differs",
  ],
  ["a device with a generator, as one without", ["--no-rng", "--state", made], "engine-differs"],
] as const) {
  sims(`refuses ${name}`, () => {
    const { status, stdout, stderr } = run(...args);
    assert.is(status, 1, stderr);
    assert.is(stdout, "");
    assert.match(stderr, `[${code}]`);
  });
}

sims.run();
