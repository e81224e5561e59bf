// Files in and out: limits, names that are taken, folders without space or
// permission, devices that must be written to and never replaced.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRefusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readChunks, readInput } from "../src/readfiles";
import { writeOutput, writeWhole } from "../src/writefiles";
import { memoryIo } from "./memory-io";

const refusal = (code: string) => (error: unknown) => isRefusal(error) && error.code === code;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

const folder = fs.mkdtempSync(join(tmpdir(), "vouch-files-"));
const path = (name: string) => join(folder, name);
const left = () => fs.readdirSync(folder).filter((name) => name.endsWith(".tmp"));

const reading = suite("reading");

reading("returns a file of every size around a chunk", () => {
  for (const size of [0, 1, 262143, 262144, 262145, 700000]) {
    const bytes = new Uint8Array(size).map((_, i) => i * 31);
    fs.writeFileSync(path("in"), bytes);
    assert.is(hex(readInput(path("in"), size)), hex(bytes), `${size} bytes`);
  }
});

reading("hands out pieces that add up to the file", () => {
  fs.writeFileSync(path("in"), new Uint8Array(600000));
  let sum = 0;
  readChunks(path("in"), 600000, (chunk) => {
    sum += chunk.length;
  });
  assert.is(sum, 600000);
});

reading("refuses one byte too many, a device without end, a folder and an absent file", () => {
  fs.writeFileSync(path("in"), "12345");
  assert.throws(() => readInput(path("in"), 4), refusal("too-large"));
  assert.throws(() => readInput("/dev/zero", 1000), refusal("too-large"));
  assert.throws(() => readInput(folder, 1000), refusal("not-a-file"));
  assert.throws(() => readInput(path("none"), 1000), refusal("not-found"));
  assert.throws(() => readInput(path("in/deeper"), 1000), refusal("not-found"));
});
reading.run();

const writing = suite("writing");

writing("gives the name to all of the bytes, with the mode asked for", () => {
  writeWhole(path("key"), "secret\n", { mode: 0o600, overwrite: false });
  assert.is(fs.readFileSync(path("key"), "utf8"), "secret\n");
  assert.is(fs.statSync(path("key")).mode & 0o777, 0o600);
  assert.equal(left(), []);
});

writing("never overwrites what it was told not to", () => {
  assert.throws(() => writeWhole(path("key"), "other", { overwrite: false }), refusal("exists"));
  assert.is(fs.readFileSync(path("key"), "utf8"), "secret\n");
  fs.symlinkSync(path("nowhere"), path("dangling"));
  assert.throws(() => writeWhole(path("dangling"), "other", { overwrite: false }), refusal("exists"));
  assert.not(fs.existsSync(path("nowhere")));
  assert.equal(left(), []);
});

writing("never writes over a private key, by no name and no link; over anything else it does", () => {
  for (const label of ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"]) {
    const pem = `-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`;
    for (const content of [pem, `Bag Attributes\n  friendlyName: acme\n${pem}`]) {
      fs.writeFileSync(path("pem"), content);
      fs.symlinkSync(path("pem"), path("pem-link"));
      for (const name of ["pem", "pem-link"]) {
        assert.throws(() => writeWhole(path(name), "other"), refusal("key-file"), label);
        assert.throws(() => writeWhole(path(name), "other", { mode: 0o600 }), refusal("key-file"), label);
      }
      assert.is(fs.readFileSync(path("pem"), "utf8"), content);
      fs.rmSync(path("pem-link"));
    }
  }
  for (const content of ["-----BEGIN PUBLIC KEY-----\n", "says -----BEGIN PRIVATE KEY-----\n", ""]) {
    fs.writeFileSync(path("pem"), content);
    writeWhole(path("pem"), "new");
    assert.is(fs.readFileSync(path("pem"), "utf8"), "new");
  }
  assert.equal(left(), []);
});

writing("a product is left as it is by the same bytes, and never written over by others", () => {
  const io = memoryIo();
  const big = new Uint8Array(600_000).fill(7);
  writeOutput(io, path("product"), big);
  const { mtimeMs, ino } = fs.statSync(path("product"));
  writeOutput(io, path("product"), big);
  assert.equal([fs.statSync(path("product")).mtimeMs, fs.statSync(path("product")).ino], [mtimeMs, ino]);
  const bent = big.slice();
  bent[599_999]! ^= 1;
  for (const other of [bent, big.subarray(1), new Uint8Array(0), "text"])
    assert.throws(() => writeOutput(io, path("product"), other), refusal("exists"));
  assert.equal(new Uint8Array(fs.readFileSync(path("product"))), big);
  fs.symlinkSync(path("product"), path("to-product"));
  writeOutput(io, path("to-product"), big);
  assert.throws(() => writeOutput(io, path("to-product"), bent), refusal("exists"));
  fs.symlinkSync(path("nowhere-yet"), path("to-nowhere"));
  assert.throws(() => writeOutput(io, path("to-nowhere"), big), refusal("exists"));
  fs.writeFileSync(path("pem"), "-----BEGIN PRIVATE KEY-----\n");
  assert.throws(() => writeOutput(io, path("pem"), big), refusal("key-file"));
  writeOutput(io, "/dev/null", big);
  assert.throws(() => writeWhole("-", big), refusal("usage"));
  assert.equal(left(), []);
});

// Files that commands change as what they are for, each by its own rules: drafts that are signed on, a demo's folder.
const OWN_FILES = /^(demo[a-z-]*|anchor-draft)\.ts$/;

writing("no command writes a file without saying what becomes of one that is there", () => {
  const folder = "host-cli/src/commands";
  for (const name of fs.readdirSync(folder)) {
    if (OWN_FILES.test(name)) continue;
    const source = fs.readFileSync(`${folder}/${name}`, "utf8");
    for (const [call] of source.matchAll(/\bwrite(?:Whole|Fed|Pieces)\([^;]*;/g))
      assert.match(call, /overwrite|\bonce\b/, `${name}: ${call}`);
  }
});

writing("keeps mode and symbolic link of what it replaces", () => {
  fs.writeFileSync(path("old"), "old", { mode: 0o640 });
  fs.chmodSync(path("old"), 0o640);
  fs.symlinkSync(path("old"), path("link"));
  writeWhole(path("link"), "new");
  assert.is(fs.readFileSync(path("old"), "utf8"), "new");
  assert.is(fs.statSync(path("old")).mode & 0o777, 0o640);
  assert.ok(fs.lstatSync(path("link")).isSymbolicLink());
});

writing("writes to a device and leaves it one", () => {
  writeWhole("/dev/null", "gone");
  assert.ok(fs.statSync("/dev/null").isCharacterDevice());
});

writing("refuses a folder, and a folder that isn't there", () => {
  assert.throws(() => writeWhole(folder, "x"), refusal("unwritable"));
  assert.throws(() => writeWhole(path("none/x"), "x"), refusal("unwritable"));
  assert.equal(left(), []);
});

writing("never shows half a file to a reader, nor loses it to a kill", async () => {
  // A child rewrites one file over and over until it is killed; every look at it finds one whole version. It says when
  // it has begun, or on a busy machine it would be killed before.
  const script = path("writer.mjs");
  execFileSync(process.execPath, ["-e", BUNDLE_WRITER, script], { cwd: process.cwd() });
  for (let round = 0; round < 5; round++) {
    const target = path(`round${round}`);
    writeWhole(target, "0".repeat(100_000));
    const child = spawn(process.execPath, [script, target], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await new Promise((later) => setTimeout(later, round * 20));
    child.kill("SIGKILL");
    assert.equal(await once(child, "close"), [null, "SIGKILL"]);
    const seen = fs.readFileSync(target, "utf8");
    assert.is(seen.length, 100_000);
    assert.is(new Set(seen).size, 1, "a mix of two versions");
  }
});

writing("to stdout is what was asked for, and binary never lands on a terminal by default", () => {
  const pipe = memoryIo();
  writeOutput(pipe, undefined, new Uint8Array([0, 255]));
  writeOutput(pipe, "-", new Uint8Array([1]));
  assert.is(hex(pipe.outBytes()), "00ff01");
  const terminal = memoryIo({ tty: true });
  assert.throws(() => writeOutput(terminal, undefined, new Uint8Array([0])), refusal("binary-to-terminal"));
  writeOutput(terminal, undefined, "text\n");
  writeOutput(terminal, "-", new Uint8Array([65]));
  assert.is(terminal.out(), "text\nA");
  writeOutput(terminal, path("out"), new Uint8Array([7]));
  assert.is(hex(fs.readFileSync(path("out"))), "07");
});

writing.after(() => fs.rmSync(folder, { recursive: true }));

// Bundles writefiles.ts with a loop around writeWhole, so that another process can be killed in it.
const BUNDLE_WRITER = `
  require("esbuild").buildSync({
    stdin: {
      contents: 'import { writeWhole } from "./host-cli/src/writefiles"; for (let i = 0; ; i++) { writeWhole(process.argv[2], String(i % 10).repeat(100000)); if (i === 2) console.log("begun"); }',
      resolveDir: process.cwd(),
    },
    bundle: true, platform: "node", format: "esm", outfile: process.argv[1],
    alias: { "@vouch/shared": process.cwd() + "/shared/src" },
  });`;
writing.run();
