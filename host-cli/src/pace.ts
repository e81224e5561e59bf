// Time, as a simulated device and who records it see it. It is the machine's, unless a demonstration sets another pace:
//
//   steady   += what went by on the machine × pace, at each turn of the simulated device, and at most STEP_MS
//   wall     =  the machine's time when the pace was set, and what steady has gone on since
//
// So twelve minutes fit in a quarter of one, and on a busy machine they take longer, while the device loses nothing. Real
// devices know nothing of it: nobody who sets a pace opens a line to one.

/** Half of what the slowest sensor's FIFO holds would do; a recorder wants to see its device go on smoothly. */
const STEP_MS = 500;

interface Paced {
  readonly pace: number;
  readonly wall: number;
  readonly began: number;
  steady: number;
  seen: number;
}

let paced: Paced | null = null;

/** Lets simulated time run so many times as fast, until the returned function is called. */
export function setPace(pace: number): () => void {
  const began = performance.now();
  paced = { pace, wall: Date.now(), began, steady: began, seen: began };
  return () => {
    paced = null;
  };
}

/** A simulated device's turn: time goes on. */
export function goOn(): void {
  if (paced === null) return;
  const now = performance.now();
  paced.steady += Math.min(STEP_MS, (now - paced.seen) * paced.pace);
  paced.seen = now;
}

/** Milliseconds that never go back. */
export const steadyNow = (): number => (paced === null ? performance.now() : paced.steady);

/** Milliseconds since 1970. */
export const wallNow = (): number =>
  paced === null ? Date.now() : paced.wall + (paced.steady - paced.began);

/** How long the machine's timers are to wait for so long. */
export const waitFor = (ms: number): number => (paced === null ? ms : ms / paced.pace);
