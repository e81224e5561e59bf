// A recording to deliver, and a line between two ends that can be slow and cut.

import { writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { concatBytes } from "@vouch/shared/bytes";
import { encodeFrameItem, encodeVstreamHead } from "@vouch/shared/vstream";
import { StreamMaker } from "../../shared/test/stream-kit";
import type { Intake } from "../src/stream/intake";
import type { Receiving } from "../src/stream/tcp";

/** A closed public stream of so many data frames of about 500 bytes, as a file. */
export function writeRecording(path: string, frames: number): StreamMaker {
  const maker = new StreamMaker({ everyFrames: 64 });
  maker.announce();
  for (let i = 0; i < frames; i++) {
    maker.data(200);
    if (i % 50 === 49) maker.checkpoint();
  }
  maker.close();
  writeFileSync(path, recordingOf(maker.frames));
  return maker;
}

export const recordingOf = (frames: readonly Uint8Array[]): Uint8Array =>
  concatBytes([encodeVstreamHead(), ...frames.map(encodeFrameItem)]);

/** What listenOnTcp does with what comes, for an intake alone. */
export const receivingInto = (intake: Intake): Receiving => ({
  hello: () => intake.greet(),
  piece: (piece) => intake.take(piece),
  flush: async () => intake.flush(),
  gone: () => intake.forget(),
  remark() {},
});

export interface Wire {
  readonly port: number;
  cuts: number;
  stop(): void;
}

/** Passes bytes on to a port, so many a second, and cuts the line each time `cutEvery` bytes have gone to it, `most` times. */
export function startWire(
  to: () => number,
  perSecond: number,
  cutEvery: number,
  most: number,
): Promise<Wire> {
  const lines = new Set<Socket>();
  const wire = { port: 0, cuts: 0, stop: () => {} };
  let until = cutEvery;
  const server = createServer((near) => {
    const far = connect({ port: to(), host: "127.0.0.1" });
    const end = () => {
      near.destroy();
      far.destroy();
      lines.delete(near);
    };
    lines.add(near);
    for (const side of [near, far]) {
      side.on("error", end);
      side.on("close", end);
    }
    far.pipe(near);
    near.on("data", (bytes) => {
      far.write(bytes);
      near.pause();
      setTimeout(() => near.resume(), (bytes.length / perSecond) * 1000);
      until -= bytes.length;
      if (until > 0 || wire.cuts >= most) return;
      until = cutEvery;
      wire.cuts++;
      end();
    });
  });
  wire.stop = () => {
    server.close();
    for (const line of lines) line.destroy();
  };
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      wire.port = typeof address === "object" && address !== null ? address.port : 0;
      resolve(wire);
    });
  });
}
