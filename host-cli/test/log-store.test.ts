// What a log on disk holds and proves, and what must not get in. Writers that are killed, or are many, are in
// log-writers.test.ts.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { formatEnrolmentFile } from "@vouch/shared/companions";
import { formatEnvelope } from "@vouch/shared/dsse";
import {
  checkConsistency,
  checkInclusion,
  leafHash,
  proveConsistency,
  proveInclusion,
  rootOf,
} from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { parsePolicy } from "@vouch/shared/policy";
import type { StatusStatement } from "@vouch/shared/statement";
import { tilePath } from "@vouch/shared/tiles";
import { isoTime } from "@vouch/shared/time";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorLog } from "../src/commands/anchor";
import { checkLog } from "../src/commands/log-check";
import { nodeCrypto } from "../src/crypto";
import { EXIT, statusOf as exitStatusOf } from "../src/exit";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { addToLog, checkRecord, initLog, openLog, readStatements } from "../src/log/store";
import { draftEnvelope, signStatement } from "../src/statementfile";
import { initTiledLog, openTiledLog, type TiledLog } from "../src/tiledlog";
import { first, folder, logOf, records, rootHex, signer, withRecords } from "./log-store-kit";
import { inFolder, NOON, newSigner, refuses, withCut } from "./maker-kit";

const store = suite("log store");
withRecords(store);

store("a new log has a signed checkpoint of size 0 and the empty tree's root", async () => {
  const path = await logOf(0);
  const log = openLog(path);
  const { checkpoint } = openCheckpoint(log.note, signer.vkey, nodeCrypto);
  assert.is(checkpoint.size, 0n);
  assert.is(toHex(checkpoint.root), toHex(nodeCrypto.sha256(new Uint8Array(0))));
  assert.equal(readdirSync(path), ["checkpoint"]);
  assert.equal(readStatements(log), []);
  await refuses("exists", () => initLog(path, undefined, signer));
  await refuses("origin-mismatch", () => initLog(join(folder, "x"), "other.example", signer));
});

store(
  "every log of 0 to 40 records, grown one by one, proves every record and every prefix from its tiles",
  async () => {
    const path = await logOf(0);
    for (let size = 0; size <= 40; size++) {
      if (size > 0) {
        const { records: added } = await addToLog(path, [records[size - 1] as Uint8Array], signer);
        assert.equal(added, [{ index: BigInt(size - 1), added: true }]);
      }
      const { checkpoint } = openCheckpoint(openLog(path).note, signer.vkey, nodeCrypto);
      assert.is(toHex(checkpoint.root), rootHex(size), `root at size ${size}`);
      const { hashReader, entry, findLeaf } = openLog(path);
      const n = BigInt(size);
      for (let i = 0; i < size; i++) {
        const index = BigInt(i);
        const record = records[i] as Uint8Array;
        assert.is(toHex(entry(index)), toHex(record));
        assert.is(findLeaf(record), index);
        const proof = proveInclusion(index, n, hashReader, nodeCrypto);
        checkInclusion(leafHash(record, nodeCrypto), index, n, proof, checkpoint.root, nodeCrypto);
        const earlier = rootOf(index, hashReader, nodeCrypto);
        assert.is(toHex(earlier), rootHex(i));
        checkConsistency(
          index,
          earlier,
          n,
          checkpoint.root,
          proveConsistency(index, n, hashReader, nodeCrypto),
          nodeCrypto,
        );
      }
      assert.is(findLeaf(utf8Encode("not a record")), null);
    }
  },
);

store(
  "however 600 records are split into additions, the checkpoint and every full tile come out alike",
  async () => {
    const whole = await logOf(600, "whole");
    for (const steps of [
      [255, 1, 1, 343],
      [256, 256, 88],
      [511, 89],
      [1, 599],
    ]) {
      const path = await logOf(0, `s${steps.join("-")}`);
      let at = 0;
      for (const step of steps) {
        await addToLog(path, records.slice(at, at + step), signer);
        at += step;
      }
      assert.equal(readFileSync(join(path, "checkpoint")), readFileSync(join(whole, "checkpoint")));
      for (const file of [
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/002.p/88",
      ]) {
        assert.equal(readFileSync(join(path, file)), readFileSync(join(whole, file)), `${steps}: ${file}`);
      }
      assert.not(existsSync(join(path, "tile/0/000.p")), "partial tiles go once the full one is committed");
      assert.is(readStatements(openLog(path)).length, 600);
    }
  },
);

store("a reader who needs a partial tile takes the full one when that is all there is", async () => {
  const path = await logOf(254);
  const old = readFileSync(join(path, "checkpoint"));
  await addToLog(path, records.slice(254, 260), signer);
  writeFileSync(join(path, "checkpoint"), old);
  assert.is(toHex(openLog(path).checkpoint.root), rootHex(254));
  assert.is(readStatements(openLog(path)).length, 254);
});

store("adding the same bytes again is one record, alone, among others and twice in one go", async () => {
  const path = await logOf(5);
  const before = readFileSync(join(path, "checkpoint"));
  const again = await addToLog(path, [records[3] as Uint8Array], signer);
  assert.equal(again.records, [{ index: 3n, added: false }]);
  assert.equal(readFileSync(join(path, "checkpoint")), before);
  const mixed = await addToLog(
    path,
    [records[7], records[1], records[7], records[6]] as Uint8Array[],
    signer,
  );
  assert.equal(mixed.records, [
    { index: 5n, added: true },
    { index: 1n, added: false },
    { index: 5n, added: false },
    { index: 6n, added: true },
  ]);
  assert.is(mixed.log.size, 7n);
});

// Sizes that make a first tile, widen one, fill one (whose partial forms go) and start a second level.
for (const [from, to] of [
  [0, 1],
  [3, 5],
  [254, 257],
] as const) {
  for (const torn of [false, true]) {
    store(
      `killed before any file operation${torn ? ", writes torn" : ""}, a log of ${from} stays or becomes one of ${to}, and a retry works`,
      async () => {
        const base = await logOf(from, "base");
        const added = records.slice(from, to);
        for (let cut = 0; ; cut++) {
          const path = join(folder, `cut${cut}`);
          cpSync(base, path, { recursive: true });
          const { finished } = await withCut(cut, torn, () => addToLog(path, added, signer));
          const log = openLog(path);
          openCheckpoint(log.note, signer.vkey, nodeCrypto);
          const size = Number(log.size);
          assert.ok(size === from || size === to, `cut ${cut}: size ${size}`);
          assert.is(toHex(log.checkpoint.root), rootHex(size), `cut ${cut}`);
          assert.is(readStatements(log).length, size, `cut ${cut}`);
          const retried = await addToLog(path, added, signer);
          assert.is(toHex(retried.log.checkpoint.root), rootHex(to), `retry after cut ${cut}`);
          assert.is(retried.records[0]?.index, BigInt(from));
          checkLog(path, null);
          if (finished) {
            assert.ok(cut > 20, `only ${cut} operations were seen`);
            return;
          }
          rmSync(path, { recursive: true });
        }
      },
    );
  }
}

store("what is no statement, is unsigned or is private stays out", async () => {
  const path = await logOf(1);
  const commitment = { kind: "evidence-commitment", sha256: "0".repeat(64), created: isoTime(NOON) } as const;
  const enrolment = await signStatement(
    {
      kind: "enrolment",
      product: "pump",
      model: "PUMP400",
      serial: "SN1042",
      ueid: `01${"ab".repeat(16)}`,
      publicKey: signer.publicKey,
      keyOrigin: "device",
      created: isoTime(NOON),
    },
    signer,
  );
  const good = Buffer.from(records[5] as Uint8Array).toString("utf8");
  for (const [code, bytes] of [
    ["malformed-json", utf8Encode("hello")],
    ["malformed-json", new Uint8Array(0)],
    ["too-large", new Uint8Array(65536).fill(0x20)],
    ["not-canonical-json", utf8Encode(`${good}\n`)],
    ["not-canonical-json", utf8Encode(good.replace(":", ": "))],
    ["malformed-dsse", utf8Encode("{}")],
    ["unsupported-statement", utf8Encode(good.replace("in-toto+json", "in-toto+yaml"))],
    ["unsigned", formatEnvelope(draftEnvelope(commitment))],
    ["private-statement", enrolment],
    ["private-statement", formatEnrolmentFile({ salt: new Uint8Array(16), statement: enrolment })],
  ] as const) {
    await refuses(code, () => checkRecord(bytes));
  }
  await refuses("entry-too-large", () => addToLog(path, [new Uint8Array(65536)], signer));
  assert.is(openLog(path).size, 1n);
  assert.not(existsSync(join(path, ".lock")));
});

/** A status of the log as it is at `size`, less what `changes` says. */
function statusOf(log: TiledLog, size: number, changes: Partial<StatusStatement> = {}): Promise<Uint8Array> {
  const statement: StatusStatement = {
    kind: "status",
    origin: log.checkpoint.origin,
    rootSha256: toHex(rootOf(BigInt(size), log.hashReader, nodeCrypto)),
    product: "pump",
    logSize: size,
    advisories: [],
    withdrawn: [],
    created: isoTime(NOON),
    ...changes,
  };
  return signStatement(statement, signer);
}

store("a status must speak for this log, of a size it has where the status will stand", async () => {
  const path = await logOf(5);
  const log = openLog(path);
  const before = readFileSync(join(path, "checkpoint"));
  const whole = await logOf(7, "whole");
  for (const [code, status] of [
    ["status-other-log", await statusOf(log, 5, { origin: "other.example" })],
    ["status-overreach", await statusOf(openLog(whole), 6)],
    ["status-overreach", await statusOf(log, 5, { logSize: Number.MAX_SAFE_INTEGER })],
    ["status-root-mismatch", await statusOf(log, 5, { rootSha256: "ab".repeat(32) })],
    ["status-root-mismatch", await statusOf(log, 5, { logSize: 4 })],
  ] as const) {
    const error = await refuses(code, () => addToLog(path, [status], signer));
    assert.is(exitStatusOf(error), EXIT.refuted, code);
    assert.equal(readFileSync(join(path, "checkpoint")), before, code);
  }
  // Of the size that the record before it makes, or of an earlier one.
  const [now, old] = [await statusOf(openLog(whole), 6), await statusOf(log, 0)];
  const { records: added } = await addToLog(path, [records[5] as Uint8Array, now, old], signer);
  assert.equal(
    added.map(({ index }) => index),
    [5n, 6n, 7n],
  );
});

store("a log put back to before an anchored checkpoint is neither added to nor anchored", async () => {
  const path = await logOf(3);
  const backup = join(folder, "backup");
  cpSync(path, backup, { recursive: true });
  const keeper = newSigner("ledger.example");
  const where = join(folder, "ledger");
  await initDirectoryLedger(where, undefined, keeper, NOON);
  const anchor = (log: string) => anchorLog(log, openDirectoryLedger(where, keeper), keeper, NOON);
  await addToLog(path, [records[3] as Uint8Array], signer);
  await anchor(path);
  const other = records[9] as Uint8Array;
  const fork = join(folder, "fork");
  cpSync(backup, fork, { recursive: true });
  await addToLog(fork, [other], signer);
  for (const [name, receipts] of [
    ["behind", true],
    ["behind an anchor that was cut short", false],
  ] as const) {
    const restored = join(folder, name);
    cpSync(backup, restored, { recursive: true });
    cpSync(join(path, "anchors"), join(restored, "anchors"), { recursive: true });
    if (!receipts) unlinkSync(join(restored, "anchors/4/directory.tlog-proof"));
    const before = readFileSync(join(restored, "checkpoint"));
    const asked = { ...signer, sign: async () => assert.unreachable("nothing is to be signed") as never };
    assert.is(
      exitStatusOf(await refuses("log-forked", () => addToLog(restored, [other], asked))),
      EXIT.refuted,
    );
    await refuses("log-forked", () => anchor(restored));
    assert.equal(readFileSync(join(restored, "checkpoint")), before);
  }
  // As long as the anchored one, with another last record.
  cpSync(join(path, "anchors"), join(fork, "anchors"), { recursive: true });
  await inFolder(folder, () => refuses("log-forked", () => addToLog(fork, first(1), signer)));
  assert.ok(readdirSync(folder).includes("log.example-4-4.fraud.json"), "a proof for whoever asks");
  await refuses("log-forked", () => anchor(fork));
  assert.is(openTiledLog(where).size, 1n);
  await addToLog(path, [other], signer);
  await anchor(path);
  assert.is(openTiledLog(where).size, 2n);
});

store("another key, another key of the same name, and a folder that is no log are refused", async () => {
  const path = await logOf(1);
  await refuses("wrong-log-key", () => addToLog(path, first(2), newSigner("other.example")));
  await refuses("wrong-log-key", () => addToLog(path, first(2), newSigner("log.example")));
  mkdirSync(join(folder, "empty"));
  await refuses("not-a-log", () => addToLog(join(folder, "empty"), first(1), signer));
  assert.equal(readdirSync(join(folder, "empty")), []);
});

store("a bent bit anywhere in the files of a log is found by log check", async () => {
  const path = await logOf(5);
  const policy = parsePolicy(utf8Encode(`log ${formatVkey(signer.vkey)}\nquorum none\n`), nodeCrypto);
  checkLog(path, policy);
  const files = ["checkpoint", tilePath(0, 0n, 5), tilePath("entries", 0n, 5)];
  for (const file of files) {
    const good = readFileSync(join(path, file));
    const step = file.includes("entries") ? 7 : 1; // long, and every byte of it is hashed alike
    for (let at = 0; at < good.length; at += step) {
      const bent = Buffer.from(good);
      bent[at] = (bent[at] as number) ^ 1;
      writeFileSync(join(path, file), bent);
      let code: unknown;
      try {
        checkLog(path, policy);
      } catch (error) {
        code = (error as { code?: unknown }).code;
      }
      const expected = /^(log-damaged|malformed-note|malformed-checkpoint|wrong-log-key|bad-signature)$/;
      assert.match(String(code), file === "checkpoint" ? expected : /^log-damaged$/, `${file} byte ${at}`);
    }
    writeFileSync(join(path, file), good);
  }
  for (const file of files.slice(1)) {
    const good = readFileSync(join(path, file));
    for (const other of [good.subarray(0, -1), Buffer.concat([good, Buffer.alloc(1)]), Buffer.alloc(0)]) {
      writeFileSync(join(path, file), other);
      await refuses("log-damaged", () => checkLog(path, null));
    }
    unlinkSync(join(path, file));
    await refuses("log-damaged", () => checkLog(path, null));
    writeFileSync(join(path, file), good);
  }
  checkLog(path, null);
});

store(
  "a checkpoint that claims more records than there are tiles for is refused, however large the claim",
  async () => {
    for (const size of [6n, 257n, 2n ** 62n]) {
      const path = join(folder, `huge${size}`);
      cpSync(await logOf(5, `base${size}`), path, { recursive: true });
      const text = `log.example\n${size}\n${Buffer.alloc(32).toString("base64")}\n`;
      const line = signatureLine("log.example", signer.vkey.keyId, await signer.sign(utf8Encode(text)));
      writeFileSync(join(path, "checkpoint"), formatNote(text, [line]));
      await refuses("log-damaged", () => openLog(path));
    }
  },
);

store("a tiled log may be made by whoever signs notes; it is read the same", async () => {
  const log = await initTiledLog(join(folder, "any"), "any.example", async (text) =>
    formatNote(text, [signatureLine("x", new Uint8Array(4), new Uint8Array(64))]),
  );
  assert.is(openTiledLog(log.folder).checkpoint.origin, "any.example");
});

store.run();
