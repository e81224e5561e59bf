// A real PostgreSQL for tests and benches, in a folder of its own: on loopback, with one user who needs a password,
// which the environment of this process then holds. Debian: apt-get install postgresql.

import { spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";

const PASSWORD = "correct-horse-battery";

/** Where Debian keeps the server's programs: the newest version there is. */
function findPrograms(): string | undefined {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((v) => join(base, v, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

/**
 * A port for a program that is started later. Below those that the system hands out, or it may give this one to
 * somebody else meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + randomInt(20_000);
    const isFree = await new Promise<boolean>((told) => {
      const server = createServer().once("error", () => told(false));
      server.listen(port, "127.0.0.1", () => server.close(() => told(true)));
    });
    if (isFree) return port;
  }
}

/** One statement over a connection of its own; its rows. */
export async function queryOnce(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

export interface Cluster {
  readonly url: string;
  stop(): void;
}

/** A new cluster on loopback with one user, who needs the password. Null and why when there can be none. */
export async function startCluster(): Promise<Cluster | string> {
  process.env["PGPASSWORD"] = PASSWORD;
  const bin = findPrograms();
  if (bin === undefined) return "PostgreSQL is not installed";
  const folder = mkdtempSync(join(tmpdir(), "vouch-pg-"));
  const isRoot = process.getuid?.() === 0; // initdb refuses root
  const as = (command: string, args: readonly string[]): [string, string[]] =>
    isRoot ? ["runuser", ["-u", "postgres", "--", command, ...args]] : [command, [...args]];
  if (isRoot && spawnSync("id", ["postgres"]).status !== 0) return "there is no user to run PostgreSQL as";
  chmodSync(folder, 0o755);
  const data = join(folder, "data");
  mkdirSync(data);
  writeFileSync(join(folder, "password"), `${PASSWORD}\n`);
  if (isRoot) spawnSync("chown", ["-R", "postgres", folder]);
  const made = spawnSync(
    ...as(join(bin, "initdb"), [
      "-D",
      data,
      "-U",
      "auditor",
      "-A",
      "scram-sha-256",
      `--pwfile=${folder}/password`,
      "-N",
      "--locale=C.UTF-8",
    ]),
    { encoding: "utf8", cwd: folder },
  );
  if (made.status !== 0) return `initdb: ${made.stderr.trim().split("\n").at(-1) ?? ""}`;
  const port = await freePort();
  const options = [
    "-D",
    data,
    "-p",
    String(port),
    "-k",
    folder,
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "fsync=off",
    "-c",
    "max_connections=20",
  ];
  const server = spawn(...as(join(bin, "postgres"), options), {
    stdio: "ignore",
    cwd: folder,
    detached: true,
  });
  const url = `postgres://auditor@127.0.0.1:${port}/postgres`;
  const stop = () => {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid, "SIGQUIT");
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 }); // it may write its last while it is removed
  };
  for (let attempt = 0; attempt < 1200 && server.exitCode === null; attempt++) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      await client.end();
      return { url, stop };
    } catch {
      await new Promise((again) => setTimeout(again, 50));
    }
  }
  stop();
  return "PostgreSQL did not start";
}
