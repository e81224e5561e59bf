// What a person can do about a socket's complaint. Where we don't know, nothing is said.

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there: is the port right, and is it running?",
  ENOTFOUND: "no such name: is it spelt right, and is there a network?",
  EAI_AGAIN: "the name can't be looked up: is there a network?",
  ENETUNREACH: "there is no way there: is there a network?",
  EHOSTUNREACH: "there is no way there: is the machine on, and in this network?",
};

/** For a Refusal's options: the hint that goes with an errno name, if any. */
export function unreachableHint(code: string | undefined): { hint?: string } {
  const hint = code === undefined ? undefined : HINTS[code];
  return hint === undefined ? {} : { hint };
}
