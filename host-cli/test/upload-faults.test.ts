// A hundred uploads over a line that loses 50 bytes in a million, and a hundred
// with the cable pulled at a moment of chance: all end, with the image on the
// device and no other, and little sent twice.
//
// Run n is made of seed n alone, so a failure names the run that repeats it: set
// VOUCH_UPLOAD_RUN=loss:n or unplug:n to run only that one.

import { Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { realClock, sleep } from "../src/device/clock";
import { type LinkOptions, withLink } from "../src/device/link";
import { uploadOverLink } from "../src/device/resume";
import { readImages } from "../src/device/smp";
import type { UploadOutcome } from "../src/device/upload";
import { benchDevice, makeImage, nodeHash, sealed, virtualClock } from "./bench";
import { bothWays, type Endpoint, shapeMemory, shapePty } from "./line-shaper";
import { type Random, type Shape, seeded } from "./shaping";
import { makeServer, type SmpServer, sha256Of } from "./smp-server";

const RUNS = 100;
const PTY_RUNS = 3;
const TIMEOUT_MS = 300_000;
const AGENT_EVERY = 10;

const below = (random: Random, limit: number) => Math.floor(random() * limit);
const oneOf = <T>(random: Random, list: readonly T[]) => list[below(random, list.length)] as T;

interface Peer {
  endpoint: Endpoint;
  stream: Uint8Array;
  restart(): void;
  /** Throws an AssertionError when the device holds anything but the stream. */
  check(link: LinkOptions): Promise<void>;
}

/** A server with the limits of some real one. */
function serverPeer(random: Random, clock: LinkOptions["clock"]): Peer & { server: SmpServer } {
  const [bufSize, bufCount] = oneOf(random, [
    [384, 4],
    [512, 4],
    [1024, 4],
    [2048, 4],
    [1024, 1],
    [512, 8],
  ] as const);
  const server = makeServer({
    clock: clock!,
    bufSize,
    bufCount,
    eraseMs: below(random, 4000),
    writeMs: below(random, 20),
    checksImage: random() < 0.3,
  });
  const stream = makeImage("a run", 20_000 + below(random, 40_000));
  return {
    server,
    endpoint: server,
    stream,
    restart: server.restart,
    check: async () => assert.is(Buffer.compare(server.stored ?? new Uint8Array(0), stream), 0, "the image"),
  };
}

/** Our agent, on simulated flash. */
function agentPeer(clock: NonNullable<LinkOptions["clock"]>): Peer {
  const device = benchDevice();
  const image = makeImage("a run", 7000);
  return {
    endpoint: {
      receive: (bytes) => {
        device.write(bytes);
        clock.after(5, () => device.run());
      },
      onData: device.onData,
    },
    stream: sealed(image, { sequence: 2 }),
    restart: () => device.powerCycle(),
    check: (options) =>
      withLink("shaped", options, async ({ session }) => {
        const stored = (await readImages(session)).find((slot) => !slot.active);
        assert.is(Buffer.compare(stored!.hash!, nodeHash(image)), 0, "the image");
        assert.is(stored!.bootable, true);
      }),
  };
}

interface Done {
  outcome: UploadOutcome;
  cuts: number;
  lost: number;
}

const upload = (link: LinkOptions, stream: Uint8Array, onLost = () => {}) =>
  withLink("shaped", link, (line) =>
    uploadOverLink(line, stream, { sha256: sha256Of(stream), checkDevice: async () => {}, onLost }),
  );

const shapeOf = (random: Random, more: Partial<Shape>): Partial<Shape> => ({
  baud: oneOf(random, [115_200, 460_800, 921_600, 2_000_000]),
  latencyMs: oneOf(random, [0, 1, 4, 16]),
  jitterMs: below(random, 3),
  seed: below(random, 1e9),
  ...more,
});

async function runOnce(kind: "loss" | "unplug", run: number): Promise<Done> {
  const random = seeded(run + (kind === "loss" ? 0 : 1e6));
  const clock = virtualClock();
  const peer = run % AGENT_EVERY === 0 ? agentPeer(clock) : serverPeer(random, clock);
  const shape = bothWays(shapeOf(random, kind === "loss" ? { lossPpm: 50 } : {}));
  const line = shapeMemory(peer.endpoint, shape, clock);
  const link: LinkOptions = { timeoutMs: TIMEOUT_MS, clock, open: line.open, firstSequence: 0 };
  let cuts = 0;
  let isDone = false;
  const cutLater = () => {
    // Somewhere in the upload: so many bytes from now on a line that is busy.
    const bytes = below(random, 1.4 * peer.stream.length);
    clock.after((bytes * 10_000) / shape.toDevice.baud!, () => {
      if (isDone) return;
      cuts++;
      line.cut();
      if (random() < 0.2) peer.restart();
      clock.after(50 + below(random, 5000), () => {
        line.plug();
        if (cuts < 3 && random() < 0.5) cutLater();
      });
    });
  };
  if (kind === "unplug") cutLater();
  const outcome = await clock.run(upload(link, peer.stream));
  isDone = true;
  assert.ok(clock.now() < TIMEOUT_MS, `${clock.now()} ms`);
  line.plug();
  await clock.run(peer.check(link));
  return { outcome, cuts, lost: line.toDevice.lost + line.toHost.lost };
}

const faults = suite("upload faults");
const only = process.env["VOUCH_UPLOAD_RUN"];

async function runAll(kind: "loss" | "unplug"): Promise<Done[]> {
  const done: Done[] = [];
  for (let run = 0; run < RUNS; run++) {
    if (only !== undefined && only !== `${kind}:${run}`) continue;
    try {
      done.push(await runOnce(kind, run));
    } catch (error) {
      assert.unreachable(
        `VOUCH_UPLOAD_RUN=${kind}:${run}: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  return done;
}

faults(`${RUNS} runs at 50 ppm of bytes lost: the right image, every time`, async () => {
  const done = await runAll("loss");
  if (only !== undefined) return;
  const hit = done.filter(({ lost }) => lost > 0);
  assert.ok(hit.length > RUNS / 2, `${hit.length} runs lost anything`);
  const again = hit.filter(({ outcome }) => outcome.retransmitted > 0);
  assert.ok(again.length > RUNS / 3, `${again.length} runs sent anything again`);
});

faults(`${RUNS} runs with the cable pulled: the right image, every time`, async () => {
  const done = await runAll("unplug");
  if (only !== undefined) return;
  const cut = done.filter(({ cuts }) => cuts > 0);
  assert.ok(cut.length > RUNS / 2, `${cut.length} runs were cut`);
  const resumed = cut.filter(({ outcome }) => outcome.resumedAt > 0);
  assert.ok(resumed.length > RUNS / 4, `${resumed.length} runs went on where the device was`);
});

faults("the same seed gives the same run", async () => {
  if (only !== undefined) return;
  for (const run of [1, 2, 13]) assert.equal(await runOnce("unplug", run), await runOnce("unplug", run));
});

faults("at 50 ppm at least three quarters of the clean rate is left", async () => {
  if (only !== undefined) return;
  const stream = makeImage("rate", 400_000);
  const took = async (lossPpm: number, seed: number) => {
    const clock = virtualClock();
    const server = makeServer({ clock, bufSize: 1024 });
    const line = shapeMemory(server, bothWays({ baud: 921_600, latencyMs: 1, lossPpm, seed }), clock);
    await clock.run(upload({ timeoutMs: TIMEOUT_MS, clock, open: line.open, firstSequence: 0 }, stream));
    assert.is(Buffer.compare(server.stored!, stream), 0);
    return server.times.done - server.times.first;
  };
  const clean = await took(0, 1);
  const ratios: number[] = [];
  for (let seed = 1; seed <= 11; seed++) ratios.push(clean / (await took(50, seed)));
  ratios.sort((a, b) => a - b);
  const told = ratios.map((ratio) => ratio.toFixed(2)).join(" ");
  assert.ok(ratios[5]! >= 0.75 && ratios[0]! >= 0.65, told);
});

if (process.platform !== "win32") {
  faults(`${PTY_RUNS} runs on a real pseudo-terminal with loss, and the cable pulled once`, async () => {
    if (only !== undefined) return;
    for (let run = 0; run < PTY_RUNS; run++) {
      const random = seeded(run);
      const server = makeServer({ clock: realClock, bufSize: 1024 });
      const stream = makeImage("pty", 60_000);
      const shape = bothWays({ baud: 921_600, latencyMs: 1, lossPpm: 50, seed: run });
      const line = await shapePty(server, shape);
      let losses = 0;
      const cutAt = 5000 + below(random, 40_000);
      let cutting: Promise<void> | undefined;
      const cut = async () => {
        line.cut();
        await sleep(realClock, 300);
        await line.plug();
      };
      // The port is found anew, as after a device came back under another name.
      const find = async () => {
        if (losses === 0) throw new Refusal("no-such-port", "not asked for before");
        return line.path;
      };
      const link: LinkOptions = { timeoutMs: 60_000, find };
      const outcome = await withLink(line.path, link, (open) =>
        uploadOverLink(open, stream, {
          sha256: sha256Of(stream),
          checkDevice: async () => {},
          onLost: () => void losses++,
          onProgress: (done) => {
            if (done > cutAt) cutting ??= cut();
          },
        }),
      );
      await cutting;
      line.close();
      assert.is(Buffer.compare(server.stored ?? new Uint8Array(0), stream), 0, `run ${run}`);
      assert.ok(losses > 0 && outcome.resumedAt > 0, `run ${run}: ${losses} losses`);
    }
  });
}

faults.run();
