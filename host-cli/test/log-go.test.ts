// Go's x/mod/sumdb judges logs of ours: the folder, its checkpoints, tiles, entry bundles and proofs at every size from
// 0 to 300, and roots and proofs of ten trees of more than a million records, at sizes drawn anew each time.

import { spawnSync } from "node:child_process";
import fs, { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { toBase64, utf8Encode } from "@vouch/shared/bytes";
import type { HashReader } from "@vouch/shared/merkle";
import { checkInclusion, leafHash, proveConsistency, proveInclusion } from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { decodeTile, type Tile, tilePath } from "@vouch/shared/tiles";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildGo } from "../../shared/test/go-judge";
import { skip } from "../../shared/test/skip";
import { nodeCrypto } from "../src/crypto";
import { openLogReader } from "../src/log/remote";
import { commitAppend, initTiledLog, planAppend, type TiledLog } from "../src/tiledlog";
import { growTree } from "../src/treegrowth";
import { newFolder, newSigner, refuses } from "./maker-kit";

const go = suite("log judged by go");
const WORK = newFolder("log-go");
const JUDGE = join(WORK, "judge");
process.on("exit", () => rmSync(WORK, { recursive: true, force: true }));

const why = buildGo(JUDGE);
const judged = (name: string, body: () => void | Promise<void>) =>
  why === undefined ? go(name, body) : skip(go, name, why);

function judge(verb: string, folder: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(JUDGE, [verb, folder], { encoding: "utf8" });
  return { status, output: stdout + stderr };
}

/** Proofs at the ends, in the middle and somewhere. */
function proofsAt(size: bigint, reader: HashReader) {
  const somewhere = () => BigInt(Math.floor(Math.random() * Number(size)));
  const places = size === 0n ? [] : [0n, size - 1n, size / 2n, somewhere(), somewhere()];
  return {
    inclusion: places.map((index) => ({
      index: Number(index),
      size: Number(size),
      proof: proveInclusion(index, size, reader, nodeCrypto).map(toBase64),
    })),
    consistency: places
      .filter((old) => old > 0n) // Go has no proof for the empty tree
      .map((old) => ({
        old: Number(old),
        new: Number(size),
        proof: proveConsistency(old, size, reader, nodeCrypto).map(toBase64),
      })),
  };
}

judged("every size from 0 to 300: folder, checkpoint, note, tiles, bundles and proofs", async () => {
  const signer = newSigner("example.org/log");
  const folder = join(WORK, "sizes");
  const publish = async (text: string) =>
    formatNote(text, [signatureLine(signer.name, signer.vkey.keyId, await signer.sign(utf8Encode(text)))]);
  for (const name of ["checkpoints", "proofs"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "vkey"), formatVkey(signer.vkey));
  const { fsyncSync } = fs;
  fs.fsyncSync = () => {}; // three hundred appends that needn't survive a power cut
  syncBuiltinESMExports();
  try {
    let log: TiledLog = await initTiledLog(folder, signer.name, publish);
    const keep = () => {
      cpSync(join(folder, "checkpoint"), join(folder, "checkpoints", String(log.size)));
      writeFileSync(
        join(folder, "proofs", `${log.size}.json`),
        JSON.stringify(proofsAt(log.size, log.hashReader)),
      );
    };
    keep();
    for (let n = 0; n < 300; n++) {
      const plan = planAppend(log, [utf8Encode("x".repeat((n * 7) % 300))]);
      log = commitAppend(log, plan, await publish(plan.checkpointText));
      keep();
      // Partial tiles stay until they are full, so all sizes up to here are judged while theirs are there.
      if (n + 1 !== 255 && n + 1 !== 300) continue;
      const sizes = n + 1 === 255 ? 256 : 45;
      assert.equal(judge("sizes", folder), { status: 0, output: `${sizes} sizes\nok\n` });
      for (let size = 0; n + 1 === 255 && size <= 255; size++)
        rmSync(join(folder, "checkpoints", String(size)));
    }
  } finally {
    fs.fsyncSync = fsyncSync;
    syncBuiltinESMExports();
  }
  const path = join(folder, tilePath(0, 1n, 44));
  const bytes = readFileSync(path);
  bytes[1] = (bytes[1] as number) ^ 1;
  writeFileSync(path, bytes);
  assert.is(judge("sizes", folder).status, 1, "the judge sees a bent tile");
});

judged("ten trees of more than a million records, of sizes drawn at random", () => {
  const sizes = Array.from({ length: 10 }, () => 1_000_001 + Math.floor(Math.random() * 300_000)).sort(
    (a, b) => a - b,
  );
  const tiles = new Map<string, Uint8Array>();
  const pathOf = (tile: Tile) => tilePath(tile.level, tile.index, tile.width);
  const nothing = {
    size: 0n,
    hashReader: { hash: () => nodeCrypto.sha256(new Uint8Array(0)) },
    entry: () => nodeCrypto.sha256(new Uint8Array(0)),
  };
  const tree = growTree(nothing, (tile, bytes) => {
    if (tile.level !== "entries" && tile.width === 256) tiles.set(pathOf(tile), bytes.slice());
  });
  const all = sizes.map((size) => {
    for (let i = Number(tree.size); i < size; i++) tree.add(Buffer.from(`record ${i}`));
    const root = toBase64(tree.finish());
    const reader = tree.reader((tile) => decodeTile(tiles.get(pathOf(tile)) as Uint8Array, 256));
    return { size, root, ...proofsAt(BigInt(size), reader) };
  });
  const folder = join(WORK, "large");
  mkdirSync(folder);
  const write = () => writeFileSync(join(folder, "large.json"), JSON.stringify(all));
  write();
  assert.equal(judge("large", folder), { status: 0, output: "10 sizes\nok\n" }, sizes.join(" "));
  all[4]!.inclusion[3]!.index ^= 1;
  write();
  assert.is(judge("large", folder).status, 1, "the judge sees a proof of another record");
});

judged("a log that Go wrote is read by its tiles, every record proved, and a bent tile refused", async () => {
  const folder = join(WORK, "theirs");
  mkdirSync(folder);
  assert.equal(judge("make", folder), { status: 0, output: "ok\n" });
  const reader = await openLogReader(folder);
  const { size, checkpoint } = reader;
  assert.is(size, 300n);
  const { inclusion } = JSON.parse(readFileSync(join(folder, "proofs.json"), "utf8"));
  for (let index = 0n; index < size; index++) {
    const proof = await reader.proveInclusion(index);
    assert.equal(proof.map(toBase64), inclusion[Number(index)].proof);
    const leaf = leafHash(utf8Encode(`record ${index}`), nodeCrypto);
    checkInclusion(leaf, index, size, proof, checkpoint.root, nodeCrypto);
  }
  const path = join(folder, tilePath(0, 0n));
  const bytes = readFileSync(path);
  bytes[9] = (bytes[9] as number) ^ 1;
  writeFileSync(path, bytes);
  await refuses("log-damaged", async () => (await openLogReader(folder)).proveInclusion(3n));
});

go.run();
