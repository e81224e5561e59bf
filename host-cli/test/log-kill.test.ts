// Three writers on one log, killed at random moments, two hundred times in all: nothing acknowledged is lost, there
// is no fork, and `log check` has nothing to say but what it counts as left over.
//
// The writers are processes of the built program; each adds the next of its own statements and tells, by its exit
// status and stdout, that a statement has its index. Who is killed mid-way has told nothing, and tries again.
//
//   VOUCH_KILLS   how many kills, 200 unless set

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { equalBytes } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { checkConsistency, proveConsistency, rootOf } from "@vouch/shared/merkle";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { nodeCrypto } from "../src/crypto";
import { initLog, openLog } from "../src/log/store";
import { newFolder, newSigner, saveSigner, smallRecord } from "./maker-kit";

const kills = suite("log kill");
const KILLS = Number(process.env.VOUCH_KILLS ?? 200);
const WRITERS = 3;
const PROGRAM = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
const BULK = 300; // more than are planned in memory: these stream

const indicesIn = (out: string): number[] =>
  (JSON.parse(out) as { records: { index: number }[] }).records.map(({ index }) => index);

kills(`${WRITERS} writers, killed ${KILLS} times: what was acknowledged stays where it was`, async () => {
  const folder = newFolder("kills");
  const signer = newSigner("log.example");
  const key = saveSigner(folder, signer);
  const log = join(folder, "log");
  await initLog(log, undefined, signer);
  const acknowledged = new Map<number, Uint8Array>();
  const heads: Uint8Array[] = [];
  let killed = 0;
  let number = 0;
  let [usualMs, calibrated] = [300, false];

  /** One run of a writer: the indices it tells, or null when it was killed. */
  const add = (target: string, killAfterMs: number | null): Promise<number[] | null> =>
    new Promise((resolve, reject) => {
      const args = [PROGRAM, "log", "add", log, target, "--key", key, "--json", "--timeout", "60"];
      const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
      let [out, err] = ["", ""];
      child.stdout?.on("data", (text) => {
        out += text;
      });
      child.stderr?.on("data", (text) => {
        err += text;
      });
      const timer = killAfterMs === null ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
      child.on("close", (code, signal) => {
        clearTimeout(timer);
        if (signal === "SIGKILL") {
          killed++;
          resolve(out.endsWith("}\n") ? indicesIn(out) : null); // it told before it died: that counts
        } else if (code === 0) resolve(indicesIn(out));
        else reject(new Error(`a writer ended with ${code}: ${err}`));
      });
    });

  const writer = async () => {
    while (killed < KILLS) {
      const mine = number++;
      const bulk = mine % 5 === 4;
      const records: Uint8Array[] = [];
      for (let i = 0; i < (bulk ? BULK : 1); i++) records.push(await smallRecord(signer, mine * 1000 + i));
      const target = join(folder, `statements${mine}`);
      mkdirSync(target);
      records.forEach((record, i) => {
        writeFileSync(join(target, `${String(i).padStart(4, "0")}.dsse.json`), record);
      });
      for (;;) {
        const started = performance.now();
        const wait = usualMs * (0.4 + 0.9 * Math.random()); // from when it has started to after it is done
        const indices = await add(target, calibrated && killed < KILLS ? wait : null);
        if (indices === null) continue;
        usualMs = 0.8 * usualMs + 0.2 * (performance.now() - started);
        calibrated = true;
        assert.is(indices.length, records.length);
        indices.forEach((index, i) => void acknowledged.set(index, records[i] as Uint8Array));
        heads.push(new Uint8Array(readFileSync(join(log, "checkpoint"))));
        break;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: WRITERS }, writer));
    assert.ok(killed >= KILLS);
    assert.ok(acknowledged.size > KILLS / 4, "the kills came too soon to tell anything");
    const { log: found } = checkLog(log, null);
    for (const [index, record] of acknowledged)
      assert.ok(equalBytes(found.entry(BigInt(index)), record), `record ${index}`);
    for (const head of heads) {
      const { checkpoint } = openCheckpoint(head, signer.vkey, nodeCrypto);
      const proof = proveConsistency(checkpoint.size, found.size, found.hashReader, nodeCrypto);
      checkConsistency(
        checkpoint.size,
        checkpoint.root,
        found.size,
        rootOf(found.size, found.hashReader, nodeCrypto),
        proof,
        nodeCrypto,
      );
    }
    assert.is(openLog(log).size, found.size);
    console.log(`${killed} kills, ${acknowledged.size} acknowledged, log of ${found.size}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

kills.run();
