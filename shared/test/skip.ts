// A test that can't run here says so, with the reason, instead of passing.
//
//   const why = hasGo() ? undefined : "go is not installed";
//   if (why !== undefined) skip(peers, "Go reads our note", why);
//   else peers("Go reads our note", () => { … });
//
// scripts/test.mjs counts it and lists the reason above its last line.

interface Skipping {
  // uvu types skip() as taking a test's body; ours takes the reason (scripts/uvu-watch.mjs).
  skip(...args: unknown[]): void;
}

export function skip(suite: Skipping, name: string, reason: string): void {
  suite.skip(name, reason);
}
