// What is on a line, over real pseudo-terminals: recorded answers of real SMP
// servers, the built agent, a real Espruino where there is one, text, noise, nothing.

import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeMessage, encodeFrame, makeDeframer, pushBytes } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { report } from "../src/commands/probe";
import { hasAnswered, judge, type Probe, probeDevice, probeRates } from "../src/device/probe";
import { openDevice, type Transport } from "../src/device/transport";
import { memoryFlash } from "../src/sim/flash";
import { openPty, type Pty } from "../src/sim/pty";
import { openSimOver } from "../src/sim/transport";
import { virtualClock } from "./bench";
import { memoryIo } from "./memory-io";
import { engineImage } from "./sim-kit";

const EXCHANGES = "shared/vectors/published/smp/exchanges";
const probes = suite("probe");

interface Recorded {
  frames: { dir: "h2d" | "d2h"; hex: string }[];
}

/** The messages that went one way in a recorded exchange. */
function messagesOf(file: string, dir: "h2d" | "d2h"): Uint8Array[] {
  const { frames } = JSON.parse(readFileSync(join(EXCHANGES, file), "utf8")) as Recorded;
  const messages: Uint8Array[] = [];
  const deframer = makeDeframer(4096);
  for (const frame of frames) {
    if (frame.dir !== dir) continue;
    const bytes = new Uint8Array(Buffer.from(frame.hex, "hex"));
    pushBytes(
      deframer,
      bytes,
      (message) => messages.push(message),
      () => {},
    );
  }
  return messages;
}

const keyOf = (message: Uint8Array) => {
  const { header } = decodeMessage(message);
  return header === null ? "" : `${header.op} ${header.group}/${header.command}`;
};

/** A pty that answers as the servers of a prefix were recorded to; `asked` lists what they were asked. */
async function replay(...prefixes: string[]): Promise<{ pty: Pty; asked: string[] }> {
  const answers = new Map<string, Uint8Array>();
  for (const prefix of prefixes) {
    for (const file of readdirSync(EXCHANGES).filter((name) => name.startsWith(prefix))) {
      const replies = messagesOf(file, "d2h");
      for (const request of messagesOf(file, "h2d").slice(0, 1)) {
        const [op, path] = keyOf(request).split(" ");
        const reply = replies.find((message) => keyOf(message) === `${Number(op) + 1} ${path}`);
        if (reply !== undefined && !answers.has(keyOf(request))) answers.set(keyOf(request), reply);
      }
    }
  }
  const unknown = messagesOf(`${prefixes[0]?.replace(/-image.*|-os.*/, "")}-unknown-group.json`, "d2h")[0];
  const pty = await openPty();
  const asked: string[] = [];
  const deframer = makeDeframer(4096);
  pty.onData((bytes) =>
    pushBytes(
      deframer,
      bytes,
      (message) => {
        asked.push(keyOf(message));
        const recorded = answers.get(keyOf(message)) ?? unknown;
        if (recorded === undefined) return;
        const reply = recorded.slice();
        // Sequence, and for the answer to an unknown group the address too, are those of the question.
        reply.set(message.subarray(4, 8), 4);
        pty.write(encodeFrame(reply));
      },
      () => {},
    ),
  );
  return { pty, asked };
}

/** For what answers the first question: it is given the time that a busy machine takes. */
const ANSWER_MS = 10_000;

async function probePty(pty: Pty, replyMs = 200): Promise<Probe> {
  const line = await openDevice(pty.path);
  try {
    return await probeDevice(line, { replyMs });
  } finally {
    await line.close();
    pty.close();
  }
}

for (const [name, prefix, buffers] of [
  ["MCUboot's recovery of Zephyr 4.4.0", "mcuboot-2048-recovery", null],
  ["MCUboot's recovery of a newer Zephyr", "mcuboot-rec-recovery", { size: 1024, count: 1 }],
] as const) {
  probes(`${name} is known by its images, and never sent an echo`, async () => {
    const { pty, asked } = await replay(`${prefix}-image-state-read`, `${prefix}-os-mcumgr`);
    const probe = await probePty(pty, ANSWER_MS);
    assert.is(probe.kind, "mcuboot-recovery");
    assert.is(asked[0], "0 1/0", "image state comes first");
    assert.not(asked.includes("2 0/0"), "no echo");
    assert.equal(
      asked.filter((key) => !key.startsWith("0 ")),
      [],
      "nothing is written",
    );
    if (probe.kind !== "mcuboot-recovery") return;
    assert.equal(probe.buffers, buffers);
    assert.is(probe.images?.[0]?.version, "0.0.0");
  });
}

probes("a Zephyr application under MCUboot is an SMP server, with its name, buffers and images", async () => {
  const base = "mcuboot-2048-app";
  const { pty } = await replay(`${base}-image-state-read.`, `${base}-os-mcumgr`, `${base}-os-info`);
  const probe = await probePty(pty, ANSWER_MS);
  assert.is(probe.kind, "smp");
  if (probe.kind !== "smp") return;
  assert.equal([probe.name, probe.buffers], ["Zephyr", { size: 2048, count: 4 }]);
  assert.equal(probe.images?.[0]?.flags, ["active", "confirmed", "bootable"]);
  const io = memoryIo();
  report("/dev/ttyACM0", 115200, probe, false, io);
  assert.match(io.out(), /^found +an SMP server, Zephyr$/m);
  assert.match(io.out(), /^image +0, slot 0: 0\.0\.0, active, confirmed, bootable, hash a0306f5e8459d508…$/m);
  assert.is(io.exitCode, 0);
});

probes("an SMP server without images is one too", async () => {
  const { pty } = await replay("native-serial-os-mcumgr");
  const probe = await probePty(pty, ANSWER_MS);
  assert.equal([probe.kind, probe.kind === "smp" && probe.images], ["smp", null]);
});

probes("an SMP server with raw framing is one, known by the answer to the very question", async () => {
  const answer = messagesOf("mcuboot-2048-app-image-state-read.json", "d2h")[0]!;
  for (const [sequence, kind] of [
    [undefined, "smp"],
    [0x40, "unknown"],
  ] as const) {
    const pty = await openPty();
    pty.onData((bytes) => {
      if (bytes[0] !== 0x08) return;
      const reply = answer.slice();
      reply[6] = sequence ?? bytes[6]!;
      pty.write(reply.subarray(0, 20));
      setTimeout(() => pty.write(reply.subarray(20)), 20);
    });
    const probe = await probePty(pty);
    assert.is(probe.kind, kind);
    if (probe.kind !== "smp") continue;
    assert.is(probe.framing, "raw");
    assert.is(probe.images?.length, 1);
    const io = memoryIo();
    report("/dev/ttyACM0", 115200, probe, false, io);
    assert.match(io.out(), /^found +an SMP server with raw framing$/m);
  }
});

probes("our agent says who it is", async () => {
  const line = await openSimOver(memoryFlash(engineImage(), { random: true }), "sim:test");
  const probe = await probeDevice(line);
  await line.close();
  assert.is(probe.kind, "vouch");
  const io = memoryIo();
  report("sim:test", 115200, probe, false, io);
  assert.match(
    io.out(),
    /^port +sim:test\nfound +our agent \S+ on quickjs \S+\ndevice +PUMP-400 B, device id /,
  );
  const json = memoryIo();
  json.json = true;
  report("sim:test", 115200, probe, false, json);
  assert.match(JSON.parse(json.out()).identity.ueid, /^01[0-9a-f]{32}$/);
});

probes("an Espruino console answers ENQ, whatever it makes of the frames before", async () => {
  const pty = await openPty();
  pty.onData((bytes) => {
    const text = Buffer.from(bytes).toString("latin1");
    if (text.includes("\u0005")) {
      pty.write(Buffer.from("Espruino 2v29 ESPR"));
      setTimeout(() => pty.write(Buffer.from("UINOBOARD\r\n>")), 30);
    } else pty.write(Buffer.from(`${text}\r\nUncaught SyntaxError: Got EOF expected EOF\r\n>`));
  });
  assert.equal(await probePty(pty), { kind: "espruino", version: "2v29", board: "ESPRUINOBOARD" });
});

for (const [heard, says, hint] of [
  [
    "text",
    (i: number) => Buffer.from(`[00:00:0${i}.000] <inf> pump: \u001b[32mrate 12 ml/h\u001b[0m\r\n`),
    /term/,
  ],
  [
    "noise",
    (i: number) => Uint8Array.from({ length: 40 }, (_, at) => (at * 97 + i * 31 + 128) & 0xff),
    /--rates/,
  ],
] as const) {
  probes(`a device that sends ${heard} and answers nothing is unknown, and no success`, async () => {
    const pty = await openPty();
    let i = 0;
    const timer = setInterval(() => pty.write(says(i++ % 10)), 40);
    const probe = await probePty(pty);
    clearInterval(timer);
    assert.is(probe.kind, "unknown");
    assert.is(probe.kind === "unknown" && probe.heard, heard);
    const io = memoryIo();
    report("/dev/ttyACM0", 9600, probe, false, io);
    assert.is(io.exitCode, 1);
    assert.match(io.err(), hint);
    // Escapes of a device don't reach the terminal.
    assert.not.match(io.out(), "\u001b");
  });
}

probes("a line that returns what is sent is told from a device", async () => {
  const pty = await openPty();
  pty.onData((bytes) => pty.write(bytes));
  const probe = await probePty(pty);
  assert.equal([probe.kind, probe.kind === "unknown" && probe.heard], ["unknown", "echo"]);
});

probes("silence is silence, in bounded time", async () => {
  assert.equal(await probePty(await openPty()), { kind: "silent" });
  const clock = virtualClock();
  const nobody: Transport = {
    label: "nobody",
    write: async () => {},
    onData: () => {},
    onClose: () => {},
    close: async () => {},
  };
  assert.equal(await clock.run(probeDevice(nobody, { clock })), { kind: "silent" });
  assert.ok(clock.now() < 5000, `${clock.now()} ms`);
  assert.equal(judge(new Uint8Array(0)), { kind: "silent" });
  assert.not(hasAnswered({ kind: "silent" }));
});

probes("a device that garbles every answer ends as unknown, never as a crash", async () => {
  const pty = await openPty();
  pty.onData(() => pty.write(encodeFrame(Uint8Array.of(9, 0, 0, 1, 0, 1, 0, 0, 0xff))));
  assert.is((await probePty(pty)).kind, "unknown");
});

probes("a line that goes while it is probed is a closed line", async () => {
  const pty = await openPty();
  const line = await openDevice(pty.path);
  setTimeout(() => pty.close(), 100);
  let code = "";
  await probeDevice(line).catch((error) => {
    code = error.code;
  });
  assert.is(code, "device-closed");
  await line.close();
});

/** A device at one rate: at others it hears, and sends, noise. */
function atRate(rate: number, device: () => Promise<Transport>): (baud: number) => Promise<Transport> {
  return async (baud) => {
    if (baud === rate) return device();
    let hears: (bytes: Uint8Array) => void = () => {};
    return {
      label: "shaped",
      write: async () => void setTimeout(() => hears(Uint8Array.of(0xfe, 0x80, 0x9c, 0xf8)), 5),
      onData: (listener) => {
        hears = listener;
      },
      onClose: () => {},
      close: async () => {},
    };
  };
}

probes("--rates finds the rate at which a device answers, and null where none does", async () => {
  const open = atRate(57600, () => openSimOver(memoryFlash(engineImage(), { random: true }), "sim:test"));
  const found = await probeRates(open, [9600, 57600, 115200], { replyMs: 500 });
  assert.equal([found?.baud, found?.probe.kind], [57600, "vouch"]);
  assert.is(await probeRates(open, [9600, 115200], { replyMs: 50 }), null);
  assert.is(await probeRates(open, [57600], { timeoutMs: 0 }), null);
});

const REAL = "a real Espruino is known";
const espruino = (() => {
  try {
    return execFileSync("sh", ["-c", "command -v espruino"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
})();
if (espruino === undefined) skip(probes, REAL, "no espruino on PATH");
else
  probes(REAL, async () => {
    const pty = await openPty();
    const child = spawn(espruino, [], { stdio: ["pipe", "pipe", "ignore"] });
    pty.onData((bytes) => child.stdin.write(bytes));
    child.stdout.on("data", (bytes: Buffer) => pty.write(bytes));
    const probe = await probePty(pty);
    child.kill("SIGKILL");
    assert.is(probe.kind, "espruino");
  });

probes.run();
