// Requests and replies over any line that may lose, garble, repeat or delay
// what is sent.
//
//   host                              device
//    │  request, sequence 7             │
//    ├──────────────╳                   │   lost: no reply within replyMs
//    │  request, sequence 8             │
//    ├─────────────────────────────────▶│
//    │◀────────── reply, sequence 8 ────┤   settles the exchange
//    │◀────────── reply, sequence 8 ────┤   repeated: nobody waits for it, ignored
//
// Several exchanges may wait at once, each for its own numbers. post() is the
// bare half of one: sent once, no timer, for a caller that keeps its own account
// of what is on the way (upload.ts).
//
// A reply counts when its operation, group, command and sequence number are
// those of a request that still waits. Each try has its own number, and an
// answer to any try of an exchange settles it: the tries are the same request.
// So a request may reach the device more than once. What may not happen twice
// is sent with `tries: 1`, and its caller asks the device what became of it
// (vouch.ts, flash.ts).
//
// All waiting ends at the session's deadline: `device-timeout`. A line that
// goes away: `device-closed`. A reply that decodes to nonsense counts as
// garbled; if nothing better comes, `device-malformed`.

import { type CborMap, isMap, mapGet } from "@vouch/shared/cbor";
import { faultCode, Refusal } from "@vouch/shared/refusal";
import {
  decodeMessage,
  encodeMessage,
  SMP_READ,
  SMP_WRITE,
  type SmpHeader,
  smpHeader,
} from "@vouch/shared/smp";
import { type Clock, realClock } from "./clock";
import { type FramingName, makeFraming } from "./framing";
import type { Transport } from "./transport";

const REPLY_MS = 1000; // a busy board answers within this; spurious retries cost more than waiting
const REPLY_MS_MAX = 5000;
const TRIES = 6;

export interface Message {
  write: boolean;
  group: number;
  command: number;
  body: CborMap;
}

export interface Request extends Message {
  /** What a message calls it: "image state". */
  what: string;
  /** How often it may be sent. Default 6; 1 for what must not happen twice. */
  tries?: number;
  /** How long the first try waits, each later one half as long again. Default 1000. */
  replyMs?: number;
}

export type Reply =
  | { kind: "ok"; body: CborMap }
  /** `group` is null for the errors of SMP version 1, which don't name one. */
  | { kind: "error"; group: number | null; rc: number };

export interface SessionOptions {
  clock?: Clock;
  /** All waiting together, from now. */
  timeoutMs: number;
  /** Version 0 answers errors as {rc}, 1 as {err}. Default 1; both are understood. */
  version?: 0 | 1;
  /** Where sequence numbers begin. Default: anywhere. */
  firstSequence?: number;
  /** Log text the device prints between frames. */
  onText?: (line: Uint8Array) => void;
  /** How messages lie on the line. Default: console. */
  framing?: FramingName;
}

/** What becomes of a message that was posted. At most one of `settle` and `gone` is called, once. */
export interface Posted {
  settle(reply: Reply): void;
  /** The line was closed. */
  gone(error: Refusal): void;
  /** An answer came that isn't one; a better one may follow. */
  garbled?(fault: number): void;
}

export interface Session {
  readonly clock: Clock;
  /** On the clock's scale. */
  readonly deadline: number;
  /** Bytes on the line so far, both ways. */
  readonly wireBytes: number;
  exchange(request: Request): Promise<Reply>;
  /** Sends once and listens until what it returns is called. */
  post(message: Message, posted: Posted): () => void;
  close(): Promise<void>;
}

interface Pending {
  group: number;
  command: number;
  op: number;
  settle(reply: Reply): void;
  garbled(fault: number): void;
}

export function openSession(transport: Transport, options: SessionOptions): Session {
  const clock = options.clock ?? realClock;
  const deadline = clock.now() + options.timeoutMs;
  const waiting = new Map<number, Pending>();
  const framing = makeFraming(options.framing ?? "console", clock);
  const onText = options.onText ?? (() => {});
  const abandon = new Set<(error: Refusal) => void>();
  // Anywhere: an answer that a host before us left on the line should be nobody's.
  let sequence = options.firstSequence ?? Math.floor(Math.random() * 256);
  let closed: Refusal | undefined;
  let wireBytes = 0;

  const gone = (cause?: unknown) => {
    closed ??= new Refusal("device-closed", `the line to the device was closed`, {
      ...(cause === undefined ? {} : { cause }),
    });
    for (const reject of [...abandon]) reject(closed);
  };
  transport.onClose(() => gone());
  transport.onData((bytes) => {
    wireBytes += bytes.length;
    framing.push(bytes, receive, onText);
  });

  function receive(message: Uint8Array): void {
    const { fault, header, body } = decodeMessage(message);
    const pending = header === null ? undefined : waiting.get(header.sequence);
    if (header === null || pending === undefined || !answers(header, pending)) return;
    if (fault !== 0 || body === null) pending.garbled(fault);
    else pending.settle(readReply(body));
  }

  function send(request: Message, pending: Pending): number {
    // 256 numbers, few of them waiting: there is always a free one.
    do sequence = (sequence + 1) & 0xff;
    while (waiting.has(sequence));
    waiting.set(sequence, pending);
    const op = request.write ? SMP_WRITE : SMP_READ;
    const header = smpHeader(op, options.version ?? 1, request.group, request.command, sequence);
    const bytes = framing.encode(encodeMessage(header, request.body));
    wireBytes += bytes.length;
    transport.write(bytes).catch(gone);
    return sequence;
  }

  function post(message: Message, posted: Posted): () => void {
    let used: number | undefined;
    let isOver = false;
    const end = () => {
      isOver = true;
      abandon.delete(fail);
      if (used !== undefined) waiting.delete(used);
    };
    const fail = (error: Refusal) => {
      if (isOver) return;
      end();
      posted.gone(error);
    };
    const settle = (reply: Reply) => {
      end();
      posted.settle(reply);
    };
    if (closed !== undefined) {
      const error = closed;
      queueMicrotask(() => fail(error)); // the caller isn't told before it has what post returns
      return end;
    }
    abandon.add(fail);
    used = send(message, { ...addressOf(message), settle, garbled: posted.garbled ?? (() => {}) });
    return end;
  }

  function exchange(request: Request): Promise<Reply> {
    const tries = request.tries ?? TRIES;
    const used: number[] = [];
    const started = clock.now();
    let stopTimer = () => {};
    let lastFault = 0;
    return new Promise<Reply>((resolve, reject) => {
      const finish = (settle: () => void) => {
        stopTimer();
        abandon.delete(fail);
        for (const number of used) waiting.delete(number);
        settle();
      };
      const fail = (error: Refusal) => finish(() => reject(error));
      const pending: Pending = {
        ...addressOf(request),
        settle: (reply) => finish(() => resolve(reply)),
        garbled: (fault) => {
          lastFault = fault;
        },
      };
      const attempt = (waitMs: number) => {
        const left = deadline - clock.now();
        if (closed !== undefined) return fail(closed);
        if (used.length >= tries || left <= 0) {
          return fail(noAnswer(request.what, clock.now() - started, used.length, lastFault));
        }
        used.push(send(request, pending));
        stopTimer = clock.after(Math.min(waitMs, left), () => attempt(Math.min(waitMs * 1.5, REPLY_MS_MAX)));
      };
      abandon.add(fail);
      attempt(request.replyMs ?? REPLY_MS);
    });
  }

  return {
    clock,
    deadline,
    get wireBytes() {
      return wireBytes;
    },
    exchange,
    post,
    close: async () => {
      gone();
      await transport.close();
    },
  };
}

/** What an answer to the message carries. */
const addressOf = ({ write, group, command }: Message) => ({
  group,
  command,
  op: (write ? SMP_WRITE : SMP_READ) + 1,
});

function answers(header: SmpHeader, pending: Pending): boolean {
  return header.op === pending.op && header.group === pending.group && header.command === pending.command;
}

/** {rc} of version 1, {err: {group, rc}} of version 2; a result code of 0 is success in both. */
function readReply(body: CborMap): Reply {
  const error = mapGet(body, "err");
  if (error !== undefined && isMap(error)) {
    const group = mapGet(error, "group");
    const rc = mapGet(error, "rc");
    if (typeof rc === "number" && rc !== 0) {
      return { kind: "error", group: typeof group === "number" ? group : null, rc };
    }
  }
  const rc = mapGet(body, "rc");
  if (typeof rc === "number" && rc !== 0) return { kind: "error", group: null, rc };
  return { kind: "ok", body };
}

function noAnswer(what: string, ms: number, tries: number, fault: number): Refusal {
  if (fault !== 0) {
    return new Refusal(
      "device-malformed",
      `the answer to ${what} isn't one (${faultCode(fault)}), ${tries} tries`,
    );
  }
  if (tries === 0) {
    return new Refusal("device-timeout", `time is up (--timeout) during ${what}`);
  }
  const sent = tries === 1 ? "sent once" : `sent ${tries} times`;
  return new Refusal("device-timeout", `no answer to ${what} within ${(ms / 1000).toFixed(1)} s, ${sent}`, {
    hint: "is this the device's port, and does it run? `vouch ports` lists the ports",
  });
}
