// Serial ports: a real one, as a pseudo-terminal, through the real binding; and
// what the binding's errors become.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { isRefusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { printPorts } from "../src/commands/ports";
import { listPorts } from "../src/device/ports";
import { openSerial, refuse } from "../src/device/serial";
import { openDevice } from "../src/device/transport";
import { openPty } from "../src/sim/pty";
import { memoryIo } from "./memory-io";

const serial = suite("serial");

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "opened";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
}

const soon = (what: string, condition: () => boolean) =>
  new Promise<void>((resolve, reject) => {
    const started = Date.now();
    const look = () => {
      if (condition()) resolve();
      else if (Date.now() - started > 60_000) reject(new Error(`no ${what} within a minute`));
      else setTimeout(look, 5);
    };
    look();
  });

serial("every byte value goes both ways, unchanged and in order", async () => {
  const pty = await openPty();
  const line = await openSerial(pty.path, { baud: 115200 });
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const atDevice: number[] = [];
  const atHost: number[] = [];
  pty.onData((bytes) => void atDevice.push(...bytes));
  line.onData((bytes) => void atHost.push(...bytes));
  await line.write(all);
  await soon("bytes at the device", () => atDevice.length >= 256);
  pty.write(all);
  await soon("bytes at the host", () => atHost.length >= 256);
  assert.equal(Uint8Array.from(atDevice), all);
  assert.equal(Uint8Array.from(atHost), all);
  await line.close();
  pty.close();
});

serial("a port that another program holds is busy, and free once that is gone", async () => {
  const pty = await openPty();
  const line = await openSerial(pty.path, { baud: 115200 });
  assert.is(await codeOf(openDevice(pty.path)), "port-busy");
  await line.close();
  const again = await openDevice(pty.path);
  await again.close();
  pty.close();
});

serial("a device that goes away is noticed, and what is written then is refused", async () => {
  const pty = await openPty();
  const line = await openSerial(pty.path, { baud: 115200 });
  let closes = 0;
  line.onClose(() => {
    closes++;
  });
  pty.close();
  await soon("close", () => closes > 0);
  let failed = false;
  await line.write(Uint8Array.of(1)).catch(() => {
    failed = true;
  });
  assert.is(failed, true);
  await line.close();
  assert.is(closes, 1);
});

serial("a port that isn't there is no such port", async () => {
  assert.is(await codeOf(openDevice("/dev/vouch-no-such-port")), "no-such-port");
});

for (const [text, code] of [
  ["Error: No such file or directory, cannot open /dev/ttyUSB9", "no-such-port"],
  ["Opening COM9: File not found", "no-such-port"],
  ["Error: Permission denied, cannot open /dev/ttyACM0", "port-permission"],
  ["Opening COM3: Access denied", "port-permission"],
  ["Error Resource temporarily unavailable Cannot lock port", "port-busy"],
  ["Error: Device or resource busy, cannot open /dev/ttyACM0", "port-busy"],
  ["Error: Inappropriate ioctl for device, cannot open /dev/null", "port-failed"],
] as const) {
  serial(`"${text}" is ${code}`, () => {
    assert.is(refuse("/dev/ttyUSB9", new Error(text)).code, code);
  });
}

serial("a permission refusal names the group of the port and the command that helps", () => {
  const folder = mkdtempSync(join(tmpdir(), "vouch-port-"));
  const path = join(folder, "ttyACM0");
  writeFileSync(path, "");
  const refused = refuse(path, new Error("Error: Permission denied"));
  assert.match(refused.hint ?? "", /usermod -aG [a-z0-9_-]+ \$USER/);
  assert.match(refused.message, /belongs to group/);
  rmSync(folder, { recursive: true });
});

serial("ports that can't be opened are listed, and flagged", async () => {
  const dev = mkdtempSync(join(tmpdir(), "vouch-dev-"));
  const [open, shut] = [join(dev, "ttyB"), join(dev, "ttyA")];
  for (const path of [open, shut]) writeFileSync(path, "");
  chmodSync(shut, 0);
  const ports = await listPorts({
    platform: "freebsd",
    list: async () => [{ path: open, vendorId: "1915", productId: "520f" }, { path: shut }],
  });
  assert.equal(
    ports.map(({ path }) => path),
    [shut, open],
  );
  const io = memoryIo();
  printPorts(ports, io);
  assert.match(io.out(), /1915:520f/);
  // Nothing is shut to root.
  if (userInfo().uid !== 0) assert.match(io.out(), /ttyA.*no permission/);
  rmSync(dev, { recursive: true });
});

serial.run();
