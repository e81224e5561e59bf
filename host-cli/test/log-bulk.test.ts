// Many records at once: streamed, all of them or none, found again by the index.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { parseEnvelope } from "@vouch/shared/dsse";
import { leafHash, memoryReader, rootOf } from "@vouch/shared/merkle";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { nodeCrypto } from "../src/crypto";
import { indexFolder, listRuns } from "../src/log/index";
import { findRecord, findStatements } from "../src/log/lookup";
import { addToLog, initLog, openLog, streamToLog } from "../src/log/store";
import { signStatement } from "../src/statementfile";
import {
  NOON,
  newFolder,
  newSigner,
  quickRecord,
  refuses,
  saveSigner,
  vouchOk,
  vouchRefuses,
} from "./maker-kit";

const bulk = suite("log bulk");
const signer = newSigner("log.example");
const MANY = 40_000; // past the first index that is written on the way
const folder = newFolder("bulk");
const records: Uint8Array[] = [];

const rootHex = (count: number) => {
  const leaves = records.slice(0, count).map((record) => leafHash(record, nodeCrypto));
  return toHex(rootOf(BigInt(count), memoryReader(leaves, nodeCrypto), nodeCrypto));
};

const filesOf = (log: string) =>
  readdirSync(log, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(log.length + 1))
    .sort();

bulk.before(() => {
  for (let n = 0; n < MANY; n++) records.push(quickRecord(n));
  assert.is(parseEnvelope(records[7] as Uint8Array).signatures.length, 1);
});
bulk.after(() => rmSync(folder, { recursive: true, force: true }));

bulk("forty thousand in one go are the log that the definition gives, and each is found again", async () => {
  const log = join(folder, "many");
  await initLog(log, undefined, signer);
  await addToLog(log, records.slice(0, 300), signer);
  const told: bigint[] = [];
  const incoming = records.map((bytes, n) => ({ bytes, from: String(n) }));
  await streamToLog(log, incoming, signer, {
    told: ({ from }, { index, added }) => {
      assert.is(index, BigInt(from));
      assert.is(added, index >= 300n);
      told.push(index);
    },
  });
  assert.is(told.length, MANY);
  const found = openLog(log);
  assert.is(toHex(found.checkpoint.root), rootHex(MANY));
  assert.ok(listRuns(log).length >= 1);
  for (let n = 0; n < MANY; n += 997) {
    assert.is(findRecord(found, records[n] as Uint8Array), BigInt(n));
    const subject = n.toString(16).padStart(64, "0");
    const [statement, ...others] = findStatements(found, [{ kind: "evidence-commitment", subject }]);
    assert.equal([statement?.index, others.length], [BigInt(n), 0]);
  }
  assert.is(findRecord(found, quickRecord(MANY)), null);
  const again = await streamToLog(log, incoming, signer, {
    told: ({ from }, record) => assert.equal(record, { index: BigInt(from), added: false }),
  });
  assert.is(again.size, BigInt(MANY));
  const { leftovers } = checkLog(log, null);
  assert.is(leftovers, 0);
});

bulk("records that come twice in a stream, near and far, are one", async () => {
  const log = join(folder, "twice");
  await initLog(log, undefined, signer);
  const stream = [
    ...records.slice(0, 5000),
    ...records.slice(4990, 5010),
    ...records.slice(0, 10),
    records[5009],
    records[6000],
  ];
  const { records: added, log: grown } = await addToLog(log, stream as Uint8Array[], signer);
  assert.is(grown.size, 5011n);
  assert.equal(
    added.slice(5000).map(({ index }) => Number(index)),
    [
      ...Array.from({ length: 20 }, (_, i) => 4990 + i),
      ...Array.from({ length: 10 }, (_, i) => i),
      5009,
      5010,
    ],
  );
  assert.equal(added.filter((record) => !record.added).length, 10 + 10 + 1);
});

bulk(
  "a record that is refused, or a signer that fails, leaves the log and its folder as they were",
  async () => {
    const log = join(folder, "refused");
    await initLog(log, undefined, signer);
    await addToLog(log, records.slice(0, 5000), signer);
    const before = filesOf(log);
    const checkpoint = readFileSync(join(log, "checkpoint"));
    const same = () => {
      assert.equal(filesOf(log), before);
      assert.equal(readFileSync(join(log, "checkpoint")), checkpoint);
      checkLog(log, null);
    };
    const bad = [...records.slice(0, MANY), utf8Encode("{}")];
    await refuses("malformed-dsse", () => addToLog(log, bad, signer));
    same();
    const failing = { ...signer, sign: () => Promise.reject(new Error("no card")) };
    let failed = "";
    await addToLog(log, records.slice(0, 9000), failing).catch((error: Error) => {
      failed = error.message;
    });
    assert.is(failed, "no card");
    same();
  },
);

bulk("a status in a stream speaks for the log as it is where it will stand", async () => {
  const log = join(folder, "status");
  await initLog(log, undefined, signer);
  await addToLog(log, records.slice(0, 100), signer);
  const statusAt = (logSize: number, rootSha256: string) =>
    signStatement(
      {
        kind: "status",
        origin: "log.example",
        rootSha256,
        product: "pump",
        logSize,
        advisories: [],
        withdrawn: [],
        created: isoTime(NOON),
      },
      signer,
    );
  const stream = async (...sizes: [number, string][]) => [
    ...records.slice(100, 5000),
    ...(await Promise.all(sizes.map(([size, root]) => statusAt(size, root)))),
  ];
  const good = await stream([5000, rootHex(5000)], [100, rootHex(100)], [4321, rootHex(4321)]);
  await refuses("status-root-mismatch", async () =>
    addToLog(log, await stream([4321, rootHex(4320)]), signer),
  );
  await refuses("status-overreach", async () => addToLog(log, await stream([5001, rootHex(5000)]), signer));
  assert.is((await addToLog(log, good, signer)).log.size, 5003n);
  const found = findStatements(openLog(log), [{ kind: "status", subject: "pump" }]);
  assert.equal(
    found.map(({ index }) => Number(index)),
    [5000, 5001, 5002],
  );
});

bulk("an index that an append wrote before it was cut short is dropped by the next", async () => {
  const log = join(folder, "stale");
  await initLog(log, undefined, signer);
  await addToLog(log, records.slice(0, 10), signer);
  mkdirSync(indexFolder(log));
  writeFileSync(join(indexFolder(log), "0-5000"), Buffer.alloc(4096));
  assert.is(findRecord(openLog(log), records[3] as Uint8Array), 3n);
  await addToLog(log, records.slice(10, 20), signer);
  assert.equal(listRuns(log), []);
});

bulk("single additions keep an index in few files, and are found across them", async () => {
  const log = join(folder, "steps");
  await initLog(log, undefined, signer);
  for (let at = 0; at < 30_000; at += 5000) await addToLog(log, records.slice(at, at + 5000), signer);
  const runs = listRuns(log);
  assert.ok(runs.length <= 3, `${runs.length} files`);
  assert.is(runs.at(-1)?.to, 30_000n);
  const found = openLog(log);
  for (let n = 0; n < 30_000; n += 1234) assert.is(findRecord(found, records[n] as Uint8Array), BigInt(n));
});

bulk(
  "log add takes folders, and files of lines; it lists the first thousand and counts the rest",
  async () => {
    const log = join(folder, "cli");
    const key = saveSigner(folder, signer);
    await vouchOk("log", "init", log, "--key", key);
    const files = join(folder, "statements");
    mkdirSync(files);
    for (let n = 0; n < 12; n++) writeFileSync(join(files, `${n + 10}.dsse.json`), records[n] as Uint8Array);
    writeFileSync(join(files, "note.txt"), "no statement");
    const lines = join(folder, "entries.jsonl");
    writeFileSync(
      lines,
      `${records
        .slice(5, 2000)
        .map((r) => Buffer.from(r).toString())
        .join("\n")}\n`,
    );
    const out = JSON.parse(
      await vouchOk("log", "add", log, files, "--entries", lines, "--key", key, "--json"),
    );
    assert.equal([out.size, out.added, out.known, out.records.length], [2000, 2000, 7, 1000]);
    assert.equal(out.records[12], { file: `${lines}:1`, index: 5, added: false });
    const text = await vouchOk("log", "add", log, "--entries", lines, "--key", key);
    assert.match(text, /^and 995 more {2}0 added, 1995 there already$/m);
    writeFileSync(lines, `${Buffer.from(records[1] as Uint8Array)}\nnot a statement\n`);
    assert.match(
      await vouchRefuses("malformed-json", "log", "add", log, "--entries", lines, "--key", key),
      /entries\.jsonl:2: /,
    );
    await vouchRefuses("usage", "log", "add", log, "--key", key);
    assert.not(existsSync(join(log, ".lock")));
  },
);

bulk.run();
