// A file that only grows, of which so many bytes count: those that some other file, replaced whole, says are there.
//
// What a cut run has left behind them is cut off on opening. Nothing is lost with that: whoever appended it never
// said that it was there.

import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Refusal } from "@vouch/shared/refusal";
import { flushFolder } from "../writefiles";

export interface GrowingFile {
  append(bytes: Uint8Array): void;
  read(start: number, length: number): Uint8Array;
  flush(): void;
  close(): void;
}

/** Opens a file of `length` bytes; of none, it is made by the first append. Refuses `state-damaged` when it has fewer. */
export function openGrowing(path: string, length: number): GrowingFile {
  let fd: number | null = null;
  const shorter = (found: string) =>
    new Refusal("state-damaged", `${path} holds ${found}, expected ${length} bytes`, {
      hint: "begin with an empty folder: the log is then read again from its first record",
    });
  if (existsSync(path)) {
    fd = openSync(path, "a+");
    const { size } = fstatSync(fd);
    if (size > length) ftruncateSync(fd, length);
    if (size < length) {
      closeSync(fd);
      throw shorter(`${size} bytes`);
    }
  } else if (length > 0) throw shorter("nothing");
  return {
    append(bytes) {
      if (fd === null) {
        fd = openSync(path, "a+");
        flushFolder(dirname(path));
      }
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    },
    read(start, count) {
      const bytes = new Uint8Array(count);
      for (let at = 0; at < count; ) {
        const got = fd === null ? 0 : readSync(fd, bytes, at, count - at, start + at);
        if (got === 0) throw shorter(`${start + at} bytes`);
        at += got;
      }
      return bytes;
    },
    flush() {
      if (fd !== null) fsyncSync(fd);
    },
    close() {
      if (fd !== null) closeSync(fd);
      fd = null;
    },
  };
}
