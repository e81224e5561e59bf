// Time as an argument: a session waits by the clock it is given, so that a
// thousand runs over a faulty line, each with seconds of waiting in it, take
// a test no longer than their arithmetic.

export interface Clock {
  /** Milliseconds that never go back; their zero means nothing. */
  now(): number;
  /** Calls `fn` once, `ms` from now, unless what it returns is called first. */
  after(ms: number, fn: () => void): () => void;
}

export const realClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
