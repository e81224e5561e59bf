// The command as people type it: every session in scripts/*.txt, each in a folder
// of its own, against the built program. What they share, a maker's folder with a
// device whose verdict is good, is what one `vouch demo --keep` left. VOUCH_SESSION=stream-record.txt runs that one alone.

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Alone, makeAlone, runScript, titleOf, vouch } from "./session";

const SCRIPTS = "host-cli/test/scripts";
const folder = mkdtempSync(join(tmpdir(), "vouch-sessions-"));
const demo = join(folder, "demo");
let alone: Alone;

const sessions = suite("sessions");

sessions.before(() => {
  const { status, stderr } = vouch(folder, ["demo", "--keep", demo]);
  assert.is(status, 0, stderr);
  alone = makeAlone(folder);
  // What came after the good verdict: a bundle of the same device under an advisory.
  cpSync(join(demo, "later/now.vouch.json"), join(demo, "vulnerable.vouch.json"));
  rmSync(join(demo, "later"), { recursive: true });
});
sessions.after(() => rmSync(folder, { recursive: true }));

const only = process.env["VOUCH_SESSION"];

for (const file of readdirSync(SCRIPTS).sort()) {
  if (only !== undefined && file !== only) continue;
  const text = readFileSync(join(SCRIPTS, file), "utf8");
  sessions(`${file}: ${titleOf(text)}`, () => {
    assert.match(titleOf(text), /^[a-z`-].*[^.]$/, "a script begins with a sentence that says what it shows");
    const own = join(folder, file);
    mkdirSync(own);
    runScript(text, own, demo, alone);
    rmSync(own, { recursive: true });
  });
}
sessions.run();
