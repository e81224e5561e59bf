// vouch flash FILE.js on a port: a stand-in behind a pseudo-terminal, as the command
// types it and as host-cli/README.md shows it; and Espruino itself where it is installed.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { realClock } from "../src/device/clock";
import { openDevice } from "../src/device/transport";
import { EXIT } from "../src/exit";
import { flashEspruino } from "../src/flash/espruino";
import { openPty } from "../src/sim/pty";
import { isLike, readConsole } from "./console";
import { ConsoleStandIn } from "./espruino-console";
import { startEspruino } from "./espruino-linux";
import { memoryIo } from "./memory-io";
import { vouch } from "./session";

const everyByte = Uint8Array.from({ length: 9000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const ports = suite("espruino on a port");
const noPty = await openPty().then(
  (pty) => pty.close(),
  (error: Error) => error.message,
);

const onPty = "the whole path over a pseudo-terminal";
if (noPty === undefined) {
  ports(onPty, async () => {
    const pty = await openPty();
    const standIn = new ConsoleStandIn(realClock);
    standIn.onData((bytes) => pty.write(bytes));
    pty.onData((bytes) => standIn.receive(bytes));
    const io = memoryIo();
    const options = {
      port: pty.path,
      file: everyByte,
      name: "data.bin",
      load: true,
      yes: true,
      baud: 115200,
      link: { timeoutMs: 30_000, open: (port: string) => openDevice(port) },
    };
    assert.is((await flashEspruino(options, io)).result, "flashed");
    assert.is(standIn.files.get("data.bin")?.toString("hex"), hex(everyByte));
    assert.is((await flashEspruino(options, io)).result, "already-there");
    pty.close();
  });
} else skip(ports, onPty, noPty);

const session = "host-cli/README.md prints what it says, over a pseudo-terminal";
if (noPty === undefined) {
  ports(session, async () => {
    const section = /^### An Espruino.*?^```text\n(.*?^```)$/ms.exec(
      readFileSync("host-cli/README.md", "utf8"),
    );
    const steps = readConsole(`\`\`\`console\n${section?.[1]}\n`);
    assert.is(steps.length, 4);
    const folder = mkdtempSync(join(tmpdir(), "vouch-js-"));
    copyFileSync("host-cli/dist/agent.espruino.js", join(folder, "agent.espruino.js"));
    writeFileSync(join(folder, "boot.js"), 'Serial1.setup(115200);\nrequire("vouch");\n');
    const pty = await openPty();
    const standIn = new ConsoleStandIn(realClock, { takesConsole: true });
    standIn.onData((bytes) => pty.write(bytes));
    pty.onData((bytes) => standIn.receive(bytes));
    const same = (line: string) => line.replace(/\d+ bytes/g, "N bytes").replace("/dev/ttyACM0", pty.path);
    try {
      for (const { command, expected } of steps) {
        const printed = await typeIn(folder, command.replace("/dev/ttyACM0", pty.path));
        assert.ok(isLike(printed.map(same), expected.map(same)), `${command}\n${printed.join("\n")}`);
      }
      assert.equal([...standIn.files.keys()], ["vouch", ".bootcde"]);
    } finally {
      pty.close();
      rmSync(folder, { recursive: true });
    }
  });
} else skip(ports, session, noPty);

/** Runs `vouch …` while the stand-in lives on in this process; its lines on stderr and stdout. */
async function typeIn(folder: string, command: string): Promise<string[]> {
  const [, ...args] = command.split(" ");
  const child = spawn(process.execPath, [resolve("host-cli/bin/vouch.mjs"), ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = ["", ""];
  child.stderr.on("data", (text) => {
    said[0] += String(text);
  });
  child.stdout.on("data", (text) => {
    said[1] += String(text);
  });
  await once(child, "close");
  return said.join("").trimEnd().split("\n");
}

ports("flags that are for another kind of device are refused before the port is opened", () => {
  const folder = mkdtempSync(join(tmpdir(), "vouch-js-"));
  writeFileSync(join(folder, "app.js"), "1");
  writeFileSync(join(folder, "empty.js"), "");
  for (const [args, words] of [
    ["app.js --vendor x", /--vendor is for a signed image/],
    ["app.js --save --storage x", /expected one of --save and --storage/],
    ["app.js --storage 12345678901234567890123456789", /expected 1 to 28 ASCII characters/],
    ["empty.js", /no empty file/],
  ] as const) {
    const { status, stderr } = vouch(folder, ["flash", ...args.split(" "), "--port", "/dev/none"]);
    assert.is(status, EXIT.trouble);
    assert.match(stderr, words);
  }
  rmSync(folder, { recursive: true });
});

const onLinux = "Espruino for Linux: written, identical the second time, its program run";
const found = spawnSync("espruino", ["--help"], { timeout: 5000 }).error === undefined;
if (found && noPty === undefined) {
  ports(onLinux, async () => {
    const device = await startEspruino("espruino");
    const file = new Uint8Array(Buffer.from(`print("started");\n//${"x".repeat(6000)}\n`));
    const options = {
      port: device.path,
      file,
      name: ".bootcde",
      load: true,
      yes: true,
      baud: 115200,
      link: { timeoutMs: 120_000, open: (port: string) => openDevice(port) },
    };
    try {
      const report = await flashEspruino(options, memoryIo());
      assert.is(report.result, "flashed");
      assert.is(report.method, "packets");
      assert.is(report.check, "sha256");
      assert.match(device.said(), /started\r\n/);
      assert.is((await flashEspruino(options, memoryIo())).result, "already-there");
      assert.is(
        (await flashEspruino({ ...options, file: everyByte, name: "b" }, memoryIo())).method,
        "lines",
      );
    } finally {
      device.stop();
    }
  });
} else skip(ports, onLinux, noPty ?? "`espruino` is not on PATH");
ports.run();
