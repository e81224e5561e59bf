// Uploads an image to any SMP server: as many chunks on the way as it has buffers
// for, and only what was lost sent again.
//
//   host                                   device
//    │ {off 0, len, sha, data}               │
//    ├──────────────────────────────────────▶│  alone: it may erase for seconds, and
//    │◀───────────────────────── {off 424} ──┤  says where a session of this sha stands
//    ├─ {off 424} ──▶ ├─ {off 862} ──╳       │
//    ├─ {off 1300} ──▶                       │
//    │◀── {off 862} ◀── {off 862} ───────────┤  the second: what is at 862 was lost
//    ├─ {off 862} ──▶ ├─ {off 1300} ──▶      │  flow.ts
//
// - Up to `buf_count - 1` chunks are in flight, 8 at most: a server takes one buffer
//   of its own for each answer, and some crash when all are full.
// - The first chunk is sent again with the same sha, which is harmless: an open
//   session answers where it stands, and does not erase again.
// - An offset below what was taken means that the device restarted: the first
//   chunk's fields are sent again, and its answer says where to go on. The same
//   when the answer to the very last chunk is lost on a server that closes its
//   session with it: that costs a second upload, and never a wrong image.
// - Nothing is given up while bytes arrive. Eight waits in vain at one offset are
//   `transfer-resumable`: the same command goes on where this one stopped.

import { mapGet } from "@vouch/shared/cbor";
import { faultCode, Refusal } from "@vouch/shared/refusal";
import { GROUP_IMAGE, IMAGE_UPLOAD, RC_NO_MEMORY } from "@vouch/shared/smp";
import { uintField } from "./body";
import { Chunks } from "./chunks";
import { runFlow, SETBACKS_MAX } from "./flow";
import type { Posted, Reply, Session } from "./session";
import { deviceError, type Parameters } from "./smp";

const WINDOW_MAX = 8;
const FIRST_RETRY_MS = 3000;
const FIRST_RETRY_SLOW_MS = 10_000; // once as many are unanswered as a server may hold
const FIRST_HELD = 3;
const FIRST_TOTAL_MS = 60_000;

export type UploadEvent =
  | { kind: "resumed" | "restarted" | "rewound"; at: number }
  | { kind: "waited"; at: number; ms: number }
  | { kind: "window"; chunks: number };

export interface UploadOptions {
  /** Of the whole stream: the name of the session on the device. */
  sha256: Uint8Array;
  parameters: Parameters;
  /** Which of the device's images, where it has several. */
  image?: number;
  /** Chunks in flight at most. Default: as many as the server has buffers for, less one. */
  window?: number | "auto";
  /** Bytes of the largest message. Default: what the server's buffer holds. */
  chunk?: number | "auto";
  onProgress?: (done: number) => void;
  onEvent?: (event: UploadEvent) => void;
}

export interface UploadOutcome {
  /** The device's own check of what it stored; null: it can't tell. */
  match: boolean | null;
  /** Bytes of the stream that were sent, and how many of them again. */
  sentBytes: number;
  retransmitted: number;
  /** Bytes on the line, both ways. */
  wireBytes: number;
  /** How much the device had before; the whole length: it had all of it. */
  resumedAt: number;
  /** Of the largest message the device took. */
  messageBytes: number;
  /** Chunks in flight at the end. */
  window: number;
}

/** Sends a whole upload, from wherever the device already is. */
export async function uploadImage(
  session: Session,
  stream: Uint8Array,
  options: UploadOptions,
): Promise<UploadOutcome> {
  const transfer = new Transfer(session, stream, options);
  const wireBefore = session.wireBytes;
  let resumedAt = 0;
  let window = transfer.windowMost;
  for (let begun = 0, isDone = false; !isDone; begun++) {
    transfer.noteBegin();
    const first = await begin(transfer);
    if (begun === 0 && first.off > first.end) {
      resumedAt = first.off;
      transfer.emit({ kind: "resumed", at: first.off });
    }
    transfer.progress(first.off);
    ({ isDone, window } = await runFlow(transfer, first.off, window));
  }
  const { match, sentBytes, retransmitted, chunks } = transfer;
  const wireBytes = session.wireBytes - wireBefore;
  return { match, sentBytes, retransmitted, wireBytes, resumedAt, messageBytes: chunks.proven, window };
}

/** What the first chunk and the flow after it have in common. */
export class Transfer {
  readonly chunks: Chunks;
  readonly windowMost: number;
  match: boolean | null = null;
  sentBytes = 0;
  retransmitted = 0;
  private sentEnd = 0;
  private furthest = 0;
  private begins = 0;

  constructor(
    readonly session: Session,
    readonly stream: Uint8Array,
    readonly options: UploadOptions,
  ) {
    const { window = "auto", chunk = "auto", parameters } = options;
    this.chunks = new Chunks(stream, options.sha256, options.image, chunk === "auto" ? parameters : chunk);
    const wanted = window === "auto" ? parameters.bufferCount - 1 : window;
    this.windowMost = Math.min(WINDOW_MAX, Math.max(1, wanted));
  }

  emit(event: UploadEvent): void {
    this.options.onEvent?.(event);
  }

  /** Notes where the device is. */
  progress(off: number): void {
    if (off > this.furthest) this.begins = 0;
    this.furthest = Math.max(this.furthest, off);
    this.options.onProgress?.(off);
  }

  /** Notes that it begins, or begins again. Refuses a device that keeps restarting. */
  noteBegin(): void {
    if (this.begins++ > SETBACKS_MAX) throw this.stuck();
  }

  stuck(): Refusal {
    return new Refusal(
      "device-error",
      `the upload doesn't get past ${this.furthest} of ${this.stream.length} bytes`,
    );
  }

  /** Sends the chunk at `off`, sized by that rung, and gives its end. */
  post(off: number, rung: number | undefined, posted: Posted): { end: number; cancel: () => void } {
    const { end, body } = this.chunks.at(off, rung);
    this.sentBytes += end - off;
    this.retransmitted += Math.max(0, Math.min(end, this.sentEnd) - off);
    this.sentEnd = Math.max(this.sentEnd, end);
    const message = { write: true, group: GROUP_IMAGE, command: IMAGE_UPLOAD, body };
    return { end, cancel: this.session.post(message, posted) };
  }

  /** The offset an answer names; null: the server has no room. Refuses its errors, and nonsense. */
  read(reply: Reply, at: number): number | null {
    const what = `upload at ${at}`;
    if (reply.kind === "error") {
      if (reply.group === null && reply.rc === RC_NO_MEMORY) return null;
      throw deviceError(what, reply);
    }
    const match = mapGet(reply.body, "match");
    if (typeof match === "boolean") this.match = match;
    return uintField({ what, body: reply.body }, "off", this.stream.length);
  }

  /** Why it ends here when no answer comes any longer. */
  unanswered(at: number, ms: number, tries: number, fault: number): Refusal {
    const what = `upload at ${at}`;
    if (this.furthest > 0) {
      return new Refusal(
        "transfer-resumable",
        `no answer from the device at ${at} of ${this.stream.length} bytes; the image it runs is untouched`,
        { hint: "run the same command again: it goes on where this one stopped" },
      );
    }
    if (fault !== 0) {
      return new Refusal(
        "device-malformed",
        `the answer to ${what} isn't one (${faultCode(fault)}), ${tries} tries`,
      );
    }
    const sent = tries === 1 ? "sent once" : `sent ${tries} times`;
    return new Refusal("device-timeout", `no answer to ${what} within ${(ms / 1000).toFixed(1)} s, ${sent}`);
  }
}

/** The first chunk, until it is answered: where the device goes on, and where the chunk ended. */
async function begin(transfer: Transfer): Promise<{ off: number; end: number }> {
  const { session, chunks, options } = transfer;
  const { clock } = session;
  const started = clock.now();
  const until = Math.min(started + FIRST_TOTAL_MS, session.deadline);
  const heldMost = Math.max(FIRST_HELD, options.parameters.bufferCount - 1);
  const cleanUp: (() => void)[] = [];
  let fault = 0;
  try {
    return await new Promise((resolve, reject) => {
      const attempt = (tries: number) => {
        const left = until - clock.now();
        if (left <= 0) return reject(transfer.unanswered(0, clock.now() - started, tries, fault));
        const rung = chunks.rungOfTry(tries);
        const { end, cancel } = transfer.post(0, rung, {
          gone: reject,
          garbled: (seen) => {
            fault = seen;
          },
          settle: (reply) => {
            try {
              const off = transfer.read(reply, 0);
              if (off === null) return; // no room now: it is sent again
              chunks.beginAt(rung);
              resolve({ off, end });
            } catch (error) {
              reject(error);
            }
          },
        });
        const wait = tries + 1 < heldMost ? FIRST_RETRY_MS : FIRST_RETRY_SLOW_MS;
        cleanUp.push(
          cancel,
          clock.after(Math.min(wait, left), () => attempt(tries + 1)),
        );
      };
      attempt(0);
    });
  } finally {
    for (const stop of cleanUp) stop();
  }
}
