// The other side of a delivery that says too much, or too little: what it can have us keep in memory is bounded, and so is how
// long it may hold a line without saying what is due. Real sockets; limits that are times are short ones here.

import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import {
  DELIVERY_HELLO,
  DELIVERY_STAND,
  encodeHello,
  encodePayload,
  encodeStand,
  frameMessage,
  topicOf,
} from "@vouch/shared/delivery";
import type { Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StreamMaker } from "../../shared/test/stream-kit";
import { parseAddress } from "../src/stream/address";
import { openBroker } from "../src/stream/broker";
import { Cursor } from "../src/stream/cursor";
import { Intake } from "../src/stream/intake";
import { deliverOverMqtt } from "../src/stream/mqtt";
import { type Queue, WINDOW_BYTES } from "../src/stream/outgoing";
import { Recording } from "../src/stream/recording";
import { deliverOverTcp, type Listening, listenOnTcp, TCP_LIMITS, type TcpLimits } from "../src/stream/tcp";
import { temporaryFolder } from "./sim-kit";
import { receivingInto } from "./stream-delivery-kit";

const tests = suite("stream bounds");
const folder = temporaryFolder();
const MB = 1024 * 1024;

const maker = new StreamMaker();
maker.announce();
const { id } = maker;
const greeting = frameMessage(DELIVERY_HELLO, encodeHello(id));

let count = 0;
/** A receiver with its own limits. */
async function listening(
  limits: Partial<TcpLimits>,
  work: (receiver: Listening) => Promise<void>,
): Promise<void> {
  const recording = Recording.open(join(folder, `${count++}.vstream`));
  const intake = new Intake(recording);
  const receiver = await listenOnTcp(parseAddress("tcp://127.0.0.1:0"), {}, receivingInto(intake), {
    ...TCP_LIMITS,
    ...limits,
  });
  try {
    await work(receiver);
  } finally {
    await receiver.close();
    recording.close();
  }
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()));
const answered = (socket: Socket) => new Promise<void>((resolve) => socket.once("data", () => resolve()));

function line({ port }: { port: number }): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  return socket;
}

tests("a sender that never greets is sent away, though it says a byte now and then", () =>
  listening({ greetingMs: 150 }, async (receiver) => {
    const socket = line(receiver);
    const gone = closed(socket);
    let at = 0;
    const dribble = setInterval(() => socket.write(greeting.subarray(at, ++at)), 25);
    await gone;
    clearInterval(dribble);
    assert.ok(at < greeting.length, "it had the time to greet");
  }),
);

tests("a sender that greeted has all the time there is, and hears where the receiver stands", () =>
  listening({ greetingMs: 50, keepaliveMs: 20, silenceMs: 200 }, async (receiver) => {
    const socket = line(receiver);
    socket.write(greeting);
    let words = 0;
    socket.on("data", (bytes: Buffer) => {
      words += bytes.length;
    });
    const isGone = closed(socket).then(() => true);
    const isLong = new Promise<boolean>((later) => setTimeout(later, 600, false));
    assert.not.ok(await Promise.race([isGone, isLong]));
    assert.ok(words > 2 * stand(10).length);
    socket.destroy();
  }),
);

tests("no more lines than so many; the next one is served when one of them ends", () =>
  listening({ connections: 2 }, async (receiver) => {
    const first = [line(receiver), line(receiver)];
    for (const socket of first) await new Promise((made) => socket.once("connect", made));
    const turnedAway = line(receiver);
    await closed(turnedAway.resume());
    first[1]!.destroy();
    for (let served = false; !served; ) {
      const next = line(receiver);
      next.write(greeting);
      served = await Promise.race([answered(next).then(() => true), closed(next).then(() => false)]);
      next.destroy();
    }
    for (const socket of first) socket.destroy();
  }),
);

tests("who sends and never reads has no more kept for it than so much", () =>
  listening({ unreadWords: 8 * 1024 }, async (receiver) => {
    const socket = line(receiver);
    socket.pause();
    let isClosed = false;
    void closed(socket).then(() => {
      isClosed = true;
    });
    const many = Buffer.concat(Array.from({ length: 2000 }, () => greeting));
    let sent = 0;
    while (!isClosed && sent < 400 * MB) {
      sent += many.length;
      if (!socket.write(many))
        await Promise.race([new Promise((more) => socket.once("drain", more)), closed(socket)]);
      else await new Promise((more) => setImmediate(more));
    }
    assert.ok(isClosed, "it goes on being answered");
  }),
);

// ---- A sender, and a receiver that isn't one

/** A recording of so many bytes; what was read of it. */
function queueOf(flushed: number): Queue & { taken: number } {
  return {
    id,
    flushed,
    taken: 0,
    read(at, length) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, flushed - at)));
      this.taken += bytes.length;
      return bytes;
    },
  };
}

/** Somebody who answers each line as told. */
async function answering(
  serve: (socket: Socket) => void,
  work: (port: number) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  try {
    await work(typeof address === "object" && address !== null ? address.port : 0);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const stand = (next: number, isMissing = false) =>
  frameMessage(DELIVERY_STAND, encodeStand({ next, isMissing }));

tests(
  "a receiver that never answers a greeting loses the line, though it says a byte now and then",
  async () => {
    let lines = 0;
    const ended: Promise<void>[] = [];
    const dribbling: NodeJS.Timeout[] = [];
    const serve = (socket: Socket) => {
      lines++;
      ended.push(closed(socket.resume()));
      const words = stand(10);
      let at = 0;
      dribbling.push(setInterval(() => socket.write(words.subarray(at, ++at)), 30));
    };
    await answering(serve, async (port) => {
      const limits = { ...TCP_LIMITS, connectMs: 50, greetingMs: 100 };
      const delivery = deliverOverTcp(parseAddress(`tcp://127.0.0.1:${port}`), {}, queueOf(1000), limits);
      while (lines < 2) await new Promise((later) => setTimeout(later, 20));
      await ended[0];
      assert.not.ok(delivery.standing.isConnected);
      await delivery.close();
    });
    for (const timer of dribbling) clearInterval(timer);
  },
);

tests("a receiver that has answered and says no more loses the line", async () => {
  let lines = 0;
  const serve = (socket: Socket) => {
    lines++;
    socket
      .on("data", () => socket.write(stand(10)))
      .once("data", () => socket.removeAllListeners("data").resume());
  };
  await answering(serve, async (port) => {
    const limits = { ...TCP_LIMITS, silenceMs: 100 };
    const delivery = deliverOverTcp(parseAddress(`tcp://127.0.0.1:${port}`), {}, queueOf(1000), limits);
    while (lines < 2) await new Promise((later) => setTimeout(later, 20));
    await delivery.close();
  });
});

for (const [what, words] of [
  [
    "says that it has what it never read",
    Array.from({ length: 1000 }, (_, i) => stand(10 + i * WINDOW_BYTES)),
  ],
  ["asks for the same again and again", Array.from({ length: 1000 }, () => stand(10, true))],
] as const) {
  tests(`a receiver that ${what} has no more of the recording in memory than a window`, async () => {
    const queue = queueOf(1000 * WINDOW_BYTES + 10);
    let said: Promise<unknown> = Promise.resolve();
    const serve = (socket: Socket) => {
      socket.once("data", () => {
        socket.pause();
        said = (async () => {
          for (const word of words) {
            socket.write(word);
            await new Promise((later) => setImmediate(later));
          }
        })();
      });
    };
    await answering(serve, async (port) => {
      const delivery = deliverOverTcp(parseAddress(`tcp://127.0.0.1:${port}`), {}, queue);
      while (!delivery.standing.isConnected) await new Promise((later) => setTimeout(later, 10));
      await said;
      await new Promise((later) => setTimeout(later, 100));
      assert.ok(queue.taken >= WINDOW_BYTES);
      assert.ok(queue.taken < 32 * MB, `${queue.taken} bytes, and the line takes a few million`);
      await delivery.close();
    });
  });
}

// ---- A broker that isn't one

const CONNACK = new Uint8Array([0x20, 3, 0, 0, 0]);
const suback = (packet: number) => new Uint8Array([0x90, 4, packet >> 8, packet & 255, 0, 1]);

/** The first byte, the remaining length, and the rest of each MQTT packet. */
function mqttPackets(take: (type: number, body: Uint8Array) => void): (bytes: Uint8Array) => void {
  let rest = new Uint8Array(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      let length = 0;
      let at = 1;
      for (let shift = 0; ; shift += 7) {
        if (at >= rest.length) return;
        const byte = rest[at++]!;
        length += (byte & 127) << shift;
        if (byte < 128) break;
      }
      if (rest.length < at + length) return;
      take(rest[0]! >> 4, rest.subarray(at, at + length));
      rest = rest.subarray(at + length);
    }
  };
}

/** Lets a client in, and gives `then` the line once it has subscribed. */
function letIn(socket: Socket, then: (packet: { type: number; body: Uint8Array } | null) => void): void {
  socket.on(
    "data",
    mqttPackets((type, body) => {
      if (type === 1) socket.write(CONNACK);
      else if (type === 8) {
        socket.write(suback(body[0]! * 256 + body[1]!));
        then(null);
      } else then({ type, body });
    }),
  );
}

function publishPacket(topic: string, payload: Uint8Array): Uint8Array {
  const name = new TextEncoder().encode(topic);
  const body = Buffer.concat([new Uint8Array([0, name.length]), name, new Uint8Array([0]), payload]);
  const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
  return Buffer.concat([new Uint8Array([0x30, ...length]), body]);
}

function client(
  port: number,
  lost: (why: Refusal | null) => void,
  limits?: { connectMs: number; keepaliveS: number },
) {
  return openBroker({
    address: parseAddress(`mqtt://127.0.0.1:${port}/ward`),
    tls: {},
    clientId: "vouch-0011223344556677",
    password: null,
    subscribe: ["ward/+/piece"],
    ...(limits && { limits }),
    onMessage: async () => {},
    onConnect() {},
    onLost: lost,
  });
}

for (const [what, limits, serve] of [
  ["never lets us in", { connectMs: 150, keepaliveS: 20 }, (socket: Socket) => socket.resume()],
  [
    "says nothing more once we are in",
    { connectMs: 5000, keepaliveS: 1 },
    (socket: Socket) => letIn(socket, () => {}),
  ],
] as const) {
  tests(`a broker that ${what} loses the line`, async () => {
    let lines = 0;
    let ended: () => void = () => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const once = (socket: Socket) => {
      if (lines++ === 0) socket.once("close", ended);
      serve(socket);
    };
    await answering(once, async (port) => {
      const broker = client(port, () => {}, limits);
      await end;
      await broker.close();
    });
    assert.ok(lines > 0);
  });
}

tests("a broker's message that is longer than any of ours isn't gathered", async () => {
  let sent = 0;
  const serve = (socket: Socket) =>
    letIn(socket, async (packet) => {
      if (packet !== null) return;
      const gone = closed(socket);
      socket.write(new Uint8Array([0x30, 0xff, 0xff, 0xff, 0x7f])); // of 268,435,455 bytes
      const chunk = new Uint8Array(64 * 1024);
      while (!socket.destroyed && sent < 200 * MB) {
        sent += chunk.length;
        if (!socket.write(chunk))
          await Promise.race([new Promise((more) => socket.once("drain", more)), gone]);
      }
    });
  await answering(serve, async (port) => {
    const why = await new Promise<Refusal | null>((resolve) => {
      const broker = client(port, (found) => {
        if (found === null) return;
        resolve(found);
        void broker.close();
      });
    });
    assert.is(why?.code, "delivery-malformed");
  });
  assert.ok(sent < 32 * MB, `${sent} bytes were taken`);
});

tests(
  "a broker that acknowledges nothing and has us go back has no more of the recording in memory than two windows",
  async () => {
    let pieces = 0;
    let asked: Promise<unknown> | null = null;
    const serve = (socket: Socket) =>
      letIn(socket, (packet) => {
        if (packet?.type === 3) pieces += packet.body.length;
        if (packet !== null || asked !== null) return;
        asked = (async () => {
          for (let to = 100; to > 0; to--) {
            const payload = encodePayload(encodeStand({ next: to, isMissing: true }));
            socket.write(publishPacket(topicOf("ward", id, "stand"), payload));
            await new Promise((later) => setTimeout(later, 2));
          }
          await new Promise((later) => setTimeout(later, 200));
        })();
      });
    await answering(serve, async (port) => {
      const address = `mqtt://127.0.0.1:${port}/ward`;
      const queue = queueOf(100 * MB);
      const cursor = new Cursor(join(folder, "bounded.vstream"), address);
      const delivery = deliverOverMqtt(parseAddress(address), { tls: {}, password: null }, queue, cursor);
      while (asked === null) await new Promise((later) => setTimeout(later, 10));
      await asked;
      assert.ok(pieces >= WINDOW_BYTES, "nothing was sent");
      assert.ok(queue.taken <= 2 * WINDOW_BYTES + 32 * 1024, `${queue.taken} bytes of the recording`);
      await delivery.close();
    });
  },
);

tests.run();
