// A private Tangle as a library: one HORNET node, inx-coordinator and inx-poi, real ones, on loopback.
//
//   const tangle = await startTangle({ intervalMs: 1000 });
//   tangle.where    for --ledger: stardust:http://127.0.0.1:…,poi=http://127.0.0.1:…
//   tangle.trust    network, threshold and keys, for a trust file
//   await tangle.stop();
//
//   here  ── stdin, stdout ──▶  tangle-inside.mjs ──▶ hornet, inx-coordinator, inx-poi
//     ports of 127.0.0.1           │ network and process namespace of its own, where possible
//        └──── a socket each in the folder ────┘
//
// In a namespace the programs see a loopback and nothing else; HORNET would otherwise look for a router to open a
// port on. Clients needn't join it: what comes to a port here goes on through a socket in the folder. The folder
// goes with the network.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { openDoor } from "./tangle-door.mjs";
import { findPrograms } from "./tangle-programs.mjs";

const INSIDE = fileURLToPath(new URL("tangle-inside.mjs", import.meta.url));

const works = (command, ...args) =>
  spawnSync(command, args, { stdio: "ignore", timeout: 10_000 }).status === 0;

/** What to put before a command so that it runs in namespaces of its own; undefined where that can't be. */
export function namespaceCommand() {
  const flags = ["--net", "--pid", "--fork", "--kill-child"];
  const inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]; // a new loopback is down
  for (const rights of [[], ["--map-root-user"]]) {
    const prefix = ["unshare", ...rights, ...flags, ...inside];
    if (works(...prefix, "true")) return prefix;
  }
  return undefined;
}

/** Asks the process inside, one thing after the other, as lines of JSON. */
function converse(child, ended) {
  const waiting = [];
  let gone;
  ended.then(([code, signal]) => {
    gone = new Error(`the network ended with ${signal ?? `status ${code}`}`);
    for (const { reject } of waiting.splice(0)) reject(gone);
  });
  child.stdin.on("error", () => {}); // it is gone, and `ended` tells
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { why, result } = JSON.parse(line);
    const { resolve, reject } = waiting.shift() ?? {};
    if (why === undefined) resolve?.(result);
    else reject?.(new Error(why));
  });
  return (verb, argument = true) =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) return reject(gone);
      waiting.push({ resolve, reject });
      child.stdin.write(`${JSON.stringify({ [verb]: argument })}\n`);
    });
}

const LOOPBACK = { port: 0, host: "127.0.0.1" };

/** Starts one; throws with the reason when a program is missing or doesn't come up. */
export async function startTangle(options = {}) {
  const { programs, why } = findPrograms();
  if (programs === undefined) throw new Error(why);
  const { intervalMs = 1000, networkName = "vouch-tangle", namespace = true, ...rest } = options;
  const prefix = namespace ? namespaceCommand() : undefined;
  const folder = mkdtempSync(join(tmpdir(), "vouch-tangle-"));
  const [command, ...args] = [...(prefix ?? []), process.execPath, INSIDE];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const ended = once(child, "exit").catch((error) => [error.message, null]); // it could not be started
  const ask = converse(child, ended);
  const doors = [];
  const stop = async () => {
    child.stdin.end();
    for (const door of doors) door.close();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    // setpriv has the kernel kill the children with us, where no process namespace does.
    const armed = prefix === undefined && works("setpriv", "--pdeathsig", "KILL", "true");
    const { keys, ports } = await ask("start", {
      folder,
      hornet: programs["hornet"],
      coordinator: programs["inx-coordinator"],
      poi: programs["inx-poi"],
      armed: armed ? ["setpriv", "--pdeathsig", "KILL"] : [],
      doors: prefix !== undefined,
      intervalMs,
      networkName,
      minPowScore: rest.minPowScore ?? 0,
      nodePow: rest.nodePow ?? true,
      keeper: rest.keeper ?? false,
    });
    const at = { ...ports };
    if (prefix !== undefined) {
      for (const name of ["api", "poi"]) {
        const door = await openDoor(LOOPBACK, { path: join(folder, `${name}.sock`) });
        doors.push(door);
        at[name] = door.address().port;
      }
    }
    const [url, poi] = [at.api, at.poi].map((port) => `http://127.0.0.1:${port}`);
    return {
      url,
      poi,
      where: `stardust:${url},poi=${poi}`,
      trust: { network: networkName, threshold: keys.length, keys },
      intervalMs,
      namespaced: prefix !== undefined,
      /** SIGKILL for the node; `restart`, for a network with a keeper, starts it again. */
      kill: () => ask("kill"),
      restart: () => ask("restart"),
      pause: () => ask("pause"),
      resume: () => ask("resume"),
      stop,
      ended,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
