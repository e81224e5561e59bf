// Unix seconds and RFC 3339 text in UTC, to the second: the only form of time in our
// formats. Pure: nothing here reads a clock.

const LAST = 253402300799; // 9999-12-31T23:59:59Z

/** Texts made of late: an audit says the same few moments for each of a million devices. */
const texts = new Map<number, string>();
const MAX_TEXTS = 64;

/** 2026-01-15T09:00:00Z. */
export function isoTime(seconds: number): string {
  const known = texts.get(seconds);
  if (known !== undefined) return known;
  if (seconds > LAST) return `${seconds} s after 1970`; // a time in a signed file may be any number
  const text = new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  if (texts.size >= MAX_TEXTS) texts.clear();
  texts.set(seconds, text);
  return text;
}

/** The other way, for text that statement.ts has checked to be of that form. */
export function secondsOf(time: string): number {
  return Date.parse(time) / 1000;
}

/** A policy's max-age as people read it: whole days, else hours. */
export const ageText = (seconds: number): string => {
  const [count, unit] = seconds % 86400 === 0 ? [seconds / 86400, "day"] : [seconds / 3600, "hour"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
};
