// One writer at a time in a folder: two that append to a log at once would sign
// two trees of one size, which is a fork.
//
//   FOLDER/.lock          {"host","pid","token"} of who writes
//   FOLDER/.NAME.lock     the same for one file that is read, changed and written back
//   FOLDER/.lock.steal    held for the moment in which a dead writer's lock is removed
//
// Both are made by writeWhole without overwriting, so they appear complete and
// only one process gets the name. A lock whose process is gone is removed, but
// only under the second one and after reading it again: nobody else may remove
// it then, so what is removed is what was judged. A writer on another host, or
// a steal cut short, can't be judged from here; a person has to look.

import { randomBytes } from "node:crypto";
import { linkSync, renameSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { isGone, readInput, writeWhole } from "./files";

const POLL_MS = 20;

/** Tokens of locks that this process holds: one with our pid and another token is from an earlier life. */
const held = new Set<string>();

/** Runs `work` as the only writer of the folder. Refuses `locked` when another one keeps it for `timeoutMs`. */
export async function withLock<T>(folder: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  return holding(join(folder, ".lock"), timeoutMs, work);
}

/** Runs `work` as the only writer of a file. Refuses `locked`. */
export async function withFileLock<T>(file: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  return holding(join(dirname(file), `.${basename(file)}.lock`), timeoutMs, work);
}

async function holding<T>(path: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const unlock = await takeLock(path, timeoutMs);
  try {
    return await work();
  } finally {
    unlock();
  }
}

/** Makes the lock file `path`, for as long as something runs. The result removes it. Refuses `locked`. */
export async function takeLock(path: string, timeoutMs: number): Promise<() => void> {
  const token = randomBytes(8).toString("hex");
  held.add(token);
  try {
    await acquire(path, token, timeoutMs);
  } catch (error) {
    held.delete(token);
    throw error;
  }
  return () => {
    held.delete(token); // before the file: should it stay, we are not who holds it
    rmSync(path, { force: true });
  };
}

async function acquire(path: string, token: string, timeoutMs: number): Promise<void> {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, token });
  const deadline = Date.now() + timeoutMs;
  while (!create(path, mine)) {
    const found = read(path);
    if (found === null) continue; // let go in this very moment
    if (isDead(found) && removeDead(path, found, mine)) continue;
    if (Date.now() >= deadline) throw locked(path, found);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** False when somebody has the name. */
function create(path: string, content: string): boolean {
  try {
    writeWhole(path, content, { overwrite: false });
    return true;
  } catch (error) {
    if (isRefusal(error) && error.code === "exists") return false;
    throw error;
  }
}

function read(path: string): string | null {
  try {
    return Buffer.from(readInput(path, 1024)).toString("utf8");
  } catch (error) {
    if (isRefusal(error) && error.code === "not-found") return null;
    throw error;
  }
}

function isDead(content: string): boolean {
  const match = /^\{"host":"([^"]*)","pid":([0-9]{1,10}),"token":"([0-9a-f]{16})"\}$/.exec(content);
  if (match === null || match[1] !== hostname()) return false;
  const pid = Number(match[2]);
  if (pid === process.pid) return !held.has(match[3] ?? "");
  return isGone(pid);
}

/** Removes a lock judged dead, if it is still that one. False when another process is at it. */
function removeDead(path: string, judged: string, mine: string): boolean {
  const steal = `${path}.steal`;
  if (!create(steal, mine)) {
    const stealer = read(steal);
    if (stealer !== null && isDead(stealer)) dropDeadStealer(steal, stealer);
    return false;
  }
  try {
    if (read(path) === judged) rmSync(path, { force: true });
  } finally {
    rmSync(steal, { force: true });
  }
  return true;
}

/** Takes the name from a stealer that was killed; gives it back should it have become another's meanwhile. */
function dropDeadStealer(steal: string, judged: string): void {
  const aside = `${steal}.${randomBytes(6).toString("hex")}`;
  try {
    renameSync(steal, aside);
  } catch {
    return; // another one was at it
  }
  if (read(aside) !== judged) {
    try {
      linkSync(aside, steal);
    } catch {
      // taken again already: its new holder compares what it removes, as ever
    }
  }
  rmSync(aside, { force: true });
}

function locked(path: string, content: string): Refusal {
  const pid = /"pid":([0-9]{1,10})/.exec(content)?.[1];
  return new Refusal("locked", `${path} says that ${pid ? `process ${pid}` : "somebody"} is writing`, {
    hint: `when nobody is, remove ${path} and ${path}.steal`,
  });
}
