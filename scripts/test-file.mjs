// Runs one bundled test file in this process, for test.mjs, and writes what
// happened to a report, a JSON object a line, as it happens:
//
//   {"suite":"cbor","passed":12,"failed":0}
//   {"problem":"suite cose: has tests but .run() is missing"}
//   {"skip":{"suite":"smpmgr","test":"echoes","reason":"smpmgr is not installed"}}
//   {"finished":true}
//
// A report without the last line is of a file that crashed, hung or called
// process.exit(): whatever it printed, it failed.

import { appendFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { startKeeping } from "./leaks.mjs";

const [, , bundle, report, keep] = process.argv;
const tell = (line) => appendFileSync(report, `${JSON.stringify(line)}\n`);

globalThis.UVU_DEFER = 1; // uvu queues suites and leaves running them to us
globalThis.UVU_INDEX = 0;
globalThis.UVU_QUEUE = [[]];
const keeping = startKeeping(keep);
const notes = { problems: [], skips: [], pending: new Map(), handed: keeping.handed };
globalThis[Symbol.for("vouch.test")] = notes;

await import(pathToFileURL(bundle).href);

let tests = 0;
for (const run of globalThis.UVU_QUEUE[0]) {
  try {
    const [errors, passed, , total] = await run();
    tests += total;
    if (errors.length) console.log(`\n${errors}`);
    tell({ passed, failed: total - passed });
  } catch (error) {
    console.log(`\n${error?.stack ?? error}`); // after() threw
    tell({ passed: 0, failed: 1 });
  }
}
for (const name of notes.pending.values())
  notes.problems.push(`suite ${name}: has tests but .run() is missing`);
if (tests === 0 && notes.skips.length === 0 && notes.problems.length === 0) {
  notes.problems.push("holds no tests");
}
keeping.end();
for (const problem of notes.problems) tell({ problem });
for (const skip of notes.skips) tell({ skip });
tell({ finished: true });
