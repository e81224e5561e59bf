// One recording through what happens to recorders: a reader is revoked, the cable is pulled, the device loses power.
// It is masked all along, and `--reader-key` opens it as it comes.
//
//   epoch 0: ward, lab ──revoke lab──▶ epoch 1: ward ──cable──▶ the same ──power──▶ a boot more, attested ──Ctrl-C──▶ closed
//
// The port is a link to a pseudo-terminal, as a udev rule makes one: a device that is plugged in again has the name it had.

import type { ChildProcess } from "node:child_process";
import { readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatChallenge } from "@vouch/shared/companions";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { openDevice } from "../src/device/transport";
import { enrolDevice } from "../src/device/vouch";
import { type Device, startDevice } from "../src/sim/device";
import { createFlashFile, openFlashFile } from "../src/sim/flash";
import { openPty, type Pty } from "../src/sim/pty";
import { type Ended, runVouch } from "./child";
import { engineImage, hash, temporaryFolder, withSession } from "./sim-kit";
import { readRecording } from "./stream-device-kit";

const life = suite("a recording's life");
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const FILE = "pump.vstream";

/** The device and its cable, which part. */
const bench = {
  device: null as Device | null,
  pty: null as Pty | null,
  async powerOn() {
    const flash = await openFlashFile(at("flash"));
    bench.device = await startDevice(flash, {
      onData: (bytes) => bench.pty?.write(bytes),
      onRestart() {},
      onHalt() {},
    });
  },
  async plugIn() {
    const pty = await openPty();
    pty.onData((bytes) => void bench.device?.receive(bytes));
    symlinkSync(pty.path, at("tty"));
    bench.pty = pty;
  },
  pull() {
    unlinkSync(at("tty"));
    bench.pty?.close();
    bench.pty = null;
  },
  powerOff() {
    bench.device?.stop();
    bench.device = null;
  },
};

interface Event {
  readonly event: string;
  readonly epoch?: number;
  readonly values?: readonly unknown[];
  readonly how?: string;
}

const events: Event[] = [];
const stderr: string[] = [];
let recorder: ChildProcess | null = null;
let ended: Promise<Ended> | null = null;
let arrived = () => {};

function start(...args: string[]): void {
  ended = runVouch(folder, args, (child) => {
    recorder = child;
    let rest = "";
    child.stdout?.on("data", (text: string) => {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      events.push(...lines.map((line) => JSON.parse(line)));
      arrived();
    });
    child.stderr?.on("data", (text: string) => {
      stderr.push(text);
      arrived();
    });
  });
}

/** Waits for what the recorder says; what it said before `since` doesn't count. Fails when the recorder ends instead. */
async function until(isSo: () => boolean): Promise<void> {
  let isOver = false;
  void ended?.then(() => {
    isOver = true;
    arrived();
  });
  while (!isSo()) {
    assert.not(isOver, `the recorder ended: ${stderr.join("")}`);
    await new Promise<void>((done) => {
      arrived = done;
    });
  }
}

const readingsAfter = (since: number, more: (event: Event) => boolean = () => true) =>
  until(() => events.slice(since).some((event) => event.event === "readings" && more(event)));
const said = (text: string) => stderr.join("").includes(text);

/** What a reader's key opens, as `stream verify` tells it. */
async function verify(reader: string) {
  const key = ["--reader-key", `${reader}.key`, "--recorder-key", "gateway.vkey"];
  const { status, stdout } = await runVouch(folder, ["stream", "verify", FILE, ...key, "--json"]);
  return { status, json: JSON.parse(stdout) };
}

async function ok(...args: string[]): Promise<void> {
  const { status, stderr: told } = await runVouch(folder, args);
  assert.is(status, 0, told);
}

const noPty = await openPty().then(
  (pty) => pty.close(),
  (error: Error) => error.message,
);

if (noPty !== undefined) {
  for (const name of ["rekeyed", "cable", "power"]) skip(life, name, noPty);
} else {
  createFlashFile(at("flash"), engineImage(), { random: true });
  await bench.powerOn();
  await bench.plugIn();
  await withSession(openDevice(at("tty")), (session) => enrolDevice(session, hash("enrol"), null));
  life.before(async () => {
    const dated = { checkpoint: hash("a checkpoint"), ledger: "directory", receipt: hash("its receipt") };
    writeFileSync(at("challenge"), formatChallenge({ ...dated, random: hash("drawn") }));
    for (const name of ["ward", "lab"]) await ok("keygen", name, "--reader", "--plain");
    await ok("keygen", "gateway", "--plain");
    const readers = ["--reader", "ward.reader", "--reader", "lab.reader", "--reader-key", "ward.key"];
    const often = ["--group", "0", "--checkpoint", "2,1s", "--json"];
    start(
      ...["stream", "record", at("tty"), "-o", FILE, "--challenge", "challenge", "-k", "gateway.key"],
      ...[...readers, ...often],
    );
  });
  life.after(() => {
    recorder?.kill("SIGKILL");
    bench.powerOff();
    bench.pty?.close();
  });

  life("a reader who is revoked while it records is out of the next epoch, at once", async () => {
    await readingsAfter(0);
    const first = events.find(({ event }) => event === "readings");
    assert.ok(
      first?.values?.flat().every((value) => typeof value === "string"),
      "opened by --reader-key",
    );
    const asItWas = readFileSync(at("pump.readers.json"));
    // What is no file of readers changes nothing.
    writeFileSync(at("pump.readers.json"), "{");
    await until(() => said("the readers stay as they were"));
    writeFileSync(at("pump.readers.json"), asItWas);
    await ok("stream", "revoke", FILE, "--reader", "lab");
    await readingsAfter(0, ({ epoch }) => epoch !== first?.epoch);
    assert.ok(said("other readers: another epoch begins"));
  });

  life("a cable that was pulled: the stream goes on where it was, and nothing is attested anew", async () => {
    bench.pull();
    await until(() => said("the line is gone; waiting for the device"));
    const before = events.length;
    await bench.plugIn();
    await readingsAfter(before);
    const { evidence, seqs } = readRecording(at(FILE));
    assert.is(evidence, 1);
    assert.equal(
      seqs,
      seqs.map((_, i) => i),
      "every frame is there once",
    );
  });

  life(
    "a device that lost power is attested again, its stream goes on, and the readers are the last",
    async () => {
      bench.powerOff();
      bench.pull();
      const seen = events.length;
      await bench.powerOn();
      await bench.plugIn();
      await readingsAfter(seen);
      recorder?.kill("SIGINT");
      const { status, stderr: told } = await ended!;
      assert.is(status, 0, told);
      assert.is(events.at(-1)?.how, "closed");
      assert.is(readRecording(at(FILE)).evidence, 2);

      const ward = await verify("ward");
      assert.is(ward.status, 0, JSON.stringify(ward.json));
      assert.is(ward.json.boots.length, 2);
      assert.is(ward.json.unopened, 0);
      const lab = await verify("lab");
      assert.is(lab.status, 0);
      assert.is(lab.json.boots[1].readings, null, "nothing of the boot after it was revoked");
      const epochs = events.flatMap(({ event, epoch }) => (event === "readings" ? [epoch] : []));
      const before = epochs.filter((epoch) => epoch === epochs[0]).length;
      assert.is(lab.json.opened, before, "and nothing after it was revoked");
      assert.is(ward.json.opened, epochs.length);
    },
  );
}

life.run();
