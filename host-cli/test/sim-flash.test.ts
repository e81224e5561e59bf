// The flash of the simulated device: rules of NOR with error correction, and a file that holds.

import { existsSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createFlashFile, type Flash, memoryFlash, openFlashFile } from "../src/sim/flash";
import { ENGINE_BYTES, FLASH_BYTES, LAYOUT } from "../src/sim/layout";
import { engineImage, temporaryFolder } from "./sim-kit";

const flashes = suite("simulated flash");

const folder = temporaryFolder();
const ENGINE = engineImage();
const BOARD = { random: true };
const { address: STORE } = LAYOUT.store;
const HEADER = 4096;

let files = 0;
const newFile = () => {
  const path = join(folder, `${files++}.flash`);
  createFlashFile(path, ENGINE, BOARD);
  return path;
};

const isRefusal = (code: string) => (error: { code?: string }) => error.code === code;
const refuses = async (work: () => Promise<unknown>, code: string) => {
  try {
    await work();
  } catch (error) {
    assert.is((error as { code?: string }).code, code);
    return;
  }
  assert.unreachable(`expected ${code}`);
};

const kinds: [string, () => Promise<Flash>][] = [
  ["in memory", async () => memoryFlash(ENGINE, BOARD)],
  ["in a file", () => openFlashFile(newFile())],
];
for (const [kind, open] of kinds) {
  flashes(`${kind}: blank but for the engine, and what is read is a copy`, async () => {
    const flash = await open();
    assert.equal(Buffer.from(flash.read(0, ENGINE_BYTES)), Buffer.from(ENGINE));
    const rest = flash.read(ENGINE_BYTES, FLASH_BYTES - ENGINE_BYTES);
    assert.ok(rest.every((byte) => byte === 0xff));
    rest.fill(0);
    assert.is(flash.read(STORE, 1)[0], 0xff);
    flash.close();
  });

  flashes(`${kind}: a unit can be written once, then it takes an erase`, async () => {
    const flash = await open();
    const eight = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    flash.write(STORE + 8, eight);
    assert.throws(() => flash.write(STORE + 8, eight), /second write/);
    assert.throws(() => flash.write(STORE, new Uint8Array(16)), /second write/);
    assert.is(flash.read(STORE, 1)[0], 0xff, "a refused write changes nothing");
    flash.write(STORE + 1024, eight);
    flash.erase(STORE, 1024);
    assert.is(flash.read(STORE + 8, 1)[0], 0xff);
    assert.is(flash.read(STORE + 1024, 1)[0], 1, "an erase is of its sectors only");
    flash.write(STORE + 8, eight);
    flash.close();
  });

  flashes(`${kind}: what a driver must not do throws`, async () => {
    const flash = await open();
    const end = FLASH_BYTES;
    for (const [name, work] of [
      ["write into the engine", () => flash.write(ENGINE_BYTES - 8, new Uint8Array(8))],
      ["erase of the engine", () => flash.erase(0, 1024)],
      ["write of half a unit", () => flash.write(STORE, new Uint8Array(4))],
      ["write between units", () => flash.write(STORE + 4, new Uint8Array(8))],
      ["erase of half a sector", () => flash.erase(STORE, 512)],
      ["erase between sectors", () => flash.erase(STORE + 512, 1024)],
      ["write past the end", () => flash.write(end - 8, new Uint8Array(16))],
      ["erase past the end", () => flash.erase(end, 1024)],
      ["read past the end", () => flash.read(end - 1, 2)],
      ["read of nowhere", () => flash.read(Number.NaN, 1)],
      ["read of a fraction", () => flash.read(0.5, 1)],
      ["read of less than nothing", () => flash.read(8, -8)],
    ] as const)
      assert.throws(work, /flash: bad/, name);
    flash.close();
    assert.throws(() => flash.read(0, 1), /flash: bad/, "after it was closed");
    flash.close();
  });
}

flashes("each write is in the file before it returns", async () => {
  const path = newFile();
  const flash = await openFlashFile(path);
  const onDisk = () =>
    readFileSync(path)
      .subarray(HEADER + STORE, HEADER + STORE + 8)
      .toString("hex");
  flash.write(STORE, Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1));
  assert.is(onDisk(), "0807060504030201");
  flash.erase(STORE, 1024);
  assert.is(onDisk(), "ffffffffffffffff");
  flash.write(STORE, Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1));
  flash.close();
  const again = await openFlashFile(path);
  assert.is(again.read(STORE, 1)[0], 1);
  again.close();
});

flashes("a file is made once, for its owner only, and remembers its board", async () => {
  const path = join(folder, "no-rng.flash");
  createFlashFile(path, ENGINE, { random: false });
  if (process.platform !== "win32") assert.is(statSync(path).mode & 0o777, 0o600);
  assert.throws(() => createFlashFile(path, ENGINE, BOARD), isRefusal("exists"));
  const flash = await openFlashFile(path);
  assert.is(flash.board.random, false);
  flash.close();
});

flashes("one device runs on a file at a time, by whatever name", async () => {
  const path = newFile();
  const link = join(folder, "link.flash");
  symlinkSync(path, link);
  const flash = await openFlashFile(path);
  await refuses(() => openFlashFile(path), "sim-running");
  await refuses(() => openFlashFile(link), "sim-running");
  flash.close();
  assert.is(existsSync(`${path}.lock`), false);
  (await openFlashFile(link)).close();
});

flashes("a lock left by a killed process doesn't keep its file", async () => {
  const path = newFile();
  const flash = await openFlashFile(path);
  const lock = readFileSync(`${path}.lock`, "utf8");
  flash.close();
  writeFileSync(`${path}.lock`, lock.replace(`"pid":${process.pid}`, '"pid":4194305')); // above Linux's largest
  (await openFlashFile(path)).close();
});

for (const [name, damage] of [
  ["an empty file", (path: string) => truncateSync(path, 0)],
  ["a file cut by one byte", (path: string) => truncateSync(path, HEADER + FLASH_BYTES - 1)],
  ["a bent header", (path: string) => bend(path, 5)],
  ["a header with bytes behind it", (path: string) => bend(path, HEADER - 1)],
  ["a header of another version", (path: string) => bend(path, 22)],
] as const) {
  flashes(`refuses ${name}, and leaves no lock`, async () => {
    const path = newFile();
    damage(path);
    await refuses(() => openFlashFile(path), "malformed-state");
    assert.is(existsSync(`${path}.lock`), false);
  });
}

flashes("refuses a file that is too long", async () => {
  const path = newFile();
  writeFileSync(path, "x", { flag: "a" });
  await refuses(() => openFlashFile(path), "too-large");
});

function bend(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

flashes.run();
