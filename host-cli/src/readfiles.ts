// Files in, and `-` for stdin: bounded. A path may name a pipe or /dev/zero, so the limit is kept while reading and not
// only asked of stat.

import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { Refusal } from "@vouch/shared/refusal";
import { about } from "./exit";
import { codeOf, fileTrouble } from "./filetrouble";

const CHUNK = 256 * 1024; // fastest of the sizes measured for hashing 64 MB

/** All of a file, or of stdin for "-". Refuses `not-found`, `not-a-file`, `unreadable`, `too-large`. */
export function readInput(path: string, maxBytes: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  readChunks(path, maxBytes, (chunk) => {
    parts.push(chunk.slice());
    size += chunk.length;
  });
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The same for a file in a folder that others may have filled. Refuses `not-a-file` for a pipe or a device, which would be
 * waited for without end.
 */
export function readStored(path: string, maxBytes: number): Uint8Array {
  let there: Stats | undefined;
  try {
    there = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileTrouble(error, "unreadable", "can't be read"); // a file where a folder was meant
  }
  if (there !== undefined && !there.isFile() && !there.isDirectory())
    throw new Refusal("not-a-file", `${path}: found a pipe or a device, expected a file`);
  return readInput(path, maxBytes);
}

/** Feeds a file to `take` piece by piece, for what needn't be in memory at once. A piece is valid during the call. */
export function readChunks(path: string, maxBytes: number, take: (chunk: Uint8Array) => void): void {
  about(path === "-" ? "stdin" : path, () => {
    const fd = path === "-" ? 0 : open(path);
    try {
      const { size } = fstatSync(fd);
      if (size > maxBytes) throw tooLarge(`${size} bytes`, maxBytes);
      const buffer = new Uint8Array(Math.max(1, Math.min(CHUNK, size === 0 ? CHUNK : size)));
      for (let total = 0; ; ) {
        const count = readSome(fd, buffer);
        if (count === 0) return;
        total += count;
        if (total > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`, maxBytes);
        take(buffer.subarray(0, count));
      }
    } finally {
      if (fd !== 0) closeSync(fd);
    }
  });
}

/** The lines of a file or of stdin, without their ends, one after another. Refuses `too-large` for a longer line, and as readInput. */
export function* readLines(path: string, maxBytes: number): Generator<Uint8Array> {
  const fd = path === "-" ? 0 : about(path, () => open(path));
  try {
    let held = new Uint8Array(0); // of a line that goes on
    const buffer = new Uint8Array(CHUNK);
    for (;;) {
      const count = readSome(fd, buffer);
      let start = 0;
      for (let end = buffer.indexOf(10); end >= 0 && end < count; end = buffer.indexOf(10, start)) {
        const line = new Uint8Array(held.length + end - start);
        line.set(held);
        line.set(buffer.subarray(start, end), held.length);
        if (line.length > maxBytes) throw tooLarge(`a line of ${line.length} bytes`, maxBytes);
        yield line;
        held = held.subarray(0, 0);
        start = end + 1;
      }
      const rest = new Uint8Array(held.length + Math.max(0, count - start));
      rest.set(held);
      rest.set(buffer.subarray(start, Math.max(start, count)), held.length);
      held = rest;
      if (held.length > maxBytes) throw tooLarge(`a line of more than ${maxBytes} bytes`, maxBytes);
      if (count === 0) break;
    }
    if (held.length > 0) yield held;
  } finally {
    if (fd !== 0) closeSync(fd);
  }
}

function open(path: string): number {
  try {
    const fd = openSync(path, "r");
    if (!fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
  } catch (error) {
    throw fileTrouble(error, "unreadable", "can't be read");
  }
  throw new Refusal("not-a-file", "found a folder, expected a file");
}

/** Reads once, however the descriptor was set up: stdin may be non-blocking, and ends with EOF on Windows. */
function readSome(fd: number, buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(fd, buffer);
    } catch (error) {
      if (codeOf(error) === "EOF") return 0;
      if (codeOf(error) !== "EAGAIN") throw fileTrouble(error, "unreadable", "can't be read");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

const tooLarge = (found: string, maxBytes: number) =>
  new Refusal("too-large", `found ${found}, expected at most ${maxBytes}`);
