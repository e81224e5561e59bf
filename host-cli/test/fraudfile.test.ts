// Proofs of fraud as files: what commands that meet a contradiction write, where, and what they never write over.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatBundle } from "@vouch/shared/bundle";
import { formatChallenge } from "@vouch/shared/companions";
import { parseFraud, proveFraud, verifyFraud } from "@vouch/shared/fraud";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkpointNote, keyOf, makeWorld } from "../../shared/test/world";
import { verifyFiles } from "../src/commands/verify";
import { printFraud } from "../src/commands/verify-fraud";
import { nodeCrypto } from "../src/crypto";
import { keepFraud, writeFraud } from "../src/fraudfile";
import { storeAnchor } from "../src/log/anchors";
import { openLog } from "../src/log/store";
import { NOON, newSigner, refuses, saveSigner, smallRecord, vouch } from "./maker-kit";
import { memoryIo } from "./memory-io";
import { fastFolder, logSigner, makeHistory, noteIn, recordOf, station } from "./monitor-kit";

const files = suite("fraud files");

const folder = fastFolder("fraud");
const here = process.cwd();
const logKey = logSigner.vkey;
let real: (size: number) => string;
let fork: (size: number) => string;

files.before(async () => {
  process.chdir(folder); // proofs go to the current folder
  real = await makeHistory(folder, "real", 7, (n) => recordOf(0, n));
  fork = await makeHistory(folder, "fork", 7, (n) => recordOf(1, n), { log: real(3), at: 3 });
  saveSigner(folder, logSigner);
});
files.after(() => {
  process.chdir(here);
  rmSync(folder, { recursive: true, force: true });
});

const split = (size: number) =>
  proveFraud([noteIn(real(size)), noteIn(fork(size))], null, logKey, nodeCrypto)!;
const proofs = (where = folder) => readdirSync(where).filter((name) => name.endsWith(".fraud.json"));
const holds = (path: string) =>
  verifyFraud(parseFraud(new Uint8Array(readFileSync(path))), logKey, [], nodeCrypto).kind;

files(
  "a proof is named after the log and its sizes; the same one is the same file, another gets a number",
  async () => {
    const where = join(folder, "named");
    mkdirSync(where);
    const path = writeFraud(split(5), logKey, where);
    assert.is(path, join(where, "log.example-5-5.fraud.json"));
    assert.is(writeFraud(split(5), logKey, where), path);
    writeFileSync(path, "something else");
    assert.is(writeFraud(split(5), logKey, where), join(where, "log.example-5-5-2.fraud.json"));
    assert.is(readFileSync(path, "utf8"), "something else");
    const own = join(where, "mine.json");
    assert.is(writeFraud(split(6), logKey, own), own);
    await refuses("exists", () => writeFraud(split(5), logKey, own));
    assert.is(holds(own), "split-view");
  },
);

files("nothing is written that doesn't hold", async () => {
  const where = join(folder, "nothing");
  mkdirSync(where);
  await refuses("no-contradiction", () => writeFraud({ ...split(5), second: split(5).first }, logKey, where));
  await refuses("unknown-log", () => writeFraud(split(5), newSigner("log.example").vkey, where));
  const tree = openLog(real(7)).hashReader;
  for (const [notes, reader, key] of [
    [[noteIn(real(5)), noteIn(real(7))], tree, logKey],
    [[noteIn(fork(5)), noteIn(real(7))], null, logKey],
    [[noteIn(fork(5)), noteIn(fork(7))], tree, logKey],
    [[noteIn(fork(5)), noteIn(real(7))], tree, newSigner("log.example").vkey],
    [[new Uint8Array(3), noteIn(real(7))], tree, logKey],
  ] as const)
    assert.is(keepFraud(notes, reader, key, where), null);
  assert.equal(proofs(where), []);
  assert.is(
    holds(keepFraud([noteIn(fork(5)), noteIn(real(7))], tree, logKey, where)!.path!),
    "rewritten-history",
  );
});

files("a proof that can't be kept is no reason to say nothing", () => {
  const kept = keepFraud([noteIn(fork(5)), noteIn(real(5))], null, logKey, join(folder, "no/such/folder"));
  assert.is(kept?.path, null);
  assert.match(kept!.hint, /contradicts itself, and the proof can't be kept/);
});

/** A copy of `log` in which `anchored` is what a ledger has. */
function withAnchor(name: string, log: string, anchored: string): string {
  const path = join(folder, name);
  cpSync(log, path, { recursive: true });
  storeAnchor(path, noteIn(anchored), "directory", new Uint8Array([1]));
  return path;
}

const fresh = async () => {
  writeFileSync(join(folder, "record.dsse.json"), await smallRecord(station, 77));
  for (const name of proofs()) rmSync(join(folder, name));
};

files("log add: a log that an anchored checkpoint contradicts", async () => {
  await fresh();
  const log = withAnchor("added", real(7), fork(5));
  const io = await vouch(["log", "add", log, "record.dsse.json", "--key", "log.example.key"]);
  assert.is(io.exitCode, 20);
  assert.match(io.err(), /\[log-forked\]\nvouch: hint: log\.example-5-7\.fraud\.json proves it/);
  assert.equal(proofs(), ["log.example-5-7.fraud.json"]);
  assert.is(holds("log.example-5-7.fraud.json"), "rewritten-history");
});

files("log add: one that was put back, which is no contradiction, leaves no proof", async () => {
  await fresh();
  const log = withAnchor("restored", real(4), real(6));
  const io = await vouch(["log", "add", log, "record.dsse.json", "--key", "log.example.key"]);
  assert.is(io.exitCode, 20);
  assert.match(io.err(), /\[log-forked\]\nvouch: hint: put the log of at least 6 records back/);
  assert.equal(proofs(), []);
});

files("anchor: with the log's key the contradiction is proved, without it is told", async () => {
  saveSigner(folder, newSigner("ledger.example"), 4);
  await vouch(["ledger", "init", "ledger", "--key", "ledger.example.key"]);
  const anchor = (log: string, ...more: string[]) =>
    vouch(["anchor", log, "--ledger", "directory:ledger", "--ledger-key", "ledger.example.key", ...more]);
  await fresh();
  const log = withAnchor("to-anchor", real(7), fork(6));
  const told = await anchor(log);
  assert.is(told.exitCode, 20);
  assert.equal(proofs(), []);
  const proved = await anchor(log, "--log-key", formatVkey(logKey));
  assert.is(proved.exitCode, 20);
  assert.match(proved.err(), /\[log-forked\]\nvouch: hint: log\.example-6-7\.fraud\.json proves it/);
  assert.is(holds("log.example-6-7.fraud.json"), "rewritten-history");
  await fresh();
  await refuses("anchor-conflict", () =>
    storeAnchor(log, noteIn(real(6)), "directory", new Uint8Array([1]), logKey),
  );
  assert.is(holds("log.example-6-6.fraud.json"), "split-view");
});

files("verify: a challenge on another tree of the size that the bundle has", () => {
  const world = makeWorld();
  const log = keyOf("acme", "acme.example/log");
  const { note, receipts } = world.bundle.checkpoints[0]!;
  const size = Number(new TextDecoder().decode(note).split("\n")[1]);
  const other = checkpointNote(size, { hash: () => new Uint8Array(32) }, log, [], NOON);
  writeFileSync("world.vouch.json", formatBundle(world.bundle));
  writeFileSync("world.policy", world.policyText);
  writeFileSync("world.eat", world.bundle.devices[0]!.evidence);
  const challenge = { ledger: "directory", receipt: receipts[0]!.proof, random: new Uint8Array(32) };
  const ask = (checkpoint: Uint8Array) => {
    writeFileSync("world.challenge", formatChallenge({ ...challenge, checkpoint }));
    return verifyFiles("world.vouch.json", { policy: "world.policy", evidence: "world.eat" }, 1_800_000_000);
  };
  const path = `acme.example_log-${size}-${size}.fraud.json`;
  assert.not.equal(ask(note).word, "patched");
  assert.not(existsSync(path));
  const verdict = ask(other);
  assert.match(verdict.notes.join("\n"), new RegExp(`^${path} proves it to anybody`, "m"));
  const proof = parseFraud(new Uint8Array(readFileSync(path)));
  assert.is(verifyFraud(proof, log.vkey, [], nodeCrypto).kind, "split-view");
});

files("verify --fraud: 0 when it holds, 20 when it doesn't, 21 when these keys can't tell", () => {
  const path = writeFraud(split(5), logKey, join(folder, "asked.json"));
  const ask = (file: string, key: string) => {
    const io = memoryIo();
    printFraud({ fraud: file, logKey: key }, NOON, io);
    return [io.exitCode, /\[([a-z-]+)\]$/m.exec(io.err())?.[1] ?? io.out().trimEnd().split("\n").at(-1)];
  };
  const key = formatVkey(logKey);
  assert.equal(ask(path, key), [0, "fraud proven: log.example signed two trees of size 5"]);
  assert.equal(ask(path, formatVkey(newSigner("log.example").vkey)), [21, "unknown-log"]);
  const text = readFileSync(path, "utf8");
  for (const [change, exit, code] of [
    [text.replace("/v1", "/v2"), 21, "unsupported-version"],
    [text.replace("split-view", "stale-checkpoint"), 20, "no-contradiction"],
    [text.replace("split-view", "rewritten-history"), 20, "no-contradiction"],
    [`${text}\n`, 20, "not-canonical-json"],
    ["{}", 20, "malformed-fraud"],
    ["", 1, "not-a-fraud-proof"],
    [" ".repeat(300_000), 1, "too-large"],
  ] as const) {
    writeFileSync("changed.json", change);
    if (exit === 1)
      assert.throws(
        () => ask("changed.json", key),
        (e: { code: string }) => e.code === code,
      );
    else assert.equal(ask("changed.json", key), [exit, code]);
  }
});
files.run();
