// An SMP server as Zephyr's behaves on a serial line, without Zephyr: what the host
// must live with, to order. One request is worked on at a time.
//
//   bytes ─▶ lines, at most `rxLines` in one burst ─▶ messages ─▶ a buffer each, of
//   `bufCount` ─▶ work, which takes its time ─▶ an answer, which needs a buffer too
//
// So with `bufCount` requests at once the first is answered rc 2, and a message that
// finds no buffer is lost. As recorded in shared/vectors/published/smp.

import { createHash } from "node:crypto";
import { type CborMap, type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  type SmpHeader,
} from "@vouch/shared/smp";
import { makeRawDeframer, pushRawBytes } from "@vouch/shared/smp-raw";
import type { Clock } from "../src/device/clock";

export interface ServerOptions {
  clock: Clock;
  /** As advertised. Null: the server says rc 8, as serial recovery of old does. */
  bufSize?: number | null;
  bufCount?: number;
  /** Lines it takes in one burst; more are lost. Default: any number. */
  rxLines?: number;
  eraseMs?: number;
  /** For each 1024 bytes. */
  writeMs?: number;
  framing?: "console" | "raw";
  /** Answers `match`, and knows an image that it has. */
  checksImage?: boolean;
  /** An image it has already; with checksImage, not taken again. */
  has?: Uint8Array;
  /** Died of as many requests at once, as one was seen to. */
  diesOf?: number;
}

export interface SmpServer {
  receive(bytes: Uint8Array): void;
  onData(listener: (bytes: Uint8Array) => void): void;
  /** Forgets the session and what it was working on, as a restart does. Flash stays. */
  restart(): void;
  /** What was uploaded, once it is whole. */
  readonly stored: Uint8Array | null;
  /** What it saw: how many requests at once at most, and how often the slot was erased. */
  readonly seen: { mostAtOnce: number; erases: number; uploads: number[]; dead: boolean; writes: number };
  /** On the clock: when the first chunk, of so many bytes, was taken, and when the last was. */
  readonly times: { first: number; firstBytes: number; done: number };
}

const START_MS = 0.1; // until the server's thread gets to a request: a burst is all there by then

interface Job {
  header: SmpHeader;
  body: CborMap;
}

export const sha256Of = (bytes: Uint8Array) => new Uint8Array(createHash("sha256").update(bytes).digest());

export function makeServer(options: ServerOptions): SmpServer {
  const {
    clock,
    bufSize = 512,
    bufCount = 4,
    rxLines = Number.POSITIVE_INFINITY,
    framing = "console",
  } = options;
  const seen = { mostAtOnce: 0, erases: 0, uploads: [] as number[], dead: false, writes: 0 };
  const times = { first: 0, firstBytes: 0, done: 0 };
  const maxMessage = (bufSize ?? 1024) - 4;
  let listener: (bytes: Uint8Array) => void = () => {};
  let console = makeDeframer(maxMessage);
  let raw = makeRawDeframer(maxMessage);
  let queue: Job[] = [];
  let cancel = () => {};
  let isWorking = false;
  let session: { sha: string; length: number; data: Uint8Array; off: number } | null = null;
  let stored: Uint8Array | null = options.has ?? null;

  const answer = ({ header }: Job, pairs: [string, CborValue][]) => {
    const reply = encodeMessage({ ...header, op: header.op + 1 }, cborMap(pairs));
    listener(framing === "raw" ? reply : encodeFrame(reply));
  };

  const arrive = (message: Uint8Array) => {
    const { fault, header, body } = decodeMessage(message);
    if (fault !== 0 || header === null || body === null || (header.op !== 0 && header.op !== 2)) return;
    const taken = queue.length + (isWorking && bufCount > 1 ? 1 : 0);
    if (taken >= bufCount) return; // no buffer for it: lost
    queue.push({ header, body });
    seen.mostAtOnce = Math.max(seen.mostAtOnce, queue.length);
    if (queue.length >= (options.diesOf ?? Number.POSITIVE_INFINITY)) seen.dead = true;
    if (queue.length === 1) workOn();
  };

  const workOn = () => {
    const job = queue[0];
    if (job === undefined) return;
    const next = () => {
      isWorking = false;
      queue.shift();
      workOn();
    };
    cancel = clock.after(START_MS, () => {
      if (bufCount > 1 && queue.length >= bufCount) {
        answer(job, [["rc", 2]]); // in the request's own buffer: there is no other
        return next();
      }
      isWorking = true;
      cancel = clock.after(costOf(job), () => {
        answer(job, handle(job));
        next();
      });
    });
  };

  const costOf = ({ header, body }: Job): number => {
    if (header.group !== 1 || header.command !== 1 || header.op !== 2) return 0;
    const data = mapGet(body, "data") as Uint8Array;
    const off = mapGet(body, "off") as number;
    const isNew = off === 0 && session?.sha !== shaOf(body);
    const isTaken = isNew || off === session?.off;
    return (
      (isNew ? (options.eraseMs ?? 0) : 0) + (isTaken ? ((options.writeMs ?? 0) * data.length) / 1024 : 0)
    );
  };

  const shaOf = (body: CborMap) => Buffer.from((mapGet(body, "sha") as Uint8Array) ?? []).toString("hex");

  const handle = ({ header, body }: Job): [string, CborValue][] => {
    const { op, group, command } = header;
    if (group === 0 && command === 0) return [["r", mapGet(body, "d") as string]];
    if (group === 0 && command === 6 && bufSize !== null)
      return [
        ["buf_size", bufSize],
        ["buf_count", bufCount],
      ];
    if (group === 1 && command === 1 && op === 2) return upload(body);
    if (group === 1 && command === 0 && op === 0) return [["images", listImages()]];
    return [["rc", 8]];
  };

  const listImages = (): CborValue[] =>
    stored === null
      ? []
      : [
          cborMap([
            ["slot", 1],
            ["version", "0.0.0"],
            ["hash", sha256Of(stored)],
            ["bootable", true],
          ]),
        ];

  const upload = (body: CborMap): [string, CborValue][] => {
    const off = mapGet(body, "off") as number;
    const data = mapGet(body, "data") as Uint8Array;
    seen.uploads.push(off);
    if (off === 0) {
      const sha = shaOf(body);
      const length = mapGet(body, "len") as number;
      const image = mapGet(body, "image") ?? 0;
      if (image !== 0 || data.length < Math.min(32, length))
        return [
          [
            "err",
            cborMap([
              ["group", 1],
              ["rc", 22],
            ]),
          ],
        ];
      if (options.checksImage && stored !== null && Buffer.from(sha256Of(stored)).toString("hex") === sha)
        return [
          ["off", length],
          ["match", true],
        ];
      if (session !== null && sha !== "" && session.sha === sha) return [["off", session.off]];
      seen.erases++;
      stored = null;
      times.first = clock.now();
      times.firstBytes = data.length;
      session = { sha, length, data: new Uint8Array(length), off: 0 };
    }
    if (session === null || off !== session.off) return [["off", session?.off ?? 0]];
    if (off + data.length > session.length)
      return [
        [
          "err",
          cborMap([
            ["group", 1],
            ["rc", 31],
          ]),
        ],
      ];
    session.data.set(data, off);
    session.off += data.length;
    seen.writes += data.length;
    if (session.off < session.length) return [["off", session.off]];
    return complete(session);
  };

  const complete = ({ data, sha, off }: NonNullable<typeof session>): [string, CborValue][] => {
    stored = data;
    session = null;
    times.done = clock.now();
    if (!options.checksImage) return [["off", off]];
    return [
      ["off", off],
      ["match", Buffer.from(sha256Of(data)).toString("hex") === sha],
    ];
  };

  return {
    receive(bytes) {
      if (seen.dead) return;
      if (framing === "raw") return pushRawBytes(raw, bytes, clock.now(), arrive);
      pushBytes(console, firstLines(bytes, rxLines), arrive, () => {});
    },
    onData: (take) => {
      listener = take;
    },
    restart() {
      cancel();
      isWorking = false;
      queue = [];
      session = null;
      console = makeDeframer(maxMessage);
      raw = makeRawDeframer(maxMessage);
    },
    get stored() {
      return stored;
    },
    seen,
    times,
  };
}

function firstLines(bytes: Uint8Array, most: number): Uint8Array {
  let lines = 0;
  for (let at = 0; at < bytes.length; at++)
    if (bytes[at] === 0x0a && ++lines === most) return bytes.subarray(0, at + 1);
  return bytes;
}
