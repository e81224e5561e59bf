// Uploads to a server with the limits of real ones, over a line in memory: how many
// chunks are on the way, what is sent again, and when it is given up.

import { isRefusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeRoundTrips } from "../src/device/rto";
import { openSession, type Session } from "../src/device/session";
import { readParameters } from "../src/device/smp";
import type { Transport } from "../src/device/transport";
import { type UploadEvent, type UploadOptions, uploadImage } from "../src/device/upload";
import { Window } from "../src/device/window";
import { makeImage, type VirtualClock, virtualClock } from "./bench";
import { bothWays, type MemoryLine, shapeMemory } from "./line-shaper";
import type { Shape } from "./shaping";
import { makeServer, type ServerOptions, type SmpServer, sha256Of } from "./smp-server";

const uploads = suite("upload");

interface Run {
  server: SmpServer;
  line: MemoryLine;
  clock: VirtualClock;
  session: Session;
  events: UploadEvent[];
}

type Setting = Omit<ServerOptions, "clock"> & { shape?: Partial<Shape>; timeoutMs?: number };

async function begin(
  { shape, timeoutMs = 600_000, ...options }: Setting,
  wrap = (t: Transport) => t,
): Promise<Run> {
  const clock = virtualClock();
  const server = makeServer({ clock, ...options });
  const line = shapeMemory(server, bothWays({ baud: 921_600, latencyMs: 1, ...shape }), clock);
  const framing = options.framing ?? "console";
  const session = openSession(wrap(await line.open()), { clock, timeoutMs, framing, firstSequence: 0 });
  return { server, line, clock, session, events: [] };
}

function send(run: Run, image: Uint8Array, options: Partial<UploadOptions> = {}) {
  const work = async () => {
    const parameters = options.parameters ?? (await readParameters(run.session));
    const onEvent = (event: UploadEvent) => void run.events.push(event);
    return uploadImage(run.session, image, { sha256: sha256Of(image), onEvent, ...options, parameters });
  };
  return run.clock.run(work());
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  return assert.unreachable("it was not refused") as never;
}

const IMAGE = makeImage("windows", 40_000);
const same = (server: SmpServer, image = IMAGE) =>
  assert.is(Buffer.compare(server.stored ?? new Uint8Array(0), image), 0, "the image on the device");

/** Drops the n-th piece that is written, counted from 1. */
const dropping =
  (...numbers: number[]) =>
  (transport: Transport): Transport => {
    let written = 0;
    return {
      ...transport,
      write: async (bytes) => (numbers.includes(++written) ? undefined : transport.write(bytes)),
    };
  };

uploads("as many chunks are on the way as there are buffers, less one", async () => {
  for (const [bufCount, most] of [
    [1, 1],
    [2, 1],
    [4, 3],
    [12, 8],
  ] as const) {
    const run = await begin({ bufCount, diesOf: bufCount + 1, writeMs: 20 });
    const outcome = await send(run, IMAGE);
    same(run.server);
    assert.is(outcome.window, most);
    assert.is(run.server.seen.mostAtOnce, most);
    assert.equal([outcome.retransmitted, outcome.resumedAt, outcome.match], [0, 0, null]);
    assert.equal([outcome.sentBytes, outcome.messageBytes], [IMAGE.length, 508]);
  }
});

uploads("the first chunk goes alone, and is sent again while the slot is erased", async () => {
  const run = await begin({ eraseMs: 25_000 });
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.is(run.server.seen.erases, 1);
  assert.ok(run.server.seen.mostAtOnce <= 4, `${run.server.seen.mostAtOnce} at once`);
  assert.is(outcome.messageBytes, 508);
});

uploads("a lost chunk is sent again at once, and little else", async () => {
  const run = await begin({}, dropping(10)); // 1 is the parameters, 2 the first chunk
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.ok(outcome.retransmitted > 0 && outcome.retransmitted <= 3 * 508, `${outcome.retransmitted}`);
  assert.equal(
    run.events.map(({ kind }) => kind),
    ["rewound"],
  );
});

uploads("the last chunk lost is waited for, once", async () => {
  const chunks = Math.ceil(IMAGE.length / 470);
  for (let last = chunks - 3; last < chunks + 12; last++) {
    const run = await begin({}, dropping(last));
    await send(run, IMAGE);
    same(run.server);
    assert.ok(run.events.length <= 1, JSON.stringify(run.events));
  }
});

uploads("an advertised buffer that is a lie is found out, and the upload ends", async () => {
  const run = await begin({ bufSize: 384, rxLines: 2, shape: { baud: 0 } });
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.is(outcome.messageBytes, 178);
  const one = await begin({ bufSize: 384, rxLines: 1, shape: { baud: 0 } });
  assert.is((await send(one, IMAGE.subarray(0, 5000))).messageBytes, 88);
  same(one.server, IMAGE.subarray(0, 5000));
});

uploads("a full size that was lost to noise is used again after", async () => {
  const run = await begin({}, dropping(2, 3));
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.is(outcome.messageBytes, 508);
  assert.ok(run.server.seen.uploads.length < 95, `${run.server.seen.uploads.length} chunks`);
});

uploads("a server without parameters, as serial recovery, gets one message of 252 at a time", async () => {
  const run = await begin({ bufSize: null, bufCount: 1 });
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.equal([outcome.window, outcome.messageBytes, run.server.seen.mostAtOnce], [1, 252, 1]);
});

uploads("no room at the server makes the window smaller, and nothing is lost", async () => {
  const run = await begin({ bufCount: 4, writeMs: 40 });
  const outcome = await send(run, IMAGE, { window: 4 });
  same(run.server);
  assert.is(outcome.window < 4, true);
  assert.ok(run.events.some((event) => event.kind === "window"));
});

uploads("a device that restarts in the middle is told everything again", async () => {
  const run = await begin({});
  run.clock.after(300, () => run.server.restart());
  await send(run, IMAGE);
  same(run.server);
  assert.is(run.server.seen.erases, 2);
  assert.ok(run.events.some(({ kind }) => kind === "restarted"));
});

uploads("an upload that was cut goes on where the device is", async () => {
  const run = await begin({});
  run.clock.after(300, () => run.line.cut());
  assert.is((await refusal(send(run, IMAGE))).code, "device-closed");
  run.line.plug();
  const { clock, server, line } = run;
  const session = openSession(await line.open(), { clock, timeoutMs: 60_000 });
  const outcome = await send({ ...run, session }, IMAGE);
  same(server);
  assert.ok(outcome.resumedAt > 5000, `${outcome.resumedAt}`);
  assert.ok(outcome.sentBytes <= IMAGE.length - outcome.resumedAt + 508);
  assert.is(server.seen.erases, 1);
});

uploads("a device that falls silent is given up after eight waits, and the command can go on", async () => {
  const run = await begin({});
  run.clock.after(300, () => run.line.toDevice.cut());
  const refused = await refusal(send(run, IMAGE));
  assert.is(refused.code, "transfer-resumable");
  assert.match(
    refused.message,
    /^no answer from the device at \d+ of 40000 bytes; the image it runs is untouched$/,
  );
  assert.match(refused.hint ?? "", /run the same command again/);
  assert.is(run.events.filter(({ kind }) => kind === "waited").length, 8);
  assert.ok(run.clock.now() < 40_000, `${run.clock.now()} ms`);
  run.line.toDevice.restore();
  const outcome = await send(run, IMAGE);
  same(run.server);
  assert.ok(outcome.resumedAt > 0);
});

uploads("a device that never answers the first chunk is given up after a minute", async () => {
  const run = await begin({});
  run.line.toDevice.cut();
  const refused = await refusal(send(run, IMAGE, { parameters: { bufferSize: 512, bufferCount: 4 } }));
  assert.is(refused.code, "device-timeout");
  assert.is(run.clock.now(), 60_000);
});

uploads("the session's deadline ends it, and says so", async () => {
  const run = await begin({ timeoutMs: 500, shape: { baud: 115_200 } });
  const refused = await refusal(send(run, IMAGE));
  assert.equal([refused.code, /--timeout/.test(refused.message)], ["device-timeout", true]);
});

uploads("the device's own check is passed on: true, false, or that it has none", async () => {
  assert.is((await send(await begin({ checksImage: true }), IMAGE)).match, true);
  const wrong = await begin({ checksImage: true });
  assert.is((await send(wrong, IMAGE, { sha256: new Uint8Array(32) })).match, false);
  const has = await begin({ checksImage: true, has: IMAGE });
  const outcome = await send(has, IMAGE);
  assert.equal([outcome.match, outcome.resumedAt, has.server.seen.writes], [true, IMAGE.length, 0]);
  assert.ok(outcome.wireBytes < 2048, `${outcome.wireBytes} bytes on the wire`);
  assert.ok(has.clock.now() < 1500);
});

uploads("an error of the device ends it, with the device's number", async () => {
  const run = await begin({});
  const refused = await refusal(send(run, IMAGE, { image: 3 }));
  assert.match(`${refused.code}: ${refused.message}`, /^device-error: .*22/);
});

for (const [name, answer] of [
  ["an offset that is text", "a1636f66666178"],
  ["an offset beyond the end", "a1636f66661affffffff"],
  ["no offset", "a0"],
] as const) {
  uploads(`${name} is refused, not believed`, async () => {
    const nonsense = (transport: Transport): Transport => ({
      ...transport,
      onData: (listener) => transport.onData((bytes) => listener(forge(bytes, answer))),
    });
    const run = await begin({ framing: "raw" }, nonsense);
    const parameters = { bufferSize: 512, bufferCount: 4 };
    assert.is((await refusal(send(run, IMAGE, { parameters }))).code, "device-malformed");
  });
}

/** The same raw answer with another body. */
function forge(bytes: Uint8Array, bodyHex: string): Uint8Array {
  const body = Buffer.from(bodyHex, "hex");
  const forged = Buffer.concat([bytes.subarray(0, 8), body]);
  forged[3] = body.length;
  return forged;
}

uploads("raw framing carries an upload too, with less on the line", async () => {
  const raw = await begin({ framing: "raw" });
  const outcome = await send(raw, IMAGE);
  same(raw.server);
  const console = await send(await begin({}), IMAGE);
  assert.ok(outcome.wireBytes < 0.8 * console.wireBytes, `${outcome.wireBytes} of ${console.wireBytes}`);
});

uploads("a full window keeps the line busy: 95 % of what its framing allows", async () => {
  for (const [baud, latencyMs] of [
    [115_200, 16],
    [921_600, 1],
    [2_000_000, 1],
  ] as const) {
    const image = makeImage("rate", baud / 10);
    const run = await begin({ bufSize: 1024, shape: { baud, latencyMs } });
    await send(run, image);
    same(run.server, image);
    const { first, done } = run.server.times;
    const busyMs = ((run.line.toDevice.carried - 1500) * 10_000) / baud;
    assert.ok(busyMs / (done - first) > 0.95, `${baud}: ${busyMs} of ${done - first} ms`);
  }
});

const rto = suite("rto");

rto("waits between 400 ms and 5 s, by what was measured, twice as long each time", () => {
  const trips = makeRoundTrips();
  assert.is(trips.waitMs(0), 1000);
  for (let i = 0; i < 100; i++) trips.sample(3);
  assert.equal([0, 1, 2, 3, 4, 20].map(trips.waitMs), [400, 800, 1600, 3200, 5000, 5000]);
  for (let i = 0; i < 100; i++) trips.sample(1000);
  assert.ok(trips.waitMs(0) > 1000 && trips.waitMs(0) < 1100, `${trips.waitMs(0)}`);
});

const windows = suite("window");

windows("stale answers of an earlier round move the base and rewind nothing", () => {
  const window = new Window(100, 3, 3);
  const [a, b, c] = [200, 300, 400].map((end) => window.send(end, 0));
  assert.is(window.answer(b!, 100), "lost"); // a was lost
  assert.is(window.isOnTheWay(a!), false);
  assert.is(window.next, 100);
  const again = window.send(200, 0);
  assert.is(window.answer(c!, 100), "known");
  assert.is(window.next, 200);
  assert.is(window.answer(again, 200), "taken");
  assert.equal([window.base, again.again], [200, true]);
});

windows("a lost answer and a lost chunk after it show in the next answer", () => {
  const window = new Window(100, 3, 3);
  const [, , c] = [200, 300, 400].map((end) => window.send(end, 0));
  assert.is(window.answer(c!, 200), "lost"); // the first was taken, its answer lost; the second was lost
  assert.equal([window.base, window.next, window.inFlight], [200, 200, 0]);
});

windows("with nothing on the way, what comes next is what the device wants", () => {
  const window = new Window(100, 3, 3);
  const a = window.send(200, 0);
  window.timedOut();
  window.send(200, 0);
  const late = window.send(300, 0);
  assert.is(window.answer(a, 200), "taken");
  assert.is(window.answer(late, 250), "lost"); // half of it taken, as some that write whole words do
  assert.is(window.next, 250);
});

windows("an answer below the base means that the device forgot", () => {
  const window = new Window(100, 3, 3);
  assert.is(window.answer(window.send(200, 0), 0), "forgotten");
});

windows("losses close together make it smaller, and a long while without larger again", () => {
  const window = new Window(0, 3, 3);
  for (let i = 0; i < 6; i++) {
    window.send(window.next + 10, 0);
    window.answer(window.send(window.next + 10, 0), window.base);
  }
  assert.is(window.limit, 2);
  for (let i = 0; i < 64; i++) window.answer(window.send(window.base + 10, 0), window.base + 10);
  assert.is(window.limit, 3);
});

uploads.run();
rto.run();
windows.run();
