// Thousands of files that count only once something else is written after them: tiles before their checkpoint.
//
//   write   write   write  …   flush: every file and every folder is on the disk
//      └──────┴──▶ fsync, several at a time, beside whatever comes next
//
// A file takes its name at once and is flushed later, which costs a fifth of flushing each before the next. So
// nobody may read them before flush() has returned; abort() removes them, and a kill leaves what the next
// attempt overwrites.

import { close, closeSync, fsync, openSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { about } from "./exit";
import { fileTrouble } from "./filetrouble";
import { makeFolders } from "./tiledlog";
import { flushFolder } from "./writefiles";

const AT_ONCE = 8;
const BEHIND = 256; // files that may wait for their flush, and are open until then

export interface BulkFiles {
  write(path: string, bytes: Uint8Array): void;
  /** Waits until few files wait. */
  ready(): Promise<void>;
  flush(): Promise<void>;
  abort(): void;
}

export function bulkFiles(): BulkFiles {
  const written: string[] = [];
  const open: { fd: number; path: string }[] = []; // to be flushed, in order
  const folders = new Set<string>();
  let running = 0;
  let trouble: unknown;
  let waiting: (() => void) | undefined;

  const pump = () => {
    while (running < AT_ONCE && trouble === undefined) {
      const file = open.shift();
      if (file === undefined) return;
      running++;
      fsync(file.fd, (unflushed) => {
        close(file.fd, (unclosed) => {
          const error = unflushed ?? unclosed;
          if (error !== null) trouble ??= fileTrouble(error, "unwritable", `${file.path} can't be written`);
          running--;
          pump();
          waiting?.();
        });
      });
    }
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
          open.push({ fd, path });
          for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
        } catch (error) {
          throw fileTrouble(error, "unwritable", "can't be written");
        }
      });
      if (open.length > BEHIND / 2) pump();
    },
    ready: () => until(() => open.length <= BEHIND),
    async flush() {
      await until(() => open.length === 0 && running === 0);
      for (const folder of folders) flushFolder(folder);
    },
    abort() {
      trouble ??= new Error("aborted");
      for (const { fd } of open.splice(0)) closeSync(fd);
      for (const path of written) rmSync(path, { force: true });
    },
  };
}
