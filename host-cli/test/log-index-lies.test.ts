// An index that somebody made, with every check right and a row left out: whoever can write to a log's folder can do
// that, without any key. A status is what keeps a device from being called patched, so it doesn't believe one.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { leafHash } from "@vouch/shared/merkle";
import type { Statement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newStatus } from "../src/commands/status";
import { nodeCrypto } from "../src/crypto";
import { listRuns, makeRows, writeRun } from "../src/log/index";
import { findStatements, keysOf } from "../src/log/lookup";
import { addToLog, initLog, openLog } from "../src/log/store";
import { signStatement } from "../src/statementfile";
import { NOON, newFolder, newSigner, quickRecord } from "./maker-kit";

const lies = suite("log index lies");
const signer = newSigner("log.example");
const folder = newFolder("lies");
const log = join(folder, "log");
lies.after(() => rmSync(folder, { recursive: true, force: true }));

const MANY = 4200; // so many have an index

const subjects = [{ name: "app", sha256: "ab".repeat(32) }];
const created = isoTime(NOON);
const release = {
  kind: "release",
  subjects,
  product: "pump",
  version: "1.0.0",
  securityVersion: 1,
  floor: 1,
  hardware: { model: "M1", revisions: ["A"] },
  entry: { offset: 0, length: 5000 },
  suitDigest: "cd".repeat(32),
  changeClass: "major",
  created,
} satisfies Statement as Statement;
const advisory = {
  kind: "advisory",
  subjects,
  id: "A-1",
  product: "pump",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: [],
  summary: "x",
  created,
} satisfies Statement as Statement;

lies.before(async () => {
  await initLog(log, undefined, signer);
  const statements = await Promise.all(
    [release, advisory].map((statement) => signStatement(statement, signer)),
  );
  const others = Array.from({ length: MANY }, (_, n) => quickRecord(n));
  await addToLog(log, [...statements, ...others], signer);
  const found = openLog(log);
  const [run] = listRuns(log);
  const rows = makeRows();
  for (let index = 0n; index < run!.to; index++) {
    const bytes = found.entry(index);
    rows.add(leafHash(bytes, nodeCrypto), index);
    // A row in its place, as an index with one too few isn't opened at all.
    for (const key of index === 1n ? [new Uint8Array(32)] : keysOf(index, bytes)) rows.add(key, index);
  }
  writeRun(log, found, run!.from, run!.to, rows.sorted());
  assert.equal(findStatements(openLog(log), [{ kind: "advisory", subject: "pump" }]), [], "it is left out");
});

lies("a status lists an advisory that the index leaves out", async () => {
  const { statement } = await newStatus({ log, product: "pump", withdraw: [] }, signer, NOON);
  assert.equal(
    statement.advisories.map(({ id }) => id),
    ["A-1"],
  );
});

lies.run();
