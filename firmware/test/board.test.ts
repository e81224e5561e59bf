// The whole path on the reference board, by the command line as people type it: release, flash, enrol,
// attest, verify. What is measured is the image file, to the byte; a changed byte in it changes the verdict.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeImage } from "../../host-cli/test/sim-kit";
import { skip } from "../../shared/test/skip";
import { boardMissing, folder, runs } from "./board-kit";

const path = suite("board");
const missing = boardMissing();
const ENGINE_AT = 0x801000; // in the state file: host-cli/src/sim/mps2.ts

function vouch(line: string, expected = 0): string {
  const args = ["host-cli/bin/vouch.mjs", ...line.split(" ").map((word) => word.replace(/@/g, `${folder}/`))];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.is(status, expected, `vouch ${line}\n${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

interface Sim {
  child: ChildProcess;
  port: string;
  sha256: string;
}

function sim(flags: string): Promise<Sim> {
  const args = `sim --board mps2 --json ${flags}`.split(" ").map((word) => word.replace(/@/g, `${folder}/`));
  const child = spawn(process.execPath, ["host-cli/bin/vouch.mjs", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`vouch sim ended with ${code}`)));
    child.stdout!.once("data", (line: Buffer) => {
      const { port, engine } = JSON.parse(String(line));
      resolve({ child, port, sha256: engine.sha256 });
    });
  });
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const done = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  child.kill(signal);
  return done;
}

const sha256 = (file: string) =>
  createHash("sha256")
    .update(readFileSync(join(folder, file)))
    .digest("hex");

function makerReleases(): void {
  for (const name of ["alice", "acme", "status", "enroller", "log.example"])
    vouch(`keygen ${name} --plain --quiet -o @${name}.key`);
  vouch("keygen ledger.example --cosigner --plain --quiet -o @ledger.key");
  const vkey = (name: string) => readFileSync(join(folder, `${name}.vkey`), "utf8").trim();
  const policy = [
    `log ${vkey("log.example")}`,
    "quorum none",
    `approver alice quality ${vkey("alice")}`,
    "approve pump 1 quality",
    `vendor pump ${vkey("acme")}`,
    `status ${vkey("status")}`,
    `enroller ${vkey("enroller")}`,
    `ledger directory ${vkey("ledger")}`,
    "max-age status 1d",
    "max-age evidence 1d",
    "",
  ];
  writeFileSync(join(folder, "policy"), policy.join("\n"));
  writeFileSync(join(folder, "app.bin"), makeImage("app", 8000));
  vouch("sim --board mps2 --vendor @acme.vkey --product pump --model PUMP --write-engine @engine.bin");
  vouch(
    "release new --product pump --version 1.0.0 --security-version 1 --floor 1 --model PUMP --rev A --component app=@app.bin --component engine=@engine.bin --vendor @acme.vkey -o @app",
  );
  vouch("release sign @app.dsse.json --key @alice.key");
  vouch(
    "release seal @app.dsse.json --suit @app.suit --image @app.bin --key @acme.key --policy @policy -o @app.upload",
  );
  vouch("log init @log --key @log.example.key");
  vouch("ledger init @ledger --key @ledger.key");
  logged("app.dsse.json");
  vouch("status new --log @log --product pump --key @status.key -o @status.dsse.json");
  logged("status.dsse.json");
  anchored();
}

const logged = (file: string) => vouch(`log add @log @${file} --key @log.example.key`);
const anchored = () => vouch("anchor @log --ledger directory:@ledger --ledger-key @ledger.key");

/** Attests, and leaves a bundle with the evidence. */
function attested(port: string, name: string): string {
  const said = vouch(
    `attest --port ${port} --log @log --policy @policy --enrolment @device.enrolment --key @enroller.key -o @${name}.eat`,
  );
  logged(`${name}.eat.commitment.dsse.json`);
  anchored();
  vouch(
    `bundle --log @log --release @app.dsse.json --manifest @app.suit --evidence @${name}.eat --enrolment @device.enrolment -o @${name}.vouch.json`,
  );
  return said;
}

if (missing !== undefined) skip(path, "a board is flashed, enrolled, attested and found patched", missing);
else {
  path("a board is flashed, enrolled, attested and found patched", async () => {
    makerReleases();
    const board = await sim("--state @board --engine @engine.bin");
    assert.is(board.sha256, sha256("engine.bin"));
    vouch(`flash @app.upload --port ${board.port} --policy @policy --yes`);
    vouch(
      `enrol --port ${board.port} --policy @policy --key @enroller.key --product pump --serial SN-1 --yes -o @device.enrolment`,
    );
    logged("device.enrolment.commitment.dsse.json");
    anchored();
    const said = attested(board.port, "good");
    assert.match(said, new RegExp(`^engine +sha256 ${sha256("engine.bin")}$`, "m"));
    assert.match(said, new RegExp(`^app +sha256 ${sha256("app.bin")}$`, "m"));
    const verdict = vouch(
      "verify @good.vouch.json --policy @policy --image @app.bin --image engine=@engine.bin",
    );
    assert.match(verdict, /^patched$/m);
    assert.is(await ended(board.child, "SIGTERM"), 0);
  });

  path("the same board with a changed byte in its engine is refuted", async () => {
    const file = openSync(join(folder, "board"), "r+");
    const byte = Buffer.alloc(1);
    const at = ENGINE_AT + 512 * 1024 - 513; // padding: what runs is unchanged
    readSync(file, byte, 0, 1, at);
    assert.is(byte[0], 0xff);
    writeSync(file, Buffer.of(0xfe), 0, 1, at);
    closeSync(file);
    const board = await sim("--state @board");
    assert.is.not(board.sha256, sha256("engine.bin"));
    attested(board.port, "bent");
    const verdict = vouch("verify @bent.vouch.json --policy @policy", 20);
    assert.match(verdict, /\[measurement-mismatch\]/);
    assert.match(verdict, /^refuted$/m);
    await ended(board.child, "SIGTERM");
  });

  path("QEMU ends with the process that started it, however that ends", async () => {
    const board = await sim("--state @board");
    const children = readFileSync(`/proc/${board.child.pid}/task/${board.child.pid}/children`, "utf8");
    const [qemu] = children.trim().split(" ").map(Number);
    assert.ok(runs(qemu!));
    await ended(board.child, "SIGKILL");
    for (let tries = 0; runs(qemu!) && tries < 300; tries++)
      await new Promise((done) => setTimeout(done, 100));
    assert.not(runs(qemu!));
  });
}

path.run();
