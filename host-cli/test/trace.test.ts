// --trace: a record of the line that holds no seed, however the line is cut.

import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { cborMap } from "@vouch/shared/cbor";
import { encodeFrame, encodeMessage, smpHeader } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSession } from "../src/device/session";
import { openTrace } from "../src/device/trace";
import type { Transport } from "../src/device/transport";
import { attestDevice, enrolDevice, identify } from "../src/device/vouch";
import { memoryFlash } from "../src/sim/flash";
import { openSimOver } from "../src/sim/transport";
import { engineImage, hash, temporaryFolder } from "./sim-kit";

const traces = suite("trace");
const folder = temporaryFolder();
let files = 0;
const newFile = () => join(folder, `${++files}.trace`);
const read = (file: string) => readFileSync(file, "latin1");

/** A line whose other end is the test. */
function wire(answer: (bytes: Uint8Array) => Uint8Array[] = () => []) {
  let data: (bytes: Uint8Array) => void = () => {};
  let close = () => {};
  const transport: Transport = {
    label: "wire",
    write: async (bytes) => {
      for (const piece of answer(bytes)) data(piece);
    },
    onData: (listener) => {
      data = listener;
    },
    onClose: (listener) => {
      close = listener;
    },
    close: async () => close(),
  };
  return { transport, hear: (bytes: Uint8Array) => data(bytes), end: () => close() };
}

const IMAGE_STATE = encodeMessage(smpHeader(0, 1, 1, 0, 7), cborMap([]));
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

// First, while no secret is known to this process.
traces("it tells time, direction, header and bytes of each message, and text between them", async () => {
  const file = newFile();
  const { transport, hear } = wire();
  const line = openTrace(file).over(transport);
  const heard: number[] = [];
  line.onData((piece) => void heard.push(...piece));
  await line.write(encodeFrame(IMAGE_STATE));
  hear(bytes("rate 12\r\n\u001b]0;x\u0007>\u0006\u0009broken!\n"));
  await line.close();
  const lines = read(file).trimEnd().split("\n");
  assert.equal(
    lines.map((text) => text.replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /, "")),
    [
      'open "wire"',
      "> smp read group 1 command 0 seq 7 v1, 9 bytes: 0800000100010700a0",
      '< text 7 bytes: 72617465203132 "rate 12"',
      `< text 7 bytes: 1b5d303b78073e "\\u001b]0;x\\u0007>"`,
      "< broken frame, not shown",
      "closed",
    ],
  );
  assert.is(Buffer.from(heard).toString("latin1").slice(0, 7), "rate 12");
});

traces("a raw message is a message too", async () => {
  const file = newFile();
  const { transport } = wire();
  const line = openTrace(file).over(transport);
  await line.write(IMAGE_STATE);
  await line.close();
  assert.match(read(file), "> smp read group 1 command 0 seq 7 v1");
});

traces("its file is 0600, is added to, and a line that was cut stays apart", async () => {
  const file = newFile();
  await openTrace(file).over(wire().transport).close();
  assert.is(statSync(file).mode & 0o777, 0o600);
  appendFileSync(file, "half a li");
  chmodSync(file, 0o644);
  await openTrace(file).over(wire().transport).close();
  assert.is(statSync(file).mode & 0o777, 0o600);
  assert.match(read(file), /^\S+ open "wire"\n\S+ closed\nhalf a li\n\S+ open "wire"\n\S+ closed\n$/);
});

traces("a file that can't be opened is refused before anything is sent", () => {
  assert.throws(
    () => openTrace(join(folder, "none/x.trace")),
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
});

/** Asserts that no piece of the seed is in the file: as bytes, as hex, as base64 at any place in it. */
function isClean(file: string, seed: Uint8Array, frame: Uint8Array): void {
  const text = read(file);
  const joined = text.replace(/\s/g, "");
  const base64 = Buffer.from(frame)
    .toString("latin1")
    .replace(/[^A-Za-z0-9+/=]/g, "");
  for (const [form, whole] of [
    ["bytes", Buffer.from(seed).toString("latin1")],
    ["hex", toHex(seed)],
    ["hex of the base64", Buffer.from(base64.slice(20)).toString("hex")],
    ["the frame's base64", base64.slice(60)],
    ["base64", Buffer.from(seed).toString("base64")],
  ] as const) {
    for (let at = 0; at + 8 <= whole.length; at++) {
      const piece = whole.slice(at, at + 8);
      assert.not(text.includes(piece) || joined.includes(piece), `${form} at ${at}`);
    }
  }
}

const seed = hash("a seed that only a station knows");
const nonce = hash("nonce");
const enrol = (first: string) =>
  encodeMessage(
    smpHeader(2, 1, 64, 1, 9),
    cborMap([
      ["nonce", nonce],
      [first, seed],
    ]),
  );

const letters = (piece: Uint8Array) =>
  bytes(
    `${Buffer.from(piece).toString("latin1").replace("\u0006\u0009", "^F^I").replace("\u0004\u0014", "^D^T")}\r\n`,
  );

// Before this process knows any secret, too: none of these messages is ever whole.
traces("what a console returns of a frame that is half sent isn't shown", async () => {
  const frame = encodeFrame(enrol("seed"));
  for (let cut = 3; cut < frame.length - 1; cut++) {
    const file = newFile();
    const { transport, hear } = wire();
    const line = openTrace(file).over(transport);
    await line.write(frame.subarray(0, cut));
    hear(letters(frame.subarray(0, cut)));
    await line.close();
    isClean(file, seed, frame);
    assert.match(read(file), "< text");
  }
});

traces(
  "of an enrol message header and nonce are written, and of its seed nothing, at every cut",
  async () => {
    const frame = encodeFrame(enrol("seed"));
    for (let cut = 0; cut <= frame.length; cut++) {
      const file = newFile();
      const { transport, hear } = wire();
      const line = openTrace(file).over(transport);
      await line.write(frame.subarray(0, cut));
      hear(frame.subarray(0, cut)); // the device returns it
      await line.write(frame.subarray(cut));
      hear(frame.subarray(cut));
      await line.close();
      isClean(file, seed, frame);
      assert.match(read(file), `> smp write group 64 command 1 seq 9 v1, ${enrol("seed").length} bytes: `);
      assert.match(read(file), `body not shown, nonce ${toHex(nonce)}`);
    }
  },
);

traces(
  "nor when a console returns each piece as letters, at every cut, and nobody said it is a secret",
  async () => {
    for (let cut = 2; cut < 40; cut++) {
      // A seed that this process doesn't know yet, each time.
      const own = hash(`seed ${cut}`);
      const pairs: [string, Uint8Array][] = [
        ["seed", own],
        ["nonce", nonce],
      ];
      const frame = encodeFrame(encodeMessage(smpHeader(2, 1, 64, 1, 9), cborMap(pairs)));
      const file = newFile();
      const { transport, hear } = wire();
      const line = openTrace(file).over(transport);
      for (const piece of [frame.subarray(0, cut * 3), frame.subarray(cut * 3)]) {
        await line.write(piece);
        hear(letters(piece));
      }
      await line.close();
      isClean(file, own, frame);
    }
  },
);

traces("nor under another name, from the device, cut off, garbled, or byte by byte", async () => {
  const message = enrol("sead");
  const frame = encodeFrame(message);
  const bent = frame.slice();
  bent[100] = 0x21;
  for (const [name, pieces] of [
    ["another name", [frame]],
    ["cut off", [frame.subarray(0, 110)]],
    ["garbled", [bent]],
    ["no start", [frame.subarray(128)]],
    ["byte by byte", [...frame].map((byte) => Uint8Array.of(byte))],
  ] as const) {
    const file = newFile();
    const { transport, hear } = wire();
    const line = openTrace(file).over(transport);
    for (const piece of pieces) await line.write(piece);
    for (const piece of pieces) hear(piece);
    await line.close();
    isClean(file, seed, frame);
    assert.match(read(file), /closed\n$/, name);
  }
});

traces("a seed sent to a device that echoes like a console, wrapped, as hex, raw, stays out", async () => {
  const echoes = (sent: Uint8Array) => {
    const text = Buffer.from(sent)
      .toString("latin1")
      .replace("\u0006\u0009", "^F^I")
      .replace("\u0004\u0014", "^D^T");
    const hex = toHex(seed);
    const base64 = Buffer.from(seed).toString("base64");
    return [
      ...text.match(/[\s\S]{1,7}/g)!,
      ...text.match(/[\s\S]{1,40}/g)!.map((piece) => `${piece}\r\n`),
      ...hex.match(/.{1,16}/g)!.map((piece) => `${piece}\n`),
      `${base64}\n${hex.toUpperCase()}\n`,
      Buffer.from(seed).toString("latin1"),
    ].map(bytes);
  };
  const file = newFile();
  const { transport, hear } = wire(echoes);
  const session = openSession(openTrace(file).over(transport), { timeoutMs: 300 });
  await enrolDevice(session, nonce, seed).catch(() => {});
  // In a message of another kind, too.
  hear(encodeFrame(encodeMessage(smpHeader(1, 1, 0, 7, 1), cborMap([["output", `key ${toHex(seed)}`]]))));
  hear(
    encodeFrame(
      encodeMessage(smpHeader(3, 1, 0, 0, 1), cborMap([["r", Buffer.from(seed).toString("base64")]])),
    ),
  );
  await session.close();
  isClean(file, seed, encodeFrame(enrol("seed")));
  assert.match(read(file), /text \d+ bytes, not shown/);
  assert.match(read(file), /group 0 command 7 .* not shown/);
});

traces("a station enrols a board without randomness, and the trace of it all has no seed", async () => {
  const file = newFile();
  const board = await openSimOver(memoryFlash(engineImage(), { random: false }), "sim:test");
  let frame = new Uint8Array(0);
  const tap: Transport = {
    ...board,
    write: (sent) => {
      if (sent.length > frame.length) frame = sent.slice();
      return board.write(sent);
    },
  };
  const session = openSession(openTrace(file).over(tap), { timeoutMs: 60_000 });
  const own = hash("another seed");
  await enrolDevice(session, nonce, own);
  const { publicKey } = await identify(session);
  await attestDevice(session, hash("nonce 2"));
  await session.close();
  assert.ok(publicKey);
  isClean(file, own, frame);
  assert.match(read(file), /> smp write group 64 command 1 .* body not shown, nonce /);
  assert.match(read(file), /< smp read-reply group 64 command 4 /);
});

traces("killed at any moment it ends with a whole line", async () => {
  const script = `
    const { openTrace } = require(process.argv[1]);
    let data = () => {};
    const line = openTrace(process.argv[2]).over({ label: "x", write: async () => {}, onData: (l) => { data = l; }, onClose: () => {}, close: async () => {} });
    process.stdout.write("ready");
    for (;;) data(Buffer.from("rate ".repeat(25) + "\\n"));
  `;
  const { build } = await import("esbuild");
  const { workspace } = await import(join(process.cwd(), "scripts/build.mjs"));
  const outfile = join(folder, "trace.cjs");
  await build({
    entryPoints: ["host-cli/src/device/trace.ts"],
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile,
    plugins: [workspace],
    logLevel: "silent",
  });
  for (let run = 0; run < 5; run++) {
    const file = newFile();
    const child = spawn(process.execPath, ["-e", script, outfile, file], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, 20 + run * 7));
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
    const text = read(file);
    assert.match(text, /"\n$/, `${text.length} bytes`);
    for (const line of text.trimEnd().split("\n"))
      assert.match(line, /^\S+Z (open|< text 125 bytes: (7261746520){25} ")/);
  }
});

traces.run();
