// What test files get when they import "uvu": uvu itself, watched. uvu exits 0
// when a suite is never run, when before() throws, when .only is left in; here
// each leaves a note that test-file.mjs turns into a failure. A skip has to
// give its reason.

import * as uvu from "uvu";

// test-file.mjs makes it; this file is bundled apart from that one, so they meet on the global.
const notes = globalThis[Symbol.for("vouch.test")];

function watch(real, name) {
  const called = name === "" ? "(unnamed)" : name;
  const problem = (text) => notes.problems.push(`suite ${called}: ${text}`);
  const register = (add) => (test, handler) => {
    if (typeof handler !== "function") problem(`${test} has no body`);
    notes.pending.set(watched, called);
    add(test, handler);
  };
  const guard = (add, when) => (hook) =>
    add(async (state) => {
      try {
        await hook(state);
      } catch (error) {
        // uvu swallows it; the suite's tests then count as failed and this says why.
        problem(`${when} threw ${error?.stack ?? error}`);
        throw error;
      }
    });

  const watched = register(real);
  watched.before = Object.assign(guard(real.before, "before()"), { each: real.before.each });
  watched.after = Object.assign(guard(real.after, "after()"), {
    each: guard(real.after.each, "after.each()"),
  });
  watched.only = (test, handler) => {
    problem(`.only is left in at ${test}`);
    register(real.only)(test, handler);
  };
  watched.skip = (test, reason) => {
    if (typeof reason === "string" && reason !== "") notes.skips.push({ suite: called, test, reason });
    else problem(`${test} is skipped without a reason; use skip() from shared/test/skip`);
  };
  watched.run = () => {
    notes.pending.delete(watched);
    real.run();
  };
  return watched;
}

export const suite = (name = "", state = {}) => watch(uvu.suite(name, state), name);
export const test = watch(uvu.test, "");
