// vouch flash FILE.js over a stand-in for Espruino's console, with faults to order and
// a clock that jumps. Never "flashed" without the very bytes in Storage.

import { isRefusal, type Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hasPackets, openEspruino } from "../src/device/espruino";
import { cut, encodePacket, PACKET } from "../src/device/espruino-packets";
import { EXIT, statusOf } from "../src/exit";
import { type EspruinoFlashOptions, type EspruinoReport, flashEspruino } from "../src/flash/espruino";
import { virtualClock } from "./bench";
import { type ConsoleOptions, ConsoleStandIn } from "./espruino-console";
import { type MemoryIo, memoryIo } from "./memory-io";

const TIMEOUT_MS = 300_000;
const program = (size: number) =>
  new Uint8Array(Buffer.from("// keeps the pump running\n".repeat(Math.ceil(size / 26)).slice(0, size)));
const everyByte = Uint8Array.from({ length: 9000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

interface Run {
  readonly standIn: ConsoleStandIn;
  readonly io: MemoryIo;
  readonly report: EspruinoReport | null;
  readonly refusal: Refusal | null;
  readonly elapsed: number;
}

async function flash(
  console: ConsoleOptions,
  file: Uint8Array,
  more: Partial<EspruinoFlashOptions> & {
    before?: (standIn: ConsoleStandIn) => void;
    timeoutMs?: number;
  } = {},
): Promise<Run> {
  const clock = virtualClock();
  const standIn = new ConsoleStandIn(clock, console);
  more.before?.(standIn);
  const io = memoryIo();
  const options: EspruinoFlashOptions = {
    port: "/dev/ttyACM0",
    file,
    name: ".bootcde",
    load: true,
    yes: true,
    baud: 115200,
    link: { timeoutMs: more.timeoutMs ?? TIMEOUT_MS, clock, open: async () => standIn.open() },
    ...more,
  };
  const outcome = await clock.run(
    flashEspruino(options, io).then(
      (report) => ({ report, refusal: null }),
      (error: unknown) => {
        if (!isRefusal(error)) throw error;
        assert.is(statusOf(error), error.code === "verify-mismatch" ? EXIT.refuted : EXIT.trouble);
        return { report: null, refusal: error };
      },
    ),
  );
  return { standIn, io, ...outcome, elapsed: clock.now() };
}

const held = (run: Run, name = ".bootcde") => run.standIn.files.get(name)?.toString("hex");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Seeded, so that a failure repeats. */
function losing(seed: number, perMillion: number): (bytes: Uint8Array) => Uint8Array {
  let state = seed;
  return (bytes) =>
    bytes.filter(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32 >= perMillion / 1e6;
    });
}

const packets = suite("espruino packets");

packets("are framed as Espruino's documentation has them", () => {
  assert.is(hex(encodePacket(PACKET.eval, Buffer.from("1+2"))), "10012003312b32");
  assert.is(hex(encodePacket(PACKET.data, Buffer.from("Hello World"))).slice(0, 8), "1001800b");
});

packets("of every size up to 9000 bytes add up, and none has length byte 3 or 4", () => {
  for (const largest of [512, 1024, 4096]) {
    for (let size = 1; size <= 9000; size++) {
      const lengths = cut(size, largest);
      assert.is(
        lengths.reduce((sum, length) => sum + length, 0),
        size,
      );
      if (
        lengths.some(
          (length) => length < 1 || length > largest || (length & 0xff) === 3 || (length & 0xff) === 4,
        )
      )
        throw new Error(`${size} bytes in ${lengths}`);
    }
  }
});

packets("are for 2v25 and newer", () => {
  for (const version of ["2v25", "2v25.12", "2v29", "2v100", "3v01"]) assert.ok(hasPackets(version), version);
  for (const version of ["2v24", "2v24.108", "1v99", "2v08", "", "abc"])
    assert.not(hasPackets(version), version);
});
packets.run();

const writes = suite("espruino flash");

for (const [name, faults, method, check] of [
  ["packets and SHA-256", {}, "packets", "sha256"],
  ["packets and CRC-32", { hasSha256: false }, "packets", "crc32"],
  ["lines below 2v25", { version: "2v24" }, "lines", "sha256"],
  ["lines and CRC-32 on 1v99", { version: "1v99", hasSha256: false }, "lines", "crc32"],
  ["lines without any CRC in the firmware", { version: "2v08", hasCrc32: false }, "lines", "sha256"],
  ["a UART, paced", { console: "Serial1" }, "packets", "sha256"],
] as [string, ConsoleOptions, string, string][]) {
  writes(`puts every byte value into Storage: ${name}`, async () => {
    const run = await flash(faults, everyByte, { name: "data.bin", load: false });
    assert.is(run.refusal, null);
    assert.is(held(run, "data.bin"), hex(everyByte));
    assert.is(run.report?.method, method);
    assert.is(run.report?.check, check);
    assert.is(run.standIn.loads, 0);
  });
}

for (const size of [1, 2, 3, 4, 5, 255, 256, 259, 260, 511, 512, 513, 4095, 4096, 4097, 4099, 4100, 8195]) {
  writes(`a file of ${size} bytes`, async () => {
    for (const version of ["2v29", "2v24"]) {
      const run = await flash({ version }, program(size), { load: false });
      assert.is(held(run), hex(program(size)), version);
      assert.is(run.report?.result, "flashed");
    }
  });
}

writes("what is there already isn't written again, and the program isn't stopped", async () => {
  const file = program(5000);
  const run = await flash({}, file, {
    before: ({ files }) => void files.set(".bootcde", Buffer.from(file)),
  });
  assert.is(run.report?.result, "already-there");
  assert.is(run.standIn.resets + run.standIn.loads, 0);
  assert.ok(run.standIn.received < 2000);
});

writes("one byte that differs is no identical file", async () => {
  const file = program(5000);
  const other = Buffer.from(file);
  other[4999] = 0x41;
  const run = await flash({}, file, { before: ({ files }) => void files.set(".bootcde", other) });
  assert.is(run.report?.result, "flashed");
  assert.is(held(run), hex(file));
});

writes("--dry-run says what it would do and does nothing", async () => {
  const run = await flash({}, program(500), { dryRun: true });
  assert.is(run.report?.result, "would-flash");
  assert.is(run.standIn.files.size + run.standIn.resets, 0);
  assert.match(run.io.err(), /plan {4}reset\(\), write, verify by the device's SHA-256, load\(\)/);
});

for (const [name, faults] of [
  ["a program that prints all the time", { chatter: "pressure 101.3\r\n>\x1b[J" }],
  ["a program that never returns", { busy: true }],
  ["a program left in the debugger", { debugging: true }],
  ["half a line that somebody left", { typed: "foo(" }],
  ["XOFF now and then", { xoff: { every: 2000, forMs: 700 } }],
  ["two packets not acknowledged", { naks: 2 }],
  ["packets that are never acknowledged", { naks: 999 }],
  ["a bit that flash turned, once", { turned: 1 }],
  ["the same by lines", { turned: 1, version: "2v24" }],
  ["XOFF by lines", { xoff: { every: 2000, forMs: 700 }, version: "2v24" }],
] as [string, ConsoleOptions][]) {
  writes(`survives ${name}`, async () => {
    const run = await flash(faults, program(9000));
    assert.is(run.refusal, null);
    assert.is(held(run), hex(program(9000)));
    assert.ok(
      run.standIn.whileHeld <= 128 * 5,
      `${run.standIn.whileHeld} bytes came while the line was held`,
    );
  });
}

for (const [name, faults] of [
  ["packets", {}],
  ["lines", { version: "2v24" }],
] as [string, ConsoleOptions][]) {
  writes(
    `bytes lost on the line, 50 and 200 in a million, by ${name}: right or refused, 40 runs`,
    async () => {
      const file = program(20_000);
      let flashed = 0;
      for (let seed = 0; seed < 40; seed++) {
        const run = await flash({ ...faults, loss: losing(seed, seed % 2 === 0 ? 50 : 200) }, file);
        if (run.report !== null) {
          assert.is(held(run), hex(file), `seed ${seed}`);
          flashed++;
        }
      }
      assert.ok(flashed >= 36, `${flashed} of 40 got through`);
    },
  );
}
writes.run();

const refuses = suite("espruino refusals");

for (const [name, faults, code, words] of [
  ["a flash that turns a bit each time", { turned: 99 }, "verify-mismatch", /no \.bootcde now/],
  ["the same by lines", { turned: 99, version: "2v24" }, "verify-mismatch", /no \.bootcde now/],
  [
    "a line that loses one byte in a hundred",
    { loss: losing(1, 10_000) },
    "device-timeout",
    /none was answered/,
  ],
  ["Storage that is full", { capacity: 4096 }, "storage-full", /nothing was written/],
  ["a program that won't stop", { keepsRunning: true }, "device-timeout", /old program is still there/],
  ["firmware without a hash", { hasSha256: false, hasCrc32: false }, "cannot-verify", /verified/],
  [
    "XOFF that is never taken back",
    { xoff: { every: 3000, forMs: 1e9 } },
    "device-timeout",
    /no \.bootcde now|may be incomplete/,
  ],
  ["a cable that goes", { cutAfter: 6000 }, "device-closed", /may be incomplete, and the old one is gone/],
  ["a device that doesn't answer", { deaf: true }, "not-espruino", /nothing answers/],
  [
    "answers that are no answers",
    { babble: "<v1:99999:\x1b]0;owned\x07" },
    "device-timeout",
    /none was answered/,
  ],
  [
    "output without end",
    { chatter: "\x1b[2J".repeat(4000), deaf: true },
    "not-espruino",
    /u\{1b\}|u001b|x1b/,
  ],
] as [string, ConsoleOptions, string, RegExp][]) {
  refuses(`${name}: ${code}, and says what the device holds`, async () => {
    const run = await flash(faults, program(9000), {
      before: ({ files }) => void files.set(".bootcde", Buffer.from("print('old')")),
    });
    assert.is(run.refusal?.code, code, run.refusal?.message);
    assert.match(run.refusal?.message ?? "", words);
    assert.ok(run.refusal?.hint !== undefined, "a next step");
    assert.ok(
      [...(run.refusal?.message ?? "")].every((char) => char >= " "),
      run.refusal?.message,
    );
    assert.ok(run.elapsed < TIMEOUT_MS);
  });
}

refuses("a program that throws as it starts, with its words made printable", async () => {
  const run = await flash({}, new Uint8Array(Buffer.from('throw new Error("\\x1b[31mpump")')));
  assert.is(run.refusal?.code, "program-threw");
  assert.match(run.refusal?.message ?? "", /pump/);
  assert.not(run.refusal?.message.includes("\u001b"));
});

refuses("a program that takes the console is started, and the silence is told", async () => {
  const run = await flash({ takesConsole: true }, program(100));
  assert.is(run.report?.result, "flashed");
  assert.is(run.report?.console, false);
});

refuses("a wait beyond --timeout", async () => {
  const run = await flash({ xoff: { every: 1000, forMs: 3000 } }, program(60_000), { timeoutMs: 8000 });
  assert.is(run.refusal?.code, "device-timeout");
  assert.ok(run.elapsed <= 9000, `${run.elapsed} ms`);
});

refuses("a change that nobody agreed to", async () => {
  const run = await flash({}, program(10), { yes: false });
  assert.is(run.refusal?.code, "not-a-terminal");
  assert.is(run.standIn.files.size + run.standIn.resets, 0);
});

refuses("random answers are bounded in time and memory, whatever they are", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const clock = virtualClock();
    let listener: (bytes: Uint8Array) => void = () => {};
    let state = seed;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    };
    const session = openEspruino(
      {
        label: "noise",
        write: async (bytes) => {
          const noise = Uint8Array.from({ length: 300 }, next);
          const enq = Buffer.from("Espruino 2v29 X\r\n");
          clock.after(1, () => listener(bytes.includes(5) && seed % 2 === 0 ? enq : noise));
        },
        onData: (to) => {
          listener = to;
        },
        onClose: () => {},
        close: async () => {},
      },
      { clock, deadline: 60_000 },
    ).then((espruino) => espruino.evaluate("1"));
    const code = await clock.run(
      session.then(
        () => "answered",
        (error: unknown) => (isRefusal(error) ? error.code : String(error)),
      ),
    );
    assert.ok(["not-espruino", "device-timeout"].includes(code), `${seed}: ${code}`);
    assert.ok(clock.now() <= 61_000);
  }
});
refuses.run();
