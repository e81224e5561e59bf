// The README's session with an MCUboot device, typed into the built command, over a
// pseudo-terminal with a device that keeps slots behind it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { publishedBytes } from "../../shared/test/vectors";
import { realClock } from "../src/device/clock";
import { openPty, type Pty } from "../src/sim/pty";
import { isLike, readConsole } from "./console";
import { McubootDevice } from "./mcuboot-device";
import { makeMcuboot, maker, pemOf } from "./mcuboot-kit";
import { makeImage, temporaryFolder } from "./sim-kit";

const sessions = suite("flash session");

const OLD = makeMcuboot({ version: "1.0.0" });
const NEW = makeMcuboot({ version: "1.1.0+7", payload: makeImage("new", 12_000), counter: 7 });

interface Ended {
  status: number | null;
  stdout: string;
  all: string;
}

/** Runs the built command while this process plays the device; what it says is kept in files. */
async function run(
  folder: string,
  args: readonly string[],
  out: string,
  err: string,
): Promise<number | null> {
  const fds = [out, err].map((name) => openSync(join(folder, name), "a"));
  const child = spawn(process.execPath, [resolve("host-cli/bin/vouch.mjs"), ...args], {
    cwd: folder,
    stdio: ["ignore", ...fds],
  });
  for (const fd of fds) closeSync(fd);
  const [status] = await once(child, "close");
  return status;
}

async function vouch(folder: string, args: readonly string[]): Promise<Ended> {
  const [out, err] = ["stdout", "stderr"].map((name) => `${name}${++commands}`) as [string, string];
  const status = await run(folder, args, out, err);
  const [stdout, stderr] = [out, err].map((name) => readFileSync(join(folder, name), "utf8")) as [
    string,
    string,
  ];
  return { status, stdout, all: `${stderr}${stdout}` };
}

/** Both of its streams, in the order in which it wrote: of two pipes nobody can tell that. */
async function printed(folder: string, args: readonly string[]): Promise<string> {
  const both = `both${++commands}`;
  await run(folder, args, both, both);
  return readFileSync(join(folder, both), "utf8");
}
let commands = 0;

/** Devices at pseudo-terminals, in a folder with what the session uses. */
async function bench(count: number) {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "app.signed.bin"), NEW);
  writeFileSync(join(folder, "old.signed.bin"), OLD);
  writeFileSync(join(folder, "acme.pem"), pemOf(maker.publicKey));
  writeFileSync(join(folder, "other.pem"), publishedBytes("smp/images/trusted-public.pem"));
  const racks: { pty: Pty; device: McubootDevice }[] = [];
  for (let i = 0; i < count; i++) {
    const pty = await openPty();
    const newest = makeMcuboot({ version: "9.0.0" });
    const device = new McubootDevice({
      clock: realClock,
      slots: [i === 1 ? newest : OLD, null],
      slotBytes: 131_072,
    });
    const line = await device.open();
    pty.onData((bytes) => void line.write(bytes));
    line.onData((bytes) => pty.write(bytes));
    racks.push({ pty, device });
  }
  const close = () => {
    for (const { pty } of racks) pty.close();
  };
  return { folder, racks, close };
}

const noPty = await openPty().then(
  (pty) => pty.close(),
  (error: Error) => error.message,
);

function session(name: string, work: () => Promise<void>): void {
  if (noPty !== undefined) skip(sessions, name, noPty);
  else sessions(name, work);
}

session("host-cli/README.md prints what it says of an MCUboot device", async () => {
  const page = readFileSync("host-cli/README.md", "utf8");
  const block = /^```text\n(\$ vouch inspect app\.signed\.bin\n.*?)^```$/ms.exec(page)?.[1] ?? "";
  const steps = readConsole(`\`\`\`console\n${block}\`\`\`\n`);
  assert.is(steps.length, 5);
  const { folder, racks, close } = await bench(1);
  const path = racks[0]?.pty.path ?? "";
  for (const { command, expected } of steps) {
    const [, ...args] = command.replace("/dev/ttyACM0", path).split(" ");
    const all = await printed(folder, args);
    const there = expected.map((line) => line.replaceAll("/dev/ttyACM0", path));
    assert.ok(isLike(all.replace(/\n$/, "").split("\n"), there), `$ ${command}\n${all}`);
  }
  close();
});

session("several at once: NDJSON, and the status of the worst", async () => {
  const { folder, racks, close } = await bench(3);
  const ports = racks.map(({ pty }) => pty.path);
  const flags = ports.flatMap((path) => ["-p", path]);
  const ended = await vouch(folder, [
    "flash",
    "app.signed.bin",
    "--key",
    "acme.pem",
    ...flags,
    "--yes",
    "--json",
  ]);
  assert.is(ended.status, 20, ended.all);
  const told = ended.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const byPort = ports.map((path) => told.find(({ port }) => port === path));
  assert.equal(
    byPort.map((one) => one?.code ?? one?.result),
    ["flashed", "rolled-back", "flashed"],
  );
  assert.equal(
    racks.map(({ device }) => device.running?.version.major),
    [1, 9, 1],
  );
  close();
});

session("which flags go with which file", async () => {
  const { folder, close } = await bench(0);
  for (const [flags, code] of [
    [[], "usage"],
    [["--policy", "p"], "usage"],
    [["--key", "acme.pem", "--all", "-p", "x"], "usage"],
    [["--key", "acme.pem", "-p", "x", "--min-counter", "8"], "rolled-back"],
    [["--key", "acme.pem", "-p", "x", "--min-counter", "-1"], "usage"],
    [["--key", "old.signed.bin", "-p", "x"], "malformed-key"],
    [["--key", "acme.pem", "-p", "/nowhere/tty", "--wait", "1"], "no-device"],
  ] as const) {
    const { all, status } = await vouch(folder, ["flash", "app.signed.bin", ...flags, "--yes"]);
    assert.match(all, new RegExp(`\\[${code}\\]$`, "m"), flags.join(" "));
    assert.is(status, code === "rolled-back" ? 20 : 1);
  }
  close();
});

sessions.run();
