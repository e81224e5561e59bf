// A terminal on a line: keys to the device, its text to the person, and over an unplug.

import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { fileURLToPath } from "node:url";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runTerm, type TermOptions } from "../src/commands/term";
import { openDevice } from "../src/device/transport";
import { safeText } from "../src/output/safe";
import { openPty, type Pty } from "../src/sim/pty";

const BIN = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
const term = suite("term");

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 6000) throw new Error(`no ${what} within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A device that notes what it gets; and a terminal in this process on it. */
async function session(over: Partial<TermOptions> = {}) {
  const keys = Object.assign(new EventEmitter(), { pause() {} });
  const seen = { device: "", shown: "", said: "" };
  const note = (pty: Pty) => pty.onData((bytes) => (seen.device += Buffer.from(bytes).toString("latin1")));
  const state = { pty: await openPty(), path: null as string | null };
  note(state.pty);
  const running = runTerm({
    port: state.pty.path,
    open: openDevice,
    find: async () => {
      if (state.path === null) throw new Refusal("no-device", "gone");
      return state.path;
    },
    keys,
    typed: true,
    follow: false,
    show: (bytes) => (seen.shown += Buffer.from(bytes).toString("latin1")),
    say: (text) => (seen.said += `${text}\n`),
    timeoutMs: 10_000,
    ...over,
  });
  await until("start", () => seen.said !== "");
  const type = (text: string) => keys.emit("data", Buffer.from(text, "latin1"));
  return { keys, seen, state, note, running, type };
}

term("keys go to the device, Ctrl-C too; its text comes back; Ctrl-] leaves", async () => {
  const { seen, state, running, type } = await session();
  type("1+2\r");
  type("\u0003");
  await until("keys", () => seen.device === "1+2\r\u0003");
  state.pty.write(Buffer.from("=3\r\n>"));
  await until("text", () => seen.shown === "=3\r\n>");
  type("x\u001dy");
  await running;
  await until("the key before it", () => seen.device.endsWith("x"));
  assert.is(seen.device, "1+2\r\u0003x");
  assert.match(seen.said, "Ctrl-] leaves");
  state.pty.close();
});

term(
  "a device that went is waited for and used where it comes back; what was typed meanwhile is told",
  async () => {
    const { seen, state, note, running, type } = await session();
    state.pty.close();
    await until("notice", () => seen.said.includes("went away"));
    type("lost");
    const again = await openPty();
    note(again);
    state.path = again.path;
    await until("return", () => seen.said.includes("back on"));
    assert.match(seen.said, `back on ${again.path}; 4 bytes typed meanwhile were not sent`);
    type("here");
    await until("keys", () => seen.device === "here");
    again.write(Buffer.from("yes"));
    await until("text", () => seen.shown === "yes");
    type("\u001d");
    await running;
    again.close();
  },
);

term("one can leave while the device is away", async () => {
  const { seen, state, running, type } = await session();
  state.pty.close();
  await until("notice", () => seen.said.includes("went away"));
  type("\u001d");
  await running;
});

term("a device that never comes back ends it, in the time that was given", async () => {
  const { state, running } = await session({ timeoutMs: 300 });
  state.pty.close();
  let code = "";
  await running.catch((error) => {
    code = isRefusal(error) ? error.code : String(error);
  });
  assert.is(code, "did-not-return");
});

term("off a terminal stdin goes to the device, and stdout is the device's bytes, unchanged", async () => {
  const pty = await openPty();
  let got = "";
  const answer = Buffer.from("\u001b]0;title\u0007\xff\x00=3\r\n", "latin1");
  pty.onData((bytes) => {
    got += Buffer.from(bytes).toString("latin1");
    if (got.endsWith("\n")) pty.write(answer);
  });
  const child = spawn(process.execPath, [BIN, "term", "--port", pty.path], { stdio: "pipe" });
  const out: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
  child.stdin.write("1+2\u001d\n");
  const ended = new Promise((resolve) => child.once("close", resolve));
  // It leaves once its stdin has ended and a second went by in silence: what a busy machine takes must not be that second.
  await until("answer", () => Buffer.concat(out).length >= answer.length || child.exitCode !== null);
  child.stdin.end();
  const status = await ended;
  pty.close();
  assert.is(got, "1+2\u001d\n");
  assert.is(Buffer.concat(out).toString("hex"), answer.toString("hex"));
  assert.is(status, 0);
});

term("--follow goes on after stdin has ended", async () => {
  const pty = await openPty();
  const child = spawn(process.execPath, [BIN, "term", "--port", pty.path, "--follow"], { stdio: "pipe" });
  let out = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes));
  let err = "";
  child.stderr.on("data", (bytes: Buffer) => (err += bytes));
  child.stdin.end();
  await until("start", () => err !== "");
  await new Promise((resolve) => setTimeout(resolve, 1500));
  pty.write(Buffer.from("late"));
  await until("text", () => out === "late");
  child.kill();
  pty.close();
});

const pass = (text: string) => safeText()(new Uint8Array(Buffer.from(text)));

for (const [name, text, shown] of [
  ["text in any script", "Grüße, 温度\t12\r\n", "Grüße, 温度\t12\r\n"],
  [
    "colour, cursor and erasing",
    "\u001b[1;32mok\u001b[0m\u001b[2K\u001b[3D",
    "\u001b[1;32mok\u001b[0m\u001b[2K\u001b[3D",
  ],
  ["a title, in letters", "\u001b]0;x\u0007", "\\u{1b}]0;x\u0007"],
  ["the clipboard, in letters", "\u001b]52;c;cm0=\u0007", "\\u{1b}]52;c;cm0=\u0007"],
  ["a question to the terminal, in letters", "\u001b[6n\u001b[?1S", "\\u{1b}[6n\\u{1b}[?1S"],
  ["eight-bit controls, in letters", "\u009b31m\u202e", "\\u{9b}31m\\u{202e}"],
] as const) {
  term(`a person's terminal gets ${name}`, () => {
    assert.is(pass(text), shown);
    // However it is cut.
    const safe = safeText();
    const bytes = new Uint8Array(Buffer.from(text));
    assert.is([...bytes].map((byte) => safe(Uint8Array.of(byte))).join(""), shown);
  });
}

term("a sequence that never ends isn't held for ever", () => {
  const long = `\u001b[${"1;".repeat(40)}`;
  assert.is(pass(long), `\\u{1b}${long.slice(1)}`);
});

term.run();
