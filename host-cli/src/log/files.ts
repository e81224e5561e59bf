// Where the files of a log come from: a folder, or a web server that offers one.
//
//   LogFiles.read("checkpoint" | "tile/0/x001/234" | …)  ──▶ bytes, or null when there is no such file
//
// Nothing that comes back is believed; remote.ts compares it with the checkpoint.

import { join } from "node:path";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { type Answer, type HttpClient, httpClient, isAddress, isPassing, parseBase } from "../http";
import { readStored } from "../readfiles";

export interface LogFiles {
  /** The folder or the address, for messages. */
  readonly name: string;
  read(path: string, maxBytes: number): Promise<Uint8Array | null>;
  close(): void;
}

export interface ReadOptions {
  /** For each file, its retries included. */
  readonly timeoutMs?: number;
  /** For each attempt. */
  readonly askMs?: number;
}

const TIMEOUT_MS = 60_000;
const ASK_MS = 20_000;
const FIRST_PAUSE_MS = 250;
const ATTEMPTS = 5;

/** A folder, or an http or https address. Refuses `usage` for a malformed address; reads nothing yet. */
export const openFiles = (where: string, options: ReadOptions = {}): LogFiles =>
  isAddress(where) ? filesAt(parseBase(where), options) : filesIn(where);

export function filesIn(folder: string): LogFiles {
  return {
    name: folder,
    async read(path, maxBytes) {
      try {
        return readStored(join(folder, path), maxBytes);
      } catch (error) {
        if (isRefusal(error) && error.code === "not-found") return null;
        throw error;
      }
    },
    close() {},
  };
}

/** Files below an address. Refuses what http.ts refuses, and `server-answer` for a status that is neither 200 nor 404. */
export function filesAt(base: URL, options: ReadOptions = {}, client: HttpClient = httpClient()): LogFiles {
  return {
    name: base.href,
    async read(path, maxBytes) {
      const answer = await askPatiently(client, new URL(path, base), maxBytes, options);
      if (answer.status === 404 || answer.status === 410) return null;
      if (answer.status === 200) return answer.body;
      throw new Refusal(
        "server-answer",
        `${base.host} answers with HTTP status ${answer.status} for ${path}`,
      );
    },
    close: () => client.close(),
  };
}

const isBusy = ({ status }: Answer) => status === 429 || (status >= 500 && status <= 504);

/** Asks again, after growing pauses, while the trouble is one that passes and there is time. */
async function askPatiently(
  client: HttpClient,
  url: URL,
  maxBytes: number,
  { timeoutMs = TIMEOUT_MS, askMs = ASK_MS }: ReadOptions,
): Promise<Answer> {
  const end = performance.now() + timeoutMs;
  let answer: Answer | undefined;
  let trouble: unknown;
  for (let attempt = 1; ; attempt++) {
    const left = Math.max(1, end - performance.now());
    try {
      answer = await client.ask(url, { maxBytes, timeoutMs: Math.min(askMs, left) });
      if (!isBusy(answer)) return answer;
    } catch (error) {
      if (!isPassing(error)) throw error;
      // That an attempt was cut short by the end of our time tells less than what the one before it found.
      const isCutShort = left < askMs && isRefusal(error) && error.code === "server-slow";
      if (attempt === 1 || !isCutShort) {
        answer = undefined;
        trouble = error;
      }
    }
    const pause = Math.max(
      FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2), // many clients, not one beat
      1000 * (answer?.retryAfterS ?? 0),
    );
    if (attempt === ATTEMPTS || performance.now() + pause >= end) {
      if (answer !== undefined) return answer;
      throw trouble;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
