// Numbers as they are shown.

/** For JSON: a number where a number says it exactly, past 2^53 its decimal text. */
export const decimal = (value: bigint): number | string =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);

export const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;
