// Everything in a log's folder, bent, cut, missing or too much: `log check` names the file.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { utf8Encode } from "@vouch/shared/bytes";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { isRefusal } from "@vouch/shared/refusal";
import { tilePath } from "@vouch/shared/tiles";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorLog } from "../src/commands/anchor";
import { checkLog } from "../src/commands/log-check";
import { nodeCrypto } from "../src/crypto";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { listRuns } from "../src/log/index";
import { findRecord } from "../src/log/lookup";
import { addToLog, initLog, openLog } from "../src/log/store";
import { NOON, newFolder, newSigner, smallRecord, vouch } from "./maker-kit";

const fsck = suite("log fsck");
const signer = newSigner("log.example");
const keeper = newSigner("ledger.example");
const LARGE = 4500; // past the first index
const records: Uint8Array[] = [];
const folder = newFolder("fsck");
const small = join(folder, "small");
const large = join(folder, "large");

let policy: Policy;

fsck.before(async () => {
  for (let n = 0; n < LARGE; n++) records.push(await smallRecord(signer, n));
  await initLog(small, undefined, signer);
  await addToLog(small, records.slice(0, 3), signer);
  const ledger = join(folder, "ledger");
  const timeKey = await initDirectoryLedger(ledger, undefined, keeper, NOON);
  const lines = `log ${formatVkey(signer.vkey)}\nledger directory ${formatVkey(timeKey)}\nquorum none\n`;
  policy = parsePolicy(utf8Encode(lines), nodeCrypto);
  await anchorLog(small, openDirectoryLedger(ledger, keeper), keeper, NOON);
  await addToLog(small, records.slice(3, 5), signer);
  await initLog(large, undefined, signer);
  await addToLog(large, records, signer);
});
fsck.after(() => rmSync(folder, { recursive: true, force: true }));

const filesOf = (log: string) =>
  readdirSync(log, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(log.length + 1));

/** What `log check` says of it: the refusal's code and message. */
function verdict(log: string): { code: string; message: string } {
  try {
    checkLog(log, policy);
    return { code: "", message: "" };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { code: error.code, message: error.message };
  }
}

fsck("each bit of each file of a small log with an anchor, bent, is found, and its file is named", () => {
  assert.is(verdict(small).code, "");
  const files = filesOf(small);
  assert.equal(files.sort(), [
    "anchors/3/checkpoint",
    "anchors/3/directory.tlog-proof",
    "checkpoint",
    tilePath(0, 0n, 3),
    tilePath(0, 0n, 5),
    tilePath("entries", 0n, 3),
    tilePath("entries", 0n, 5),
  ]);
  let bent = 0;
  for (const file of files) {
    const path = join(small, file);
    const good = readFileSync(path);
    for (let at = 0; at < good.length; at++) {
      // All eight bits in the checkpoint and the tiles; one in turn in longer files, which are hashed alike.
      for (let bit = 0; bit < 8; bit++) {
        if (/entries|anchors/.test(file) && bit !== at % 8) continue;
        const bad = Buffer.from(good);
        bad[at] = (bad[at] as number) ^ (1 << bit);
        writeFileSync(path, bad);
        const { code, message } = verdict(small);
        assert.is.not(code, "", `${file} byte ${at} bit ${bit}`);
        if (file.startsWith("tile/")) {
          assert.is(code, "log-damaged");
          assert.ok(message.startsWith(`${file} `), `${file} byte ${at} bit ${bit}: ${message}`);
        }
        bent++;
      }
    }
    writeFileSync(path, good);
  }
  assert.ok(bent > 5000);
  assert.is(verdict(small).code, "");
});

fsck("a file of a small log that is missing, cut or longer is named", () => {
  for (const file of filesOf(small)) {
    if (!file.startsWith("tile/")) continue;
    const path = join(small, file);
    const good = readFileSync(path);
    const now = file.endsWith("/5");
    for (const bad of [null, good.subarray(0, -1), Buffer.concat([good, good]), Buffer.alloc(0)]) {
      if (bad === null) unlinkSync(path);
      else writeFileSync(path, bad);
      const { code, message } = verdict(small);
      if (bad === null && !now) assert.is(code, "", "an earlier partial tile may be gone");
      else {
        assert.is(code, "log-damaged", file);
        assert.ok(message.startsWith(`${file} `), message);
      }
    }
    writeFileSync(path, good);
  }
});

fsck("what doesn't belong to a log is named; what a cut append left is counted and left alone", () => {
  for (const extra of [
    "tile/0/note",
    "tile/0/x000/000",
    "tile/9x/000",
    "tile/entries/000.p/0",
    "tile/0/000.p/256",
  ]) {
    const path = join(small, extra);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "x");
    const { code, message } = verdict(small);
    assert.is(code, "log-damaged", extra);
    assert.ok(message.includes(extra), message);
    unlinkSync(path);
  }
  rmSync(join(small, "tile/0/x000"), { recursive: true });
  rmSync(join(small, "tile/9x"), { recursive: true });
  const left = [
    "tile/0/000",
    "tile/0/001",
    "tile/entries/000.p/9",
    "tile/3/000.p/1",
    "tile/0/.000.77-0123456789ab.tmp",
  ];
  for (const path of left) {
    mkdirSync(join(small, path, ".."), { recursive: true });
    writeFileSync(join(small, path), "x");
  }
  assert.is(checkLog(small, policy).leftovers, left.length);
  for (const path of left) unlinkSync(join(small, path));
});

fsck("of a large log, any file that is bent is named: tiles of each level, bundles, the index", () => {
  assert.is(verdict(large).code, "");
  const [run] = listRuns(large);
  assert.is(run?.to, BigInt(LARGE));
  const index = `.index/0-${LARGE}`;
  for (const [file, at] of [
    [tilePath(0, 0n), 0],
    [tilePath(0, 16n), 8191],
    [tilePath(0, 17n, LARGE - 17 * 256), 5],
    [tilePath(1, 0n, 17), 40],
    [tilePath("entries", 3n), 0],
    [tilePath("entries", 9n), 777],
    [index, 0],
    [index, 4095],
    [index, 4096 * 20 + 1],
    ["checkpoint", 14],
    ["checkpoint", 30],
  ] as const) {
    const good = readFileSync(join(large, file));
    const bad = Buffer.from(good);
    bad[at] = (bad[at] as number) ^ 4;
    writeFileSync(join(large, file), bad);
    const { code, message } = verdict(large);
    if (file === "checkpoint") assert.is.not(code, "");
    else {
      assert.is(code, file === index ? "index-damaged" : "log-damaged", file);
      assert.ok(message.includes(file), `${file}: ${message}`);
    }
    writeFileSync(join(large, file), good);
  }
});

fsck("two bundles that changed places, and a record moved from one to the next, are found", () => {
  const [a, b] = [tilePath("entries", 2n), tilePath("entries", 4n)].map((path) => join(large, path)) as [
    string,
    string,
  ];
  const swap = () => {
    renameSync(a, `${a}-`);
    renameSync(b, a);
    renameSync(`${a}-`, b);
  };
  swap();
  const { code, message } = verdict(large);
  assert.is(code, "log-damaged");
  assert.ok(message.includes(tilePath("entries", 2n)) && message.includes(tilePath("entries", 4n)), message);
  swap();
  assert.is(verdict(large).code, "");
});

fsck(
  "an index cut off behind a whole page is damaged: readers pass over it, and nothing is added twice",
  async () => {
    const log = join(folder, "cut");
    cpSync(large, log, { recursive: true });
    const path = join(log, `.index/0-${LARGE}`);
    const whole = readFileSync(path);
    for (const length of [4096 * 12, 4096, 0]) {
      writeFileSync(path, whole.subarray(0, length));
      assert.is(verdict(log).code, "index-damaged", String(length));
      const found = openLog(log);
      for (let n = 0; n < LARGE; n += 500) assert.is(findRecord(found, records[n] as Uint8Array), BigInt(n));
    }
    const again = await addToLog(log, records.slice(0, 3), signer);
    assert.equal(
      [again.log.size, again.records.map(({ added }) => added)],
      [BigInt(LARGE), [false, false, false]],
    );
  },
);

fsck("a damaged index is passed over by readers and made again by the next writer of many", async () => {
  const log = join(folder, "again");
  cpSync(large, log, { recursive: true });
  const path = join(log, `.index/0-${LARGE}`);
  const good = readFileSync(path);
  const bad = Buffer.from(good).fill(0xff, 0, good.length);
  writeFileSync(path, bad);
  const place = () => findRecord(openLog(log), records[1234] as Uint8Array);
  assert.is(place(), 1234n);
  assert.is((await vouch(["log", "check", log])).exitCode, 1);
  const more = [];
  for (let n = LARGE; n < LARGE + 300; n++) more.push(await smallRecord(signer, n));
  const again = await addToLog(log, [...records.slice(0, 5), ...more], signer);
  assert.equal(
    again.records.slice(3, 7).map(({ index, added }) => [index, added]),
    [
      [3n, false],
      [4n, false],
      [BigInt(LARGE), true],
      [BigInt(LARGE + 1), true],
    ],
  );
  checkLog(log, null);
  assert.ok(existsSync(join(log, `.index/0-${LARGE}`)));
  assert.is(place(), 1234n);
});

fsck("log check --json says what it saw", async () => {
  const io = await vouch(["log", "check", large, "--json"]);
  const { origin, size, kinds, leftovers } = JSON.parse(io.out());
  assert.equal([origin, size, kinds, leftovers], ["log.example", LARGE, { "evidence-commitment": LARGE }, 0]);
});

fsck.run();
