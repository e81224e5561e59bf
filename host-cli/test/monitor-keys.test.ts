// A monitor of a log whose keys change: what was signed by the key of its place is as good as ever, what by another is not.

import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { KeyStatement } from "@vouch/shared/keychange";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newClosing } from "../src/commands/log-close";
import { addToLog, initLog } from "../src/log/store";
import {
  addUnder,
  alice,
  bob,
  line,
  log,
  log2,
  newLogIn,
  policyWith,
  rotation as rotationOf,
  signed as signedBy,
  enroller as station,
} from "./keychange-kit";
import { NOON, newSigner, smallRecord, type TestSigner } from "./maker-kit";
import { fastFolder, runMonitor } from "./monitor-kit";

const keys = suite("a monitor and changes of keys");

const folder = fastFolder("monitor-keys");
keys.after(() => rmSync(folder, { recursive: true }));

const [thief, station2] = [newSigner("log.example"), newSigner("station2")];
const policy = policyWith(`enroller ${line(station)}\n`);
const signed = (statement: KeyStatement) => signedBy(statement, alice, bob);
const rotation = (...change: Parameters<typeof rotationOf>) => signed(rotationOf(...change));
const newLog = (size: number) => newLogIn(folder, size);
const add = (path: string, record: Uint8Array, signer: TestSigner) => addUnder(policy, path, record, signer);
const look = (state: string, ...places: string[]) => runMonitor(join(folder, state), places, { policy });

keys("a log's key that changes is news, read in one look or in many", async () => {
  const path = await newLog(2);
  const [seen, late] = ["many", "one"];
  assert.equal((await look(seen, path)).codes, []);
  const before = join(folder, "before");
  cpSync(path, before, { recursive: true });
  // Its first checkpoint with the change in it is the new key's already.
  await add(path, await rotation("log", 3, log, log2), log2);
  assert.equal((await look(seen, path)).codes, ["key-changed"]);
  await add(path, await smallRecord(station, 7), log2);
  const { codes, pass } = await look(seen, path);
  assert.equal(codes, []);
  assert.is(pass.size, 4n);
  assert.equal((await look(late, path)).codes, ["key-changed"]);
  // A copy of before is behind, and no other history.
  const { told } = await runMonitor(join(folder, seen), [before], { policy, now: () => NOON + 3600 });
  assert.equal(
    told.map(({ code }) => code),
    ["log-behind"],
  );
  assert.ok(told.every(({ level }) => level === "unsure"));
});

keys("a look that is stopped before the change goes on from there", async () => {
  const path = await newLog(2);
  await add(path, await rotation("log", 3, log, log2), log2);
  for (let n = 0; n < 5; n++) await add(path, await smallRecord(station, 10 + n), log2);
  const state = join(folder, "stopped");
  let records = 0;
  const stopped = () => ++records > 9; // eight are read for the key, one for what it says
  const first = await runMonitor(state, [path], { policy, stopped });
  assert.is(first.pass.size, 1n);
  assert.equal(first.codes, []);
  const second = await runMonitor(state, [path], { policy });
  assert.equal(second.codes, ["key-changed"]);
  assert.is(second.pass.size, 8n);
});

keys("a key that no approver brought signs nothing", async () => {
  const path = await newLog(2);
  assert.equal((await look("thief", path)).codes, []);
  const forged = join(folder, "forged");
  await initLog(forged, undefined, thief);
  for (let n = 0; n < 2; n++) await addToLog(forged, [await smallRecord(station, n)], thief);
  await addToLog(forged, [await smallRecord(station, 50)], thief);
  const { codes, pass } = await look("thief", forged);
  assert.equal(codes, ["unknown-log"]);
  assert.is(pass.size, 2n);
});

keys(
  "two histories of which one has another key contradict each other, and no one key proves it",
  async () => {
    const path = await newLog(2);
    const other = join(folder, "other");
    cpSync(path, other, { recursive: true });
    await add(path, await rotation("log", 3, log, log2), log2);
    await add(other, await smallRecord(station, 60), log);
    assert.equal((await look("fork", path)).codes, ["key-changed"]);
    const { codes } = await look("fork", path, other);
    assert.ok(codes.length > 0, "a size that the log's key of then has not signed, or another history");
  },
);

keys("an enroller's successor counts from its size on, and the log's end is news", async () => {
  const path = await newLog(1);
  await add(path, await rotation("enroller", 3, station, station2), log);
  assert.equal((await look("enroller", path)).codes, ["key-changed"]);
  await add(path, await smallRecord(station, 8), log);
  await add(path, await smallRecord(station2, 9), log);
  assert.equal((await look("enroller", path)).codes, []);
  const end = newClosing(path, newSigner("next.example").vkey, "moved", NOON);
  await add(path, await signed(end), log);
  assert.equal((await look("enroller", path)).codes, ["log-closing"]);
  const years = { policy, staleAfterS: 60, now: () => NOON + 1e8 };
  const { codes } = await runMonitor(join(folder, "enroller"), [path], years);
  assert.equal(codes, [], "nothing more is expected");
});

keys.run();
