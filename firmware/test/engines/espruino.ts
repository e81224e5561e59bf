// The conversation with Espruino itself, as built for Linux: the agent as a module in its Storage, flash in the file
// that stands for flash there, SMP on Serial1, which is a pseudo-terminal, and the console closed.
//
//   0x10000000  Storage   the module "vouch"
//   0x10020000  engine, first run
//   0x10028000  engine, second run: the port makes one of them
//   0x10030000  slots and store
//
// A restart is real: E.reboot() ends the process, and the next one finds what is in flash. The clock is
// the test's: a millisecond more whenever somebody looks, so that no signature takes a second of uptime.
//
// A board runs the module from where it lies in flash. Here its text is copied to memory first: this build opens
// its flash file for every few bytes of it, and takes four times as long.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mapGet } from "@vouch/shared/cbor";
import { decodeMessage } from "@vouch/shared/smp";
import { openPty, type Pty } from "../../../host-cli/src/sim/pty";
import { engineImage } from "../kit";
import { askProgress, bodyOf, DEBUG_STATUS, LAYOUT, messagesIn, type Player } from "./conversation";

const RUNS = [
  { address: 0x10020000, length: 1536 },
  { address: 0x10028000, length: engineImage.length - 1536 },
];
const FLASH = 0x10030000 - LAYOUT.engine.length; // where the layout's address 0 would be
const REPLY_MS = 120_000;
const POLL_MS = 50;
const PIECE = 512;
const FIRST_POLL = 128; // the conversation's own requests are fewer
const POLLS = 128;

const moved = ({ address, length }: { address: number; length: number }) => ({
  address: address + FLASH,
  length,
});

/** Puts bundle and engine image into a flash file in `folder`. */
function provision(program: string, folder: string, bundle: string): void {
  const lines = ['var s = require("Storage"), f = require("Flash");', "s.eraseAll();"];
  for (let at = 0; at < bundle.length; at += PIECE) {
    const piece = JSON.stringify(bundle.slice(at, at + PIECE));
    lines.push(`s.write("vouch", ${piece}, ${at}, ${bundle.length});`);
  }
  let from = 0;
  for (const { address, length } of RUNS) {
    for (let at = 0; at < length; at += PIECE) {
      const piece = engineImage.subarray(from + at, from + Math.min(at + PIECE, length));
      lines.push(`f.write(new Uint8Array([${piece.join()}]), ${address + at});`);
    }
    from += length;
  }
  writeFileSync(join(folder, "provision.js"), lines.join("\n"));
  const { status, stdout, stderr } = spawnSync(program, ["provision.js"], {
    cwd: folder,
    encoding: "utf8",
    timeout: REPLY_MS,
  });
  if (status !== 0) throw new Error(`${program} can't be provisioned: ${stdout.slice(-300)}${stderr}`);
}

const bootCode = (path: string) => `
var ms = 0, getTime = function () { ms++; return ms / 1000; };
vouchBoard = {
  line: Serial1,
  console: null,
  engine: ${JSON.stringify(RUNS)},
  slots: ${JSON.stringify(LAYOUT.slots.map(moved))},
  store: ${JSON.stringify(moved(LAYOUT.store))},
  writeSize: ${LAYOUT.writeSize},
  mapped: null,
  random: false,
  debugStatus: ${DEBUG_STATUS}
};
Serial1.setup(115200, {path: ${JSON.stringify(path)}});
Modules.addCached("vouch", require("Storage").read("vouch") + ""); // out of Storage into memory: see above
require("vouch");
`;

class Device {
  private received = Buffer.alloc(0);
  private child: ChildProcess | undefined;
  private said = "";
  private polls = 0;
  private ended: Promise<void> = Promise.resolve();

  constructor(
    private readonly program: string,
    private readonly folder: string,
    private readonly pty: Pty,
  ) {
    pty.onData((bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
  }

  /** Starts it, and waits until it answers. */
  async boot(): Promise<void> {
    this.said = "";
    const child = spawn(this.program, ["boot.js"], { cwd: this.folder, stdio: ["pipe", "pipe", "pipe"] });
    this.child = child; // its input stays open: at its end Espruino reads endless 0xFF
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) => {
        this.said = (this.said + text).slice(-2000);
      });
    this.ended = new Promise((settle) => child.once("close", () => settle()));
    const deadline = performance.now() + REPLY_MS;
    while ((await this.tryAsk(this.poll(), 1000)) === undefined) {
      if (this.hasEnded() || performance.now() > deadline)
        throw new Error(`${this.program} ${this.how()} its first request: ${this.said}`);
    }
  }

  /** Progress, under a number no other request has: what comes late must not be taken for another's. */
  private poll(): Uint8Array {
    this.polls = (this.polls + 1) % POLLS;
    return askProgress(FIRST_POLL + this.polls);
  }

  private async tryAsk(bytes: Uint8Array, patienceMs: number): Promise<Uint8Array | undefined> {
    const [request] = messagesIn(bytes);
    this.received = Buffer.alloc(0);
    this.pty.write(bytes);
    for (const deadline = performance.now() + patienceMs; performance.now() < deadline; await sleep(2)) {
      if (this.hasEnded()) return undefined;
      const reply = messagesIn(this.received).find((message) => sequenceOf(message) === sequenceOf(request));
      if (reply !== undefined) return reply;
    }
    return undefined;
  }

  async ask(bytes: Uint8Array, name: string): Promise<Uint8Array> {
    const reply = await this.tryAsk(bytes, REPLY_MS);
    if (reply === undefined) throw new Error(`${this.program} ${this.how()} ${name}: ${this.said}`);
    return reply;
  }

  private hasEnded(): boolean {
    return this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private how(): string {
    const { exitCode = null, signalCode = null } = this.child ?? {};
    return this.hasEnded() ? `ended with ${signalCode ?? `status ${exitCode}`} at` : "doesn't answer";
  }

  async finishJob(): Promise<void> {
    for (;;) {
      const state = mapGet(bodyOf(await this.ask(this.poll(), "progress")), "state");
      if (state !== "measuring" && state !== "signing") return;
      await sleep(POLL_MS);
    }
  }

  /** It ends by itself after a reset was asked for. */
  async restart(): Promise<void> {
    const late = setTimeout(() => this.stop(), REPLY_MS);
    await this.ended;
    clearTimeout(late);
    await this.boot();
  }

  stop(): void {
    this.child?.kill("SIGKILL");
  }
}

const sequenceOf = (message: Uint8Array | undefined) =>
  message === undefined ? undefined : decodeMessage(message).header?.sequence;

const sleep = (ms: number) => new Promise((settle) => setTimeout(settle, ms));

export const playOnEspruino =
  (program: string): Player =>
  async (bundle, steps) => {
    const folder = mkdtempSync(join(tmpdir(), "vouch-espruino-"));
    const pty = await openPty();
    const device = new Device(program, folder, pty);
    try {
      provision(program, folder, bundle);
      writeFileSync(join(folder, "boot.js"), bootCode(pty.path));
      await device.boot();
      const replies: Uint8Array[] = [];
      for (const step of steps) {
        if (step.kind === "ask") replies.push(await device.ask(step.bytes, step.name));
        else if (step.kind === "finish") await device.finishJob();
        else if (step.kind === "pass") throw new Error("time isn't the test's here");
        else await device.restart();
      }
      return replies;
    } finally {
      device.stop();
      pty.close();
      rmSync(folder, { recursive: true, force: true });
    }
  };
