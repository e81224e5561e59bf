// What could make a monitor say nothing of a lie: one trouble before another, a receipt that comes late, more findings
// than fit in memory.

import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { utf8Decode, utf8Encode } from "@vouch/shared/bytes";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { recordNote } from "../src/ledger/ledger";
import { storeAnchor } from "../src/log/anchors";
import { linesIn } from "../src/monitor/state";
import { NOON } from "./maker-kit";
import { fastFolder, ledgerKey, makeHistory, noteIn, recordOf, runMonitor } from "./monitor-kit";

const silence = suite("monitor silence");

const folder = fastFolder("silence");
let real: (size: number) => string;
let states = 0;
const newState = () => join(folder, `state-${++states}`);
const place = (name: string) => join(folder, name);

silence.before(async () => {
  real = await makeHistory(folder, "real", 7, (n) => recordOf(0, n));
});
silence.after(() => rmSync(folder, { recursive: true, force: true }));

/** The checkpoint with its signature turned into one that doesn't verify. */
const forged = (log: string) => {
  const text = Buffer.from(noteIn(log)).toString();
  return text.replace(/^(—.*)$/m, (line) => line.replace(/.(?=.{8}$)/, (c) => (c === "A" ? "B" : "A")));
};

silence("a place in trouble that then shows a forged checkpoint is told of again", async () => {
  const state = newState();
  const at = place("down");
  mkdirSync(at);
  const first = await runMonitor(state, [real(5), at]);
  assert.equal(
    first.told.map(({ code, level }) => [code, level]),
    [["not-a-log", "trouble"]],
  );
  writeFileSync(join(at, "checkpoint"), forged(real(5)));
  const second = await runMonitor(state, [real(5), at]);
  assert.equal(
    second.told.map(({ code, level, source }) => [code, level, source]),
    [["bad-signature", "wrong", at]],
  );
  assert.is(second.pass.worst, "wrong");
  assert.equal((await runMonitor(state, [real(5), at])).codes, [], "once");
  rmSync(join(at, "checkpoint"));
  assert.equal((await runMonitor(state, [real(5), at])).codes, ["not-a-log"]);
  cpSync(real(5), at, { recursive: true });
  const { told } = await runMonitor(state, [real(5), at]);
  assert.equal(
    told.map(({ code, of }) => [code, of]),
    [
      ["over", "bad-signature"],
      ["over", "not-a-log"],
    ],
  );
});

async function anchorsAt(name: string) {
  cpSync(real(7), place(name), { recursive: true });
  await initDirectoryLedger(place(`${name}-ledger`), undefined, ledgerKey, NOON);
  const ledger = openDirectoryLedger(place(`${name}-ledger`), ledgerKey);
  return async (size: number) => (await recordNote(ledger, noteIn(real(size)), ledgerKey, NOON)).receipt;
}

silence("a receipt that comes later than that of a larger size is looked at", async () => {
  const state = newState();
  const receiptOf = await anchorsAt("late");
  const [five, six] = [await receiptOf(5), await receiptOf(6)];
  storeAnchor(place("late"), noteIn(real(6)), "directory", six);
  assert.equal((await runMonitor(state, [place("late")])).codes, []);
  storeAnchor(place("late"), noteIn(real(5)), "directory", six);
  const wrong = await runMonitor(state, [place("late")]);
  assert.equal(wrong.codes, ["inclusion-mismatch"]);
  assert.equal((await runMonitor(state, [place("late")])).codes, [], "once");
  writeFileSync(join(place("late"), "anchors/5/directory.tlog-proof"), five);
  assert.equal((await runMonitor(state, [place("late")])).codes, []);
});

silence("a receipt beside another place's larger one is looked at", async () => {
  const state = newState();
  const receiptOf = await anchorsAt("one");
  const [five, six] = [await receiptOf(5), await receiptOf(6)];
  storeAnchor(place("one"), noteIn(real(6)), "directory", six);
  cpSync(real(7), place("other"), { recursive: true });
  assert.equal((await runMonitor(state, [place("one")])).codes, []);
  storeAnchor(place("other"), noteIn(real(5)), "directory", five.slice(0, -9));
  assert.equal((await runMonitor(state, [place("one"), place("other")])).told.length, 1);
});

silence("findings are handed on in pieces, however many wait and wherever a piece ends", () => {
  const lines = Array.from({ length: 40 }, (_, i) => `${i} ${"ä".repeat(i)}`);
  const bytes = utf8Encode(`told before\n${lines.map((line) => `${line}\n`).join("")}cut of`);
  const [from, to] = ["told before\n".length, bytes.length - "cut of".length];
  for (let piece = 1; piece < 200; piece += 7) {
    const asked: number[] = [];
    const read = (start: number, length: number) => {
      asked.push(length);
      assert.ok(start >= from && start + length <= to);
      return bytes.slice(start, start + length);
    };
    const found = [...linesIn({ read }, from, to, piece)].map((line) => utf8Decode(line));
    assert.equal(found, lines, `pieces of ${piece}`);
    assert.ok(Math.max(...asked) <= piece);
  }
});

silence.run();
