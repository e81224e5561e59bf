// Thousands of files that count only once something else is written after them: tiles before their checkpoint.
//
//   write   write   write  …   flush: every file and every folder is on the disk
//      └──────┴──▶ fsync, several at a time, beside whatever comes next
//
// A file takes its name at once and is flushed later, which costs a fifth of flushing each before the next. So
// nobody may read them before flush() has returned; abort() removes them, and a kill leaves what the next
// attempt overwrites.

import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { about } from "./exit";
import { fileTrouble, flushFolder } from "./files";
import { makeFolders } from "./tiledlog";

const AT_ONCE = 8;
const BEHIND = 512; // files that may wait for their flush: their bytes are in the kernel's memory

export interface BulkFiles {
  write(path: string, bytes: Uint8Array): void;
  /** Waits until few files wait. */
  ready(): Promise<void>;
  flush(): Promise<void>;
  abort(): void;
}

export function bulkFiles(): BulkFiles {
  const written: string[] = [];
  const folders = new Set<string>();
  let next = 0; // of `written`, what is flushed next
  let running = 0;
  let trouble: unknown;
  let waiting: (() => void) | undefined;

  const flushOne = async () => {
    running++;
    const path = written[next++] as string;
    try {
      const file = await open(path, "r");
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      trouble ??= fileTrouble(error, "unwritable", `${path} can't be written`);
    }
    running--;
    pump();
    waiting?.();
  };
  const pump = () => {
    while (running < AT_ONCE && next < written.length && trouble === undefined) void flushOne();
  };
  const until = async (done: () => boolean) => {
    pump();
    while (trouble === undefined && !done())
      await new Promise<void>((resolve) => {
        waiting = resolve;
      });
    waiting = undefined;
    if (trouble !== undefined) throw trouble;
  };
  return {
    write(path, bytes) {
      const folder = dirname(path);
      if (!folders.has(folder)) {
        makeFolders(folder);
        folders.add(folder);
      }
      written.push(path);
      about(path, () => {
        try {
          const fd = openSync(path, "w");
          try {
            for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
          } finally {
            closeSync(fd);
          }
        } catch (error) {
          throw fileTrouble(error, "unwritable", "can't be written");
        }
      });
    },
    ready: () => until(() => written.length - next <= BEHIND),
    async flush() {
      await until(() => next === written.length && running === 0);
      for (const folder of folders) flushFolder(folder);
    },
    abort() {
      trouble ??= new Error("aborted");
      for (const path of written) rmSync(path, { force: true });
    },
  };
}
