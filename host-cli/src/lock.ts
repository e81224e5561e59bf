// One writer at a time in a folder: two that append to a log at once would sign
// two trees of one size, which is a fork.
//
//   FOLDER/.lock          {"host","pid","token"} of who writes
//   FOLDER/.NAME.lock     the same for one file that is read, changed and written back
//   FOLDER/.lock.TOKEN    who took over from that one, whose process is gone; its own successor is named by its token
//
//   .lock ──token──▶ .lock.TOKEN ──token──▶ .lock.TOKEN      the end of this chain is who writes
//
// All are made by writeWhole without overwriting, so they appear complete and only one process gets a name. Nobody
// removes the lock of another: a dead one is followed, and whoever ends a chain removes it, `.lock` first. So a follower
// that finds the same `.lock` after it has made its own file follows nobody who is done. A kill at any instant leaves
// a chain that ends with a dead one, or files that no chain leads to. A writer on another host can't be judged from
// here; a person has to look.

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { readInput } from "./readfiles";
import { isGone, writeWhole } from "./writefiles";

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
  let chain: readonly string[];
  try {
    chain = await acquire(path, token, timeoutMs);
  } catch (error) {
    held.delete(token);
    throw error;
  }
  return () => {
    held.delete(token); // before the files: should they stay, we are not who holds it
    for (const file of chain) rmSync(file, { force: true });
  };
}

/** Gives the files of the chain that ends with ours. */
async function acquire(path: string, token: string, timeoutMs: number): Promise<readonly string[]> {
  const mine = JSON.stringify({ host: hostname(), pid: process.pid, token });
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const chain = readChain(path);
    const last = chain.at(-1);
    if (last === undefined) {
      if (create(path, mine)) return [path];
      continue;
    }
    const next = isDead(last.content) ? follower(path, last.content) : undefined;
    if (next !== undefined && create(next, mine)) {
      if (read(path) === chain[0]!.content) return [...chain.map(({ file }) => file), next];
      rmSync(next, { force: true }); // what it follows was done with in this very moment
      continue;
    }
    if (Date.now() >= deadline) throw locked(path, last.content);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

interface Link {
  readonly file: string;
  readonly content: string;
}

const MOST_LINKS = 1000; // each is of a process that was killed as it wrote

/** From `path` to who writes now; empty when nobody does. */
function readChain(path: string): Link[] {
  const chain: Link[] = [];
  for (let file: string | undefined = path; file !== undefined; ) {
    const content = read(file);
    if (content === null) break;
    chain.push({ file, content });
    file = chain.length < MOST_LINKS ? follower(path, content) : undefined;
  }
  return chain;
}

const LOCK = /^\{"host":"([^"]*)","pid":([0-9]{1,10}),"token":"([0-9a-f]{16})"\}$/;

/** Where who follows this one says so. */
function follower(path: string, content: string): string | undefined {
  const token = LOCK.exec(content)?.[3];
  return token === undefined ? undefined : `${path}.${token}`;
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
  const match = LOCK.exec(content);
  if (match === null || match[1] !== hostname()) return false;
  const pid = Number(match[2]);
  if (pid === process.pid) return !held.has(match[3] ?? "");
  return isGone(pid);
}

function locked(path: string, content: string): Refusal {
  const pid = /"pid":([0-9]{1,10})/.exec(content)?.[1];
  return new Refusal("locked", `${path} says that ${pid ? `process ${pid}` : "somebody"} is writing`, {
    hint: `when nobody is, remove ${path}`,
  });
}
