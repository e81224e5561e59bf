// A real Mosquitto for tests, in a folder of its own and on loopback. Debian: apt-get install mosquitto.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { freePort } from "./postgres-kit";

const PROGRAM = "/usr/sbin/mosquitto";

export interface MosquittoOptions {
  /** More lines for its listener. */
  lines?: readonly string[];
  /** Whether it keeps its queues on disk. */
  isPersistent?: boolean;
}

export interface Mosquitto {
  readonly port: number;
  /** As a power cut would: what it hasn't saved is gone. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): void;
}

/** Why there can be none here; undefined when it is installed. */
export function whyNoMosquitto(): string | undefined {
  return spawnSync(PROGRAM, ["-h"]).error === undefined ? undefined : "mosquitto is not installed";
}

export async function startMosquitto(folder: string, options: MosquittoOptions = {}): Promise<Mosquitto> {
  const port = await freePort();
  const config = join(folder, `mosquitto-${port}.conf`);
  chmodSync(folder, 0o777); // started by root it becomes another user
  const kept =
    options.isPersistent === false
      ? []
      : [
          "persistence true",
          `persistence_location ${folder}/`,
          `persistence_file ${port}.db`,
          "autosave_interval 1",
        ];
  const lines = [`listener ${port} 127.0.0.1`, ...(options.lines ?? ["allow_anonymous true"]), ...kept];
  writeFileSync(config, `${lines.join("\n")}\n`);
  chmodSync(config, 0o644);
  let child: ChildProcess | null = null;
  const start = async () => {
    child = spawn(PROGRAM, ["-c", config], { stdio: "ignore" });
    await untilAnswered(port, () => child?.exitCode === null);
  };
  const kill = async () => {
    const dying = child;
    child = null;
    if (dying === null) return;
    const gone = new Promise((resolve) => dying.once("close", resolve));
    dying.kill("SIGKILL");
    await gone;
  };
  await start();
  return { port, kill, start, stop: () => void child?.kill("SIGKILL") };
}

/** Waits until somebody listens there, for as long as who is to do it `runs`. */
export async function untilAnswered(port: number, runs: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 2400; attempt++) {
    if (await answers(port)) return;
    if (!runs()) break;
    await new Promise((again) => setTimeout(again, 25));
  }
  throw new Error(`nobody listens at port ${port}`);
}

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
