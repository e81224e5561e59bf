// Every branch of the doctor, on machines to order; and on this one.

import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { examine, printReport, type Report } from "../src/commands/doctor";
import { checkBusy, checkLinux, type Host, hostOf } from "../src/device/doctor";
import { listPorts } from "../src/device/ports";
import { openDevice } from "../src/device/transport";
import { memoryFlash } from "../src/sim/flash";
import { openPty } from "../src/sim/pty";
import { openSimOver } from "../src/sim/transport";
import { memoryIo } from "./memory-io";
import { engineImage } from "./sim-kit";
import { ESPRUINO, FTDI_CABLE, Machine, type UsbDevice } from "./usb-tree";

const doctor = suite("doctor");
const machines: Machine[] = [];
doctor.after(() => {
  for (const machine of machines) machine.remove();
});

/** A machine on which all is well, with one device plugged in. */
function machineWith(device: UsbDevice = ESPRUINO) {
  const machine = new Machine();
  machines.push(machine);
  const path = machine.plug(device);
  if (process.getuid?.() === 0) chownSync(path, 0, 20); // root's own group is one that nobody joins
  const { gid } = statSync(path);
  machine.file("etc/group", `root:x:0:\ndialout:x:${gid}:ann\n`);
  machine.file("sbin/udevadm", "");
  const host: Host = {
    ...hostOf({ USER: "bob" }),
    sys: machine.sys,
    dev: machine.dev,
    proc: machine.proc,
    etc: join(machine.root, "etc"),
    run: join(machine.root, "run"),
    path: [join(machine.root, "sbin")],
    mayOpen: () => true,
  };
  const list = () => listPorts({ platform: "linux", roots: machine });
  const open = () => openSimOver(memoryFlash(engineImage(), { random: true }), path);
  const flags = { port: path, baud: 115200, framing: "console" as const, timeout: 10 };
  const see = (over: Partial<Host> = {}, more: object = {}) =>
    examine({ flags, host: { ...host, ...over }, platform: "linux", list, open, ...more });
  const process_ = (pid: number, comm: string, holds?: string) => {
    machine.file(`proc/${pid}/comm`, `${comm}\n`);
    mkdirSync(join(machine.proc, `${pid}/fd`), { recursive: true });
    if (holds !== undefined) symlinkSync(holds, join(machine.proc, `${pid}/fd/7`));
  };
  return { machine, path, host, list, see, flags, run: process_ };
}

const checkOf = (report: Report, name: string) => {
  const check = report.checks.find((one) => one.check === name);
  assert.ok(check, `${name} was checked`);
  return check!;
};

doctor("all is well: status 0, and each thing looked at is named", async () => {
  const { see, path } = machineWith();
  const report = await see();
  assert.is(report.well, true);
  assert.equal(
    report.checks.map(({ check, status }) => [check, status]),
    [
      ["port", "ok"],
      ["permission", "ok"],
      ["busy", "ok"],
      ["ModemManager", "ok"],
      ["udevadm", "ok"],
      ["line", "ok"],
    ],
  );
  assert.match(checkOf(report, "port").found, `${path}, 0483:5740 3971 STM32`);
  assert.match(checkOf(report, "line").found, /^our agent/);
  const io = memoryIo();
  printReport(report, io);
  assert.is(io.exitCode, 0);
  assert.match(io.out(), /^ok {2}permission +this user may open it$/m);
});

doctor(
  "no permission: the group by name, the command that joins it, the rule with the device's own ids",
  async () => {
    const { see, path, machine } = machineWith();
    chmodSync(path, 0o660);
    const { gid } = statSync(path);
    machine.file("etc/group", `plugdev:x:${gid}:ann\n`);
    const report = await see({ mayOpen: () => false });
    const permission = checkOf(report, "permission");
    assert.is(permission.status, "bad");
    if (gid !== 0) {
      assert.match(permission.found, /belongs to group plugdev/);
      assert.match(permission.next[0]!, "sudo usermod -aG plugdev $USER");
    }
    const rule = permission.next.find((line) => line.includes("60-vouch.rules"))!;
    assert.match(rule, 'ATTRS{idVendor}=="0483", ATTRS{idProduct}=="5740"');
    assert.is(checkOf(report, "line").status, "skipped");
    const io = memoryIo();
    printReport(report, io);
    assert.is(io.exitCode, 1);
    assert.match(io.out(), /^bad +permission /m);
  },
);

doctor("a port shut to its group too is opened by a rule", async () => {
  const { see, path } = machineWith();
  chmodSync(path, 0o600);
  const permission = checkOf(await see({ mayOpen: () => false }), "permission");
  assert.match(permission.found, /only its owner/);
  assert.match(permission.next.join("\n"), /GROUP="dialout", MODE="0660"/);
});

doctor("a user who joined the group after logging in is told so", async () => {
  const { see, path, machine } = machineWith();
  chmodSync(path, 0o660);
  const { gid } = statSync(path);
  machine.file("etc/group", `dialout:x:${gid}:ann,bob\n`);
  assert.equal(checkOf(await see({ mayOpen: () => false }), "permission").next, ["log out and in again"]);
});

doctor("a port in use names the program and its process", async () => {
  const { see, path, run } = machineWith();
  run(4711, "picocom", path);
  run(4712, "bash", "/dev/null");
  const report = await see();
  assert.is(checkOf(report, "busy").found, "held by picocom (process 4711)");
  assert.is(report.well, false);
  assert.match(checkOf(report, "line").found, /because of: busy/);
});

doctor("ModemManager is trouble until a rule tells it to leave the port alone", async () => {
  const { see, path, run, machine } = machineWith();
  run(300, "ModemManager");
  const before = checkOf(await see(), "ModemManager");
  assert.is(before.status, "bad");
  assert.match(before.next[0]!, 'ENV{ID_MM_DEVICE_IGNORE}="1"');
  const { rdev } = statSync(path);
  assert.is(rdev, 0);
  machine.file("run/udev/data/c0:0", "S:pump\nE:ID_MM_DEVICE_IGNORE=1\nG:systemd\n");
  assert.is(checkOf(await see(), "ModemManager").status, "ok");
});

doctor("a missing udevadm is noted, and no trouble", async () => {
  const report = await machineWith().see({ path: ["/nowhere"] });
  assert.is(checkOf(report, "udevadm").status, "note");
  assert.is(report.well, true);
});

doctor("the latency timer of an FTDI chip is noted, with the file to write", async () => {
  const { see, machine } = machineWith(FTDI_CABLE);
  assert.is(checkOf(await see(), "latency timer").status, "skipped");
  const holder = "sys/devices/pci0000:00/usb1/1-2/1-2:1.00/ttyUSB0";
  machine.file(`${holder}/latency_timer`, "16\n");
  const report = await see();
  const slow = checkOf(report, "latency timer");
  assert.match(slow.found, /^16 ms/);
  assert.match(slow.next[0]!, /^echo 1 \| sudo tee .*class\/tty\/ttyUSB0\/device\/latency_timer$/);
  assert.is(report.well, true);
  machine.file(`${holder}/latency_timer`, "1\n");
  assert.is(checkOf(await see(), "latency timer").status, "ok");
});

doctor("a device that is gone is told from one that is shut", async () => {
  const { path, host } = machineWith();
  const [permission] = checkLinux(`${path}9`, undefined, host);
  assert.match(permission!.found, /no such device file/);
});

for (const [name, says, found, next] of [
  ["nothing answers", undefined, /^nothing: .*\(115200 baud\)/, /--rates/],
  [
    "noise comes",
    Uint8Array.of(0xfe, 0x80, 0x9c, 0xf8, 0xff, 0x83),
    /no text/,
    /baud rate is probably wrong/,
  ],
] as const) {
  doctor(`${name}: that is said, with the rate it was asked at`, async () => {
    const pty = await openPty();
    if (says !== undefined) pty.onData(() => pty.write(says));
    const { see, path } = machineWith();
    const report = await see({}, { open: () => openDevice(pty.path) });
    pty.close();
    assert.is(report.port, path);
    const line = checkOf(report, "line");
    assert.is(line.status, "bad");
    assert.match(line.found, found);
    assert.match(line.next[0]!, next);
  });
}

doctor("with no port, or with two, that is the finding", async () => {
  const { see, machine, flags } = machineWith();
  const any = { flags: { ...flags, port: undefined } };
  assert.is((await see({}, any)).well, true);
  machine.plug(FTDI_CABLE);
  const two = await see({}, any);
  assert.is(two.port, null);
  assert.match(checkOf(two, "port").found, /found 2 ports/);
  machine.unplug(FTDI_CABLE);
  machine.unplug(ESPRUINO);
  const io = memoryIo();
  io.json = true;
  printReport(await see({}, any), io);
  const { port, well, checks } = JSON.parse(io.out());
  assert.equal([port, well, checks[0].check, io.exitCode], [null, false, "port", 1]);
});

doctor("elsewhere than on Linux the port is opened, and what that says is the finding", async () => {
  const { see } = machineWith();
  const busy = () => openDevice("/dev/vouch-none");
  const report = await see(
    {},
    { platform: "win32", flags: { port: "COM3", baud: 9600, timeout: 5 }, open: busy },
  );
  assert.equal(
    report.checks.map(({ check, status }) => [check, status]),
    [
      ["port", "ok"],
      ["line", "bad"],
    ],
  );
  assert.match(checkOf(report, "line").found, /\[no-such-port\]$/);
});

if (process.platform === "linux") {
  doctor("on this machine, a program that holds a pseudo-terminal is found", async () => {
    const pty = await openPty();
    const { spawn } = await import("node:child_process");
    const child = spawn("sh", ["-c", `exec 7<>${pty.path}; echo ready; read x`], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const check = checkBusy(pty.path, hostOf(process.env));
    child.kill("SIGKILL");
    pty.close();
    assert.match(check.found, `held by sh (process ${child.pid})`);
  });
}

doctor.run();
