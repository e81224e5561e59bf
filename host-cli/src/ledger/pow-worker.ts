// A thread that looks for a nonce until it has one, or is ended. The build makes it a file of its own, as threads start
// from files: host-cli/dist/pow-worker.cjs.

import { parentPort, workerData } from "node:worker_threads";
import { type Search, startSearch } from "./pow-search";

export interface Told {
  /** Nonces tried so far. */
  readonly tried: number;
  readonly nonce: bigint | null;
}

const search = startSearch(workerData as Search);
let nonce: bigint | null = null;
while (nonce === null) {
  nonce = search.next();
  parentPort?.postMessage({ tried: search.tried(), nonce } satisfies Told);
}
