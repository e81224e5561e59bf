// Which port a device is on, on machines to order: folders that stand for /sys and /dev.

import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { isRefusal, type Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { printPorts } from "../src/commands/ports";
import { findPort, followDevice, identityOf, parseUsb, resolvePort } from "../src/device/find";
import { callOut, comparePaths, listPorts } from "../src/device/ports";
import { describeUsb } from "../src/device/usb";
import { memoryIo } from "./memory-io";
import { ESPRUINO, FTDI_CABLE, Machine } from "./usb-tree";

const find = suite("find");
const machines: Machine[] = [];
find.after(() => {
  for (const machine of machines) machine.remove();
});

function machineWith(...devices: (typeof ESPRUINO)[]) {
  const machine = new Machine();
  machines.push(machine);
  for (const device of devices) machine.plug(device);
  const list = () => listPorts({ platform: "linux", roots: machine });
  return { machine, list, at: (name: string) => join(machine.dev, name) };
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error as Refusal;
    throw error;
  }
  throw new Error("nothing was refused");
}

find("/sys tells ids, serial number, product and interface, of CDC ports and of adapters", async () => {
  const { list, at } = machineWith({ ...ESPRUINO, interfaceNumber: "02" }, FTDI_CABLE);
  const ports = await list();
  assert.equal(ports, [
    {
      path: at("ttyACM0"),
      vendorId: "0483",
      productId: "5740",
      serialNumber: "3971",
      manufacturer: "Espruino",
      product: "Espruino Serial port",
      interfaceNumber: "02",
      what: "STM32 virtual COM port (Espruino boards use these ids)",
      accessible: true,
    },
    {
      path: at("ttyUSB0"),
      vendorId: "0403",
      productId: "6001",
      serialNumber: "A600b30P",
      interfaceNumber: "00",
      what: "FTDI USB serial adapter",
      accessible: true,
    },
  ]);
  const io = memoryIo();
  printPorts(ports, io);
  assert.match(io.out(), /ttyACM0 +0483:5740 +3971 +STM32 virtual.*: Espruino Serial port$/m);
  io.json = true;
  const json = memoryIo();
  json.json = true;
  printPorts(ports, json);
  assert.equal(JSON.parse(json.out()), { ports });
});

find("virtual terminals and ttyS without a chip are left out, a real one is in", async () => {
  const { machine, list, at } = machineWith();
  machine.tty("tty1", "sys/devices/virtual/tty/tty1");
  for (const [name, type] of [
    ["ttyS0", "4"],
    ["ttyS1", "0"],
    ["ttyS2", "4"],
  ] as const) {
    machine.file(`sys/devices/platform/serial/${name}/type`, `${type}\n`);
    machine.tty(name, `sys/devices/platform/serial/${name}`, "sys/devices/platform/serial");
    if (name !== "ttyS2") machine.file(`dev/${name}`, "");
  }
  assert.equal(
    (await list()).map(({ path, what }) => [path, what]),
    [[at("ttyS0"), "serial port"]],
  );
});

find("a USB port without a device file, as in a container, is listed with the reason", async () => {
  const { machine, list } = machineWith();
  const path = machine.plug(ESPRUINO);
  machine.unplug({ tty: "ttyACM0", bus: "1-4" });
  assert.equal(await list(), []);
  machine.plug(ESPRUINO);
  const { rmSync } = await import("node:fs");
  rmSync(path);
  const [port] = await list();
  assert.is(port?.accessible, false);
  assert.match(port?.reason ?? "", /no such device file/);
});

find("without /sys the names in /dev are looked at", async () => {
  const { machine, at } = machineWith();
  machine.file("dev/ttyACM1", "");
  machine.file("dev/ttyS0", "");
  machine.file("dev/serial/by-id/keep", "");
  symlinkSync(at("ttyACM1"), at("serial/by-id/usb-Acme_Pump_1042-if00"));
  const roots = { sys: join(machine.root, "none"), dev: machine.dev };
  const ports = await listPorts({ platform: "linux", roots });
  assert.equal(
    ports.map(({ path, product }) => [path, product]),
    [[at("ttyACM1"), "usb-Acme_Pump_1042-if00"]],
  );
});

find("macOS: /dev/cu.X is named and its twin /dev/tty.X isn't, whichever the list has", async () => {
  const usb = { vendorId: "0483", productId: "5740", serialNumber: "3971" };
  const list = async () => [
    { path: "/dev/tty.usbmodem3971", ...usb },
    { path: "/dev/cu.usbmodem3971" },
    { path: "/dev/tty.usbserial-10", vendorId: "1A86", productId: "7523" },
  ];
  const ports = await listPorts({ platform: "darwin", list });
  assert.equal(
    ports.map(({ path, vendorId, what }) => [path, vendorId, what]),
    [
      ["/dev/cu.usbmodem3971", "0483", "STM32 virtual COM port (Espruino boards use these ids)"],
      ["/dev/cu.usbserial-10", "1A86", "CH340 USB serial adapter"],
    ],
  );
  assert.is(callOut([{ path: "/dev/cu.Bluetooth" }])[0]?.path, "/dev/cu.Bluetooth");
});

find("Windows: COM ports stand in the order of their numbers", async () => {
  const list = async () => ["COM10", "COM3", "COM1"].map((path) => ({ path }));
  const ports = await listPorts({ platform: "win32", list });
  assert.equal(
    ports.map(({ path, accessible }) => [path, accessible]),
    [
      ["COM1", true],
      ["COM3", true],
      ["COM10", true],
    ],
  );
  assert.ok(comparePaths("/dev/ttyUSB2", "/dev/ttyUSB10") < 0);
  assert.ok(comparePaths("/dev/ttyACM10", "/dev/ttyUSB2") < 0);
  assert.is(comparePaths("COM3", "COM3"), 0);
  assert.ok(comparePaths("COM", "COM1") < 0);
});

find("ids that nobody told us about are a USB serial port, not a guess", () => {
  assert.is(describeUsb("dead", "beef"), "USB serial port");
  assert.is(describeUsb("0483", "df11"), "USB serial port");
  assert.is(describeUsb("1366", "0105"), "J-Link");
  assert.is(describeUsb("0483", "374b"), "ST-LINK/V2-1");
});

find("with one USB port nothing need be said; ports of other kinds don't count", async () => {
  const { machine, list, at } = machineWith(ESPRUINO);
  machine.file("sys/devices/platform/serial/ttyS0/type", "4\n");
  machine.tty("ttyS0", "sys/devices/platform/serial/ttyS0", "sys/devices/platform/serial");
  machine.file("dev/ttyS0", "");
  assert.is(await resolvePort({}, list), at("ttyACM0"));
});

find("between two ports nothing is guessed: both are listed with what tells them apart", async () => {
  const { list, at } = machineWith(ESPRUINO, FTDI_CABLE);
  const refused = await refusalOf(resolvePort({}, list));
  assert.is(refused.code, "ambiguous-port");
  assert.match(refused.message, `${at("ttyACM0")} (0483:5740 3971, interface 00, STM32`);
  assert.match(refused.message, `${at("ttyUSB0")} (0403:6001 A600b30P, interface 00, FTDI`);
  // Nor does waiting make a choice.
  assert.is((await refusalOf(resolvePort({ wait: 5 }, list))).code, "ambiguous-port");
});

find("--usb picks by ids and serial number, in either case, and never one of two", async () => {
  const twin = { ...ESPRUINO, tty: "ttyACM1", bus: "1-5", serial: "AB:40" };
  const { list, at } = machineWith(ESPRUINO, twin, FTDI_CABLE);
  assert.is(await resolvePort({ usb: "0403:6001" }, list), at("ttyUSB0"));
  assert.is(await resolvePort({ usb: "0483:5740:AB:40" }, list), at("ttyACM1"));
  assert.is((await refusalOf(resolvePort({ usb: "0483:5740" }, list))).code, "ambiguous-port");
  assert.is((await refusalOf(resolvePort({ usb: "0483:5740:3972" }, list))).code, "no-device");
  assert.equal(parseUsb("2FE3:0001"), { vendorId: "2fe3", productId: "0001", serialNumber: undefined });
});

for (const usb of ["", "0483", "0483:", "483:5740", "0483:5740:", "0x0483:5740", "0483-5740"]) {
  find(`--usb ${JSON.stringify(usb)} is a mistake`, async () => {
    const { list } = machineWith();
    assert.is((await refusalOf(resolvePort({ usb }, list))).code, "usage");
  });
}

find("with no port there is no device, and other ports are told", async () => {
  const { machine, list } = machineWith();
  assert.match((await refusalOf(resolvePort({}, list))).hint ?? "", /sim:FILE/);
  machine.file("sys/devices/platform/serial/ttyS0/type", "4\n");
  machine.tty("ttyS0", "sys/devices/platform/serial/ttyS0", "sys/devices/platform/serial");
  machine.file("dev/ttyS0", "");
  const refused = await refusalOf(resolvePort({}, list));
  assert.is(refused.code, "no-device");
  assert.match(refused.message, /there is .*ttyS0 \(serial port\)/);
});

find("--port is taken as it is, and together with --usb is a mistake", async () => {
  const { list } = machineWith(ESPRUINO, FTDI_CABLE);
  for (const port of ["/dev/pts/4", "COM7", "sim:x.flash"])
    assert.is(await resolvePort({ port }, list), port);
  assert.is(await resolvePort({ port: "sim:x.flash", wait: 1 }, list), "sim:x.flash");
  assert.is((await refusalOf(resolvePort({ port: "COM7", usb: "0403:6001" }, list))).code, "usage");
});

find("--wait takes a port that appears in time, and says when none does", async () => {
  const { machine, list, at } = machineWith();
  setTimeout(() => machine.plug(ESPRUINO), 300);
  assert.is(await resolvePort({ wait: 5 }, list), at("ttyACM0"));
  assert.is(await resolvePort({ port: at("ttyACM0"), wait: 1 }, list), at("ttyACM0"));
  machine.unplug(ESPRUINO);
  const none = await refusalOf(resolvePort({ wait: 0.3 }, list));
  assert.match(none.message, /within 0\.3 s/);
  assert.is((await refusalOf(resolvePort({ port: at("ttyACM0"), wait: 0.3 }, list))).code, "no-device");
});

find("a device that comes back elsewhere is found by its serial number", async () => {
  const { machine, list, at } = machineWith(ESPRUINO, FTDI_CABLE);
  const identity = await identityOf(at("ttyACM0"), list);
  assert.is(identity?.serialNumber, "3971");
  machine.unplug(ESPRUINO);
  assert.is(await findPort(identity!, list), null);
  // Somebody else's board takes the old name meanwhile.
  machine.plug({ ...ESPRUINO, bus: "1-6", serial: "4040" });
  assert.is(await findPort(identity!, list), null);
  machine.plug({ ...ESPRUINO, tty: "ttyACM3", idProduct: "a4f1" });
  assert.is(await findPort(identity!, list), at("ttyACM3"));
});

find(
  "a device without a serial number is the port that is new, or its old name; never one of two",
  async () => {
    const { serial: _, ...plain } = FTDI_CABLE;
    const { machine, list, at } = machineWith(plain, { ...plain, tty: "ttyUSB5", bus: "1-9" });
    const identity = await identityOf(at("ttyUSB0"), list);
    assert.is(await findPort(identity!, list), at("ttyUSB0"));
    machine.unplug(plain);
    assert.is(await findPort(identity!, list), null); // the other one was there before
    machine.plug({ ...plain, tty: "ttyUSB1" });
    assert.is(await findPort(identity!, list), at("ttyUSB1"));
    machine.plug({ ...plain, tty: "ttyUSB2", bus: "1-3" });
    assert.is(await findPort(identity!, list), null);
  },
);

find("of a device with two ports the same one is found again", async () => {
  const second = { ...ESPRUINO, tty: "ttyACM1", interfaceNumber: "02" };
  const { machine, list, at } = machineWith(ESPRUINO, second);
  const identity = await identityOf(at("ttyACM1"), list);
  machine.unplug(ESPRUINO);
  const { rmSync } = await import("node:fs");
  rmSync(join(machine.sys, "class/tty/ttyACM1"));
  machine.plug({ ...ESPRUINO, tty: "ttyACM8", bus: "1-8" });
  machine.plug({ ...second, tty: "ttyACM9", bus: "1-8" });
  assert.is(await findPort(identity!, list), at("ttyACM9"));
});

find("a device is followed to where it comes back; a port USB doesn't name is its name", async () => {
  const { machine, list, at } = machineWith(ESPRUINO);
  const where = await followDevice(at("ttyACM0"), list);
  assert.is(await where(), at("ttyACM0"));
  machine.unplug(ESPRUINO);
  assert.is((await refusalOf(where())).code, "no-device");
  machine.plug({ ...ESPRUINO, tty: "ttyACM7" });
  assert.is(await where(), at("ttyACM7"));
  const plain = await followDevice(machine.file("dev/pts9", ""), list);
  assert.is(await plain(), at("pts9"));
  const { rmSync } = await import("node:fs");
  rmSync(at("pts9"));
  assert.is((await refusalOf(plain())).code, "no-device");
  assert.is(await (await followDevice("COM7", list))(), "COM7");
});

find("a link to a port is that port's device, and stays its name", async () => {
  const { machine, list, at } = machineWith(ESPRUINO);
  machine.file("dev/serial/by-id/keep", "");
  symlinkSync(at("ttyACM0"), at("pump"));
  const identity = await identityOf(at("pump"), list);
  assert.is(identity?.serialNumber, "3971");
  assert.is(await findPort(identity!, list), at("pump"));
  assert.is(await identityOf("/dev/pts/0", list), null);
  assert.is(await identityOf("sim:x", list), null);
});

find.run();
