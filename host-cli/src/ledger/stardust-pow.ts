// The work a network may ask of a block (TIP-12), done here: as many threads as there are cores, four at most, until
// one has a nonce.
//
//   digest   BLAKE2b-256 of the block without its last 8 bytes, the nonce
//   score    3^zeros / bytes of the block: at least minPowScore           (zeros: pow-search.ts)
//
// Tries are independent, so none is lost when the work stops and begins anew over other parents. The file that
// imports @iota/crypto.js: its slow and plain way to count checks what our fast one found.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { PowHelper } from "@iota/crypto.js";
import { blake2b256 } from "@vouch/shared/hash";
import type { Search } from "./pow-search";
import type { Told } from "./pow-worker";

declare const VOUCH_DIST: string | undefined; // tests run from source, the build is elsewhere

const THREADS = 4;
const NONCE_BYTES = 8;
/** Between the first nonces of two threads: no thread ever gets that far. */
const APART = 1n << 48n;

export interface Work {
  /** Nonces tried so far, and how many it takes on average. */
  readonly tried: number;
  readonly expected: number;
  readonly ms: number;
  /** Nothing comes after this. */
  readonly over: boolean;
}

export interface WorkOptions {
  readonly score: number;
  /** Then it ends without a result. */
  readonly limitMs: number;
  readonly threads?: number;
  readonly onWork?: ((work: Work) => void) | undefined;
}

/** How many zeros give a block of that length at least that score. By whole numbers: logarithms err at powers of 3. */
export function zerosFor(length: number, score: number): number {
  let zeros = 0;
  for (let reach = 1; reach < length * score; reach *= 3) zeros++;
  return zeros;
}

/** Whether a block has the score, as IOTA's own library counts. */
export const isWorkedFor = (block: Uint8Array, score: number): boolean =>
  score === 0 || PowHelper.score(block) >= score;

const workerFile = () =>
  join(typeof VOUCH_DIST === "string" ? VOUCH_DIST : join(__dirname, ".."), "pow-worker.cjs");

/** The block with a nonce of the score, or null when the time was up first. No thread is left behind. */
export async function workOn(block: Uint8Array, options: WorkOptions): Promise<Uint8Array | null> {
  const zeros = zerosFor(block.length, options.score);
  const digest = blake2b256(block.subarray(0, -NONCE_BYTES));
  const threads = options.threads ?? Math.min(THREADS, availableParallelism());
  const searches = Array.from({ length: threads }, (_, i) => ({
    digest,
    zeros,
    start: APART * BigInt(i) + 256n,
  }));
  const nonce = await race(searches, options);
  if (nonce === null) return null;
  const worked = Uint8Array.from(block);
  new DataView(worked.buffer).setBigUint64(worked.length - NONCE_BYTES, nonce, true);
  if (!isWorkedFor(worked, options.score))
    throw new Error(`nonce ${nonce} is said to give ${zeros} zeros, and doesn't`);
  return worked;
}

function race(searches: readonly Search[], { limitMs, onWork }: WorkOptions): Promise<bigint | null> {
  const began = performance.now();
  const tried = searches.map(() => 0);
  const expected = 3 ** searches[0]!.zeros;
  let isOver = false;
  const tell = (over: boolean) => {
    if (isOver) return; // another thread's word, on its way while it was ended
    isOver = over;
    onWork?.({ tried: tried.reduce((a, b) => a + b, 0), expected, ms: performance.now() - began, over });
  };
  const workers = searches.map((search) => new Worker(workerFile(), { workerData: search }));
  let timer: NodeJS.Timeout;
  return new Promise<bigint | null>((resolve, reject) => {
    timer = setTimeout(() => resolve(null), limitMs);
    workers.forEach((worker, i) => {
      worker.on("error", reject);
      worker.on("message", (told: Told) => {
        tried[i] = told.tried;
        tell(false);
        if (told.nonce !== null) resolve(told.nonce);
      });
    });
  }).finally(async () => {
    clearTimeout(timer);
    tell(true);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });
}
