// A receiver between its true sender and somebody who may publish too: real processes, a real broker, and bytes that no device
// made. What counts is the recording that is there in the end, and what was told of it on the way.

import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import {
  DELIVERY_HELLO,
  DELIVERY_PIECE,
  DELIVERY_STAND,
  decodeStand,
  encodeHello,
  encodePayload,
  encodePiece,
  frameMessage,
  MessageReader,
  topicOf,
} from "@vouch/shared/delivery";
import { encodeFrameItem } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { StreamMaker } from "../../shared/test/stream-kit";
import { parseAddress } from "../src/stream/address";
import { openBroker } from "../src/stream/broker";
import { runVouch } from "./child";
import { startMosquitto, whyNoMosquitto } from "./mosquitto-kit";
import { freePort } from "./postgres-kit";
import { temporaryFolder } from "./sim-kit";
import { recordingOf } from "./stream-delivery-kit";

const tests = suite("stream delivery, hostile peers");
const folder = temporaryFolder();

/** The device's stream, up to a signed frame; what somebody else makes of its end; and all of it. */
const maker = new StreamMaker({ everyFrames: 16 });
maker.announce();
for (let i = 0; i < 20; i++) maker.data(5);
maker.checkpoint();
const early = recordingOf(maker.frames);
const forged = encodeFrameItem(maker.data(1, { isAside: true }, 199));
for (let i = 0; i < 20; i++) maker.data(5);
const unsigned = recordingOf(maker.frames);
maker.checkpoint();
maker.data(5);
maker.close();
const whole = recordingOf(maker.frames);
const ROWS = 41 * 5;

const save = (name: string, bytes: Uint8Array) => writeFileSync(join(folder, name), bytes);
const read = (name: string) => readFileSync(join(folder, name));
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const send = (name: string, to: string, ...more: string[]) =>
  runVouch(folder, ["stream", "record", "--from", name, "--to", to, ...more]);

/** Values of the pulse as the receiver told them, proved ones. */
function pulses(stdout: string): string[] {
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return events
    .filter(({ event, proved }) => event === "readings" && proved)
    .flatMap(({ values }) => values.map(([pulse]: string[]) => pulse));
}

function checkReceived(
  name: string,
  received: { status: number | null; stdout: string; stderr: string },
): void {
  assert.is(received.status, 0, received.stderr);
  assert.ok(read(name).equals(whole), "another recording arrived");
  const told = pulses(received.stdout);
  assert.is(told.length, ROWS);
  assert.not.ok(told.includes("199"), "a forged reading was told");
  const aside = readdirSync(folder).filter((file) => file.startsWith(name) && file.endsWith(".displaced"));
  assert.is(aside.length, 1);
  assert.ok(read(aside[0]!).includes(Buffer.from(forged)));
  assert.match(received.stderr, /both are kept until a signed frame ends one of them/);
  assert.match(received.stderr, /the one that was here is in/);
}

/** Greets, puts bytes behind all that is there, and gives where the receiver then stands. */
function append(port: number, at: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const reader = new MessageReader();
    const socket = connect(port, "127.0.0.1");
    socket.on("error", reject);
    socket.write(frameMessage(DELIVERY_HELLO, encodeHello(maker.id)));
    socket.on("data", (data) =>
      reader.push(data, (type, body) => {
        if (type !== DELIVERY_STAND) return reject(new Error("refused"));
        const { next } = decodeStand(body);
        if (next >= at + bytes.length) {
          socket.destroy();
          resolve(next);
        } else if (next < at) {
          const again = early.subarray(next, at);
          socket.write(
            frameMessage(DELIVERY_PIECE, encodePiece({ at: next, bytes: concatBytes([again, bytes]) })),
          );
        }
      }),
    );
  });
}

async function listens(port: number): Promise<void> {
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (isThere) return;
    await later(50);
  }
}

tests(
  "over TCP: a sender that isn't the device's appends a frame; the device's frames arrive nevertheless",
  async () => {
    const port = await freePort();
    const where = `tcp://127.0.0.1:${port}`;
    save("early.vstream", early);
    save("unsigned.vstream", unsigned);
    save("whole.vstream", whole);
    let receiver: ChildProcess | null = null;
    const receive = () =>
      runVouch(folder, ["stream", "record", "--from", where, "-o", "tcp.vstream", "--json"], (child) => {
        receiver = child;
      });
    let receiving = receive();
    await listens(port);
    assert.match((await send("early.vstream", where)).stdout, /all of it received/);
    await append(port, early.length, forged);

    // Nothing signed has come yet: the true sender isn't told that all it has is there, though it is kept.
    const waits = await send("unsigned.vstream", where, "--timeout", "2");
    assert.is(waits.status, 1, waits.stdout);
    assert.match(waits.stderr, /delivery-incomplete/);

    // Killed in between, the receiver still has both.
    receiver!.kill("SIGKILL");
    await receiving;
    assert.ok(read("tcp.vstream").equals(concatBytes([early, forged])));
    receiving = receive();
    await listens(port);
    const done = await send("whole.vstream", where);
    assert.is(done.status, 0, done.stderr);
    const received = await receiving;
    assert.match(received.stderr, /the one that was here is in/);
    assert.ok(read("tcp.vstream").equals(whole), "another recording arrived");
    assert.not.ok(pulses(received.stdout).includes("199"));
    assert.is(readdirSync(folder).filter((file) => file.startsWith("tcp.vstream.")).length, 1); // displaced
  },
);

const missing = whyNoMosquitto();
if (missing !== undefined) skip(tests, "a broker that appends frames", missing);
else
  tests(
    "over MQTT: somebody publishes a frame beside the sender; the device's frames arrive nevertheless",
    async () => {
      const broker = await startMosquitto(folder);
      try {
        const where = `mqtt://127.0.0.1:${broker.port}/ward/9`;
        save("growing.vstream", early);
        const receiving = runVouch(folder, [
          "stream",
          "record",
          "--from",
          where,
          "-o",
          "mqtt.vstream",
          "--json",
        ]);
        for (let sent = await send("growing.vstream", where); !/all of it received/.test(sent.stdout); )
          sent = await send("growing.vstream", where);
        await new Promise<void>((resolve) => {
          const hostile = openBroker({
            address: parseAddress(where),
            tls: {},
            clientId: "vouch-ffffffffffffffff",
            password: null,
            subscribe: ["nothing"],
            onMessage: async () => {},
            onConnect: async () => {
              const piece = encodePayload(encodePiece({ at: early.length, bytes: forged }));
              await hostile.publish(topicOf("ward/9", maker.id, "piece"), piece, false);
              await hostile.close();
              resolve();
            },
            onLost() {},
          });
        });
        while (read("mqtt.vstream").length < early.length + forged.length) await later(50);
        save("growing.vstream", whole);
        const done = await send("growing.vstream", where);
        assert.is(done.status, 0, done.stderr);
        checkReceived("mqtt.vstream", await receiving);
      } finally {
        broker.stop();
      }
    },
  );

tests.run();
