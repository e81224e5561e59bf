// Deliveries that are killed, cut and lied to. What counts is the file at the other end: byte for byte the sender's,
// so nothing is lost, nothing comes twice and nothing stands out of order.

import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { type Ended, runVouch } from "./child";
import { startMosquitto, whyNoMosquitto } from "./mosquitto-kit";
import { freePort } from "./postgres-kit";
import { temporaryFolder } from "./sim-kit";
import { startWire, writeRecording } from "./stream-delivery-kit";

const tests = suite("stream delivery");
const folder = temporaryFolder();
const KILLS = Number(process.env["VOUCH_KILLS"] ?? 2);
const SLOW = 1_000_000; // bytes a second: a delivery takes long enough to be killed in the middle
const CUT = 120_000;

const maker = writeRecording(join(folder, "sent.vstream"), 1500);
const sent = readFileSync(join(folder, "sent.vstream"));

/** Runs it again and again, killing it so many times, until it ends with 0. */
async function runThroughKills(args: readonly string[], kills: number, again = 20): Promise<Ended> {
  for (let run = 0; ; run++) {
    const started = (child: ChildProcess) => {
      if (run < kills) setTimeout(() => child.kill("SIGKILL"), 350 + Math.random() * 500);
    };
    const ended = await runVouch(folder, ["stream", "record", ...args], started);
    if (ended.status === 0 || run > kills + again) return ended;
  }
}

const isSame = (name: string): boolean => sent.equals(readFileSync(join(folder, name)));

tests("over TCP: sender and receiver killed, the line cut: the same recording arrives", async () => {
  const port = await freePort();
  const wire = await startWire(() => port, SLOW, CUT, 5);
  try {
    const receive = ["--from", `tcp://127.0.0.1:${port}`, "-o", "tcp.vstream", "--json"];
    const send = ["--from", "sent.vstream", "--to", `tcp://127.0.0.1:${wire.port}`];
    const [received, delivered] = await Promise.all([
      runThroughKills(receive, KILLS),
      runThroughKills(send, KILLS),
    ]);
    assert.is(received.status, 0, received.stderr);
    assert.is(delivered.status, 0, delivered.stderr);
    assert.ok(isSame("tcp.vstream"), "another recording arrived");
    assert.ok(wire.cuts > 0);
  } finally {
    wire.stop();
  }
});

const missing = whyNoMosquitto();
if (missing !== undefined) {
  for (const name of ["over MQTT, killed", "a receiver that comes later"]) skip(tests, name, missing);
} else {
  tests(
    "over MQTT: broker, sender and receiver killed, the line cut: the same recording arrives",
    async () => {
      // A broker without a disk forgets all it has acknowledged: the worst there is.
      const broker = await startMosquitto(folder, { isPersistent: false });
      const wire = await startWire(() => broker.port, SLOW, CUT, 3);
      let isDone = false;
      try {
        const address = (port: number) => `mqtt://127.0.0.1:${port}/ward/3`;
        const receive = ["--from", address(broker.port), "-o", "mqtt.vstream", "--json"];
        const send = ["--from", "sent.vstream", "--to", address(wire.port)];
        const killer = async () => {
          for (let kill = 0; kill < 1; kill++) {
            await new Promise((later) => setTimeout(later, 900 + Math.random() * 400));
            await broker.kill();
            await broker.start();
          }
        };
        const sender = async () => {
          let ended = await runThroughKills(send, KILLS);
          // Ended with the broker, who then lost it: the receiver has asked, and the next run hears.
          while (!isDone && ended.status === 0) ended = await runThroughKills(send, 0);
          return ended;
        };
        const receiver = runThroughKills(receive, KILLS).finally(() => {
          isDone = true;
        });
        const [received, delivered] = await Promise.all([receiver, sender(), killer()]);
        assert.is(received.status, 0, received.stderr);
        assert.is(delivered.status, 0, delivered.stderr);
        assert.ok(isSame("mqtt.vstream"), "another recording arrived");
      } finally {
        wire.stop();
        broker.stop();
      }
    },
  );

  tests("over MQTT: a receiver that comes when all has long been sent is sent it again", async () => {
    const broker = await startMosquitto(folder);
    try {
      const where = `mqtt://127.0.0.1:${broker.port}/ward/4`;
      const send = ["--from", "sent.vstream", "--to", where];
      const early = await runVouch(folder, ["stream", "record", ...send]);
      assert.is(early.status, 0, early.stderr);
      assert.match(early.stdout, /with the broker/);
      const receiving = runThroughKills(["--from", where, "-o", "late.vstream"], 0);
      const late = await runThroughKills(send, 0);
      assert.match(late.stdout, /all of it received/);
      assert.is((await receiving).status, 0);
      assert.ok(isSame("late.vstream"));
    } finally {
      broker.stop();
    }
  });
}

assert.ok(maker.frames.length > 1500);
tests.run();
