// Bytes that look random and are the same in every run.

/** A source of bytes; each call gives the next so many. MINSTD, of which the middle bits are taken. */
export function random(seed: number): (length: number) => Uint8Array {
  let state = seed;
  return (length) =>
    new Uint8Array(length).map(() => {
      state = (state * 48271) % 2147483647;
      return state >> 11;
    });
}
