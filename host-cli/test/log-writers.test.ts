// Who writes to a log: what a kill at any instant leaves, what is on the disk before the checkpoint takes its name, and
// how writers at the same time get in one after the other.

import { existsSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { withLock } from "../src/lock";
import { addToLog, initLog, openLog, readStatements } from "../src/log/store";
import { first, folder, logOf, records, signer, withRecords } from "./log-store-kit";
import { refuses, withCut } from "./maker-kit";

const store = suite("log writers");
withRecords(store);

store("a log whose making is cut is none, and can be made again", async () => {
  for (let cut = 0; ; cut++) {
    const path = join(folder, `a${cut}/b`);
    const { finished } = await withCut(cut, false, () => initLog(path, undefined, signer));
    if (!existsSync(join(path, "checkpoint"))) {
      await refuses("not-a-log", () => openLog(path));
      await initLog(path, undefined, signer);
    }
    assert.is(openLog(path).size, 0n);
    if (finished) return;
  }
});

store("before the checkpoint takes its name, all it commits to is on the disk, names included", async () => {
  const path = await logOf(255);
  const { operations } = await withCut(Infinity, false, () =>
    addToLog(path, records.slice(255, 258), signer),
  );
  const commit = operations.findIndex(
    ({ name, paths }) => name === "renameSync" && paths[1] === join(path, "checkpoint"),
  );
  assert.ok(commit > 0);
  const before = operations.slice(0, commit);
  const renames = before.filter(({ name }) => name === "renameSync");
  assert.is(renames.length, 5); // tiles 000, 001.p/2, level 1's 000.p/1, and two bundles
  for (const rename of operations.filter(({ name }) => name === "renameSync")) {
    const [from = "", to = ""] = rename.paths;
    const at = operations.indexOf(rename);
    const flushed = operations
      .slice(0, at)
      .some(({ name, paths }) => name === "fsyncSync" && paths[0] === from);
    assert.ok(flushed, `${to} was renamed before its content was flushed`);
    const next = operations.slice(at + 1, to.endsWith("checkpoint") ? undefined : commit);
    const folderFlushed = next.some(({ name, paths }) => name === "fsyncSync" && paths[0] === join(to, ".."));
    assert.ok(folderFlushed, `the folder of ${to} was not flushed in time`);
  }
});

store("eight that add at once all get in, in some order, and none twice", async () => {
  const path = await logOf(0);
  const slow = {
    ...signer,
    sign: async (message: Uint8Array) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return signer.sign(message);
    },
  };
  const added = await Promise.all(first(8).map((record) => addToLog(path, [record], slow)));
  const indices = added.map((a) => Number(a.records[0]?.index)).sort();
  assert.equal(indices, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.is(readStatements(openLog(path)).length, 8);
  assert.not(existsSync(join(path, ".lock")));
});

store("a dead writer's lock is removed; one of another host or a live process is not", async () => {
  const path = await logOf(1);
  const lock = (holder: object) => writeFileSync(join(path, ".lock"), JSON.stringify(holder));
  const token = "0123456789abcdef";
  lock({ host: hostname(), pid: 2 ** 22 + 1, token }); // beyond what a 64-bit Linux gives out
  assert.is((await addToLog(path, [records[1] as Uint8Array], signer)).log.size, 2n);
  lock({ host: hostname(), pid: process.pid, token }); // from an earlier process of our number
  assert.is((await addToLog(path, [records[2] as Uint8Array], signer)).log.size, 3n);
  for (const holder of [
    { host: hostname(), pid: process.ppid, token },
    { host: "elsewhere", pid: 1, token },
    {},
  ]) {
    lock(holder);
    await refuses("locked", () => withLock(path, 50, async () => assert.unreachable()));
    assert.ok(existsSync(join(path, ".lock")), "somebody else's lock stays");
  }
});

store(
  "writers killed as they took over from a killed one are followed, one at a time, and leave nothing",
  async () => {
    const path = await logOf(1);
    const tokens = ["00", "11", "22", "33"].map((byte) => byte.repeat(8));
    for (let dead = 1; dead <= tokens.length; dead++) {
      let at = join(path, ".lock");
      for (const token of tokens.slice(0, dead)) {
        writeFileSync(at, JSON.stringify({ host: hostname(), pid: 2 ** 22 + 1, token }));
        at = join(path, `.lock.${token}`);
      }
      let inside = 0;
      let done = 0;
      const work = async () => {
        assert.is(++inside, 1, "alone");
        await new Promise((turn) => setTimeout(turn, 2));
        inside--;
        done++;
      };
      await Promise.all(Array.from({ length: 6 }, () => withLock(path, 30_000, work)));
      assert.is(done, 6);
      const left = readdirSync(path).filter((name) => name.startsWith(".lock"));
      assert.equal(left, [], `after ${dead} dead`);
    }
  },
);

store("a follower of a lock that was let go meanwhile holds nothing", async () => {
  const path = await logOf(1);
  const token = "ab".repeat(8);
  const lock = join(path, ".lock");
  // What a slow follower finds: the chain's first is another's by the time it has made its own file.
  writeFileSync(lock, JSON.stringify({ host: hostname(), pid: process.ppid, token: "cd".repeat(8) }));
  writeFileSync(`${lock}.${token}`, JSON.stringify({ host: hostname(), pid: 2 ** 22 + 1, token }));
  await refuses("locked", () => withLock(path, 50, async () => assert.unreachable()));
  unlinkSync(lock);
  assert.is(await withLock(path, 1000, async () => "held"), "held");
});

store("a writer who comes in through another door isn't overwritten", async () => {
  const path = await logOf(2);
  const meddling = {
    ...signer,
    sign: async (message: Uint8Array) => {
      // A second host that sees no lock: it appends while we are being signed for.
      if (existsSync(join(path, ".lock"))) {
        unlinkSync(join(path, ".lock"));
        await addToLog(path, [records[9] as Uint8Array], signer);
      }
      return signer.sign(message);
    },
  };
  await refuses("locked", () => addToLog(path, [records[5] as Uint8Array], meddling));
  const log = openLog(path);
  assert.is(log.size, 3n);
  assert.is(log.findLeaf(records[9] as Uint8Array), 2n);
});

store.run();
