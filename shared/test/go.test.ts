// Go's own note and tlog packages (golang.org/x/mod/sumdb) judge ours, and ours judge
// what they wrote. The judge is go/judge.go, built by go-judge.ts. At every size, and at
// large ones, it judges the host's logs: host-cli/test/log-go.test.ts.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fromBase64, toBase64, toHex, utf8Encode } from "../src/bytes";
import { openCheckpoint } from "../src/checkpoint";
import {
  checkConsistency,
  checkInclusion,
  leafHash,
  memoryReader,
  proveConsistency,
  proveInclusion,
  rootOf,
} from "../src/merkle";
import { encodeTile, newTiles, tilePath } from "../src/tiles";
import { formatVkey, parseVkey } from "../src/vkey";
import { buildGo } from "./go-judge";
import { checkpointNote, testCrypto, testKey } from "./keys";
import { skip } from "./skip";

const go = suite("go");

const SIZE = 300n; // as in judge.go
const WORK = mkdtempSync(join(tmpdir(), "vouch-go-"));
const JUDGE = join(WORK, "judge");
process.on("exit", () => rmSync(WORK, { recursive: true, force: true }));

const LEAVES = Array.from({ length: Number(SIZE) }, (_, i) =>
  leafHash(utf8Encode(`record ${i}`), testCrypto),
);
const READER = memoryReader(LEAVES, testCrypto);
const ROOT = rootOf(SIZE, READER, testCrypto);

interface Proofs {
  inclusion: { index: number; size: number; proof: string[] }[];
  consistency: { old: number; new: number; proof: string[] }[];
}

function judge(verb: "make" | "check", folder: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(JUDGE, [verb, folder], { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

function write(path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

/** A log of ours as the judge wants it. */
function writeOurs(folder: string): void {
  const log = testKey("example.org/log");
  write(join(folder, "vkey"), formatVkey(log.vkey));
  write(join(folder, "checkpoint"), checkpointNote(log, { size: SIZE, root: ROOT }, [testKey("witness", 4)]));
  for (const { level, index, width } of newTiles(0n, SIZE)) {
    if (level === "entries") continue;
    const row = Array.from({ length: width }, (_, i) => READER.hash(8 * level, index * 256n + BigInt(i)));
    write(join(folder, tilePath(level, index, width)), encodeTile(row));
  }
  const all = Array.from({ length: Number(SIZE) }, (_, i) => i);
  const proofs: Proofs = {
    inclusion: all.map((index) => ({
      index,
      size: Number(SIZE),
      proof: proveInclusion(BigInt(index), SIZE, READER, testCrypto).map(toBase64),
    })),
    consistency: all.slice(1).map((old) => ({
      old,
      new: Number(SIZE),
      proof: proveConsistency(BigInt(old), SIZE, READER, testCrypto).map(toBase64),
    })),
  };
  write(join(folder, "proofs.json"), JSON.stringify(proofs));
}

const why = buildGo(JUDGE);
const judged = (name: string, body: () => void) => (why === undefined ? go(name, body) : skip(go, name, why));

judged("Go opens our note and checkpoint, reads our tiles, checks all our proofs", () => {
  const folder = join(WORK, "ours");
  writeOurs(folder);
  assert.equal(judge("check", folder), { status: 0, output: "ok\n" });
});

for (const [name, file, from, to] of [
  ["checkpoint", "checkpoint", "\n300\n", "\n299\n"],
  ["signature", "checkpoint", /(— example\.org\/log .{20})./, "$1+"],
  ["proof", "proofs.json", /"index":7,"size":300,"proof":\["./, '"index":7,"size":300,"proof":["/'],
  ["consistency proof", "proofs.json", /"old":7,"new":300,"proof":\["./, '"old":7,"new":300,"proof":["/'],
] as const)
  judged(`Go refuses our log with a bent ${name}`, () => {
    const folder = join(WORK, `bent ${name}`);
    writeOurs(folder);
    const path = join(folder, file);
    const before = readFileSync(path, "utf8");
    const after = before.replace(from, to);
    assert.is.not(after, before);
    writeFileSync(path, after);
    assert.is(judge("check", folder).status, 1);
  });

judged("Go refuses our log with a bent tile", () => {
  const folder = join(WORK, "bent tile");
  writeOurs(folder);
  const path = join(folder, tilePath(0, 1n, 44));
  const bytes = readFileSync(path);
  bytes[40]! ^= 1;
  writeFileSync(path, bytes);
  assert.is(judge("check", folder).status, 1);
});

judged("ours open Go's key, note and checkpoint, and write the same tiles and proofs", () => {
  const folder = join(WORK, "theirs");
  assert.equal(judge("make", folder), { status: 0, output: "ok\n" });
  const file = (path: string) => new Uint8Array(readFileSync(join(folder, path)));
  const vkey = parseVkey(Buffer.from(file("vkey")).toString());
  assert.is(formatVkey(vkey), Buffer.from(file("vkey")).toString());
  const { checkpoint } = openCheckpoint(file("checkpoint"), vkey, testCrypto);
  assert.is(checkpoint.size, SIZE);
  assert.is(toHex(checkpoint.root), toHex(ROOT));
  for (const { level, index, width } of newTiles(0n, SIZE)) {
    if (level === "entries") continue;
    const row = Array.from({ length: width }, (_, i) => READER.hash(8 * level, index * 256n + BigInt(i)));
    const path = tilePath(level, index, width);
    assert.is(toHex(file(path)), toHex(encodeTile(row)), path);
  }
  const proofs = JSON.parse(Buffer.from(file("proofs.json")).toString()) as Proofs;
  assert.is(proofs.inclusion.length, Number(SIZE));
  for (const { index, size, proof } of proofs.inclusion) {
    const hashes = proof.map((hash) => fromBase64(hash)!);
    checkInclusion(LEAVES[index]!, BigInt(index), BigInt(size), hashes, ROOT, testCrypto);
    assert.equal(proveInclusion(BigInt(index), BigInt(size), READER, testCrypto), hashes);
  }
  assert.is(proofs.consistency.length, Number(SIZE) - 1);
  for (const { old, new: now, proof } of proofs.consistency) {
    const hashes = proof.map((hash) => fromBase64(hash)!);
    const oldRoot = rootOf(BigInt(old), READER, testCrypto);
    checkConsistency(BigInt(old), oldRoot, BigInt(now), ROOT, hashes, testCrypto);
    assert.equal(proveConsistency(BigInt(old), BigInt(now), READER, testCrypto), hashes);
  }
});

go.run();
