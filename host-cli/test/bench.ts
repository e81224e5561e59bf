// A bench in memory: the real agent on simulated flash, a line whose faults are
// to order, and a clock that jumps. Nothing waits: a minute of timeouts takes
// as long as what happens in it.

import { utf8Encode } from "@vouch/shared/bytes";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { parsePolicy } from "@vouch/shared/policy";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { decodeMessage, makeDeframer, pushBytes, SMP_WRITE, type SmpHeader } from "@vouch/shared/smp";
import { formatVkey, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import {
  makeImage,
  makeUploadFile,
  nodeHash,
  type ReleaseOptions,
  stranger,
  vendor,
} from "../../firmware/test/kit";
import {
  makeEngine,
  makeSimDevice,
  type SimDevice,
  type SimOptions,
  simLayout,
} from "../../firmware/test/sim";
import { nodeCrypto } from "../src/crypto";
import type { Clock } from "../src/device/clock";
import type { LinkOptions } from "../src/device/link";
import type { Transport } from "../src/device/transport";
import type { Signer } from "../src/signer";

export { makeImage, nodeHash, stranger };

export interface VirtualClock extends Clock {
  /** Runs timers, jumping from one to the next, until the promise settles. */
  run<T>(work: Promise<T>): Promise<T>;
}

export function virtualClock(): VirtualClock {
  let time = 0;
  let order = 0;
  const timers = new Map<number, { at: number; fn: () => void }>();
  const fireNext = () => {
    let next: [number, { at: number; fn: () => void }] | undefined;
    for (const entry of timers) if (next === undefined || entry[1].at < next[1].at) next = entry;
    if (next === undefined) throw new Error("everybody waits and no timer runs");
    timers.delete(next[0]);
    time = Math.max(time, next[1].at);
    next[1].fn();
  };
  return {
    now: () => time,
    after(ms, fn) {
      const id = order++;
      timers.set(id, { at: time + ms, fn });
      return () => void timers.delete(id);
    },
    async run(work) {
      let settled = false;
      const done = () => {
        settled = true;
      };
      work.then(done, done);
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        if (settled) return work;
        fireNext();
      }
    },
  };
}

/** What becomes of bytes put on the line: pieces, each after a delay in ms. */
export type Faults = (bytes: Uint8Array) => { bytes: Uint8Array; delayMs: number }[];

export const clean: Faults = (bytes) => [{ bytes, delayMs: 1 }];

export interface Line {
  /** A transport to the device; a new one after each close. */
  open: () => Promise<Transport>;
  /** Headers of all requests the host sent. */
  readonly sent: SmpHeader[];
  /** The cable is pulled. */
  pull(): void;
}

const WORK_MS = 20; // until the device gets to its own work after a request

export function makeLine(
  device: SimDevice,
  clock: Clock,
  toDevice: Faults = clean,
  toHost: Faults = clean,
): Line {
  const sent: SmpHeader[] = [];
  const deframer = makeDeframer(4096);
  let current: { data: (bytes: Uint8Array) => void; closed: () => void } | null = null;
  const carry = (pieces: ReturnType<Faults>, deliver: (bytes: Uint8Array) => void) => {
    for (const { bytes, delayMs } of pieces) clock.after(delayMs, () => deliver(bytes));
  };
  device.onData((bytes) => carry(toHost(bytes), (piece) => current?.data(piece)));
  const note = (message: Uint8Array) => {
    const { header } = decodeMessage(message);
    if (header !== null) sent.push(header);
  };
  return {
    sent,
    open: async () => {
      const end = { data: (_bytes: Uint8Array) => {}, closed: () => {} };
      current = end;
      return {
        label: "bench",
        write: async (bytes) => {
          if (current !== end) throw new Error("the line is gone");
          pushBytes(deframer, bytes, note, () => {});
          carry(toDevice(bytes), (piece) => {
            device.write(piece);
            clock.after(WORK_MS, () => device.run());
          });
        },
        onData: (listener) => {
          end.data = listener;
        },
        onClose: (listener) => {
          end.closed = listener;
        },
        close: async () => {
          if (current === end) current = null;
        },
      };
    },
    pull() {
      const end = current;
      current = null;
      end?.closed();
    },
  };
}

export const wroteAnything = (line: Line) => line.sent.some(({ op }) => op === SMP_WRITE);

export const PRODUCT = "pump";
export const MODEL = "PUMP-400";
export const vendorVkey = makeVkey("acme-medical", KEY_ED25519, vendor.publicKey);
export const vendorId = vendorIdOf(vendorVkey.name, nodeCrypto);
export const classId = classIdOf(PRODUCT, MODEL, nodeCrypto);

const ENGINE_BYTES = 4096;
const PAYLOAD_BYTES = 8192;

export const engineBlock = {
  vendorKey: vendor.publicKey,
  vendorId,
  classId,
  model: MODEL,
  hardwareVersion: "B",
  name: "vouch-sim",
  version: "0.1.0",
};

export function benchDevice(
  options: Partial<SimOptions> = {},
  block: Partial<typeof engineBlock> = {},
): SimDevice {
  const engine = makeEngine({ ...engineBlock, ...block }, new Uint8Array(1000).fill(0x2f), ENGINE_BYTES);
  const layout = simLayout(PAYLOAD_BYTES, ENGINE_BYTES);
  return makeSimDevice({ engine, layout, manual: true, hashFlash: nodeHash, ...options });
}

/** A sealed upload for the bench device, with whatever is wrong with it to order. */
export const sealed = (image: Uint8Array, options: ReleaseOptions = {}) =>
  makeUploadFile(image, { vendorId, classId, ...options });

export interface Bench {
  readonly device: SimDevice;
  readonly clock: VirtualClock;
  readonly line: Line;
  readonly link: LinkOptions;
}

export function makeBench(
  device: SimDevice = benchDevice(),
  faults: { toDevice?: Faults; toHost?: Faults; timeoutMs?: number } = {},
): Bench {
  const clock = virtualClock();
  const line = makeLine(device, clock, faults.toDevice, faults.toHost);
  return {
    device,
    clock,
    line,
    link: { timeoutMs: faults.timeoutMs ?? 60_000, clock, open: line.open, firstSequence: 0 },
  };
}

const enrollerKey = keyPairFromSeed(nodeHash(Buffer.from("bench enroller")));
export const enroller: Signer = {
  name: "bench-station",
  publicKey: enrollerKey.publicKey,
  sign: async (message) => signEd25519(enrollerKey.secretKey, message),
};

const logKey = keyPairFromSeed(nodeHash(Buffer.from("bench log")));
const logVkey = makeVkey("log.acme.example", KEY_ED25519, logKey.publicKey);

/** A checkpoint note of the bench's log; its root is no tree's. */
export function logNote(size: number): Uint8Array {
  const text = formatCheckpoint({
    origin: logVkey.name,
    size: BigInt(size),
    root: nodeHash(Buffer.from(`root ${size}`)),
  });
  const signature = signEd25519(logKey.secretKey, utf8Encode(text));
  return formatNote(text, [signatureLine(logVkey.name, logVkey.keyId, signature)]);
}

export const enrolPolicy = parsePolicy(
  utf8Encode(
    [
      `log ${formatVkey(logVkey)}`,
      "quorum none",
      `vendor ${PRODUCT} ${formatVkey(vendorVkey)}`,
      `enroller ${formatVkey(makeVkey(enroller.name, KEY_ED25519, enroller.publicKey))}`,
      "",
    ].join("\n"),
  ),
  nodeCrypto,
);
