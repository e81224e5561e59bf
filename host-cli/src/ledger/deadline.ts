// How long a node may take: each question for itself, and all of them together.

import { Refusal } from "@vouch/shared/refusal";
import { unreachableHint } from "../unreachable";

/** A node that hasn't answered one question by then isn't going to. */
const ASK_MS = 20_000;

/** What the last question has, even when all of them are to be over sooner: cut off at once it would tell nothing. */
const LAST_MS = 2000;

export interface Deadline {
  /** For the next question. `mostMs`: how long that one may take, where it isn't the usual. */
  askMs(mostMs?: number): number;
  /** Whether there is time for another attempt after `ms`. */
  allows(ms: number): boolean;
}

export function deadlineIn(ms: number): Deadline {
  const end = performance.now() + ms;
  const left = () => Math.max(Math.min(ms, LAST_MS), end - performance.now());
  return {
    askMs: (most = ASK_MS) => Math.min(most, left()),
    allows: (more) => performance.now() + more < end,
  };
}

/** No end to all of it, only to each question: for what gets further with each. */
export const eachWithin = (ms: number): Deadline => ({
  askMs: (most = ASK_MS) => Math.min(most, ms),
  allows: () => true,
});

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs `ask` with a way to give up; `stop` ends what it has open. Refuses `node-unreachable`. */
export function within<T>(
  ms: number,
  who: string,
  ask: (done: (value: T) => void, fail: (error: unknown) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let stop = () => {};
    const end = (settle: () => void) => {
      clearTimeout(timer);
      settle();
      stop();
    };
    const timer = setTimeout(() => {
      const error = new Refusal(
        "node-unreachable",
        `${who} gave no answer in ${Math.round(ms / 100) / 10} s`,
      );
      end(() => reject(error));
    }, ms);
    stop = ask(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    );
  });
}

/** A socket's own complaint, as a Refusal about who was asked. */
export const unreachable = (who: string, cause: Error & { code?: string }) =>
  new Refusal("node-unreachable", `${who} can't be reached: ${cause.code ?? cause.message}`, {
    cause,
    ...unreachableHint(cause.code),
  });
