// Judging on several threads. Work is answered in any order, and each answer is a promise; who asks keeps
// the order. A worker gets contexts as messages of its own port, in order with its work:
//
//   main ──▶ {order:"context", bytes}, {order:"devices", id, packed…} ──▶ worker ──▶ {id, rows}
//
// Items travel packed in one buffer that changes hands, and comes back with the answer: cloning a view would copy all
// that it is a view of, and a buffer left to the worker's garbage collector is a long time in going.

import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Judge, Judged, Piece, Setup } from "./judge";

export type Order =
  | { readonly order: "context"; readonly bytes: Uint8Array }
  | { readonly order: "forget"; readonly digest: string }
  | {
      readonly order: "devices";
      readonly id: number;
      readonly bytes: Uint8Array;
      readonly ends: readonly number[];
      readonly places: readonly string[];
    }
  | { readonly order: "bundle"; readonly id: number; readonly bytes: Uint8Array; readonly place: string };

export interface Answer {
  readonly id: number;
  readonly judged: Judged;
  /** The memory of a batch, given back. */
  readonly bytes?: Uint8Array;
}

export interface Pool {
  context(bytes: Uint8Array): void;
  forget(digest: string): void;
  devices(pieces: readonly Piece[]): Promise<Judged>;
  bundle(piece: Piece): Promise<Judged>;
  close(): Promise<void>;
}

/** Everything here and now. The judge knows the contexts already. */
export function localPool(judge: Judge): Pool {
  return {
    context() {},
    forget() {},
    devices: async (pieces) => judge.devices(pieces),
    bundle: async (piece) => judge.bundle(piece),
    close: async () => {},
  };
}

/** What judging leaves behind is garbage at once: more room for it makes a thread larger and hardly faster. */
const YOUNG_MB = 1;

/** Buffers are as large as the next multiple of this, so that they fit the next batch, too. */
const ROOM = 256 * 1024;

/** The built worker lies beside the built verb. */
const workerFile = () => join(__dirname, "audit-worker.cjs");

/** `count` threads, started when there is enough to do that it pays: until then `local` works. */
export function threadPool(local: Judge, setup: Setup, count: number, startAfter: number): Pool {
  /** What threads that start later must hear first, in its order: a context may be forgotten, and given again. */
  const told: Order[] = [];
  let seen = 0;
  let threads: Thread[] | null = null;
  const here = localPool(local);
  const start = () => {
    threads = Array.from({ length: count }, () => new Thread(setup));
    for (const thread of threads) {
      for (const order of told) thread.send(order);
    }
    told.length = 0;
    return threads;
  };
  const idle = () => {
    const all = threads ?? start();
    return all.reduce((a, b) => (b.waiting < a.waiting ? b : a));
  };
  const tell = (order: Order) => {
    if (threads === null) told.push(order);
    for (const thread of threads ?? []) thread.send(order);
  };
  return {
    context: (bytes) => tell({ order: "context", bytes }),
    forget: (digest) => tell({ order: "forget", digest }),
    devices(pieces) {
      seen += pieces.length;
      if (seen <= startAfter) return here.devices(pieces);
      return idle().devices(pieces);
    },
    bundle(piece) {
      seen += 1;
      return seen <= startAfter ? here.bundle(piece) : idle().bundle(piece);
    },
    async close() {
      await Promise.all((threads ?? []).map((thread) => thread.close()));
    },
  };
}

class Thread {
  private readonly worker: Worker;
  private readonly pending = new Map<
    number,
    { resolve: (judged: Judged) => void; reject: (error: Error) => void }
  >();
  private readonly buffers: ArrayBuffer[] = [];
  private next = 0;
  private failure: Error | null = null;

  constructor(setup: Setup) {
    this.worker = new Worker(workerFile(), {
      workerData: setup,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.worker.on("message", ({ id, judged, bytes }: Answer) => {
      if (bytes !== undefined) this.buffers.push(bytes.buffer as ArrayBuffer);
      this.pending.get(id)?.resolve(judged);
      this.pending.delete(id);
    });
    const fail = (error: Error) => {
      this.failure ??= error;
      for (const { reject } of this.pending.values()) reject(error);
      this.pending.clear();
    };
    this.worker.on("error", fail);
    this.worker.on("exit", (code) => {
      if (this.pending.size > 0) fail(new Error(`a thread that judges ended with status ${code}`));
    });
  }

  get waiting(): number {
    return this.pending.size;
  }

  send(order: Order, transfer: readonly ArrayBuffer[] = []): void {
    this.worker.postMessage(order, transfer as ArrayBuffer[]);
  }

  devices(pieces: readonly Piece[]): Promise<Judged> {
    const bytes = this.memory(pieces.reduce((sum, piece) => sum + piece.bytes.length, 0));
    let at = 0;
    const ends = pieces.map((piece) => {
      bytes.set(piece.bytes, at);
      at += piece.bytes.length;
      return at;
    });
    return this.ask((id) =>
      this.send({ order: "devices", id, bytes, ends, places: pieces.map(({ place }) => place) }, [
        bytes.buffer as ArrayBuffer,
      ]),
    );
  }

  /** A buffer that came back, where it is large enough; others are let go. */
  private memory(length: number): Uint8Array {
    const buffer = this.buffers.pop();
    if (buffer !== undefined && buffer.byteLength >= length) return new Uint8Array(buffer, 0, length);
    return new Uint8Array(new ArrayBuffer(Math.ceil(length / ROOM) * ROOM), 0, length);
  }

  bundle({ bytes, place }: Piece): Promise<Judged> {
    const own = new Uint8Array(bytes); // a copy, whatever kind of view it is: its memory changes hands
    return this.ask((id) => this.send({ order: "bundle", id, bytes: own, place }, [own.buffer]));
  }

  private ask(send: (id: number) => void): Promise<Judged> {
    if (this.failure !== null) return Promise.reject(this.failure);
    const id = this.next++;
    const answer = new Promise<Judged>((resolve, reject) => this.pending.set(id, { resolve, reject }));
    send(id);
    return answer;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }
}
