// Several devices at once: which ones, one failing, what each stream gets.

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ListedPort } from "../src/device/ports";
import { choosePorts, type PortFlags } from "../src/flash/choose";
import { flashMcuboot, mcubootLine } from "../src/flash/mcuboot";
import { look } from "../src/flash/seen";
import { type FlashOne, flashSeveral } from "../src/flash/several";
import { checkMcuboot } from "../src/mcuboot";
import { plainScreen } from "../src/output/screen";
import { virtualClock } from "./bench";
import { McubootDevice } from "./mcuboot-device";
import { KEY, makeMcuboot } from "./mcuboot-kit";
import { type MemoryIo, memoryIo } from "./memory-io";
import { makeImage } from "./sim-kit";

const several = suite("flash several");

const OLD = makeMcuboot({ version: "1.0.0" });
const NEW = makeMcuboot({ version: "1.1.0", payload: makeImage("new", 6000) });

/** Three devices: a and c are well, b has a boot loader that starts nothing of this maker. */
function rack() {
  const clock = virtualClock();
  const devices: Record<string, McubootDevice> = {
    a: new McubootDevice({ clock, slots: [OLD, null] }),
    b: new McubootDevice({ clock, slots: [OLD, null], slotBytes: 1000 }),
    c: new McubootDevice({ clock, slots: [OLD, null] }),
    silent: new McubootDevice({ clock, slots: [OLD, null], loses: () => true }),
  };
  const open = async (port: string) => {
    const device = devices[port];
    if (device === undefined) throw new Refusal("no-such-port", "there is no such port");
    return device.open();
  };
  const link = { clock, open, timeoutMs: 300_000, firstSequence: 0 };
  const checked = checkMcuboot(NEW, KEY);
  const flashOne =
    (io: MemoryIo): FlashOne =>
    async (port, screen) => {
      const report = await flashMcuboot({ port, checked, yes: true, link }, io, screen);
      return { report, line: mcubootLine(report) };
    };
  return { clock, devices, link, flashOne };
}

several("one that fails stops no other, and the exit status is its", async () => {
  const { clock, devices, flashOne } = rack();
  const io = memoryIo();
  await clock.run(flashSeveral(["a", "b", "c"], true, flashOne(io), io));
  assert.is(io.exitCode, 20);
  assert.equal(
    ["a", "b", "c"].map((name) => devices[name]?.running?.version.minor),
    [1, 0, 1],
  );
  assert.match(io.out(), /^MCUboot on a: 1\.1\.0, .*confirmed\nMCUboot on c: .*confirmed\n$/);
  assert.match(io.err(), /^3 devices: a, b, c$/m);
  assert.match(
    io.err(),
    /^vouch: b: the image has \d+ bytes, the slot it goes to has 1000 \[image-too-large\]$/m,
  );
  for (const name of ["a", "c"]) {
    const tenths = [...io.err().matchAll(new RegExp(`^${name}: uploading (\\d+)%$`, "gm"))].map(([, n]) => n);
    assert.equal(tenths, ["10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]);
  }
});

several("together they take no longer than the slowest", async () => {
  const one = rack();
  await one.clock.run(flashSeveral(["a"], true, one.flashOne(memoryIo()), memoryIo()));
  const two = rack();
  await two.clock.run(flashSeveral(["a", "c"], true, two.flashOne(memoryIo()), memoryIo()));
  assert.ok(two.clock.now() < one.clock.now() * 1.15, `${two.clock.now()} and ${one.clock.now()} ms`);
});

several("--json prints an object a line for each, failures among them", async () => {
  const { clock, flashOne } = rack();
  const io = memoryIo();
  io.json = true;
  await clock.run(flashSeveral(["a", "b"], true, flashOne(io), io));
  const lines = io.out().trimEnd().split("\n");
  const told = lines.map((line) => JSON.parse(line) as { port: string; result: string; code?: string });
  told.sort((x, y) => (x.port < y.port ? -1 : 1));
  assert.equal(
    told.map(({ port, result, code }) => [port, result, code]),
    [
      ["a", "flashed", undefined],
      ["b", "failed", "image-too-large"],
    ],
  );
});

several("the worst of 0, 1, 20 and 21 is 20, then 21", async () => {
  const codes: Record<string, string | null> = {
    w: null,
    x: "device-timeout",
    y: "unknown-log",
    z: "rolled-back",
  };
  for (const [ports, status] of [
    ["w", 0],
    ["wx", 1],
    ["xwy", 21],
    ["zyxw", 20],
    ["yz", 20],
  ] as const) {
    const io = memoryIo();
    const one: FlashOne = async (port) => {
      const code = codes[port];
      if (code != null) throw new Refusal(code, "no");
      return { report: {}, line: port };
    };
    await flashSeveral([...ports], true, one, io);
    assert.is(io.exitCode, status, ports);
  }
});

several("without consent nothing is opened, and it is asked for once", async () => {
  const { clock, devices, flashOne } = rack();
  const io = memoryIo({ tty: true, answers: ["n"] });
  const work = clock.run(flashSeveral(["a", "c"], false, flashOne(io), io));
  assert.is(await codeOf(work), "declined");
  assert.match(io.err(), /^2 devices: a, c\nchange these 2 devices\? \[y\/N\] $/);
  assert.equal(devices.a?.heard, []);
});

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
}

const listed = (...names: string[]): ListedPort[] =>
  names.map((path) => ({
    path,
    vendorId: "1209",
    productId: "0001",
    what: "USB serial adapter",
    accessible: path !== "locked",
  }));

function choose(flags: PortFlags, ports: ListedPort[][], io = memoryIo()) {
  const { clock, link } = rack();
  let asked = 0;
  const list = async () => ports[Math.min(asked++, ports.length - 1)] ?? [];
  const suits = async (session: Parameters<typeof look>[0]) =>
    void (await look(session, { tries: 2, replyMs: 700 }));
  return clock.run(choosePorts(flags, { link, suits, list }, plainScreen(io)));
}

several("--all takes what answers and says what it leaves alone", async () => {
  const io = memoryIo();
  const ports = await choose({ all: true }, [listed("a", "silent", "locked", "gone", "c")], io);
  assert.equal(ports, ["a", "c"]);
  assert.match(io.err(), /^left alone: silent: no answer to image state/m);
  assert.match(io.err(), /^left alone: locked: no permission to open it$/m);
  assert.match(io.err(), /^left alone: gone: there is no such port$/m);
});

several("--all with --wait waits for one; without, or in vain, it refuses", async () => {
  assert.equal(await choose({ all: true, wait: 20 }, [[], listed("silent"), listed("silent", "c")]), ["c"]);
  assert.is(await codeOf(choose({ all: true }, [[]])), "no-device");
  assert.is(await codeOf(choose({ all: true, wait: 3 }, [listed("silent")])), "no-device");
});

several(
  "ports are named, each once, or all are meant, never both; without a word it is the only one there is",
  async () => {
    assert.equal(await choose({ port: ["x", "y", "x"] }, []), ["x", "y"]);
    assert.equal(await choose({}, [listed("only")]), ["only"]);
    assert.is(await codeOf(choose({}, [listed("x", "y")])), "ambiguous-port");
    assert.is(await codeOf(choose({}, [[]])), "no-device");
    assert.is(await codeOf(choose({ usb: "1209:0001", all: true }, [])), "usage");
    assert.is(await codeOf(choose({ port: ["x"], all: true }, [])), "usage");
    assert.is(await codeOf(choose({ port: ["/nowhere/tty"], wait: 2 }, [])), "no-device");
  },
);

several.run();
