// Files out, whole or not at all. The bytes go to a new file in the same folder,
// are flushed to the disk, and only then take the name; the folder is flushed
// last, so that the name survives a power cut too:
//
//   open .pump.key.<pid>-<random>.tmp (new)   write   fsync   link or rename   fsync folder
//
// rename() replaces whatever has the name, but for a private key: that is for
// files which a command keeps. link() fails when something has it, and what a
// person gives as -o is never written over: writeOutput. The same bytes again
// are no change, so a command can be repeated.
//
// A kill leaves the new file under its first name. Of a secret that is a copy
// nobody knows of: whoever writes a secret of the same name next removes it,
// told by the number of a process that is gone.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { about, usage } from "./exit";
import { codeOf, fileTrouble, nameTaken } from "./filetrouble";
import type { Io } from "./io";
import { readInput } from "./readfiles";

const KEY_HEAD = 4096;
const CHUNK = 256 * 1024;

export interface WriteOptions {
  /** Permission bits of a new file; 0o600 for anything secret. Default 0o644, less the umask. */
  mode?: number;
  /** False: refuse `exists` when the name is taken. "same": unless by a file of these very bytes, which stays. Default true. */
  overwrite?: boolean | "same";
}

/** Gives bytes to write, piece by piece; each is valid until the next. */
export type Feed = (write: (bytes: Uint8Array) => void) => void;

/** Writes a file whole or not at all. Refuses `exists`, `unwritable` and, to replace a private key, `key-file`. */
export function writeWhole(path: string, content: Uint8Array | string, options: WriteOptions = {}): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  writeFed(path, (write) => write(bytes), options);
}

/** The same for what needn't be in memory at once. When `feed` throws, nothing is written. */
export function writeFed(path: string, feed: Feed, options: WriteOptions = {}): void {
  if (path === "-") throw usage("expected the name of a file, found -: this isn't written to stdout");
  about(path, () => {
    try {
      const there = statSync(path, { throwIfNoEntry: false });
      if (there !== undefined && options.overwrite === false) throw nameTaken();
      if (there?.isDirectory()) throw new Refusal("unwritable", "found a folder, expected a file to write");
      // A device or a pipe is written to; renaming over /dev/null would replace it for everybody.
      if (there !== undefined && !there.isFile()) return writeThrough(path, feed);
      const target = there === undefined ? path : realpathSync(path);
      if (there !== undefined && holdsPrivateKey(target)) throw keyFile();
      replace(target, feed, options.mode ?? (there === undefined ? 0o644 : there.mode & 0o777), options);
    } catch (error) {
      throw fileTrouble(error, "unwritable", "can't be written");
    }
  });
}

function writeThrough(path: string, feed: Feed): void {
  const fd = openSync(path, "w");
  try {
    feed((bytes) => writeAll(fd, bytes));
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Writes a file of ours whole or not at all from pieces that needn't be in memory at once. Each is valid until the next. */
export function writePieces(path: string, pieces: Iterable<Uint8Array>): void {
  about(path, () => {
    try {
      const feed: Feed = (write) => {
        for (const bytes of pieces) write(bytes);
      };
      replace(path, feed, 0o644, {});
    } catch (error) {
      throw fileTrouble(error, "unwritable", "can't be written");
    }
  });
}

/**
 * Writes a command's product where the person asked: a file, or stdout for "-" and when nothing was named. A file that is there
 * is never written over: refuses `exists`, unless it holds these very bytes. Bytes go to a terminal only for an explicit "-":
 * refuses `binary-to-terminal`.
 */
export function writeOutput(
  io: Io,
  path: string | undefined,
  content: Uint8Array | string,
  options: WriteOptions = {},
): void {
  if (path !== undefined && path !== "-") {
    writeWhole(path, content, { overwrite: "same", ...options });
    return;
  }
  if (path === undefined && typeof content !== "string" && io.tty.stdout) {
    throw new Refusal("binary-to-terminal", "the output is binary and stdout is a terminal", {
      hint: "name a file with -o FILE, or insist with -o -",
    });
  }
  io.stdout(content);
}

/** PEM of any kind of private key in a file's first bytes. */
function holdsPrivateKey(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(KEY_HEAD);
    const length = readSync(fd, head, 0, KEY_HEAD, 0);
    return /^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/m.test(head.toString("latin1", 0, length));
  } finally {
    closeSync(fd);
  }
}

/** Removes what killed processes have left of a secret on its way to this name. A file in the making stays. */
export function removeLeftovers(path: string): void {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.`;
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const pid =
      name.startsWith(prefix) && /^([0-9]{1,10})-[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length))?.[1];
    // Ours are gone by the time anybody can ask: writing one is a single step. What bears our number is older.
    if (pid && (Number(pid) === process.pid || isGone(Number(pid))))
      rmSync(join(folder, name), { force: true });
  }
}

/** Whether no process of this host has that number. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0); // asks only
    return false;
  } catch (error) {
    return codeOf(error) === "ESRCH";
  }
}

function replace(target: string, feed: Feed, mode: number, options: WriteOptions): void {
  const folder = dirname(target);
  if ((mode & 0o077) === 0) removeLeftovers(target);
  const unique = `${process.pid}-${randomBytes(6).toString("hex")}`;
  const temporary = join(folder, `.${basename(target)}.${unique}.tmp`);
  const fd = openSync(temporary, "wx", mode);
  try {
    try {
      feed((bytes) => writeAll(fd, bytes));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (options.overwrite === "same") {
      if (existsSync(target) ? !holdTheSame(temporary, target) : !takesFreeName(temporary, target))
        throw nameTaken();
    } else if (options.overwrite === false) takeFreeName(temporary, target);
    else renameSync(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
  flushFolder(folder);
}

/** False when somebody was faster, with something else. */
function takesFreeName(temporary: string, target: string): boolean {
  try {
    takeFreeName(temporary, target);
    return true;
  } catch (error) {
    if (!isRefusal(error) || error.code !== "exists" || !existsSync(target)) throw error;
    return holdTheSame(temporary, target);
  }
}

function holdTheSame(one: string, other: string): boolean {
  const fds = [openSync(one, "r"), openSync(other, "r")] as const;
  try {
    if (fstatSync(fds[0]).size !== fstatSync(fds[1]).size) return false;
    const [a, b] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)];
    for (;;) {
      const count = readSync(fds[0], a);
      if (readSync(fds[1], b) !== count || !a.subarray(0, count).equals(b.subarray(0, count))) return false;
      if (count === 0) return true;
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** Gives the file its name only if nobody has it, in one step of the file system. */
function takeFreeName(temporary: string, target: string): void {
  try {
    linkSync(temporary, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw nameTaken();
    // FAT and some network folders have no hard links; copying with O_EXCL still never overwrites.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
    copyFileSync(temporary, target, constants.COPYFILE_EXCL);
  }
}

/** Makes a folder and those above it, where they aren't there. Refuses `unwritable`. */
export const makeFolder = (path: string): void =>
  about(path, () => {
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw fileTrouble(error, "unwritable", "can't be made");
    }
  });

/** Makes a new name in the folder durable. Windows can't open folders and needs no such flush. */
export function flushFolder(folder: string): void {
  if (process.platform === "win32") return;
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Before a person is asked whether to write it. Refuses `exists`; what is true of it counts when it is written. */
export const checkFree = (path: string): void =>
  about(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isFile() === true || there?.isDirectory() === true) throw nameTaken();
  });

/** Before other files change that go with this one: refuses `exists` as writeOutput would. */
export const checkFreeFor = (path: string, content: Uint8Array): void =>
  about(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isFile() !== true) return;
    if (there.size !== content.length || !Buffer.from(readInput(path, content.length)).equals(content))
      throw nameTaken();
  });

const keyFile = () =>
  new Refusal("key-file", "found a private key, which is never overwritten", {
    hint: "choose another name for the output",
  });
