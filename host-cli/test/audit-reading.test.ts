// How a fleet file is read, whatever comes: memory that grows neither with an item that is passed over nor with the number of
// pieces that a pipe gives, and items that stay what they were.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Chunks, itemsOf } from "../src/audit/items";

const test = suite("reading fleet files");
const folder = mkdtempSync(join(tmpdir(), "vouch-reading-"));

class Counted extends Chunks {
  count = 0;
  override take(): Uint8Array {
    this.count++;
    return super.take();
  }
}

const BEYOND = 32 * 1024 * 1024;
const MOST = 4 * 1024 * 1024;

/** Items, and the chunks that they took while none was released. */
function read(path: string) {
  const chunks = new Counted();
  const items = [...itemsOf(path, chunks)];
  return {
    chunks: chunks.count,
    items: items.map(({ bytes, length, at }) => [at, length, Buffer.from(bytes).toString()]),
  };
}

/** Each text, and zeros behind it up to `length`; sparse, and so made at once. */
function write(
  name: string,
  parts: readonly { readonly text: Uint8Array; readonly length?: number }[],
): string {
  const path = join(folder, name);
  const fd = openSync(path, "w");
  let end = 0;
  for (const { text, length = text.length } of parts) {
    writeSync(fd, text, 0, text.length, end);
    end += length;
    ftruncateSync(fd, end);
  }
  closeSync(fd);
  return path;
}

test("lines that are passed over take no more memory than the longest that is not, and those between them stay", () => {
  const line = (text: string) => ({ text: Buffer.from(text) });
  const over = { text: Buffer.from("{"), length: BEYOND };
  const path = write("long.jsonl", [line("{a}\n"), over, line("\n{b}\n"), over, line("\n{c}\n{d}")]);
  const { items, chunks } = read(path);
  assert.equal(items, [
    [1, 3, "{a}"],
    [2, BEYOND, ""],
    [3, 3, "{b}"],
    [4, BEYOND, ""],
    [5, 3, "{c}"],
    [6, 3, "{d}"],
  ]);
  assert.ok(chunks <= (2 * MOST) / (256 * 1024) + 6, `${chunks} chunks`);
});

test("items of a sequence that are passed over, too", () => {
  const item = (text: string) => ({ text: Buffer.from([0x40 + text.length, ...Buffer.from(text)]) });
  const over = { text: Buffer.from([0x5a, 0x02, 0, 0, 0]), length: 5 + BEYOND };
  const { items, chunks } = read(write("long.cborseq", [item("a"), over, item("b"), over, over, item("c")]));
  assert.equal(items, [
    [1, 1, "a"],
    [2, BEYOND, ""],
    [3, 1, "b"],
    [4, BEYOND, ""],
    [5, BEYOND, ""],
    [6, 1, "c"],
  ]);
  assert.ok(chunks <= 6, `${chunks} chunks`);
});

test("a pipe that gives a few bytes at a time fills chunks, and takes none for each piece", async () => {
  const path = join(folder, "pipe");
  assert.is(spawnSync("mkfifo", [path]).status, 0);
  const lines = Array.from({ length: 400 }, (_, i) => `{"line":${i}}`);
  const source = `const { openSync, writeSync } = require("node:fs"); const fd = openSync(${JSON.stringify(path)}, "w");
    for (const line of ${JSON.stringify(lines)})
      for (const piece of [line.slice(0, 4), line.slice(4) + "\\n"]) {
        writeSync(fd, piece);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }`;
  const writer = spawn(process.execPath, ["-e", source], { stdio: "ignore" });
  const ended = new Promise((done) => writer.once("exit", done));
  const { items, chunks } = read(path);
  assert.equal(
    items.map(([, , text]) => text),
    lines,
  );
  assert.ok(chunks <= 2, `${chunks} chunks`);
  assert.is(await ended, 0);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
